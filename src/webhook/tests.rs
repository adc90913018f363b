use proptest::prelude::*;
use serde_json::{Value, json};

use super::fixtures::*;
use super::*;

fn read(provider: &str, payload: &Value) -> Result<Hook, String> {
    decode(provider, &payload.to_string()).map_err(|error| error.to_string())
}

fn error(provider: &str, payload: &Value) -> String {
    read(provider, payload).unwrap_err()
}

#[track_caller]
fn expect(provider: &str, payload: &Value, event: &str, action: &Action) {
    let hook = read(provider, payload).unwrap();
    assert_eq!(
        (hook.event.as_str(), &hook.action),
        (event, action),
        "{provider}: {payload}"
    );
    assert_eq!(hook.urls.is_empty(), *action == Action::Ignore);
}

fn set(reference: &str, sha: &str) -> Action {
    Action::Set {
        reference: reference.to_owned(),
        sha: sha.to_owned(),
    }
}

fn gone(reference: &str) -> Action {
    Action::Gone {
        reference: reference.to_owned(),
    }
}

#[test]
fn pushes_of_branches() {
    let (main, to_main) = ("refs/heads/main", &set("refs/heads/main", COMMIT));
    expect(
        "github",
        &github_push(main, COMMIT, Some(COMMIT)),
        "push",
        to_main,
    );
    expect("github", &github_push(main, COMMIT, None), "push", to_main);
    expect(
        "gitea",
        &gitea_push(main, COMMIT, Some(COMMIT)),
        "push",
        to_main,
    );
    expect(
        "gitlab",
        &gitlab_push("push", main, COMMIT, Some(COMMIT)),
        "push",
        to_main,
    );
    let sha256 = "5a".repeat(32);
    expect(
        "gitea",
        &gitea_push(main, &sha256, None),
        "push",
        &set(main, &sha256),
    );
    let slashed = "refs/heads/feature/refs/tags/v1";
    expect(
        "github",
        &github_push(slashed, COMMIT, None),
        "push",
        &set(slashed, COMMIT),
    );
}

#[test]
fn the_commit_of_a_tag_counts_not_the_tag_object() {
    let tag = "refs/tags/v1.2.0";
    for after in [COMMIT, TAG_OBJECT] {
        let to_commit = &set(tag, COMMIT);
        expect(
            "github",
            &github_push(tag, after, Some(COMMIT)),
            "tag push",
            to_commit,
        );
        expect(
            "gitea",
            &gitea_push(tag, after, Some(COMMIT)),
            "tag push",
            to_commit,
        );
        expect(
            "gitlab",
            &gitlab_push("tag_push", tag, after, Some(COMMIT)),
            "tag push",
            to_commit,
        );
        // What the tag object is of is not said.
        expect(
            "github",
            &github_push(tag, after, None),
            "tag push",
            &Action::Check,
        );
        expect(
            "gitea",
            &gitea_push(tag, after, None),
            "tag push",
            &Action::Check,
        );
        expect(
            "gitea",
            &gitea_push(tag, after, Some("")),
            "tag push",
            &Action::Check,
        );
        expect(
            "gitlab",
            &gitlab_push("tag_push", tag, after, None),
            "tag push",
            &Action::Check,
        );
        expect(
            "gitlab",
            &gitlab_push("tag_push", tag, after, Some(ZERO)),
            "tag push",
            &Action::Check,
        );
    }
}

#[test]
fn deletions() {
    for (name, event) in [("refs/heads/old", "push"), ("refs/tags/v0.1", "tag push")] {
        let kind = event.replace(' ', "_");
        expect("github", &github_push(name, ZERO, None), event, &gone(name));
        expect("gitea", &gitea_push(name, ZERO, None), event, &gone(name));
        expect(
            "gitlab",
            &gitlab_push(&kind, name, ZERO, None),
            event,
            &gone(name),
        );
    }
    for (provider, repository) in [
        ("github", github_repository()),
        ("gitea", gitea_repository()),
    ] {
        let branch = delete("branch", "feature/x", &repository);
        expect(provider, &branch, "delete", &gone("refs/heads/feature/x"));
        let tag = delete("tag", "v0.1", &repository);
        expect(provider, &tag, "delete", &gone("refs/tags/v0.1"));
    }
    let contradiction = with(
        &github_push("refs/heads/x", COMMIT, None),
        &json!({"deleted": true}),
    );
    expect("github", &contradiction, "push", &Action::Check);
}

