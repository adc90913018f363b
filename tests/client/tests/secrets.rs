//! A secret in a source goes nowhere: not to the client's errors, not into the server's log.
//!
//! The settings of the log are the defaults: the statement of every error is logged, its
//! parameters are not.

use std::io::Write;
use std::sync::{Arc, Mutex};

use client_tests::{Cluster, SUPERUSER, every_field, new_id, register};
use postgres::{Client, Error, NoTls};
use serde_json::{Value, json};
use uuid::Uuid;

const WORKSPACE: Uuid = Uuid::from_u128(1);

/// Watches what a client and the server's log get to see.
struct Watch {
    cluster: Arc<Cluster>,
    client: Client,
    /// Another one for each test: they share the log.
    secret: String,
    notices: Arc<Mutex<Vec<String>>>,
    seen_of_log: usize,
    leaks: Vec<String>,
}

impl Watch {
    fn new() -> Self {
        let cluster = Cluster::shared();
        let database = cluster.new_database();
        register(&mut cluster.connect(&database), WORKSPACE);
        let notices = Arc::<Mutex<Vec<String>>>::default();
        let to = Arc::clone(&notices);
        let client = cluster
            .config(SUPERUSER, &database)
            .notice_callback(move |notice| to.lock().unwrap().push(format!("{notice:?}")))
            .connect(NoTls)
            .unwrap();
        Self {
            seen_of_log: cluster.log().len(),
            cluster,
            client,
            secret: format!("hunter2-{}", new_id()),
            notices,
            leaks: Vec::new(),
        }
    }

    /// Each way in which a source may hold a secret.
    fn sources(&self) -> [String; 4] {
        let secret = &self.secret;
        [
            format!("https://user:{secret}@host.example/a/b.git"),
            format!("https://{secret}@host.example/a/b.git"),
            format!("https://host.example/a/b?token={secret}"),
            format!("user:{secret}@host.example:a/b"),
        ]
    }

    /// Something that has to be refused, and must not show the secret.
    fn refused<T>(&mut self, what: &str, act: impl FnOnce(&mut Client) -> Result<T, Error>) {
        let Err(error) = act(&mut self.client) else {
            panic!("{what}: not refused");
        };
        assert!(error.as_db_error().is_some(), "{what}: {error}");
        self.look(what, &every_field(&error));
    }

    /// A statement by the simple protocol, which has to be refused.
    fn refused_literal(&mut self, what: &str, statement: &str) {
        self.refused(what, |client| client.batch_execute(statement));
    }

    fn look(&mut self, what: &str, shown_to_client: &str) {
        let notices = std::mem::take(&mut *self.notices.lock().unwrap()).join("\n");
        let log = self.cluster.log();
        let news = &log[self.seen_of_log..];
        for (place, text) in [
            ("client", shown_to_client),
            ("notices", &notices),
            ("log", news),
        ] {
            let leaks = text.lines().filter(|line| line.contains(&self.secret));
            self.leaks
                .extend(leaks.map(|line| format!("{what}: {place}: {line}")));
        }
        self.seen_of_log = log.len();
    }

    fn assert_no_leaks(mut self) {
        assert!(self.leaks.is_empty(), "{}", self.leaks.join("\n"));
        let rows = "SELECT count(*) FROM workspace_plugins";
        let rows: i64 = self.client.query_one(rows, &[]).unwrap().get(0);
        assert_eq!(rows, 0, "something was stored");
    }
}

fn install(source: &str) -> Value {
    json!({"workspace_id": WORKSPACE.to_string(), "plugin_name": "p", "source_raw": source})
}

const INSERT: &str = "INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw)";

#[test]
fn as_parameters() {
    let mut watch = Watch::new();
    for source in watch.sources() {
        let record = "SELECT record_workspace_plugin_install($1, 'p', $2)";
        watch.refused("record", |client| {
            client.execute(record, &[&WORKSPACE, &source])
        });
        let batch = "SELECT record_workspace_plugin_installs($1)";
        let installs = json!([install("s"), install(&source)]);
        watch.refused("batch", |client| client.execute(batch, &[&installs]));
        let insert = format!("{INSERT} VALUES ($1, 'p', $2::text)");
        watch.refused("insert", |client| {
            client.execute(&insert, &[&WORKSPACE, &source])
        });
        let cast = "SELECT $1::text::plugin_source";
        watch.refused("cast", |client| client.execute(cast, &[&source]));
    }
    watch.assert_no_leaks();
}

#[test]
fn in_the_statement_itself() {
    let mut watch = Watch::new();
    for source in watch.sources() {
        let record =
            format!("SELECT record_workspace_plugin_install('{WORKSPACE}', 'p', '{source}')");
        watch.refused_literal("record", &record);
        watch.refused_literal("two statements", &format!("SELECT 1; {record}; SELECT 2"));
        let batch = json!([install("s"), install(&source)]);
        let batch = format!("SELECT record_workspace_plugin_installs('{batch}')");
        watch.refused_literal("batch", &batch);
        let values = format!("VALUES ('{WORKSPACE}', 'p', '{source}')");
        watch.refused_literal("insert", &format!("{INSERT} {values}"));
        let upsert = "ON CONFLICT (workspace_id, plugin_name) DO UPDATE SET source_raw = excluded.source_raw";
        watch.refused_literal("upsert", &format!("{INSERT} {values} {upsert}"));
        watch.refused_literal("cast", &format!("SELECT '{source}'::plugin_source"));
        watch.refused_literal("check", &format!("SELECT check_plugin_source('{source}')"));
        let prepared = format!("PREPARE p AS {INSERT} VALUES ($1, $2, $3)");
        watch.client.batch_execute(&prepared).unwrap();
        watch.refused_literal(
            "execute",
            &format!("EXECUTE p ('{WORKSPACE}', 'p', '{source}'); "),
        );
        watch.client.batch_execute("DEALLOCATE p").unwrap();
    }
    watch.assert_no_leaks();
}

