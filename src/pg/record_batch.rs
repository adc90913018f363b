//! `record_workspace_plugin_installs`: many installs in one statement.

use pgrx::datum::AnyElement;
use pgrx::pg_sys::{self, Datum};
use pgrx::prelude::*;
use pgrx::{IntoDatum, PgMemoryContexts};

use super::json::JsonText;
use super::plan::{self, Schema, Statement, Type};
use super::record::{UNKNOWN_WORKSPACE_HINT, sqlstate};
use super::report::{hide_statement, raise};
use super::settle;
use crate::install::Refusal;
use crate::install_batch::{self, BatchError, ElementError, Indexed};

const NAME: &str = "record_workspace_plugin_installs";

thread_local! {
    /// Takes the locks that the foreign key would take, but before any install is touched and in
    /// key order: a workspace that is being deleted locks itself first and its installs after.
    static LOCK_WORKSPACES: Statement = const { Statement::new(
        "SELECT pg_catalog.count(*) FROM (
             SELECT FROM @extschema@.plugin_workspaces
             WHERE workspace_id OPERATOR(pg_catalog.=) ANY ($1)
             ORDER BY workspace_id FOR KEY SHARE) AS locked",
        &[Type::Server(pg_sys::UUIDARRAYOID)],
    ) };
    static UNKNOWN_WORKSPACES: Statement = const { Statement::new(
        "SELECT wanted.id FROM pg_catalog.unnest($1) AS wanted (id)
         WHERE NOT EXISTS (
             SELECT FROM @extschema@.plugin_workspaces AS w
             WHERE w.workspace_id OPERATOR(pg_catalog.=) wanted.id)",
        &[Type::Server(pg_sys::UUIDARRAYOID)],
    ) };
    static UPSERT: Statement = const { Statement::new(
        "INSERT INTO @extschema@.workspace_plugins AS w
             (workspace_id, plugin_name, source_raw, tracked_ref, installed_sha)
         SELECT * FROM ROWS FROM (
             pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3),
             pg_catalog.unnest($4), pg_catalog.unnest($5))
         ON CONFLICT (workspace_id, plugin_name) DO UPDATE SET
             source_raw = excluded.source_raw,
             tracked_ref = excluded.tracked_ref,
             installed_sha = excluded.installed_sha,
             updated_at = GREATEST(w.updated_at, excluded.updated_at)",
        &[
            Type::Server(pg_sys::UUIDARRAYOID),
            Type::Server(pg_sys::TEXTARRAYOID),
            Type::Server(pg_sys::TEXTARRAYOID),
            Type::Server(pg_sys::TEXTARRAYOID),
            Type::Server(pg_sys::TEXTARRAYOID),
        ],
    ) };
}

