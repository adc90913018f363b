-- :workspaces workspaces with ids that end in 100000000000 and up.
INSERT INTO plugin_workspaces (workspace_id)
SELECT ('00000000-0000-4000-8000-' || (100000000000 + n))::uuid
FROM generate_series(0, :workspaces - 1) AS n
ON CONFLICT DO NOTHING;
VACUUM ANALYZE plugin_workspaces;
