//! Limits and lanes while many claim at the same time: no limit is exceeded, none is missed, a release
//! that fails too often is paused, and what waits behind closed lanes costs nothing.

use std::fs;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use client_tests::{Cluster, on_connections, outcome};
use postgres::{Client, Error, IsolationLevel, Transaction};
use rand::{RngExt, rng};
use serde_json::Value;
use uuid::Uuid;

const SESSIONS: usize = 16;
const LEVELS: [IsolationLevel; 3] = [
    IsolationLevel::ReadCommitted,
    IsolationLevel::RepeatableRead,
    IsolationLevel::Serializable,
];
/// When all begins; what comes after is told in seconds from then.
const BASE: &str = "2020-01-01 00:00+00";

/// Registers workspaces in a tier, with a plugin of each upstream that is to be updated.
const FLEET: &str = "WITH w AS (
         SELECT (register_plugin_workspace(gen_random_uuid(), $1)).workspace_id FROM generate_series(1, $2::bigint))
     SELECT record_workspace_plugin_installs(jsonb_agg(jsonb_build_object(
         'workspace_id', workspace_id, 'plugin_name', 'p' || u, 'source_raw', 'https://host.example/o/r' || u,
         'track', 'ref:main', 'installed_sha', repeat('1', 40))))
     FROM w, unnest($3::bigint[]) AS u";
const OBSERVE: &str = "SELECT (observe_plugin_upstream('host.example/o/r' || u,
         jsonb_build_object('refs/heads/main', repeat('2', 40)), $2::text::timestamptz)).outcome
     FROM unnest($1::bigint[]) AS u";

fn fleet(client: &mut Client, tier: Option<&str>, workspaces: i64, upstreams: &[i64]) {
    client
        .query_one(FLEET, &[&tier, &workspaces, &upstreams])
        .unwrap();
}

fn observe(client: &mut Client, upstreams: &[i64]) {
    client.query(OBSERVE, &[&upstreams, &BASE]).unwrap();
}

fn begin(client: &mut Client, level: IsolationLevel) -> Result<Transaction<'_>, Error> {
    client.build_transaction().isolation_level(level).start()
}

/// Claims some, in a transaction that has looked around before. Gives how many.
fn claim(
    client: &mut Client,
    level: IsolationLevel,
    updates: i32,
    seconds: f64,
) -> Result<usize, Error> {
    let mut transaction = begin(client, level)?;
    transaction.query("SELECT count(*) FROM rollout_tiers", &[])?;
    let call = "SELECT id FROM claim_plugin_updates('w', $1, '1 day', $2::text::timestamptz + $3 * interval '1 s')";
    let claimed = transaction.query(call, &[&updates, &BASE, &seconds])?.len();
    // Others are to meet it.
    if rng().random_bool(0.3) {
        sleep(Duration::from_millis(rng().random_range(0..5)));
    }
    transaction.commit()?;
    Ok(claimed)
}

/// Again and again, while the server refuses it for the sake of others.
fn insist<T>(refused: &AtomicUsize, mut act: impl FnMut() -> Result<T, Error>) -> T {
    loop {
        let result = act();
        match &*outcome(&result) {
            "ok" => return result.unwrap(),
            "40001" => refused.fetch_add(1, Ordering::Relaxed),
            other => panic!("{other}: {:?}", result.err()),
        };
    }
}

/// What all sessions together get, who claim until they get nothing.
fn claim_all(cluster: &Cluster, database: &str, level: IsolationLevel, seconds: f64) -> usize {
    let refused = AtomicUsize::new(0);
    let claimed = on_connections(cluster, database, SESSIONS, |_, client| {
        let mut all = 0;
        loop {
            let (updates, later) = (rng().random_range(1..=4), rng().random_range(0.0..1.0));
            let claimed = insist(&refused, || claim(client, level, updates, seconds + later));
            if claimed == 0 {
                return all;
            }
            all += claimed;
        }
    });
    println!("{level:?} at {seconds}: {claimed:?}, {refused:?} refused");
    claimed.into_iter().sum()
}

