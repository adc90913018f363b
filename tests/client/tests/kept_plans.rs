//! Sessions that go on while another one drops, re-creates or renames what they use.

use std::sync::Arc;

use client_tests::{Cluster, EXTENSION, outcome};
use postgres::{Client, Error};
use uuid::Uuid;

const WORKSPACE: Uuid = Uuid::from_u128(1);

/// A session that uses the extension, and another one that changes it.
struct Sessions {
    _cluster: Arc<Cluster>,
    user: Client,
    other: Client,
}

impl Sessions {
    /// The extension is in public and has been used, so that plans are kept.
    fn new() -> Self {
        let cluster = Cluster::shared();
        let database = cluster.new_database();
        let (user, other) = (cluster.connect(&database), cluster.connect(&database));
        let mut sessions = Self {
            _cluster: cluster,
            user,
            other,
        };
        sessions.other("CREATE TABLE public.attached (id uuid PRIMARY KEY)");
        sessions.attach("public");
        sessions.use_all("public");
        sessions
    }

    fn other(&mut self, sql: &str) {
        self.other.batch_execute(sql).unwrap();
    }

    fn drop(&mut self) {
        self.other(&format!("DROP EXTENSION {EXTENSION} CASCADE"));
    }

    fn create_in(&mut self, schema: &str) {
        self.other(&format!(
            "CREATE SCHEMA IF NOT EXISTS {schema};
             CREATE EXTENSION {EXTENSION} SCHEMA {schema};"
        ));
        self.attach(schema);
    }

    fn attach(&mut self, schema: &str) {
        self.other(&format!(
            "SELECT {schema}.attach_workspaces('public.attached')"
        ));
    }

    /// Calls every function that keeps a plan, more often than the server plans anew before it
    /// trusts a generic one.
    fn use_all(&mut self, schema: &str) {
        (0..8).for_each(|_| self.use_all_once(schema));
    }

    /// What is in the library alone follows a rename of the schema; the bodies of the other
    /// functions keep the old name, so that renaming back is what repairs them.
    fn record_one(&mut self, schema: &str) {
        let calls = format!(
            "INSERT INTO public.attached VALUES ('{WORKSPACE}');
             SELECT {schema}.record_workspace_plugin_install('{WORKSPACE}', 'one', 's');"
        );
        self.user.batch_execute(&calls).unwrap();
    }

    fn forget(&mut self) {
        self.user
            .batch_execute("DELETE FROM public.attached")
            .unwrap();
    }

    fn use_all_once(&mut self, schema: &str) {
        let install = r#"{"plugin_name": "two", "source_raw": "s"}"#;
        let calls = format!(
            "INSERT INTO public.attached VALUES ('{WORKSPACE}');
             SELECT {schema}.record_workspace_plugin_install('{WORKSPACE}', 'one', 's');
             SELECT {schema}.record_workspace_plugin_installs(
                 jsonb_build_array('{install}'::jsonb || '{{\"workspace_id\": \"{WORKSPACE}\"}}'));
             UPDATE public.attached SET id = gen_random_uuid();"
        );
        self.user.batch_execute(&calls).unwrap();
        let followed = format!(
            "SELECT string_agg(plugin_name, ' ' ORDER BY plugin_name)
             FROM {schema}.workspace_plugins JOIN public.attached ON id = workspace_id"
        );
        let followed: String = self.user.query_one(&followed, &[]).unwrap().get(0);
        assert_eq!(followed, "one two");
        self.user
            .batch_execute("DELETE FROM public.attached")
            .unwrap();
        let left = format!("SELECT count(*) FROM {schema}.workspace_plugins");
        assert_eq!(self.user.query_one(&left, &[]).unwrap().get::<_, i64>(0), 0);
    }
}

#[test]
fn dropped_and_created_again() {
    let mut sessions = Sessions::new();
    for _ in 0..3 {
        sessions.drop();
        sessions.create_in("public");
        sessions.use_all("public");
    }
}

#[test]
fn dropped_and_created_elsewhere() {
    let mut sessions = Sessions::new();
    for schema in ["elsewhere", r#""else Where""#, "public"] {
        sessions.drop();
        sessions.create_in(schema);
        sessions.use_all(schema);
    }
}

#[test]
fn renamed() {
    let mut sessions = Sessions::new();
    sessions.drop();
    sessions.create_in("before");
    sessions.use_all("before");
    sessions.other("ALTER SCHEMA before RENAME TO after");
    sessions.record_one("after");
    sessions.other("ALTER SCHEMA after RENAME TO before");
    sessions.forget();
    sessions.use_all("before");
}

/// Two schemas change names: each name is known, and means the other one.
#[test]
fn renamed_to_a_name_known_from_before() {
    let mut sessions = Sessions::new();
    sessions.drop();
    sessions.create_in("a");
    sessions.use_all("a");
    sessions.drop();
    sessions.create_in("b");
    sessions.use_all("b");
    sessions.other("ALTER SCHEMA a RENAME TO c; ALTER SCHEMA b RENAME TO a");
    sessions.record_one("a");
    sessions.other("ALTER SCHEMA a RENAME TO b");
    sessions.forget();
    sessions.use_all("b");
}

/// What the client has prepared itself finds the extension wherever the session looks for it.
#[test]
fn prepared_statements() {
    let mut sessions = Sessions::new();
    sessions
        .user
        .batch_execute("SET search_path = public, moved")
        .unwrap();
    let record = "SELECT (r).plugin_name FROM record_workspace_plugin_install($1, 'p', $2) AS r";
    let record = sessions.user.prepare(record).unwrap();
    let valid = sessions
        .user
        .prepare("SELECT is_valid_tracked_ref($1)")
        .unwrap();
    let use_both = |sessions: &mut Sessions| -> Result<(), Error> {
        for _ in 0..8 {
            sessions.user.query_one(&record, &[&WORKSPACE, &"s"])?;
            assert!(
                sessions
                    .user
                    .query_one(&valid, &[&"tag:v1"])?
                    .get::<_, bool>(0)
            );
        }
        Ok(())
    };
    let register = |sessions: &mut Sessions, schema| {
        sessions.other(&format!(
            "SELECT {schema}.register_plugin_workspace('{WORKSPACE}')"
        ));
    };
    register(&mut sessions, "public");
    use_both(&mut sessions).unwrap();

    sessions.drop();
    assert_eq!(outcome(&use_both(&mut sessions)), "42883");
    sessions.create_in("moved");
    let not_registered = use_both(&mut sessions);
    assert_eq!(outcome(&not_registered), "23503");
    register(&mut sessions, "moved");
    use_both(&mut sessions).unwrap();

    sessions.drop();
    sessions.create_in("public");
    register(&mut sessions, "public");
    use_both(&mut sessions).unwrap();
}

/// Dropping waits for whoever is in the middle of using it.
#[test]
fn dropped_in_the_middle_of_a_transaction() {
    let mut sessions = Sessions::new();
    sessions.other(&format!("SELECT register_plugin_workspace('{WORKSPACE}')"));
    let record = format!("SELECT record_workspace_plugin_install('{WORKSPACE}', 'p', 's')");
    let mut transaction = sessions.user.transaction().unwrap();
    transaction.batch_execute(&record).unwrap();
    let drop = format!("SET lock_timeout = '200ms'; DROP EXTENSION {EXTENSION} CASCADE");
    let dropped = sessions.other.batch_execute(&drop);
    assert_eq!(outcome(&dropped), "55P03");
    transaction.batch_execute(&record).unwrap();
    transaction.commit().unwrap();
    sessions.drop();
    assert_eq!(outcome(&sessions.user.batch_execute(&record)), "42883");
}
