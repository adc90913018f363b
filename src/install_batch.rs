//! Decodes `[{"workspace_id": …, "plugin_name": …, …}, …]` into installs, borrowing from the text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use crate::install::{Field, Install, Refusal, Request, parse_workspace_id};
use crate::quoted::quoted;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Characters of a key that an error shows.
const SHOWN_CHARACTERS: usize = 64;

/// What is wrong with a batch.
#[derive(Debug)]
pub enum BatchError {
    /// Not an array; holds what was found.
    NotAnArray(&'static str),
    /// An element, counted from 0, and its fault.
    Element(usize, ElementError),
    /// Not JSON. `jsonb` never gives this.
    Syntax(serde_json::Error),
}

/// What is wrong with an element.
#[derive(Debug)]
pub enum ElementError {
    /// Holds what was found instead of an object.
    NotAnObject(&'static str),
    /// Holds the key as it may be shown.
    UnknownKey(String),
    Refused(Refusal),
    Syntax(serde_json::Error),
}

/// An install and the index of the element that it came from.
#[derive(Debug)]
pub struct Indexed<'a> {
    pub index: usize,
    pub install: Install<'a>,
}

/// Decodes and checks a batch. Of two elements for the same key the last one wins; the result is
/// in key order, so that concurrent batches lock rows in the same order.
///
/// # Errors
/// The first element that cannot be stored, and why.
pub fn decode(json: &str) -> Result<Vec<Indexed<'_>>, BatchError> {
    let found = type_name(json);
    if found != "an array" {
        return Err(BatchError::NotAnArray(found));
    }
    let elements: Vec<&RawValue> = serde_json::from_str(json).map_err(BatchError::Syntax)?;
    let mut installs = Vec::with_capacity(elements.len());
    for (index, element) in elements.into_iter().enumerate() {
        let install = install(element.get()).map_err(|error| BatchError::Element(index, error))?;
        installs.push(Indexed { index, install });
    }
    keep_last_of_each_key(&mut installs);
    Ok(installs)
}

fn keep_last_of_each_key(installs: &mut Vec<Indexed<'_>>) {
    installs.sort_unstable_by(|a, b| {
        a.install
            .key()
            .cmp(&b.install.key())
            .then(b.index.cmp(&a.index))
    });
    installs.dedup_by(|later, kept| later.install.key() == kept.install.key());
}

fn install(json: &str) -> Result<Install<'_>, ElementError> {
    let found = type_name(json);
    if found != "an object" {
        return Err(ElementError::NotAnObject(found));
    }
    let fields: BTreeMap<String, &RawValue> =
        serde_json::from_str(json).map_err(ElementError::Syntax)?;
    let mut request = Request::default();
    for (key, value) in fields {
        let field = Field::ALL.into_iter().find(|field| field.name() == key);
        let field = field
            .ok_or_else(|| ElementError::UnknownKey(quoted(key.as_bytes(), SHOWN_CHARACTERS)))?;
        set(&mut request, field, value.get())?;
    }
    request.check().map_err(ElementError::Refused)
}

fn set<'a>(request: &mut Request<'a>, field: Field, json: &'a str) -> Result<(), ElementError> {
    let text = string(field, json)?;
    match field {
        Field::WorkspaceId => {
            request.workspace_id = parse_workspace_id(&text).map_err(ElementError::Refused)?;
        }
        Field::PluginName => request.plugin_name = text,
        Field::SourceRaw => request.source_raw = text,
        Field::Track => request.track = text,
        Field::InstalledSha => request.installed_sha = text,
    }
    Ok(())
}

/// A JSON string, borrowed where it has no escapes; null is empty.
fn string(field: Field, json: &str) -> Result<Cow<'_, str>, ElementError> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    match type_name(json) {
        "a string" => serde_json::from_str(json)
            .map(|Text(text)| text)
            .map_err(ElementError::Syntax),
        "null" => Ok(Cow::Borrowed("")),
        found => Err(ElementError::Refused(Refusal::NotAString(field, found))),
    }
}

