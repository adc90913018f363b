//! What observations are made of: refs and webhooks, decoded.

use pgrx::datum::AnyElement;
use pgrx::prelude::*;

use super::json::JsonText;
use super::report::raise;
use crate::{git_refs, webhook};

/// The refs of an answer of `git ls-remote`.
#[pg_extern(sql = false)]
fn decode_plugin_refs(
    refs: AnyElement,
) -> TableIterator<'static, (name!(r#ref, String), name!(sha, String))> {
    let json = JsonText::of(refs.datum());
    let refs = git_refs::decode(json.as_str()).unwrap_or_else(|error| {
        refuse("observe_plugin_upstream", &error.to_string());
    });
    let refs: Vec<_> = refs
        .into_iter()
        .map(|(name, sha)| (name.into_owned(), sha.into_owned()))
        .collect();
    TableIterator::new(refs)
}

/// Whether git takes the text as a full ref.
#[pg_extern(sql = false)]
fn is_valid_git_ref(name: &str) -> bool {
    git_refs::is_full_ref(name)
}

/// What a webhook says, a row for each URL of the repository.
#[allow(
    clippy::type_complexity,
    reason = "pgrx reads the columns off the signature"
)]
#[pg_extern(sql = false)]
fn decode_plugin_webhook(
    provider: &str,
    payload: AnyElement,
) -> TableIterator<
    'static,
    (
        name!(event, String),
        name!(action, &'static str),
        name!(url, String),
        name!(r#ref, Option<String>),
        name!(sha, Option<String>),
    ),
> {
    let json = JsonText::of(payload.datum());
    let hook = webhook::decode(provider, json.as_str()).unwrap_or_else(|error| {
        refuse("observe_plugin_webhook", &error.to_string());
    });
    let (action, name, sha) = match hook.action {
        webhook::Action::Set { reference, sha } => ("set", Some(reference), Some(sha)),
        webhook::Action::Gone { reference } => ("gone", Some(reference), None),
        webhook::Action::Check => ("check", None, None),
        webhook::Action::Ignore => ("ignore", None, None),
    };
    // One row even where there is no URL: the event itself is an answer.
    let urls = if hook.urls.is_empty() {
        vec![String::new()]
    } else {
        hook.urls
    };
    let event = hook.event;
    TableIterator::new(
        urls.into_iter()
            .map(move |url| (event.clone(), action, url, name.clone(), sha.clone())),
    )
}

fn refuse(function: &'static str, error: &str) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("{function}: {error}"),
        None,
        function,
    )
}
