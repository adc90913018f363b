//! Passwords come from git's credential helpers, keys from ssh, and nothing of it is told.

use crate::support::fleet::outcome;
use crate::support::servers::{Ssh, apache, user};
use crate::support::{Fleet, Folder};

const PASSWORD: &str = "geheim-4711";

/// A credential helper that gives a password, and notes what it is called for.
fn helper(fleet: &Fleet, password: &str) -> String {
    let log = fleet.folder().join("helper.log");
    let log = log.display();
    let script = format!(
        "#!/bin/sh\necho \"$1\" >> {log}\ncat >> {log}\n[ \"$1\" = get ] && printf 'username=user\\npassword={password}\\n'\n"
    );
    fleet.file("helper", &script).display().to_string()
}

fn once_with(fleet: &Fleet, password: &str) -> (bool, String) {
    let helper = helper(fleet, password);
    let config = format!("[credential]\n\thelper = \"!sh {helper}\"\n");
    fleet.file(".gitconfig", &config);
    outcome(&fleet.watcher(&["once"]).output().unwrap())
}

#[test]
fn a_closed_repository_is_seen_with_gits_own_credentials() {
    let folder = Folder::new();
    let repository = folder.create("r");
    let commit = repository.commit("main", "first");
    repository.annotated("v1.0.0", &commit);
    let server = apache(folder.path(), Some(("user", PASSWORD)), None);
    let fleet = Fleet::new();
    fleet.track(
        [format!("http://127.0.0.1:{}/closed/r.git", server.port)],
        "tag:latest",
    );
    let upstream = format!("127.0.0.1:{}/closed/r", server.port);

    let (is_fine, told) = once_with(&fleet, "wrong");
    assert!(!is_fine);
    assert_eq!(
        fleet.errors()[&upstream],
        "127.0.0.1 answered 401: it refuses git's credentials"
    );
    assert!(!told.contains("wrong"), "{told}");

    fleet.due();
    let (is_fine, told) = once_with(&fleet, PASSWORD);
    assert!(is_fine, "{told}");
    assert_eq!(fleet.refs(&upstream), repository.refs());
    assert!(!told.contains(PASSWORD), "{told}");
    assert!(!fleet.cluster().log().contains(PASSWORD));

    // The helper was asked for that host, and told to store or erase nothing.
    let log = std::fs::read_to_string(fleet.folder().join("helper.log")).unwrap();
    let host = format!("host=127.0.0.1:{}", server.port);
    assert!(
        log.contains(&host) && log.contains("protocol=http"),
        "{log}"
    );
    assert!(!log.contains("store") && !log.contains("erase"), "{log}");
}

#[test]
fn a_key_that_is_not_known_is_refused() {
    let folder = Folder::new();
    let repository = folder.create("r");
    repository.commit("main", "first");
    let ssh = Ssh::start();
    let fleet = Fleet::new();
    let source = format!(
        "ssh://{}@127.0.0.1:{}{}/r.git",
        user(),
        ssh.port,
        folder.path().display()
    );
    fleet.track([&source], "ref:main");
    let upstream = pg_workspace_plugins::source::upstream(&source).unwrap();
    let once = |key: &str| {
        fleet.due();
        let mut once = fleet.watcher(&["once"]);
        once.env("GIT_SSH_COMMAND", ssh.command(key));
        outcome(&once.output().unwrap())
    };
    assert!(!once("stranger").0);
    let error = &fleet.errors()[&upstream];
    assert!(error.contains("Permission denied (publickey"), "{error}");
    let (is_fine, told) = once("client");
    assert!(is_fine, "{told}");
    assert_eq!(fleet.refs(&upstream), repository.refs());
}
