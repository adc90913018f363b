//! GitLab's payloads.

use serde::Deserialize;

use super::payload::{Event, Field, object};
use super::{Action, Hook, UNKNOWN_EVENT, WebhookError};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Payload {
    object_kind: Field<String>,
    r#ref: Field<String>,
    after: Field<String>,
    checkout_sha: Field<String>,
    tag: Field<String>,
    project: Field<Project>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "the names are GitLab's")]
struct Project {
    git_http_url: Field<String>,
    git_ssh_url: Field<String>,
    http_url: Field<String>,
    ssh_url: Field<String>,
    web_url: Field<String>,
}

pub fn decode(json: &str) -> Result<Hook, WebhookError> {
    let mut payload: Payload = object("gitlab", json)?;
    let Some(name) = event_name(&payload) else {
        return Ok(Hook::ignored(UNKNOWN_EVENT));
    };
    let event = Event {
        provider: "gitlab",
        name,
    };
    let project = std::mem::take(&mut payload.project);
    let action = match name {
        "release" => released(event, payload)?,
        _ => pushed(event, payload)?,
    };
    Ok(Hook {
        event: name.to_owned(),
        action,
        urls: urls(event, event.required("project", project)?)?,
    })
}

fn event_name(payload: &Payload) -> Option<&'static str> {
    match &payload.object_kind {
        Field::Is(kind) if kind == "push" => Some("push"),
        Field::Is(kind) if kind == "tag_push" => Some("tag push"),
        Field::Is(kind) if kind == "release" => Some("release"),
        _ => None,
    }
}

/// A deletion is told by `after`: a tag has no `checkout_sha` also where it names no commit, or
/// went while the webhook was on its way.
fn pushed(event: Event, payload: Payload) -> Result<Action, WebhookError> {
    let commit = event.optional_commit("checkout_sha", payload.checkout_sha)?;
    event.pushed(payload.r#ref, payload.after, commit)
}

/// A release may be of an old tag, and its deletion leaves the tag.
fn released(event: Event, payload: Payload) -> Result<Action, WebhookError> {
    event.required("tag", payload.tag)?;
    Ok(Action::Check)
}

fn urls(event: Event, project: Project) -> Result<Vec<String>, WebhookError> {
    event.urls([
        ("project.git_http_url", project.git_http_url),
        ("project.git_ssh_url", project.git_ssh_url),
        ("project.http_url", project.http_url),
        ("project.ssh_url", project.ssh_url),
        ("project.web_url", project.web_url),
    ])
}
