-- What waits stands in lanes from now on, in the order in which it came.
UPDATE @extschema@.plugin_update_queue AS q
SET due_at = n.due_at, rollout_tier = n.rollout_tier
FROM (
    SELECT q.id, q.workspace_id, COALESCE(w.rollout_tier, '') AS rollout_tier,
           q.waiting_since OPERATOR(pg_catalog.-) (interval '1 microsecond' OPERATOR(pg_catalog.*) (
               pg_catalog.row_number() OVER (ORDER BY q.waiting_since DESC))::double precision) AS due_at
    FROM @extschema@.plugin_update_queue AS q
    LEFT JOIN @extschema@.plugin_workspaces AS w ON w.workspace_id OPERATOR(pg_catalog.=) q.workspace_id
    WHERE q.status OPERATOR(pg_catalog.=) 'pending') AS n
WHERE q.id OPERATOR(pg_catalog.=) n.id AND q.workspace_id OPERATOR(pg_catalog.=) n.workspace_id;
SELECT @extschema@.add_plugin_lanes(
    pg_catalog.array_agg(l.upstream), pg_catalog.array_agg(l.target_sha), pg_catalog.array_agg(l.rollout_tier),
    pg_catalog.array_agg(l.due_at), '{}', pg_catalog.clock_timestamp())
FROM (
    SELECT q.upstream, q.target_sha::text AS target_sha, q.rollout_tier, pg_catalog.min(q.due_at) AS due_at
    FROM @extschema@.plugin_update_queue AS q
    WHERE q.status OPERATOR(pg_catalog.=) 'pending'
    GROUP BY q.upstream, q.target_sha, q.rollout_tier) AS l;
