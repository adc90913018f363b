//! Many sessions that observe, record and remove at the same time: without any detection, what waits
//! is what is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, SystemTime};

use client_tests::drift::{Reach, Statements, World, assert_as_modelled};
use client_tests::{Cluster, assert_same, new_id, on_connections, outcome, register};
use postgres::Client;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, rng};
use serde_json::{Value, json};
use uuid::Uuid;

const UPSTREAMS: usize = 3;
/// Removing a plugin, or recording it from another repository, locks the install before the
/// repository that it came from: one call in so many may be ended for that.
const CIRCLES: usize = 25;
const TRACKS: [&str; 6] = [
    "tag:latest",
    "tag:^1",
    "tag:v1.0.0",
    "ref:main",
    "sha:0000000000000000000000000000000000000001",
    "none",
];

fn cluster() -> Cluster {
    Cluster::start(&[("deadlock_timeout", "20ms"), ("max_connections", "60")])
}

fn check(client: &mut Client, when: &str) {
    let now: SystemTime = client
        .query_one("SELECT clock_timestamp()", &[])
        .unwrap()
        .get(0);
    let world = World::read(client, now);
    assert_as_modelled(client, &world, when);
}

/// Every call succeeded, or found its workspace missing. At most one in `circles` may have been chosen
/// to end a circle of waiting sessions.
fn check_outcomes(cluster: &Cluster, outcomes: Vec<Vec<String>>, circles: usize, when: &str) {
    let mut counts = BTreeMap::<_, usize>::new();
    for outcome in outcomes.into_iter().flatten() {
        *counts.entry(outcome).or_default() += 1;
    }
    println!("{when}: {counts:?}");
    let all: usize = counts.values().sum();
    let deadlocks = counts.remove("40P01").unwrap_or_default();
    let text = cluster.deadlocks();
    assert!(
        deadlocks <= all.checked_div(circles).unwrap_or(0),
        "{when}: {deadlocks} of {all}\n{text}"
    );
    let is_possible = |outcome: &String| ["ok", "23503"].contains(&&**outcome);
    assert!(counts.keys().all(is_possible), "{when}: {counts:?}");
}

/// What the sessions work on. Every observation has a release that none before it had.
struct Fleet {
    workspaces: Vec<Uuid>,
    releases: AtomicU32,
    /// Whether a plugin may be recorded from another repository than before.
    moves: bool,
}

impl Fleet {
    fn observe(&self, client: &mut Client, upstream: usize) -> String {
        let newest = self.releases.fetch_add(1, Ordering::SeqCst) + 1;
        let mut refs: BTreeMap<_, _> = (newest.saturating_sub(8)..=newest)
            .map(|release| (format!("refs/tags/v1.{release}.0"), sha(release)))
            .collect();
        refs.insert("refs/tags/v1.0.0".to_owned(), sha(newest / 50));
        refs.insert("refs/heads/main".to_owned(), sha(newest));
        let call = "SELECT observe_plugin_upstream($1, $2, clock_timestamp(), true)";
        outcome(&client.execute(call, &[&name(upstream), &json!(refs)]))
    }

    fn observe_ref(&self, client: &mut Client, upstream: usize) -> String {
        let newest = self.releases.fetch_add(1, Ordering::SeqCst) + 1;
        let call = "SELECT observe_plugin_ref($1, $2, $3)";
        let tag = format!("refs/tags/v1.{newest}.0");
        outcome(&client.execute(call, &[&name(upstream), &tag, &sha(newest)]))
    }

    fn record_batch(&self, client: &mut Client) -> String {
        let mut installs: Vec<_> = (0..60).map(|_| self.install()).collect();
        installs.shuffle(&mut rng());
        let call = "SELECT record_workspace_plugin_installs($1)";
        outcome(&client.execute(call, &[&Value::from(installs)]))
    }

