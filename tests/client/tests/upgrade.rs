//! A database of 0.1.0 that is brought to this version: nothing of it is lost, and it is as one that
//! had this version from the beginning.

use client_tests::{Cluster, EXTENSION, SUPERUSER, assert_same, outcome};
use postgres::Client;

const FIRST: &str = "0.1.0";
const WITH_QUEUE: &str = "0.2.0";
const NEW: &str = "0.3.0";
const FILL: &str = include_str!("upgrade/fill.sql");
const CATALOG: &str = include_str!("upgrade/catalog.sql");
const GRANTS: &str = "SELECT @schema@.grant_plugin_access(level::regrole, level)
     FROM unnest('{reader,recorder,operator}'::text[]) AS level";
/// What 0.1.0 has, in its columns.
const TABLES: [&str; 3] = [
    "(SELECT tier, position FROM @schema@.rollout_tiers)",
    "@schema@.plugin_workspaces",
    "@schema@.workspace_plugins",
];

/// A database, and the schema that the extension is in there.
struct Database<'a> {
    client: Client,
    cluster: &'a Cluster,
    name: &'a str,
    schema: &'a str,
}

impl<'a> Database<'a> {
    fn new(cluster: &'a Cluster, name: &'a str, schema: &'a str, version: &str) -> Self {
        cluster.create_database(name);
        let client = cluster.connect(name);
        let mut database = Self {
            client,
            cluster,
            name,
            schema,
        };
        database.run(&format!(
            "CREATE SCHEMA IF NOT EXISTS @schema@;
             CREATE EXTENSION {EXTENSION} SCHEMA @schema@ VERSION '{version}'"
        ));
        database
    }

    fn sql(&self, template: &str) -> String {
        template.replace("@schema@", self.schema)
    }

    fn run(&mut self, template: &str) {
        let sql = self.sql(template);
        self.client.batch_execute(&sql).unwrap();
    }

    fn texts(&mut self, template: &str) -> Vec<String> {
        let sql = self.sql(template);
        let rows = self.client.query(&sql, &[]).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    fn number(&mut self, template: &str) -> i64 {
        let sql = self.sql(template);
        self.client.query_one(&sql, &[]).unwrap().get(0)
    }

    fn rows(&mut self) -> Vec<String> {
        let rows = TABLES.map(|table| {
            let all = format!("SELECT t::text FROM {table} AS t");
            let rows = self.texts(&all);
            assert!(rows.len() > 1, "{table} has too few rows to compare");
            rows
        });
        rows.concat()
    }

    fn upgrade(&mut self) {
        self.run(&format!("ALTER EXTENSION {EXTENSION} UPDATE TO '{NEW}'"));
    }

    /// All that the catalog knows of the extension's members.
    fn catalog(&mut self) -> Vec<String> {
        let lines = self.texts(CATALOG);
        assert!(lines.len() > 300, "{lines:#?}");
        lines
    }

    /// What the role may do here, out of some things that need a right each.
    fn may(&self, role: &str, template: &str) -> String {
        let mut client = self.cluster.connect_as(role, self.name);
        let mut transaction = client.transaction().unwrap();
        outcome(&transaction.batch_execute(&self.sql(template)))
    }
}

fn new_cluster() -> Cluster {
    let cluster = Cluster::start(&[]);
    let roles = "CREATE ROLE reader LOGIN; CREATE ROLE recorder LOGIN; CREATE ROLE operator LOGIN;
         CREATE ROLE application LOGIN";
    cluster
        .connect(client_tests::DATABASE)
        .batch_execute(roles)
        .unwrap();
    cluster
}

#[test]
fn upgraded_equals_fresh() {
    let cluster = new_cluster();
    for (number, schema) in ["public", "\"Plug ins\""].into_iter().enumerate() {
        let names = [format!("fresh_{number}"), format!("upgraded_{number}")];
        let mut fresh = Database::new(&cluster, &names[0], schema, NEW);
        fresh.run(GRANTS);
        for old in [FIRST, WITH_QUEUE] {
            let name = format!("{}_{}", names[1], old.replace('.', "_"));
            let mut upgraded = Database::new(&cluster, &name, schema, old);
            upgraded.run(FILL);
            upgraded.run(GRANTS);
            upgraded.upgrade();
            upgraded.run(GRANTS);
            assert_same(upgraded.catalog(), fresh.catalog(), schema);
        }
    }
}

/// The default version is this one, and there is a way to it from every older one.
#[test]
fn every_version_leads_here() {
    let cluster = new_cluster();
    let mut client = cluster.connect(client_tests::DATABASE);
    let default = "SELECT default_version FROM pg_available_extensions WHERE name = $1";
    let default: String = client.query_one(default, &[&EXTENSION]).unwrap().get(0);
    assert_eq!(default, NEW);
    let stuck = "SELECT version FROM pg_available_extension_versions AS v
         WHERE name = $1 AND version <> $2 AND NOT EXISTS (
             SELECT FROM pg_extension_update_paths($1)
             WHERE source = v.version AND target = $2 AND path IS NOT NULL)";
    let stuck = client.query(stuck, &[&EXTENSION, &NEW]).unwrap();
    assert!(stuck.is_empty(), "{stuck:?}");
}

/// What waited before there were claims is handed out, in the order of the tiers.
#[test]
fn updates_that_wait_go_on() {
    let cluster = new_cluster();
    let mut database = Database::new(&cluster, "waiting", "public", WITH_QUEUE);
    database.run(FILL);
    let observe = "SELECT (@schema@.observe_plugin_upstream('host.example/1/r', jsonb_build_object(
         'refs/tags/v1.0.0', repeat('2', 64), 'refs/tags/v1.2.0', repeat('5', 64)))).queued";
    assert!(database.number(observe) > 2);
    // With the library of this version already: the same install again, and another one.
    database.run(
        "SELECT @schema@.record_workspace_plugin_install(w, plugin, 'https://host.example/1/r', 'tag:latest', repeat('2', 64))
         FROM unnest(ARRAY['several-1', 'more']) AS p (plugin), (SELECT '00000000-0000-0000-0000-000000000001'::uuid) AS one (w)",
    );
    let waiting = "SELECT count(*) FROM @schema@.pending_plugin_updates";
    let before = database.number(waiting);

    database.upgrade();
    assert_eq!(database.number(waiting), before);
    assert_eq!(
        database.number("SELECT @schema@.detect_plugin_drift()"),
        0,
        "nothing has changed"
    );
    let claim = "SELECT string_agg(DISTINCT COALESCE(w.rollout_tier, 'none') || ' ' || c.target_sha, ', ')
         FROM @schema@.claim_plugin_updates('worker', 1000) AS c JOIN @schema@.plugin_workspaces AS w USING (workspace_id)
         WHERE c.upstream = 'host.example/1/r'";
    let target = "5".repeat(64);
    assert_eq!(database.texts(claim), [format!("canary {target}")]);
    let complete = "SELECT count(@schema@.complete_plugin_update(id, claim_token, target_sha))
         FROM @schema@.plugin_update_queue WHERE status = 'claimed'";
    assert!(database.number(complete) > 0);
    assert_eq!(database.texts(claim), [format!("none {target}")]);
    assert!(database.number(complete) > 0);
    assert_eq!(database.number(waiting), 0);
}

