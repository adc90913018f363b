//! What a tracked ref asks for: one tag, or the highest of a stream.

use semver::VersionReq;

/// The text after `tag:`, understood.
pub enum Wanted<'a> {
    /// The tag of exactly this name.
    Exact(&'a str),
    /// The highest tag of a stream.
    Stream(Stream<'a>),
}

/// The tags whose names are `prefix` and a version. Streams are never mixed or guessed.
pub struct Stream<'a> {
    /// What every name of the stream starts with.
    pub prefix: &'a str,
    /// Which of its versions count.
    pub range: Range,
}

/// Which versions of a stream count.
pub enum Range {
    /// `latest` and `*`: all, pre-releases and numeric names in the absence of anything better.
    Any,
    /// Stable strict versions that match.
    Within(VersionReq),
}

impl<'a> Wanted<'a> {
    /// Reads the text after `tag:`. `None` for a range that is none.
    #[must_use]
    pub fn parse(value: &'a str) -> Option<Self> {
        let (prefix, range) = match split_range(value) {
            Some((prefix, "*")) => (prefix, Range::Any),
            Some((prefix, range)) => (prefix, Range::Within(VersionReq::parse(range).ok()?)),
            None if value == "latest" => ("", Range::Any),
            None => return Some(Self::Exact(value)),
        };
        Some(Self::Stream(Stream { prefix, range }))
    }
}

/// Splits the text after `tag:` into the prefix of a stream and a range of versions.
///
/// `None` for the name of a tag: no such name can hold one of `^`, `~`, `*`, of which the first
/// tells where the range starts: right there, or for `*` with up to two numbers, each with its
/// dot, before it (`1.*`, `1.2.*`).
#[must_use]
pub fn split_range(value: &str) -> Option<(&str, &str)> {
    let mut start = value.find(['^', '~', '*'])?;
    if value[start..].starts_with('*') {
        start = before_number(value, before_number(value, start));
    }
    Some(value.split_at(start))
}

/// Where the number and the dot that end at `end` start; `end` if there are none.
fn before_number(value: &str, end: usize) -> usize {
    let Some(head) = value[..end].strip_suffix('.') else {
        return end;
    };
    let before = head.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    if before == head.len() { end } else { before }
}