    fn record(&self, client: &mut Client) -> String {
        let install = self.install();
        let call = "SELECT record_workspace_plugin_install(($1::jsonb->>'workspace_id')::uuid,
             $1->>'plugin_name', $1->>'source_raw', $1->>'track', $1->>'installed_sha')";
        outcome(&client.execute(call, &[&install]))
    }

    fn install(&self) -> Value {
        let newest = self.releases.load(Ordering::SeqCst);
        let plugin = rng().random_range(0..4);
        let moved = if self.moves {
            rng().random_range(0..UPSTREAMS)
        } else {
            0
        };
        json!({
            "workspace_id": self.workspace().to_string(),
            "plugin_name": format!("p{plugin}"),
            "source_raw": format!("https://{}.git", name((plugin + moved) % UPSTREAMS)),
            "track": TRACKS.choose(&mut rng()),
            "installed_sha": sha(rng().random_range(newest.saturating_sub(3)..=newest)),
        })
    }

    fn remove(&self, client: &mut Client) -> String {
        let plugin = format!("p{}", rng().random_range(0..4));
        let call = "SELECT remove_workspace_plugin($1, $2)";
        outcome(&client.execute(call, &[&self.workspace(), &plugin]))
    }

    fn come_and_go(&self, client: &mut Client) -> String {
        let workspace = self.workspace();
        let result = client.execute("SELECT unregister_plugin_workspace($1)", &[&workspace]);
        register(client, workspace);
        outcome(&result)
    }

    fn workspace(&self) -> Uuid {
        *self.workspaces.choose(&mut rng()).unwrap()
    }
}

fn name(upstream: usize) -> String {
    format!("host.example/o/r{upstream}")
}

fn sha(n: u32) -> String {
    format!("{n:040}")
}

fn dismiss(client: &mut Client) -> String {
    let one =
        "SELECT id FROM plugin_update_queue WHERE status = 'pending' ORDER BY random() LIMIT 1";
    match client.query_opt(one, &[]).unwrap() {
        None => "ok".to_owned(),
        Some(row) => {
            let call = "SELECT dismiss_plugin_update($1, 'not now')";
            outcome(&client.execute(call, &[&row.get::<_, Uuid>(0)]))
        }
    }
}

/// Runs 18 sessions, each of which does its part so many times. Then what waits is what is wanted.
fn run_fleet(
    moves: bool,
    turns: usize,
    part: impl Fn(&Fleet, &mut Client, usize, usize) -> String + Sync,
    circles: usize,
) {
    let cluster = cluster();
    let database = cluster.new_database();
    let mut client = cluster.connect(&database);
    let fleet = Fleet {
        workspaces: (0..25).map(|_| new_id()).collect(),
        releases: AtomicU32::new(100),
        moves,
    };
    for workspace in &fleet.workspaces {
        register(&mut client, *workspace);
    }
    fleet.record_batch(&mut client);
    let outcomes = on_connections(&cluster, &database, 18, |worker, client| {
        let work = |turn| part(&fleet, client, worker, turn);
        (0..turns).map(work).collect::<Vec<_>>()
    });
    check_outcomes(&cluster, outcomes, circles, "quiet");
    check(&mut client, "quiet");
}

#[test]
fn the_same_and_different_upstreams_while_installs_are_recorded() {
    let part = |fleet: &Fleet, client: &mut Client, worker, turn| match worker {
        0..4 => fleet.observe(client, 0),
        4..8 => fleet.observe(client, (worker + turn) % UPSTREAMS),
        8 => fleet.observe_ref(client, turn % UPSTREAMS),
        9..13 => fleet.record_batch(client),
        13..17 => fleet.record(client),
        _ => dismiss(client),
    };
    run_fleet(false, 20, part, 0);
}

#[test]
fn the_same_and_different_upstreams_while_installs_come_and_go() {
    let part = |fleet: &Fleet, client: &mut Client, worker, turn| match worker {
        0..4 => fleet.observe(client, 0),
        4..8 => fleet.observe(client, (worker + turn) % UPSTREAMS),
        8 => fleet.observe_ref(client, turn % UPSTREAMS),
        9..12 => fleet.record_batch(client),
        12..15 => fleet.record(client),
        15 => fleet.remove(client),
        16 => fleet.come_and_go(client),
        _ => dismiss(client),
    };
    run_fleet(true, 20, part, CIRCLES);
}

