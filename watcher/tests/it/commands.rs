//! What the commands print, and how they end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::support::fleet::outcome;
use crate::support::process::{Process, free_port, wait_until};
use crate::support::{Fleet, Folder};

fn folder() -> Folder {
    let folder = Folder::new();
    let repository = folder.create("r");
    let commit = repository.commit("main", "first");
    repository.annotated("v1.0.0", &commit);
    repository.lightweight("v1.1.0", &commit);
    folder
}

/// A repository that can be looked at, and one that nobody can find.
fn fleet_of(folder: &Folder) -> Fleet {
    let fleet = Fleet::new();
    let source = format!("file://{}/r.git", folder.path().display());
    fleet.track([source.as_str(), "gitea://o/r"], "tag:latest");
    fleet
}

#[test]
fn check_says_what_a_source_means_and_writes_nothing() {
    let folder = folder();
    let fleet = Fleet::new();
    let source = format!("file://{}/r.git", folder.path().display());
    let mut check = fleet.watcher(&[
        "check",
        &source,
        "--track",
        "tag:latest",
        "--track",
        "ref:main",
    ]);
    // Nor does it need a database.
    let (is_fine, told) = outcome(&check.env_remove("PGHOST").output().unwrap());
    assert!(is_fine);
    let commit = folder.open("r").refs()["refs/heads/main"].clone();
    let path = folder.path().display();
    let expected = format!(
        "{source}\n  repository   file:{path}/r\n  asked        {source}\n  refs         2 tags, 1 branches\n  tag:latest   refs/tags/v1.1.0 {commit}\n  ref:main     refs/heads/main {commit}\n"
    );
    assert_eq!(told, expected);

    let mut check = fleet.watcher(&[
        "check",
        &source,
        "https://user:geheim@host/o/r",
        "--track",
        "tag:^9",
    ]);
    let (is_fine, told) = outcome(&check.output().unwrap());
    assert!(!is_fine);
    assert!(told.contains("  tag:^9       no tag matches\n"), "{told}");
    assert!(
        told.ends_with("a source that holds a secret: the source holds a password\n"),
        "{told}"
    );
}

#[test]
fn status_shows_the_fleet() {
    let folder = folder();
    let fleet = fleet_of(&folder);
    fleet.once("");
    let (is_fine, told) = outcome(&fleet.watcher(&["status"]).output().unwrap());
    assert!(is_fine);
    for words in [
        "Fleet",
        "Not in sync, by reason",
        "a higher version is to be installed",
        "Updates that wait",
        "Failing repositories",
        "gitea:o/r",
        "set sources.gitea",
    ] {
        assert!(told.contains(words), "{words}\n{told}");
    }
}

#[test]
fn once_tells_each_event_in_a_line_of_json() {
    let folder = folder();
    let fleet = fleet_of(&folder);
    let upstream = format!("file:{}/r", folder.path().display());
    let (_, told) = fleet.once("");
    let events: Vec<serde_json::Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |name: &str| events.iter().find(|event| event["event"] == name).unwrap();
    let observed = of("observed");
    assert_eq!(observed["upstream"], upstream);
    assert_eq!(
        (&observed["outcome"], &observed["refs"]),
        (&"changed".into(), &3.into())
    );
    assert_eq!(
        (&observed["added"], &observed["queued"]),
        (&3.into(), &1.into())
    );
    assert_eq!(
        (&of("failed")["upstream"], &of("failed")["kind"]),
        (&"gitea:o/r".into(), &"source".into())
    );
    assert_eq!(
        (&of("stopped")["observed"], &of("stopped")["failed"]),
        (&1.into(), &1.into())
    );
    // Nothing is due any more, so nothing is done.
    let (is_fine, told) = fleet.once("");
    assert!(is_fine && told.lines().count() == 2, "{told}");
}

#[test]
fn metrics_are_served_on_the_loopback_interface() {
    let folder = folder();
    let fleet = fleet_of(&folder);
    let port = free_port();
    let config = fleet.file("m.toml", "[network]\nschemes = ['file']");
    let mut watch = fleet.watcher(&[
        "watch",
        "--metrics",
        &port.to_string(),
        "--config",
        config.to_str().unwrap(),
    ]);
    let watcher = Process::start(&mut watch);
    let mut served = String::new();
    wait_until("both are counted", || {
        served = get(port).unwrap_or_default();
        served.contains("observations_total") && served.contains("failures_total")
    });
    for line in [
        "workspace_plugins_watch_observations_total{outcome=\"changed\"} 1",
        "workspace_plugins_watch_failures_total{kind=\"source\"} 1",
        "workspace_plugins_watch_running 0",
        "# TYPE workspace_plugins_watch_seconds histogram",
    ] {
        assert!(served.contains(line), "{line}\n{served}");
    }
    watcher.signal("TERM");
    assert!(watcher.end().0.success());
}

fn get(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn what_cannot_work_says_why() {
    let fleet = Fleet::new();
    let broken = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = fleet.watcher(arguments);
        let output = command.envs(environment.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let config = fleet.file("bad.toml", "concurrency = 0");
    let config = config.to_str().unwrap();
    assert_eq!(
        broken(&["once", "--config", config], &[]),
        format!(
            "workspace-plugins-watch: {config}: concurrency, per_host and max_bytes have to be positive\n"
        )
    );
    assert_eq!(
        broken(&["once"], &[("DATABASE_URL", "postgres//me:geheim@host")]),
        "workspace-plugins-watch: DATABASE_URL is not a URL of PostgreSQL\n"
    );
    assert_eq!(
        broken(&["status"], &[("PGDATABASE", "template1")]),
        "workspace-plugins-watch: the database has no extension pg_workspace_plugins\n"
    );
    let refused = broken(&["once"], &[("PGUSER", "postgres_is_not_me")]);
    assert!(refused.contains("does not exist (28000)"), "{refused}");
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = broken(&["watch", "--metrics", &port], &[]);
    assert!(refused.contains("Address already in use"), "{refused}");
}

#[test]
fn on_a_terminal_there_is_a_progress_bar_and_no_json() {
    let folder = folder();
    let fleet = fleet_of(&folder);
    let watcher = env!("CARGO_BIN_EXE_workspace-plugins-watch");
    let plain = fleet.watcher(&[]);
    let mut script = Command::new("script");
    script.args([
        "--quiet",
        "--return",
        "--command",
        &format!("{watcher} once"),
        "/dev/null",
    ]);
    for (name, value) in plain.get_envs() {
        script.env(name, value.unwrap());
    }
    let output = script.env("TERM", "xterm").output().unwrap();
    let (is_fine, shown) = outcome(&output);
    assert!(!is_fine, "{shown}");
    for words in [
        "gitea:o/r: nobody said where gitea:// is",
        ": 3 refs new, 0 gone, 1 updates queued",
        "1 looked at, 1 changed, 1 failed",
    ] {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
    assert!(!shown.contains("\"event\""), "{shown}");
}