#[test]
fn creations() {
    expect("github", &github_create("branch"), "create", &Action::Check);
    expect("github", &github_create("tag"), "create", &Action::Check);
    let no_default = with(&github_create("branch"), &json!({"master_branch": null}));
    expect("github", &no_default, "create", &Action::Check);

    let branch = gitea_create("branch", "feature/x");
    expect(
        "gitea",
        &branch,
        "create",
        &set("refs/heads/feature/x", COMMIT),
    );
    expect(
        "gitea",
        &with(&branch, &json!({"sha": ""})),
        "create",
        &Action::Check,
    );
    expect(
        "gitea",
        &with(&branch, &json!({"sha": ZERO})),
        "create",
        &Action::Check,
    );
    expect(
        "gitea",
        &gitea_create("tag", "v1.2.0"),
        "create",
        &Action::Check,
    );
    // Mirrors have refs of pull requests, too.
    expect(
        "gitea",
        &gitea_create("pull", "refs/pull/7/head"),
        "create",
        &Action::Check,
    );
    expect(
        "gitea",
        &gitea_create("branch", "refs/heads/x"),
        "create",
        &Action::Check,
    );
    let unclear = delete("branch", "refs/heads/x", &gitea_repository());
    expect("gitea", &unclear, "delete", &Action::Check);
}

#[test]
fn releases_and_other_refs_are_checked() {
    expect(
        "github",
        &release(&github_repository()),
        "release",
        &Action::Check,
    );
    expect(
        "gitea",
        &release(&gitea_repository()),
        "release",
        &Action::Check,
    );
    expect("gitlab", &gitlab_release(), "release", &Action::Check);
    let notes = "refs/notes/commits";
    expect(
        "gitea",
        &gitea_push(notes, COMMIT, Some(COMMIT)),
        "push",
        &Action::Check,
    );
    expect(
        "gitlab",
        &gitlab_push("push", notes, COMMIT, Some(COMMIT)),
        "push",
        &Action::Check,
    );
}

#[test]
fn what_is_not_about_refs_is_ignored() {
    let ping = json!({"zen": "Turn.", "hook_id": 1, "hook": {}, "repository": github_repository()});
    expect("github", &ping, "ping", &Action::Ignore);
    let others = [
        json!({}),
        json!({"action": "opened", "issue": {"number": 1}, "repository": github_repository()}),
        json!({"action": "synchronize", "before": OLD, "after": COMMIT, "pull_request": {}}),
        json!({"ref": "refs/heads/main", "workflow": "w", "repository": github_repository()}),
        json!({"ref": "main", "ref_type": "branch", "repository": github_repository()}),
        json!({"object_kind": "merge_request", "project": gitlab_project()}),
        json!({"object_kind": ["push"], "project": 1}),
        json!({"object_kind": null}),
    ];
    for payload in &others {
        for provider in ["github", "gitea", "gitlab"] {
            expect(provider, payload, "unknown event", &Action::Ignore);
        }
    }
}

