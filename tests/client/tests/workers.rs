//! Workers that apply updates: many at once, some of which die; one that comes too late; and the whole
//! way from what is observed to what is installed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use client_tests::worker::{Outcome, Update, Worker, extend, report, report_all};
use client_tests::{
    Cluster, DATABASE, SUPERUSER, assert_same, detect, new_id, none, register, try_none,
};
use postgres::config::Host;
use postgres::{Client, NoTls};
use rand::{RngExt, rng};
use uuid::Uuid;

const UPSTREAMS: i64 = 40;
/// Each has a plugin of every upstream.
const WORKSPACES: i64 = 500;
const WORKERS: usize = 32;
/// Between two deaths of workers.
const LIFE: Duration = Duration::from_millis(200);
/// How long all updates may take.
const PATIENCE: Duration = Duration::from_secs(150);

/// Tiers, how many may be under way in them, and their workspaces.
const TIERS: &str = "INSERT INTO rollout_tiers (tier, position, bake, max_in_flight, max_failure_percent)
     VALUES ('canary', 1, '300 ms', 16, 100), ('early', 2, '0', 60, 100), ('broad', 3, '0', NULL, 100);
     INSERT INTO plugin_update_policy (max_attempts, retry_delay, defer_delay, max_in_flight, max_failure_percent)
     VALUES (5, '50 ms', '50 ms', 250, 100)";
const LIMITS: [(&str, i64); 3] = [("canary", 16), ("early", 60), ("", 250)];
const WORKSPACE_TIERS: &str = "SELECT count(register_plugin_workspace(
         ('00000000-0000-0000-0000-' || lpad(w::text, 12, '0'))::uuid,
         CASE WHEN w <= 25 THEN 'canary' WHEN w <= 125 THEN 'early' WHEN w <= 325 THEN 'broad' END))
     FROM generate_series(1, $1::bigint) AS w";
const INSTALLS: &str = "SELECT record_workspace_plugin_installs(jsonb_agg(jsonb_build_object(
         'workspace_id', workspace_id, 'plugin_name', 'p' || u, 'source_raw', 'https://host.example/o/r' || u,
         'track', 'ref:main', 'installed_sha', repeat('1', 40))))
     FROM plugin_workspaces, generate_series(1, $1::bigint) AS u";
const OBSERVATIONS: &str = "SELECT sum((observe_plugin_upstream('host.example/o/r' || u,
         jsonb_build_object('refs/heads/main', repeat('2', 40)))).queued)::bigint
     FROM generate_series(1, $1::bigint) AS u";
/// What the workers have done, by themselves.
const EFFECTS: &str = "CREATE TABLE effects (
         workspace_id uuid, plugin_name text, sha text, id uuid, token uuid, worker text,
         at timestamptz DEFAULT clock_timestamp(), PRIMARY KEY (id, token))";

fn settings() -> [(&'static str, &'static str); 2] {
    [("deadlock_timeout", "20ms"), ("max_connections", "120")]
}

/// Processes, which die with this.
struct Workers {
    children: Mutex<Vec<Child>>,
    socket_dir: PathBuf,
}

impl Workers {
    fn start(cluster: &Cluster) -> Self {
        let workers = Self {
            children: Mutex::default(),
            socket_dir: socket_dir(cluster),
        };
        let children = (0..WORKERS).map(|n| workers.one(n));
        *workers.children.lock().unwrap() = children.collect();
        workers
    }

