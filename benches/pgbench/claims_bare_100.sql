WITH picked AS MATERIALIZED (
    SELECT id, workspace_id FROM bare_queue
    WHERE upstream = 'example.com/released/plugin' AND target_sha = repeat('b', 40) AND rollout_tier = ''
      AND status IN ('pending', 'deferred') AND due_at <= now()
    ORDER BY due_at LIMIT 100
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE bare_queue AS q
    SET status = 'claimed', claimed_by = 'worker', claimed_at = now(), claim_token = gen_random_uuid(),
        leased_until = now() + interval '10 minutes'
    FROM picked AS k
    WHERE q.id = k.id AND q.workspace_id = k.workspace_id
    RETURNING q.id, q.claim_token
)
SELECT COALESCE(array_agg(id), '{}') AS ids, COALESCE(array_agg(claim_token), '{}') AS tokens FROM claimed \gset
WITH done AS (
    UPDATE bare_queue AS q SET status = 'applied', finished_at = now(), claim_token = NULL, leased_until = NULL
    FROM unnest(:ids::uuid[], :tokens::uuid[]) AS g (id, token)
    WHERE q.id = g.id AND q.claim_token = g.token
    RETURNING q.workspace_id, q.plugin_name, q.target_sha
)
UPDATE bare_installs AS p SET installed_sha = d.target_sha, updated_at = now()
FROM done AS d WHERE p.workspace_id = d.workspace_id AND p.plugin_name = d.plugin_name;
