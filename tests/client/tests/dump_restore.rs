//! What is dumped and restored is the same, and goes on working, for everyone who could use it.
//!
//! Dumping takes what the level `reader` gives, and SELECT on the database's other tables; restoring
//! takes a superuser, as CREATE EXTENSION does.

use std::fs;

use client_tests::{Cluster, DATABASE, SUPERUSER, assert_same, outcome};
use postgres::Client;

const ORIGINAL: &str = "original";
const RESTORED: &str = "restored";
const FILL: &str = include_str!("dump_restore/fill.sql");
const IN_USE: &str = "00000000-0000-0000-0000-000000000001";

/// A server with a database to be dumped, and the schema that the extension is in there.
struct Source {
    cluster: Cluster,
    schema: &'static str,
}

#[derive(Clone, Copy)]
enum Format {
    Plain,
    Custom,
    /// As custom, but the tables that refer to no other are filled in another order.
    Reordered,
}

/// Those tables.
const FREE_TABLES: [&str; 7] = [
    "plugin_upstreams",
    "plugin_upstream_refs",
    "plugin_targets",
    "plugin_update_queue",
    "plugin_update_policy",
    "plugin_update_starts",
    "plugin_rollouts",
];

impl Source {
    fn new(schema: &'static str) -> Self {
        let cluster = Cluster::start(&[]);
        cluster.create_database(ORIGINAL);
        let source = Self { cluster, schema };
        let mut client = source.connect(ORIGINAL);
        client.batch_execute(&source.sql(FILL)).unwrap();
        source
    }

    fn connect(&self, database: &str) -> Client {
        self.cluster.connect(database)
    }

    fn sql(&self, template: &str) -> String {
        template.replace("@schema@", self.schema)
    }

    /// A fresh database with what `user` dumped.
    fn restore(&self, format: Format, user: &str) {
        let cluster = &self.cluster;
        let drop = format!("DROP DATABASE IF EXISTS {RESTORED}");
        cluster.connect(DATABASE).batch_execute(&drop).unwrap();
        cluster.create_database(RESTORED);
        let file = cluster.file("dump");
        let dump = |format| cluster.run("pg_dump", user, ORIGINAL, &[format, "--file", &file]);
        let restore =
            |program, arguments: &[_]| cluster.run(program, SUPERUSER, RESTORED, arguments);
        match format {
            Format::Plain => {
                dump("--format=plain");
                restore(
                    "psql",
                    &[
                        "--no-psqlrc",
                        "--quiet",
                        "--set=ON_ERROR_STOP=1",
                        "--file",
                        &file,
                    ],
                )
            }
            Format::Custom => {
                dump("--format=custom");
                restore("pg_restore", &["--exit-on-error", &file])
            }
            Format::Reordered => {
                dump("--format=custom");
                let list = restore("pg_restore", &["--list", &file]);
                let list_file = cluster.file("list");
                fs::write(&list_file, reordered(&list)).unwrap();
                let arguments = ["--exit-on-error", "--use-list", &list_file, &file];
                restore("pg_restore", &arguments)
            }
        };
    }

    fn assert_restored(&self) {
        let [restored, original] = [RESTORED, ORIGINAL].map(|database| self.contents(database));
        assert_same(restored, original, "rows");
        let [restored, original] = [RESTORED, ORIGINAL].map(|database| self.definitions(database));
        assert_same(restored, original, "definitions");
        let [restored, original] = [RESTORED, ORIGINAL].map(|database| self.members(database));
        assert_same(restored, original, "members");
    }

    /// Every row of every table.
    fn contents(&self, database: &str) -> Vec<String> {
        let mut client = self.connect(database);
        let tables = [
            "@schema@.rollout_tiers",
            "@schema@.plugin_workspaces",
            "@schema@.workspace_plugins",
            "@schema@.plugin_upstreams",
            "@schema@.plugin_upstream_refs",
            "@schema@.plugin_targets",
            "@schema@.plugin_update_queue",
            "@schema@.plugin_update_policy",
            "@schema@.plugin_update_starts",
            "@schema@.plugin_rollouts",
            "@schema@.plugin_rollout_lanes",
            "public.\"Work spaces\"",
            "public.followed",
            "public.followed_tags",
        ];
        let rows = tables.into_iter().flat_map(|table| {
            let all = self.sql(&format!("SELECT t::text FROM {table} AS t ORDER BY 1"));
            let rows = client.query(&all, &[]).unwrap();
            assert!(!rows.is_empty(), "{table} has no rows to compare");
            rows.into_iter()
                .map(move |row| format!("{table}: {}", row.get::<_, String>(0)))
        });
        rows.collect()
    }

