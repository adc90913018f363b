//! Versions as the names of tags.

use std::cmp::Ordering;

use semver::{Version, VersionReq};

/// A jump of more majors than this is a change of scheme.
const HIGHEST_JUMP: u64 = 500;

/// Tags that share a prefix, and the part of them that is wanted.
pub struct Stream<'a> {
    prefix: &'a str,
    /// `None`: all of them.
    range: Option<VersionReq>,
}

impl<'a> Stream<'a> {
    /// Reads what stands behind `tag:`. `None`: the name of one tag. An error: not a range.
    pub fn parse(value: &'a str) -> Option<Result<Self, ()>> {
        let (prefix, range) = match value {
            "latest" => ("", "*"),
            _ if value.contains(['^', '~', '*']) => split(value),
            _ => return None,
        };
        let range = match range {
            "*" => None,
            range => match VersionReq::parse(range) {
                Ok(range) => Some(range),
                Err(_) => return Some(Err(())),
            },
        };
        Some(Ok(Self { prefix, range }))
    }

    /// The highest of the tags that are wanted, for who has `installed`.
    pub fn newest<'t>(&self, tags: &[&'t str], installed: Option<&str>) -> Option<&'t str> {
        let highest_major = installed.map_or(u64::MAX, |tag| {
            let version = self.read(tag).expect("a tag of the stream").version;
            version.major.saturating_add(HIGHEST_JUMP)
        });
        let mut all: Vec<Named<'t>> = tags.iter().filter_map(|tag| self.read(tag)).collect();
        all.retain(|named| named.version.major <= highest_major);
        if let Some(range) = &self.range {
            all.retain(|named| named.is_stable() && range.matches(&named.version));
        } else if all.iter().any(Named::is_stable) {
            all.retain(Named::is_stable);
        } else if all.iter().any(|named| named.is_strict) {
            all.retain(|named| named.is_strict);
        }
        all.sort_by(|a, b| (&a.version, a.tag).cmp(&(&b.version, b.tag)));
        all.last().map(|named| named.tag)
    }

    /// The highest version that any of these tags gives to a commit that had them all.
    pub fn version_of<'t>(&self, tags: &[&'t str]) -> Option<&'t str> {
        let whole = Stream {
            prefix: self.prefix,
            range: None,
        };
        whole.newest(tags, None)
    }

    pub fn compare(&self, a: &str, b: &str) -> Ordering {
        let [a, b] = [a, b].map(|tag| self.read(tag).expect("a tag of the stream").version);
        a.cmp_precedence(&b)
    }

    fn read<'t>(&self, tag: &'t str) -> Option<Named<'t>> {
        let name = tag.strip_prefix(self.prefix)?;
        let name = name.strip_prefix(['v', 'V']).unwrap_or(name);
        let strict = Version::parse(name).ok();
        Some(Named {
            tag,
            is_strict: strict.is_some(),
            version: strict.or_else(|| numeric(name))?,
        })
    }
}

struct Named<'t> {
    tag: &'t str,
    is_strict: bool,
    version: Version,
}

impl Named<'_> {
    fn is_stable(&self) -> bool {
        self.is_strict && self.version.pre.is_empty()
    }
}

/// One to three numbers; missing ones are 0.
fn numeric(name: &str) -> Option<Version> {
    let parts = name.split('.').map(str::parse);
    let parts: Vec<u64> = parts.collect::<Result<_, _>>().ok()?;
    match parts[..] {
        [major] => Some(Version::new(major, 0, 0)),
        [major, minor] => Some(Version::new(major, minor, 0)),
        [major, minor, patch] => Some(Version::new(major, minor, patch)),
        _ => None,
    }
}

/// The prefix of a stream, and the range.
fn split(value: &str) -> (&str, &str) {
    if let Some(caret_or_tilde) = value.find(['^', '~']) {
        return value.split_at(caret_or_tilde);
    }
    let is_of_range = |c: char| c.is_ascii_digit() || c == '.' || c == '*';
    value.split_at(value.trim_end_matches(is_of_range).len())
}
