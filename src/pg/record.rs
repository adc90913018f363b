//! `record_workspace_plugin_install`: one install, on the hot path.

use pgrx::datum::AnyElement;
use pgrx::pg_sys::{self, Datum};
use pgrx::prelude::*;

use super::plan::{self, Schema, Statement, Type};
use super::report::{hide_statement, raise};
use super::settle;
use crate::install::{Install, Refusal, Request};

pub const UNKNOWN_WORKSPACE_HINT: &str = "Register it with register_plugin_workspace(), or attach \
     the application's own table of workspaces with attach_workspaces().";

/// The server names this constraint in its report of a workspace that is not there.
const FOREIGN_KEY: &str = "workspace_plugins_workspace_id_fkey";

const NAME: &str = "record_workspace_plugin_install";

const TYPES: [Type; 5] = [
    Type::Server(pg_sys::UUIDOID),
    Type::Server(pg_sys::TEXTOID),
    Type::Domain(c"plugin_source"),
    Type::Domain(c"tracked_ref"),
    Type::Domain(c"commit_sha"),
];

/// The upsert; `$also` is returned beside the row.
macro_rules! upsert {
    ($also:expr) => {
        Statement::new(
            concat!(
                "INSERT INTO @extschema@.workspace_plugins AS w
                     (workspace_id, plugin_name, source_raw, tracked_ref, installed_sha)
                 VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (workspace_id, plugin_name) DO UPDATE SET
                     source_raw = excluded.source_raw,
                     tracked_ref = excluded.tracked_ref,
                     installed_sha = excluded.installed_sha,
                     updated_at = GREATEST(w.updated_at, excluded.updated_at)
                 RETURNING w, ",
                $also
            ),
            &TYPES,
        )
    };
}

/// Tells whether the install's updates are as they should be: nothing waits or is under way, and it is
/// on its target, or on what cannot be compared. Not where another session has changed the install while
/// this statement waited for it: its snapshot does not have what that one has queued.
macro_rules! upsert_tracked {
    ($also:literal) => {
        upsert!(concat!(
            "(w.xmax OPERATOR(pg_catalog.=) 0 OR EXISTS (
                 SELECT FROM @extschema@.workspace_plugins AS seen
                 WHERE seen.workspace_id OPERATOR(pg_catalog.=) w.workspace_id
                   AND seen.plugin_name OPERATOR(pg_catalog.=) w.plugin_name
                   AND seen.xmax OPERATOR(pg_catalog.=) w.xmin))
             AND NOT EXISTS (
                 SELECT FROM @extschema@.plugin_update_queue AS q
                 WHERE q.workspace_id OPERATOR(pg_catalog.=) w.workspace_id
                   AND q.plugin_name OPERATOR(pg_catalog.=) w.plugin_name
                   AND q.status OPERATOR(pg_catalog.=) ANY (ARRAY['pending', 'deferred']))
             AND NOT EXISTS (
                 SELECT FROM @extschema@.plugin_update_queue AS q
                 WHERE q.workspace_id OPERATOR(pg_catalog.=) w.workspace_id
                   AND q.plugin_name OPERATOR(pg_catalog.=) w.plugin_name
                   AND q.status OPERATOR(pg_catalog.=) 'claimed')
             AND (w.upstream IS NULL OR EXISTS (
                 SELECT FROM @extschema@.plugin_targets AS t
                 WHERE t.upstream OPERATOR(pg_catalog.=) w.upstream
                   AND t.tracked_ref OPERATOR(pg_catalog.=) w.tracked_ref
                   AND (w.installed_sha IS NULL OR t.sha OPERATOR(pg_catalog.=) w.installed_sha
                        OR t.sha IS NULL)))",
            $also
        ))
    };
}

thread_local! {
    /// Nor is it on a release that was rolled back.
    static UPSERT_TRACKED: Statement = const { upsert_tracked!(
        " AND NOT EXISTS (
              SELECT FROM @extschema@.plugin_rollouts AS r
              WHERE r.upstream OPERATOR(pg_catalog.=) w.upstream
                AND r.sha OPERATOR(pg_catalog.=) w.installed_sha
                AND r.state OPERATOR(pg_catalog.=) 'rolled_back')"
    ) };
    /// For the catalog of 0.2.0, which has no releases.
    static UPSERT_TRACKED_ALONE: Statement = const { upsert_tracked!("") };
    /// For what tracks nothing: a trigger cancels what waited for it. And for the catalog of 0.1.0,
    /// which has no queue.
    static UPSERT: Statement = const { upsert!("true") };
}

