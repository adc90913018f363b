//! The database goes and comes back.

use std::sync::Arc;

use client_tests::Cluster;

use crate::support::process::wait_until;
use crate::support::servers::git_daemon;
use crate::support::{Fleet, Folder};

const CONFIG: &str = "poll = '1s'\n[network]\ndeny = []";

#[test]
fn a_watcher_outlives_its_database() {
    let folder = Folder::new();
    let repository = folder.create("r");
    let commit = repository.commit("main", "first");
    let git = git_daemon(folder.path());
    let fleet = Fleet::on(Arc::new(Cluster::start(&[])));
    fleet.track([format!("git://127.0.0.1:{}/r.git", git.port)], "ref:main");
    let upstream = format!("127.0.0.1:{}/r", git.port);
    fleet.cluster().stop();
    // It also waits for one that is not there yet.
    let watcher = fleet.watch(CONFIG, "patient");
    std::thread::sleep(std::time::Duration::from_millis(300));
    fleet.cluster().start_server();
    wait_until("it is observed", || {
        fleet.refs(&upstream).get("refs/heads/main") == Some(&commit)
    });

    fleet.cluster().kill9();
    fleet.cluster().start_server();
    let next = repository.commit("main", "second");
    fleet.due();
    wait_until("it is observed again", || {
        fleet.refs(&upstream).get("refs/heads/main") == Some(&next)
    });
    watcher.signal("TERM");
    let (status, told) = watcher.end();
    assert!(status.success(), "{told}");
    assert!(told.contains(r#""event":"database""#), "{told}");
}

#[test]
fn what_the_database_does_not_take_is_an_error_of_the_repository() {
    let folder = Folder::new();
    folder.create("r").commit("main", "first");
    let fleet = Fleet::new();
    fleet.track(
        [format!("file://{}/r.git", folder.path().display())],
        "ref:main",
    );
    // As somebody's own constraint may do.
    let refuse = "ALTER TABLE plugin_upstream_refs ADD CONSTRAINT nothing CHECK (false) NOT VALID";
    fleet.client().batch_execute(refuse).unwrap();
    let (is_fine, _) = fleet.once("");
    assert!(!is_fine);
    let errors = fleet.errors();
    let error = errors.values().next().unwrap();
    assert!(
        error.starts_with("the database does not take the answer: new row"),
        "{error}"
    );
}
