//! Sessions that claim, report, record, remove, observe and steer the same few installs at the same
//! time: once they are quiet, what waits is what a naive model wants, detection finds nothing to do, and
//! all of it can be handed out.
//!
//! `RACES_SEED=7` repeats one seed (the statements are the same, their order is not),
//! `RACES_SEEDS=100` tries many.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use client_tests::{Cluster, check_queue, detect, on_connections, outcome, settle_queue};
use postgres::{Client, Error, SimpleQueryMessage};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

const SEEDS: u64 = 2;
const SESSIONS: usize = 8;
/// Between them the queue is looked at.
const ROUNDS: usize = 4;
const TURNS: usize = 20;
/// By turns, the fewer the more often sessions meet.
const SIZES: [Size; 4] = [
    Size::of(6, 3, 4),
    Size::of(2, 1, 2),
    Size::of(4, 2, 3),
    Size::of(12, 1, 4),
];
const TIERS: [&str; 2] = ["canary", "early"];
const TRACKS: [&str; 8] = [
    "ref:main",
    "ref:main",
    "ref:main",
    "ref:main",
    "ref:dev",
    "tag:latest",
    "sha:1111111111111111111111111111111111111111",
    "none",
];
/// One call in so many may be chosen to end a circle of waiting sessions.
const CIRCLES: usize = 80;
/// How calls may end: the workspace or the tier is gone, somebody else has rolled a release back, a
/// circle was ended.
const POSSIBLE: [&str; 4] = ["ok", "22023", "23503", "40P01"];

fn seeds() -> Vec<u64> {
    let set = |name| env::var(name).ok().map(|text| text.parse().expect(name));
    match set("RACES_SEED") {
        Some(seed) => vec![seed],
        None => (0..set("RACES_SEEDS").unwrap_or(SEEDS)).collect(),
    }
}

fn workspace(n: usize) -> String {
    format!("00000000-0000-0000-0000-{:012}", n + 1)
}

fn name(upstream: usize) -> String {
    format!("host.example/o/r{upstream}")
}

fn sha(n: usize) -> String {
    (n + 1).to_string().repeat(40)
}

/// What the sessions may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reach {
    /// Claim, report, record, remove and observe.
    Updates,
    /// Also pause, resume and give up releases, dismiss and retry updates, move workspaces.
    Steering,
    /// Also go back, change tiers and limits, forget workspaces and what has ended.
    All,
}

#[derive(Clone, Copy)]
struct Size {
    workspaces: usize,
    /// Each is of its own repository, unless it is recorded from another one.
    plugins: usize,
    commits: usize,
}

impl Size {
    const fn of(workspaces: usize, plugins: usize, commits: usize) -> Self {
        Self {
            workspaces,
            plugins,
            commits,
        }
    }
}

/// Something that a session was handed.
struct Held {
    id: String,
    token: String,
    target: String,
}

struct Session {
    rng: StdRng,
    reach: Reach,
    size: Size,
    held: Vec<Held>,
    /// Whether what has ended is forgotten at once, which is also what a release goes back to: then
    /// others that go back at that moment may come too late.
    forgets: bool,
    goes_back: bool,
}

