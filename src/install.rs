//! What a caller says was installed, and the rules that it has to meet before it is stored.

use std::borrow::Cow;
use std::fmt;

use uuid::Uuid;

use crate::tracked_ref::{self, InvalidTrackedRef};
use crate::{commit_sha, quoted, source};

/// The fields of a request, by the names that callers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    WorkspaceId,
    PluginName,
    SourceRaw,
    Track,
    InstalledSha,
}

impl Field {
    /// All of them, in the order of the function's arguments.
    pub const ALL: [Self; 5] = [
        Self::WorkspaceId,
        Self::PluginName,
        Self::SourceRaw,
        Self::Track,
        Self::InstalledSha,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WorkspaceId => "workspace_id",
            Self::PluginName => "plugin_name",
            Self::SourceRaw => "source_raw",
            Self::Track => "track",
            Self::InstalledSha => "installed_sha",
        }
    }

    /// Most bytes that the table takes, so that keys always fit into an index page.
    const fn limit(self) -> usize {
        match self {
            Self::WorkspaceId | Self::InstalledSha => 64,
            Self::PluginName => 255,
            Self::SourceRaw => 2048,
            Self::Track => 512,
        }
    }
}

/// An install as a caller describes it. Absent, NULL and empty mean the same.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    pub workspace_id: Option<Uuid>,
    pub plugin_name: Cow<'a, str>,
    pub source_raw: Cow<'a, str>,
    pub track: Cow<'a, str>,
    pub installed_sha: Cow<'a, str>,
}

/// An install that may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install<'a> {
    pub workspace_id: Uuid,
    pub plugin_name: Cow<'a, str>,
    pub source_raw: Cow<'a, str>,
    /// Canonical.
    pub tracked_ref: Cow<'a, str>,
    pub installed_sha: Option<Cow<'a, str>>,
}

impl<'a> Request<'a> {
    /// Checks every field: first that no secret is in it, so that no other fault can show it, then
    /// in the order of the function's arguments.
    ///
    /// # Errors
    /// The first field that cannot be stored, and why.
    pub fn check(self) -> Result<Install<'a>, Refusal> {
        if let Some(secret) = source::secret_in(&self.source_raw) {
            return Err(Refusal::Secret(secret));
        }
        let workspace_id = self
            .workspace_id
            .ok_or(Refusal::Missing(Field::WorkspaceId))?;
        let plugin_name = required(self.plugin_name, Field::PluginName)?;
        let source_raw = required(self.source_raw, Field::SourceRaw)?;
        let tracked_ref = fitting(canonical(self.track)?, Field::Track)?;
        let installed_sha = full_sha(self.installed_sha)?;
        Ok(Install {
            workspace_id,
            plugin_name,
            source_raw,
            tracked_ref,
            installed_sha,
        })
    }
}

impl Install<'_> {
    /// What orders a batch and tells its entries apart: the table's primary key.
    #[must_use]
    pub fn key(&self) -> (Uuid, &str) {
        (self.workspace_id, &self.plugin_name)
    }

    /// Whether it follows any ref of upstream.
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        self.tracked_ref != "none"
    }
}

/// A workspace's id, plain, hyphenated or in braces; nothing for nothing.
///
/// # Errors
/// [`Refusal::NotAUuid`].
pub fn parse_workspace_id(text: &str) -> Result<Option<Uuid>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    match Uuid::try_parse(text) {
        Ok(id) if !text.starts_with("urn:") => Ok(Some(id)),
        _ => Err(Refusal::NotAUuid(quoted::quoted(
            text.as_bytes(),
            Field::WorkspaceId.limit(),
        ))),
    }
}

