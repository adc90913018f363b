//! A server that does not do what it should harms only itself: it gets an error of its own and a
//! later turn, and nobody waits for it.

use std::collections::BTreeMap;

use crate::support::faulty::{Faulty, Then};
use crate::support::fleet::outcome;
use crate::support::process::{free_port, wait_until};
use crate::support::servers::{Certificates, Ssh, apache, git_daemon, user};
use crate::support::{Fleet, Folder};

const HEALTHY: usize = 100;

/// A deadline that faulty servers run into, and healthy ones do not.
const CONFIG: &str = "
    deadline = '10s'
    lease = '30s'
    poll = '1s'
    max_bytes = 1000000
    [network]
    schemes = ['https', 'http', 'ssh', 'git', 'file']
    deny = []
";

/// What is tracked, and the error that it is to get.
#[derive(Default)]
struct Expected(BTreeMap<String, String>);

impl Expected {
    fn add(&mut self, source: &str, error: &str) {
        self.0.insert(source.to_owned(), error.to_owned());
    }
}

/// Where an answer of a real server is cut: nowhere, in its greeting, in its refs.
const CUTS: [(usize, &str); 3] = [
    (0, "waiting for its greeting"),
    (30, "waiting for its greeting"),
    (190, "waiting for its refs"),
];

fn folder() -> Folder {
    let folder = Folder::new();
    let repository = folder.create("r");
    let commit = repository.commit("main", "first");
    repository.many_tags(100, &commit);
    folder.link(&repository, (0..HEALTHY).map(|n| format!("healthy{n}")));
    folder
}