impl Session {
    fn new(seed: u64, reach: Reach, size: Size) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            reach,
            size,
            held: Vec::new(),
            forgets: true,
            goes_back: true,
        }
    }

    /// Makes one call, and gives how it ended.
    fn turn(&mut self, client: &mut Client, n: usize, trace: &Trace) -> String {
        let statement = self.statement();
        let began = trace.from.elapsed();
        let result = self.run(client, &statement);
        let ended = outcome(&result);
        let answer = result.unwrap_or_else(|error| format!("{error:?}"));
        trace.add(began, n, statement, answer);
        ended
    }

    fn statement(&mut self) -> String {
        let choice = match self.reach {
            Reach::Updates => 0..70,
            Reach::Steering => 0..88,
            Reach::All => 0..100,
        };
        match self.rng.random_range(choice) {
            0..18 => self.claim(),
            18..27 => self.complete(),
            27..31 => self.complete_all(),
            31..37 => self.fail(),
            37..39 => self.fail_all(),
            39..41 => self.extend(),
            41..49 => self.record(),
            49..53 => self.record_batch(),
            53..55 => self.remove(),
            55..63 => self.observe_ref(),
            63..70 => self.observe(),
            70..74 => self.move_workspace(),
            74..77 => self.steer("pause_plugin_rollout"),
            77..82 => self.steer("resume_plugin_rollout"),
            82..84 => self.steer("abort_plugin_rollout"),
            84..86 => on_update("dismiss_plugin_update(id, 'no')", "'pending', 'deferred'"),
            86..88 => on_update("retry_plugin_update(id)", "'failed', 'dismissed'"),
            88..91 if self.goes_back => self.roll_back(),
            91..95 => self.change_tiers(),
            95..97 => self.come_and_go(),
            97 if self.forgets => "SELECT prune_plugin_updates('0')".to_owned(),
            _ => self.register(),
        }
    }

    fn claim(&mut self) -> String {
        let (updates, lease) = (self.rng.random_range(1..=4), self.rng.random_range(5..=200));
        format!(
            "SELECT id, claim_token, target_sha FROM claim_plugin_updates('w', {updates}, '{lease} ms')"
        )
    }

    /// Something held, and mostly not any more.
    fn one(&mut self) -> Held {
        if self.held.is_empty() {
            return Held {
                id: Uuid::nil().to_string(),
                token: Uuid::nil().to_string(),
                target: sha(0),
            };
        }
        let place = self.rng.random_range(0..self.held.len());
        self.held.swap_remove(place)
    }

    fn complete(&mut self) -> String {
        let is_in_use = self.rng.random_bool(0.8);
        let Held { id, token, target } = self.one();
        format!("SELECT complete_plugin_update('{id}', '{token}', '{target}', {is_in_use})")
    }

    fn complete_all(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        let in_use: Vec<_> = held
            .iter()
            .map(|_| self.rng.random_bool(0.8).to_string())
            .collect();
        format!(
            "SELECT complete_plugin_updates({}, {}, {}, '{{{}}}')",
            list(&held, |h| &h.id),
            list(&held, |h| &h.token),
            list(&held, |h| &h.target),
            in_use.join(",")
        )
    }

    fn fail(&mut self) -> String {
        let is_retryable = self.rng.random_bool(0.7);
        let Held { id, token, .. } = self.one();
        format!("SELECT fail_plugin_update('{id}', '{token}', 'no luck', {is_retryable})")
    }

    fn fail_all(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        format!(
            "SELECT fail_plugin_updates({}, {}, {})",
            list(&held, |h| &h.id),
            list(&held, |h| &h.token),
            list(&held, |_| "none")
        )
    }

    fn extend(&mut self) -> String {
        let held = self.one();
        let call = format!(
            "SELECT extend_plugin_update('{}', '{}', '100 ms')",
            held.id, held.token
        );
        self.held.push(held);
        call
    }

    fn record(&mut self) -> String {
        let (workspace, plugin) = (self.workspace(), self.plugin());
        let source = self.source(plugin);
        let (track, sha) = (self.track(), self.sha());
        format!(
            "SELECT record_workspace_plugin_install('{workspace}', 'p{plugin}', '{source}', '{track}', '{sha}')"
        )
    }

    fn record_batch(&mut self) -> String {
        let count = self.rng.random_range(2..=6);
        let installs: Vec<_> = (0..count)
            .map(|_| {
                let plugin = self.plugin();
                serde_json::json!({
                    "workspace_id": self.workspace(),
                    "plugin_name": format!("p{plugin}"),
                    "source_raw": self.source(plugin),
                    "track": self.track(),
                    "installed_sha": self.sha(),
                })
            })
            .collect();
        let installs = serde_json::Value::from(installs);
        format!("SELECT record_workspace_plugin_installs('{installs}')")
    }

    fn remove(&mut self) -> String {
        let (workspace, plugin) = (self.workspace(), self.plugin());
        format!("SELECT remove_workspace_plugin('{workspace}', 'p{plugin}')")
    }

    fn observe_ref(&mut self) -> String {
        let (upstream, sha) = (self.upstream(), self.sha());
        let branch = ["main", "main", "main", "dev"]
            .choose(&mut self.rng)
            .unwrap();
        format!("SELECT observe_plugin_ref('{upstream}', 'refs/heads/{branch}', '{sha}')")
    }

    fn observe(&mut self) -> String {
        let mut refs = BTreeMap::new();
        for name in ["refs/heads/main", "refs/heads/dev"] {
            refs.insert(name.to_owned(), self.sha());
        }
        for release in 0..self.rng.random_range(1..=self.size.commits) {
            refs.insert(format!("refs/tags/v1.{release}.0"), sha(release));
        }
        observation(&self.upstream(), &refs)
    }

    fn move_workspace(&mut self) -> String {
        let workspace = self.workspace();
        let tier = match self.rng.random_range(0..3) {
            0 => "NULL".to_owned(),
            n => format!(
                "(SELECT tier FROM rollout_tiers WHERE tier = '{}')",
                TIERS[n - 1]
            ),
        };
        format!(
            "UPDATE plugin_workspaces SET rollout_tier = {tier} WHERE workspace_id = '{workspace}'"
        )
    }

    fn steer(&mut self, how: &str) -> String {
        format!("SELECT {how}('{}', '{}')", self.upstream(), self.sha())
    }

    fn roll_back(&mut self) -> String {
        let upstream = self.upstream();
        format!(
            "SELECT roll_back_plugin_release(upstream, sha) FROM (
                 SELECT upstream, sha FROM plugin_rollouts
                 WHERE upstream = '{upstream}' AND state <> 'rolled_back' ORDER BY random() LIMIT 1) AS one"
        )
    }

    fn change_tiers(&mut self) -> String {
        let tier = TIERS.choose(&mut self.rng).unwrap();
        let limit = ["NULL", "1", "3"].choose(&mut self.rng).unwrap();
        match self.rng.random_range(0..6) {
            0 => format!("DELETE FROM rollout_tiers WHERE tier = '{tier}'"),
            1 | 2 => format!(
                "INSERT INTO rollout_tiers (tier, position, max_failure_percent) VALUES ('{tier}', {}, 60)
                 ON CONFLICT (tier) DO NOTHING",
                if *tier == TIERS[0] { 1 } else { 2 }
            ),
            3 => format!("UPDATE rollout_tiers SET max_in_flight = {limit} WHERE tier = '{tier}'"),
            4 => format!("UPDATE plugin_update_policy SET max_in_flight = {limit}"),
            _ => format!(
                "UPDATE rollout_tiers SET bake = '{} ms' WHERE tier = '{tier}'",
                self.rng.random_range(0..20)
            ),
        }
    }

    fn come_and_go(&mut self) -> String {
        format!("SELECT unregister_plugin_workspace('{}')", self.workspace())
    }

    fn register(&mut self) -> String {
        format!("SELECT register_plugin_workspace('{}')", self.workspace())
    }

    fn workspace(&mut self) -> String {
        workspace(self.rng.random_range(0..self.size.workspaces))
    }

    fn plugin(&mut self) -> usize {
        self.rng.random_range(0..self.size.plugins)
    }

    /// Now and then another one than the plugin's own.
    fn source(&mut self, plugin: usize) -> String {
        let is_moved = self.reach == Reach::All && self.rng.random_bool(0.1);
        let upstream = (plugin + usize::from(is_moved)) % self.size.plugins;
        format!("https://{}.git", name(upstream))
    }

    fn upstream(&mut self) -> String {
        name(self.rng.random_range(0..self.size.plugins))
    }

    fn track(&mut self) -> &'static str {
        TRACKS.choose(&mut self.rng).unwrap()
    }

    fn sha(&mut self) -> String {
        sha(self.rng.random_range(0..self.size.commits))
    }

    /// Some hold their locks for a while.
    fn run(&mut self, client: &mut Client, statement: &str) -> Result<String, Error> {
        if !self.rng.random_bool(0.15) {
            return self.call(client, statement);
        }
        let pause = format!("SELECT pg_sleep({})", self.rng.random_range(0.0..0.02));
        client.batch_execute("BEGIN")?;
        let result = self.call(client, statement);
        client.batch_execute(&format!("{pause}; COMMIT")).ok();
        if result.is_err() {
            client.batch_execute("ROLLBACK")?;
        }
        result
    }

    fn call(&mut self, client: &mut Client, statement: &str) -> Result<String, Error> {
        let mut answer = String::new();
        for message in client.simple_query(statement)? {
            let SimpleQueryMessage::Row(row) = message else {
                continue;
            };
            if row.len() == 3 {
                self.held.push(Held {
                    id: row.get(0).unwrap().to_owned(),
                    token: row.get(1).unwrap().to_owned(),
                    target: row.get(2).unwrap().to_owned(),
                });
            }
            for field in 0..row.len() {
                write!(answer, " {}", row.get(field).unwrap_or("NULL")).unwrap();
            }
        }
        Ok(answer)
    }
}