    /// What a dump tells of everything but rows: triggers, grants, and all that is no member.
    fn definitions(&self, database: &str) -> Vec<String> {
        let schema_only = ["--schema-only"];
        let dump = self
            .cluster
            .run("pg_dump", SUPERUSER, database, &schema_only);
        // A word that psql is restricted with is new in every dump.
        let lines = dump.lines().filter(|line| !line.contains("restrict "));
        lines.map(str::to_owned).collect()
    }

    /// The extension's members and who may use them.
    fn members(&self, database: &str) -> Vec<String> {
        let members = "SELECT concat_ws(' ', pg_describe_object(classid, objid, 0), relacl, proacl)
             FROM pg_depend LEFT JOIN pg_class AS c ON c.oid = objid LEFT JOIN pg_proc AS p ON p.oid = objid
             WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
               AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_workspace_plugins')
             ORDER BY 1";
        let members = self.connect(database).query(members, &[]).unwrap();
        members.iter().map(|row| row.get(0)).collect()
    }
}

/// What the roles try, and who of them can.
const RIGHTS: [(&str, &str, &[&str]); 9] = [
    (
        "read",
        "SELECT FROM @schema@.workspace_plugins",
        &["reader", "recorder", "operator"],
    ),
    (
        "record",
        "SELECT @schema@.record_workspace_plugin_install('@id@', 'new', 's')",
        &["recorder", "operator"],
    ),
    (
        "record a batch",
        r#"SELECT @schema@.record_workspace_plugin_installs('[{"workspace_id": "@id@", "plugin_name": "new", "source_raw": "s"}]')"#,
        &["recorder", "operator"],
    ),
    (
        "write directly",
        "DELETE FROM @schema@.workspace_plugins WHERE plugin_name = 'plugin'",
        &["recorder", "operator"],
    ),
    (
        "read the queue",
        "SELECT FROM @schema@.plugin_update_queue, @schema@.workspace_plugin_drift",
        &["reader", "recorder", "operator"],
    ),
    (
        "observe",
        "SELECT @schema@.observe_plugin_ref('github.com/o/r', 'refs/tags/v9.0.0', repeat('9', 40))",
        &["operator"],
    ),
    (
        "set tiers",
        "INSERT INTO @schema@.rollout_tiers VALUES ('new', 99)",
        &["operator"],
    ),
    (
        "attach",
        "SELECT @schema@.attach_workspaces('public.operators_own')",
        &["operator"],
    ),
    (
        "read tiers",
        "SELECT tier FROM @schema@.rollout_tiers",
        &["reader", "recorder", "operator", "application"],
    ),
];

impl Source {
    fn check_rights(&self, database: &str) {
        for role in ["reader", "recorder", "operator", "stranger", "application"] {
            let mut client = self.cluster.connect_as(role, database);
            for (what, sql, allowed) in RIGHTS {
                let mut transaction = client.transaction().unwrap();
                let sql = self.sql(sql).replace("@id@", IN_USE);
                let result = outcome(&transaction.batch_execute(&sql));
                transaction.rollback().unwrap();
                // A right on a table is of use to those only who may use its schema.
                let expected = if allowed.contains(&role) && self.may_use_schema(role) {
                    "ok"
                } else {
                    "42501"
                };
                assert_eq!(result, expected, "{role}: {what} in {database}");
            }
        }
    }

    fn may_use_schema(&self, role: &str) -> bool {
        self.schema == "public" || role != "application"
    }

    /// Workspaces come and go in the application's own table, and the extension follows.
    fn check_attached(&self, database: &str) {
        let mut application = self.cluster.connect_as("application", database);
        let mut recorder = self.cluster.connect_as("recorder", database);
        let mut change = |sql: &str| application.batch_execute(sql).unwrap();
        let record = self.sql("SELECT @schema@.record_workspace_plugin_install(gen.id, 'p', 's') FROM (SELECT $1::text::uuid) AS gen (id)");
        let (id, moved) = (format!("{:032}", 77), format!("{:032}", 78));

        assert_eq!(outcome(&recorder.execute(&record, &[&id])), "23503");
        change(&format!(
            "INSERT INTO \"Work spaces\" VALUES ('{id}', 'new')"
        ));
        assert_eq!(outcome(&recorder.execute(&record, &[&id])), "ok");
        change(&format!(
            "UPDATE \"Work spaces\" SET \"The id\" = '{moved}' WHERE name = 'new'"
        ));
        let there = self.sql(
            "SELECT count(*) FROM @schema@.workspace_plugins WHERE workspace_id = $1::text::uuid",
        );
        let mut count = |id: &str| recorder.query_one(&there, &[&id]).unwrap().get::<_, i64>(0);
        assert_eq!((count(&id), count(&moved)), (0, 1));
        change("DELETE FROM \"Work spaces\" WHERE name = 'new'");
        assert_eq!(count(&moved), 0);
    }