#[test]
fn no_more_and_no_fewer_are_started_than_may_be() {
    let cluster = Cluster::shared();
    let limits = [
        "INSERT INTO plugin_update_policy (max_starts, starts_interval) VALUES (25, '10 minutes')",
        "UPDATE rollout_tiers SET max_starts = 25, starts_interval = '10 minutes'",
        // The lower one holds.
        "INSERT INTO plugin_update_policy (max_starts, starts_interval) VALUES (25, '10 minutes');
         UPDATE rollout_tiers SET max_starts = 40, starts_interval = '10 minutes'",
    ];
    for level in LEVELS {
        for limits in limits {
            let database = cluster.new_database();
            let mut client = cluster.connect(&database);
            client
                .batch_execute("INSERT INTO rollout_tiers (tier, position) VALUES ('t', 1)")
                .unwrap();
            client.batch_execute(limits).unwrap();
            // Of several releases.
            fleet(&mut client, Some("t"), 20, &[1, 2, 3, 4, 5]);
            observe(&mut client, &[1, 2, 3, 4, 5]);
            let windows = [
                (1.0, 25),
                (300.0, 0),
                (598.0, 0),
                (602.0, 25),
                (700.0, 0),
                (1203.0, 25),
            ];
            for (seconds, expected) in windows {
                let claimed = claim_all(&cluster, &database, level, seconds);
                assert_eq!(claimed, expected, "{level:?} at {seconds}: {limits}");
            }
        }
    }
}

/// Ends what the session has claimed, each way by turns.
const END: &str = "SELECT CASE WHEN n % 3 = 0 THEN fail_plugin_update(id, claim_token, 'no luck')
         ELSE complete_plugin_update(id, claim_token, target_sha, n % 3 = 1) END
     FROM (SELECT *, row_number() OVER () AS n FROM plugin_update_queue
           WHERE status = 'claimed' AND claimed_by = $1 ORDER BY workspace_id, plugin_name) AS q";

#[test]
fn no_more_are_under_way_than_may_be() {
    let cluster = Cluster::shared();
    let limits = [
        ("UPDATE plugin_update_policy SET max_in_flight = 7", 7),
        ("UPDATE rollout_tiers SET max_in_flight = 7", 7),
        ("UPDATE plugin_update_policy SET max_in_flight = 1", 1),
    ];
    for level in LEVELS {
        for (limits, limit) in limits {
            let database = cluster.new_database();
            let mut client = cluster.connect(&database);
            client
                .batch_execute(
                    "INSERT INTO rollout_tiers (tier, position, max_failure_percent) VALUES ('t', 1, NULL);
                     INSERT INTO plugin_update_policy (retry_delay, defer_delay) VALUES ('1 ms', '1 ms')",
                )
                .unwrap();
            client.batch_execute(limits).unwrap();
            fleet(&mut client, Some("t"), 30, &[1, 2, 3, 4, 5]);
            observe(&mut client, &[1, 2, 3, 4, 5]);
            let most = most_under_way(&cluster, &database, level);
            assert_eq!(most, limit, "{level:?}: {limits}");
        }
    }
}

/// The most that anybody sees while all sessions claim and report.
fn most_under_way(cluster: &Cluster, database: &str, level: IsolationLevel) -> i64 {
    let is_done = AtomicBool::new(false);
    let refused = AtomicUsize::new(0);
    thread::scope(|scope| {
        let observer = scope.spawn(|| {
            let mut client = cluster.connect(database);
            let count = "SELECT count(*) FROM plugin_update_queue WHERE status = 'claimed'";
            let count = client.prepare(count).unwrap();
            let mut most = 0;
            while !is_done.load(Ordering::SeqCst) {
                most = client
                    .query_one(&count, &[])
                    .unwrap()
                    .get::<_, i64>(0)
                    .max(most);
            }
            most
        });
        let until = Instant::now() + Duration::from_millis(1500);
        on_connections(cluster, database, SESSIONS, |n, client| {
            let name = format!("worker {n}");
            let call = "SELECT FROM claim_plugin_updates($1, $2)";
            while Instant::now() < until {
                let updates = rng().random_range(1..=4);
                insist(&refused, || {
                    let mut transaction = begin(client, level)?;
                    transaction.query("SELECT count(*) FROM rollout_tiers", &[])?;
                    transaction.query(call, &[&name, &updates])?;
                    transaction.commit()
                });
                client.query(END, &[&name]).unwrap();
            }
        });
        is_done.store(true, Ordering::SeqCst);
        let most = observer.join().unwrap();
        println!("{level:?}: at most {most}, {refused:?} refused");
        most
    })
}

