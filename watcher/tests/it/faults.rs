//! A server that does not do what it should harms only itself: it gets an error of its own and a
//! later turn, and nobody waits for it.

use std::collections::BTreeMap;

use crate::support::faulty::{Faulty, Then};
use crate::support::fleet::outcome;
use crate::support::process::{free_port, wait_until};
use crate::support::servers::{Certificates, Server, Ssh, apache, git_daemon, user};
use crate::support::{Fleet, Folder};

const HEALTHY: usize = 100;

/// A deadline that faulty servers run into, and healthy ones do not.
const CONFIG: &str = "
    deadline = '20s'
    lease = '60s'
    poll = '1s'
    max_bytes = 1000000
    [network]
    schemes = ['https', 'http', 'ssh', 'git', 'file']
    deny = []
";

/// Real servers, and faulty ones in front of them; what is tracked, and the error that it is to get.
struct Scene {
    git: Server,
    http: Server,
    faulty: Vec<Faulty>,
    expected: BTreeMap<String, String>,
}

impl Scene {
    fn new(folder: &Folder) -> Self {
        Self {
            git: git_daemon(folder.path()),
            http: apache(folder.path(), None, None),
            faulty: Vec::new(),
            expected: BTreeMap::new(),
        }
    }

    fn expect(&mut self, source: impl Into<String>, error: impl Into<String>) {
        self.expected.insert(source.into(), error.into());
    }

    /// A faulty server, asked by a scheme for a path.
    fn faulty(&mut self, server: Faulty, scheme: &str, path: &str, error: &str) {
        self.expect(
            format!("{scheme}://127.0.0.1:{}/{path}", server.port),
            error,
        );
        self.faulty.push(server);
    }

    /// Servers that stall, or drop the connection, in the middle of what they say.
    fn that_end_early(&mut self) {
        let (git, http) = (self.git.port, self.http.port);
        for (after, stage) in CUTS {
            let stalls = format!("no answer within 20 s, while {stage}");
            self.faulty(
                Faulty::cut(git, after, Then::Stall),
                "git",
                "r.git",
                &stalls,
            );
            self.faulty(Faulty::cut(git, after, Then::Drop), "git", "r.git", DROPPED);
        }
        let stalls = "no answer within 20 s, while waiting for 127.0.0.1";
        self.faulty(
            Faulty::cut(http, 0, Then::Stall),
            "http",
            "open/r.git",
            stalls,
        );
        for after in [200, 500] {
            self.faulty(
                Faulty::cut(http, after, Then::Drop),
                "http",
                "open/r.git",
                DROPPED,
            );
        }
    }

    fn that_answer_otherwise(&mut self) {
        for (status, headers, error) in STATUSES {
            self.faulty(Faulty::status(status, headers), "http", "o/r", error);
        }
        let not_http = "127.0.0.1 does not answer in HTTP";
        self.faulty(Faulty::saying(MAIL), "http", "o/r", not_http);
        let not_tls = "127.0.0.1: received corrupt message of type InvalidContentType";
        self.faulty(Faulty::saying(MAIL), "https", "o/r", not_tls);
        let not_git = "no answer of git: Capabilities could not be parsed: Failed to decode the first four hex bytes indicating the line length: Invalid character";
        self.faulty(Faulty::saying(MAIL), "git", "o/r", not_git);
        let endless = "the answer is larger than 1000000 bytes (max_bytes)";
        self.faulty(Faulty::endless(), "http", "o/r", endless);
    }

    fn that_redirect(&mut self) {
        let itself =
            |port| format!("http://127.0.0.1:{port}/o/r/info/refs?service=git-upload-pack");
        let elsewhere = |_| "https://elsewhere.example/?token=secret".to_owned();
        let login = |port| format!("http://127.0.0.1:{port}/login");
        let error = "more than 5 redirects";
        self.faulty(Faulty::redirecting(itself), "http", "o/r", error);
        let error = "a redirect to https://elsewhere.example is not followed";
        self.faulty(Faulty::redirecting(elsewhere), "http", "o/r", error);
        let error = "a redirect to what is no repository";
        self.faulty(Faulty::redirecting(login), "http", "o/r", error);
    }

