//! Numbers for Prometheus.

use std::net::SocketAddr;
use std::time::Duration;

use metrics::{
    counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
    set_global_recorder,
};
use metrics_exporter_prometheus::{ExporterFuture, PrometheusBuilder};

use crate::failure::Kind;

const OBSERVATIONS: &str = "workspace_plugins_watch_observations_total";
const FAILURES: &str = "workspace_plugins_watch_failures_total";
const DATABASE_ERRORS: &str = "workspace_plugins_watch_database_errors_total";
const REQUESTS: &str = "workspace_plugins_watch_requests_total";
const BYTES: &str = "workspace_plugins_watch_received_bytes_total";
const SECONDS: &str = "workspace_plugins_watch_seconds";
const RUNNING: &str = "workspace_plugins_watch_running";

const BUCKETS: [f64; 11] = [
    0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0,
];

/// Starts to count, and gives what has to run for the numbers to be served.
///
/// # Errors
/// The address cannot be bound.
pub fn serve(address: SocketAddr) -> Result<ExporterFuture, String> {
    let cannot = |error: &dyn std::fmt::Display| format!("metrics on {address}: {error}");
    // The exporter binds when it is first run, which is too late to tell anybody.
    drop(std::net::TcpListener::bind(address).map_err(|error| cannot(&error))?);
    let builder = PrometheusBuilder::new()
        .with_http_listener(address)
        .set_buckets(&BUCKETS)
        .map_err(|error| cannot(&error))?;
    let (recorder, exporter) = builder.build().map_err(|error| cannot(&error))?;
    set_global_recorder(recorder).map_err(|error| cannot(&error))?;
    describe();
    Ok(exporter)
}

fn describe() {
    describe_counter!(
        OBSERVATIONS,
        "Answers handed to the database, by what it made of them"
    );
    describe_counter!(
        FAILURES,
        "Repositories that could not be looked at, by kind"
    );
    describe_counter!(DATABASE_ERRORS, "Statements that the database did not take");
    describe_counter!(REQUESTS, "Connections and HTTP requests to servers of git");
    describe_counter!(BYTES, "Bytes of answers of git");
    describe_histogram!(SECONDS, "How long repositories took to answer, or to fail");
    describe_gauge!(RUNNING, "Repositories that are being asked");
}

pub fn observed(outcome: &str) {
    counter!(OBSERVATIONS, "outcome" => outcome.to_owned()).increment(1);
}

pub fn failed(kind: Kind) {
    counter!(FAILURES, "kind" => kind.name()).increment(1);
}

pub fn database_error() {
    counter!(DATABASE_ERRORS).increment(1);
}

pub fn asked(requests: u64, bytes: u64, took: Duration) {
    counter!(REQUESTS).increment(requests);
    counter!(BYTES).increment(bytes);
    histogram!(SECONDS).record(took.as_secs_f64());
}

#[expect(clippy::cast_precision_loss, reason = "they are few")]
pub fn running(count: usize) {
    gauge!(RUNNING).set(count as f64);
}
