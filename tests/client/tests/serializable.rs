//! Isolation levels above the default: conflicts surface as 40001, and what was committed is what
//! some order of the transactions, one after the other, would have left.

use std::thread;

use client_tests::{Cluster, Install, outcome, record, registered, stored, try_batch, try_record};
use postgres::{Client, Error, IsolationLevel, Transaction};
use uuid::Uuid;

const THREADS: usize = 6;
const EACH: usize = 25;

/// Each transaction reads two counters and sets one of them, by turns, to one above the higher.
/// One after the other, they count: two that had read the same would lose one.
#[test]
fn committed_transactions_follow_each_other() {
    let cluster = Cluster::shared();
    let database = cluster.new_database();
    let mut client = cluster.connect(&database);
    let workspace = registered(&mut client);

    let retried: usize = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|worker| {
                let mut client = cluster.connect(&database);
                scope.spawn(move || count_up(&mut client, workspace, worker))
            })
            .collect();
        workers.into_iter().map(|w| w.join().unwrap()).sum()
    });

    println!("{} committed, {retried} refused with 40001", THREADS * EACH);
    let highest = stored(&mut client)
        .values()
        .map(|n| n.parse().unwrap())
        .max();
    assert_eq!(highest, Some(THREADS * EACH));
    assert!(
        retried > 0,
        "no two transactions were at work at the same time"
    );
}

/// Gives how often the server refused.
fn count_up(client: &mut Client, workspace: Uuid, worker: usize) -> usize {
    let (mut committed, mut refused) = (0, 0);
    while committed < EACH {
        match outcome(&count_once(client, workspace, worker + committed)).as_str() {
            "ok" => committed += 1,
            "40001" => refused += 1,
            other => panic!("{other}"),
        }
    }
    refused
}

fn count_once(client: &mut Client, workspace: Uuid, turn: usize) -> Result<(), Error> {
    let mut transaction = begin(client, IsolationLevel::Serializable)?;
    let read = "SELECT COALESCE(max(source_raw::bigint), 0) FROM workspace_plugins";
    let highest: i64 = transaction.query_one(read, &[])?.get(0);
    let install = Install {
        workspace,
        plugin: format!("counter {}", turn % 2),
        source: (highest + 1).to_string(),
    };
    if turn.is_multiple_of(3) {
        try_batch(&mut transaction, &[install])?;
    } else {
        try_record(&mut transaction, &install)?;
    }
    transaction.commit()
}

fn begin(client: &mut Client, level: IsolationLevel) -> Result<Transaction<'_>, Error> {
    client.build_transaction().isolation_level(level).start()
}

/// A transaction whose snapshot is older than another's write cannot overwrite that.
#[test]
fn a_later_write_surfaces_as_40001() {
    let cluster = Cluster::shared();
    let database = cluster.new_database();
    let (mut late, mut early) = (cluster.connect(&database), cluster.connect(&database));
    let workspace = registered(&mut early);
    let install = |source: &str| Install {
        workspace,
        plugin: "p".to_owned(),
        source: source.to_owned(),
    };
    for (round, level) in [IsolationLevel::RepeatableRead, IsolationLevel::Serializable]
        .into_iter()
        .enumerate()
    {
        for by_batch in [false, true] {
            let mut transaction = begin(&mut late, level).unwrap();
            transaction
                .batch_execute("SELECT count(*) FROM workspace_plugins")
                .unwrap();
            let first = format!("early {round} {by_batch}");
            record(&mut early, &install(&first));
            let result = if by_batch {
                outcome(&try_batch(&mut transaction, &[install("late")]))
            } else {
                outcome(&try_record(&mut transaction, &install("late")))
            };
            assert_eq!(result, "40001");
            transaction.rollback().unwrap();
            assert!(stored(&mut late).values().eq([&first]));
        }
    }
    // The session is as good as new.
    record(&mut late, &install("at last"));
}
