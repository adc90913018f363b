//! Tests inside the server: what only a backend can show, such as kept plans and memory forms of
//! values. The SQL surface itself is tested in `tests/regress`.

use pgrx::prelude::*;

const WORKSPACE: &str = "00000000-0000-0000-0000-000000000001";

fn register() {
    Spi::run(&format!("SELECT register_plugin_workspace('{WORKSPACE}')")).unwrap();
}

fn record(schema: &str, plugin: &str) -> Option<String> {
    let call = format!(
        "SELECT (r).plugin_name FROM {schema}.record_workspace_plugin_install('{WORKSPACE}', '{plugin}', 's') AS r"
    );
    Spi::get_one(&call).unwrap()
}

#[pgrx::pg_schema]
#[allow(non_snake_case, reason = "the name of the schema is pgrx's")]
mod tests {
    use super::{WORKSPACE, record, register};
    use pgrx::prelude::*;

    /// A text is short, plain, compressed or stored aside; the predicate reads each form.
    #[pg_test]
    fn predicate_reads_every_form_of_a_text() {
        Spi::run("CREATE TABLE forms (name text, value text)").unwrap();
        Spi::run("ALTER TABLE forms ALTER value SET STORAGE EXTENDED").unwrap();
        Spi::run(
            "INSERT INTO forms VALUES
                 ('short', 'tag:v1'),
                 ('plain', 'tag:' || repeat('x', 300)),
                 ('compressed', 'tag:' || repeat('x', 100000)),
                 ('aside', 'tag:' || (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 4000) i)),
                 ('empty', ''), ('space behind', 'tag:' || repeat('x', 100000) || ' ')",
        )
        .unwrap();
        let valid: Option<String> = Spi::get_one(
            "SELECT string_agg(name, ' ' ORDER BY name) FROM forms WHERE is_valid_tracked_ref(value)",
        )
        .unwrap();
        assert_eq!(valid.as_deref(), Some("aside compressed plain short"));
    }

    /// A kept plan outlives the schema that it was made for; the next call makes another.
    #[pg_test]
    fn kept_plans_follow_the_schema() {
        register();
        assert_eq!(record("public", "a").as_deref(), Some("a"));
        assert_eq!(record("public", "b").as_deref(), Some("b"));
        Spi::run("CREATE SCHEMA \"else where\"").unwrap();
        Spi::run("ALTER SCHEMA public RENAME TO \"was public\"").unwrap();
        assert_eq!(record("\"was public\"", "c").as_deref(), Some("c"));
    }

    #[pg_test]
    fn recording_gives_the_row_as_stored() {
        register();
        let call = format!(
            "CREATE TABLE answer AS SELECT r FROM record_workspace_plugin_install(
                 '{WORKSPACE}', 'p', 'github://O/r', ' tag:v1 ', repeat('a', 40)) AS r"
        );
        Spi::run(&call).unwrap();
        let same = Spi::get_one::<bool>("SELECT answer.r = w FROM answer, workspace_plugins AS w");
        assert_eq!(same, Ok(Some(true)));
        let upstream = Spi::get_one::<String>("SELECT (r).upstream FROM answer");
        assert_eq!(upstream, Ok(Some("github.com/o/r".to_owned())));
    }

    #[pg_test(
        error = "invalid track value \"\\u{1}\\u{1}\": expected 'none' | 'tag:vX.Y.Z' | 'tag:latest' | 'sha:<full>' | 'ref:<name>'"
    )]
    fn control_characters_are_escaped() {
        Spi::run("SELECT validate_tracked_ref(E'\\x01\\x01')").unwrap();
    }

    #[pg_test]
    fn linear_in_the_number_of_tags() {
        let chosen = Spi::get_one::<String>(
            "SELECT resolve_tag('tag:latest', array_agg('v' || i || '.0.0' ORDER BY md5(i::text)))
             FROM generate_series(1, 12000) i",
        );
        assert_eq!(chosen, Ok(Some("v12000.0.0".to_owned())));
    }
}
