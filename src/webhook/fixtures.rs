//! Payloads as the servers send them, shortened, with invented names and ids.

use serde_json::{Value, json};

pub const COMMIT: &str = "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1";
pub const OLD: &str = "0ad0ad0ad0ad0ad0ad0ad0ad0ad0ad0ad0ad0ad0";
/// An annotated tag's own id.
pub const TAG_OBJECT: &str = "7a97a97a97a97a97a97a97a97a97a97a97a97a97";
pub const ZERO: &str = "0000000000000000000000000000000000000000";

/// `base` with the fields of `more`.
pub fn with(base: &Value, more: &Value) -> Value {
    let mut all = base.as_object().unwrap().clone();
    all.extend(more.as_object().unwrap().clone());
    Value::Object(all)
}

pub fn without(base: &Value, field: &str) -> Value {
    let mut rest = base.clone();
    rest.as_object_mut().unwrap().remove(field);
    rest
}

/// What GitHub sends of a repository, shortened; Gitea leaves out `git_url`.
pub fn github_repository() -> Value {
    json!({
        "id": 4711, "name": "sprocket", "full_name": "acme/sprocket", "private": true,
        "owner": {"login": "acme", "id": 17},
        "html_url": "https://github.com/acme/sprocket",
        "url": "https://api.github.com/repos/acme/sprocket",
        "git_url": "git://github.com/acme/sprocket.git",
        "ssh_url": "git@github.com:acme/sprocket.git",
        "clone_url": "https://github.com/acme/sprocket.git",
        "mirror_url": null, "default_branch": "main"
    })
}

pub fn github_push(reference: &str, after: &str, head: Option<&str>) -> Value {
    json!({
        "ref": reference, "before": OLD, "after": after, "base_ref": null,
        "created": false, "deleted": after == ZERO, "forced": false, "commits": [],
        "head_commit": head.map(|id| json!({"id": id, "tree_id": OLD, "message": "Turn"})),
        "pusher": {"name": "wile", "email": "wile@acme.example"},
        "repository": github_repository(), "sender": {"login": "wile"}
    })
}

pub fn github_create(kind: &str) -> Value {
    json!({
        "ref": "v1.2.0", "ref_type": kind, "master_branch": "main", "description": null,
        "pusher_type": "user", "repository": github_repository(), "sender": {"login": "wile"}
    })
}

pub fn gitea_repository() -> Value {
    json!({
        "id": 12, "owner": {"login": "acme"}, "name": "sprocket", "full_name": "acme/sprocket",
        "html_url": "https://git.acme.example/acme/sprocket",
        "ssh_url": "ssh://git@git.acme.example:2222/acme/sprocket.git",
        "clone_url": "https://git.acme.example/acme/sprocket.git",
        "original_url": "", "website": "", "default_branch": "main"
    })
}

/// As [`github_push`], without `deleted` and its kind, which Gitea does not send.
pub fn gitea_push(reference: &str, after: &str, head: Option<&str>) -> Value {
    let push = github_push(reference, after, head);
    let push = with(
        &push,
        &json!({"compare_url": "", "total_commits": 1, "repository": gitea_repository()}),
    );
    ["deleted", "created", "forced", "base_ref"]
        .iter()
        .fold(push, |push, field| without(&push, field))
}

pub fn gitea_create(kind: &str, name: &str) -> Value {
    json!({
        "sha": COMMIT, "ref": name, "ref_type": kind,
        "repository": gitea_repository(), "sender": {"login": "wile"}
    })
}

pub fn delete(kind: &str, name: &str, repository: &Value) -> Value {
    json!({
        "ref": name, "ref_type": kind, "pusher_type": "user",
        "repository": repository, "sender": {"login": "wile"}
    })
}

pub fn release(repository: &Value) -> Value {
    json!({
        "action": "published", "release": {"id": 3, "tag_name": "v1.2.0", "draft": false},
        "repository": repository, "sender": {"login": "wile"}
    })
}

pub fn gitlab_project() -> Value {
    json!({
        "id": 15, "name": "Sprocket", "path_with_namespace": "acme/sprocket", "default_branch": "main",
        "web_url": "https://gitlab.acme.example/acme/sprocket",
        "git_ssh_url": "git@gitlab.acme.example:acme/sprocket.git",
        "git_http_url": "https://gitlab.acme.example/acme/sprocket.git",
        "homepage": "https://gitlab.acme.example/acme/sprocket",
        "url": "git@gitlab.acme.example:acme/sprocket.git",
        "ssh_url": "git@gitlab.acme.example:acme/sprocket.git",
        "http_url": "https://gitlab.acme.example/acme/sprocket.git"
    })
}

pub fn gitlab_push(kind: &str, reference: &str, after: &str, checkout: Option<&str>) -> Value {
    json!({
        "object_kind": kind, "event_name": kind, "before": OLD, "after": after, "ref": reference,
        "checkout_sha": checkout, "message": null, "user_username": "wile", "project_id": 15,
        "project": gitlab_project(), "commits": [], "total_commits_count": 0
    })
}

pub fn gitlab_release() -> Value {
    json!({
        "id": 1, "tag": "v1.2.0", "object_kind": "release", "action": "create",
        "project": gitlab_project(), "commit": {"id": COMMIT}
    })
}

pub fn fixtures() -> Vec<(&'static str, Value)> {
    let (tag, main) = ("refs/tags/v1", "refs/heads/main");
    vec![
        ("github", github_push(tag, TAG_OBJECT, Some(COMMIT))),
        ("github", github_create("tag")),
        ("gitea", gitea_push(main, COMMIT, Some(COMMIT))),
        ("gitea", gitea_create("branch", "x")),
        ("gitea", delete("tag", "v1", &gitea_repository())),
        ("gitea", release(&gitea_repository())),
        (
            "gitlab",
            gitlab_push("tag_push", tag, TAG_OBJECT, Some(COMMIT)),
        ),
        ("gitlab", gitlab_release()),
    ]
}
