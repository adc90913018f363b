//! GitHub's payloads, and Gitea's: the same form, in which only Gitea says what was created.

use serde::Deserialize;

use super::payload::{Event, Field, Key, is_zero, object};
use super::{Action, Hook, UNKNOWN_EVENT, WebhookError};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Payload {
    r#ref: Field<String>,
    ref_type: Field<String>,
    before: Key,
    after: Field<String>,
    deleted: Field<bool>,
    head_commit: Field<HeadCommit>,
    sha: Field<String>,
    master_branch: Key,
    pusher_type: Key,
    action: Field<String>,
    release: Field<Release>,
    zen: Key,
    repository: Field<Repository>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct HeadCommit {
    id: Field<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Release {
    tag_name: Field<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Repository {
    full_name: Field<String>,
    clone_url: Field<String>,
    ssh_url: Field<String>,
    git_url: Field<String>,
    html_url: Field<String>,
}

pub fn decode(provider: &'static str, json: &str) -> Result<Hook, WebhookError> {
    let mut payload: Payload = object(provider, json)?;
    let name = event_name(&payload);
    let event = Event { provider, name };
    let repository = std::mem::take(&mut payload.repository);
    let action = match name {
        "push" | "tag push" => pushed(event, payload)?,
        "create" | "delete" => created_or_deleted(event, payload)?,
        "release" => released(event, payload)?,
        ignored => return Ok(Hook::ignored(ignored)),
    };
    Ok(Hook {
        event: name.to_owned(),
        action,
        urls: urls(event, event.required("repository", repository)?)?,
    })
}

fn event_name(payload: &Payload) -> &'static str {
    if payload.ref_type.is_present() {
        // GitHub says the default branch only with "create", Gitea a commit.
        let is_create = payload.master_branch.0 || payload.sha.is_present();
        return match (is_create, payload.pusher_type.0) {
            (true, _) => "create",
            (false, true) => "delete",
            (false, false) => UNKNOWN_EVENT,
        };
    }
    let is_push = payload.before.0 || payload.after.is_present();
    match &payload.r#ref {
        Field::Is(name) if is_push && name.starts_with("refs/tags/") => "tag push",
        Field::Is(_) | Field::WrongType if is_push => "push",
        _ if payload.release.is_present() && payload.action.is_present() => "release",
        _ if payload.zen.0 => "ping",
        _ => UNKNOWN_EVENT,
    }
}

fn pushed(event: Event, payload: Payload) -> Result<Action, WebhookError> {
    let head = event.optional("head_commit", payload.head_commit)?;
    let commit = event.optional_commit("head_commit.id", head.unwrap_or_default().id)?;
    let deleted = event.optional("deleted", payload.deleted)?;
    match event.pushed(payload.r#ref, payload.after, commit)? {
        // The two ways to say that a ref is gone contradict each other.
        Action::Set { .. } if deleted == Some(true) => Ok(Action::Check),
        action => Ok(action),
    }
}

fn created_or_deleted(event: Event, payload: Payload) -> Result<Action, WebhookError> {
    let name = event.required("ref", payload.r#ref)?;
    let kind = event.required("ref_type", payload.ref_type)?;
    let sha = event.optional_commit("sha", payload.sha)?;
    let folder = match kind.as_str() {
        // The name is short. One that does not look like it could mean two refs.
        _ if name.starts_with("refs/") => return Ok(Action::Check),
        "branch" => "heads",
        "tag" => "tags",
        _ => return Ok(Action::Check),
    };
    let reference = event.reference("ref", format!("refs/{folder}/{name}"))?;
    if event.name == "delete" {
        return Ok(Action::Gone { reference });
    }
    Ok(match sha {
        // Of a tag it may be the tag object.
        Some(sha) if folder == "heads" && !is_zero(&sha) => Action::Set { reference, sha },
        _ => Action::Check,
    })
}

/// A release may be made before its tag, without one, or of an old one.
fn released(event: Event, payload: Payload) -> Result<Action, WebhookError> {
    let release = event.required("release", payload.release)?;
    event.required("release.tag_name", release.tag_name)?;
    Ok(Action::Check)
}

fn urls(event: Event, repository: Repository) -> Result<Vec<String>, WebhookError> {
    let name = event.optional("repository.full_name", repository.full_name)?;
    let mut urls = event.urls([
        ("repository.clone_url", repository.clone_url),
        ("repository.ssh_url", repository.ssh_url),
        ("repository.git_url", repository.git_url),
        ("repository.html_url", repository.html_url),
    ])?;
    if event.provider == "gitea" {
        urls.extend(name.map(|name| format!("gitea://{name}")));
    }
    Ok(urls)
}