    fn one(&self, n: usize) -> Child {
        Command::new(env!("CARGO_BIN_EXE_update-worker"))
            .arg(&self.socket_dir)
            .args([DATABASE, &format!("worker {n}")])
            .arg(rng().random::<u64>().to_string())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// As kill -9 does. Another one takes its place.
    fn kill_one(&self) {
        let n = rng().random_range(0..WORKERS);
        let child = &mut self.children.lock().unwrap()[n];
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "a worker ended by itself: {ended:?}");
        child.kill().unwrap();
        child.wait().unwrap();
        *child = self.one(n);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for child in self.children.get_mut().unwrap() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn socket_dir(cluster: &Cluster) -> PathBuf {
    match &cluster.config(SUPERUSER, DATABASE).get_hosts()[0] {
        Host::Unix(dir) => dir.clone(),
        Host::Tcp(host) => panic!("{host}"),
    }
}

/// What somebody saw who looked all the time.
#[derive(Default)]
struct Seen {
    looks: usize,
    most_claimed: BTreeMap<String, i64>,
}

#[test]
fn every_update_is_applied_once_though_workers_and_server_die() {
    let cluster = Cluster::with_extension(&settings());
    let mut client = cluster.connect(DATABASE);
    client.batch_execute(TIERS).unwrap();
    client.batch_execute(EFFECTS).unwrap();
    client.query_one(WORKSPACE_TIERS, &[&WORKSPACES]).unwrap();
    client.query_one(INSTALLS, &[&UPSTREAMS]).unwrap();
    let queued: i64 = client
        .query_one(OBSERVATIONS, &[&UPSTREAMS])
        .unwrap()
        .get(0);
    assert_eq!(queued, WORKSPACES * UPSTREAMS);

    let began = Instant::now();
    let workers = Workers::start(&cluster);
    let is_done = AtomicBool::new(false);
    let (seen, kills) = thread::scope(|scope| {
        let _done = Done(&is_done);
        let observer = scope.spawn(|| observe(&cluster, &is_done));
        let killer = scope.spawn(|| kill_now_and_then(&workers, &is_done));
        wait_for(&mut client, began, queued * 3 / 5);
        cluster.kill9();
        cluster.start_server();
        client = cluster.connect(DATABASE);
        wait_for(&mut client, began, 0);
        is_done.store(true, Ordering::SeqCst);
        (observer.join().unwrap(), killer.join().unwrap())
    });
    drop(workers);
    println!(
        "{:?}, {kills} workers killed, {} looks, {:?}",
        began.elapsed(),
        seen.looks,
        seen.most_claimed
    );

    for (tier, limit) in LIMITS {
        assert!(seen.most_claimed[tier] <= limit, "{:?}", seen.most_claimed);
    }
    assert_eq!(seen.most_claimed["canary"], LIMITS[0].1, "never tried");
    check_outcomes(&mut client);
    check_progress(&mut client).unwrap();
    let log = cluster.log();
    let errors: Vec<_> = log.lines().filter(|line| line.contains("ERROR:")).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{}", cluster.deadlocks());
    let before = tables_as_text(&mut client);
    assert_eq!(detect(&mut client), 0);
    assert_same(tables_as_text(&mut client), before, "detected");
}

/// Says that all is done, also where a check has failed.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What is left, with its release and its lane; those that may be handed out first.
const STUCK: &str = "SELECT q::text || r::text || l::text FROM plugin_update_queue AS q
     JOIN plugin_rollouts AS r ON r.upstream = q.upstream AND r.sha = q.target_sha
     JOIN plugin_rollout_lanes AS l
       ON l.upstream = q.upstream AND l.sha = q.target_sha AND l.tier = q.rollout_tier
     WHERE q.finished_at IS NULL ORDER BY l.opened_at";

/// Waits until no more than `left` updates are to be done.
fn wait_for(client: &mut Client, began: Instant, left: i64) {
    let open = "SELECT count(*) FROM plugin_update_queue WHERE status IN ('pending', 'deferred', 'claimed')";
    loop {
        let open: i64 = client.query_one(open, &[]).unwrap().get(0);
        if open <= left {
            return;
        }
        if began.elapsed() > PATIENCE {
            none(client, STUCK, &format!("{open} updates are left"));
        }
        sleep(Duration::from_millis(50));
    }
}

fn kill_now_and_then(workers: &Workers, is_done: &AtomicBool) -> usize {
    let mut kills = 0;
    while !is_done.load(Ordering::SeqCst) {
        sleep(LIFE);
        workers.kill_one();
        kills += 1;
    }
    kills
}

/// Looks what is under way, and now and then whether the view tells the same as the table.
fn observe(cluster: &Cluster, is_done: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !is_done.load(Ordering::SeqCst) {
        // The server may be gone for a while.
        if let Ok(mut client) = cluster.config(SUPERUSER, DATABASE).connect(NoTls) {
            while !is_done.load(Ordering::SeqCst) && look(&mut client, &mut seen).is_ok() {
                sleep(Duration::from_millis(2));
            }
        }
        sleep(Duration::from_millis(20));
    }
    seen
}

fn look(client: &mut Client, seen: &mut Seen) -> Result<(), postgres::Error> {
    // The empty tier: all together.
    let claimed =
        "SELECT CASE WHEN GROUPING(rollout_tier) = 1 THEN '' ELSE rollout_tier END, count(*)
         FROM plugin_update_queue
         WHERE status = 'claimed' AND (rollout_tier <> '' OR true)
         GROUP BY GROUPING SETS (rollout_tier, ())";
    for row in client.query(claimed, &[])? {
        let most = seen.most_claimed.entry(row.get(0)).or_default();
        *most = row.get::<_, i64>(1).max(*most);
    }
    seen.looks += 1;
    if seen.looks.is_multiple_of(200) {
        check_progress(client)?;
    }
    Ok(())
}

fn check_outcomes(client: &mut Client) {
    let twice = "SELECT workspace_id || ' ' || plugin_name FROM plugin_update_queue
         WHERE status = 'applied' GROUP BY workspace_id, plugin_name, target_sha HAVING count(*) > 1";
    none(client, twice, "applied twice");
    let open =
        "SELECT q::text FROM plugin_update_queue AS q WHERE status NOT IN ('applied', 'failed')";
    none(client, open, "neither applied nor failed");
    let wrong = "SELECT p::text || q::text FROM workspace_plugins AS p
         LEFT JOIN plugin_update_queue AS q USING (workspace_id, plugin_name)
         WHERE CASE q.status
             WHEN 'applied' THEN p.installed_sha = q.target_sha AND q.target_sha = repeat('2', 40)
             WHEN 'failed' THEN p.installed_sha = q.current_sha AND q.current_sha = repeat('1', 40)
             END IS NOT TRUE";
    none(client, wrong, "not as its update says");
    let idle = "SELECT q::text FROM plugin_update_queue AS q
         WHERE status = 'applied' AND NOT EXISTS (
             SELECT FROM effects AS e
             WHERE e.id = q.id AND e.workspace_id = q.workspace_id AND e.plugin_name = q.plugin_name
               AND e.sha = q.target_sha AND e.at <= q.finished_at)";
    none(client, idle, "said to be applied, but nobody did");
    let early = "SELECT q::text FROM plugin_update_queue AS q
         WHERE status = 'failed' AND attempts < 5 AND last_error <> 'no luck'";
    none(client, early, "given up early");
    // Only what has reached a tier's turn is handed out to it.
    let ahead = "SELECT u.upstream || ' ' || l.tier
         FROM plugin_upstreams AS u
         CROSS JOIN (SELECT tier, position, bake FROM rollout_tiers
                     UNION ALL SELECT '', 9, NULL) AS l
         JOIN LATERAL (
             SELECT min(e.at) AS first FROM effects AS e
             JOIN plugin_update_queue AS q ON q.id = e.id
             WHERE q.upstream = u.upstream AND q.rollout_tier = l.tier) AS own ON true
         JOIN LATERAL (
             SELECT max(q.finished_at + t.bake) AS last FROM plugin_update_queue AS q
             JOIN rollout_tiers AS t ON t.tier = q.rollout_tier
             WHERE q.upstream = u.upstream AND t.position < l.position AND q.status = 'applied') AS before ON true
         WHERE own.first < before.last";
    none(client, ahead, "before its turn");
    // All that is tried here has happened.
    let happened = "SELECT json_build_object(
         'failed', (SELECT count(*) FROM plugin_update_queue WHERE status = 'failed'),
         'retried', (SELECT count(*) FROM plugin_update_queue WHERE last_error = 'no luck'),
         'taken over', (SELECT count(*) FROM plugin_update_queue WHERE last_error LIKE 'not reported by %'),
         'done again', (SELECT count(*) FROM (SELECT FROM effects GROUP BY id HAVING count(*) > 1) AS a))::text";
    let happened: String = client.query_one(happened, &[]).unwrap().get(0);
    println!("{happened}");
    assert!(!happened.contains(": 0"), "{happened}");
}

fn check_progress(client: &mut Client) -> Result<(), postgres::Error> {
    let differing = "WITH shown AS (
             SELECT upstream, sha::text, COALESCE(tier, '') AS tier,
                 total, pending, deferred, claimed, applied, failed
             FROM plugin_rollout_progress
         ), counted AS (
             SELECT q.upstream, q.target_sha::text, COALESCE(w.rollout_tier, ''),
                 count(*) AS total,
                 sum((q.status = 'pending')::int), sum((q.status = 'deferred')::int),
                 sum((q.status = 'claimed')::int), sum((q.status = 'applied')::int),
                 sum((q.status = 'failed')::int)
             FROM plugin_update_queue AS q JOIN plugin_workspaces AS w USING (workspace_id)
             GROUP BY 1, 2, 3
         )
         SELECT d::text FROM (
             (SELECT 'shown', s.* FROM (TABLE shown EXCEPT TABLE counted) AS s)
             UNION ALL
             (SELECT 'counted', c.* FROM (TABLE counted EXCEPT TABLE shown) AS c)) AS d";
    try_none(client, differing, "progress")
}

