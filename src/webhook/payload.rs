//! Fields that may be missing or of another type, and what a push says.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Action, Fault, WebhookError, shown};
use crate::{commit_sha, git_refs};

/// A field that is judged only once the event is known.
#[derive(Default)]
pub enum Field<T> {
    /// Missing, or null.
    #[default]
    Absent,
    WrongType,
    Is(T),
}

impl<T> Field<T> {
    pub fn is_present(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(json)?.get();
        Ok(match text {
            "null" => Self::Absent,
            // A struct would take its fields from an array, in their order.
            _ if text.starts_with('[') => Self::WrongType,
            _ => serde_json::from_str(text).map_or(Self::WrongType, Self::Is),
        })
    }
}

/// Whether there is such a field, null or not.
#[derive(Clone, Copy, Default)]
pub struct Key(pub bool);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(json).map(|_| Self(true))
    }
}

/// The fields of a payload.
pub fn object<'a, T: Deserialize<'a>>(
    provider: &'static str,
    json: &'a str,
) -> Result<T, WebhookError> {
    match serde_json::from_str(json) {
        Ok(Field::Is(fields)) => Ok(fields),
        _ => Err(WebhookError::NotAnObject(provider)),
    }
}

/// The event that a payload is known to be of.
#[derive(Clone, Copy)]
pub struct Event {
    pub provider: &'static str,
    pub name: &'static str,
}

impl Event {
    pub fn required<T>(self, name: &'static str, field: Field<T>) -> Result<T, WebhookError> {
        let missing = || self.fault(name, Fault::Missing);
        self.optional(name, field)?.ok_or_else(missing)
    }

    pub fn optional<T>(
        self,
        name: &'static str,
        field: Field<T>,
    ) -> Result<Option<T>, WebhookError> {
        match field {
            Field::Absent => Ok(None),
            Field::WrongType => Err(self.fault(name, Fault::WrongType)),
            Field::Is(value) => Ok(Some(value)),
        }
    }

    /// The URLs that are there, each once. A repository without any lacks the first one.
    pub fn urls<const N: usize>(
        self,
        fields: [(&'static str, Field<String>); N],
    ) -> Result<Vec<String>, WebhookError> {
        let first = fields[0].0;
        let mut urls = Vec::with_capacity(N);
        for (name, field) in fields {
            let url = self.optional(name, field)?.unwrap_or_default();
            if !url.is_empty() && !urls.contains(&url) {
                urls.push(url);
            }
        }
        if urls.is_empty() {
            return Err(self.fault(first, Fault::Missing));
        }
        Ok(urls)
    }

    pub fn reference(self, name: &'static str, value: String) -> Result<String, WebhookError> {
        if git_refs::is_full_ref(&value) {
            return Ok(value);
        }
        Err(self.fault(name, Fault::NotARef(shown(&value))))
    }

    /// Where a server knows no commit, it may send an empty text.
    pub fn optional_commit(
        self,
        name: &'static str,
        field: Field<String>,
    ) -> Result<Option<String>, WebhookError> {
        match self.optional(name, field)? {
            Some(value) if !value.is_empty() => self.commit(name, value).map(Some),
            _ => Ok(None),
        }
    }

    fn commit(self, name: &'static str, value: String) -> Result<String, WebhookError> {
        if commit_sha::is_full(value.as_bytes()) {
            return Ok(value);
        }
        Err(self.fault(name, Fault::NotACommit(shown(&value))))
    }

    /// What a push says. `after` is the commit of a branch, but the tag object of an annotated
    /// tag: for tags, `peeled` counts, which is the commit in any case.
    pub fn pushed(
        self,
        reference: Field<String>,
        after: Field<String>,
        peeled: Option<String>,
    ) -> Result<Action, WebhookError> {
        let reference = self.reference("ref", self.required("ref", reference)?)?;
        let after = self.commit("after", self.required("after", after)?)?;
        if is_zero(&after) {
            return Ok(Action::Gone { reference });
        }
        let sha = if reference.starts_with("refs/heads/") {
            Some(after)
        } else {
            peeled.filter(|sha| reference.starts_with("refs/tags/") && !is_zero(sha))
        };
        Ok(sha.map_or(Action::Check, |sha| Action::Set { reference, sha }))
    }

    fn fault(self, field: &'static str, fault: Fault) -> WebhookError {
        WebhookError::Malformed {
            provider: self.provider,
            event: self.name,
            field,
            fault,
        }
    }
}

/// All zeros is how git says that a ref is no more.
pub fn is_zero(sha: &str) -> bool {
    sha.bytes().all(|digit| digit == b'0')
}
