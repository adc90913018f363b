//! What SQL calls. Each file is the thin server side of a pure module; the SQL is in `sql/`.
//!
//! | file | functions |
//! |---|---|
//! | `predicate` | the CHECKs of the domains, on the hot path |
//! | `tracked_ref`, `source`, `tag_choice` | the pure functions |
//! | `record`, `record_batch` | recording one install, or many |
//! | `settle` | what recording does to the queue of updates |
//! | `observe` | refs and webhooks, decoded |
//! | `import` | the same rules, for rows of the original service |
//! | `attached` | the trigger on the application's table of workspaces |
//! | `plan`, `report`, `json` | kept plans, how errors are raised, `jsonb` as text |

mod attached;
mod import;
mod json;
mod observe;
mod plan;
mod predicate;
mod record;
mod record_batch;
mod report;
mod settle;
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
    "../../sql/upstreams.sql",
    name = "upstreams",
    requires = ["tables"]
);
pgrx::extension_sql_file!(
    "../../sql/targets.sql",
    name = "targets",
    requires = ["upstreams"]
);
pgrx::extension_sql_file!(
    "../../sql/rollouts.sql",
    name = "rollouts",
    requires = ["targets"]
);
pgrx::extension_sql_file!(
    "../../sql/queue.sql",
    name = "queue",
    requires = ["rollouts"]
);
pgrx::extension_sql_file!("../../sql/lanes.sql", name = "lanes", requires = ["queue"]);
pgrx::extension_sql_file!(
    "../../sql/derive.sql",
    name = "derive",
    requires = ["lanes"]
);
pgrx::extension_sql_file!(
    "../../sql/observe.sql",
    name = "observe",
    requires = ["derive"]
);
pgrx::extension_sql_file!(
    "../../sql/claims.sql",
    name = "claims",
    requires = ["observe"]
);
pgrx::extension_sql_file!(
    "../../sql/outcomes.sql",
    name = "outcomes",
    requires = ["claims"]
);
pgrx::extension_sql_file!(
    "../../sql/steering.sql",
    name = "steering",
    requires = ["outcomes"]
);
pgrx::extension_sql_file!(
    "../../sql/holds.sql",
    name = "holds",
    requires = ["steering"]
);
pgrx::extension_sql_file!("../../sql/drift.sql", name = "drift", requires = ["holds"]);
pgrx::extension_sql_file!(
    "../../sql/workspaces.sql",
    name = "workspaces",
    requires = ["drift"]
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
