//! A server that dies in the middle of work: what it had acknowledged is there, and nothing else.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use client_tests::{
    Cluster, DATABASE, Install, assert_same, registered, stored, try_batch, try_record,
};
use postgres::{Client, Error};
use uuid::Uuid;

const WORKERS: usize = 6;
const BATCH: usize = 25;
const ROUNDS: usize = 3;

type Rows = BTreeMap<(Uuid, String), String>;

/// What a worker sends in one call.
type Sent = Vec<Install>;

/// What a worker knows when its connection breaks.
struct Report {
    acknowledged: Vec<Sent>,
    in_flight: Sent,
}

#[test]
fn what_was_acknowledged_survives_and_nothing_else() {
    let cluster = Cluster::with_extension(&[("fsync", "on")]);
    let mut client = cluster.connect(DATABASE);
    let workspaces: Vec<_> = (0..WORKERS).map(|_| registered(&mut client)).collect();
    drop(client);

    let mut known = Rows::new();
    for round in 0..ROUNDS {
        let reports = work_until_killed(&cluster, &workspaces, round);
        cluster.start_server();
        let found = stored(&mut cluster.connect(DATABASE));
        known = survivors(known, reports, &found);
        assert_same(&found, &known, &format!("round {round}"));
    }
    check_indexes(&cluster, known.len());
}

fn work_until_killed(cluster: &Cluster, workspaces: &[Uuid], round: usize) -> Vec<Report> {
    let calls = AtomicUsize::new(0);
    let killed = AtomicBool::new(false);
    let reports = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for (worker, workspace) in workspaces.iter().enumerate() {
            let (calls, killed, reports) = (&calls, &killed, &reports);
            scope.spawn(move || {
                let client = cluster.connect(DATABASE);
                let report = work(client, worker, *workspace, round, calls);
                assert!(
                    killed.load(Ordering::SeqCst),
                    "a call failed before the crash"
                );
                reports.lock().unwrap().push(report);
            });
        }
        // Late enough that every worker is at work, and in a moment that no worker chose.
        while calls.load(Ordering::SeqCst) < 12 * WORKERS {
            sleep(Duration::from_millis(3));
        }
        killed.store(true, Ordering::SeqCst);
        cluster.kill9();
    });
    reports.into_inner().unwrap()
}

/// Sends call after call until one fails.
fn work(
    mut client: Client,
    worker: usize,
    workspace: Uuid,
    round: usize,
    calls: &AtomicUsize,
) -> Report {
    let mut acknowledged = Vec::new();
    for call in 0.. {
        let sent = installs(worker, workspace, round, call);
        if send(&mut client, worker, &sent).is_err() {
            return Report {
                acknowledged,
                in_flight: sent,
            };
        }
        acknowledged.push(sent);
        calls.fetch_add(1, Ordering::SeqCst);
    }
    unreachable!("more calls than there are numbers")
}

fn send(client: &mut Client, worker: usize, sent: &[Install]) -> Result<(), Error> {
    if is_batcher(worker) {
        try_batch(client, sent).map(|_| ())
    } else {
        try_record(client, &sent[0]).map(|_| ())
    }
}

fn is_batcher(worker: usize) -> bool {
    worker < WORKERS - 2
}

/// New keys, and for a batch one more that every batch of the worker overwrites. Of those that
/// record one by one, one has a new key each time, and one has the same key always.
fn installs(worker: usize, workspace: Uuid, round: usize, call: usize) -> Sent {
    let source = format!("{round}/{call}");
    let install = |plugin: String| Install {
        workspace,
        plugin,
        source: source.clone(),
    };
    let same_key = || install("same".to_owned());
    let new_key = |n| install(format!("{round}/{call}/{n}"));
    if is_batcher(worker) {
        let mut batch: Vec<_> = (1..BATCH).map(new_key).collect();
        batch.push(same_key());
        batch
    } else if worker == WORKERS - 1 {
        vec![same_key()]
    } else {
        vec![new_key(0)]
    }
}

/// What has to be there: all that is known, all that was acknowledged, and of what was in flight
/// either the whole or nothing. Which of the two is told by the first of its installs.
fn survivors(mut rows: Rows, reports: Vec<Report>, found: &Rows) -> Rows {
    assert_eq!(reports.len(), WORKERS);
    let mut committed = 0;
    for report in reports {
        assert!(!report.acknowledged.is_empty(), "a worker had no turn");
        report
            .acknowledged
            .into_iter()
            .for_each(|sent| add(&mut rows, sent));
        let first = &report.in_flight[0];
        let there = found.get(&(first.workspace, first.plugin.clone()));
        if there == Some(&first.source) {
            committed += 1;
            add(&mut rows, report.in_flight);
        }
    }
    println!(
        "in flight: {WORKERS}, of which committed: {committed}; rows: {}",
        rows.len()
    );
    rows
}

fn add(rows: &mut Rows, sent: Sent) {
    rows.extend(
        sent.into_iter()
            .map(|i| ((i.workspace, i.plugin), i.source)),
    );
}

/// Reading through the indexes finds the same rows, and each has its workspace.
fn check_indexes(cluster: &Cluster, rows: usize) {
    let mut client = cluster.connect(DATABASE);
    client.batch_execute("SET enable_seqscan = off").unwrap();
    let found = "SELECT count(*) FROM workspace_plugins AS p
         JOIN plugin_workspaces AS w USING (workspace_id)
         WHERE EXISTS (SELECT FROM workspace_plugins AS s
             WHERE s.workspace_id = p.workspace_id AND s.plugin_name = p.plugin_name)";
    let found: i64 = client.query_one(found, &[]).unwrap().get(0);
    assert_eq!(usize::try_from(found), Ok(rows));
}
