//! What SQL calls. Each file is the thin server side of a pure module; the SQL is in `sql/`.
//!
//! | file | functions |
//! |---|---|
//! | `predicate` | the CHECKs of the domains, on the hot path |
//! | `tracked_ref`, `source`, `tag_choice` | the pure functions |
//! | `record`, `record_batch` | recording one install, or many |
//! | `import` | the same rules, for rows of the original service |
//! | `attached` | the trigger on the application's table of workspaces |
//! | `plan`, `report`, `json` | kept plans, how errors are raised, `jsonb` as text |

mod attached;
mod import;
mod json;
mod plan;
mod predicate;
mod record;
mod record_batch;
mod report;
mod source;
mod tag_choice;
#[cfg(feature = "pg_test")]
mod tests;
mod tracked_ref;

pgrx::pg_module_magic!(name, version);

pgrx::extension_sql_file!(
    "../../sql/requirements.sql",
    name = "requirements",
    bootstrap
);
pgrx::extension_sql_file!(
    "../../sql/tracked_ref.sql",
    name = "tracked_ref",
    requires = ["requirements"]
);
pgrx::extension_sql_file!(
    "../../sql/commit_sha.sql",
    name = "commit_sha",
    requires = ["tracked_ref"]
);
pgrx::extension_sql_file!(
    "../../sql/source.sql",
    name = "source",
    requires = ["commit_sha"]
);
pgrx::extension_sql_file!(
    "../../sql/tag_choice.sql",
    name = "tag_choice",
    requires = ["source"]
);
pgrx::extension_sql_file!(
    "../../sql/tables.sql",
    name = "tables",
    requires = ["tag_choice"]
);
pgrx::extension_sql_file!(
    "../../sql/workspaces.sql",
    name = "workspaces",
    requires = ["tables"]
);
pgrx::extension_sql_file!(
    "../../sql/attach.sql",
    name = "attach",
    requires = ["workspaces"]
);
pgrx::extension_sql_file!(
    "../../sql/record.sql",
    name = "record",
    requires = ["attach"]
);
pgrx::extension_sql_file!(
    "../../sql/import.sql",
    name = "import",
    requires = ["record"]
);
pgrx::extension_sql_file!(
    "../../sql/access.sql",
    name = "access",
    requires = ["import"],
    finalize
);
