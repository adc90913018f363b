//! A database with installs, and watchers that look at it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use client_tests::Cluster;
use postgres::Client;
use postgres::config::Host;
use tempfile::TempDir;

use super::process::Process;

const WATCHER: &str = env!("CARGO_BIN_EXE_workspace-plugins-watch");

/// In it everything is recorded.
const WORKSPACE: &str = "11111111-1111-1111-1111-111111111111";

pub struct Fleet {
    cluster: Arc<Cluster>,
    database: String,
    role: String,
    folder: TempDir,
}

impl Fleet {
    pub fn new() -> Self {
        Self::on(Cluster::shared())
    }

    pub fn on(cluster: Arc<Cluster>) -> Self {
        let database = cluster.new_database();
        // Roles belong to the whole server.
        let role = format!("watching_{database}");
        let fleet = Self {
            cluster,
            database,
            role: role.clone(),
            folder: tempfile::tempdir().unwrap(),
        };
        let set_up = format!(
            "CREATE ROLE {role} LOGIN;
             SELECT grant_plugin_access('{role}', 'watcher');
             SELECT register_plugin_workspace('{WORKSPACE}')"
        );
        fleet.client().batch_execute(&set_up).unwrap();
        fleet
    }

    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Where the watcher finds its database over TCP.
    pub fn url(&self, port: u16, parameters: &str) -> String {
        let (role, database) = (&self.role, &self.database);
        format!("postgres://{role}@localhost:{port}/{database}?{parameters}")
    }

    pub fn client(&self) -> Client {
        self.cluster.connect(&self.database)
    }

    /// A file that goes with the fleet.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Records an install of each source, which is on no commit of its repository.
    pub fn track<S: AsRef<str>>(&self, sources: impl IntoIterator<Item = S>, track: &str) {
        let mut client = self.client();
        let sources: Vec<String> = sources.into_iter().map(|s| s.as_ref().to_owned()).collect();
        let record = "SELECT record_workspace_plugin_installs(jsonb_agg(jsonb_build_object(
                'workspace_id', $1::text, 'plugin_name', md5(source || $3), 'source_raw', source, 'track', $3,
                'installed_sha', repeat('a', 40)))) FROM unnest($2::text[]) AS source";
        client
            .execute(record, &[&WORKSPACE, &sources, &track])
            .unwrap();
    }

    /// The watcher with the fleet's database, and nothing of whoever runs the test.
    pub fn watcher(&self, arguments: &[&str]) -> Command {
        let config = self.cluster.config(&self.role, &self.database);
        let Some(Host::Unix(socket)) = config.get_hosts().first() else {
            panic!("a socket")
        };
        let mut command = Command::new(WATCHER);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.folder.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("PGHOST", socket)
            .env("PGUSER", &self.role)
            .env("PGDATABASE", &self.database)
            .args(arguments);
        command
    }

    /// `once`, by a configuration: whether nothing failed, and what it told.
    pub fn once(&self, config: &str) -> (bool, String) {
        let config = self.file("once.toml", config);
        let mut command = self.watcher(&["once", "--config", config.to_str().unwrap()]);
        let output = command.output().unwrap();
        outcome(&output)
    }

    pub fn watch(&self, config: &str, name: &str) -> Process {
        let config = self.file(&format!("{name}.toml"), config);
        let config = config.to_str().unwrap();
        Process::start(&mut self.watcher(&["watch", "--name", name, "--config", config]))
    }

    /// Everything is due.
    pub fn due(&self) {
        let due = "UPDATE plugin_upstreams SET next_check_at = clock_timestamp()";
        self.client().batch_execute(due).unwrap();
    }

    /// What a query counts.
    pub fn number(&self, query: &str) -> usize {
        let count: i64 = self.client().query_one(query, &[]).unwrap().get(0);
        count.try_into().unwrap()
    }

    /// The last error of each repository that failed.
    pub fn errors(&self) -> BTreeMap<String, String> {
        let query = "SELECT upstream, last_error FROM plugin_upstreams WHERE failures > 0";
        let rows = self.client().query(query, &[]).unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// The branches and tags that a repository has, by the ledger.
    pub fn refs(&self, upstream: &str) -> BTreeMap<String, String> {
        let query = "SELECT ref, sha::text FROM plugin_upstream_refs WHERE upstream = $1 AND gone_at IS NULL";
        let rows = self.client().query(query, &[&upstream]).unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// The state of the installs of a source, by what they track.
    pub fn states(&self, upstream: &str) -> Vec<String> {
        let query = "SELECT tracked_ref || ' ' || state FROM workspace_plugin_drift WHERE upstream = $1 ORDER BY 1";
        let rows = self.client().query(query, &[&upstream]).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

pub fn outcome(output: &Output) -> (bool, String) {
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "{code:?}\n{printed}{said}");
    (code == Some(0), printed + &said)
}
