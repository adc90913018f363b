//! A worker as a process of its own, which can be killed. It applies updates by noting them in the
//! table `effects`, fails now and then, and ends when its standard input does.
//!
//! Arguments: the folder of the server's socket, the database, the worker's name and a seed.

use std::io::Read;
use std::thread::{self, sleep};
use std::time::Duration;
use std::{env, process};

use client_tests::SUPERUSER;
use client_tests::worker::{Outcome, Update, Worker};
use postgres::{Client, Config, Error, NoTls};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Of 1000 updates.
const NOT_RETRYABLE: u32 = 10;
const RETRYABLE: u32 = 80;
const DELIVERED: u32 = 50;
/// Applied, but reported so late that others have them.
const OVERSLEPT: u32 = 2;

/// Between two looks for a server or for something to do.
const PAUSE: Duration = Duration::from_millis(20);

fn main() {
    thread::spawn(|| {
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        process::exit(0);
    });
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [socket_dir, database, name, seed] = &arguments[..] else {
        panic!("arguments: socket folder, database, name, seed");
    };
    let mut config = Config::new();
    config
        .host_path(socket_dir)
        .user(SUPERUSER)
        .dbname(database);
    let mut rng = StdRng::seed_from_u64(seed.parse().expect("a number"));
    let worker = Worker {
        name: name.clone(),
        updates: rng.random_range(1..=20),
        lease: Duration::from_secs(2),
        reports_together: rng.random_bool(0.5),
    };
    loop {
        // The server may be gone for a while; what was claimed before is handed out again.
        if let Ok(mut client) = config.connect(NoTls) {
            while work(&worker, &mut client, &mut rng).is_ok() {}
        }
        sleep(PAUSE);
    }
}

fn work(worker: &Worker, client: &mut Client, rng: &mut StdRng) -> Result<(), Error> {
    let claimed = worker.turn(client, |client, update| apply(worker, client, update, rng))?;
    if claimed == 0 {
        sleep(PAUSE);
    }
    Ok(())
}

fn apply(
    worker: &Worker,
    client: &mut Client,
    update: &Update,
    rng: &mut StdRng,
) -> Result<Outcome, Error> {
    let chance = rng.random_range(0..1000);
    if chance < NOT_RETRYABLE + RETRYABLE {
        return Ok(Outcome::Failed {
            error: "no luck".to_owned(),
            is_retryable: chance >= NOT_RETRYABLE,
        });
    }
    let note = "INSERT INTO effects (workspace_id, plugin_name, sha, id, token, worker)
         VALUES ($1, $2, $3, $4, $5, $6)";
    let Update {
        id,
        workspace,
        plugin,
        target,
        token,
        ..
    } = update;
    client.execute(note, &[workspace, plugin, target, id, token, &worker.name])?;
    if rng.random_range(0..1000) < OVERSLEPT {
        sleep(worker.lease * 5 / 4);
    }
    let is_delivered = rng.random_range(0..1000) < DELIVERED;
    Ok(if is_delivered {
        Outcome::Delivered
    } else {
        Outcome::Applied
    })
}
