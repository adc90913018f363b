//! Many connections at once.

use std::sync::Barrier;
use std::thread;

use postgres::Client;

use crate::Cluster;

/// Runs `work` on connections of their own, which begin together, and gives what each found.
pub fn on_connections<R: Send>(
    cluster: &Cluster,
    database: &str,
    connections: usize,
    work: impl Fn(usize, &mut Client) -> R + Sync,
) -> Vec<R> {
    let connected = Barrier::new(connections);
    let run = |worker| {
        let mut client = cluster.connect(database);
        connected.wait();
        work(worker, &mut client)
    };
    let run = &run;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..connections)
            .map(|worker| scope.spawn(move || run(worker)))
            .collect();
        workers.into_iter().map(|w| w.join().unwrap()).collect()
    })
}
