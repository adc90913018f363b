//! Brings the queue up to date with what has just been recorded.
//!
//! The lock of an upstream orders recording and observing: whoever comes second sees what the first
//! has done, so that no install is left between an old target and a new one.

use std::collections::BTreeSet;

use pgrx::IntoDatum;
use pgrx::pg_sys::{self, Datum};

use super::plan::{self, Schema, Statement, Type};
use crate::install::Install;
use crate::source;

thread_local! {
    static LOCK_UPSTREAM: Statement = const { Statement::new(
        "SELECT next_check_at OPERATOR(pg_catalog.=) 'infinity' FROM @extschema@.plugin_upstreams
         WHERE upstream OPERATOR(pg_catalog.=) $1 FOR SHARE",
        &[Type::Server(pg_sys::TEXTOID)],
    ) };
    static LOCK_UPSTREAMS: Statement = const { Statement::new(
        "SELECT FROM @extschema@.plugin_upstreams
         WHERE upstream OPERATOR(pg_catalog.=) ANY ($1) ORDER BY upstream FOR SHARE",
        &[Type::Server(pg_sys::TEXTARRAYOID)],
    ) };
    static SETTLE: Statement = const { Statement::new(
        "SELECT @extschema@.settle_plugin_installs($1, $2, pg_catalog.clock_timestamp())",
        &[Type::Server(pg_sys::UUIDARRAYOID), Type::Server(pg_sys::TEXTARRAYOID)],
    ) };
}

/// Whether the catalog has a queue, as it has since 0.2.0.
pub fn has_queue(schema: &Schema) -> bool {
    schema.has_table(c"plugin_update_queue")
}

/// Whether the catalog has releases that can be rolled back, as it has since 0.3.0.
pub fn has_rollouts(schema: &Schema) -> bool {
    schema.has_table(c"plugin_rollouts")
}

/// Locks the upstream that an install tracks. False where it has to be made known first.
pub fn lock_upstream(schema: &Schema, install: &Install<'_>) -> bool {
    let Some(upstream) = tracked_upstream(install) else {
        return true;
    };
    let rows = plan::run(&LOCK_UPSTREAM, schema, &[upstream.into_datum()]);
    // Nobody has to ask for a pinned commit, so that its repository may stay idle.
    let may_idle = install.tracked_ref.starts_with("sha:");
    rows.count > 0
        && rows
            .get(0, 0)
            .is_some_and(|idle| may_idle || idle.value() == 0)
}

/// Locks the upstreams that a batch tracks, in their order.
pub fn lock_upstreams<'a>(schema: &Schema, installs: impl Iterator<Item = &'a Install<'a>>) {
    let upstreams: BTreeSet<String> = installs.filter_map(tracked_upstream).collect();
    if !upstreams.is_empty() {
        let upstreams = upstreams.into_iter().collect::<Vec<_>>().into_datum();
        plan::run(&LOCK_UPSTREAMS, schema, &[upstreams]);
    }
}

/// Makes known what the installs of these keys track, and brings their updates up to date.
pub fn settle(schema: &Schema, workspaces: Option<Datum>, plugins: Option<Datum>) {
    plan::run(&SETTLE, schema, &[workspaces, plugins]);
}

fn tracked_upstream(install: &Install<'_>) -> Option<String> {
    install
        .is_tracked()
        .then(|| source::upstream(&install.source_raw))
        .flatten()
}