/// Records a batch, all or nothing, and gives the number of distinct installs in it.
#[pg_extern(sql = false)]
fn record_workspace_plugin_installs(
    installs: Option<AnyElement>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> i64 {
    let json = installs.map(|installs| JsonText::of(installs.datum()));
    let text = json.as_ref().map_or("null", JsonText::as_str);
    let installs = install_batch::decode(text).unwrap_or_else(|error| refuse(&error));
    let count = i64::try_from(installs.len()).expect("fewer than i64::MAX installs");
    if !installs.is_empty() {
        let schema = Schema::of_call(fcinfo);
        let has_queue = settle::has_queue(&schema);
        plan::connected(
            || {
                lock_workspaces(&schema, &installs);
                if has_queue {
                    settle::lock_upstreams(&schema, installs.iter().map(|i| &i.install));
                }
            },
            |_| (),
        );
        let columns = columns(&installs);
        let tracked = has_queue.then(|| tracked_keys(&installs)).flatten();
        // The columns hold it all: what they were made of need not wait for the statement to end.
        drop(installs);
        drop(json);
        plan::connected(
            || {
                plan::run(&UPSERT, &schema, &columns);
                if let Some([workspaces, plugins]) = tracked {
                    settle::settle(&schema, workspaces, plugins);
                }
            },
            |_| (),
        );
    }
    count
}

fn lock_workspaces(schema: &Schema, installs: &[Indexed<'_>]) {
    let mut workspaces: Vec<_> = installs.iter().map(|i| i.install.workspace_id).collect();
    workspaces.dedup();
    let ids = column(workspaces.iter().map(uuid));
    let locked = plan::run(&LOCK_WORKSPACES, schema, &[ids])
        .get(0, 0)
        .expect("a count");
    if locked.value() == workspaces.len() {
        return;
    }
    let unknown = plan::run(&UNKNOWN_WORKSPACES, schema, &[ids]);
    let unknown: Vec<_> = (0..unknown.count)
        .filter_map(|row| uuid_at(&unknown, row))
        .collect();
    let first = installs
        .iter()
        .filter(|i| unknown.contains(&i.install.workspace_id))
        .min_by_key(|i| i.index);
    if let Some(Indexed { index, install }) = first {
        raise(
            PgSqlErrorCode::ERRCODE_FOREIGN_KEY_VIOLATION,
            format!(
                "{NAME}: element {index}: workspace \"{}\" is not registered",
                install.workspace_id
            ),
            Some(UNKNOWN_WORKSPACE_HINT),
            NAME,
        );
    }
}

/// The parameters of the upsert: a column each.
fn columns(installs: &[Indexed<'_>]) -> [Option<Datum>; 5] {
    let installs = || installs.iter().map(|i| &i.install);
    [
        column(installs().map(|i| uuid(&i.workspace_id))),
        column(installs().map(|i| &*i.plugin_name)),
        column(installs().map(|i| &*i.source_raw)),
        column(installs().map(|i| &*i.tracked_ref)),
        column(installs().map(|i| i.installed_sha.as_deref())),
    ]
}

/// The keys of what tracks anything; nothing where none does. A trigger cancels what waited for the
/// others.
fn tracked_keys(installs: &[Indexed<'_>]) -> Option<[Option<Datum>; 2]> {
    let tracked = || {
        installs
            .iter()
            .map(|i| &i.install)
            .filter(|i| i.is_tracked())
    };
    tracked().next()?;
    Some([
        column(tracked().map(|i| uuid(&i.workspace_id))),
        column(tracked().map(|i| &*i.plugin_name)),
    ])
}

/// An array. What building it leaves behind is freed at once: a batch is large.
fn column<T: IntoDatum>(values: impl Iterator<Item = T>) -> Option<Datum> {
    let mut scratch = PgMemoryContexts::new("plugin installs: a column");
    // SAFETY: the array is copied out before the memory that it was built in is freed.
    unsafe {
        let array = scratch.switch_to(|_| values.collect::<Vec<_>>().into_datum())?;
        Some(pg_sys::pg_detoast_datum_copy(array.cast_mut_ptr()).into())
    }
}

fn uuid(id: &uuid::Uuid) -> pgrx::Uuid {
    pgrx::Uuid::from_bytes(*id.as_bytes())
}

fn uuid_at(rows: &plan::Rows, row: u64) -> Option<uuid::Uuid> {
    let datum = rows.get(usize::try_from(row).ok()?, 0)?;
    // SAFETY: the column is of type uuid.
    let id = unsafe { pgrx::Uuid::from_datum(datum, false) }?;
    Some(uuid::Uuid::from_bytes(*id.as_bytes()))
}

fn refuse(error: &BatchError) -> ! {
    let refusal = match error {
        BatchError::Element(_, ElementError::Refused(refusal)) => Some(refusal),
        _ => None,
    };
    // Whatever the fault is, a secret may stand in any element.
    hide_statement();
    let code = refusal.map_or(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, sqlstate);
    raise(
        code,
        format!("{NAME}: {error}"),
        refusal.and_then(Refusal::hint),
        NAME,
    )
}
