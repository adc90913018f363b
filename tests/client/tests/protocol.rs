//! What a client can send that no SQL text could hold.

use std::error::Error as StdError;
use std::sync::Arc;

use bytes::BytesMut;
use client_tests::{
    Cluster, Install, RECORD, outcome, record, registered, stored, try_batch, try_record,
};
use postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Error};
use serde_json::{Value, json};
use uuid::Uuid;

/// Bytes that go out as they are, for a parameter of any type.
#[derive(Debug)]
struct Raw(Vec<u8>, Format);

impl ToSql for Raw {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        self.1
    }

    to_sql_checked!();
}

/// A database with one registered workspace and one install in it, which has to be all at the end.
struct Stage {
    _cluster: Arc<Cluster>,
    client: Client,
    workspace: Uuid,
}

impl Stage {
    fn new() -> Self {
        let cluster = Cluster::shared();
        let mut client = cluster.connect(&cluster.new_database());
        let workspace = registered(&mut client);
        let mut stage = Self {
            _cluster: cluster,
            client,
            workspace,
        };
        let install = stage.install("p", "s");
        record(&mut stage.client, &install);
        stage
    }

    fn install(&self, plugin: &str, source: &str) -> Install {
        Install {
            workspace: self.workspace,
            plugin: plugin.to_owned(),
            source: source.to_owned(),
        }
    }

    fn try_record(&mut self, plugin: &str, source: &str) -> Result<u64, Error> {
        let install = self.install(plugin, source);
        try_record(&mut self.client, &install)
    }

    /// Fields by their names, as the function takes them.
    fn record_fields(&mut self, fields: &[(&str, &(dyn ToSql + Sync))]) -> Result<u64, Error> {
        let named: Vec<_> = (1..)
            .zip(fields)
            .map(|(n, (name, _))| format!("{name} => ${n}"))
            .collect();
        let call = format!(
            "SELECT record_workspace_plugin_install({})",
            named.join(", ")
        );
        let values: Vec<_> = fields.iter().map(|(_, value)| *value).collect();
        self.client.execute(&call, &values)
    }

    fn batch_json(&mut self, installs: &Value) -> Result<u64, Error> {
        let call = "SELECT record_workspace_plugin_installs($1)";
        self.client.execute(call, &[installs])
    }

    fn assert_unchanged(&mut self) {
        let rows: Vec<_> = stored(&mut self.client).into_iter().collect();
        let only = ((self.workspace, "p".to_owned()), "s".to_owned());
        assert_eq!(rows, [only]);
    }
}

#[test]
fn texts_that_are_not_utf8() {
    let mut stage = Stage::new();
    let workspace = stage.workspace;
    for format in [Format::Text, Format::Binary] {
        // A stray byte, a cut-off character, a surrogate, a NUL.
        for bytes in [&b"p\xff"[..], b"p\xe2\x82", b"p\xed\xa0\x80", b"p\0q"] {
            let raw = Raw(bytes.to_vec(), format);
            let as_name = stage.client.execute(RECORD, &[&workspace, &raw, &"s"]);
            assert_eq!(outcome(&as_name), "22021", "{raw:?}");
            let as_source = stage.client.execute(RECORD, &[&workspace, &"q", &raw]);
            assert_eq!(outcome(&as_source), "22021", "{raw:?}");
            let call = "SELECT is_valid_tracked_ref($1)";
            assert_eq!(outcome(&stage.client.execute(call, &[&raw])), "22021");
        }
    }
    stage.assert_unchanged();
}

#[test]
fn uuids_of_a_wrong_length() {
    let mut stage = Stage::new();
    for (length, expected) in [(0, "08P01"), (15, "08P01"), (17, "22P03")] {
        let raw = Raw(vec![7; length], Format::Binary);
        let result = stage.client.execute(RECORD, &[&raw, &"q", &"s"]);
        assert_eq!(outcome(&result), expected, "{length} bytes");
    }
    let raw = Raw(b"no uuid".to_vec(), Format::Text);
    let result = stage.client.execute(RECORD, &[&raw, &"q", &"s"]);
    assert_eq!(outcome(&result), "22P02");
    stage.assert_unchanged();
}

#[test]
fn megabytes() {
    let mut stage = Stage::new();
    let workspace = stage.workspace;
    let long = "x".repeat(1 << 20);
    let sha = "a".repeat(1 << 20);
    let track = format!("tag:{long}");

    let name = stage.try_record(&long, "s");
    assert_eq!(outcome(&name), "22001");
    let source = stage.try_record("q", &long);
    assert_eq!(outcome(&source), "22001");
    let fields: [(&str, &(dyn ToSql + Sync)); 3] = [
        ("workspace_id", &workspace),
        ("plugin_name", &"q"),
        ("source_raw", &"s"),
    ];
    let too_long =
        |stage: &mut Stage, field| stage.record_fields(&[&fields[..], &[field]].concat());
    assert_eq!(outcome(&too_long(&mut stage, ("track", &track))), "22001");
    // Of whatever length, it is no commit id.
    assert_eq!(
        outcome(&too_long(&mut stage, ("installed_sha", &sha))),
        "22023"
    );

    let good = stage.install("q", "s");
    let batch = [good, stage.install("r", &long)];
    let error = try_batch(&mut stage.client, &batch).unwrap_err();
    let message = error.as_db_error().unwrap().message();
    assert_eq!(error.code().unwrap().code(), "22001");
    assert!(
        message.contains("element 1") && message.len() < 200,
        "{message}"
    );
    stage.assert_unchanged();
}

/// The table itself refuses them too, whoever writes to it.
#[test]
fn megabytes_written_directly() {
    let mut stage = Stage::new();
    let (workspace, long) = (stage.workspace, "x".repeat(1 << 20));
    let insert = "INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw) VALUES ($1, $2, $3::text)";
    for (name, source) in [(&*long, "s"), ("q", &*long)] {
        let result = stage.client.execute(insert, &[&workspace, &name, &source]);
        assert_eq!(outcome(&result), "23514");
    }
    stage.assert_unchanged();
}

#[test]
fn odd_json() {
    let mut stage = Stage::new();
    let workspace = stage.workspace.to_string();
    let nested = |depth: usize| (0..depth).fold(json!("s"), |inner, _| json!([inner]));
    let install = |source: &Value| json!([{"workspace_id": workspace, "plugin_name": "q", "source_raw": source}]);
    for json in [
        json!("text"),
        json!(null),
        json!([[]]),
        install(&json!(1)),
        install(&json!({"deep": nested(100)})),
        install(&nested(1000)),
        nested(1000),
        json!([{"unknown": "key"}]),
    ] {
        let result = stage.batch_json(&json);
        assert_eq!(outcome(&result), "22023", "{json:.100}");
    }
    stage.assert_unchanged();
}

/// Deeper than the server's own parser goes, and far deeper: the session lives on.
#[test]
fn bottomless_json() {
    let mut stage = Stage::new();
    for depth in [10_000, 1_000_000] {
        let text = "[".repeat(depth) + &"]".repeat(depth);
        let raw = Raw(text.into_bytes(), Format::Text);
        let call = "SELECT record_workspace_plugin_installs($1)";
        let refused = outcome(&stage.client.execute(call, &[&raw]));
        assert!(["22023", "54001"].contains(&&*refused), "{refused}");
    }
    stage.assert_unchanged();
}