#[test]
fn rows_and_rights_stay_and_go_on() {
    let cluster = new_cluster();
    for (number, schema) in ["public", "\"Plug ins\""].into_iter().enumerate() {
        let name = format!("kept_{number}");
        let mut database = Database::new(&cluster, &name, schema, FIRST);
        database.run(FILL);
        database.run(GRANTS);
        database.run("GRANT SELECT (tier) ON @schema@.rollout_tiers TO application");
        check_old_catalog(&mut database);
        let before = database.rows();

        database.upgrade();
        assert_same(database.rows(), before, "rows");
        check_rights(&mut database);
        check_tracking(&mut database);
        check_attached(&mut database);
        check_dump(&mut database);
    }
}

/// The library is newer than the catalog from its installation to the update, which may be long.
fn check_old_catalog(database: &mut Database) {
    let version = format!("SELECT extversion FROM pg_extension WHERE extname = '{EXTENSION}'");
    assert_eq!(database.texts(&version), [FIRST]);
    database.run(
        "SELECT @schema@.record_workspace_plugin_install(w, 'late', 'github://o/late', 'tag:latest', repeat('a', 40)),
             @schema@.record_workspace_plugin_install(w, 'gone', 'github://o/late', 'ref:main', repeat('a', 40)),
             @schema@.record_workspace_plugin_install(w, 'late', 'github://o/late', 'tag:^1', repeat('b', 40))
         FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid) AS one (w)",
    );
    let batch = r#"SELECT @schema@.record_workspace_plugin_installs('[
        {"workspace_id": "00000000-0000-0000-0000-000000000001", "plugin_name": "batch",
         "source_raw": "github://o/late", "track": "tag:v1.0.0", "installed_sha": null},
        {"workspace_id": "00000000-0000-0000-0000-000000000002", "plugin_name": "batch",
         "source_raw": "github://o/late", "track": "none"}]')"#;
    assert_eq!(database.number(batch), 2);
    let remove = "SELECT @schema@.remove_workspace_plugin('00000000-0000-0000-0000-000000000001', 'gone')::text";
    assert_eq!(database.texts(remove), ["true"]);
    let refused = database.may(
        SUPERUSER,
        "SELECT @schema@.record_workspace_plugin_install(gen_random_uuid(), 'p', 's')",
    );
    assert_eq!(refused, "23503");
}

const READ: &str = "SELECT FROM @schema@.workspace_plugins";
const READ_NEW: &str = "SELECT FROM @schema@.plugin_update_queue, @schema@.pending_plugin_updates,
     @schema@.workspace_plugin_drift, @schema@.plugin_tracking_health, @schema@.plugin_rollout_progress";