const PLUGIN: &str = "p";
const RECORD: &str =
    "SELECT record_workspace_plugin_install($1, $2, 'https://host.example/o/r', 'ref:main', $3)";

fn sha(digit: u8) -> String {
    digit.to_string().repeat(40)
}

fn record(client: &mut Client, workspace: Uuid, digit: u8) {
    client
        .execute(RECORD, &[&workspace, &PLUGIN, &sha(digit)])
        .unwrap();
}

fn observe_main(client: &mut Client, digit: u8) {
    let observe = "SELECT observe_plugin_upstream('host.example/o/r', jsonb_build_object('refs/heads/main', $1::text))";
    client.execute(observe, &[&sha(digit)]).unwrap();
}

/// Workspaces in which a plugin is on the first commit, and is to get the second.
fn drifted(client: &mut Client, workspaces: usize) -> Vec<Uuid> {
    let workspaces: Vec<_> = (0..workspaces).map(|_| new_id()).collect();
    for workspace in &workspaces {
        register(client, *workspace);
        record(client, *workspace, 1);
    }
    observe_main(client, 2);
    workspaces
}

fn worker(name: &str, lease: Duration) -> Worker {
    Worker {
        name: name.to_owned(),
        updates: 5,
        lease,
        reports_together: name.contains("together"),
    }
}

