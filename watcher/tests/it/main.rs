//! The watcher against servers that nobody here wrote, against such as nobody wants, and many of it
//! at the same time. `PG_CONFIG` says which PostgreSQL; `make check-watcher` sets up the rest.

mod commands;
mod credentials;
mod database;
mod faults;
mod sharing;
mod support;
mod transports;
