//! The calls that most tests make, and what is stored after them.

use std::collections::BTreeMap;

use postgres::{Client, Error, GenericClient};
use serde_json::{Value, json};
use uuid::Uuid;

/// Parameters: workspace, plugin, source. Answers with the time of the first install.
pub const RECORD: &str =
    "SELECT (r).installed_at FROM record_workspace_plugin_install($1, $2, $3) AS r";

/// An install that follows nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Install {
    pub workspace: Uuid,
    pub plugin: String,
    pub source: String,
}

impl Install {
    fn json(&self) -> Value {
        json!({
            "workspace_id": self.workspace.to_string(),
            "plugin_name": self.plugin,
            "source_raw": self.source,
        })
    }
}

#[must_use]
pub fn new_id() -> Uuid {
    Uuid::new_v4()
}

/// Registers a new workspace.
pub fn registered(client: &mut Client) -> Uuid {
    let workspace = new_id();
    register(client, workspace);
    workspace
}

pub fn register(client: &mut Client, workspace: Uuid) {
    let call = "SELECT register_plugin_workspace($1)";
    client.execute(call, &[&workspace]).unwrap();
}

/// # Errors
/// The server's.
pub fn try_record(client: &mut impl GenericClient, install: &Install) -> Result<u64, Error> {
    let Install {
        workspace,
        plugin,
        source,
    } = install;
    client.execute(RECORD, &[workspace, plugin, source])
}

pub fn record(client: &mut impl GenericClient, install: &Install) {
    try_record(client, install).unwrap();
}

/// Gives the number of distinct installs.
///
/// # Errors
/// The server's.
pub fn try_batch(client: &mut impl GenericClient, installs: &[Install]) -> Result<i64, Error> {
    let installs: Value = installs.iter().map(Install::json).collect();
    let call = "SELECT record_workspace_plugin_installs($1)";
    Ok(client.query_one(call, &[&installs])?.get(0))
}

pub fn batch(client: &mut impl GenericClient, installs: &[Install]) -> i64 {
    try_batch(client, installs).unwrap()
}

/// The source of every install that is stored, by its key.
pub fn stored(client: &mut impl GenericClient) -> BTreeMap<(Uuid, String), String> {
    let all = "SELECT workspace_id, plugin_name, source_raw::text FROM workspace_plugins";
    let rows = client.query(all, &[]).unwrap();
    rows.iter()
        .map(|row| ((row.get(0), row.get(1)), row.get(2)))
        .collect()
}
