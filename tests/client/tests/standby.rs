//! A streaming standby: everything that reads works there, everything that writes is refused.

use std::thread::sleep;
use std::time::{Duration, Instant};

use client_tests::{Cluster, DATABASE, Install, outcome, record, registered, stored};
use postgres::Client;

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn reads_but_does_not_write() {
    let primary = Cluster::with_extension(&[]);
    let standby = Cluster::standby_of(&primary);
    let mut writer = primary.connect(DATABASE);
    let install = Install {
        workspace: registered(&mut writer),
        plugin: "p".to_owned(),
        source: "github://o/r".to_owned(),
    };
    record(&mut writer, &install);
    writer.batch_execute(ORIGINAL).unwrap();
    let mut reader = standby.connect(DATABASE);
    wait_for(&mut writer, &mut reader);

    assert_eq!(stored(&mut reader), stored(&mut writer));
    check_pure_functions(&mut reader);
    check_writes(&mut reader, &install);
    check_refusals_come_first(&mut reader, &install);

    standby.promote();
    record(&mut reader, &install);
}

/// A table of the original service, to import from.
const ORIGINAL: &str = "CREATE TABLE original (id, workspace_id, plugin_name, source_raw,
         tracked_ref, installed_at, updated_at)
     AS VALUES (1, 'no uuid', 'p', 's', '', now(), now());
     CREATE TABLE attached (id uuid PRIMARY KEY)";

/// Waits until the standby has replayed all that the primary has written.
fn wait_for(primary: &mut Client, standby: &mut Client) {
    let written = "SELECT pg_current_wal_flush_lsn()::text";
    let written: String = primary.query_one(written, &[]).unwrap().get(0);
    let replayed = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn";
    let deadline = Instant::now() + PATIENCE;
    while !standby
        .query_one(replayed, &[&written])
        .unwrap()
        .get::<_, bool>(0)
    {
        assert!(Instant::now() < deadline, "the standby does not follow");
        sleep(Duration::from_millis(20));
    }
}

fn check_pure_functions(standby: &mut Client) {
    let call =
        "SELECT concat_ws(' ', validate_tracked_ref(' tag:v1 '), is_valid_tracked_ref('main'),
             tracked_ref_kind('tag:^1'), tracked_ref_value('ref:main'), is_valid_commit_sha('abc'),
             check_plugin_source('s'), plugin_source_upstream('github://O/r'),
             resolve_tag('tag:latest', '{v1.2.0,v1.10.0}'))";
    let answers: String = standby.query_one(call, &[]).unwrap().get(0);
    assert_eq!(answers, "tag:v1 f range main f t github.com/o/r v1.10.0");
    let refusals = "SELECT reason FROM workspace_plugins_import_refusals('original')";
    let reason: String = standby.query_one(refusals, &[]).unwrap().get(0);
    assert!(reason.starts_with("invalid workspace_id"), "{reason}");
}

fn check_writes(standby: &mut Client, install: &Install) {
    let workspace = install.workspace;
    let json =
        format!(r#"[{{"workspace_id": "{workspace}", "plugin_name": "p", "source_raw": "s"}}]"#);
    for call in [
        &format!("record_workspace_plugin_install('{workspace}', 'p', 's')"),
        &format!("record_workspace_plugin_install('{workspace}', 'new', 's')"),
        &format!("record_workspace_plugin_installs('{json}')"),
        &format!("remove_workspace_plugin('{workspace}', 'p')"),
        &format!("register_plugin_workspace('{workspace}')"),
        &format!("unregister_plugin_workspace('{workspace}')"),
        "attach_workspaces('attached')",
        "import_workspace_plugins('original')",
        "grant_plugin_access('pg_monitor', 'reader')",
        "revoke_plugin_access('pg_monitor')",
    ] {
        let result = standby.batch_execute(&format!("SELECT {call}"));
        assert_eq!(outcome(&result), "25006", "{call}");
    }
}

/// What could be recorded nowhere is refused with the same reason as on the primary.
fn check_refusals_come_first(standby: &mut Client, install: &Install) {
    let call = "SELECT record_workspace_plugin_install($1, '', 's')";
    let result = standby.execute(call, &[&install.workspace]);
    assert_eq!(outcome(&result), "22023");
}
