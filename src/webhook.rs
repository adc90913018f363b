//! What a webhook of a git server says about one repository.
//!
//! The name of the event, which the servers send in a header, is not needed: the payload's shape
//! tells it. Signatures are checked by whoever receives the request, before it comes here.
//!
//! | room | what is in it |
//! |---|---|
//! | `payload` | fields that may be missing or of another type, and what a push says |
//! | `github` | GitHub's payloads, and Gitea's, which have their form |
//! | `gitlab` | GitLab's payloads |

mod github;
mod gitlab;
mod payload;

use std::fmt;

use crate::quoted::quoted;

/// Characters of a provider, a ref or a commit that an error shows.
const SHOWN_CHARACTERS: usize = 64;

const UNKNOWN_EVENT: &str = "unknown event";

/// What a webhook says about one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// `push`, `tag push`, `create`, `delete`, `release`, `ping` or `unknown event`.
    pub event: String,
    pub action: Action,
    /// Every URL under which the repository may be tracked; none where the event is ignored.
    pub urls: Vec<String>,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The full ref is at this commit.
    Set { reference: String, sha: String },
    /// The full ref is no more.
    Gone { reference: String },
    /// Something happened, but the payload does not say all of it: git has to be asked.
    Check,
    /// Nothing happened to a ref.
    Ignore,
}

/// Why a payload cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookError {
    /// Holds the provider as it may be shown.
    UnknownProvider(String),
    /// Not a JSON object; holds the provider.
    NotAnObject(&'static str),
    /// The event is a known one, but a field of it is not what it has to be.
    Malformed {
        provider: &'static str,
        event: &'static str,
        field: &'static str,
        fault: Fault,
    },
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    Missing,
    WrongType,
    /// Holds the value as it may be shown.
    NotARef(String),
    /// Holds the value as it may be shown.
    NotACommit(String),
}

/// Decodes the payload of a webhook of `github`, `gitea` or `gitlab`.
///
/// # Errors
/// [`WebhookError`]. An event that is unknown, or not about refs, is [`Action::Ignore`] instead.
pub fn decode(provider: &str, payload: &str) -> Result<Hook, WebhookError> {
    match provider {
        "github" => github::decode("github", payload),
        "gitea" => github::decode("gitea", payload),
        "gitlab" => gitlab::decode(payload),
        _ => Err(WebhookError::UnknownProvider(shown(provider))),
    }
}

fn shown(text: &str) -> String {
    quoted(text.as_bytes(), SHOWN_CHARACTERS)
}

impl Hook {
    fn ignored(event: &str) -> Self {
        Self {
            event: event.to_owned(),
            action: Action::Ignore,
            urls: Vec::new(),
        }
    }
}

impl fmt::Display for WebhookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownProvider(provider) => write!(
                f,
                "unknown provider {provider}: expected github, gitea or gitlab"
            ),
            Self::NotAnObject(provider) => write!(f, "{provider} payload is not a JSON object"),
            Self::Malformed {
                provider,
                event,
                field,
                fault,
            } => {
                write!(f, "{provider} {event}: ")?;
                fault.describe(field, f)
            }
        }
    }
}

impl Fault {
    fn describe(&self, field: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "missing field \"{field}\""),
            Self::WrongType => write!(f, "wrong type of field \"{field}\""),
            Self::NotARef(value) => {
                write!(f, "field \"{field}\" is not a full ref of git: {value}")
            }
            Self::NotACommit(value) => write!(
                f,
                "invalid commit {value} in field \"{field}\": expected 40 or 64 lower-case hexadecimal digits"
            ),
        }
    }
}

impl std::error::Error for WebhookError {}

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