/// How many updates, how many percent may fail, how many fail, and whether those are too many.
const FAILURES: [(i64, Option<i32>, usize, bool); 9] = [
    (10, Some(10), 2, true),
    (10, Some(10), 1, false),
    (20, Some(10), 3, true),
    (20, Some(10), 2, false),
    (10, Some(0), 1, true),
    (10, Some(0), 2, true),
    (10, None, 5, false),
    (3, Some(33), 1, true),
    (3, Some(34), 1, false),
];

#[test]
fn failures_reported_at_once_are_counted_together() {
    failures(IsolationLevel::ReadCommitted);
}

#[test]
fn failures_reported_at_once_in_old_snapshots_are_counted_together() {
    failures(IsolationLevel::RepeatableRead);
}

fn failures(level: IsolationLevel) {
    let cluster = Cluster::shared();
    for tier in [Some("t"), None] {
        let database = cluster.new_database();
        let mut client = cluster.connect(&database);
        let mut upstream = 0;
        for (updates, percent, failures, is_too_many) in FAILURES {
            client
                .batch_execute("DELETE FROM plugin_update_policy; DELETE FROM rollout_tiers")
                .unwrap();
            let set = match tier {
                Some(_) => {
                    "INSERT INTO rollout_tiers (tier, position, max_failure_percent) VALUES ('t', 1, $1)"
                }
                None => "INSERT INTO plugin_update_policy (max_failure_percent) VALUES ($1)",
            };
            client.execute(set, &[&percent]).unwrap();
            for round in 0..4 {
                upstream += 1;
                fleet(&mut client, tier, updates, &[upstream]);
                observe(&mut client, &[upstream]);
                fail_at_once(&cluster, &database, level, upstream, failures);
                let state = "SELECT state FROM plugin_rollouts WHERE upstream = $1";
                let name = format!("host.example/o/r{upstream}");
                let state: String = client.query_one(state, &[&name]).unwrap().get(0);
                let expected = if is_too_many { "paused" } else { "active" };
                assert_eq!(
                    state, expected,
                    "{level:?}, round {round}: {failures} of {updates} failed in {tier:?}, {percent:?} percent may"
                );
            }
        }
    }
}

/// All updates are under way. Some fail, the others are applied, each reported by a session of its own
/// at the same time.
fn fail_at_once(
    cluster: &Cluster,
    database: &str,
    level: IsolationLevel,
    upstream: i64,
    failures: usize,
) {
    let claim = "SELECT id, claim_token, target_sha FROM claim_plugin_updates('w', 100)
         WHERE upstream = 'host.example/o/r' || $1::bigint";
    let mut client = cluster.connect(database);
    let claimed: Vec<(Uuid, Uuid, String)> = client
        .query(claim, &[&upstream])
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    let sessions = claimed.len().min(failures + 3);
    let ready = Barrier::new(sessions);
    let refused = AtomicUsize::new(0);
    on_connections(cluster, database, sessions, |n, client| {
        let (id, token, sha) = &claimed[n];
        let mut is_first = true;
        insist(&refused, || {
            let mut transaction = begin(client, level)?;
            transaction.query("SELECT count(*) FROM plugin_rollouts", &[])?;
            if std::mem::take(&mut is_first) {
                ready.wait();
            }
            let answer: String = if n >= failures {
                let call = "SELECT complete_plugin_update($1, $2, $3)";
                transaction.query_one(call, &[id, token, sha])?.get(0)
            } else if n.is_multiple_of(2) {
                let call = "SELECT fail_plugin_update($1, $2, 'no luck', false)";
                transaction.query_one(call, &[id, token])?.get(0)
            } else {
                let call = "SELECT outcome FROM fail_plugin_updates(ARRAY[$1::uuid], ARRAY[$2::uuid], ARRAY['no luck'::text], ARRAY[false])";
                transaction.query_one(call, &[id, token])?.get(0)
            };
            let expected = if n >= failures { "applied" } else { "failed" };
            assert_eq!(answer, expected);
            transaction.commit()
        });
    });
}

