//! Random statements over a small alphabet, so that they meet each other.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

const PLUGINS: [&str; 4] = ["p0", "p1", "p2", "p3"];
/// The last one has no repository.
const SOURCES: [&str; 5] = [
    "github://o/a",
    "https://github.com/O/b.git#tag:v1",
    "git@host.example:O/c",
    "github://o/a/plugins/x#main",
    "local://x",
];
const UPSTREAMS: [&str; 4] = [
    "github.com/o/a",
    "github.com/o/b",
    "host.example/O/c",
    "github.com/nobody/tracks",
];
const BRANCHES: [&str; 3] = ["main", "dev", "v1.0.0"];
const TAGS: [&str; 20] = [
    "v0.9.0",
    "v1.0.0",
    "v1.0.1",
    "v1.1.0",
    "v1.1.0+build.5",
    "V1.2.0",
    "v1.3.0-rc.1",
    "v2.0.0-rc.1",
    "v2.0.0-rc.10",
    "v2.0.0",
    "v1",
    "v1.2",
    "v2024.1.0",
    "2024.01.05",
    "nightly",
    "plugin-a/v1.0.0",
    "plugin-a/v1.1.0",
    "plugin-a/v2.0.0-rc.1",
    "plugin-b-v1.0.0-rc.1",
    "plugin-b-v1.0.0-rc.2",
];
const TRACKS: [&str; 29] = [
    "none",
    "tag:latest",
    "tag:*",
    "tag:^1.0",
    "tag:~1.1",
    "tag:1.*",
    "tag:^2",
    "tag:^0.9",
    "tag:plugin-a/^1",
    "tag:plugin-a/*",
    "tag:plugin-b-*",
    "tag:nothing/*",
    "tag:^bad",
    "tag:v1.0.0",
    "tag:v1.1.0",
    "tag:nightly",
    "tag:missing",
    "tag:has space",
    "ref:main",
    "ref:dev",
    "ref:v1.0.0",
    "ref:nightly",
    "ref:missing",
    "ref:a..b",
    "ref:refs/tags/v1.0.0",
    "ref:refs/heads/main",
    "sha:xyz",
    "sha:1111111111111111111111111111111111111111",
    "sha:2222222222222222222222222222222222222222",
];
const COMMITS: usize = 6;

/// What the statements may touch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The extension's functions.
    Functions,
    /// Its tables too.
    Tables,
}

/// A source of statements; the same seed gives the same ones.
pub struct Statements {
    rng: StdRng,
    reach: Reach,
    workspaces: usize,
}

