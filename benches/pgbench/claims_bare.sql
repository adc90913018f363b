WITH picked AS MATERIALIZED (
    SELECT id, workspace_id FROM bare_queue
    WHERE upstream = 'example.com/released/plugin' AND target_sha = repeat('b', 40) AND rollout_tier = ''
      AND status IN ('pending', 'deferred') AND due_at <= now()
    ORDER BY due_at LIMIT 1
    FOR UPDATE SKIP LOCKED
)
UPDATE bare_queue AS q
SET status = 'claimed', claimed_by = 'worker', claimed_at = now(), claim_token = gen_random_uuid(),
    leased_until = now() + interval '10 minutes'
FROM picked AS k
WHERE q.id = k.id AND q.workspace_id = k.workspace_id
RETURNING q.id, q.workspace_id, q.plugin_name, q.upstream, q.tracked_ref, q.kind, q.current_sha, q.target_ref,
          q.target_sha, q.claim_token, q.attempts, q.leased_until \gset
WITH done AS (
    UPDATE bare_queue AS q SET status = 'applied', finished_at = now(), claim_token = NULL, leased_until = NULL
    WHERE q.id = :id::uuid AND q.claim_token = :claim_token::uuid
    RETURNING q.workspace_id, q.plugin_name, q.target_sha
)
UPDATE bare_installs AS p SET installed_sha = d.target_sha, updated_at = now()
FROM done AS d WHERE p.workspace_id = d.workspace_id AND p.plugin_name = d.plugin_name;
