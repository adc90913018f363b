//! Asks the git repositories that `pg_workspace_plugins` tracks what refs they have, and hands the
//! answers to the database, which decides and remembers.
//!
//! | room | what is in it |
//! |---|---|
//! | [`config`] | what an operator may set |
//! | [`location`] | where a source is asked |
//! | [`network`] | which schemes and addresses may be reached |
//! | [`git`] | asking a repository for its refs |
//! | [`failure`] | why one could not be looked at |
//! | [`database`] | what is due, and what came of it |
//! | [`group`], [`watch`] | many repositories at the same time |
//! | [`check`], [`status`] | the commands that only show |
//! | [`output`], [`metrics`] | what is told meanwhile |

pub mod check;
pub mod config;
pub mod database;
pub mod failure;
pub mod git;
pub mod group;
pub mod location;
pub mod metrics;
pub mod network;
pub mod output;
pub mod status;
pub mod watch;
