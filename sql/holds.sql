-- Why an update is not handed out now, and how far each release has come: all read from what decides it.

CREATE FUNCTION @extschema@.plugin_update_hold(held @extschema@.plugin_update_queue, at timestamptz) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    rollout record;
    lane_wait record;
    ahead record;
    tier_name constant text := CASE held.rollout_tier WHEN '' THEN 'the workspaces without a tier'
                                                      ELSE 'tier ' || held.rollout_tier END;
BEGIN
    IF held.status = 'claimed' THEN
        RETURN format('leased by %s until %s', held.claimed_by, held.leased_until);
    ELSIF held.status = 'failed' THEN
        RETURN format('failed for good at attempt %s: %s', held.attempts, held.last_error);
    ELSIF held.status = 'dismissed' THEN
        RETURN concat_ws(': ', 'dismissed', held.reason);
    END IF;
    SELECT r.state, r.reason, r.state_since, l.opened_at INTO rollout
    FROM @extschema@.plugin_rollouts AS r
    LEFT JOIN @extschema@.plugin_rollout_lanes AS l
      ON l.upstream = r.upstream AND l.sha = r.sha AND l.tier = held.rollout_tier
    WHERE r.upstream = held.upstream AND r.sha = held.target_sha;
    IF rollout.state <> 'active' THEN
        RETURN concat_ws(': ', format('the rollout is %s since %s', rollout.state, rollout.state_since), rollout.reason);
    ELSIF rollout.opened_at IS NULL THEN
        lane_wait := @extschema@.plugin_lane_wait(held.upstream, held.target_sha, held.rollout_tier);
        RETURN format('%s cannot have it yet: ', tier_name) || CASE
            WHEN lane_wait.is_waiting OR lane_wait.is_claimed
                THEN format('tier %s has updates left to do', lane_wait.behind)
            WHEN lane_wait.opens_at > at THEN format('bakes until %s', lane_wait.opens_at)
            ELSE 'the next claim opens it' END;
    END IF;
    SELECT q.claimed_by, q.leased_until INTO ahead FROM @extschema@.plugin_update_queue AS q
    WHERE q.workspace_id = held.workspace_id AND q.plugin_name = held.plugin_name AND q.status = 'claimed';
    IF FOUND THEN
        RETURN format('an earlier update is leased by %s until %s', ahead.claimed_by, ahead.leased_until);
    ELSIF held.status = 'deferred' THEN
        RETURN format('delivered but not in use yet: again from %s', held.due_at);
    ELSIF held.due_at > at AND held.attempts > 0 THEN
        RETURN format('backing off until %s, attempt %s failed: %s', held.due_at, held.attempts, held.last_error);
    ELSIF held.due_at > at THEN
        RETURN format('spread: its turn is at %s', held.due_at);
    END IF;
    RETURN (
        SELECT string_agg(l.reason, '; ')
        FROM (
            SELECT b.reason, b.allowed FROM @extschema@.plugin_update_limits('', at) AS b
            UNION ALL
            SELECT b.reason, b.allowed FROM @extschema@.plugin_update_limits(held.rollout_tier, at) AS b
            WHERE held.rollout_tier <> '') AS l
        WHERE l.allowed = 0);
END
$$;
COMMENT ON FUNCTION @extschema@.plugin_update_hold(@extschema@.plugin_update_queue, timestamptz) IS
    'Why an update is not handed out at a time; NULL where the next claim may have it.';

