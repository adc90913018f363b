-- What is wanted, from what is installed, what it tracks and what upstream has; and the queue brought to it.

CREATE FUNCTION @extschema@.hold_claimed_plugin_updates(
    upstream text, tracked @extschema@.tracked_ref, workspaces uuid[], plugins text[]
) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    IF workspaces IS NULL THEN
        PERFORM FROM @extschema@.plugin_update_queue AS q
        WHERE q.status = 'claimed' AND q.upstream = hold_claimed_plugin_updates.upstream AND q.tracked_ref = tracked
        ORDER BY q.workspace_id, q.plugin_name FOR NO KEY UPDATE;
    ELSE
        PERFORM FROM @extschema@.plugin_update_queue AS q
        WHERE q.status = 'claimed'
          AND (q.workspace_id, q.plugin_name) IN (
              SELECT n.workspace_id, n.plugin_name
              FROM ROWS FROM (unnest(workspaces), unnest(plugins)) AS n (workspace_id, plugin_name))
        ORDER BY q.workspace_id, q.plugin_name FOR NO KEY UPDATE;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.hold_claimed_plugin_updates(text, @extschema@.tracked_ref, uuid[], text[]) IS
    'Lets workers that are about to complete an update go first, and keeps others waiting, until what is wanted is known.';

-- What of the queue does not differ from what is wanted is not touched.
CREATE FUNCTION @extschema@.apply_wanted_plugin_updates(
    upstream text, tracked @extschema@.tracked_ref, workspaces uuid[], plugins text[], at timestamptz,
    OUT queued bigint, OUT superseded bigint, OUT cancelled bigint, OUT missed bigint,
    OUT lane_upstreams text[], OUT lane_shas text[], OUT lane_tiers text[], OUT lane_due timestamptz[],
    OUT are_rollbacks boolean[], OUT left_upstreams text[], OUT left_shas text[]
)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    -- One generic plan cannot suit one install and a hundred thousand.
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    -- Known when the statement is planned, so that it leaves out what there is not.
    has_rollbacks constant boolean := EXISTS (
        SELECT FROM @extschema@.plugin_rollouts AS r
        WHERE r.state <> 'active' AND r.state = 'rolled_back'
          AND (apply_wanted_plugin_updates.upstream IS NULL OR r.upstream = apply_wanted_plugin_updates.upstream));
