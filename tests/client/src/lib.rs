//! What the tests in `tests/` share: throwaway servers, and the calls that most tests make.
//!
//! | file | purpose |
//! |---|---|
//! | `cluster` | a server of its own for a test: start, stop, kill, standby |
//! | `tools` | running the server's programs, as the user that may run them |
//! | `processes` | the processes of a server, by its data directory |
//! | `connections` | many of them at once |
//! | `calls` | registering, recording, and reading what is stored |
//! | `outcome` | how a statement ended, as a test compares it |
//! | `same` | comparing long lists |
//! | `worker` | the example of how a worker that applies updates is written |
//! | `drift` | a model of what has drifted, and random statements to try it on |
//! | `queue` | what ought to stand in the queue of updates, by that model |
//!
//! The extension has to be installed into the server that `PG_CONFIG` (default: `pg_config`) names.
#![allow(
    clippy::missing_panics_doc,
    reason = "a test's helper panics wherever something is not as it should be"
)]

mod calls;
mod cluster;
mod connections;
pub mod drift;
mod outcome;
mod processes;
mod queue;
mod same;
mod tools;
pub mod worker;

pub use calls::{
    Install, RECORD, batch, new_id, record, register, registered, stored, try_batch, try_record,
};
pub use cluster::{Cluster, DATABASE, EXTENSION, SUPERUSER};
pub use connections::on_connections;
pub use outcome::{every_field, outcome};
pub use processes::peak_memory;
pub use queue::{check_queue, detect, none, settle_queue, try_none};
pub use same::assert_same;
