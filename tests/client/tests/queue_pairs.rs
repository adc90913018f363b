//! Each call that touches the queue while each other one has yet to commit: afterwards the queue is what
//! is wanted.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use client_tests::{Cluster, outcome, settle_queue};
use postgres::Client;
use uuid::Uuid;

/// What a pair of calls finds: one of two workspaces has its update under way, in the other one it
/// waits, and behind both a third one waits for its turn.
struct Pair {
    claimed: Uuid,
    id: Uuid,
    token: Uuid,
    waiting: Uuid,
    waiting_id: Uuid,
}

impl Pair {
    fn set_up(client: &mut Client) -> Self {
        client.batch_execute(PAIR).unwrap();
        let claim =
            "SELECT workspace_id, id, claim_token FROM claim_plugin_updates('w', 1, '1 hour')";
        let claimed = client.query_one(claim, &[]).unwrap();
        let waiting = "SELECT workspace_id, id FROM plugin_update_queue
             WHERE status = 'pending' AND rollout_tier = 'canary'";
        let waiting = client.query_one(waiting, &[]).unwrap();
        Self {
            claimed: claimed.get(0),
            id: claimed.get(1),
            token: claimed.get(2),
            waiting: waiting.get(0),
            waiting_id: waiting.get(1),
        }
    }

    fn fill_in(&self, call: &str) -> String {
        call.replace("$claimed", &format!("'{}'", self.claimed))
            .replace("$waiting_id", &format!("'{}'", self.waiting_id))
            .replace("$waiting", &format!("'{}'", self.waiting))
            .replace("$id, $token", &format!("'{}', '{}'", self.id, self.token))
            .replace("$1", "repeat('1', 40)")
            .replace("$2", "repeat('2', 40)")
            .replace("$3", "repeat('3', 40)")
            .replace("$r", "'host.example/o/r0'")
    }
}

/// Not TRUNCATE, after which the sessions would have to plan everything anew.
const PAIR: &str = "DELETE FROM plugin_workspaces; DELETE FROM rollout_tiers; DELETE FROM plugin_upstreams;
     DELETE FROM plugin_upstream_refs; DELETE FROM plugin_targets; DELETE FROM plugin_update_queue;
     DELETE FROM plugin_rollouts;
     INSERT INTO rollout_tiers (tier, position, max_failure_percent) VALUES ('canary', 1, 60), ('early', 2, 60);
     SELECT register_plugin_workspace(gen_random_uuid(), tier) FROM unnest(ARRAY['canary', 'canary', 'early']) AS tier;
     SELECT record_workspace_plugin_install(workspace_id, 'p', 'https://host.example/o/r0', 'ref:main', repeat('1', 40))
     FROM plugin_workspaces;
     SELECT record_workspace_plugin_install(workspace_id, 'u', 'https://host.example/o/unknown', 'none', repeat('1', 40))
     FROM plugin_workspaces;
     SELECT observe_plugin_upstream('host.example/o/r0', jsonb_build_object(
         'refs/heads/main', repeat('2', 40), 'refs/tags/v1.0.0', repeat('2', 40)));
     INSERT INTO plugin_upstreams (upstream, fetch_url, next_check_at) VALUES ('host.example/o/r1', 'https://host.example/o/r1', 'infinity');
     SELECT observe_plugin_upstream('host.example/o/r1', jsonb_build_object('refs/heads/main', repeat('2', 40)))";