/// An array of something of each.
fn list(held: &[Held], part: fn(&Held) -> &str) -> String {
    let parts: Vec<_> = held.iter().map(part).collect();
    format!("'{{{}}}'", parts.join(","))
}

fn on_update(call: &str, statuses: &str) -> String {
    format!(
        "SELECT {call} FROM (SELECT id FROM plugin_update_queue
             WHERE status IN ({statuses}) ORDER BY random() LIMIT 1) AS one"
    )
}

fn observation(upstream: &str, refs: &BTreeMap<String, String>) -> String {
    let refs = serde_json::json!(refs);
    format!("SELECT observe_plugin_upstream('{upstream}', '{refs}', clock_timestamp(), true)")
}

/// When it began and ended, by which session, the statement and the answer.
type Done = (Duration, Duration, usize, String, String);

/// What was done, and when; shown where a check fails.
struct Trace {
    from: Instant,
    done: Mutex<Vec<Done>>,
    seed: u64,
    reach: Reach,
}

impl Trace {
    fn new(seed: u64, reach: Reach) -> Self {
        Self {
            from: Instant::now(),
            done: Mutex::default(),
            seed,
            reach,
        }
    }

    fn add(&self, began: Duration, session: usize, statement: String, answer: String) {
        let ended = self.from.elapsed();
        let entry = (began, ended, session, statement, answer);
        self.done.lock().unwrap().push(entry);
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("seed {}, {:?}:", self.seed, self.reach);
            for (began, ended, session, statement, answer) in self.done.lock().unwrap().iter() {
                eprintln!("{began:?} to {ended:?}, session {session}: {statement} ->{answer}");
            }
        }
    }
}