#[test]
fn urls_under_which_a_repository_may_be_tracked() {
    let urls = |provider, payload: &Value| read(provider, payload).unwrap().urls;
    let github = urls("github", &github_create("tag"));
    let of_github = [
        "https://github.com/acme/sprocket.git",
        "git@github.com:acme/sprocket.git",
        "git://github.com/acme/sprocket.git",
        "https://github.com/acme/sprocket",
    ];
    assert_eq!(github, of_github);
    let gitea = urls("gitea", &release(&gitea_repository()));
    let of_gitea = [
        "https://git.acme.example/acme/sprocket.git",
        "ssh://git@git.acme.example:2222/acme/sprocket.git",
        "https://git.acme.example/acme/sprocket",
        "gitea://acme/sprocket",
    ];
    assert_eq!(gitea, of_gitea);
    let gitlab = urls("gitlab", &gitlab_release());
    let of_gitlab = [
        "https://gitlab.acme.example/acme/sprocket.git",
        "git@gitlab.acme.example:acme/sprocket.git",
        "https://gitlab.acme.example/acme/sprocket",
    ];
    assert_eq!(gitlab, of_gitlab);
    for url in github.iter().chain(&gitea).chain(&gitlab) {
        assert!(crate::source::upstream(url).is_some(), "{url}");
    }
}

#[test]
fn payloads_that_are_no_objects() {
    for payload in [
        "null",
        "[]",
        "1",
        "\"push\"",
        "true",
        "",
        "{",
        "{} {}",
        "[{\"ref\": 1}]",
    ] {
        for provider in ["github", "gitea", "gitlab"] {
            let text = decode(provider, payload).unwrap_err().to_string();
            assert_eq!(text, format!("{provider} payload is not a JSON object"));
        }
    }
    let unknown = "unknown provider \"GitHub\\n\": expected github, gitea or gitlab";
    assert_eq!(error("GitHub\n", &json!({})), unknown);
    assert!(error(&"x".repeat(1 << 20), &json!({})).len() < 150);
}

#[test]
fn missing_fields() {
    let main = "refs/heads/main";
    let push = github_push(main, COMMIT, None);
    let repository_missing = "github push: missing field \"repository\"";
    assert_eq!(
        error("github", &without(&push, "repository")),
        repository_missing
    );
    assert_eq!(
        error("github", &with(&push, &json!({"repository": null}))),
        repository_missing
    );
    for (provider, payload, text) in [
        (
            "github",
            with(&push, &json!({"repository": {}})),
            "github push: missing field \"repository.clone_url\"",
        ),
        (
            "github",
            without(&push, "after"),
            "github push: missing field \"after\"",
        ),
        (
            "gitea",
            without(&gitea_create("tag", "v1"), "ref"),
            "gitea create: missing field \"ref\"",
        ),
        (
            "gitea",
            with(&release(&gitea_repository()), &json!({"release": {}})),
            "gitea release: missing field \"release.tag_name\"",
        ),
        (
            "gitlab",
            without(&gitlab_push("tag_push", main, ZERO, None), "ref"),
            "gitlab tag push: missing field \"ref\"",
        ),
        (
            "gitlab",
            without(&gitlab_push("push", main, ZERO, None), "project"),
            "gitlab push: missing field \"project\"",
        ),
        (
            "gitlab",
            without(&gitlab_release(), "tag"),
            "gitlab release: missing field \"tag\"",
        ),
    ] {
        assert_eq!(error(provider, &payload), text);
    }
}

#[test]
fn wrong_types_are_told_without_their_values() {
    let push = github_push("refs/tags/v1", TAG_OBJECT, Some(COMMIT));
    for (field, value) in [
        ("ref", json!(["s3cret"])),
        ("after", json!({"s3cret": 1})),
        ("deleted", json!("s3cret")),
        ("head_commit", json!([COMMIT])),
        (
            "repository",
            json!(["acme/sprocket", "https://s3cret.example/a/b"]),
        ),
        ("repository", json!("s3cret")),
    ] {
        let event = if field == "ref" { "push" } else { "tag push" };
        let text = format!("github {event}: wrong type of field \"{field}\"");
        assert_eq!(error("github", &with(&push, &json!({field: value}))), text);
    }
    let nested = with(&push, &json!({"repository": {"clone_url": 1}}));
    let text = "github tag push: wrong type of field \"repository.clone_url\"";
    assert_eq!(error("github", &nested), text);
}

