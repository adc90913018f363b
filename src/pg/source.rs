//! `plugin_source_upstream` and the CHECK of the domain `plugin_source`.

use pgrx::prelude::*;

use super::report::{hide_statement, raise};
use crate::source;

/// The identity of the repository; NULL where there is none.
#[pg_extern(sql = false)]
fn plugin_source_upstream(source: &str) -> Option<String> {
    source::upstream(source)
}

/// True, or SQLSTATE 23514. It raises where a predicate would answer false, because the server's
/// own report of a failed CHECK shows the row, and with it the secret.
#[pg_extern(sql = false)]
fn check_plugin_source(source: &str) -> bool {
    let Some(secret) = source::secret_in(source) else {
        return true;
    };
    hide_statement();
    raise(
        PgSqlErrorCode::ERRCODE_CHECK_VIOLATION,
        format!("a plugin source must not hold {secret}"),
        Some(source::SECRET_HINT),
        "check_plugin_source",
    )
}
