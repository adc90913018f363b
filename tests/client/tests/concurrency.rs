//! Many connections that record the same plugins at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use client_tests::{
    Cluster, DATABASE, Install, RECORD, assert_same, batch, on_connections, outcome, record,
    register, registered, stored, try_batch, try_record,
};
use postgres::Client;
use rand::seq::SliceRandom;
use uuid::Uuid;

fn install(workspace: Uuid, plugin: &str, source: impl Into<String>) -> Install {
    Install {
        workspace,
        plugin: plugin.to_owned(),
        source: source.into(),
    }
}

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 15;

#[test]
fn one_key_and_many_from_64_connections() {
    let cluster = Cluster::with_extension(&[("max_connections", "80")]);
    let mut client = cluster.connect(DATABASE);
    let workspace = registered(&mut client);
    let own = |worker, round| install(workspace, &format!("{worker}/{round}"), "own");

    let first_installs = on_connections(&cluster, DATABASE, CONNECTIONS, |worker, client| {
        (0..ROUNDS)
            .map(|round| {
                record(client, &own(worker, round));
                let source = format!("{worker}/{round}");
                let row = client.query_one(RECORD, &[&workspace, &"shared", &source]);
                row.unwrap().get::<_, SystemTime>(0)
            })
            .collect::<Vec<_>>()
    });

    let times: BTreeSet<_> = first_installs.into_iter().flatten().collect();
    assert_eq!(times.len(), 1, "one first install, kept by all later ones");
    let kept = "SELECT installed_at FROM workspace_plugins WHERE plugin_name = 'shared'";
    let kept: SystemTime = client.query_one(kept, &[]).unwrap().get(0);
    assert!(times.contains(&kept));

    let mut rows = stored(&mut client);
    let winner = rows.remove(&(workspace, "shared".to_owned())).unwrap();
    // The last write of all is the last of its own connection too.
    let last_round = format!("/{}", ROUNDS - 1);
    assert!(winner.ends_with(&last_round), "{winner}");
    let keys = (0..CONNECTIONS).flat_map(|w| (0..ROUNDS).map(move |r| (w, r)));
    let expected: BTreeMap<_, _> = keys
        .map(|(worker, round)| own(worker, round))
        .map(|i| ((i.workspace, i.plugin), i.source))
        .collect();
    assert_same(rows, expected, "rows");
}

/// Each batch holds every key, in an order of its own, some of them twice.
#[test]
fn batches_in_random_orders_do_not_deadlock() {
    let cluster = Cluster::with_extension(&[("deadlock_timeout", "20ms")]);
    let mut client = cluster.connect(DATABASE);
    let workspaces: Vec<_> = (0..5).map(|_| registered(&mut client)).collect();
    let keys: Vec<_> = (0..200)
        .map(|n| (workspaces[n % 5], format!("p{n}")))
        .collect();

    on_connections(&cluster, DATABASE, 16, |worker, client| {
        for round in 0..12 {
            let source = format!("{worker}/{round}");
            let mut installs: Vec<_> = keys
                .iter()
                .chain(&keys[..50])
                .map(|(workspace, plugin)| install(*workspace, plugin, &*source))
                .collect();
            installs.shuffle(&mut rand::rng());
            assert_eq!(batch(client, &installs), 200);
        }
    });

    let rows = stored(&mut client);
    assert!(rows.keys().eq(&keys.into_iter().collect::<BTreeSet<_>>()));
    // Whole batches follow each other: all rows are of the last one.
    let sources: BTreeSet<_> = rows.values().collect();
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert!(!cluster.log().contains("deadlock detected"));
}

/// A batch finds its workspaces, or finds one missing: nothing else, and nothing half done.
#[test]
fn batches_and_records_while_workspaces_come_and_go() {
    let cluster = Cluster::with_extension(&[("deadlock_timeout", "20ms")]);
    let mut client = cluster.connect(DATABASE);
    let workspaces: Vec<_> = (0..4).map(|_| registered(&mut client)).collect();

    let outcomes = on_connections(&cluster, DATABASE, 10, |worker, client| {
        let mut outcomes = BTreeSet::new();
        for round in 0..60 {
            let mut installs: Vec<_> = (0..40)
                .map(|n| install(workspaces[n % 4], &format!("p{n}"), "s"))
                .collect();
            installs.shuffle(&mut rand::rng());
            outcomes.insert(match worker {
                0 | 1 => come_and_go(client, workspaces[(worker + round) % 4]),
                2..6 => outcome(&try_record(client, &installs[0])),
                _ => outcome(&try_batch(client, &installs)),
            });
        }
        outcomes
    });

    let outcomes: BTreeSet<_> = outcomes.into_iter().flatten().collect();
    let possible: BTreeSet<_> = ["ok", "23503"].map(str::to_owned).into();
    assert_eq!(outcomes, possible);
}

fn come_and_go(client: &mut Client, workspace: Uuid) -> String {
    let forget = "SELECT unregister_plugin_workspace($1)";
    let result = client.execute(forget, &[&workspace]);
    register(client, workspace);
    outcome(&result)
}
