//! The value that says which upstream ref an install follows.
//!
//! # Syntax
//!
//! ```text
//! none | tag:<value> | sha:<value> | ref:<value>        <value>: at least one character
//! ```
//!
//! The rule is structural: whether a tag or a commit exists, or could exist, is not asked here.
//! A canonical value carries no white space at its ends; white space is Unicode's `White_Space`.
//!
//! Everything works on bytes, so that a valid value is recognised without decoding or copying it.

use std::fmt;

/// A parsed canonical value, borrowed from the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackedRef<'a> {
    /// `none`: not tracked.
    None,
    /// `tag:<name>`: that exact tag.
    Tag(&'a [u8]),
    /// `tag:latest`: the highest version tag.
    Latest,
    /// `tag:[<prefix>]<range>`: the highest tag of a stream inside a range.
    Range(&'a [u8]),
    /// `sha:<hex>`: pinned to a commit.
    Sha(&'a [u8]),
    /// `ref:<name>`: a branch or any other ref.
    Ref(&'a [u8]),
}

impl<'a> TrackedRef<'a> {
    /// The word that `tracked_ref_kind` answers.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tag(_) => "tag",
            Self::Latest => "latest",
            Self::Range(_) => "range",
            Self::Sha(_) => "sha",
            Self::Ref(_) => "ref",
        }
    }

    /// What stands behind the colon; nothing for `none`.
    #[must_use]
    pub fn value(self) -> Option<&'a [u8]> {
        match self {
            Self::None => None,
            Self::Latest => Some(LATEST),
            Self::Tag(value) | Self::Range(value) | Self::Sha(value) | Self::Ref(value) => {
                Some(value)
            }
        }
    }
}

const NONE: &[u8] = b"none";
const LATEST: &[u8] = b"latest";

/// Parses a canonical value; nothing where the text is not canonical.
#[must_use]
pub fn parse(text: &[u8]) -> Option<TrackedRef<'_>> {
    if !is_canonical(text) {
        return None;
    }
    Some(match text.split_at_checked(4) {
        Some((b"tag:", value)) => tag(value),
        Some((b"sha:", value)) => TrackedRef::Sha(value),
        Some((b"ref:", value)) => TrackedRef::Ref(value),
        _ => TrackedRef::None,
    })
}

/// Whether the text is a canonical value. This is the hot path of the domain's CHECK.
#[inline]
#[must_use]
pub fn is_canonical(text: &[u8]) -> bool {
    match text {
        [b't', b'a', b'g', b':', value @ ..]
        | [b's', b'h', b'a', b':', value @ ..]
        | [b'r', b'e', b'f', b':', value @ ..] => {
            !value.is_empty() && trailing_white_space(value) == 0
        }
        _ => text == NONE,
    }
}

/// The canonical form of what a user wrote: trimmed, and `none` for nothing at all.
///
/// # Errors
/// [`InvalidTrackedRef`] where no canonical value can be made of it.
pub fn canonicalize(text: &[u8]) -> Result<&[u8], InvalidTrackedRef> {
    let trimmed = trim(text);
    if trimmed.is_empty() {
        Ok(NONE)
    } else if is_canonical(trimmed) {
        Ok(trimmed)
    } else {
        Err(InvalidTrackedRef::new(trimmed))
    }
}

/// `^`, `~` and `*` are illegal in git's tag names, so no legal tag is taken for a range.
fn tag(value: &[u8]) -> TrackedRef<'_> {
    if value == LATEST {
        TrackedRef::Latest
    } else if value.iter().any(|byte| b"^~*".contains(byte)) {
        TrackedRef::Range(value)
    } else {
        TrackedRef::Tag(value)
    }
}

/// The text without white space at its ends.
fn trim(mut text: &[u8]) -> &[u8] {
    while let width @ 1.. = leading_white_space(text) {
        text = &text[width..];
    }
    while let width @ 1.. = trailing_white_space(text) {
        text = &text[..text.len() - width];
    }
    text
}

/// Bytes taken by the white space character that the text begins with, or 0.
fn leading_white_space(text: &[u8]) -> usize {
    match text {
        [first, ..] if is_ascii_space(*first) => 1,
        [a, b, ..] if is_wide_space_2(*a, *b) => 2,
        [a, b, c, ..] if is_wide_space_3(*a, *b, *c) => 3,
        _ => 0,
    }
}

/// Bytes taken by the white space character that the text ends with, or 0.
#[inline]
fn trailing_white_space(text: &[u8]) -> usize {
    match text {
        // Nearly every value ends here: a printable ASCII character.
        [.., b'!'..=b'~'] => 0,
        [.., last] if is_ascii_space(*last) => 1,
        [.., a, b] if is_wide_space_2(*a, *b) => 2,
        [.., a, b, c] if is_wide_space_3(*a, *b, *c) => 3,
        _ => 0,
    }
}