const RECORD: &str = "SELECT @schema@.record_workspace_plugin_install(
     '00000000-0000-0000-0000-000000000001', 'untracked', 's')";
const RECORD_TRACKED: &str = "SELECT @schema@.record_workspace_plugin_install(
     '00000000-0000-0000-0000-000000000001', 'new', 'github://o/new', 'tag:latest')";
const OBSERVE: &str = "SELECT @schema@.observe_plugin_upstream('github.com/o/new',
     jsonb_build_object('refs/heads/main', repeat('a', 40)))";

/// What was granted stays, so that what worked works; what is new takes a new grant.
fn check_rights(database: &mut Database) {
    assert_eq!(database.may("reader", READ), "ok");
    let tier = "SELECT tier FROM @schema@.rollout_tiers";
    if database.schema == "public" {
        assert_eq!(database.may("application", tier), "ok");
    }
    for (role, statement) in [("reader", READ_NEW), ("operator", OBSERVE)] {
        assert_eq!(database.may(role, statement), "42501", "{statement}");
    }
    database.run(GRANTS);
    for (role, statement) in [
        ("reader", READ_NEW),
        ("recorder", RECORD),
        ("recorder", RECORD_TRACKED),
        ("operator", OBSERVE),
    ] {
        assert_eq!(database.may(role, statement), "ok", "{role}: {statement}");
    }
    assert_eq!(database.may("recorder", OBSERVE), "42501");
}

/// What was recorded before is tracked by the first detection, and then drifts as any other.
fn check_tracking(database: &mut Database) {
    let subscriptions =
        "SELECT DISTINCT upstream || ' ' || tracked_ref FROM @schema@.workspace_plugins
         WHERE tracked_ref <> 'none' AND upstream IS NOT NULL";
    let targets = "SELECT upstream || ' ' || tracked_ref FROM @schema@.plugin_targets";
    assert!(database.texts(targets).is_empty());
    // The pinned one, which needs no observation.
    assert_eq!(database.number("SELECT @schema@.detect_plugin_drift()"), 1);
    let wanted = database.texts(subscriptions);
    assert_same(database.texts(targets), wanted, "targets");
    let claimed = "SELECT count(*) FROM @schema@.claim_plugin_upstreams('worker', 100)";
    let asked = "SELECT count(DISTINCT upstream) FROM @schema@.workspace_plugins
         WHERE tracked_ref <> 'none' AND tracked_ref NOT LIKE 'sha:%'";
    assert_eq!(database.number(claimed), database.number(asked));
    let observed =
        "SELECT (@schema@.observe_plugin_upstream('github.com/o/late', jsonb_build_object(
         'refs/tags/v1.0.0', repeat('b', 40), 'refs/tags/v1.1.0', repeat('c', 40)))).queued";
    assert_eq!(database.number(observed), 1);
    assert_eq!(database.number("SELECT @schema@.detect_plugin_drift()"), 0);
}

fn check_attached(database: &mut Database) {
    let registered = "SELECT count(*) FROM @schema@.plugin_workspaces";
    let before = database.number(registered);
    database.run("INSERT INTO public.spaces VALUES (gen_random_uuid())");
    assert_eq!(database.number(registered), before + 1);
    database.run("DELETE FROM public.spaces");
    assert_eq!(database.number(registered), 2);
    let orphans = "SELECT count(*) FROM @schema@.plugin_update_queue AS q
         WHERE status = 'pending' AND NOT EXISTS (
             SELECT FROM @schema@.workspace_plugins AS p
             WHERE (p.workspace_id, p.plugin_name) = (q.workspace_id, q.plugin_name))";
    assert_eq!(database.number(orphans), 0);
}

/// A dump of the upgraded database holds all grants, old and new, and every table's rows.
fn check_dump(database: &mut Database) {
    let Database { cluster, name, .. } = database;
    let dump = cluster.run("pg_dump", SUPERUSER, name, &[]);
    let has = |start: &str, end: &str| {
        let found = |line: &str| line.starts_with(start) && line.ends_with(end);
        assert!(
            dump.lines().any(found),
            "{start} … {end} is not in the dump"
        );
    };
    for (table, role) in [
        ("workspace_plugins", "recorder"),
        ("plugin_update_queue", "reader"),
        ("plugin_upstream_refs", "operator"),
    ] {
        let granted = |line: &str| {
            line.starts_with("GRANT ")
                && line.contains(table)
                && line.ends_with(&format!(" TO {role};"))
        };
        assert!(dump.lines().any(granted), "{table} of {role}");
        has(
            &format!("COPY {}.{table} ", database.schema),
            " FROM stdin;",
        );
    }
    has("GRANT ALL ON FUNCTION", " TO recorder;");
    has("GRANT SELECT(tier) ON TABLE", " TO application;");
}
