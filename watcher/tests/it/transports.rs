//! The same refs by every way that git itself can be asked.

use std::any::Any;
use std::path::Path;

use crate::support::fleet::outcome;
use crate::support::servers::{Certificates, Ssh, apache, git_daemon, user};
use crate::support::{Fleet, Folder};

const TAGS: usize = 12_000;

/// Repositories of all kinds, by name.
const KINDS: [&str; 4] = ["plain", "sha256", "empty", "large"];

fn repositories() -> Folder {
    let folder = Folder::new();
    let plain = folder.create("plain");
    let first = plain.commit("main", "first");
    let second = plain.commit("dev", "second");
    plain.annotated("v1.0.0", &first);
    plain.lightweight("v1.1.0", &second);
    // A tag of a tag.
    plain.annotated("nested", "v1.0.0");
    plain.lightweight("gone", &first);
    plain.run(&["update-ref", "refs/pull/1/head", &second]);
    let sha256 = folder.create_with("sha256", "sha256");
    let commit = sha256.commit("main", "first");
    sha256.annotated("v1.0.0", &commit);
    folder.create("empty");
    let large = folder.create("large");
    let commit = large.commit("main", "first");
    large.many_tags(TAGS, &commit);
    folder
}

/// How repositories in a folder are reached.
struct Way {
    /// What stands before a repository's name in its source, and in its identity.
    source: String,
    upstream: String,
    environment: Vec<(&'static str, String)>,
    _server: Option<Box<dyn Any>>,
}

impl Way {
    fn once(&self, fleet: &Fleet) -> (bool, String) {
        let mut once = fleet.watcher(&["once"]);
        for (name, value) in &self.environment {
            once.env(name, value);
        }
        outcome(&once.output().unwrap())
    }
}

/// Looks at all repositories, and again after some have changed.
fn look(start: impl FnOnce(&Path) -> Way) {
    let folder = repositories();
    let way = start(folder.path());
    let upstream = |kind: &str| format!("{}{kind}", way.upstream);
    let fleet = Fleet::new();
    let plain = format!("{}plain.git", way.source);
    fleet.track(
        KINDS.map(|kind| format!("{}{kind}.git", way.source)),
        "tag:latest",
    );
    for track in [
        "tag:v1.0.0",
        "tag:gone",
        "ref:refs/pull/1/head",
        "ref:refs/pull/2/head",
    ] {
        fleet.track([&plain], track);
    }

    let (is_fine, told) = way.once(&fleet);
    assert!(!is_fine, "the empty repository is refused\n{told}");
    let errors = fleet.errors();
    assert_eq!(errors.len(), 1, "{errors:?}\n{told}");
    assert_eq!(errors[&upstream("empty")], "the answer holds no ref");
    for kind in ["plain", "sha256", "large"] {
        let mut expected = folder.open(kind).refs();
        if kind == "plain" {
            // Somebody follows it by its full name, so that it travels too.
            let dev = expected["refs/heads/dev"].clone();
            expected.insert("refs/pull/1/head".to_owned(), dev);
        }
        assert_eq!(fleet.refs(&upstream(kind)), expected, "{kind}");
    }
    assert_eq!(
        fleet.states(&upstream("plain")),
        [
            "ref:refs/pull/1/head branch_advanced",
            "ref:refs/pull/2/head ref_missing",
            "tag:gone retarget",
            "tag:latest new_version",
            "tag:v1.0.0 retarget"
        ]
    );

    let plain = folder.open("plain");
    let third = plain.commit("main", "third");
    plain.annotated("v1.0.0", &third);
    plain.delete_tag("gone");
    folder.open("empty").commit("main", "no longer");
    fleet.due();
    let (is_fine, told) = way.once(&fleet);
    assert!(is_fine, "{told}");
    assert_eq!(
        fleet.states(&upstream("plain")),
        [
            "ref:refs/pull/1/head branch_advanced",
            "ref:refs/pull/2/head ref_missing",
            "tag:gone ref_missing",
            "tag:latest new_version",
            "tag:v1.0.0 tag_moved"
        ]
    );
    assert_eq!(fleet.refs(&upstream("empty")), folder.open("empty").refs());
}

#[test]
fn by_a_folder() {
    look(|folder| Way {
        source: format!("file://{}/", folder.display()),
        upstream: format!("file:{}/", folder.display()),
        environment: Vec::new(),
        _server: None,
    });
}

#[test]
fn by_git_daemon() {
    look(|folder| {
        let server = git_daemon(folder);
        Way {
            source: format!("git://127.0.0.1:{}/", server.port),
            upstream: format!("127.0.0.1:{}/", server.port),
            environment: Vec::new(),
            _server: Some(Box::new(server)),
        }
    });
}

#[test]
fn by_http() {
    look(|folder| {
        let server = apache(folder, None, None);
        Way {
            source: format!("http://127.0.0.1:{}/open/", server.port),
            upstream: format!("127.0.0.1:{}/open/", server.port),
            environment: Vec::new(),
            _server: Some(Box::new(server)),
        }
    });
}

#[test]
fn by_https() {
    look(|folder| {
        let certificates = Certificates::until(2090);
        let server = apache(folder, None, Some(&certificates));
        let authority = certificates.authority().display().to_string();
        Way {
            source: format!("https://localhost:{}/open/", server.port),
            upstream: format!("localhost:{}/open/", server.port),
            environment: vec![("SSL_CERT_FILE", authority)],
            _server: Some(Box::new((server, certificates))),
        }
    });
}

#[test]
fn by_ssh() {
    look(|folder| {
        let server = Ssh::start();
        let folder = folder.display();
        Way {
            source: format!("ssh://{}@127.0.0.1:{}{folder}/", user(), server.port),
            upstream: format!("127.0.0.1:{}{folder}/", server.port),
            environment: vec![("GIT_SSH_COMMAND", server.command("client"))],
            _server: Some(Box::new(server)),
        }
    });
}

#[test]
fn only_branches_and_tags_travel() {
    let folder = Folder::new();
    let repository = folder.create("r");
    let commit = repository.commit("main", "first");
    repository.many_refs("refs/pull/", 2_000, &commit);
    let server = git_daemon(folder.path());
    let fleet = Fleet::new();
    fleet.track(
        [format!("git://127.0.0.1:{}/r.git", server.port)],
        "ref:main",
    );
    let (is_fine, told) = fleet.once("");
    assert!(is_fine, "{told}");
    let observed = told.lines().find(|line| line.contains("observed")).unwrap();
    let observed: serde_json::Value = serde_json::from_str(observed).unwrap();
    assert_eq!(observed["refs"], 1);
    assert!(observed["bytes"].as_u64().unwrap() < 1_000, "{observed}");
}
