-- :installs workspaces with one plugin each, all of it of one repository; one in a hundred is a canary
-- where :tiers is on.
TRUNCATE plugin_workspaces, workspace_plugins, plugin_upstreams, plugin_upstream_refs, plugin_targets,
    plugin_update_queue, plugin_rollouts, plugin_rollout_lanes;
DELETE FROM rollout_tiers;
INSERT INTO rollout_tiers (tier, position, bake)
SELECT * FROM (VALUES ('canary', 1, interval '1 day'), ('stable', 2, interval '1 day')) AS t WHERE :'tiers';
INSERT INTO plugin_workspaces (workspace_id, rollout_tier)
SELECT ('00000000-0000-4000-8000-' || (100000000000 + n))::uuid,
       CASE WHEN :'tiers' THEN CASE n % 100 WHEN 0 THEN 'canary' ELSE 'stable' END END
FROM generate_series(0, :installs - 1) AS n;
VACUUM ANALYZE plugin_workspaces, rollout_tiers;
