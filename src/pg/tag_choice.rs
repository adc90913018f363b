//! `resolve_tag`.

use pgrx::prelude::*;

use std::cmp::Ordering;

use crate::tag_choice;

/// The tag that a tracked ref means, out of those that there are; NULL for none.
#[pg_extern(sql = false)]
fn resolve_tag(
    wanted: Option<&str>,
    tags: Option<Array<'_, &str>>,
    installed: Option<&str>,
) -> Option<String> {
    let (wanted, tags) = (wanted?, tags?);
    tag_choice::resolve(wanted, tags.iter().flatten(), installed).map(str::to_owned)
}

/// Where the target tag stands to the installed one: `above`, `equal`, `below` or `jump`.
#[pg_extern(sql = false)]
fn compare_plugin_versions(tracked: &str, installed: &str, target: &str) -> Option<&'static str> {
    let stream = tag_choice::stream(tracked)?;
    let prefix = stream.strip_prefix("tag:")?.strip_suffix('*')?;
    let is_jump = || tag_choice::resolve(&stream, [target], Some(installed)).is_none();
    match tag_choice::compare_versions(prefix, target, installed)? {
        Ordering::Greater if is_jump() => Some("jump"),
        Ordering::Greater => Some("above"),
        Ordering::Equal => Some("equal"),
        Ordering::Less => Some("below"),
    }
}

/// The whole stream of a range, as a tracked ref.
#[pg_extern(sql = false)]
fn tracked_ref_stream(tracked: &str) -> Option<String> {
    tag_choice::stream(tracked)
}
