//! What ought to stand in the queue of updates, and whether it does.

use std::collections::BTreeSet;
use std::time::SystemTime;

use postgres::{Client, Error};
use uuid::Uuid;

use crate::assert_same;
use crate::drift::{Update, World};

/// While nobody writes: the queue is what the model wants. Then also with nothing under way any more,
/// detected, and with nothing left to hand out. By turns what is under way is completed, or lost.
pub fn settle_queue(client: &mut Client, when: &str, turn: u64) {
    check_queue(client, when);
    end_claims(client, turn);
    let when = format!("{when}, all reported");
    check_queue(client, &when);
    assert_eq!(detect(client), 0, "{when}: what detection changed");
    drain(client, &when);
    let when = format!("{when}, drained");
    check_queue(client, &when);
    assert_eq!(detect(client), 0, "{when}: what detection changed");
}

/// While nobody writes: what is under way is of the install as it is, is marked where something else is
/// wanted, and what waits is what is wanted but not under way.
pub fn check_queue(client: &mut Client, when: &str) {
    let wanted = wanted(client);
    let key = |u: &Update| (u.workspace, u.plugin.clone(), u.target.clone());
    let under_way: BTreeSet<_> = in_queue(client, "'claimed'").iter().map(key).collect();
    let marks = "SELECT q.workspace_id, q.plugin_name, q.target_sha::text, q.is_outdated
         FROM plugin_update_queue AS q WHERE q.status = 'claimed'";
    let marks: Vec<_> = client
        .query(marks, &[])
        .unwrap()
        .iter()
        .map(|row| ((row.get(0), row.get(1), row.get(2)), row.get::<_, bool>(3)))
        .collect();
    let keys: BTreeSet<_> = wanted.iter().map(key).collect();
    let expected = wanted.into_iter().filter(|u| !under_way.contains(&key(u)));
    assert_same(waiting(client), expected, &format!("{when}: what waits"));
    let expected = under_way.iter().map(|u| (u.clone(), !keys.contains(u)));
    assert_same(marks, expected, &format!("{when}: what is outdated"));
    let lost = "SELECT q::text FROM plugin_update_queue AS q
         WHERE q.status = 'claimed' AND NOT EXISTS (
             SELECT FROM workspace_plugins AS p
             WHERE p.workspace_id = q.workspace_id AND p.plugin_name = q.plugin_name
               AND p.upstream = q.upstream AND p.tracked_ref = q.tracked_ref AND p.installed_sha = q.current_sha)";
    none(
        client,
        lost,
        &format!("{when}: claimed, but installed otherwise"),
    );
    let elsewhere = "SELECT q::text FROM plugin_update_queue AS q
         LEFT JOIN plugin_workspaces AS w USING (workspace_id)
         WHERE q.status IN ('pending', 'deferred', 'claimed')
           AND q.rollout_tier IS DISTINCT FROM COALESCE(w.rollout_tier, '')";
    none(
        client,
        elsewhere,
        &format!("{when}: in another tier than its workspace"),
    );
    let no_lane = "SELECT q::text FROM plugin_update_queue AS q
         LEFT JOIN plugin_rollouts AS r ON r.upstream = q.upstream AND r.sha = q.target_sha
         LEFT JOIN plugin_rollout_lanes AS l
           ON l.upstream = q.upstream AND l.sha = q.target_sha AND l.tier = q.rollout_tier
         WHERE q.status IN ('pending', 'deferred')
           AND NOT COALESCE(l.next_due_at <= q.due_at
                            AND l.is_claimable = (r.state = 'active' AND l.opened_at IS NOT NULL), false)";
    none(client, no_lane, &format!("{when}: not in its lane"));
}

/// What ought to wait: what the model of drift wants, or for what has a release that was rolled back
/// what it had before, but for what has failed, was dismissed or given up.
fn wanted(client: &mut Client) -> Vec<Update> {
    let at: SystemTime = client
        .query_one("SELECT clock_timestamp()", &[])
        .unwrap()
        .get(0);
    let drift = World::read(client, at).wanted();
    let rollbacks = rollbacks(client);
    let replaced: BTreeSet<_> = rollbacks
        .iter()
        .map(|u| (u.workspace, u.plugin.clone()))
        .collect();
    let stopped = pairs(
        client,
        "SELECT upstream, sha::text FROM plugin_rollouts WHERE state IN ('aborted', 'rolled_back')",
    );
    let verdicts = verdicts(client);
    let forward = drift.into_iter().filter(|u| {
        !stopped.contains(&(u.upstream.clone(), u.target.clone()))
            && !replaced.contains(&(u.workspace, u.plugin.clone()))
    });
    let all = forward.chain(rollbacks);
    all.filter(|u| !verdicts.iter().any(|verdict| verdict.is_of(u)))
        .collect()
}