    /// The constraints of the extension and of its users hold.
    fn check_constraints(&self, database: &str) {
        let mut client = self.connect(database);
        for (sql, expected) in [
            ("INSERT INTO followed (id, raw) VALUES (9, 'main')", "23514"),
            (
                "INSERT INTO followed (id, wanted) VALUES (9, 'main')",
                "23514",
            ),
            (
                "INSERT INTO followed (id, at_commit) VALUES (9, 'abc')",
                "23514",
            ),
            (
                "INSERT INTO followed (id, source) VALUES (9, 'https://u:p@h/a/b')",
                "23514",
            ),
            (
                "INSERT INTO @schema@.plugin_workspaces VALUES (gen_random_uuid(), 'unknown')",
                "23503",
            ),
            (
                "INSERT INTO @schema@.workspace_plugins VALUES (gen_random_uuid(), 'p', 's')",
                "23503",
            ),
            (
                "INSERT INTO @schema@.rollout_tiers VALUES ('other', 10)",
                "23505",
            ),
        ] {
            let result = client.batch_execute(&self.sql(sql));
            assert_eq!(outcome(&result), expected, "{sql}");
        }
    }

    /// What was observed and queued is taken up where it was left.
    fn check_tracking(&self, database: &str) {
        let mut client = self.connect(database);
        let mut transaction = client.transaction().unwrap();
        let mut text = |template: &str| -> String {
            let sql = self.sql(template);
            transaction.query_one(&sql, &[]).unwrap().get(0)
        };
        let detect = "SELECT @schema@.detect_plugin_drift()::text";
        assert_eq!(text(detect), "0");
        let observe =
            "SELECT (@schema@.observe_plugin_upstream('github.com/o/r', jsonb_build_object(
             'refs/tags/v1.0.0', repeat('2', 40), 'refs/tags/v1.1.0', repeat('4', 40),
             'refs/heads/main', repeat('6', 40))))::text";
        assert_eq!(text(observe), "(unchanged,,0,0,0,0,0,0)");
        let record = "SELECT (@schema@.record_workspace_plugin_install(
             '00000000-0000-0000-0000-000000000002', 'new', 'github://o/r', 'ref:main', repeat('5', 40))).upstream";
        assert_eq!(text(record), "github.com/o/r");
        let queued = "SELECT string_agg(latest_sha, ' ') FROM @schema@.pending_plugin_updates
             WHERE plugin_name = 'new'";
        assert_eq!(text(queued), "6".repeat(40));
        let release = "SELECT (@schema@.observe_plugin_ref('github.com/o/r', 'refs/tags/v1.2.0', repeat('7', 40)))::text";
        // Both of its streams: what was dismissed was another commit.
        assert_eq!(text(release), "(changed,,1,0,2,2,1,0)");
        assert_eq!(text(detect), "0");
        transaction.rollback().unwrap();
    }

    fn check_use(&self, database: &str) {
        self.check_tracking(database);
        self.check_rights(database);
        self.check_constraints(database);
        self.check_attached(database);
    }
}

/// The list of a dump's contents with the free tables' rows first, the last one first.
fn reordered(list: &str) -> String {
    let is_rows_of = |line: &&str, table: &str| {
        line.contains(" TABLE DATA ") && line.split(' ').any(|word| word == table)
    };
    let is_free = |line: &&str| FREE_TABLES.iter().any(|table| is_rows_of(line, table));
    let (free, mut rest): (Vec<_>, Vec<_>) = list.lines().partition(is_free);
    assert_eq!(free.len(), FREE_TABLES.len(), "{list}");
    let first_rows = rest.iter().position(|line| line.contains(" TABLE DATA "));
    let first_rows = first_rows.expect("other tables' rows");
    rest.splice(first_rows..first_rows, free.into_iter().rev());
    rest.join("\n")
}

fn dump_restore_and_use(schema: &'static str) {
    let source = Source::new(schema);
    source.check_use(ORIGINAL);
    for format in [Format::Plain, Format::Custom, Format::Reordered] {
        source.restore(format, SUPERUSER);
        source.assert_restored();
        source.check_use(RESTORED);
    }
}

#[test]
fn extension_in_public() {
    dump_restore_and_use("public");
}

#[test]
fn extension_in_another_schema() {
    dump_restore_and_use("\"Plug ins\"");
}

#[test]
fn dumped_by_a_reader() {
    for schema in ["public", "plug_ins"] {
        let source = Source::new(schema);
        let grants = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO dumper;
             SELECT @schema@.grant_plugin_access('dumper', 'reader')";
        let mut client = source.connect(ORIGINAL);
        client.batch_execute(&source.sql(grants)).unwrap();
        for format in [Format::Plain, Format::Custom] {
            source.restore(format, "dumper");
            source.assert_restored();
            source.check_use(RESTORED);
        }
    }
}
