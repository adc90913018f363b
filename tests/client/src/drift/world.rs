//! What the database holds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use postgres::Client;
use uuid::Uuid;

use super::model::Update;

/// All that drift follows from, and the time at which it is judged.
pub struct World {
    pub(super) installs: Vec<Install>,
    pub(super) ledger: Vec<SeenRef>,
    pub(super) observed: BTreeSet<String>,
    pub(super) min_ages: BTreeMap<String, Duration>,
    pub(super) dismissed: BTreeSet<(Uuid, String, String)>,
    pub(super) at: SystemTime,
}

pub(super) struct Install {
    pub workspace: Uuid,
    pub plugin: String,
    pub upstream: Option<String>,
    pub tracked: String,
    pub sha: Option<String>,
}

pub(super) struct SeenRef {
    pub upstream: String,
    pub reference: String,
    pub sha: String,
    pub first_seen_at: SystemTime,
    pub current_since: SystemTime,
    pub is_current: bool,
    pub accepted_at: Option<SystemTime>,
}

impl World {
    /// Reads it while nobody writes.
    pub fn read(client: &mut Client, at: SystemTime) -> Self {
        Self {
            installs: installs(client),
            ledger: ledger(client),
            observed: observed(client),
            min_ages: min_ages(client),
            dismissed: dismissed(client),
            at,
        }
    }
}

fn installs(client: &mut Client) -> Vec<Install> {
    let all = "SELECT workspace_id, plugin_name, upstream, tracked_ref::text, installed_sha::text
         FROM workspace_plugins";
    let rows = client.query(all, &[]).unwrap();
    rows.iter()
        .map(|row| Install {
            workspace: row.get(0),
            plugin: row.get(1),
            upstream: row.get(2),
            tracked: row.get(3),
            sha: row.get(4),
        })
        .collect()
}

fn ledger(client: &mut Client) -> Vec<SeenRef> {
    let all = "SELECT upstream, ref, sha::text, first_seen_at, current_since, gone_at IS NULL,
             accepted_at
         FROM plugin_upstream_refs";
    let rows = client.query(all, &[]).unwrap();
    rows.iter()
        .map(|row| SeenRef {
            upstream: row.get(0),
            reference: row.get(1),
            sha: row.get(2),
            first_seen_at: row.get(3),
            current_since: row.get(4),
            is_current: row.get(5),
            accepted_at: row.get(6),
        })
        .collect()
}

fn observed(client: &mut Client) -> BTreeSet<String> {
    let all = "SELECT upstream FROM plugin_upstreams WHERE last_checked_at IS NOT NULL";
    let rows = client.query(all, &[]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn min_ages(client: &mut Client) -> BTreeMap<String, Duration> {
    let all = "SELECT upstream, (extract(epoch FROM min_release_age) * 1000)::bigint
         FROM plugin_upstreams WHERE min_release_age IS NOT NULL";
    let rows = client.query(all, &[]).unwrap();
    let age = |milliseconds: i64| Duration::from_millis(milliseconds.unsigned_abs());
    rows.iter()
        .map(|row| (row.get(0), age(row.get(1))))
        .collect()
}

fn dismissed(client: &mut Client) -> BTreeSet<(Uuid, String, String)> {
    let all = "SELECT workspace_id, plugin_name, target_sha::text
         FROM plugin_update_queue WHERE status = 'dismissed'";
    let rows = client.query(all, &[]).unwrap();
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect()
}

/// The updates that wait.
pub(super) fn pending(client: &mut Client) -> Vec<Update> {
    let all = "SELECT workspace_id, plugin_name, upstream, tracked_ref::text, kind,
             current_sha::text, target_ref, target_sha::text
         FROM plugin_update_queue WHERE status = 'pending'";
    let rows = client.query(all, &[]).unwrap();
    rows.iter()
        .map(|row| Update {
            workspace: row.get(0),
            plugin: row.get(1),
            upstream: row.get(2),
            tracked: row.get(3),
            kind: row.get(4),
            current: row.get(5),
            reference: row.get(6),
            target: row.get(7),
        })
        .collect()
}

/// Workspace, plugin and state, as the view of drift shows them.
pub(super) fn shown_states(client: &mut Client) -> Vec<(Uuid, String, String)> {
    let all = "SELECT workspace_id, plugin_name, state FROM workspace_plugin_drift";
    let rows = client.query(all, &[]).unwrap();
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect()
}

/// Every row that observing and deriving write.
pub fn tables_as_text(client: &mut Client) -> Vec<String> {
    let tables = [
        "plugin_upstreams",
        "plugin_upstream_refs",
        "plugin_targets",
        "plugin_update_queue",
    ];
    let rows = tables.into_iter().flat_map(|table| {
        let all = format!("SELECT '{table} ' || t::text FROM {table} AS t");
        client.query(&all, &[]).unwrap()
    });
    rows.map(|row| row.get(0)).collect()
}
