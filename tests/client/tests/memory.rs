//! What a big batch costs the backend that runs it.
//!
//! The server's own parser takes more than ten times a JSON text's size to make a `jsonb` of it.
//! What is bounded here is what the function takes, of a batch that is `jsonb` already; what both
//! take together is shown.

use client_tests::{Cluster, DATABASE, peak_memory};
use postgres::Client;

const INSTALLS: i64 = 100_000;
/// Of the input's size.
const MOST: i64 = 10;

const BATCHES: &str = "
    CREATE TABLE batches (size bigint, json jsonb, text text);
    SELECT register_plugin_workspace(lpad(n::text, 32, '0')::uuid) FROM generate_series(0, 199) AS n;
    INSERT INTO batches (size, json)
    SELECT size, jsonb_agg(jsonb_build_object(
        'workspace_id', lpad((n % 200)::text, 32, '0')::uuid,
        'plugin_name', 'plugin-' || n,
        'source_raw', format('github://owner-%s/repository#v1.%s.0', n % 1000, n % 20),
        'track', 'tag:latest',
        'installed_sha', lpad(n::text, 40, '0')))
    FROM unnest('{100, 100000}'::int[]) AS size, generate_series(1, size) AS n
    GROUP BY size;
    UPDATE batches SET text = json";

#[test]
fn a_big_batch_takes_a_few_times_its_own_size() {
    // Few shared buffers: those that a backend touches count as its memory.
    let cluster = Cluster::with_extension(&[("shared_buffers", "4MB"), ("max_wal_size", "4GB")]);
    let mut setup = cluster.connect(DATABASE);
    setup.batch_execute(BATCHES).unwrap();
    let size = "SELECT octet_length(text)::bigint FROM batches WHERE size = $1";
    let size: i64 = setup.query_one(size, &[&INSTALLS]).unwrap().get(0);

    // New rows, then the same again: inserting and updating take different paths.
    for what in ["inserted", "updated"] {
        let grown = growth(&cluster, "record_workspace_plugin_installs(json)");
        show(what, grown, size);
        assert!(grown < MOST * size, "more than {MOST} times the input");
    }
    for (what, call) in [
        (
            "parsed by the server",
            "jsonb_array_length(text::jsonb)::bigint",
        ),
        (
            "parsed and updated",
            "record_workspace_plugin_installs(text::jsonb)",
        ),
    ] {
        show(what, growth(&cluster, call), size);
    }
}

/// By how much a backend's most memory grows from a small batch to the one with all installs.
fn growth(cluster: &Cluster, call: &str) -> i64 {
    let call = format!("SELECT {call} FROM batches WHERE size = $1");
    let mut client = cluster.connect(DATABASE);
    let mut peak_after = |installs: i64| {
        let found: i64 = client.query_one(&call, &[&installs]).unwrap().get(0);
        assert_eq!(found, installs);
        peak(&mut client)
    };
    let before = peak_after(100);
    peak_after(INSTALLS) - before
}

/// The most memory that the connection's backend has had.
fn peak(client: &mut Client) -> i64 {
    let backend = client.query_one("SELECT pg_backend_pid()", &[]).unwrap();
    i64::try_from(peak_memory(backend.get(0))).unwrap()
}

fn show(what: &str, grown: i64, size: i64) {
    println!(
        "{INSTALLS} installs {what}: {} MB of JSON, {} MB of memory: {}.{} times",
        size >> 20,
        grown >> 20,
        grown / size,
        grown * 10 / size % 10
    );
}