    fn that_are_not_there(&mut self) {
        let nobody = free_port();
        let refused = "no connection to 127.0.0.1: Connection refused (os error 111)";
        self.expect(format!("git://127.0.0.1:{nobody}/o/r"), refused);
        self.expect(format!("http://127.0.0.1:{nobody}/o/s"), refused);
        for (scheme, host) in [("https", "a.invalid"), ("git", "b.invalid")] {
            // Why, is up to the machine's resolver.
            let unknown = format!("the name {host} could not be looked up: ");
            self.expect(format!("{scheme}://{host}/o/r"), unknown);
        }
        let (git, http) = (self.git.port, self.http.port);
        let none = "the server refused: access denied or repository not exported: /none.git";
        self.expect(format!("git://127.0.0.1:{git}/none.git"), none);
        let none = "127.0.0.1 answered 404: there is no such repository, or it may not be seen";
        self.expect(format!("http://127.0.0.1:{http}/open/none.git"), none);
        let none = "git: fatal: '/nowhere/r' does not appear to be a git repository";
        self.expect("file:///nowhere/r", none);
        let unmapped = "nobody said where gitea:// is: set sources.gitea in the configuration";
        self.expect("gitea://o/r", unmapped);
    }
}

const DROPPED: &str = "the connection was dropped";
const MAIL: &[u8] = b"220 mail.example ESMTP\r\n";

/// Statuses of HTTP, headers, and what is told of them.
const STATUSES: [(&str, &str, &str); 7] = [
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
        DROPPED,
    ),
];

/// Where an answer of git daemon is cut: before and in its greeting, in its refs.
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
    let expired = Certificates::until(2021);
    let expired_server = apache(folder.path(), None, Some(&expired));
    let ssh = Ssh::start();
    let mut scene = Scene::new(&folder);
    scene.that_end_early();
    scene.that_answer_otherwise();
    scene.that_redirect();
    scene.that_are_not_there();
    let source = format!("https://localhost:{}/open/r.git", expired_server.port);
    scene.expect(
        source,
        "localhost: invalid peer certificate: certificate expired: ",
    );
    let (user, port) = (user(), ssh.port);
    let stranger = format!("ssh: {user}@127.0.0.1: Permission denied (publickey).");
    scene.expect(format!("ssh://{user}@127.0.0.1:{port}/r.git"), stranger);

    let fleet = Fleet::new();
    // Those that fail are first in line.
    fleet.track(scene.expected.keys(), "tag:latest");
    let port = scene.git.port;
    let healthy = (0..HEALTHY).map(|n| format!("git://127.0.0.1:{port}/healthy{n}.git"));
    fleet.track(healthy, "tag:latest");
    let config = fleet.file("once.toml", CONFIG);
    let mut once = fleet.watcher(&["once", "--config", config.to_str().unwrap()]);
    once.env("GIT_SSH_COMMAND", ssh.command("stranger"));
    once.env("SSL_CERT_FILE", expired.authority());
    let (is_fine, told) = outcome(&once.output().unwrap());
    assert!(!is_fine && !told.contains("secret"), "{told}");

    let errors = fleet.errors();
    for (source, error) in &scene.expected {
        let upstream = pg_workspace_plugins::source::upstream(source).unwrap();
        let found = errors.get(&upstream).cloned().unwrap_or_default();
        // What comes behind a colon at its end is of the day, or of the machine.
        let is_it = found == *error || (error.ends_with(": ") && found.starts_with(error));
        assert!(is_it, "{source}: {error}: {found}\n{told}");
    }
    let failed = scene.expected.len();
    assert_eq!(errors.len(), failed, "{errors:#?}");
    // All others were looked at before the first stalled one was given up.
    let early = "SELECT count(*) FROM plugin_upstreams WHERE failures = 0 AND last_checked_at < (
         SELECT min(last_error_at) FROM plugin_upstreams WHERE last_error LIKE 'no answer within%')";
    assert_eq!(fleet.number(early), HEALTHY);
    // Each is tried again later, and not before it asked for.
    let late = "SELECT count(*) FROM plugin_upstreams
         WHERE failures = 1 AND next_check_at > last_error_at + interval '10 minutes'";
    assert_eq!(fleet.number(late), failed);
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
