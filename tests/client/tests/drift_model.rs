//! Whatever is recorded, removed and observed, by whomever at the same time: the queue ends as a
//! naive model of drift computes it.
//!
//! `DRIFT_SEED=7` repeats one seed, `DRIFT_SEEDS=500` tries many.

use std::collections::BTreeMap;
use std::env;
use std::thread;
use std::time::SystemTime;

use client_tests::drift::{Reach, Statements, World, assert_as_modelled, tables_as_text};
use client_tests::{Cluster, assert_same, on_connections, outcome};
use postgres::Client;

const SEEDS: u64 = 4;
const SESSIONS: usize = 6;
const WORKSPACES: usize = 4;
/// The database goes on from round to round.
const ROUNDS: u64 = 4;
const STATEMENTS: usize = 40;

/// How statements may end: a workspace is not there, a new name is taken, and statements that one
/// transaction holds together wait for each other in a circle.
const POSSIBLE: [&str; 4] = ["ok", "23503", "23505", "40P01"];

/// Some tags of one of the repositories are too young at the end.
const MIN_RELEASE_AGE: &str = "INSERT INTO plugin_upstreams (upstream, fetch_url, min_release_age)
     VALUES ('github.com/o/b', 'https://github.com/O/b.git', '100 ms')";

fn seeds() -> Vec<u64> {
    let set = |name| env::var(name).ok().map(|text| text.parse().expect(name));
    match set("DRIFT_SEED") {
        Some(seed) => vec![seed],
        None => (0..set("DRIFT_SEEDS").unwrap_or(SEEDS)).collect(),
    }
}

fn cluster() -> Cluster {
    Cluster::start(&[("deadlock_timeout", "20ms")])
}

fn now(client: &mut Client) -> SystemTime {
    let now = "SELECT clock_timestamp()";
    client.query_one(now, &[]).unwrap().get(0)
}

fn detect(client: &mut Client, at: SystemTime) -> i64 {
    let detect = "SELECT detect_plugin_drift($1)";
    client.query_one(detect, &[&at]).unwrap().get(0)
}

#[test]
fn concurrent_sessions_then_detect() {
    let cluster = cluster();
    for seed in seeds() {
        let database = cluster.new_database();
        let mut client = cluster.connect(&database);
        let setup = Statements::new(seed, Reach::Tables, WORKSPACES).setup();
        client.batch_execute(&setup).unwrap();
        client.batch_execute(MIN_RELEASE_AGE).unwrap();
        let mut endings = BTreeMap::new();
        for round in 0..ROUNDS {
            run_round(&cluster, &database, seed, round, &mut endings);
            check_detect(&mut client, &format!("seed {seed}, round {round}"));
        }
        println!("seed {seed}: {endings:?}");
    }
}

fn run_round(
    cluster: &Cluster,
    database: &str,
    seed: u64,
    round: u64,
    endings: &mut BTreeMap<String, usize>,
) {
    let ended = on_connections(cluster, database, SESSIONS, |worker, client| {
        let seed = (seed * ROUNDS + round) * 1000 + worker as u64;
        let mut statements = Statements::new(seed, Reach::Tables, WORKSPACES);
        let run = |_| execute(client, &statements.any());
        (0..STATEMENTS).map(run).collect::<Vec<_>>()
    });
    for ending in ended.into_iter().flatten() {
        *endings.entry(ending).or_default() += 1;
    }
}

/// Runs a statement, or a transaction of some, and gives how it ended.
fn execute(client: &mut Client, statement: &str) -> String {
    let result = client.batch_execute(statement);
    let ended = outcome(&result);
    assert!(POSSIBLE.contains(&&*ended), "{result:?}: {statement}");
    if result.is_err() && statement.starts_with("BEGIN") {
        client.batch_execute("ROLLBACK").unwrap();
    }
    ended
}

fn check_detect(client: &mut Client, when: &str) {
    let at = now(client);
    detect(client, at);
    let world = World::read(client, at);
    assert_as_modelled(client, &world, when);
    check_idle(client, when);
    let before = tables_as_text(client);
    assert_eq!(detect(client, at), 0, "{when}: a second time");
    assert_same(tables_as_text(client), before, when);
}

/// What is tracked is looked at.
fn check_idle(client: &mut Client, when: &str) {
    let idle = "SELECT DISTINCT p.upstream FROM workspace_plugins AS p
         LEFT JOIN plugin_upstreams AS u USING (upstream)
         WHERE p.upstream IS NOT NULL AND p.tracked_ref <> 'none' AND p.tracked_ref NOT LIKE 'sha:%'
           AND COALESCE(u.next_check_at, 'infinity') = 'infinity'";
    let idle = client.query(idle, &[]).unwrap();
    let idle: Vec<String> = idle.iter().map(|row| row.get(0)).collect();
    assert!(idle.is_empty(), "{when}: nobody will look at {idle:?}");
}

/// One session that uses the functions only: the queue is right after each call.
#[test]
fn one_session_without_detect() {
    let cluster = cluster();
    for seed in seeds() {
        let database = cluster.new_database();
        let mut client = cluster.connect(&database);
        let mut statements = Statements::new(seed, Reach::Functions, WORKSPACES);
        client.batch_execute(&statements.setup()).unwrap();
        let mut done = Vec::new();
        for _ in 0..100 {
            done.push(statements.any());
            execute(&mut client, done.last().unwrap());
            let _trace = Trace(&done, seed);
            let at = now(&mut client);
            let world = World::read(&mut client, at);
            assert_as_modelled(&mut client, &world, &format!("seed {seed}"));
            check_idle(&mut client, &format!("seed {seed}"));
        }
    }
}

/// Shows, where a check fails, the statements that led there.
struct Trace<'a>(&'a [String], u64);

impl Drop for Trace<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("seed {}: {};", self.1, self.0.join(";\n"));
        }
    }
}
