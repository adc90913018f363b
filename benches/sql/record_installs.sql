-- :plugins installs in each workspace, so that most of what is recorded is recorded again.
TRUNCATE workspace_plugins;
INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw)
SELECT w.workspace_id, 'plugin-' || p, 'github://acme/plugins#v1.0.0'
FROM plugin_workspaces AS w, generate_series(0, :plugins - 1) AS p;
VACUUM ANALYZE workspace_plugins;