/// All functions, also several in one transaction, over an alphabet so small that they often meet.
#[test]
fn random_calls() {
    let cluster = cluster();
    for round in 0..4 {
        let database = cluster.new_database();
        let mut client = cluster.connect(&database);
        let setup = Statements::new(0, Reach::Functions, 3).setup();
        client.batch_execute(&setup).unwrap();
        let outcomes = on_connections(&cluster, &database, 8, |worker, client| {
            let seed = round * 100 + worker as u64;
            let mut statements = Statements::new(seed, Reach::Functions, 3);
            let call = |_| outcome(&client.batch_execute(&statements.single()));
            (0..50).map(call).collect::<Vec<_>>()
        });
        let when = format!("round {round}");
        check_outcomes(&cluster, outcomes, CIRCLES, &when);
        check(&mut client, &when);
    }
}

/// One install of the first repository, which `main` of is at release 1, and so has a pending update.
fn one_install(client: &mut Client) -> Uuid {
    let workspace = new_id();
    register(client, workspace);
    let record = "SELECT record_workspace_plugin_install($1, 'p', 'https://host.example/o/r0', 'ref:main', $2)";
    client.execute(record, &[&workspace, &sha(0)]).unwrap();
    client.batch_execute(&observe_main(1)).unwrap();
    workspace
}

fn observe_main(release: u32) -> String {
    let refs = json!({"refs/heads/main": sha(release), "refs/tags/v1.0.0": sha(release)});
    format!("SELECT observe_plugin_upstream('host.example/o/r0', '{refs}')")
}

/// Runs `statement` while an observation that supersedes the update has yet to commit.
fn during_an_observation(statement: impl Fn(Uuid) -> String + Sync) {
    let cluster = Cluster::shared();
    let database = cluster.new_database();
    let mut observer = cluster.connect(&database);
    let workspace = one_install(&mut observer);
    observer.batch_execute("BEGIN").unwrap();
    observer.batch_execute(&observe_main(2)).unwrap();
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut client = cluster.connect(&database);
            client.batch_execute(&statement(workspace)).unwrap();
        });
        wait_until_blocked(&cluster, &database, || other.is_finished());
        observer.batch_execute("COMMIT").unwrap();
    });
    check(&mut observer, &statement(workspace));
}

/// Waits until a session of the database waits for another, or has done without.
fn wait_until_blocked(cluster: &Cluster, database: &str, is_done: impl Fn() -> bool) {
    let blocked = "SELECT EXISTS (SELECT FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock')";
    let mut client = cluster.connect(database);
    while !is_done() && !client.query_one(blocked, &[]).unwrap().get::<_, bool>(0) {
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn removed_while_observed() {
    during_an_observation(|w| format!("SELECT remove_workspace_plugin('{w}', 'p')"));
}

#[test]
fn workspace_unregistered_while_observed() {
    during_an_observation(|w| format!("SELECT unregister_plugin_workspace('{w}')"));
}

#[test]
fn dismissed_while_observed() {
    during_an_observation(|_| {
        "SELECT dismiss_plugin_update(id, 'no') FROM plugin_update_queue WHERE status = 'pending'"
            .to_owned()
    });
}

#[test]
fn installed_from_elsewhere_while_observed() {
    for track in [
        format!("sha:{}", sha(7)),
        "ref:main".to_owned(),
        "none".to_owned(),
    ] {
        during_an_observation(|w| {
            format!(
                "SELECT record_workspace_plugin_install('{w}', 'p', 'https://host.example/o/r1', '{track}', '{}')",
                sha(0)
            )
        });
    }
}

#[test]
fn recorded_again_while_observed() {
    for release in 0..=2 {
        during_an_observation(|w| {
            format!(
                "SELECT record_workspace_plugin_install('{w}', 'p', 'https://host.example/o/r0', 'ref:main', '{}')",
                sha(release)
            )
        });
        during_an_observation(|w| {
            format!(
                r#"SELECT record_workspace_plugin_installs('[{{"workspace_id": "{w}", "plugin_name": "p",
                     "source_raw": "https://host.example/o/r0", "track": "ref:main", "installed_sha": "{}"}}]')"#,
                sha(release)
            )
        });
    }
}

