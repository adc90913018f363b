-- What the extension queues, in the same order.
TRUNCATE bare_queue, bare_installs;
INSERT INTO bare_queue SELECT * FROM waiting_updates;
INSERT INTO bare_installs (workspace_id, plugin_name, source_raw, tracked_ref, installed_sha)
SELECT workspace_id, 'plugin', 'https://example.com/released/plugin', 'tag:latest', repeat('a', 40) FROM plugin_workspaces;
VACUUM ANALYZE;