/// Records an install, new or again, and gives the row as stored.
#[pg_extern(sql = false)]
fn record_workspace_plugin_install(
    workspace_id: Option<pgrx::Uuid>,
    plugin_name: Option<&str>,
    source_raw: Option<&str>,
    track: Option<&str>,
    installed_sha: Option<&str>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Option<AnyElement> {
    let request = Request {
        workspace_id: workspace_id.map(|id| uuid::Uuid::from_bytes(*id.as_bytes())),
        plugin_name: plugin_name.unwrap_or_default().into(),
        source_raw: source_raw.unwrap_or_default().into(),
        track: track.unwrap_or_default().into(),
        installed_sha: installed_sha.unwrap_or_default().into(),
    };
    let install = request.check().unwrap_or_else(|refusal| refuse(&refusal));
    let row = upsert(&Schema::of_call(fcinfo), &install)?;
    // SAFETY: the datum is a row of the table, copied into the caller's memory.
    unsafe { AnyElement::from_polymorphic_datum(row, false, pg_sys::RECORDOID) }
}

fn refuse(refusal: &Refusal) -> ! {
    if matches!(refusal, Refusal::Secret(_)) {
        hide_statement();
    }
    let message = match refusal {
        // Word for word what validate_tracked_ref() says.
        Refusal::Track(error) => error.to_string(),
        other => format!("{NAME}: {other}"),
    };
    raise(sqlstate(refusal), message, refusal.hint(), NAME)
}

/// The SQLSTATE of a refusal.
pub fn sqlstate(refusal: &Refusal) -> PgSqlErrorCode {
    match refusal {
        Refusal::TooLong(_) => PgSqlErrorCode::ERRCODE_STRING_DATA_RIGHT_TRUNCATION,
        _ => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
    }
}

fn upsert(schema: &Schema, install: &Install<'_>) -> Option<Datum> {
    let arguments = [
        pgrx::Uuid::from_bytes(*install.workspace_id.as_bytes()).into_datum(),
        install.plugin_name.as_ref().into_datum(),
        install.source_raw.as_ref().into_datum(),
        install.tracked_ref.as_ref().into_datum(),
        install.installed_sha.as_deref().into_datum(),
    ];
    plan::connected(
        || {
            let is_tracked = install.is_tracked() && settle::has_queue(schema);
            let is_known = !is_tracked || settle::lock_upstream(schema, install);
            let statement = match is_tracked {
                true if settle::has_rollouts(schema) => &UPSERT_TRACKED,
                true => &UPSERT_TRACKED_ALONE,
                false => &UPSERT,
            };
            let rows = plan::run(statement, schema, &arguments);
            // No row where a trigger of the user's has suppressed it.
            let row = (rows.count > 0).then(|| rows.get(0, 0)).flatten()?;
            let is_settled = rows.get(0, 1).is_some_and(|settled| settled.value() != 0);
            if !(is_known && is_settled) {
                let id = pgrx::Uuid::from_bytes(*install.workspace_id.as_bytes());
                let plugins = vec![install.plugin_name.as_ref()].into_datum();
                settle::settle(schema, vec![id].into_datum(), plugins);
            }
            // SAFETY: a composite value is passed by reference with its own length.
            Some(unsafe { pg_sys::SPI_datumTransfer(row, false, -1) })
        },
        |report| {
            if report.sql_error_code() == PgSqlErrorCode::ERRCODE_FOREIGN_KEY_VIOLATION
                && report.message().contains(FOREIGN_KEY)
            {
                raise(
                    PgSqlErrorCode::ERRCODE_FOREIGN_KEY_VIOLATION,
                    format!(
                        "{NAME}: workspace \"{}\" is not registered",
                        install.workspace_id
                    ),
                    Some(UNKNOWN_WORKSPACE_HINT),
                    NAME,
                );
            }
        },
    )
}
