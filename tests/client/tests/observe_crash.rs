//! A server that dies while it observes: each observation is there entirely, or not at all.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use client_tests::{Cluster, DATABASE, registered};
use postgres::{Client, Error};
use serde_json::json;

/// One session each.
const UPSTREAMS: usize = 4;
/// Of each upstream; all follow its newest tag.
const INSTALLS: i64 = 1000;
const ROUNDS: usize = 3;

fn upstream(n: usize) -> String {
    format!("host.example/o/r{n}")
}

fn sha(release: i64) -> String {
    format!("{release:040}")
}

#[test]
fn observations_are_there_entirely_or_not_at_all() {
    let cluster = Cluster::with_extension(&[("fsync", "on")]);
    let mut client = cluster.connect(DATABASE);
    for n in 0..UPSTREAMS {
        install(&mut client, n);
        observe(&mut client, n, 1).unwrap();
    }
    drop(client);

    let mut releases = [1; UPSTREAMS];
    for round in 0..ROUNDS {
        let acknowledged = observe_until_killed(&cluster, releases);
        cluster.start_server();
        let mut client = cluster.connect(DATABASE);
        let found = acknowledged.into_iter().enumerate();
        for (n, acknowledged) in found {
            assert!(acknowledged > releases[n], "round {round}: no turn");
            releases[n] = newest(&mut client, n);
            let possible = acknowledged..=acknowledged + 1;
            assert!(possible.contains(&releases[n]), "round {round}");
            check(&mut client, n, releases[n]);
        }
        println!("round {round}: releases {acknowledged:?}, found {releases:?}");
        assert_eq!(detect(&mut client), 0, "round {round}");
    }
    // It goes on.
    let mut client = cluster.connect(DATABASE);
    for (n, release) in releases.into_iter().enumerate() {
        observe(&mut client, n, release + 1).unwrap();
        check(&mut client, n, release + 1);
    }
}

fn install(client: &mut Client, n: usize) {
    let workspace = registered(client);
    let record = "SELECT record_workspace_plugin_installs(jsonb_agg(jsonb_build_object(
             'workspace_id', $1::text, 'plugin_name', 'p' || i, 'source_raw', 'https://' || $2,
             'track', 'tag:latest', 'installed_sha', $3::text)))
         FROM generate_series(1, $4::bigint) AS i";
    let arguments: [&(dyn postgres::types::ToSql + Sync); 4] =
        [&workspace.to_string(), &upstream(n), &sha(0), &INSTALLS];
    client.execute(record, &arguments).unwrap();
}

/// Tells of one more release than the last time, which supersedes what waits.
fn observe(client: &mut Client, n: usize, release: i64) -> Result<u64, Error> {
    let tags: serde_json::Map<_, _> = (1..=release)
        .map(|r| (format!("refs/tags/v1.{r}.0"), json!(sha(r))))
        .collect();
    let call =
        "SELECT observe_plugin_upstream($1, $2, 'epoch'::timestamptz + $3 * interval '1 hour')";
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let hours = release as f64;
    client.execute(call, &[&upstream(n), &json!(tags), &hours])
}

/// The last release of each upstream whose observation was acknowledged.
fn observe_until_killed(cluster: &Cluster, last: [i64; UPSTREAMS]) -> [i64; UPSTREAMS] {
    let calls = AtomicUsize::new(0);
    let killed = AtomicBool::new(false);
    let acknowledged = Mutex::new(last);
    thread::scope(|scope| {
        for (n, last) in last.into_iter().enumerate() {
            let (calls, killed, acknowledged) = (&calls, &killed, &acknowledged);
            scope.spawn(move || {
                let mut client = cluster.connect(DATABASE);
                let mut release = last + 1;
                while observe(&mut client, n, release).is_ok() {
                    acknowledged.lock().unwrap()[n] = release;
                    release += 1;
                    calls.fetch_add(1, Ordering::SeqCst);
                }
                assert!(killed.load(Ordering::SeqCst), "failed before the crash");
            });
        }
        let all_had_a_turn = || {
            let acknowledged = acknowledged.lock().unwrap();
            acknowledged
                .iter()
                .zip(last)
                .all(|(now, before)| *now > before)
        };
        while !all_had_a_turn() || calls.load(Ordering::SeqCst) < 2 * UPSTREAMS {
            sleep(Duration::from_millis(3));
        }
        killed.store(true, Ordering::SeqCst);
        cluster.kill9();
    });
    acknowledged.into_inner().unwrap()
}

fn newest(client: &mut Client, n: usize) -> i64 {
    let newest = "SELECT max(sha)::numeric::bigint FROM plugin_upstream_refs WHERE upstream = $1";
    client.query_one(newest, &[&upstream(n)]).unwrap().get(0)
}

/// Ledger, upstream, target and queue are all of the same observation.
fn check(client: &mut Client, n: usize, release: i64) {
    let found = "SELECT concat_ws(' ',
             (SELECT count(*) FROM plugin_upstream_refs AS r WHERE r.upstream = u.upstream AND gone_at IS NULL),
             extract(epoch FROM last_checked_at)::bigint / 3600,
             extract(epoch FROM last_changed_at)::bigint / 3600,
             t.state, t.ref, t.sha, extract(epoch FROM t.resolved_at)::bigint / 3600,
             q.pending, q.superseded, q.others)
         FROM plugin_upstreams AS u
         JOIN plugin_targets AS t USING (upstream)
         CROSS JOIN LATERAL (
             SELECT count(*) FILTER (WHERE status = 'pending' AND target_sha = t.sha) AS pending,
                    count(*) FILTER (WHERE status = 'superseded' AND target_sha < t.sha) AS superseded,
                    count(*) FILTER (WHERE status NOT IN ('pending', 'superseded')) AS others
             FROM plugin_update_queue AS q WHERE q.upstream = u.upstream) AS q
         WHERE u.upstream = $1";
    let found: String = client.query_one(found, &[&upstream(n)]).unwrap().get(0);
    let sha = sha(release);
    let superseded = INSTALLS * (release - 1);
    assert_eq!(
        found,
        format!(
            "{release} {release} {release} resolved refs/tags/v1.{release}.0 {sha} {release} {INSTALLS} {superseded} 0"
        )
    );
}

fn detect(client: &mut Client) -> i64 {
    let detect = "SELECT detect_plugin_drift()";
    client.query_one(detect, &[]).unwrap().get(0)
}