fn pairs(client: &mut Client, query: &str) -> BTreeSet<(String, String)> {
    let rows = client.query(query, &[]).unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// An update that is not wanted again.
struct Verdict {
    workspace: Uuid,
    plugin: String,
    target: String,
    /// Where it failed, it is wanted again from another commit.
    current: Option<String>,
}

impl Verdict {
    fn is_of(&self, update: &Update) -> bool {
        self.workspace == update.workspace
            && self.plugin == update.plugin
            && self.target == update.target
            && self.current.as_ref().is_none_or(|c| *c == update.current)
    }
}

fn verdicts(client: &mut Client) -> Vec<Verdict> {
    let all = "SELECT workspace_id, plugin_name, target_sha::text,
             CASE status WHEN 'failed' THEN current_sha::text END
         FROM plugin_update_queue WHERE status IN ('failed', 'dismissed')";
    let rows = client.query(all, &[]).unwrap();
    rows.iter()
        .map(|row| Verdict {
            workspace: row.get(0),
            plugin: row.get(1),
            target: row.get(2),
            current: row.get(3),
        })
        .collect()
}

/// For what has a release that was rolled back, and came to it by an update.
fn rollbacks(client: &mut Client) -> Vec<Update> {
    let all = "SELECT p.workspace_id, p.plugin_name, p.upstream, p.tracked_ref::text, 'rollback',
             p.installed_sha::text, NULL::text,
             (SELECT q.current_sha::text FROM plugin_update_queue AS q
              WHERE q.workspace_id = p.workspace_id AND q.plugin_name = p.plugin_name
                AND q.upstream = p.upstream AND q.target_sha = p.installed_sha
                AND q.status = 'applied' AND q.current_sha <> q.target_sha
                AND NOT EXISTS (SELECT FROM plugin_rollouts AS b
                    WHERE b.upstream = q.upstream AND b.sha = q.current_sha
                      AND b.state IN ('aborted', 'rolled_back'))
              ORDER BY q.finished_at DESC LIMIT 1)
         FROM workspace_plugins AS p
         JOIN plugin_rollouts AS r ON r.upstream = p.upstream AND r.sha = p.installed_sha
         WHERE r.state = 'rolled_back' AND p.tracked_ref <> 'none'";
    updates(client, all)
}

fn updates(client: &mut Client, query: &str) -> Vec<Update> {
    let rows = client.query(query, &[]).unwrap();
    rows.iter()
        .filter_map(|row| {
            Some(Update {
                workspace: row.get(0),
                plugin: row.get(1),
                upstream: row.get(2),
                tracked: row.get(3),
                kind: row.get(4),
                current: row.get(5),
                reference: row.get(6),
                target: row.get::<_, Option<String>>(7)?,
            })
        })
        .collect()
}

fn in_queue(client: &mut Client, statuses: &str) -> Vec<Update> {
    updates(
        client,
        &format!(
            "SELECT workspace_id, plugin_name, upstream, tracked_ref::text, kind,
                 current_sha::text, target_ref, target_sha::text
             FROM plugin_update_queue WHERE status IN ({statuses})"
        ),
    )
}

fn waiting(client: &mut Client) -> Vec<Update> {
    in_queue(client, "'pending', 'deferred'")
}

/// Fails with the first rows of what a query finds.
pub fn none(client: &mut Client, query: &str, what: &str) {
    try_none(client, query, what).unwrap();
}

/// The same where the server may be gone.
///
/// # Errors
///
/// The query could not be run.
pub fn try_none(client: &mut Client, query: &str, what: &str) -> Result<(), Error> {
    let rows = client.query(&format!("{query} LIMIT 5"), &[])?;
    let rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(rows.is_empty(), "{what}: {rows:#?}");
    Ok(())
}

/// Nothing is under way any more: completed, or not reported.
fn end_claims(client: &mut Client, turn: u64) {
    let end = if turn.is_multiple_of(2) {
        "SELECT complete_plugin_updates(array_agg(id), array_agg(claim_token), array_agg(target_sha::text))
         FROM plugin_update_queue WHERE status = 'claimed' HAVING count(*) > 0"
    } else {
        "SELECT expire_plugin_claims(clock_timestamp() + interval '1 day')"
    };
    client.batch_execute(end).unwrap();
    let left = "SELECT q::text FROM plugin_update_queue AS q WHERE status = 'claimed'";
    none(client, left, "still claimed");
}

/// All that waits for a release that is not stopped is handed out sooner or later.
fn drain(client: &mut Client, when: &str) {
    let turn = "SELECT count(complete_plugin_update(c.id, c.claim_token, c.target_sha, true, t.at))
         FROM (SELECT clock_timestamp() + $1::bigint * interval '1 day' AS at) AS t,
              claim_plugin_updates('last', 100, '1 hour', t.at) AS c";
    let mut idle = 0;
    for day in 1_i64.. {
        let count: i64 = client.query_one(turn, &[&day]).unwrap().get(0);
        idle = if count == 0 { idle + 1 } else { 0 };
        if idle == 2 {
            break;
        }
        assert!(day < 200, "{when}: it does not end");
    }
    let left = "SELECT q::text || r::text FROM plugin_update_queue AS q
         LEFT JOIN plugin_rollouts AS r ON r.upstream = q.upstream AND r.sha = q.target_sha
         WHERE q.status IN ('pending', 'deferred', 'claimed') AND r.state IS DISTINCT FROM 'paused'";
    none(client, left, &format!("{when}: never handed out"));
}

/// Detects drift, and gives how many updates that changed.
pub fn detect(client: &mut Client) -> i64 {
    let detect = "SELECT detect_plugin_drift()";
    client.query_one(detect, &[]).unwrap().get(0)
}