#[test]
fn every_fault_has_its_own_error_and_the_others_are_not_delayed() {
    let folder = folder();
    let git = git_daemon(folder.path());
    let http = apache(folder.path(), Some(("user", "secret")), None);
    let expired = Certificates::until(2021);
    let expired_server = apache(folder.path(), None, Some(&expired));
    let ssh = Ssh::start();
    let mut expected = Expected::default();
    let mut servers = Vec::new();
    let mut faulty = |server: Faulty| {
        let port = server.port;
        servers.push(server);
        port
    };

    for (after, stage) in CUTS {
        let port = faulty(Faulty::cut(git.port, after, Then::Stall));
        let error = format!("no answer within 10 s, while {stage}");
        expected.add(&format!("git://127.0.0.1:{port}/r.git"), &error);
        let port = faulty(Faulty::cut(git.port, after, Then::Drop));
        expected.add(
            &format!("git://127.0.0.1:{port}/r.git"),
            "the connection was dropped",
        );
    }
    let port = faulty(Faulty::cut(http.port, 0, Then::Stall));
    expected.add(
        &format!("http://127.0.0.1:{port}/open/r.git"),
        "no answer within 10 s, while waiting for 127.0.0.1",
    );
    for after in [200, 500] {
        let port = faulty(Faulty::cut(http.port, after, Then::Drop));
        expected.add(
            &format!("http://127.0.0.1:{port}/open/r.git"),
            "the connection was dropped",
        );
    }
    for (status, headers, error) in [
        (
            "401 Unauthorized",
            "WWW-Authenticate: Basic realm=x\r\n",
            "127.0.0.1 asks who is there (401), and git knows no credentials for it",
        ),
        (
            "403 Forbidden",
            "",
            "127.0.0.1 answered 403: it forbids this",
        ),
        (
            "404 Not Found",
            "",
            "127.0.0.1 answered 404: there is no such repository, or it may not be seen",
        ),
        (
            "429 Too Many Requests",
            "Retry-After: 7200\r\n",
            "127.0.0.1 answered 429: it was asked too often",
        ),
        (
            "500 Internal Server Error",
            "",
            "127.0.0.1 answered 500: Internal Server Error",
        ),
        (
            "200 OK",
            "Content-Type: text/html\r\n",
            "no smart server of git: it answers with text/html",
        ),
        (
            "200 OK",
            "Content-Type: application/x-git-upload-pack-advertisement\r\n",
            "the connection was dropped",
        ),
    ] {
        let port = faulty(Faulty::status(status, headers));
        expected.add(&format!("http://127.0.0.1:{port}/o/r"), error);
    }
    let own = |port| format!("http://127.0.0.1:{port}/o/r/info/refs?service=git-upload-pack");
    let port = faulty(Faulty::redirecting(own));
    expected.add(
        &format!("http://127.0.0.1:{port}/o/r"),
        "more than 5 redirects",
    );
    let port = faulty(Faulty::redirecting(|_| {
        "https://elsewhere.example/?token=secret".to_owned()
    }));
    expected.add(
        &format!("http://127.0.0.1:{port}/o/r"),
        "a redirect to https://elsewhere.example is not followed",
    );
    let port = faulty(Faulty::redirecting(|port| {
        format!("http://127.0.0.1:{port}/login")
    }));
    expected.add(
        &format!("http://127.0.0.1:{port}/o/r"),
        "a redirect to what is no repository",
    );
    let port = faulty(Faulty::endless());
    expected.add(
        &format!("http://127.0.0.1:{port}/o/r"),
        "the answer is larger than 1000000 bytes (max_bytes)",
    );
    let port = faulty(Faulty::saying(b"220 mail.example ESMTP\r\n"));
    expected.add(
        &format!("http://127.0.0.1:{port}/o/r"),
        "127.0.0.1 does not answer in HTTP",
    );
    let port = faulty(Faulty::saying(b"220 mail.example ESMTP\r\n"));
    expected.add(
        &format!("https://127.0.0.1:{port}/o/r"),
        "127.0.0.1: received corrupt message of type InvalidContentType",
    );
    let port = faulty(Faulty::saying(b"220 mail.example ESMTP\r\n"));
    expected.add(
        &format!("git://127.0.0.1:{port}/o/r"),
        "no answer of git: Transport handshake failed: Capabilities could not be parsed: Failed to decode the first four hex bytes indicating the line length: Invalid character",
    );
    expected.add(
        &format!("https://localhost:{}/open/r.git", expired_server.port),
        "localhost: invalid peer certificate: certificate expired: ",
    );
    expected.add(
        &format!("git://127.0.0.1:{}/none.git", git.port),
        "the server refused: access denied or repository not exported: /none.git",
    );
    expected.add(
        &format!("http://127.0.0.1:{}/open/none.git", http.port),
        "127.0.0.1 answered 404: there is no such repository, or it may not be seen",
    );
    let nobody = free_port();
    expected.add(
        &format!("git://127.0.0.1:{nobody}/o/r"),
        "no connection to 127.0.0.1: Connection refused (os error 111)",
    );
    expected.add(
        &format!("http://127.0.0.1:{nobody}/o/s"),
        "no connection to 127.0.0.1: Connection refused (os error 111)",
    );
    for source in ["https://a.invalid/o/r", "git://b.invalid/o/r"] {
        let (_, host) = source.split_once("://").unwrap();
        let host = &host[..9];
        let error = format!("the name {host} could not be looked up: Name or service not known");
        expected.add(source, &error);
    }
    expected.add(
        &format!("ssh://{}@127.0.0.1:{}/none.git", user(), ssh.port),
        &format!("ssh: {}@127.0.0.1: Permission denied (publickey).", user()),
    );
    expected.add(
        "gitea://o/r",
        "nobody said where gitea:// is: set sources.gitea in the configuration",
    );
    expected.add(
        "file:///nowhere/r",
        "git: fatal: '/nowhere/r' does not appear to be a git repository",
    );

    let fleet = Fleet::new();
    // Faulty ones are first in line, and of each there is a second one.
    fleet.track(expected.0.keys(), "tag:latest");
    let healthy = (0..HEALTHY).map(|n| format!("git://127.0.0.1:{}/healthy{n}.git", git.port));
    fleet.track(healthy, "tag:latest");
    let config = fleet.file("watch.toml", CONFIG);
    let mut once = fleet.watcher(&["once", "--config", config.to_str().unwrap()]);
    once.env("GIT_SSH_COMMAND", ssh.command("stranger"));
    once.env("SSL_CERT_FILE", expired.authority());
    let (is_fine, told) = outcome(&once.output().unwrap());
    assert!(!is_fine);

    let errors = fleet.errors();
    let mut found = BTreeMap::new();
    for source in expected.0.keys() {
        let upstream = pg_workspace_plugins::source::upstream(source).unwrap();
        found.insert(
            source.clone(),
            errors.get(&upstream).cloned().unwrap_or_default(),
        );
    }
    for (source, error) in &expected.0 {
        // What comes behind a colon is of the day.
        let is_it = match error.ends_with(": ") {
            true => found[source].starts_with(error),
            false => found[source] == *error,
        };
        assert!(is_it, "{source}: {error}: {}\n{told}", found[source]);
    }
    assert_eq!(errors.len(), expected.0.len(), "{errors:#?}");
    assert!(!told.contains("secret"), "{told}");

    // All others were looked at before the first stalled one was given up.
    let early = "SELECT count(*) FROM plugin_upstreams WHERE failures = 0 AND last_checked_at < (
         SELECT min(last_error_at) FROM plugin_upstreams WHERE last_error LIKE 'no answer within%')";
    assert_eq!(fleet.number(early), HEALTHY as i64);
    // Each is tried again later, and not before it asked for.
    let late = "SELECT count(*) FROM plugin_upstreams
         WHERE failures = 1 AND next_check_at > last_error_at + interval '10 minutes'";
    assert_eq!(fleet.number(late), expected.0.len() as i64);
    let asked = "SELECT count(*) FROM plugin_upstreams
         WHERE last_error LIKE '%429%' AND next_check_at = last_error_at + interval '2 hours'";
    assert_eq!(fleet.number(asked), 1);
}