/// An install that is refused for another reason, before its source is looked at or after.
#[test]
fn beside_another_fault() {
    let mut watch = Watch::new();
    let [source, ..] = watch.sources();
    let long = "x".repeat(2000);
    for (what, fields) in [
        ("no name", format!("'', '{source}'")),
        ("long name", format!("'{long}', '{source}'")),
        ("long source", format!("'p', '{source}/{long}'")),
        ("bad track", format!("'p', '{source}', 'main'")),
        ("bad sha", format!("'p', '{source}', 'none', 'abc'")),
    ] {
        let record = format!("SELECT record_workspace_plugin_install('{WORKSPACE}', {fields})");
        watch.refused_literal(what, &record);
    }
    let record = format!("SELECT record_workspace_plugin_install(NULL, 'p', '{source}')");
    watch.refused_literal("no workspace", &record);
    for (what, first) in [
        ("an element before it", install("")),
        ("a number before it", json!(1)),
        ("an unknown key before it", json!({"unknown": "key"})),
        ("an unknown key that holds it", json!({"a_url": source})),
    ] {
        let batch = json!([first, install(&source)]);
        let batch = format!("SELECT record_workspace_plugin_installs('{batch}')");
        watch.refused_literal(what, &batch);
    }
    let insert = format!(
        "{INSERT} VALUES ('{WORKSPACE}', '{}', '{source}')",
        "x".repeat(300)
    );
    watch.refused_literal("long name, inserted", &insert);
    let unknown = Uuid::from_u128(2);
    let insert = format!("{INSERT} VALUES ('{unknown}', 'p', '{source}')");
    watch.refused_literal("unknown workspace, inserted", &insert);
    let update = format!("UPDATE workspace_plugins SET source_raw = '{source}'");
    let record = format!("SELECT record_workspace_plugin_install('{WORKSPACE}', 'p', 's')");
    let rolled_back = format!("BEGIN; {record}; {update}; COMMIT");
    watch.refused_literal("update", &rolled_back);
    watch.client.batch_execute("ROLLBACK").unwrap();
    watch.assert_no_leaks();
}

/// Where the server tells in an error's context what it was busy with.
#[test]
fn in_a_context() {
    let mut watch = Watch::new();
    for source in watch.sources() {
        watch.refused("copy", |client| {
            let columns = "workspace_plugins (workspace_id, plugin_name, source_raw)";
            let mut copy = client.copy_in(&format!("COPY {columns} FROM STDIN"))?;
            writeln!(copy, "{WORKSPACE}\tp\t{source}").unwrap();
            copy.finish()
        });
        let record = format!(
            "PERFORM record_workspace_plugin_install(''{WORKSPACE}'', ''p'', ''{source}'')"
        );
        let block = format!("DO 'BEGIN {record}; END'");
        watch.refused_literal("a block", &block);
        let insert = format!("{INSERT} VALUES (''{WORKSPACE}'', ''p'', ''{source}'')");
        watch.refused_literal("insert in a block", &format!("DO 'BEGIN {insert}; END'"));
        let dynamic = format!("DO $do$ BEGIN EXECUTE '{insert}'; END $do$");
        watch.refused_literal("dynamic insert in a block", &dynamic);
    }
    watch.assert_no_leaks();
}

#[test]
fn in_a_table_that_is_imported() {
    let mut watch = Watch::new();
    watch
        .client
        .batch_execute(
            "CREATE TABLE original (id bigserial, workspace_id text, plugin_name text, source_raw text,
             tracked_ref text, installed_at timestamptz, updated_at timestamptz)",
        )
        .unwrap();
    for (n, source) in watch.sources().iter().enumerate() {
        let insert = "INSERT INTO original VALUES (DEFAULT, $1, $2, $3, '', now(), now())";
        let row = [&WORKSPACE.to_string(), &format!("p{n}"), source];
        let row = row.map(|value| value as &(dyn postgres::types::ToSql + Sync));
        watch.client.execute(insert, &row).unwrap();
    }
    let import = "SELECT import_workspace_plugins('original')";
    let imported: i64 = watch.client.query_one(import, &[]).unwrap().get(0);
    assert_eq!(imported, 0);
    assert!(watch.notices.lock().unwrap()[0].contains("4 rows"));
    watch.look("import", "");
    let refusals =
        "SELECT string_agg(r::text, ' ') FROM workspace_plugins_import_refusals('original') AS r";
    let refusals: String = watch.client.query_one(refusals, &[]).unwrap().get(0);
    assert_eq!(refusals.matches("holds a").count(), 4, "{refusals}");
    watch.look("refusals", &refusals);
    watch.assert_no_leaks();
}