BEGIN
    WITH named AS (
        SELECT n.workspace_id, n.plugin_name
        FROM ROWS FROM (unnest(workspaces), unnest(plugins)) AS n (workspace_id, plugin_name)
    ), subscribed AS (
        SELECT t.* FROM @extschema@.plugin_targets AS t
        WHERE t.upstream = apply_wanted_plugin_updates.upstream AND t.tracked_ref = tracked
    ), differing AS NOT MATERIALIZED (
        -- Two ranges of the index: what is on the target already is never looked at, unless it is to
        -- leave it.
        SELECT p.workspace_id, p.plugin_name, p.upstream, p.tracked_ref, p.installed_sha
        FROM subscribed AS t
        JOIN @extschema@.workspace_plugins AS p
          ON p.upstream = t.upstream AND p.tracked_ref = t.tracked_ref
         AND p.tracked_ref <> 'none' AND p.installed_sha < t.sha
        UNION ALL
        SELECT p.workspace_id, p.plugin_name, p.upstream, p.tracked_ref, p.installed_sha
        FROM subscribed AS t
        JOIN @extschema@.workspace_plugins AS p
          ON p.upstream = t.upstream AND p.tracked_ref = t.tracked_ref
         AND p.tracked_ref <> 'none' AND p.installed_sha > t.sha
        UNION ALL
        SELECT p.workspace_id, p.plugin_name, p.upstream, p.tracked_ref, p.installed_sha
        FROM subscribed AS t
        JOIN @extschema@.plugin_rollouts AS r
          ON r.upstream = t.upstream AND r.sha = t.sha AND r.state = 'rolled_back'
        JOIN @extschema@.workspace_plugins AS p
          ON p.upstream = t.upstream AND p.tracked_ref = t.tracked_ref
         AND p.tracked_ref <> 'none' AND p.installed_sha = t.sha
        WHERE has_rollbacks
        UNION ALL
        SELECT p.workspace_id, p.plugin_name, p.upstream, p.tracked_ref, p.installed_sha
        FROM named AS n
        JOIN @extschema@.workspace_plugins AS p
          ON p.workspace_id = n.workspace_id AND p.plugin_name = n.plugin_name
        WHERE p.tracked_ref <> 'none' AND p.installed_sha IS NOT NULL
    ), judged AS MATERIALIZED (
        -- Each commit once, however many have it.
        SELECT d.upstream, d.tracked_ref, d.installed_sha, j.state, j.ref, j.sha
        FROM (SELECT DISTINCT d.upstream, d.tracked_ref, d.installed_sha FROM differing AS d) AS d
        JOIN @extschema@.plugin_targets AS t ON t.upstream = d.upstream AND t.tracked_ref = d.tracked_ref
        CROSS JOIN LATERAL @extschema@.judge_plugin_install(t, d.installed_sha, at) AS j
        WHERE j.state IN ('pin_mismatch', 'retarget', 'new_version', 'branch_advanced')
          AND NOT EXISTS (
              SELECT FROM @extschema@.plugin_rollouts AS r
              WHERE r.upstream = d.upstream AND r.sha = j.sha AND r.state IN ('aborted', 'rolled_back'))
    ), reverting AS MATERIALIZED (
        -- What had been installed before a release that was rolled back.
        SELECT DISTINCT ON (p.workspace_id, p.plugin_name)
               p.workspace_id, p.plugin_name, p.upstream, p.tracked_ref, p.installed_sha, q.current_sha AS sha
        FROM (
            SELECT r.upstream, r.sha FROM @extschema@.plugin_rollouts AS r
            WHERE has_rollbacks AND r.state = 'rolled_back'
              AND (r.upstream, r.sha) IN (SELECT d.upstream, d.installed_sha FROM differing AS d)) AS r
        JOIN @extschema@.plugin_update_queue AS q
          ON q.upstream = r.upstream AND q.target_sha = r.sha AND q.status = 'applied'
        JOIN differing AS p
          ON p.workspace_id = q.workspace_id AND p.plugin_name = q.plugin_name
         AND p.upstream = r.upstream AND p.installed_sha = r.sha
        WHERE has_rollbacks AND q.current_sha <> r.sha AND NOT EXISTS (
            SELECT FROM @extschema@.plugin_rollouts AS b
            WHERE b.upstream = r.upstream AND b.sha = q.current_sha AND b.state IN ('aborted', 'rolled_back'))
        ORDER BY p.workspace_id, p.plugin_name, q.finished_at DESC
    ), wished AS (
        -- Full joins here and below, for those are never nested loops, whatever the planner expects
        -- of tables that nobody has analyzed.
        SELECT d.workspace_id, d.plugin_name, d.upstream, d.tracked_ref, j.state, d.installed_sha, j.ref, j.sha
        FROM differing AS d
        FULL JOIN judged AS j ON j.upstream = d.upstream AND j.tracked_ref = d.tracked_ref
                             AND j.installed_sha = d.installed_sha
        WHERE j.sha IS NOT NULL AND d.workspace_id IS NOT NULL
          AND (NOT has_rollbacks OR NOT EXISTS (
              SELECT FROM reverting AS r WHERE r.workspace_id = d.workspace_id AND r.plugin_name = d.plugin_name))
        UNION ALL
        SELECT r.workspace_id, r.plugin_name, r.upstream, r.tracked_ref, 'rollback', r.installed_sha, NULL, r.sha
        FROM reverting AS r
    ), wanted AS MATERIALIZED (
        SELECT w.* FROM wished AS w
        WHERE (NOT EXISTS (SELECT FROM @extschema@.plugin_update_queue AS q WHERE q.status = 'dismissed')
               OR NOT EXISTS (
                   SELECT FROM @extschema@.plugin_update_queue AS q
                   WHERE q.workspace_id = w.workspace_id AND q.plugin_name = w.plugin_name
                     AND q.target_sha = w.sha AND q.status = 'dismissed'))
          AND (NOT EXISTS (SELECT FROM @extschema@.plugin_update_queue AS q WHERE q.status = 'failed')
               OR NOT EXISTS (
                   SELECT FROM @extschema@.plugin_update_queue AS q
                   WHERE q.workspace_id = w.workspace_id AND q.plugin_name = w.plugin_name
                     AND q.target_sha = w.sha AND q.current_sha = w.installed_sha AND q.status = 'failed'))
    ), under_way AS MATERIALIZED (
        -- What was claimed of something that has changed since is lost to its worker. What is wanted for
        -- another reason by now has to say so where it waits again.
        SELECT q.id, q.workspace_id, q.plugin_name, q.target_sha, p.workspace_id IS NULL AS is_lost,
               q.target_sha IS DISTINCT FROM w.sha AS is_outdated, w.state, w.ref,
               p.workspace_id IS NULL OR q.is_outdated <> (q.target_sha IS DISTINCT FROM w.sha)
                   OR (q.target_sha = w.sha AND (q.kind, q.target_ref) IS DISTINCT FROM (w.state, w.ref)) AS is_to_mark
        FROM @extschema@.plugin_update_queue AS q
        LEFT JOIN named AS n ON n.workspace_id = q.workspace_id AND n.plugin_name = q.plugin_name
        LEFT JOIN wanted AS w ON w.workspace_id = q.workspace_id AND w.plugin_name = q.plugin_name
        LEFT JOIN @extschema@.workspace_plugins AS p
          ON p.workspace_id = q.workspace_id AND p.plugin_name = q.plugin_name
         AND p.upstream = q.upstream AND p.tracked_ref = q.tracked_ref AND p.installed_sha = q.current_sha
        WHERE q.status = 'claimed'
          AND (n.workspace_id IS NOT NULL
               OR (q.upstream = apply_wanted_plugin_updates.upstream AND q.tracked_ref = tracked))
    ), marked AS (
        UPDATE @extschema@.plugin_update_queue AS q
        SET is_outdated = u.is_outdated,
            kind = CASE WHEN u.is_outdated THEN q.kind ELSE u.state END,
            target_ref = CASE WHEN u.is_outdated THEN q.target_ref ELSE u.ref END,
            status = CASE WHEN u.is_lost THEN 'cancelled' ELSE 'claimed' END,
            reason = CASE WHEN u.is_lost THEN 'installed otherwise meanwhile' END,
            finished_at = CASE WHEN u.is_lost THEN at END,
            claim_token = CASE WHEN NOT u.is_lost THEN q.claim_token END,
            leased_until = CASE WHEN NOT u.is_lost THEN q.leased_until END
        FROM under_way AS u
        WHERE q.id = u.id AND q.workspace_id = u.workspace_id AND q.status = 'claimed'
          AND u.is_to_mark
        RETURNING q.upstream, q.target_sha, q.status
    ), open AS (
        SELECT q.id, q.workspace_id, q.plugin_name, q.target_sha, q.waiting_since
        FROM @extschema@.plugin_update_queue AS q
        WHERE q.status IN ('pending', 'deferred')
          AND q.upstream = apply_wanted_plugin_updates.upstream AND q.tracked_ref = tracked
        UNION
        SELECT q.id, q.workspace_id, q.plugin_name, q.target_sha, q.waiting_since
        FROM @extschema@.plugin_update_queue AS q
        JOIN named AS n ON n.workspace_id = q.workspace_id AND n.plugin_name = q.plugin_name
        WHERE q.status IN ('pending', 'deferred')
        UNION
        SELECT q.id, q.workspace_id, q.plugin_name, q.target_sha, q.waiting_since
        FROM @extschema@.plugin_update_queue AS q
        JOIN wanted AS w ON w.workspace_id = q.workspace_id AND w.plugin_name = q.plugin_name
        WHERE q.status IN ('pending', 'deferred')
    ), step AS MATERIALIZED (
        SELECT w.*, o.id AS open_id, o.workspace_id AS open_workspace_id, o.target_sha AS open_sha, o.waiting_since
        FROM (
            SELECT w.workspace_id, w.plugin_name, w.upstream, w.tracked_ref, w.state, w.installed_sha, w.ref, w.sha,
                   COALESCE(s.rollout_tier, '') AS rollout_tier
            FROM wanted AS w
            LEFT JOIN @extschema@.plugin_workspaces AS s
              ON s.workspace_id = w.workspace_id AND s.rollout_tier IS NOT NULL
            -- What is under way to the same commit need not wait as well.
            WHERE NOT EXISTS (SELECT FROM under_way) OR NOT EXISTS (
                SELECT FROM under_way AS u
                WHERE u.workspace_id = w.workspace_id AND u.plugin_name = w.plugin_name
                  AND u.target_sha = w.sha AND NOT u.is_lost)) AS w
        FULL JOIN open AS o ON o.workspace_id = w.workspace_id AND o.plugin_name = w.plugin_name
    ), ended AS (
        UPDATE @extschema@.plugin_update_queue AS q
        SET status = CASE WHEN s.sha IS NULL THEN 'cancelled' ELSE 'superseded' END,
            reason = CASE WHEN s.sha IS NOT NULL THEN 'upstream moved to ' || s.sha
                          ELSE @extschema@.plugin_update_end_reason(q, at) END,
            finished_at = at
        FROM step AS s
        WHERE q.id = s.open_id AND q.workspace_id = s.open_workspace_id AND q.status IN ('pending', 'deferred')
          AND s.sha IS DISTINCT FROM s.open_sha
        RETURNING q.status, q.upstream, q.target_sha
    ), differs AS MATERIALIZED (
        SELECT s.* FROM step AS s
        JOIN @extschema@.plugin_update_queue AS q ON q.id = s.open_id AND q.workspace_id = s.open_workspace_id
        WHERE s.sha = s.open_sha
          AND (q.upstream, q.tracked_ref, q.kind, q.current_sha, q.target_ref, q.rollout_tier)
              IS DISTINCT FROM (s.upstream, s.tracked_ref, s.state, s.installed_sha, s.ref, s.rollout_tier)
    ), refreshed AS (
        UPDATE @extschema@.plugin_update_queue AS q
        SET upstream = s.upstream, tracked_ref = s.tracked_ref, kind = s.state,
            current_sha = s.installed_sha, target_ref = s.ref, rollout_tier = s.rollout_tier
        FROM differs AS s
        WHERE q.id = s.open_id AND q.workspace_id = s.open_workspace_id AND q.status IN ('pending', 'deferred')
        RETURNING q.upstream, q.target_sha, q.rollout_tier, q.due_at, q.kind
    ), added AS (
        -- Counting what has ended makes this wait for it: the unique index takes one row only. Due one
        -- after the other, so that a claim can begin where the last one stopped.
        INSERT INTO @extschema@.plugin_update_queue AS q
            (workspace_id, plugin_name, upstream, tracked_ref, kind, current_sha, target_ref, target_sha,
             created_at, waiting_since, rollout_tier, due_at)
        SELECT s.workspace_id, s.plugin_name, s.upstream, s.tracked_ref, s.state, s.installed_sha,
               s.ref, s.sha, at, COALESCE(s.waiting_since, at), s.rollout_tier,
               COALESCE(at + d.spread * random(), at - row_number() OVER () * interval '1 microsecond')
        FROM step AS s
        LEFT JOIN (
            SELECT t.tier, t.spread FROM @extschema@.rollout_tiers AS t WHERE t.spread > interval '0'
            UNION ALL
            SELECT '', p.spread FROM @extschema@.plugin_update_policy AS p WHERE p.spread > interval '0') AS d
          ON d.tier = s.rollout_tier AND s.state <> 'rollback'
        WHERE s.sha IS NOT NULL AND s.sha IS DISTINCT FROM s.open_sha
          AND (SELECT count(*) FROM ended) >= 0 AND (SELECT count(*) FROM marked) >= 0
        ON CONFLICT (workspace_id, plugin_name) WHERE status IN ('pending', 'deferred') DO NOTHING
        RETURNING q.upstream, q.target_sha, q.rollout_tier, q.due_at, q.kind
    ), lane AS (
        SELECT l.upstream, l.target_sha, l.rollout_tier, min(l.due_at) AS due_at, bool_or(l.kind = 'rollback') AS is_rollback
        FROM (SELECT a.* FROM added AS a UNION ALL SELECT r.* FROM refreshed AS r) AS l
        GROUP BY l.upstream, l.target_sha, l.rollout_tier
    ), emptied AS (
        SELECT e.upstream, e.target_sha FROM ended AS e
        UNION
        SELECT m.upstream, m.target_sha FROM marked AS m WHERE m.status = 'cancelled'
    )
    SELECT (SELECT count(*) FROM added),
           (SELECT count(*) FROM ended AS e WHERE e.status = 'superseded'),
           (SELECT count(*) FROM ended AS e WHERE e.status = 'cancelled'),
           (SELECT count(*) FROM step AS s WHERE s.open_id IS NOT NULL AND s.sha IS DISTINCT FROM s.open_sha)
               + (SELECT count(*) FROM under_way AS u WHERE u.is_to_mark)
               + (SELECT count(*) FROM differs)
               - (SELECT count(*) FROM ended) - (SELECT count(*) FROM marked) - (SELECT count(*) FROM refreshed),
           l.upstreams, l.shas, l.tiers, l.due, l.rollbacks, e.upstreams, e.shas
    INTO queued, superseded, cancelled, missed,
         lane_upstreams, lane_shas, lane_tiers, lane_due, are_rollbacks, left_upstreams, left_shas
    FROM (SELECT array_agg(l.upstream) AS upstreams, array_agg(l.target_sha::text) AS shas,
                 array_agg(l.rollout_tier) AS tiers, array_agg(l.due_at) AS due, array_agg(l.is_rollback) AS rollbacks
          FROM lane AS l) AS l
    CROSS JOIN (SELECT array_agg(e.upstream) AS upstreams, array_agg(e.target_sha::text) AS shas
                FROM emptied AS e) AS e;
