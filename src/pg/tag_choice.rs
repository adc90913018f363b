//! `resolve_tag`.

use pgrx::prelude::*;

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
