//! Which plugin is installed in which workspace, which upstream ref it follows, and what has drifted.
//!
//! | room | what is in it |
//! |---|---|
//! | [`tracked_ref`] | the value that says which upstream ref an install follows |
//! | [`commit_sha`] | full commit ids |
//! | [`source`] | where a plugin comes from: the identity of its repository, and what a source must not hold |
//! | [`tag_choice`] | which of a repository's tags a tracked ref means |
//! | [`install`], [`install_batch`] | what a caller says was installed, one or many, and the rules for it |
//! | [`git_refs`] | the refs of a repository, as `git ls-remote` answers them |
//! | [`webhook`] | what the webhooks of git hosts say |
//! | [`quoted`] | how error texts show what the user sent |
//! | `pg` | the functions that SQL calls; the SQL itself is in `sql/` |
//!
//! All but `pg` is plain Rust without a server.

pub mod commit_sha;
pub mod git_refs;
pub mod install;
pub mod install_batch;
pub mod quoted;
pub mod source;
pub mod tag_choice;
pub mod tracked_ref;
pub mod webhook;

#[cfg(feature = "server")]
mod pg;

/// What pgrx's test runner asks for.
#[cfg(all(test, feature = "pg_test"))]
pub mod pg_test {
    pub fn setup(_options: Vec<&str>) {}

    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        Vec::new()
    }
}
