//! The fleet in a few tables.

use std::fmt::Write;

use comfy_table::{Table, presets};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;
use sqlx::{Column, Row};

use crate::database::Database;

/// Rows of a table that are shown.
const SHOWN: usize = 20;

/// A table, and what it is read by; `{}` stands for the schema. Every column is text.
const TABLES: [(&str, &str); 4] = [
    (
        "Fleet",
        "SELECT installs::text || CASE WHEN is_estimate THEN ' (estimated)' ELSE '' END AS installs,
                tracked::text, in_sync::text AS \"in sync\", drifted::text, held::text,
                unresolvable::text AS \"cannot be told\",
                pending_updates::text AS pending, claimed_updates::text AS claimed,
                failed_updates::text AS failed,
                CASE WHEN vacuous THEN 'yes' ELSE 'no' END AS vacuous
         FROM {}.plugin_tracking_health",
    ),
    (
        "Not in sync, by reason",
        "SELECT s.key AS state, s.value AS installs,
                {}.plugin_drift_reason(s.key, CASE s.key
                    WHEN 'new_version' THEN 'a higher version' WHEN 'retarget' THEN 'another tag'
                    WHEN 'branch_advanced' THEN 'a newer commit' WHEN 'tag_moved' THEN 'a tag'
                    END, NULL, NULL) AS reason
         FROM {}.plugin_tracking_health AS h, jsonb_each_text(h.by_state) AS s
         ORDER BY s.value::bigint DESC, s.key",
    ),
    (
        "Updates that wait",
        "SELECT upstream, left(sha, 10) AS commit, COALESCE(tier, '(none)') AS tier, state,
                pending::text, claimed::text, failed::text,
                COALESCE(to_char(opens_at, 'YYYY-MM-DD HH24:MI TZ'), '') AS opens
         FROM {}.plugin_rollout_progress WHERE pending + deferred + claimed > 0
         ORDER BY upstream, sha, position",
    ),
    (
        "Failing repositories",
        "SELECT upstream, failures::text, to_char(next_check_at, 'YYYY-MM-DD HH24:MI TZ') AS \"asked again\",
                last_error AS error
         FROM {}.plugin_upstreams WHERE failures > 0 AND next_check_at < 'infinity'
         ORDER BY failures DESC, upstream",
    ),
];

/// All tables as text; one that has no rows is left out.
///
/// # Errors
/// The database's.
pub async fn status(database: &Database) -> Result<String, sqlx::Error> {
    let mut text = String::new();
    for (title, statement) in TABLES {
        let statement = statement.replace("{}", database.schema());
        let rows = sqlx::query(AssertSqlSafe(statement))
            .fetch_all(database.pool())
            .await?;
        if let Some(first) = rows.first() {
            let left_out = rows.len().saturating_sub(SHOWN);
            let table = table(first, &rows[..rows.len().min(SHOWN)])?;
            // Writing into a text does not fail.
            let _ = writeln!(text, "{title}\n{table}");
            if left_out > 0 {
                let _ = writeln!(text, "… and {left_out} more");
            }
            text.push('\n');
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    Ok(text)
}

fn table(first: &PgRow, rows: &[PgRow]) -> Result<String, sqlx::Error> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(first.columns().iter().map(Column::name));
    for row in rows {
        let cells = (0..row.len()).map(|n| row.try_get::<Option<String>, _>(n));
        let cells: Result<Vec<_>, _> = cells.collect();
        table.add_row(cells?.into_iter().map(Option::unwrap_or_default));
    }
    Ok(table.to_string())
}
