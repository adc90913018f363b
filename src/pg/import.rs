//! `plugin_install_refusal`: the rules for one install, asked without raising.

use pgrx::prelude::*;

use crate::install::{Request, parse_workspace_id};

/// Why an install cannot be recorded; NULL where it can.
#[pg_extern(sql = false)]
fn plugin_install_refusal(
    workspace_id: Option<&str>,
    plugin_name: Option<&str>,
    source_raw: Option<&str>,
    track: Option<&str>,
    installed_sha: Option<&str>,
) -> Option<String> {
    let refusal = parse_workspace_id(workspace_id.unwrap_or_default()).and_then(|workspace_id| {
        Request {
            workspace_id,
            plugin_name: plugin_name.unwrap_or_default().into(),
            source_raw: source_raw.unwrap_or_default().into(),
            track: track.unwrap_or_default().into(),
            installed_sha: installed_sha.unwrap_or_default().into(),
        }
        .check()
    });
    refusal.err().map(|refusal| refusal.to_string())
}