impl Statements {
    #[must_use]
    pub fn new(seed: u64, reach: Reach, workspaces: usize) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            reach,
            workspaces,
        }
    }

    /// A statement, by itself or as one of a transaction.
    pub fn any(&mut self) -> String {
        match self.rng.random_range(0..20) {
            0 => self.transaction("COMMIT"),
            1 => self.transaction("ROLLBACK"),
            _ => self.single(),
        }
    }

    fn transaction(&mut self, end: &str) -> String {
        format!("BEGIN; {}; {}; {end}", self.single(), self.single())
    }

    /// One call of a function, or one write to a table.
    pub fn single(&mut self) -> String {
        if self.reach == Reach::Tables && self.rng.random_bool(0.3) {
            self.direct()
        } else {
            self.call()
        }
    }

    fn call(&mut self) -> String {
        match self.rng.random_range(0..100) {
            0..30 => self.record(),
            30..38 => self.record_batch(),
            38..46 => self.remove(),
            46..64 => self.observe(),
            64..78 => self.observe_ref(),
            78..84 => self.accept(),
            84..90 => self.dismiss(),
            90..93 => self.unregister(),
            93..97 => self.register(),
            97 => "SELECT claim_plugin_upstreams('worker', 4)".to_owned(),
            _ => "SELECT prune_plugin_updates('0')".to_owned(),
        }
    }

    fn record(&mut self) -> String {
        let (workspace, plugin, source) = (self.workspace(), self.plugin(), self.source());
        let (track, sha) = (self.track(), self.maybe_sha());
        format!(
            "SELECT record_workspace_plugin_install({workspace}, '{plugin}', '{source}', '{track}', {sha})"
        )
    }

    fn record_batch(&mut self) -> String {
        let count = self.rng.random_range(1..8);
        let installs: Value = (0..count)
            .map(|_| {
                json!({
                    "workspace_id": self.workspace().trim_matches('\''),
                    "plugin_name": self.plugin(),
                    "source_raw": self.source(),
                    "track": self.track(),
                    "installed_sha": self.sha(),
                })
            })
            .collect();
        format!("SELECT record_workspace_plugin_installs('{installs}')")
    }

    fn remove(&mut self) -> String {
        let (workspace, plugin) = (self.workspace(), self.plugin());
        format!("SELECT remove_workspace_plugin({workspace}, '{plugin}')")
    }

    /// A whole answer of git; some are late.
    fn observe(&mut self) -> String {
        let (upstream, refs, at) = (self.upstream(), self.refs(), self.observed_at());
        let accept_loss = self.rng.random_bool(0.8);
        format!(
            "SELECT observe_plugin_upstream('{upstream}', '{}', {at}, {accept_loss})",
            json!(refs)
        )
    }

    fn refs(&mut self) -> BTreeMap<String, String> {
        let density = *[0.2, 0.6, 0.9].choose(&mut self.rng).expect("one");
        let mut refs = BTreeMap::new();
        for name in BRANCHES {
            if self.rng.random_bool(density) {
                refs.insert(format!("refs/heads/{name}"), self.sha());
            }
        }
        for (place, name) in TAGS.iter().enumerate() {
            if !self.rng.random_bool(density) {
                continue;
            }
            let commit = self.commit_of_tag(place);
            if self.rng.random_bool(0.1) {
                refs.insert(format!("refs/tags/{name}^{{}}"), commit);
                refs.insert(format!("refs/tags/{name}"), "f".repeat(40));
            } else {
                refs.insert(format!("refs/tags/{name}"), commit);
            }
        }
        refs
    }

    fn observe_ref(&mut self) -> String {
        let (upstream, at) = (self.upstream(), self.observed_at());
        let (name, commit) = if self.rng.random_bool(0.3) {
            (format!("refs/heads/{}", self.one_of(&BRANCHES)), self.sha())
        } else {
            let place = self.rng.random_range(0..TAGS.len());
            (
                format!("refs/tags/{}", TAGS[place]),
                self.commit_of_tag(place),
            )
        };
        let commit = match self.rng.random_range(0..4) {
            0 => "NULL".to_owned(),
            _ => format!("'{commit}'"),
        };
        format!("SELECT observe_plugin_ref('{upstream}', '{name}', {commit}, {at})")
    }

    fn accept(&mut self) -> String {
        let (upstream, tag, sha) = (self.upstream(), self.one_of(&TAGS), self.sha());
        format!("SELECT accept_moved_tag('{upstream}', '{tag}', '{sha}')")
    }

    fn dismiss(&mut self) -> String {
        let place = self.rng.random_range(0..8);
        format!(
            "SELECT dismiss_plugin_update(id, 'not wanted') FROM (
                 SELECT id FROM plugin_update_queue WHERE status = 'pending'
                 ORDER BY workspace_id, plugin_name OFFSET {place} LIMIT 1) AS one"
        )
    }

    fn unregister(&mut self) -> String {
        let workspace = self.workspace();
        format!("SELECT unregister_plugin_workspace({workspace})")
    }

    fn register(&mut self) -> String {
        let workspace = self.workspace();
        format!("SELECT register_plugin_workspace({workspace})")
    }

    fn direct(&mut self) -> String {
        let key = format!(
            "workspace_id = {} AND plugin_name = '{}'",
            self.workspace(),
            self.plugin()
        );
        let set = match self.rng.random_range(0..8) {
            0 | 1 => return self.insert(),
            2 => return format!("DELETE FROM workspace_plugins WHERE {key}"),
            3 => format!("tracked_ref = '{}'", self.track()),
            4 => format!("installed_sha = {}", self.maybe_sha()),
            5 => format!("source_raw = '{}'", self.source()),
            6 => format!("plugin_name = '{}'", self.plugin()),
            _ => return self.rename_workspace(),
        };
        format!("UPDATE workspace_plugins SET {set} WHERE {key}")
    }

    fn insert(&mut self) -> String {
        let (workspace, plugin, source) = (self.workspace(), self.plugin(), self.source());
        let (track, sha) = (self.track(), self.maybe_sha());
        format!(
            "INSERT INTO workspace_plugins VALUES ({workspace}, '{plugin}', '{source}', DEFAULT, '{track}', {sha})
             ON CONFLICT (workspace_id, plugin_name) DO UPDATE
             SET tracked_ref = excluded.tracked_ref, installed_sha = excluded.installed_sha"
        )
    }

    fn rename_workspace(&mut self) -> String {
        let (old, new) = (self.workspace(), self.workspace());
        format!("UPDATE plugin_workspaces SET workspace_id = {new} WHERE workspace_id = {old}")
    }

    fn workspace(&mut self) -> String {
        workspace(self.rng.random_range(0..self.workspaces))
    }

    fn plugin(&mut self) -> &'static str {
        self.one_of(&PLUGINS)
    }

    fn source(&mut self) -> &'static str {
        self.one_of(&SOURCES)
    }

    fn upstream(&mut self) -> &'static str {
        // The last one is of no use but to show that.
        match self.rng.random_range(0..20) {
            0 => UPSTREAMS[3],
            n => UPSTREAMS[n % 3],
        }
    }

    fn track(&mut self) -> &'static str {
        self.one_of(&TRACKS)
    }

    fn one_of(&mut self, all: &[&'static str]) -> &'static str {
        all.choose(&mut self.rng).expect("one")
    }

    fn sha(&mut self) -> String {
        commit(self.rng.random_range(0..COMMITS))
    }

    fn maybe_sha(&mut self) -> String {
        match self.rng.random_range(0..8) {
            0 => "NULL".to_owned(),
            _ => format!("'{}'", self.sha()),
        }
    }

    /// Tags seldom move.
    fn commit_of_tag(&mut self, place: usize) -> String {
        if self.rng.random_bool(0.1) {
            self.sha()
        } else {
            commit(place % COMMITS)
        }
    }

    fn observed_at(&mut self) -> String {
        match self.rng.random_range(0..10) {
            0 => "clock_timestamp() - interval '3 ms'".to_owned(),
            1 => "clock_timestamp() - interval '20 ms'".to_owned(),
            2 => "clock_timestamp() - interval '1 hour'".to_owned(),
            _ => "clock_timestamp()".to_owned(),
        }
    }

    /// What makes the workspaces that the statements use.
    #[must_use]
    pub fn setup(&self) -> String {
        let registered = (0..self.workspaces)
            .map(|n| format!("SELECT register_plugin_workspace({});", workspace(n)));
        registered.collect()
    }
}

fn workspace(n: usize) -> String {
    format!("'00000000-0000-0000-0000-{:012}'", n + 1)
}

fn commit(n: usize) -> String {
    (n + 1).to_string().repeat(40)
}
