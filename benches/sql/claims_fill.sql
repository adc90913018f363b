-- All installs on one version, then a newer one: each of them has an update waiting.
TRUNCATE workspace_plugins, plugin_update_queue, plugin_rollouts, plugin_rollout_lanes;
INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, tracked_ref, installed_sha)
SELECT workspace_id, 'plugin', 'https://example.com/released/plugin', 'tag:latest', repeat('a', 40) FROM plugin_workspaces;
VACUUM ANALYZE workspace_plugins;
SELECT detect_plugin_drift();
SELECT observe_plugin_upstream('example.com/released/plugin',
    jsonb_build_object('refs/tags/v1.0.0', repeat('a', 40)));
SELECT observe_plugin_upstream('example.com/released/plugin',
    jsonb_build_object('refs/tags/v1.0.0', repeat('a', 40), 'refs/tags/v1.1.0', repeat('b', 40)));
VACUUM ANALYZE;