/// What has happened to an update since a worker claimed it.
type Since = fn(&mut Client, &Update);

/// Somebody else has it by now.
fn taken_over(client: &mut Client, update: &Update) -> Update {
    sleep(SHORT);
    let claimed = worker("other", LONG).claim(client).unwrap();
    assert_eq!(claimed.len(), 1);
    let other = claimed[0].clone();
    assert_eq!((other.id, other.attempt), (update.id, 2));
    assert_ne!(other.token, update.token);
    other
}

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_mins(1);

fn failed(is_retryable: bool) -> Outcome {
    Outcome::Failed {
        error: "no luck".to_owned(),
        is_retryable,
    }
}

fn taken_over_and(client: &mut Client, update: &Update, outcome: &Outcome, answer: &str) {
    let other = taken_over(client, update);
    assert_eq!(report(client, &other, outcome).unwrap(), answer);
}

const SINCE: [(&str, Since); 11] = [
    ("taken over", |client, update| {
        taken_over(client, update);
    }),
    ("taken over and applied", |client, update| {
        taken_over_and(client, update, &Outcome::Applied, "applied");
    }),
    ("taken over and delivered", |client, update| {
        taken_over_and(client, update, &Outcome::Delivered, "deferred");
    }),
    ("taken over and failed", |client, update| {
        taken_over_and(client, update, &failed(true), "pending");
    }),
    ("taken over and failed for good", |client, update| {
        taken_over_and(client, update, &failed(false), "failed");
    }),
    ("taken over, outdated and failed", |client, update| {
        let other = taken_over(client, update);
        observe_main(client, 3);
        assert_eq!(report(client, &other, &failed(true)).unwrap(), "superseded");
    }),
    ("taken over, outdated and applied", |client, update| {
        let other = taken_over(client, update);
        observe_main(client, 3);
        assert_eq!(
            report(client, &other, &Outcome::Applied).unwrap(),
            "applied"
        );
    }),
    ("reported", |client, update| {
        assert_eq!(
            report(client, update, &Outcome::Delivered).unwrap(),
            "deferred"
        );
    }),
    ("recorded otherwise", |client, update| {
        record(client, update.workspace, 4);
    }),
    ("removed", |client, update| {
        let remove = "SELECT remove_workspace_plugin($1, $2)";
        client
            .execute(remove, &[&update.workspace, &PLUGIN])
            .unwrap();
    }),
    ("workspace gone", |client, update| {
        let forget = "SELECT unregister_plugin_workspace($1)";
        client.execute(forget, &[&update.workspace]).unwrap();
    }),
];

