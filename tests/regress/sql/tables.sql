-- The tables: every constraint, and direct writes as an existing service sends them.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SET timezone = 'UTC';
SET datestyle = 'ISO';

-- Columns and constraints.
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated, pg_get_expr(d.adbin, d.adrelid)
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.oid IN ('rollout_tiers'::regclass, 'plugin_workspaces'::regclass, 'workspace_plugins'::regclass) AND a.attnum > 0
ORDER BY c.relname, a.attnum;
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid IN ('rollout_tiers'::regclass, 'plugin_workspaces'::regclass, 'workspace_plugins'::regclass) AND contype <> 'n'
ORDER BY conname;
SELECT indexrelid::regclass, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid IN ('rollout_tiers'::regclass, 'plugin_workspaces'::regclass, 'workspace_plugins'::regclass)
ORDER BY indexrelid::regclass::text;

-- rollout_tiers.
INSERT INTO rollout_tiers VALUES ('canary', 1), ('stable', 2);
SELECT try($$INSERT INTO rollout_tiers VALUES ('canary', 3)$$);
SELECT try($$INSERT INTO rollout_tiers VALUES ('beta', 2)$$);
SELECT try($$INSERT INTO rollout_tiers VALUES (NULL, 3)$$);
SELECT try($$INSERT INTO rollout_tiers VALUES ('beta', NULL)$$);
SELECT try($$INSERT INTO rollout_tiers VALUES ('', 3)$$);
SELECT try($$INSERT INTO rollout_tiers VALUES (repeat('x', 256), 3)$$);
SELECT try($$INSERT INTO rollout_tiers VALUES (repeat('ü', 128), 3)$$);
SELECT try($$INSERT INTO rollout_tiers VALUES (repeat('ü', 127) || 'x', 3)$$);

-- plugin_workspaces.
INSERT INTO plugin_workspaces VALUES (w(1), NULL), (w(2), 'canary'), (w(3), 'stable');
SELECT try($$INSERT INTO plugin_workspaces VALUES (w(1), 'stable')$$);
SELECT try($$INSERT INTO plugin_workspaces VALUES (NULL, NULL)$$);
SELECT try($$INSERT INTO plugin_workspaces VALUES (w(4), 'nightly')$$);
SELECT try($$INSERT INTO plugin_workspaces VALUES ('x', NULL)$$);
-- A tier that is renamed stays with its workspaces, one that is deleted leaves them without.
UPDATE rollout_tiers SET tier = 'early' WHERE tier = 'canary';
DELETE FROM rollout_tiers WHERE tier = 'stable';
SELECT * FROM plugin_workspaces ORDER BY 1;

-- workspace_plugins: what is left out, and what is generated.
INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw) VALUES (w(1), 'p', 'github://O/r#x')
RETURNING workspace_id, plugin_name, source_raw, upstream, tracked_ref, installed_sha, installed_at = now(), updated_at = now();
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw) VALUES (w(1), 'p', 's')$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw) VALUES (w(9), 'p', 's')$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw) VALUES (NULL, 'p', 's')$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw) VALUES (w(1), NULL, 's')$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw) VALUES (w(1), 'q', NULL)$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, tracked_ref) VALUES (w(1), 'q', 's', NULL)$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, installed_at) VALUES (w(1), 'q', 's', NULL)$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, updated_at) VALUES (w(1), 'q', 's', NULL)$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw) VALUES (w(1), '', 's')$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw) VALUES (w(1), 'q', '')$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, tracked_ref) VALUES (w(1), 'q', 's', 'latest')$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, tracked_ref) VALUES (w(1), 'q', 's', ' tag:v1 ')$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, tracked_ref) VALUES (w(1), 'q', 's', '')$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, installed_sha) VALUES (w(1), 'q', 's', '')$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, installed_sha) VALUES (w(1), 'q', 's', 'abc123')$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw) VALUES (w(1), 'q', 'https://tok@host/a')$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, upstream) VALUES (w(1), 'q', 's', 'host/a')$$);

-- Limits, in bytes: what fits …
INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, tracked_ref)
VALUES (w(2), repeat('x', 255), repeat('s', 2048), 'tag:' || repeat('t', 508)),
       (w(2), repeat('ü', 127), repeat('ü', 1024), 'tag:' || repeat('ü', 254));
SELECT octet_length(plugin_name), octet_length(source_raw), octet_length(tracked_ref) FROM workspace_plugins
WHERE workspace_id = w(2) ORDER BY 1;
-- … and what does not.
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw) VALUES (w(1), repeat('x', 256), 's')$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw) VALUES (w(1), repeat('ü', 128), 's')$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw) VALUES (w(1), 'q', repeat('s', 2049))$$);
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, tracked_ref) VALUES (w(1), 'q', 's', 'tag:' || repeat('t', 509))$$);
DELETE FROM workspace_plugins WHERE workspace_id = w(2);

-- The upsert of an existing service: prepared, all columns its own, timestamps from its clock.
PREPARE upsert (uuid, text, text, text, text, timestamptz) AS
    INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, tracked_ref, installed_sha, installed_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $6)
    ON CONFLICT (workspace_id, plugin_name) DO UPDATE
    SET source_raw = EXCLUDED.source_raw, tracked_ref = EXCLUDED.tracked_ref,
        installed_sha = EXCLUDED.installed_sha, updated_at = EXCLUDED.updated_at
    RETURNING *;
EXECUTE upsert (w(3), 'p', 'github://o/r#v1', 'tag:v1', NULL, '2024-01-01 00:00Z');
EXECUTE upsert (w(3), 'p', 'https://host/a/b.git', 'ref:main', sha('a'), '2024-01-02 00:00Z');
SELECT try($$EXECUTE upsert (w(3), 'p', 's', 'main', NULL, now())$$);
SELECT try($$EXECUTE upsert (w(3), 'p', 's', 'none', 'abc', now())$$);
SELECT try($$EXECUTE upsert (w(3), 'p', 'https://u:p@host/a', 'none', NULL, now())$$);
SELECT try($$EXECUTE upsert (w(9), 'p', 's', 'none', NULL, now())$$);
SELECT try($$UPDATE workspace_plugins SET tracked_ref = 'main' WHERE workspace_id = w(3)$$);
SELECT try($$UPDATE workspace_plugins SET workspace_id = w(9) WHERE workspace_id = w(3)$$);
SELECT * FROM workspace_plugins WHERE workspace_id = w(3);
DEALLOCATE upsert;

-- A workspace takes its installs with it, to another id or out.
UPDATE plugin_workspaces SET workspace_id = w(4) WHERE workspace_id = w(3);
SELECT workspace_id, plugin_name FROM workspace_plugins ORDER BY 1;
DELETE FROM plugin_workspaces WHERE workspace_id = w(4);
SELECT workspace_id, plugin_name FROM workspace_plugins ORDER BY 1;

DELETE FROM plugin_workspaces;
DELETE FROM rollout_tiers;