/// The type of a JSON text, with its article, by its first character.
fn type_name(json: &str) -> &'static str {
    match json.trim_ascii_start().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnArray(found) => {
                write!(f, "installs must be an array of objects, not {found}")
            }
            Self::Element(index, error) => write!(f, "element {index}: {error}"),
            Self::Syntax(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ElementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject(found) => write!(f, "must be an object, not {found}"),
            Self::UnknownKey(shown) => write!(f, "unknown key {shown}"),
            Self::Refused(refusal @ Refusal::Track(_)) => {
                write!(f, "field \"{}\": {refusal}", refusal.field().name())
            }
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Syntax(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BatchError {}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const W: &str = "00000000-0000-0000-0000-000000000001";

    fn error(json: &str) -> String {
        decode(json).unwrap_err().to_string()
    }

    fn element(fields: &str) -> String {
        format!(r#"[{{"workspace_id": "{W}", "plugin_name": "p", "source_raw": "s"{fields}}}]"#)
    }

    #[test]
    fn borrows_and_defaults() {
        let json = element(r#", "track": " tag:v1 ", "installed_sha": null"#);
        let installs = decode(&json).unwrap();
        assert!(matches!(
            installs[0].install.plugin_name,
            Cow::Borrowed("p")
        ));
        assert_eq!(installs[0].install.tracked_ref, "tag:v1");
        assert_eq!(installs[0].install.installed_sha, None);
        assert!(decode("[]").unwrap().is_empty());
    }

    #[test]
    fn last_of_a_key_wins_and_order_is_by_key() {
        let one = |w: u32, name: &str, source: &str| {
            format!(
                r#"{{"workspace_id": "{}", "plugin_name": "{name}", "source_raw": "{source}"}}"#,
                Uuid::from_u128(w.into())
            )
        };
        let json = format!(
            "[{},{},{},{}]",
            one(2, "a", "1"),
            one(1, "b", "2"),
            one(2, "a", "3"),
            one(1, "a", "4")
        );
        let installs = decode(&json).unwrap();
        let order: Vec<_> = installs
            .iter()
            .map(|i| (i.index, &*i.install.source_raw))
            .collect();
        assert_eq!(order, [(3, "4"), (1, "2"), (2, "3")]);
    }

    #[test]
    fn wrong_shapes() {
        assert_eq!(
            error("{}"),
            "installs must be an array of objects, not an object"
        );
        assert_eq!(
            error("null"),
            "installs must be an array of objects, not null"
        );
        assert_eq!(error("[1]"), "element 0: must be an object, not a number");
        assert_eq!(
            error(&element(r#", "Track": "x""#)),
            "element 0: unknown key \"Track\""
        );
        assert_eq!(
            error(&element(r#", "track": 5"#)),
            "element 0: field \"track\" must be a string, not a number"
        );
        assert_eq!(
            error(&element(r#", "track": {"a": []}"#)),
            "element 0: field \"track\" must be a string, not an object"
        );
        assert_eq!(
            error(r#"[{"workspace_id": "x"}]"#),
            "element 0: invalid workspace_id \"x\": expected a UUID"
        );
        assert_eq!(
            error("[{}]"),
            "element 0: missing required field \"workspace_id\""
        );
    }

    #[test]
    fn deep_nesting_is_an_error_like_any_other() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(error(&deep), "element 0: must be an object, not an array");
        assert_eq!(
            error(&element(&format!(r#", "track": {deep}"#))),
            "element 0: field \"track\" must be a string, not an array"
        );
    }

    #[test]
    fn a_bad_track_names_its_field_and_a_secret_is_not_shown() {
        assert!(
            error(&element(r#", "track": "main""#))
                .starts_with("element 0: field \"track\": invalid track value \"main\"")
        );
        let json = format!(
            r#"[{{"workspace_id": "{W}", "plugin_name": "p", "source_raw": "https://u:hunter2@h/a"}}]"#
        );
        assert!(!error(&json).contains("hunter2"));
    }
}