/// A new subscription of a repository that is being observed: its target is of that observation.
#[test]
fn subscribed_while_observed() {
    during_an_observation(|w| {
        format!(
            "SELECT record_workspace_plugin_install('{w}', 'new', 'https://host.example/o/r0', 'ref:refs/heads/main', '{}')",
            sha(0)
        )
    });
    during_an_observation(|w| {
        format!(
            "SELECT record_workspace_plugin_install('{w}', 'new', 'https://host.example/o/r0', 'tag:latest', '{}')",
            sha(0)
        )
    });
}

const REPOSITORIES: usize = 500;
const WORKERS: usize = 16;

/// What a worker was handed out: repositories and tokens.
type Claimed = Vec<(String, Uuid)>;

/// Claims at a time until there is nothing to claim.
fn claim_all(client: &mut Client, worker: usize, at: &str) -> Claimed {
    let call = "SELECT upstream, claim_token
         FROM claim_plugin_upstreams($1, $2, '5 minutes', '{}', clock_timestamp() + $3::text::interval)";
    let mut claimed = Claimed::new();
    loop {
        let count = rng().random_range(1..=9);
        let rows = client
            .query(call, &[&format!("worker {worker}"), &count, &at])
            .unwrap();
        if rows.is_empty() {
            return claimed;
        }
        claimed.extend(rows.iter().map(|row| (row.get(0), row.get(1))));
    }
}

/// What all workers together were handed out: each repository once.
fn claimed_once(cluster: &Cluster, database: &str, at: &str, expected: usize) -> Vec<Claimed> {
    let claimed = on_connections(cluster, database, WORKERS, |worker, client| {
        claim_all(client, worker, at)
    });
    let all = || claimed.iter().flatten();
    assert_eq!(all().count(), expected, "at {at}");
    let upstreams: BTreeSet<_> = all().map(|(upstream, _)| upstream).collect();
    let tokens: BTreeSet<_> = all().map(|(_, token)| token).collect();
    assert_eq!([upstreams.len(), tokens.len()], [expected; 2], "at {at}");
    claimed
}

#[test]
fn repositories_are_handed_out_once_a_lease() {
    let cluster = cluster();
    let database = cluster.new_database();
    let mut client = cluster.connect(&database);
    let workspace = new_id();
    register(&mut client, workspace);
    let installs: Vec<_> = (0..REPOSITORIES)
        .map(|n| {
            json!({
                "workspace_id": workspace.to_string(), "plugin_name": format!("p{n}"),
                "source_raw": format!("https://host.example/o/r{n}"), "track": "tag:latest",
            })
        })
        .collect();
    let record = "SELECT record_workspace_plugin_installs($1)";
    client.execute(record, &[&Value::from(installs)]).unwrap();

    let first = claimed_once(&cluster, &database, "0", REPOSITORIES);
    claimed_once(&cluster, &database, "4 minutes", 0);
    let second = claimed_once(&cluster, &database, "6 minutes", REPOSITORIES);
    // Who lost its lease can no longer report; who has it can, once.
    assert_eq!(
        reported(&mut client, &first),
        [("stale".to_owned(), REPOSITORIES)].into()
    );
    assert_eq!(
        reported(&mut client, &second),
        [("reported".to_owned(), REPOSITORIES)].into()
    );
    assert_eq!(
        reported(&mut client, &second),
        [("stale".to_owned(), REPOSITORIES)].into()
    );
    let errors = "SELECT upstream FROM plugin_upstreams WHERE failures = 1 AND lease_token IS NULL";
    let failed = client.query(errors, &[]).unwrap();
    let failed = failed.iter().map(|row| row.get::<_, String>(0));
    assert_same(failed, (0..REPOSITORIES).map(name), "failed");
}

fn reported(client: &mut Client, claimed: &[Claimed]) -> BTreeMap<String, usize> {
    let report = "SELECT report_plugin_upstream_error($1, $2, 'timed out')";
    let report = client.prepare(report).unwrap();
    let mut answers = BTreeMap::new();
    for (upstream, token) in claimed.iter().flatten() {
        let answer = client.query_one(&report, &[upstream, token]).unwrap();
        *answers.entry(answer.get(0)).or_default() += 1;
    }
    answers
}