fn required(value: Cow<'_, str>, field: Field) -> Result<Cow<'_, str>, Refusal> {
    if value.is_empty() {
        Err(Refusal::Missing(field))
    } else {
        fitting(value, field)
    }
}

fn fitting(value: Cow<'_, str>, field: Field) -> Result<Cow<'_, str>, Refusal> {
    if value.len() > field.limit() {
        Err(Refusal::TooLong(field))
    } else {
        Ok(value)
    }
}

fn canonical(track: Cow<'_, str>) -> Result<Cow<'_, str>, Refusal> {
    let canonical = tracked_ref::canonicalize(track.as_bytes()).map_err(Refusal::Track)?;
    if canonical == track.as_bytes() {
        return Ok(track);
    }
    Ok(Cow::Owned(String::from_utf8_lossy(canonical).into_owned()))
}

fn full_sha(sha: Cow<'_, str>) -> Result<Option<Cow<'_, str>>, Refusal> {
    if sha.is_empty() {
        Ok(None)
    } else if commit_sha::is_full(sha.as_bytes()) {
        Ok(Some(sha))
    } else {
        Err(Refusal::Sha(quoted::quoted(
            sha.as_bytes(),
            Field::InstalledSha.limit(),
        )))
    }
}

/// Why an install cannot be stored. Never shows any part of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Missing(Field),
    TooLong(Field),
    Secret(source::Secret),
    Track(InvalidTrackedRef),
    /// Holds the value as it may be shown.
    Sha(String),
    /// A workspace id that is no UUID; holds the value as it may be shown.
    NotAUuid(String),
    /// A JSON value of another type than a string; holds the type's name.
    NotAString(Field, &'static str),
}

impl Refusal {
    /// The field at fault.
    #[must_use]
    pub fn field(&self) -> Field {
        match self {
            Self::Missing(field) | Self::TooLong(field) | Self::NotAString(field, _) => *field,
            Self::Secret(_) => Field::SourceRaw,
            Self::Track(_) => Field::Track,
            Self::Sha(_) => Field::InstalledSha,
            Self::NotAUuid(_) => Field::WorkspaceId,
        }
    }

    /// What the caller may do about it, where that is not obvious.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Secret(_) => Some(source::SECRET_HINT),
            _ => None,
        }
    }
}

/// The fault alone, for texts that have named the field already.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.field().name();
        match self {
            Self::Missing(_) => write!(f, "missing required field \"{name}\""),
            Self::TooLong(field) => {
                write!(f, "field \"{name}\" is longer than {} bytes", field.limit())
            }
            Self::Secret(secret) => write!(f, "field \"{name}\" holds {secret}"),
            Self::Track(error) => error.fmt(f),
            Self::Sha(shown) => write!(
                f,
                "invalid {name} {shown}: expected 40 or 64 lower-case hexadecimal digits"
            ),
            Self::NotAUuid(shown) => write!(f, "invalid {name} {shown}: expected a UUID"),
            Self::NotAString(_, found) => {
                write!(f, "field \"{name}\" must be a string, not {found}")
            }
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request<'static> {
        Request {
            workspace_id: Some(Uuid::nil()),
            plugin_name: "p".into(),
            source_raw: "github://o/r".into(),
            ..Request::default()
        }
    }

    fn refusal(request: Request<'_>) -> String {
        request.check().unwrap_err().to_string()
    }

    #[test]
    fn defaults() {
        let install = request().check().unwrap();
        assert_eq!(install.tracked_ref, "none");
        assert_eq!(install.installed_sha, None);
    }

    #[test]
    fn trims_the_track_only() {
        let install = Request {
            track: "\u{a0} tag:v1\n".into(),
            plugin_name: " p ".into(),
            ..request()
        };
        let install = install.check().unwrap();
        assert_eq!(
            (&*install.tracked_ref, &*install.plugin_name),
            ("tag:v1", " p ")
        );
        for blank in ["    ", "\u{a0}\u{a0}", "\t none\n"] {
            let install = Request {
                track: blank.into(),
                ..request()
            };
            assert_eq!(install.check().unwrap().tracked_ref, "none", "{blank:?}");
        }
    }

    #[test]
    fn required_fields() {
        assert_eq!(
            refusal(Request::default()),
            "missing required field \"workspace_id\""
        );
        let no_name = Request {
            plugin_name: "".into(),
            ..request()
        };
        assert_eq!(refusal(no_name), "missing required field \"plugin_name\"");
        let no_source = Request {
            source_raw: "".into(),
            ..request()
        };
        assert_eq!(refusal(no_source), "missing required field \"source_raw\"");
    }

    #[test]
    fn limits() {
        let fits = Request {
            plugin_name: "x".repeat(255).into(),
            ..request()
        };
        assert!(fits.check().is_ok());
        let name = Request {
            plugin_name: "x".repeat(256).into(),
            ..request()
        };
        assert_eq!(
            refusal(name),
            "field \"plugin_name\" is longer than 255 bytes"
        );
        let source = Request {
            source_raw: "x".repeat(2049).into(),
            ..request()
        };
        assert_eq!(
            refusal(source),
            "field \"source_raw\" is longer than 2048 bytes"
        );
        let track = Request {
            track: format!("tag:{}", "x".repeat(509)).into(),
            ..request()
        };
        assert_eq!(refusal(track), "field \"track\" is longer than 512 bytes");
    }

    #[test]
    fn shas_and_tracks() {
        let sha = Request {
            installed_sha: "ABC".into(),
            ..request()
        };
        assert_eq!(
            refusal(sha),
            "invalid installed_sha \"ABC\": expected 40 or 64 lower-case hexadecimal digits"
        );
        let track = Request {
            track: "main".into(),
            ..request()
        };
        assert!(refusal(track).starts_with("invalid track value \"main\": expected 'none'"));
    }

    #[test]
    fn a_secret_is_refused_and_not_shown() {
        let secret = Request {
            source_raw: "https://user:hunter2@host/a/b".into(),
            ..request()
        };
        let refusal = secret.check().unwrap_err();
        assert_eq!(refusal.field(), Field::SourceRaw);
        assert!(refusal.hint().is_some());
        assert!(!refusal.to_string().contains("hunter2"));
    }
}