/// Two updates of ten are not reported before their leases end, which several find out at once.
#[test]
fn leases_that_end_at_once_are_counted_together() {
    let cluster = Cluster::shared();
    let database = cluster.new_database();
    let mut client = cluster.connect(&database);
    client
        .batch_execute(
            "INSERT INTO rollout_tiers (tier, position, max_failure_percent) VALUES ('t', 1, 10);
             INSERT INTO plugin_update_policy (max_attempts) VALUES (1)",
        )
        .unwrap();
    for (upstream, lost) in [(1, 2), (2, 1), (3, 2), (4_i64, 1_i64)] {
        fleet(&mut client, Some("t"), 10, &[upstream]);
        observe(&mut client, &[upstream]);
        let claim = "SELECT FROM claim_plugin_updates('w', 100, '1 minute', $1::text::timestamptz)";
        assert_eq!(client.query(claim, &[&BASE]).unwrap().len(), 10);
        let extend = "SELECT extend_plugin_update(id, claim_token, '1 hour', $1::text::timestamptz) FROM (
                 SELECT id, claim_token FROM plugin_update_queue WHERE status = 'claimed' OFFSET $2) AS q";
        client.query(extend, &[&BASE, &lost]).unwrap();
        claim_all(&cluster, &database, IsolationLevel::ReadCommitted, 120.0);
        let state =
            "SELECT state FROM plugin_rollouts WHERE upstream = 'host.example/o/r' || $1::bigint";
        let state: String = client.query_one(state, &[&upstream]).unwrap().get(0);
        assert_eq!(state, if lost > 1 { "paused" } else { "active" });
        let end = "SELECT complete_plugin_update(id, claim_token, target_sha) FROM plugin_update_queue WHERE status = 'claimed'";
        client.query(end, &[]).unwrap();
    }
}

/// What was reported in one call, or moved with its workspace, is due at different times.
#[test]
fn what_is_due_at_different_times_is_handed_out_again() {
    let cluster = Cluster::shared();
    let fail = "SELECT fail_plugin_updates(array_agg(id), array_agg(claim_token), array_agg('no luck'::text),
             NULL, $1::text::timestamptz)
         FROM (SELECT * FROM plugin_update_queue WHERE status = 'claimed' ORDER BY random()) AS q";
    let later = "UPDATE plugin_update_queue SET due_at = $1::text::timestamptz + random() * interval '1 hour'
         WHERE status = 'pending'";
    let move_all = "UPDATE plugin_workspaces SET rollout_tier = NULL";
    for is_moved in [false, true] {
        let database = cluster.new_database();
        let mut client = cluster.connect(&database);
        client
            .batch_execute("INSERT INTO rollout_tiers (tier, position) VALUES ('t', 1)")
            .unwrap();
        fleet(&mut client, Some("t"), 1, &(1..=20).collect::<Vec<_>>());
        fleet(&mut client, Some("t"), 20, &[21]);
        observe(&mut client, &(1..=21).collect::<Vec<_>>());
        let all = |client: &mut Client, seconds| claim(client, LEVELS[0], 100, seconds).unwrap();
        // Nothing is left, so that the lanes are at rest.
        assert_eq!(all(&mut client, 1.0), 40);
        client.query(fail, &[&BASE]).unwrap();
        if is_moved {
            client.execute(later, &[&BASE]).unwrap();
            client.execute(move_all, &[]).unwrap();
        }
        assert_eq!(all(&mut client, 7200.0), 40, "moved: {is_moved}");
    }
}