fn set_up(client: &mut Client, seed: u64) -> Size {
    let size = SIZES[usize::try_from(seed).unwrap() % SIZES.len()];
    let mut setup = "INSERT INTO plugin_update_policy (max_attempts, retry_delay, defer_delay, max_failure_percent)
             VALUES (2, '5 ms', '5 ms', 60);
         INSERT INTO rollout_tiers (tier, position, max_failure_percent) VALUES ('canary', 1, 60), ('early', 2, 60);"
        .to_owned();
    let mut rng = StdRng::seed_from_u64(seed);
    for n in 0..size.workspaces {
        let tier = ["NULL", "'canary'", "'early'"].choose(&mut rng).unwrap();
        let workspace = workspace(n);
        write!(
            setup,
            "SELECT register_plugin_workspace('{workspace}', {tier});"
        )
        .unwrap();
        for plugin in 0..size.plugins {
            let (upstream, sha) = (name(plugin), sha(rng.random_range(0..size.commits)));
            write!(
                setup,
                "SELECT record_workspace_plugin_install('{workspace}', 'p{plugin}', 'https://{upstream}.git', 'ref:main', '{sha}');"
            )
            .unwrap();
        }
    }
    let refs = [("refs/heads/main".to_owned(), sha(0))].into();
    for upstream in 0..size.plugins {
        setup += &observation(&name(upstream), &refs);
        setup += ";";
    }
    client.batch_execute(&setup).unwrap();
    size
}