fn is_ascii_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

/// U+0085 and U+00A0 in UTF-8.
fn is_wide_space_2(a: u8, b: u8) -> bool {
    a == 0xC2 && matches!(b, 0x85 | 0xA0)
}

/// U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F and U+3000 in UTF-8.
fn is_wide_space_3(a: u8, b: u8, c: u8) -> bool {
    matches!(
        (a, b, c),
        (0xE1, 0x9A, 0x80)
            | (0xE2, 0x80, 0x80..=0x8A | 0xA8 | 0xA9 | 0xAF)
            | (0xE2, 0x81, 0x9F)
            | (0xE3, 0x80, 0x80)
    )
}

/// A value of which no canonical one can be made. It shows at most 128 characters of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTrackedRef {
    shown: String,
}

/// Characters of an invalid value that an error shows.
const SHOWN_CHARACTERS: usize = 128;

impl InvalidTrackedRef {
    fn new(text: &[u8]) -> Self {
        Self {
            shown: crate::quoted::quoted(text, SHOWN_CHARACTERS),
        }
    }
}

impl fmt::Display for InvalidTrackedRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invalid track value {}: expected 'none' | 'tag:vX.Y.Z' | 'tag:latest' | 'sha:<full>' | 'ref:<name>'",
            self.shown
        )
    }
}

impl std::error::Error for InvalidTrackedRef {}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Result<&str, String> {
        canonicalize(text.as_bytes())
            .map(|value| std::str::from_utf8(value).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_none() {
        for text in [
            "",
            "   ",
            "none",
            "\tnone\n",
            "\u{a0}",
            "\u{3000}none\u{2028}",
        ] {
            assert_eq!(canonical(text), Ok("none"), "{text:?}");
        }
    }

    #[test]
    fn canonical_values_stay() {
        for text in [
            "tag:v1.0.0",
            "tag:v0.4.0-gitea.1",
            "tag:latest",
            "tag: x",
            "sha:abc123",
            "sha:0123456789abcdef0123456789abcdef01234567",
            "ref:main",
            "ref:\u{200b}",
            "ref:x\u{feff}",
            "tag:ü",
        ] {
            assert_eq!(canonical(text), Ok(text), "{text:?}");
            assert!(is_canonical(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn ends_are_trimmed() {
        assert_eq!(canonical("  tag:v1 "), Ok("tag:v1"));
        assert_eq!(canonical("\u{2003}ref:main\u{85}"), Ok("ref:main"));
        assert!(!is_canonical("tag:v1\u{205f}".as_bytes()));
        assert!(!is_canonical(b" none"));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "tag:",
            "sha:",
            "ref:",
            "tag",
            "latest",
            "main",
            "v1.0.0",
            "random",
            "TAG:v1",
            "None",
            "branch:main",
            "tag: ",
            "nonee",
            "non",
            "\u{200b}none",
            "tag\u{a0}:v1",
        ] {
            assert!(canonical(text).is_err(), "{text:?}");
            assert!(!is_canonical(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn every_white_space_of_unicode_is_trimmed_and_nothing_else() {
        for c in char::MIN..=char::MAX {
            let text = format!("{c}ref:x{c}");
            assert_eq!(canonical(&text) == Ok("ref:x"), c.is_whitespace(), "{c:?}");
        }
    }

    #[test]
    fn errors_show_the_value_escaped_and_cut() {
        let expected =
            "expected 'none' | 'tag:vX.Y.Z' | 'tag:latest' | 'sha:<full>' | 'ref:<name>'";
        assert_eq!(
            canonical("ma\"in\n\tx"),
            Err(format!(r#"invalid track value "ma\"in\n\tx": {expected}"#))
        );
        let long = "é".repeat(1000);
        let cut = "é".repeat(128);
        assert_eq!(
            canonical(&long),
            Err(format!("invalid track value \"{cut}\": {expected}"))
        );
    }

    #[test]
    fn kinds_and_values() {
        let cases: [(&str, &str, Option<&str>); 9] = [
            ("none", "none", None),
            ("tag:v1", "tag", Some("v1")),
            ("tag:latest", "latest", Some("latest")),
            ("tag:^1.2", "range", Some("^1.2")),
            ("tag:plugin-a/*", "range", Some("plugin-a/*")),
            ("tag:~1", "range", Some("~1")),
            ("sha:abc", "sha", Some("abc")),
            ("ref:main", "ref", Some("main")),
            ("ref:a:b", "ref", Some("a:b")),
        ];
        for (text, kind, value) in cases {
            let parsed = parse(text.as_bytes()).unwrap();
            assert_eq!(parsed.kind(), kind, "{text}");
            assert_eq!(parsed.value(), value.map(str::as_bytes), "{text}");
        }
        assert_eq!(parse(b"tag:"), None);
    }
}
