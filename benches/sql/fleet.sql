-- :installs installs, ten to a workspace: :followers of them follow one repository, the others
-- :upstreams more; all on their targets.
TRUNCATE workspace_plugins, plugin_update_queue;
DELETE FROM plugin_targets WHERE upstream <> 'example.com/many/tags';
INSERT INTO plugin_workspaces (workspace_id)
SELECT ('00000000-0000-4000-8000-' || (100000000000 + n))::uuid FROM generate_series(0, :installs / 10 - 1) AS n
ON CONFLICT DO NOTHING;
INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, tracked_ref, installed_sha)
SELECT ('00000000-0000-4000-8000-' || (100000000000 + n / 10))::uuid, 'plugin-' || n % 10,
       'https://example.com/' || CASE n % 10 WHEN 0 THEN 'hot/plugin' ELSE 'cold/plugin-' || n % :upstreams END,
       'tag:latest', repeat('a', 40)
FROM generate_series(0, :installs - 1) AS n;
INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, tracked_ref, installed_sha)
SELECT '00000000-0000-4000-8000-000000000000', 'many tags', 'https://example.com/many/tags', 'tag:latest', t.sha
FROM plugin_targets AS t WHERE t.upstream = 'example.com/many/tags';
VACUUM ANALYZE workspace_plugins;
SELECT detect_plugin_drift();
SELECT count(*) FROM plugin_upstreams AS u,
    observe_plugin_upstream(u.upstream, jsonb_build_object('refs/tags/v1.0.0', repeat('a', 40))) AS o
WHERE u.upstream <> 'example.com/many/tags' AND u.last_checked_at IS NULL;
DROP TABLE IF EXISTS queue_peer, hot;
CREATE TABLE queue_peer (LIKE plugin_update_queue INCLUDING ALL);
CREATE TABLE hot AS
SELECT jsonb_build_object('refs/tags/v1.0.0', repeat('a', 40)) AS before,
       jsonb_build_object('refs/tags/v1.0.0', repeat('a', 40), 'refs/tags/v2.0.0', repeat('b', 40)) AS after;
VACUUM ANALYZE;
CHECKPOINT;