END
$$;
COMMENT ON FUNCTION @extschema@.apply_wanted_plugin_updates(text, @extschema@.tracked_ref, uuid[], text[], timestamptz) IS
    'Brings the queue to what is wanted, and tells what it found taken by a claim in the meantime, in which lanes updates stand by now, and which releases they left.';

CREATE FUNCTION @extschema@.derive_plugin_updates(
    upstream text, tracked @extschema@.tracked_ref, workspaces uuid[], plugins text[], at timestamptz,
    OUT queued bigint, OUT superseded bigint, OUT cancelled bigint
)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    applied record;
BEGIN
    queued := 0::bigint;
    superseded := 0::bigint;
    cancelled := 0::bigint;
    LOOP
        PERFORM @extschema@.hold_claimed_plugin_updates(upstream, tracked, workspaces, plugins);
        applied := @extschema@.apply_wanted_plugin_updates(upstream, tracked, workspaces, plugins, at);
        queued := queued + applied.queued;
        superseded := superseded + applied.superseded;
        cancelled := cancelled + applied.cancelled;
        -- The locks of releases before those of their lanes.
        IF applied.left_upstreams IS NOT NULL THEN
            PERFORM @extschema@.arm_plugin_rollouts(applied.left_upstreams, applied.left_shas);
        END IF;
        IF applied.lane_upstreams IS NOT NULL THEN
            PERFORM @extschema@.add_plugin_lanes(applied.lane_upstreams, applied.lane_shas, applied.lane_tiers,
                                                 applied.lane_due, applied.are_rollbacks, at);
        END IF;
        -- What was claimed in the meantime may have been completed already: look again. In one snapshot
        -- for the whole transaction that would never end.
        EXIT WHEN applied.missed = 0 OR current_setting('transaction_isolation') <> 'read committed';
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.derive_plugin_updates(text, @extschema@.tracked_ref, uuid[], text[], timestamptz) IS
    'Brings the queue to what is wanted, for the installs of one subscription or for those named. The caller holds the locks of the subscriptions.';

REVOKE ALL ON FUNCTION @extschema@.hold_claimed_plugin_updates(text, @extschema@.tracked_ref, uuid[], text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.apply_wanted_plugin_updates(text, @extschema@.tracked_ref, uuid[], text[], timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.derive_plugin_updates(text, @extschema@.tracked_ref, uuid[], text[], timestamptz) FROM PUBLIC;