CREATE FUNCTION @extschema@.plugin_rollback_sha(workspace_id uuid, plugin_name text, upstream text, sha text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN (
        SELECT q.current_sha::text FROM @extschema@.plugin_update_queue AS q
        WHERE q.upstream = plugin_rollback_sha.upstream AND q.target_sha = plugin_rollback_sha.sha
          AND q.status = 'applied' AND q.current_sha <> plugin_rollback_sha.sha
          AND q.workspace_id = plugin_rollback_sha.workspace_id AND q.plugin_name = plugin_rollback_sha.plugin_name
          AND NOT EXISTS (
              SELECT FROM @extschema@.plugin_rollouts AS b
              WHERE b.upstream = q.upstream AND b.sha = q.current_sha AND b.state IN ('aborted', 'rolled_back'))
        ORDER BY q.finished_at DESC LIMIT 1);
END
$$;
COMMENT ON FUNCTION @extschema@.plugin_rollback_sha(uuid, text, text, text) IS
    'What an install had before it got a release; NULL where that is not known, or was given up itself.';

CREATE VIEW @extschema@.plugin_rollout_progress AS
SELECT r.upstream, r.sha, CASE WHEN l.tier OPERATOR(pg_catalog.<>) '' THEN l.tier END AS tier, t."position",
       CASE
           WHEN r.state OPERATOR(pg_catalog.<>) 'active' THEN r.state
           WHEN l.opened_at IS NULL AND w.opens_at IS NULL THEN 'waiting'
           WHEN l.opened_at IS NULL AND w.opens_at OPERATOR(pg_catalog.>) pg_catalog.now() THEN 'baking'
           WHEN l.opened_at IS NULL THEN 'ready'
           WHEN c.pending OPERATOR(pg_catalog.+) c.deferred OPERATOR(pg_catalog.+) c.claimed OPERATOR(pg_catalog.>) 0 THEN 'open'
           ELSE 'done'
       END AS state,
       c.total, c.pending, c.deferred, c.claimed, c.applied, c.failed,
       l.opened_at,
       CASE WHEN r.state OPERATOR(pg_catalog.=) 'active' AND l.opened_at IS NULL AND w.opens_at IS NOT NULL
            THEN GREATEST(w.opens_at, r.created_at) END AS opens_at,
       r.reason
FROM @extschema@.plugin_rollouts AS r
JOIN @extschema@.plugin_rollout_lanes AS l
  ON l.upstream OPERATOR(pg_catalog.=) r.upstream AND l.sha OPERATOR(pg_catalog.=) r.sha
LEFT JOIN @extschema@.rollout_tiers AS t ON t.tier OPERATOR(pg_catalog.=) l.tier
LEFT JOIN LATERAL @extschema@.plugin_lane_wait(r.upstream, r.sha, l.tier) AS w ON l.opened_at IS NULL
CROSS JOIN LATERAL (
    SELECT pg_catalog.count(*) AS total,
           pg_catalog.count(*) FILTER (WHERE q.status OPERATOR(pg_catalog.=) 'pending') AS pending,
           pg_catalog.count(*) FILTER (WHERE q.status OPERATOR(pg_catalog.=) 'deferred') AS deferred,
           pg_catalog.count(*) FILTER (WHERE q.status OPERATOR(pg_catalog.=) 'claimed') AS claimed,
           pg_catalog.count(*) FILTER (WHERE q.status OPERATOR(pg_catalog.=) 'applied') AS applied,
           pg_catalog.count(*) FILTER (WHERE q.status OPERATOR(pg_catalog.=) 'failed') AS failed
    FROM (
        SELECT q.status FROM @extschema@.plugin_update_queue AS q
        WHERE q.upstream OPERATOR(pg_catalog.=) r.upstream AND q.target_sha OPERATOR(pg_catalog.=) r.sha
          AND q.rollout_tier OPERATOR(pg_catalog.=) l.tier
          AND q.status OPERATOR(pg_catalog.=) ANY (ARRAY['pending', 'deferred'])
        UNION ALL
        SELECT q.status FROM @extschema@.plugin_update_queue AS q
        WHERE q.upstream OPERATOR(pg_catalog.=) r.upstream AND q.target_sha OPERATOR(pg_catalog.=) r.sha
          AND q.rollout_tier OPERATOR(pg_catalog.=) l.tier
          AND q.status OPERATOR(pg_catalog.=) ANY (ARRAY['claimed', 'applied', 'failed'])
    ) AS q
) AS c;
COMMENT ON VIEW @extschema@.plugin_rollout_progress IS 'How far each release has come, by tier.';
COMMENT ON COLUMN @extschema@.plugin_rollout_progress.upstream IS 'The repository.';
COMMENT ON COLUMN @extschema@.plugin_rollout_progress.sha IS 'The commit.';
COMMENT ON COLUMN @extschema@.plugin_rollout_progress.tier IS 'The tier; NULL: the workspaces without one, which come last.';
COMMENT ON COLUMN @extschema@.plugin_rollout_progress."position" IS 'The tier''s place.';
COMMENT ON COLUMN @extschema@.plugin_rollout_progress.state IS
    'waiting: an earlier tier has something left to do; baking; ready: the next claim opens it; open; done; or that of the release: paused, aborted or rolled_back.';
COMMENT ON COLUMN @extschema@.plugin_rollout_progress.total IS 'Its updates, but for those that are no longer wanted.';
COMMENT ON COLUMN @extschema@.plugin_rollout_progress.pending IS 'Those that wait.';
COMMENT ON COLUMN @extschema@.plugin_rollout_progress.deferred IS 'Those that were delivered, but are not in use yet.';
COMMENT ON COLUMN @extschema@.plugin_rollout_progress.claimed IS 'Those that are under way.';
COMMENT ON COLUMN @extschema@.plugin_rollout_progress.applied IS 'Those that were applied.';
COMMENT ON COLUMN @extschema@.plugin_rollout_progress.failed IS 'Those that failed for good.';
COMMENT ON COLUMN @extschema@.plugin_rollout_progress.opened_at IS 'Since when the tier may have it.';
COMMENT ON COLUMN @extschema@.plugin_rollout_progress.opens_at IS
    'When the tier may have it; NULL while an earlier one has something left to do.';
COMMENT ON COLUMN @extschema@.plugin_rollout_progress.reason IS 'Why the release is in its state.';
