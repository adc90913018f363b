//! What would a source resolve to? Nothing is written anywhere.

use std::fmt::Write;

use pg_workspace_plugins::tracked_ref::{self, TrackedRef};
use pg_workspace_plugins::{commit_sha, source, tag_choice};

use crate::config::Sources;
use crate::failure::Failure;
use crate::git::{Git, Refs};
use crate::location::locate;

const TAGS: &str = "refs/tags/";
const HEADS: &str = "refs/heads/";

/// What a source is found to be, as text; and whether all of it could be found.
pub struct Found {
    pub text: String,
    pub is_complete: bool,
}

/// Asks one source, and says what each of `tracks` means there.
///
/// # Errors
/// The source cannot be asked.
pub async fn check(
    given: &str,
    tracks: &[String],
    git: &Git,
    sources: &Sources,
) -> Result<Found, Failure> {
    let url = locate(given, sources)?;
    let others = tracks.iter().filter_map(|track| track.strip_prefix("ref:"));
    let others = others
        .filter(|name| name.starts_with("refs/"))
        .map(str::to_owned);
    let ask = git.ask(url, others.collect());
    let answer = git.list(&ask).await?;
    let (tags, heads) = (count(&answer.refs, TAGS), count(&answer.refs, HEADS));
    let mut text = format!("{given}\n");
    let mut line = |name: &str, value: &str| {
        // Writing into a text does not fail.
        let _ = writeln!(text, "  {name:<12} {value}");
    };
    line("repository", &source::upstream(given).unwrap_or_default());
    line("asked", &ask.url.to_bstring().to_string());
    line("refs", &format!("{tags} tags, {heads} branches"));
    let mut is_complete = true;
    for track in tracks {
        let meant = meaning(track, &answer.refs);
        is_complete &= meant.is_ok();
        line(track, &meant.unwrap_or_else(str::to_owned));
    }
    Ok(Found { text, is_complete })
}

fn count(refs: &Refs, prefix: &str) -> usize {
    refs.keys().filter(|name| name.starts_with(prefix)).count()
}

/// The ref and the commit that a tracked ref means among refs, or why none.
fn meaning(track: &str, refs: &Refs) -> Result<String, &'static str> {
    let parsed = tracked_ref::parse(track.as_bytes());
    let value = parsed.and_then(TrackedRef::value).unwrap_or_default();
    let value = std::str::from_utf8(value).unwrap_or_default();
    let shown = |name: &str| refs.get(name).map(|sha| format!("{name} {sha}"));
    match parsed.ok_or("no tracked ref: expected tag:…, ref:… or sha:…")? {
        TrackedRef::None => Ok("not tracked".to_owned()),
        TrackedRef::Sha(sha) if commit_sha::is_full(sha) => Ok(value.to_owned()),
        TrackedRef::Sha(_) => Err("no full commit"),
        TrackedRef::Tag(_) => shown(&format!("{TAGS}{value}")).ok_or("there is no such tag"),
        TrackedRef::Ref(_) if value.starts_with("refs/") => {
            shown(value).ok_or("there is no such ref")
        }
        TrackedRef::Ref(_) => {
            match (
                shown(&format!("{HEADS}{value}")),
                shown(&format!("{TAGS}{value}")),
            ) {
                (Some(_), Some(_)) => Err("there is a branch and a tag of this name"),
                (branch, tag) => branch.or(tag).ok_or("there is no such branch or tag"),
            }
        }
        TrackedRef::Latest | TrackedRef::Range(_) => {
            let tags = refs.keys().filter_map(|name| name.strip_prefix(TAGS));
            let chosen = tag_choice::resolve(track, tags, None).ok_or("no tag matches")?;
            shown(&format!("{TAGS}{chosen}")).ok_or("no tag matches")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracked_ref_means_what_it_means_in_the_database() {
        let names = [
            "refs/heads/main",
            "refs/heads/both",
            "refs/tags/both",
            "refs/tags/v1.2.0",
            "refs/tags/v1.10.0",
            "refs/tags/v2.0.0-rc.1",
            "refs/tags/a/v3.0.0",
        ];
        let refs: Refs = names
            .iter()
            .map(|name| ((*name).to_owned(), "1".repeat(40)))
            .collect();
        let meaning = |track: &str| {
            let meant = meaning(track, &refs);
            meant.map_or_else(str::to_owned, |text| {
                text.split(' ').next().unwrap().to_owned()
            })
        };
        for (track, expected) in [
            ("tag:latest", "refs/tags/v1.10.0"),
            ("tag:~1.2", "refs/tags/v1.2.0"),
            ("tag:a/*", "refs/tags/a/v3.0.0"),
            ("tag:v1.2.0", "refs/tags/v1.2.0"),
            ("tag:v9", "there is no such tag"),
            ("tag:^9", "no tag matches"),
            ("ref:main", "refs/heads/main"),
            ("ref:both", "there is a branch and a tag of this name"),
            ("ref:refs/heads/both", "refs/heads/both"),
            ("ref:refs/pull/1/head", "there is no such ref"),
            ("sha:abc", "no full commit"),
            ("none", "not"),
            ("main", "no tracked ref: expected tag:…, ref:… or sha:…"),
        ] {
            assert_eq!(meaning(track), expected, "{track}");
        }
    }
}