/// Whatever it reports, nobody listens.
#[test]
fn who_comes_too_late_changes_nothing() {
    let cluster = Cluster::shared();
    for (what, since) in SINCE {
        let database = cluster.new_database();
        let mut client = cluster.connect(&database);
        drifted(&mut client, 1);
        let claimed = worker("late", SHORT).claim(&mut client).unwrap();
        let [update] = &claimed[..] else {
            panic!("{what}: {claimed:?}");
        };
        since(&mut client, update);
        let before = tables_as_text(&mut client);
        let outcomes = [
            Outcome::Applied,
            Outcome::Delivered,
            failed(true),
            failed(false),
        ];
        for outcome in outcomes {
            let answer = report(&mut client, update, &outcome).unwrap();
            assert_eq!(answer, "stale", "{what}: {outcome:?}");
            let answer = report_all(&mut client, &[(update.clone(), outcome.clone())]).unwrap();
            assert_eq!(
                answer,
                [(update.id, "stale".to_owned())],
                "{what}: {outcome:?}"
            );
        }
        assert_eq!(
            extend(&mut client, update, LONG).unwrap(),
            "stale",
            "{what}"
        );
        assert_same(tables_as_text(&mut client), before, what);
    }
}

/// Of a batch only what the worker no longer has is left alone.
#[test]
fn a_batch_may_hold_what_comes_too_late() {
    let cluster = Cluster::shared();
    let database = cluster.new_database();
    let mut client = cluster.connect(&database);
    drifted(&mut client, 4);
    let claimed = worker("w", LONG).claim(&mut client).unwrap();
    record(&mut client, claimed[1].workspace, 4);
    record(&mut client, claimed[3].workspace, 4);
    let reports = [
        (claimed[0].clone(), Outcome::Applied),
        (claimed[1].clone(), Outcome::Applied),
        (claimed[2].clone(), failed(false)),
        (claimed[3].clone(), failed(false)),
    ];
    let answers = report_all(&mut client, &reports).unwrap();
    let answers = answers.iter().map(|(id, answer)| (*id, &**answer));
    let expected = ["applied", "stale", "failed", "stale"];
    assert_same(
        answers,
        claimed.iter().map(|u| u.id).zip(expected),
        "answers",
    );
}

