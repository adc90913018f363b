//! The refs of a repository, as `git ls-remote` answers them: `{"refs/tags/v1": "<sha>", …}`.
//!
//! An annotated tag comes twice, as `refs/tags/x` (the tag object) and `refs/tags/x^{}` (the
//! commit): the commit counts. Without that, every annotated tag would look like drift.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;

use crate::commit_sha;
use crate::quoted::quoted;

/// Characters of a name or an id that an error shows.
const SHOWN_CHARACTERS: usize = 128;

/// How `git ls-remote` marks the commit behind an annotated tag.
const PEELED: &str = "^{}";

/// A full ref and its commit.
pub type Entry<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Why an answer cannot be taken.
#[derive(Debug)]
pub enum RefsError {
    /// Not an object of texts; holds what the parser says.
    Shape(serde_json::Error),
    /// Holds the name as it may be shown.
    IllegalName(String),
    /// Holds the ref and its value as they may be shown.
    IllegalSha(String, String),
    /// SHA-1 and SHA-256 in one answer.
    MixedHashes,
}

/// Decodes an answer, in the order of the names. The symbolic `HEAD` is left out.
///
/// # Errors
/// [`RefsError`], by the first entry that cannot be taken.
pub fn decode(json: &str) -> Result<Vec<Entry<'_>>, RefsError> {
    let Object(entries) = serde_json::from_str(json).map_err(RefsError::Shape)?;
    let mut refs: HashMap<Cow<'_, str>, (bool, Cow<'_, str>)> =
        HashMap::with_capacity(entries.len());
    let mut digits = None;
    for (name, sha) in entries {
        if name == "HEAD" {
            continue;
        }
        let (name, is_peeled) = peeled(name);
        check(&name, &sha, &mut digits)?;
        match refs.entry(name) {
            std::collections::hash_map::Entry::Occupied(mut known)
                if is_peeled || !known.get().0 =>
            {
                known.insert((is_peeled, sha));
            }
            std::collections::hash_map::Entry::Occupied(_) => {}
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert((is_peeled, sha));
            }
        }
    }
    let mut refs: Vec<_> = refs
        .into_iter()
        .map(|(name, (_, sha))| (name, sha))
        .collect();
    refs.sort_unstable();
    Ok(refs)
}

/// Whether git takes the text as a full ref.
#[must_use]
pub fn is_full_ref(name: &str) -> bool {
    name.starts_with("refs/") && gix_validate::reference::name(name.into()).is_ok()
}

/// The name without the mark of a peeled tag, and whether it had one.
fn peeled(name: Cow<'_, str>) -> (Cow<'_, str>, bool) {
    match name {
        Cow::Borrowed(text) => match text.strip_suffix(PEELED) {
            Some(base) => (Cow::Borrowed(base), true),
            None => (Cow::Borrowed(text), false),
        },
        Cow::Owned(text) => match text.strip_suffix(PEELED) {
            Some(base) => (Cow::Owned(base.to_owned()), true),
            None => (Cow::Owned(text), false),
        },
    }
}

fn check(name: &str, sha: &str, digits: &mut Option<usize>) -> Result<(), RefsError> {
    let shown = |text: &str| quoted(text.as_bytes(), SHOWN_CHARACTERS);
    if !is_full_ref(name) {
        return Err(RefsError::IllegalName(shown(name)));
    }
    if !commit_sha::is_full(sha.as_bytes()) {
        return Err(RefsError::IllegalSha(shown(name), shown(sha)));
    }
    if *digits.get_or_insert(sha.len()) != sha.len() {
        return Err(RefsError::MixedHashes);
    }
    Ok(())
}

impl fmt::Display for RefsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(error) => {
                // The parser's place in the text means nothing to who sent a jsonb.
                let text = error.to_string();
                let text = text.split(" at line ").next().unwrap_or_default();
                write!(f, "refs must be an object of full refs and commits: {text}")
            }
            Self::IllegalName(name) => write!(f, "not a full ref of git: {name}"),
            Self::IllegalSha(name, sha) => write!(
                f,
                "invalid commit {sha} of {name}: expected 40 or 64 lower-case hexadecimal digits"
            ),
            Self::MixedHashes => f.write_str("refs mix SHA-1 and SHA-256 commits"),
        }
    }
}

impl std::error::Error for RefsError {}

/// The entries of an object, borrowed where they have no escapes.
struct Object<'a>(Vec<Entry<'a>>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> serde::de::Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

        let mut entries = Vec::new();
        while let Some((Text(name), Text(sha))) = map.next_entry()? {
            entries.push((name, sha));
        }
        Ok(Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn refs(json: &str) -> Vec<(String, String)> {
        let refs = decode(json).unwrap().into_iter();
        refs.map(|(name, sha)| (name.into_owned(), sha.into_owned()))
            .collect()
    }

    fn error(json: &str) -> String {
        decode(json).unwrap_err().to_string()
    }

    #[test]
    fn the_peeled_commit_wins_in_either_order() {
        let expected = [("refs/tags/x".to_owned(), B.to_owned())];
        assert_eq!(
            refs(&format!(
                r#"{{"refs/tags/x": "{A}", "refs/tags/x^{{}}": "{B}"}}"#
            )),
            expected
        );
        assert_eq!(
            refs(&format!(
                r#"{{"refs/tags/x^{{}}": "{B}", "refs/tags/x": "{A}"}}"#
            )),
            expected
        );
    }

    #[test]
    fn head_is_left_out() {
        assert_eq!(
            refs(&format!(r#"{{"HEAD": "{A}", "refs/heads/main": "{A}"}}"#)),
            [("refs/heads/main".to_owned(), A.to_owned())]
        );
    }

    #[test]
    fn what_git_refuses_is_refused() {
        for name in [
            "main",
            "refs/heads/a..b",
            "refs/tags/x y",
            "refs/heads/x.lock",
            "refs/tags/^1",
        ] {
            assert_eq!(
                error(&format!(r#"{{"{name}": "{A}"}}"#)),
                format!("not a full ref of git: \"{name}\"")
            );
        }
        assert_eq!(
            error(&format!(r#"{{"refs/heads/x": "{}"}}"#, &A[1..])),
            format!(
                "invalid commit \"{}\" of \"refs/heads/x\": expected 40 or 64 lower-case hexadecimal digits",
                &A[1..]
            )
        );
        assert_eq!(
            error(&format!(
                r#"{{"refs/heads/x": "{A}", "refs/heads/y": "{}"}}"#,
                "c".repeat(64)
            )),
            "refs mix SHA-1 and SHA-256 commits"
        );
    }

    #[test]
    fn wrong_shapes() {
        let prefix = "refs must be an object of full refs and commits: ";
        assert_eq!(
            error("[]"),
            format!("{prefix}invalid type: sequence, expected an object")
        );
        assert_eq!(
            error(r#"{"refs/heads/x": 1}"#),
            format!("{prefix}invalid type: integer `1`, expected a string")
        );
        assert!(refs("{}").is_empty());
    }
}