/// Pages that a statement touches.
fn pages(client: &mut Client, statement: &str) -> i64 {
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}");
    let plan: Value = client.query_one(&explain, &[]).unwrap().get(0);
    let pages = |kind| plan[0]["Plan"][kind].as_i64().unwrap();
    pages("Shared Hit Blocks") + pages("Shared Read Blocks")
}

/// What claims touch.
#[derive(Debug)]
struct Cost {
    /// Of the first 200 of 1000 updates that may be handed out, one by one.
    ones: i64,
    /// Of the next 200, by hundreds, and of the last 200.
    first_hundreds: i64,
    last_hundreds: i64,
    /// When there is nothing left.
    idle: i64,
}

impl Cost {
    fn measure(client: &mut Client) -> Self {
        let mut claim = |updates: i32, calls: i64| {
            let call = format!(
                "SELECT * FROM claim_plugin_updates('w', {updates}, '1 day', '{BASE}'::timestamptz + interval '1 s')"
            );
            (0..calls).map(|_| pages(client, &call)).sum()
        };
        let ones = claim(1, 200);
        let first_hundreds = claim(100, 2);
        claim(100, 4);
        let last_hundreds = claim(100, 2);
        let idle = claim(100, 5);
        let claimed = "SELECT count(*) FROM plugin_update_queue WHERE status = 'claimed'";
        let claimed: i64 = client.query_one(claimed, &[]).unwrap().get(0);
        assert_eq!(claimed, 1000);
        Self {
            ones,
            first_hundreds,
            last_hundreds,
            idle,
        }
    }
}

fn assert_about(found: i64, expected: i64, what: &str) {
    assert!(
        2 * found <= 3 * expected,
        "{what}: {found} pages instead of {expected}"
    );
}

/// Of 1000 updates that may be handed out, in ten lanes; others wait behind them, and in releases that
/// are paused.
fn cost_with(cluster: &Cluster, backlog: i64, is_analyzed: bool) -> Cost {
    let database = cluster.new_database();
    let mut client = cluster.connect(&database);
    client
        .batch_execute("INSERT INTO rollout_tiers (tier, position, bake) VALUES ('canary', 1, '1 h'), ('early', 2, '1 h')")
        .unwrap();
    let open: Vec<i64> = (1..=10).collect();
    let paused: Vec<i64> = (11..=20).collect();
    fleet(&mut client, Some("canary"), 100, &open);
    if backlog > 0 {
        fleet(&mut client, Some("early"), backlog / 40, &open);
        fleet(&mut client, None, backlog / 40, &open);
        fleet(&mut client, Some("canary"), backlog / 20, &paused);
    }
    observe(&mut client, &open);
    observe(&mut client, &paused);
    let pause = "SELECT pause_plugin_rollout('host.example/o/r' || u, repeat('2', 40)) FROM unnest($1::bigint[]) AS u";
    client.query(pause, &[&paused]).unwrap();
    let waiting = "SELECT count(*) FROM plugin_update_queue WHERE status = 'pending'";
    let waiting: i64 = client.query_one(waiting, &[]).unwrap().get(0);
    assert_eq!(waiting, 1000 + backlog);
    if is_analyzed {
        client.batch_execute("ANALYZE").unwrap();
    }
    // The same lanes are looked after each time.
    client.batch_execute("SELECT setseed(0.5)").unwrap();
    Cost::measure(&mut client)
}

#[test]
fn what_waits_behind_closed_lanes_costs_nothing() {
    let cluster = Cluster::shared();
    for is_analyzed in [false, true] {
        let cost = [0, 400, 100_000].map(|backlog| cost_with(&cluster, backlog, is_analyzed));
        println!("analyzed: {is_analyzed}: {cost:#?}");
        let [alone, few, many] = &cost;
        for few in [alone, few] {
            assert_about(many.ones, few.ones, "one by one");
            assert_about(many.first_hundreds, few.first_hundreds, "by hundreds");
            assert_about(many.last_hundreds, few.last_hundreds, "by hundreds");
        }
        // Lanes that wait for others to be done are looked at, but not what waits in them.
        assert_about(many.idle, few.idle, "for nothing");
        // Nor does it matter how much is under way, as is all of it in the end.
        assert!(alone.idle < 1000, "for nothing: {} pages", alone.idle);
        for cost in &cost {
            assert_about(cost.last_hundreds, cost.first_hundreds, "the last");
        }
    }
}

