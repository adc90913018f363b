//! The trigger that `attach_workspaces` puts on the application's own table of workspaces.
//!
//! Row by row, as a foreign key's triggers are: so it also sees what is written to a partition, and
//! what MERGE and COPY write.

use pgrx::pg_sys::{self, Datum};
use pgrx::prelude::*;
use pgrx::{AllocatedByPostgres, IntoDatum};

use super::plan::{self, Schema, Statement, Type};
use super::report::raise;

const NAME: &str = "sync_attached_workspace";

thread_local! {
    static REGISTER: Statement = const { Statement::new(
        "INSERT INTO @extschema@.plugin_workspaces (workspace_id) VALUES ($1) ON CONFLICT DO NOTHING",
        &[Type::Server(pg_sys::UUIDOID)],
    ) };
    static UNREGISTER: Statement = const { Statement::new(
        "DELETE FROM @extschema@.plugin_workspaces WHERE workspace_id OPERATOR(pg_catalog.=) $1",
        &[Type::Server(pg_sys::UUIDOID)],
    ) };
    static FOLLOW: Statement = const { Statement::new(
        "UPDATE @extschema@.plugin_workspaces SET workspace_id = $2
         WHERE workspace_id OPERATOR(pg_catalog.=) $1",
        &[Type::Server(pg_sys::UUIDOID), Type::Server(pg_sys::UUIDOID)],
    ) };
}

type Row<'t> = PgHeapTuple<'t, AllocatedByPostgres>;

/// Registers, unregisters or renames the workspace of a row. The trigger's argument names the
/// column that holds its id.
#[pg_trigger(sql = false)]
fn sync_attached_workspace<'t>(
    trigger: &'t PgTrigger<'t>,
) -> Result<Option<Row<'t>>, PgTriggerError> {
    let schema = Schema::of_function(trigger.trigger().tgfoid);
    let column = trigger.extra_args()?.into_iter().next().unwrap_or_default();
    let old = || workspace_id(trigger.old(), &column);
    let new = || workspace_id(trigger.new(), &column);
    let operation = trigger.op()?;
    plan::connected(
        || match operation {
            PgTriggerOperation::Insert => plan::run(&REGISTER, &schema, &[new()]),
            PgTriggerOperation::Delete => plan::run(&UNREGISTER, &schema, &[old()]),
            _ => plan::run(&FOLLOW, &schema, &[old(), new()]),
        },
        |_| (),
    );
    // Before an update, what is returned is stored; after one, it is not looked at.
    Ok(trigger.new())
}

fn workspace_id(row: Option<Row<'_>>, column: &str) -> Option<Datum> {
    match row.map(|row| row.get_by_name::<pgrx::Uuid>(column)) {
        Some(Ok(id)) => id.into_datum(),
        _ => raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
            format!("{NAME}: the attached table has no uuid column \"{column}\" any more"),
            Some("Call attach_workspaces() again after renaming its id column."),
            NAME,
        ),
    }
}
