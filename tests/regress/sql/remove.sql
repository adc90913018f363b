-- remove_workspace_plugin: what was removed is gone, and nothing else.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT register_plugin_workspace(w(1)), register_plugin_workspace(w(2));
SELECT record_workspace_plugin_installs(jsonb_agg(jsonb_build_object('workspace_id', w(i), 'plugin_name', n, 'source_raw', 's')))
FROM generate_series(1, 2) AS i, unnest(ARRAY['p', 'P', 'q']) AS n;

SELECT remove_workspace_plugin(w(1), 'p');
SELECT workspace_id, plugin_name FROM workspace_plugins ORDER BY workspace_id, plugin_name COLLATE "C";
SELECT remove_workspace_plugin(w(1), 'p'), remove_workspace_plugin(w(9), 'p'), remove_workspace_plugin(w(1), ''), remove_workspace_plugin(w(1), ' q');
SELECT remove_workspace_plugin(NULL, 'q'), remove_workspace_plugin(w(1), NULL), remove_workspace_plugin(NULL, NULL);
SELECT remove_workspace_plugin(plugin_name => 'q', workspace_id => w(1));
SELECT workspace_id, plugin_name FROM workspace_plugins ORDER BY workspace_id, plugin_name COLLATE "C";

-- Recorded after that, it is a new install.
BEGIN;
UPDATE workspace_plugins SET installed_at = '2024-01-01 00:00Z' WHERE workspace_id = w(2) AND plugin_name = 'p';
SELECT remove_workspace_plugin(w(2), 'p');
SELECT installed_at = now() FROM record_workspace_plugin_install(w(2), 'p', 's');
COMMIT;
-- Rolled back, it is still there.
BEGIN;
SELECT remove_workspace_plugin(w(2), 'p');
ROLLBACK;
SELECT count(*) FROM workspace_plugins WHERE workspace_id = w(2) AND plugin_name = 'p';
SELECT unregister_plugin_workspace(w(1)), unregister_plugin_workspace(w(2));