fn installed(client: &mut Client) -> BTreeMap<Uuid, String> {
    let all = "SELECT workspace_id, installed_sha::text FROM workspace_plugins";
    let rows = client.query(all, &[]).unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Claims until nothing is left, and gives what was applied: where, from which commit, to which.
fn work(worker: &Worker, client: &mut Client) -> Vec<(Uuid, String, String)> {
    let mut applied = Vec::new();
    let mut turn = || {
        worker.turn(client, |_, update| {
            applied.push((
                update.workspace,
                update.current.clone(),
                update.target.clone(),
            ));
            Ok(Outcome::Applied)
        })
    };
    while turn().unwrap() > 0 {}
    applied
}

/// Everything is on the commit, and nobody finds anything to do.
fn assert_quiet(client: &mut Client, digit: u8) {
    let elsewhere: Vec<_> = installed(client)
        .into_values()
        .filter(|is| *is != sha(digit))
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    let open = "SELECT q::text FROM plugin_update_queue AS q WHERE finished_at IS NULL";
    none(client, open, "left to do");
    let before = tables_as_text(client);
    assert_eq!(detect(client), 0);
    assert!(worker("idle", LONG).claim(client).unwrap().is_empty());
    assert_same(tables_as_text(client), before, "quiet");
}

#[test]
fn what_is_observed_is_installed_and_then_all_is_quiet() {
    let cluster = Cluster::shared();
    for name in ["each", "together"] {
        let database = cluster.new_database();
        let mut client = cluster.connect(&database);
        let worker = worker(name, LONG);
        let workspaces = drifted(&mut client, 12);
        let moved = |from, to| {
            let all = workspaces.iter();
            all.map(move |w| (*w, sha(from), sha(to)))
        };
        assert_same(work(&worker, &mut client), moved(1, 2), name);
        assert_quiet(&mut client, 2);
        observe_main(&mut client, 3);
        assert_same(work(&worker, &mut client), moved(2, 3), name);
        assert_quiet(&mut client, 3);
    }
}

/// Upstream moves while some updates are under way: those end as they began, and go on from there.
#[test]
fn upstream_moves_while_an_update_is_applied() {
    let cluster = Cluster::shared();
    // Back to what was installed as well, and on, and to what is under way after all.
    for moves in [&[3][..], &[1], &[3, 1], &[3, 2], &[1, 2]] {
        for name in ["each", "together"] {
            let database = cluster.new_database();
            let mut client = cluster.connect(&database);
            let worker = worker(name, LONG);
            let workspaces = drifted(&mut client, 12);
            let mut first = Vec::new();
            let count = worker.turn(&mut client, |client, update| {
                if first.is_empty() {
                    for digit in moves {
                        observe_main(client, *digit);
                    }
                }
                assert_eq!((&update.current, &update.target), (&sha(1), &sha(2)));
                first.push(update.workspace);
                Ok(Outcome::Applied)
            });
            assert_eq!((count.unwrap(), first.len()), (5, 5));
            let now = installed(&mut client);
            assert!(first.iter().all(|w| now[w] == sha(2)), "{moves:?}: {now:?}");

            let last = *moves.last().unwrap();
            let rest = workspaces.iter().map(|w| {
                let from = if first.contains(w) { 2 } else { 1 };
                (*w, sha(from), sha(last))
            });
            let rest = rest.filter(|(_, from, to)| from != to);
            assert_same(work(&worker, &mut client), rest, &format!("{moves:?}"));
            assert_quiet(&mut client, last);
        }
    }
}

/// Every row of every table of the extension.
fn tables_as_text(client: &mut Client) -> Vec<String> {
    let tables = "SELECT c.oid::regclass::text FROM pg_depend AS d
         JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'pg_workspace_plugins'
         JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'r'
         WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass
           AND d.deptype = 'e'";
    let tables = client.query(tables, &[]).unwrap();
    assert!(tables.len() > 8, "{tables:?}");
    let rows = tables.iter().flat_map(|table| {
        let table: String = table.get(0);
        let all = format!("SELECT '{table} ' || t::text FROM {table} AS t");
        client.query(&all, &[]).unwrap()
    });
    rows.map(|row| row.get(0)).collect()
}