fn race(reach: Reach) {
    let cluster = Cluster::start(&[("deadlock_timeout", "20ms")]);
    let mut counts = BTreeMap::<_, usize>::new();
    for seed in seeds() {
        let database = cluster.new_database();
        let mut client = cluster.connect(&database);
        let size = set_up(&mut client, seed);
        let trace = Trace::new(seed, reach);
        let sessions: Vec<_> = (0..SESSIONS as u64)
            .map(|n| {
                let mut session = Session::new(seed * 1000 + n, reach, size);
                session.forgets = seed.is_multiple_of(2);
                session.goes_back = !session.forgets;
                Mutex::new(session)
            })
            .collect();
        for round in 0..ROUNDS {
            let ended = on_connections(&cluster, &database, SESSIONS, |n, client| {
                let mut session = sessions[n].lock().unwrap();
                (0..TURNS)
                    .map(|_| session.turn(client, n, &trace))
                    .collect::<Vec<_>>()
            });
            for ending in ended.into_iter().flatten() {
                *counts.entry(ending).or_default() += 1;
            }
            let when = format!("seed {seed}, round {round}");
            check_queue(&mut client, &when);
            assert_eq!(detect(&mut client), 0, "{when}: what detection changed");
            check_queue(&mut client, &format!("{when}, detected"));
        }
        settle_queue(&mut client, &format!("seed {seed}"), seed);
    }
    println!("{reach:?}: {counts:?}");
    let all: usize = counts.values().sum();
    let deadlocks = counts.get("40P01").copied().unwrap_or_default();
    let text = cluster.deadlocks();
    if env::var_os("RACES_DEADLOCKS").is_some() {
        println!("{text}");
    }
    assert!(deadlocks <= all / CIRCLES, "{deadlocks} of {all}\n{text}");
    let log = cluster.log();
    for error in log.split("ERROR:  ").filter(|e| e.starts_with("duplicate")) {
        println!("{}", error.chars().take(2000).collect::<String>());
    }
    check_endings(counts.keys());
}

fn check_endings<'a>(endings: impl Iterator<Item = &'a String>) {
    let other: Vec<_> = endings.filter(|e| !POSSIBLE.contains(&&***e)).collect();
    assert!(other.is_empty(), "{other:?}");
}

/// One session: the queue is right after each call.
#[test]
fn one_after_the_other() {
    let cluster = Cluster::shared();
    for seed in seeds() {
        let database = cluster.new_database();
        let mut client = cluster.connect(&database);
        let size = set_up(&mut client, seed);
        let trace = Trace::new(seed, Reach::All);
        let mut session = Session::new(seed, Reach::All, size);
        for turn in 0..ROUNDS * TURNS {
            let ending = session.turn(&mut client, 0, &trace);
            check_endings([ending].iter());
            check_queue(&mut client, &format!("seed {seed}, turn {turn}"));
        }
        settle_queue(&mut client, &format!("seed {seed}"), seed);
    }
}

#[test]
fn claims_and_observations() {
    race(Reach::Updates);
}

#[test]
fn claims_and_steering() {
    race(Reach::Steering);
}

#[test]
fn everything() {
    race(Reach::All);
}

/// Whatever is recorded: what has a release that was rolled back goes back to what it had before.
#[test]
fn recorded_again_on_what_was_rolled_back() {
    let cluster = Cluster::shared();
    let record = format!(
        "SELECT record_workspace_plugin_install('{}', 'p0', 'https://{}.git', 'ref:main', '{}')",
        workspace(0),
        name(0),
        sha(1)
    );
    let record_batch = format!(
        r#"SELECT record_workspace_plugin_installs('[{{"workspace_id": "{}", "plugin_name": "p0",
             "source_raw": "https://{}.git", "track": "ref:main", "installed_sha": "{}"}}]')"#,
        workspace(0),
        name(0),
        sha(1)
    );
    for recorded in [record, record_batch] {
        let database = cluster.new_database();
        let mut client = cluster.connect(&database);
        let apply = "SELECT complete_plugin_update(id, claim_token, target_sha)
             FROM claim_plugin_updates('w')";
        let (workspace, upstream) = (workspace(0), name(0));
        let refs = [("refs/heads/main".to_owned(), sha(1))].into();
        let steps = [
            format!("SELECT register_plugin_workspace('{workspace}')"),
            format!(
                "SELECT record_workspace_plugin_install('{workspace}', 'p0', 'https://{upstream}.git', 'ref:main', '{}')",
                sha(0)
            ),
            observation(&upstream, &refs),
            apply.to_owned(),
            format!(
                "SELECT roll_back_plugin_release('{upstream}', '{}')",
                sha(1)
            ),
            "SELECT prune_plugin_updates('0')".to_owned(),
            apply.to_owned(),
            recorded,
        ];
        for step in steps {
            client.batch_execute(&step).unwrap();
            check_queue(&mut client, &step);
        }
        settle_queue(&mut client, "recorded again", 0);
    }
}