const CALLS: [&str; 41] = [
    "SELECT claim_plugin_updates('other', 10)",
    "SELECT claim_plugin_updates('other', 10, '1 hour', clock_timestamp() + interval '2 hours')",
    "SELECT extend_plugin_update($id, $token)",
    "SELECT complete_plugin_update($id, $token, $2)",
    "SELECT complete_plugin_update($id, $token, $2, false)",
    "SELECT fail_plugin_update($id, $token, 'no luck')",
    "SELECT fail_plugin_update($id, $token, 'no luck', false)",
    "SELECT record_workspace_plugin_install($claimed, 'p', 'https://host.example/o/r0', 'ref:main', $1)",
    "SELECT record_workspace_plugin_install($claimed, 'p', 'https://host.example/o/r0', 'ref:main', $2)",
    "SELECT record_workspace_plugin_install($claimed, 'p', 'https://host.example/o/r0', 'ref:main', $3)",
    "SELECT record_workspace_plugin_install($claimed, 'p', 'https://host.example/o/r0', 'ref:refs/heads/main', $1)",
    "SELECT record_workspace_plugin_install($claimed, 'p', 'https://host.example/o/r0', 'tag:latest', $3)",
    "SELECT record_workspace_plugin_install($claimed, 'p', 'https://host.example/o/r0', 'none', $1)",
    "SELECT record_workspace_plugin_install($claimed, 'p', 'https://host.example/o/r1', 'ref:main', $1)",
    "SELECT record_workspace_plugin_install($waiting, 'p', 'https://host.example/o/r0', 'ref:main', $1)",
    "SELECT record_workspace_plugin_install($waiting, 'p', 'https://host.example/o/r0', 'ref:main', $2)",
    "SELECT record_workspace_plugin_install($waiting, 'p', 'https://host.example/o/r0', 'ref:main', $3)",
    "SELECT record_workspace_plugin_install($waiting, 'p', 'https://host.example/o/r0', 'ref:refs/heads/main', $1)",
    "SELECT record_workspace_plugin_install($waiting, 'p', 'https://host.example/o/r0', 'tag:latest', $3)",
    "SELECT record_workspace_plugin_install($waiting, 'p', 'https://host.example/o/r0', 'none', $1)",
    "SELECT record_workspace_plugin_install($waiting, 'p', 'https://host.example/o/r1', 'ref:main', $1)",
    "SELECT record_workspace_plugin_install($waiting, 'new', 'https://host.example/o/r0', 'ref:main', $1)",
    "SELECT record_workspace_plugin_install($waiting, 'new', 'https://host.example/o/r0', 'ref:main', $2)",
    "SELECT record_workspace_plugin_install($waiting, 'new', 'https://host.example/o/r1', 'ref:main', $1)",
    "SELECT record_workspace_plugin_install($waiting, 'u', 'https://host.example/o/r1', 'ref:main', $1)",
    "SELECT remove_workspace_plugin($claimed, 'p')",
    "SELECT remove_workspace_plugin($waiting, 'p')",
    "SELECT unregister_plugin_workspace($claimed)",
    "SELECT unregister_plugin_workspace($waiting)",
    "SELECT observe_plugin_ref($r, 'refs/heads/main', $1)",
    "SELECT observe_plugin_upstream($r, jsonb_build_object('refs/heads/main', $3))",
    "SELECT dismiss_plugin_update($waiting_id, 'no')",
    "UPDATE plugin_workspaces SET rollout_tier = 'early' WHERE workspace_id = $claimed",
    "UPDATE plugin_workspaces SET rollout_tier = 'early' WHERE workspace_id = $waiting",
    "UPDATE plugin_workspaces SET rollout_tier = NULL WHERE workspace_id IN ($claimed, $waiting)",
    "DELETE FROM rollout_tiers WHERE tier = 'canary'",
    "UPDATE rollout_tiers SET position = 3 WHERE tier = 'canary'",
    "SELECT pause_plugin_rollout($r, $2)",
    "SELECT abort_plugin_rollout($r, $2)",
    "SELECT roll_back_plugin_release($r, $2)",
    "SELECT detect_plugin_drift()",
];

/// Each call while each other has yet to commit.
#[test]
fn every_two_calls() {
    let cluster = Cluster::start(&[("deadlock_timeout", "20ms")]);
    let next = AtomicUsize::new(0);
    let defects = thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| try_pairs(&cluster, &next)))
            .collect();
        let defects = threads.into_iter().flat_map(|t| t.join().unwrap());
        defects.collect::<Vec<_>>()
    });
    assert!(
        defects.is_empty(),
        "{} pairs: {}",
        defects.len(),
        defects.join("\n\n")
    );
}

/// Tries pairs, in a database of its own, and gives those that end otherwise than they should.
fn try_pairs(cluster: &Cluster, next: &AtomicUsize) -> Vec<String> {
    let database = cluster.new_database();
    let [mut first, mut second, mut watcher] = [(); 3].map(|()| cluster.connect(&database));
    let mut defects = Vec::new();
    while let Some(one) = CALLS.get(next.fetch_add(1, Ordering::Relaxed)) {
        for other in CALLS {
            let pair = Pair::set_up(&mut first);
            first.batch_execute("BEGIN").unwrap();
            first.batch_execute(&pair.fill_in(one)).unwrap();
            let ended = thread::scope(|scope| {
                let call = scope.spawn(|| outcome(&second.batch_execute(&pair.fill_in(other))));
                wait_until_blocked(&mut watcher, || call.is_finished());
                first.batch_execute("COMMIT").unwrap();
                call.join().unwrap()
            });
            let checked = panic::catch_unwind(AssertUnwindSafe(|| {
                assert!(["ok", "22023", "23503"].contains(&&*ended), "{ended}");
                settle_queue(&mut first, "then", 1);
            }));
            if let Err(why) = checked {
                let why = why.downcast_ref::<String>().map_or("", |why| why);
                defects.push(format!("{one};\nmeanwhile {other}: {ended}\n{why}"));
            }
        }
    }
    defects
}

/// Waits until a session waits for another, or the call has done without.
fn wait_until_blocked(watcher: &mut Client, is_done: impl Fn() -> bool) {
    let blocked = "SELECT EXISTS (SELECT FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
         WHERE NOT l.granted AND a.datname = current_database())";
    while !is_done() && !watcher.query_one(blocked, &[]).unwrap().get::<_, bool>(0) {
        sleep(Duration::from_millis(1));
    }
}