/// Whether the session's server has loaded its compiler, as it does when it first compiles a plan.
fn has_compiled(client: &mut Client) -> bool {
    let process: i32 = client
        .query_one("SELECT pg_backend_pid()", &[])
        .unwrap()
        .get(0);
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    maps.contains("llvmjit")
}

/// Compiling takes a thousand times as long as what is compiled here.
#[test]
fn nothing_is_compiled() {
    let cluster = Cluster::shared();
    let database = cluster.new_database();
    let mut client = cluster.connect(&database);
    client
        .batch_execute(
            "INSERT INTO plugin_update_policy (max_in_flight, retry_delay, defer_delay) VALUES (50, '1 ms', '1 ms');
             INSERT INTO rollout_tiers (tier, position, max_starts, starts_interval, max_failure_percent)
             VALUES ('t', 1, 1000, '1 hour', NULL)",
        )
        .unwrap();
    fleet(&mut client, Some("t"), 20, &[1, 2]);
    observe(&mut client, &[1, 2]);
    let claimed = "FROM (SELECT *, row_number() OVER () AS n FROM plugin_update_queue
         WHERE status = 'claimed') AS q";
    let calls = [
        "SELECT claim_plugin_updates('w', 10)".to_owned(),
        format!("SELECT extend_plugin_update(id, claim_token) {claimed}"),
        format!("SELECT complete_plugin_update(id, claim_token, target_sha, n % 2 = 0) {claimed}"),
        "SELECT claim_plugin_updates('w', 10)".to_owned(),
        format!(
            "SELECT complete_plugin_updates(array_agg(id), array_agg(claim_token), array_agg(target_sha::text)) {claimed}"
        ),
        "SELECT claim_plugin_updates('w', 10)".to_owned(),
        format!("SELECT fail_plugin_update(id, claim_token, 'no luck', n % 2 = 0) {claimed}"),
        "SELECT claim_plugin_updates('w', 10)".to_owned(),
        format!(
            "SELECT fail_plugin_updates(array_agg(id), array_agg(claim_token), array_agg('no luck'::text)) {claimed}"
        ),
        "SELECT claim_plugin_updates('w', 10, '1 ms')".to_owned(),
        "SELECT claim_plugin_updates('w', 10)".to_owned(),
        "SELECT retry_plugin_update(id) FROM plugin_update_queue WHERE status = 'failed'"
            .to_owned(),
        "SELECT pause_plugin_rollout(upstream, sha) FROM plugin_rollouts".to_owned(),
        "SELECT abort_plugin_rollout(upstream, sha) FROM plugin_rollouts".to_owned(),
        "SELECT resume_plugin_rollout(upstream, sha) FROM plugin_rollouts".to_owned(),
        "SELECT roll_back_plugin_release(upstream, sha) FROM plugin_rollouts".to_owned(),
        "UPDATE plugin_workspaces SET rollout_tier = NULL".to_owned(),
        "SELECT detect_plugin_drift()".to_owned(),
    ];
    for call in calls {
        let rows = client.query(&call, &[]).unwrap();
        assert!(
            !rows.is_empty() || call.starts_with("UPDATE") || call.contains("1 ms"),
            "{call}"
        );
        assert!(!has_compiled(&mut client), "{call}");
    }
    let available = "SELECT pg_jit_available()";
    if client.query_one(available, &[]).unwrap().get(0) {
        client
            .batch_execute("SET jit_above_cost = 0; SELECT sum(i) FROM generate_series(1, 3) AS i")
            .unwrap();
        assert!(has_compiled(&mut client), "it would not be noticed");
    }
}