#[test]
fn a_dropped_connection_is_tried_once_more() {
    let folder = folder();
    let git = git_daemon(folder.path());
    let http = apache(folder.path(), None, None);
    let servers = [
        Faulty::cut(git.port, 30, Then::DropOnce),
        Faulty::cut(http.port, 0, Then::DropOnce),
        Faulty::cut(git.port, 30, Then::Drop),
    ];
    let fleet = Fleet::new();
    fleet.track(
        [format!("git://127.0.0.1:{}/r.git", servers[0].port)],
        "tag:latest",
    );
    fleet.track(
        [format!("http://127.0.0.1:{}/open/r.git", servers[1].port)],
        "tag:latest",
    );
    fleet.track(
        [format!("git://127.0.0.1:{}/r.git", servers[2].port)],
        "tag:latest",
    );
    fleet.once(CONFIG);
    let dropped = format!("127.0.0.1:{}/r", servers[2].port);
    let dropped = BTreeMap::from([(dropped, "the connection was dropped".to_owned())]);
    assert_eq!(fleet.errors(), dropped);
    assert_eq!(servers.map(|server| server.connections())[0..3], [2, 2, 2]);
}

#[test]
fn a_host_that_is_asked_too_often_is_left_alone() {
    let server = Faulty::status("429 Too Many Requests", "Retry-After: 3600\r\n");
    let fleet = Fleet::new();
    let sources = (0..50).map(|n| format!("http://127.0.0.1:{}/o/r{n}", server.port));
    fleet.track(sources, "tag:latest");
    let config = format!("per_host = 2\nconcurrency = 8\n{CONFIG}");
    let (is_fine, told) = fleet.once(&config);
    assert!(!is_fine);
    // Only those that were asked before the first answer.
    let failed = fleet.errors().len();
    assert!((1..=2).contains(&failed), "{told}");
    assert_eq!(server.connections(), failed);
    assert_eq!(
        fleet.number("SELECT count(*) FROM plugin_upstreams WHERE leased_by IS NOT NULL"),
        0
    );
}

#[test]
fn what_the_operator_denies_is_not_reached() {
    let folder = folder();
    let git = git_daemon(folder.path());
    let fleet = Fleet::new();
    let (port, path) = (git.port, folder.path().display());
    let sources = [
        (
            format!("git://127.0.0.1:{port}/r1.git"),
            "127.0.0.1 is at a denied address, 127.0.0.1: see network.deny",
        ),
        (
            format!("git://localhost:{port}/r2.git"),
            "localhost is at a denied address",
        ),
        (
            format!("http://127.0.0.1:{port}/r3.git"),
            "127.0.0.1 is at a denied address, 127.0.0.1: see network.deny",
        ),
        (
            format!("https://localhost:{port}/r4.git"),
            "localhost is at a denied address",
        ),
        (
            format!("http://[::ffff:127.0.0.1]:{port}/r5.git"),
            "[::ffff:7f00:1] is at a denied address, 127.0.0.1: see network.deny",
        ),
        (
            format!("ssh://git@127.0.0.1:{port}/r6.git"),
            "127.0.0.1 is at a denied address, 127.0.0.1: see network.deny",
        ),
        (
            format!("ssh://git@localhost:{port}/r7.git"),
            "localhost is at a denied address",
        ),
        (
            "http://169.254.169.254/o/r".to_owned(),
            "169.254.169.254 is at a denied address, 169.254.169.254: see network.deny",
        ),
        (
            format!("file://{path}/r8.git"),
            "file:// is denied: it is not in network.schemes",
        ),
    ];
    fleet.track(sources.iter().map(|(source, _)| source), "tag:latest");
    // As a daemon, with its defaults.
    let watcher = fleet.watch("poll = '1s'", "denied");
    wait_until("all are refused", || fleet.errors().len() == sources.len());
    watcher.signal("TERM");
    watcher.end();
    for (source, error) in &sources {
        let upstream = pg_workspace_plugins::source::upstream(source).unwrap();
        let found = &fleet.errors()[&upstream];
        assert!(found.starts_with(error), "{source}: {found}");
    }
}
