//! The database goes and comes back.

use std::sync::Arc;

use client_tests::Cluster;

use crate::support::fleet::outcome;
use crate::support::process::{free_port, wait_until};
use crate::support::servers::{Certificates, git_daemon};
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

#[test]
fn a_database_is_reached_by_tls_and_has_to_be_who_it_says() {
    let certificates = Certificates::until(2090);
    let stranger = Certificates::until(2090);
    let (certificate, key) = certificates.of_a_database("postgres");
    let port = free_port();
    let settings = [
        ("listen_addresses", "127.0.0.1"),
        ("port", &port.to_string()),
        ("ssl", "on"),
        ("ssl_cert_file", &certificate),
        ("ssl_key_file", &key),
    ];
    let fleet = Fleet::on(Arc::new(Cluster::start(&settings)));
    let folder = Folder::new();
    folder.create("r").commit("main", "first");
    fleet.track(
        [format!("file://{}/r.git", folder.path().display())],
        "ref:main",
    );
    let once = |authority: &Certificates| {
        let authority = authority.authority();
        let parameters = format!("sslmode=verify-full&sslrootcert={}", authority.display());
        let mut once = fleet.watcher(&["once"]);
        once.env("DATABASE_URL", fleet.url(port, &parameters))
            .output()
            .unwrap()
    };
    let refused = once(&stranger);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("invalid peer certificate: "), "{said}");
    let (is_fine, told) = outcome(&once(&certificates));
    assert!(is_fine && told.contains(r#""outcome":"changed""#), "{told}");
}
