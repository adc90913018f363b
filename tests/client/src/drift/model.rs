//! How each install stands.

use std::cmp::Ordering;

use uuid::Uuid;

use super::versions::Stream;
use super::world::{Install, SeenRef, World};

/// The states in which an update is wanted.
const WANTED: [&str; 4] = ["pin_mismatch", "retarget", "new_version", "branch_advanced"];

/// An update that waits, or ought to.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Update {
    pub workspace: Uuid,
    pub plugin: String,
    pub upstream: String,
    pub tracked: String,
    pub kind: String,
    pub current: String,
    pub reference: Option<String>,
    pub target: String,
}

/// What a tracked ref means.
struct Target {
    reference: Option<String>,
    sha: String,
}

impl World {
    /// Every update that ought to wait.
    #[must_use]
    pub fn wanted(&self) -> Vec<Update> {
        let installs = self.installs.iter();
        installs
            .filter_map(|install| self.update(install))
            .collect()
    }

    /// Workspace, plugin and state of everything that tracks.
    #[must_use]
    pub fn states(&self) -> Vec<(Uuid, String, String)> {
        let tracked = self.installs.iter().filter(|i| i.tracked != "none");
        tracked
            .map(|i| (i.workspace, i.plugin.clone(), self.judge(i).0.to_owned()))
            .collect()
    }

    fn update(&self, install: &Install) -> Option<Update> {
        if install.tracked == "none" {
            return None;
        }
        let (state, target) = self.judge(install);
        let target = target.filter(|_| WANTED.contains(&state))?;
        let key = (
            install.workspace,
            install.plugin.clone(),
            target.sha.clone(),
        );
        if self.dismissed.contains(&key) {
            return None;
        }
        Some(Update {
            workspace: install.workspace,
            plugin: install.plugin.clone(),
            upstream: install.upstream.clone()?,
            tracked: install.tracked.clone(),
            kind: state.to_owned(),
            current: install.sha.clone()?,
            reference: target.reference,
            target: target.sha,
        })
    }

    fn judge(&self, install: &Install) -> (&'static str, Option<Target>) {
        let Some(upstream) = &install.upstream else {
            return ("no_upstream", None);
        };
        let Some(installed) = &install.sha else {
            return ("unknown_baseline", None);
        };
        let repository = Repository {
            world: self,
            upstream,
        };
        let found = repository.judge(&install.tracked, installed);
        match found {
            Err(state) => (state, None),
            Ok((_, target)) if target.sha == *installed => ("in_sync", None),
            Ok((state, target)) => (state, Some(target)),
        }
    }
}

/// What was seen of one repository.
struct Repository<'a> {
    world: &'a World,
    upstream: &'a str,
}

/// A target with the state of who is elsewhere; or the state in which there is no target.
type Judgement = Result<(&'static str, Target), &'static str>;

impl<'a> Repository<'a> {
    fn judge(&self, tracked: &str, installed: &str) -> Judgement {
        let (kind, value) = tracked.split_once(':').expect("a tracked ref");
        if kind == "sha" {
            return pin(value);
        } else if !self.world.observed.contains(self.upstream) {
            return Err("unobserved");
        } else if kind == "ref" {
            return self.reference(value);
        }
        match Stream::parse(value) {
            None => self.tag(value),
            Some(Err(())) => Err("unresolvable"),
            Some(Ok(stream)) => self.newest(&stream, installed),
        }
    }

    fn reference(&self, name: &str) -> Judgement {
        let full = if name.starts_with("refs/") {
            vec![name.to_owned()]
        } else {
            vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")]
        };
        if !is_legal(name) {
            return Err("unresolvable");
        }
        let found: Vec<_> = full.iter().filter_map(|name| self.current(name)).collect();
        match found[..] {
            [] => Err("ref_missing"),
            [one] => Ok(("branch_advanced", one.target())),
            _ => Err("ambiguous_ref"),
        }
    }

    fn tag(&self, name: &str) -> Judgement {
        if !is_legal(name) {
            return Err("unresolvable");
        }
        let current = self.current(&format!("refs/tags/{name}"));
        let current = current.ok_or("ref_missing")?;
        let state = if self.has_moved(current) {
            "tag_moved"
        } else {
            "retarget"
        };
        Ok((state, current.target()))
    }

    fn newest(&self, stream: &Stream<'_>, installed: &str) -> Judgement {
        let on_installed: Vec<_> = self.seen().filter(|seen| seen.sha == installed).collect();
        let installed = stream.version_of(&tags(&on_installed));
        let of_age: Vec<_> = self.seen().filter(|seen| self.is_of_age(seen)).collect();
        let newest = stream
            .newest(&tags(&of_age), installed)
            .ok_or("no_candidate")?;
        let current = self.current(&format!("refs/tags/{newest}")).expect("a tag");
        let standing = installed.map(|installed| stream.compare(newest, installed));
        let state = match standing {
            Some(Ordering::Less) => "ahead",
            _ if self.has_moved(current) => "tag_moved",
            Some(Ordering::Equal) if installed == Some(newest) => "retarget",
            Some(Ordering::Equal | Ordering::Greater) | None => "new_version",
        };
        Ok((state, current.target()))
    }

    fn seen(&self) -> impl Iterator<Item = &'a SeenRef> {
        let ledger = self.world.ledger.iter();
        ledger.filter(|seen| seen.upstream == self.upstream)
    }

    fn current(&self, reference: &str) -> Option<&'a SeenRef> {
        self.seen()
            .find(|seen| seen.is_current && seen.reference == reference)
    }

    /// Whether the tag is elsewhere than on its own commit: the one accepted last, else the first.
    fn has_moved(&self, tag: &SeenRef) -> bool {
        let seen = || self.seen().filter(|seen| seen.reference == tag.reference);
        let accepted = seen().max_by_key(|seen| seen.accepted_at);
        let own = accepted.filter(|seen| seen.accepted_at.is_some());
        let own = own.or_else(|| seen().min_by_key(|seen| seen.first_seen_at));
        own.expect("the tag itself").sha != tag.sha
    }

    fn is_of_age(&self, seen: &SeenRef) -> bool {
        let min_age = self.world.min_ages.get(self.upstream).copied();
        let min_age = min_age.unwrap_or_default();
        // Without a minimum, what was seen is of age, whatever the clocks of others say.
        seen.is_current && (min_age.is_zero() || seen.current_since + min_age <= self.world.at)
    }
}

impl SeenRef {
    fn target(&self) -> Target {
        Target {
            reference: Some(self.reference.clone()),
            sha: self.sha.clone(),
        }
    }
}

fn pin(value: &str) -> Judgement {
    let is_hex = value.bytes().all(|b| b"0123456789abcdef".contains(&b));
    if !is_hex || ![40, 64].contains(&value.len()) {
        return Err("unresolvable");
    }
    let target = Target {
        reference: None,
        sha: value.to_owned(),
    };
    Ok(("pin_mismatch", target))
}

fn tags<'s>(seen: &[&'s SeenRef]) -> Vec<&'s str> {
    let names = seen.iter().map(|seen| &*seen.reference);
    names
        .filter_map(|name| name.strip_prefix("refs/tags/"))
        .collect()
}

/// Enough for the names that the tests use.
fn is_legal(name: &str) -> bool {
    !name.contains([' ', '^', '~', '*', ':', '?', '[', '\\']) && !name.contains("..")
}
