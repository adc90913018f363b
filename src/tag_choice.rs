//! Which of a repository's tags a tracked ref means.
//!
//! The same tags give the same answer in whatever order they come, in one pass over them.
//!
//! # Stages
//!
//! 1. The highest stable version: strict Semantic Versioning 2.0.0 after an optional `v` or `V`.
//! 2. If the stream has none: its highest pre-release.
//! 3. If it has no strict version at all: the highest name of one to three numeric parts.
//!
//! # Total ordering
//!
//! Precedence by that standard, or the numbers of a numeric name; then build metadata, none being
//! lowest; then the bytes of the tag.

mod name;
mod wanted;

#[cfg(test)]
mod tests;

use name::{Name, Numbers};
use semver::Version;
use std::cmp::Ordering;
pub use wanted::{Range, Stream, Wanted, split_range};

/// A higher jump than this is a switch to calendar versions, not an update.
const MAX_MAJORS_ABOVE_INSTALLED: u64 = 500;

/// The tag that `wanted`, a canonical tracked ref, means among `tags`.
///
/// `None` if there is no such tag, or if `wanted` is not a `tag:`. With `installed`, versions of
/// its stream that are more than 500 majors above it do not count. A choice below `installed` is
/// returned like any other: the caller decides what that means.
#[must_use]
pub fn resolve<'a>(
    wanted: &str,
    tags: impl IntoIterator<Item = &'a str>,
    installed: Option<&str>,
) -> Option<&'a str> {
    match Wanted::parse(wanted.strip_prefix("tag:")?)? {
        Wanted::Exact(name) => tags.into_iter().find(|tag| *tag == name && is_legal(tag)),
        Wanted::Stream(stream) => highest(&stream, tags, installed),
    }
}

/// The whole stream that a tracked ref is a range of: `tag:plugin-a/*` for `tag:plugin-a/^1.2`.
/// `None` where it is no range, or one that cannot be read.
#[must_use]
pub fn stream(wanted: &str) -> Option<String> {
    match Wanted::parse(wanted.strip_prefix("tag:")?)? {
        Wanted::Stream(stream) => Some(format!("tag:{}*", stream.prefix)),
        Wanted::Exact(_) => None,
    }
}

/// Compares two tags of the stream with this prefix by precedence, that is without their build
/// metadata; `None` if one of them is not in it.
#[must_use]
pub fn compare_versions(prefix: &str, a: &str, b: &str) -> Option<Ordering> {
    let (a, b) = (Name::parse(prefix, a)?, Name::parse(prefix, b)?);
    Some(a.cmp_precedence(&b))
}

fn highest<'a>(
    stream: &Stream<'_>,
    tags: impl IntoIterator<Item = &'a str>,
    installed: Option<&str>,
) -> Option<&'a str> {
    let highest_major = installed
        .and_then(|tag| Name::parse(stream.prefix, tag))
        .map_or(u64::MAX, |name| {
            name.major().saturating_add(MAX_MAJORS_ABOVE_INSTALLED)
        });
    let mut best = Best::default();
    for tag in tags {
        if let Some(name) = Name::parse(stream.prefix, tag)
            && name.major() <= highest_major
        {
            best.offer(name, tag, &stream.range);
        }
    }
    best.tag()
}

/// The highest tag of each stage so far.
#[derive(Default)]
struct Best<'a> {
    stable: Option<(Version, &'a str)>,
    prerelease: Option<(Version, &'a str)>,
    numeric: Option<(Numbers<'a>, &'a str)>,
}

impl<'a> Best<'a> {
    fn offer(&mut self, name: Name<'a>, tag: &'a str, range: &Range) {
        match (name, range) {
            (Name::Strict(version), Range::Within(range)) => {
                if version.pre.is_empty() && range.matches(&version) {
                    raise(&mut self.stable, version, tag);
                }
            }
            (Name::Strict(version), Range::Any) => {
                let is_stable = version.pre.is_empty();
                let stage = if is_stable {
                    &mut self.stable
                } else {
                    &mut self.prerelease
                };
                raise(stage, version, tag);
            }
            (Name::Numeric(numbers), Range::Any) => raise(&mut self.numeric, numbers, tag),
            (Name::Numeric(_), Range::Within(_)) => {}
        }
    }

    fn tag(&self) -> Option<&'a str> {
        let strict = self.stable.as_ref().or(self.prerelease.as_ref());
        let numeric = || self.numeric.as_ref().map(|(_, tag)| *tag);
        strict.map(|(_, tag)| *tag).or_else(numeric)
    }
}

/// Puts `tag` into `best` if it is higher and a legal name, which is looked at last: it costs most.
fn raise<'a, K: Ord>(best: &mut Option<(K, &'a str)>, key: K, tag: &'a str) {
    let candidate = (key, tag);
    if best.as_ref().is_none_or(|held| *held < candidate) && is_legal(tag) {
        *best = Some(candidate);
    }
}

/// Whether git would take this as the name of a tag.
fn is_legal(tag: &str) -> bool {
    gix_validate::tag::name(tag.into()).is_ok()
}
