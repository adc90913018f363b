//! Why a repository could not be looked at.

use std::error::Error;
use std::fmt;
use std::io;
use std::iter::successors;
use std::time::Duration;

/// Characters of a text from outside that an error shows.
const SHOWN_CHARACTERS: usize = 300;

/// What went wrong, as a metric counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The source cannot be asked at all: nobody said where it is, or how it may be reached.
    Source,
    /// The operator has denied the address or the scheme.
    Denied,
    Dns,
    Connect,
    Tls,
    Deadline,
    /// The connection was dropped in the middle.
    Dropped,
    Redirect,
    /// A git host, or git itself, wants to know who asks.
    Unauthorized,
    /// The server answered, with an error.
    Server,
    /// What came is no answer of git.
    NotGit,
    TooLarge,
    /// ssh or git on this machine ended with an error.
    Program,
    /// The database does not take the answer.
    Refused,
}

impl Kind {
    /// The word in events and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Denied => "denied",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Deadline => "deadline",
            Self::Dropped => "dropped",
            Self::Redirect => "redirect",
            Self::Unauthorized => "unauthorized",
            Self::Server => "server",
            Self::NotGit => "not_git",
            Self::TooLarge => "too_large",
            Self::Program => "program",
            Self::Refused => "refused",
        }
    }
}

/// One failure. Its text goes into the database and the log: it never holds a credential.
#[derive(Clone, Debug)]
pub struct Failure {
    pub kind: Kind,
    pub text: String,
    /// For how long the server asked to be left alone.
    pub retry_after: Option<Duration>,
}

impl Failure {
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            retry_after: None,
        }
    }

    /// Whether asking again at once may help.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.kind == Kind::Dropped
    }

    /// The failure that an error, or a cause of it, is; or what they say.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        Self::among(std::iter::once(error))
    }

    /// The same for several errors.
    pub fn among<'a>(errors: impl Iterator<Item = &'a (dyn Error + 'static)>) -> Self {
        let mut said: Vec<String> = Vec::new();
        for error in errors.flat_map(causes) {
            if let Some(failure) = error.downcast_ref::<Self>() {
                return failure.clone();
            }
            if error.downcast_ref::<io::Error>().is_some_and(is_drop) {
                return Self::new(Kind::Dropped, DROPPED);
            }
            let text = error.to_string();
            if !said.contains(&text) {
                said.push(text);
            }
        }
        Self::new(
            Kind::NotGit,
            // What stands before says only that a greeting, or a list of refs, was read.
            format!(
                "no answer of git: {}",
                shown(&said[said.len().saturating_sub(2)..].join(": "))
            ),
        )
    }
}

/// What is said of a connection that ended in the middle.
pub const DROPPED: &str = "the connection was dropped";

fn is_drop(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
    )
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failure {}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        Self::other(failure)
    }
}

/// An error, and what caused it.
pub fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| {
        // An error of input or output leaves out of its causes what it wraps.
        let wrapped = error.downcast_ref().and_then(io::Error::get_ref);
        match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// A text from outside on one line, without control characters, cut.
#[must_use]
pub fn shown(text: &str) -> String {
    let clean = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c });
    let mut cut: String = clean.take(SHOWN_CHARACTERS + 1).collect();
    if cut.chars().count() > SHOWN_CHARACTERS {
        cut.pop();
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_found_behind_other_errors() {
        let inner = io::Error::other(Failure::new(Kind::TooLarge, "too large"));
        let outer = io::Error::other(inner);
        let found = Failure::of(&outer);
        assert_eq!(
            (found.kind, found.text.as_str()),
            (Kind::TooLarge, "too large")
        );
    }

    #[test]
    fn a_dropped_connection_is_known_by_its_kind() {
        let error = io::Error::other(io::Error::from(io::ErrorKind::ConnectionReset));
        assert_eq!(Failure::of(&error).kind, Kind::Dropped);
    }

    #[test]
    fn what_servers_say_is_cut_and_kept_on_one_line() {
        assert_eq!(shown(" a\nb\u{1b}[31m "), "a b [31m");
        let long = shown(&"ä".repeat(1000));
        assert_eq!(long.chars().count(), SHOWN_CHARACTERS + 1);
        assert!(long.ends_with("ä…"));
    }
}
