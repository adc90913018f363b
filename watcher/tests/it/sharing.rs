//! Several watchers share the work, and none of it is lost or done twice.

use std::collections::BTreeMap;

use crate::support::faulty::{Faulty, Then};
use crate::support::process::wait_until;
use crate::support::servers::git_daemon;
use crate::support::{Fleet, Folder};

const REPOSITORIES: usize = 2_000;

/// All leases that were ever given, and how they ended.
const LEASES: &str = "
    CREATE TABLE leases (upstream text, token uuid, worker text, at timestamptz, until timestamptz,
                         ended_at timestamptz, PRIMARY KEY (upstream, token));
    CREATE FUNCTION note_lease() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF OLD.lease_token IS NOT NULL THEN
            UPDATE public.leases SET ended_at = clock_timestamp()
            WHERE upstream = OLD.upstream AND token = OLD.lease_token AND NEW.lease_token IS NULL;
        END IF;
        IF NEW.lease_token IS NOT NULL THEN
            INSERT INTO public.leases VALUES (NEW.upstream, NEW.lease_token, NEW.leased_by, clock_timestamp(), NEW.leased_until);
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER note_lease AFTER UPDATE OF lease_token ON plugin_upstreams FOR EACH ROW
        WHEN (NEW.lease_token IS DISTINCT FROM OLD.lease_token) EXECUTE FUNCTION note_lease();
    GRANT ALL ON leases TO PUBLIC";

const CONFIG: &str = "
    deadline = '10s'
    lease = '20s'
    poll = '1s'
    concurrency = 16
    per_host = 16
    [network]
    deny = []
";

#[test]
fn three_watchers_of_which_one_is_killed() {
    let folder = Folder::new();
    let repository = folder.create("r");
    let commit = repository.commit("main", "first");
    repository.lightweight("v1.0.0", &commit);
    folder.link(&repository, (0..REPOSITORIES).map(|n| format!("r{n}")));
    let git = git_daemon(folder.path());
    let fleet = Fleet::new();
    fleet.client().batch_execute(LEASES).unwrap();
    let sources = (0..REPOSITORIES).map(|n| format!("git://127.0.0.1:{}/r{n}.git", git.port));
    fleet.track(sources, "tag:latest");

    let watchers = ["one", "two", "three"].map(|name| fleet.watch(CONFIG, name));
    let observed = "SELECT count(*) FROM plugin_upstreams WHERE last_checked_at IS NOT NULL";
    wait_until("half is observed", || {
        fleet.number(observed) > REPOSITORIES / 2
    });
    watchers[0].signal("KILL");
    wait_until("all are observed", || {
        fleet.number(observed) == REPOSITORIES
    });
    let [_, two, three] = watchers;
    for watcher in [two, three] {
        watcher.signal("TERM");
        let (status, told) = watcher.end();
        assert!(status.success(), "{told}");
    }

    let mut client = fleet.client();
    let mut shares = BTreeMap::new();
    for row in client
        .query("SELECT worker, count(*) FROM leases GROUP BY 1", &[])
        .unwrap()
    {
        shares.insert(row.get::<_, String>(0), row.get::<_, i64>(1));
    }
    assert!(
        shares.len() == 3 && shares.values().all(|share| *share > 50),
        "{shares:?}"
    );
    // Whoever got one had to wait until the lease before had ended or run out.
    let twice = "SELECT count(*) FROM leases AS a JOIN leases AS b USING (upstream)
         WHERE a.at < b.at AND b.at < least(a.ended_at, a.until)";
    assert_eq!(fleet.number(twice), 0);
    // Nothing was looked at twice, but for what the killed one held.
    let again =
        "SELECT count(*) FROM (SELECT FROM leases GROUP BY upstream HAVING count(*) > 1) AS a";
    let held = "SELECT count(*) FROM leases WHERE worker = 'one' AND ended_at IS NULL";
    assert_eq!(fleet.number(again), fleet.number(held));
    assert!(fleet.number(held) > 0, "killed while it did nothing");
    assert_eq!(
        fleet.number("SELECT count(*) FROM plugin_upstreams WHERE failures > 0"),
        0
    );
    let log = fleet.cluster().log();
    assert!(!log.contains("deadlock"), "{log}");
}

#[test]
fn who_is_asked_to_stop_gives_back_what_it_holds() {
    let folder = Folder::new();
    folder.create("r").commit("main", "first");
    let git = git_daemon(folder.path());
    let stalled = Faulty::cut(git.port, 0, Then::Stall);
    let fleet = Fleet::new();
    let sources = (0..40).map(|n| format!("git://127.0.0.1:{}/r{n}.git", stalled.port));
    fleet.track(sources, "ref:main");
    let watcher = fleet.watch(
        "per_host = 4\nconcurrency = 16\n[network]\ndeny = []",
        "stopped",
    );
    let leased = "SELECT count(*) FROM plugin_upstreams WHERE leased_by = 'stopped'";
    wait_until("some are asked, and others wait", || {
        fleet.number(leased) > 4 && stalled.connections() == 4
    });
    watcher.signal("TERM");
    let (status, told) = watcher.end();
    assert!(status.success(), "{told}");
    assert_eq!(
        fleet.number("SELECT count(*) FROM plugin_upstreams WHERE leased_by IS NOT NULL"),
        0
    );
    assert_eq!(
        fleet.number("SELECT count(*) FROM plugin_upstreams WHERE failures > 0"),
        0
    );
    assert!(
        told.contains(r#""event":"stopping""#) && told.contains(r#""released":"#),
        "{told}"
    );
}

#[test]
fn a_slow_host_does_not_take_the_place_of_others() {
    let folder = Folder::new();
    let repository = folder.create("r");
    repository.commit("main", "first");
    folder.link(&repository, (0..200).map(|n| format!("r{n}")));
    let git = git_daemon(folder.path());
    let stalled = Faulty::cut(git.port, 0, Then::Stall);
    let fleet = Fleet::new();
    // The slow ones are due first, and many.
    fleet.track(
        (0..500).map(|n| format!("git://127.0.0.1:{}/r{n}.git", stalled.port)),
        "ref:main",
    );
    fleet.track(
        (0..200).map(|n| format!("git://127.0.0.1:{}/r{n}.git", git.port)),
        "ref:main",
    );
    let watcher = fleet.watch(
        "per_host = 4\nconcurrency = 8\n[network]\ndeny = []",
        "patient",
    );
    let observed = "SELECT count(*) FROM plugin_upstreams WHERE last_checked_at IS NOT NULL";
    wait_until("all others are observed", || fleet.number(observed) == 200);
    // Within the first deadline of the slow ones.
    assert!(fleet.errors().is_empty());
    watcher.signal("TERM");
    watcher.end();
}
