//! `validate_tracked_ref`, `tracked_ref_kind`, `tracked_ref_value`.

use pgrx::prelude::*;

use super::report::raise;
use crate::tracked_ref;

/// The canonical form of a track value; SQLSTATE 22023 where there is none.
#[pg_extern(sql = false)]
fn validate_tracked_ref(track: &str) -> &str {
    match tracked_ref::canonicalize(track.as_bytes()) {
        Ok(canonical) => text(canonical),
        Err(error) => raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            error.to_string(),
            None,
            "validate_tracked_ref",
        ),
    }
}

/// `none`, `tag`, `latest`, `range`, `sha` or `ref`.
#[pg_extern(sql = false)]
fn tracked_ref_kind(track: &str) -> Option<&'static str> {
    tracked_ref::parse(track.as_bytes()).map(tracked_ref::TrackedRef::kind)
}

/// What stands behind the colon; NULL for `none`.
#[pg_extern(sql = false)]
fn tracked_ref_value(track: &str) -> Option<&str> {
    tracked_ref::parse(track.as_bytes())?.value().map(text)
}

/// The parser cuts a text only at character boundaries.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("a part of a text between characters")
}