#[test]
fn refs_and_commits_that_are_none() {
    let to = |name, after, head| error("github", &github_push(name, after, head));
    assert_eq!(
        to("main", COMMIT, None),
        "github push: field \"ref\" is not a full ref of git: \"main\""
    );
    assert_eq!(
        to("refs/tags/a..b", COMMIT, None),
        "github tag push: field \"ref\" is not a full ref of git: \"refs/tags/a..b\""
    );
    let digits = "expected 40 or 64 lower-case hexadecimal digits";
    assert_eq!(
        to("refs/heads/main", "c1", None),
        format!("github push: invalid commit \"c1\" in field \"after\": {digits}")
    );
    assert_eq!(
        to("refs/tags/v1", TAG_OBJECT, Some("HEAD")),
        format!("github tag push: invalid commit \"HEAD\" in field \"head_commit.id\": {digits}")
    );
    let spaced = delete("branch", "a b", &github_repository());
    let text = "github delete: field \"ref\" is not a full ref of git: \"refs/heads/a b\"";
    assert_eq!(error("github", &spaced), text);
    assert!(to(&"x".repeat(1 << 20), COMMIT, None).len() < 150);
}

#[test]
fn huge_and_deep_payloads() {
    let deep = format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20));
    let objects = format!(
        "{}1{}",
        "{\"repository\":".repeat(1 << 17),
        "}".repeat(1 << 17)
    );
    let push = github_push("refs/heads/main", COMMIT, None).to_string();
    let body = &push[1..];
    for extra in [&deep, &objects, &format!("\"{}\"", "x".repeat(10 << 20))] {
        let hook = decode(
            "github",
            &format!("{{\"commits\":{extra},{}", without_commits(body)),
        );
        assert_eq!(hook.unwrap().action, set("refs/heads/main", COMMIT));
    }
    assert!(decode("github", &deep).is_err());
    assert_eq!(decode("github", &objects).unwrap().action, Action::Ignore);
    let text = decode(
        "gitlab",
        &format!("{{\"object_kind\":\"push\",\"ref\":{deep}}}"),
    );
    assert_eq!(
        text.unwrap_err().to_string(),
        "gitlab push: wrong type of field \"ref\""
    );
}

fn without_commits(body: &str) -> String {
    body.replacen("\"commits\":[],", "", 1)
}

/// Replaces the field that `at` chooses, at the top or one level down.
fn spoil(payload: &mut Value, at: prop::sample::Index, value: Value) {
    let fields = payload.as_object_mut().unwrap();
    let mut places: Vec<&mut Value> = Vec::new();
    for field in fields.values_mut() {
        match field {
            Value::Object(inner) => places.extend(inner.values_mut()),
            _ => places.push(field),
        }
    }
    let chosen = at.index(places.len());
    *places.swap_remove(chosen) = value;
}

proptest! {
    #[test]
    fn whatever_is_set_or_gone_is_a_full_ref_and_a_commit(
        fixture in prop::sample::select(fixtures()),
        at in any::<prop::sample::Index>(),
        value in prop_oneof![
            Just(json!(null)), Just(json!(true)), Just(json!(1e300)), Just(json!([])), Just(json!({})),
            Just(json!(ZERO)), Just(json!("refs/heads/x")), ".{0,300}".prop_map(Value::String)
        ],
    ) {
        let (provider, mut payload) = fixture;
        spoil(&mut payload, at, value);
        match read(provider, &payload).map(|hook| hook.action) {
            Ok(Action::Set { reference, sha }) => {
                prop_assert!(crate::git_refs::is_full_ref(&reference));
                prop_assert!(crate::commit_sha::is_full(sha.as_bytes()) && sha != ZERO);
                prop_assert!(sha != TAG_OBJECT || reference.starts_with("refs/heads/"));
            }
            Ok(Action::Gone { reference }) => prop_assert!(crate::git_refs::is_full_ref(&reference)),
            Ok(_) => {}
            Err(text) => prop_assert!(text.starts_with(provider) && text.chars().count() < 900),
        }
    }
}
