-- What has drifted, for the whole fleet, and whether anything is being tracked at all.

CREATE FUNCTION @extschema@.track_plugin_upstream(
    upstream text, tracked @extschema@.tracked_ref, fetch_url text, at timestamptz
) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    -- Not as its callers have it: this is called once for each subscription.
    SET plan_cache_mode = auto
AS $$
DECLARE
    -- A pinned commit needs nobody to ask.
    due constant timestamptz :=
        CASE @extschema@.tracked_ref_kind(tracked) WHEN 'sha' THEN 'infinity' ELSE at END;
BEGIN
    -- DO UPDATE would lock the row also where it changes nothing: two that hold it FOR SHARE would
    -- wait for each other.
    INSERT INTO @extschema@.plugin_upstreams AS u (upstream, fetch_url, next_check_at)
    VALUES (track_plugin_upstream.upstream, track_plugin_upstream.fetch_url, due)
    ON CONFLICT ON CONSTRAINT plugin_upstreams_pkey DO NOTHING;
    UPDATE @extschema@.plugin_upstreams AS u SET next_check_at = due
    WHERE u.upstream = track_plugin_upstream.upstream AND u.next_check_at = 'infinity' AND due < 'infinity';
    -- An observation that is under way is waited for: the target is to be of its refs.
    PERFORM FROM @extschema@.plugin_upstreams AS u
    WHERE u.upstream = track_plugin_upstream.upstream FOR SHARE;
    INSERT INTO @extschema@.plugin_targets
    SELECT t.* FROM @extschema@.resolve_plugin_target(track_plugin_upstream.upstream, tracked, at) AS t
    ON CONFLICT ON CONSTRAINT plugin_targets_pkey DO NOTHING;
END
$$;
COMMENT ON FUNCTION @extschema@.track_plugin_upstream(text, @extschema@.tracked_ref, text, timestamptz) IS
    'Makes a repository and a subscription known, and a repository that nothing tracked due again.';

CREATE FUNCTION @extschema@.settle_plugin_installs(workspaces uuid[], plugins text[], at timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    -- One generic plan cannot suit one install and a hundred thousand.
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    held constant text[] := ARRAY(
        -- Whoever records holds it already, unless the repository was not known then.
        SELECT u.upstream FROM @extschema@.plugin_upstreams AS u
        WHERE u.upstream = ANY (ARRAY(
            SELECT DISTINCT p.upstream
            FROM ROWS FROM (unnest(workspaces), unnest(plugins)) AS n (workspace_id, plugin_name)
            JOIN @extschema@.workspace_plugins AS p
              ON p.workspace_id = n.workspace_id AND p.plugin_name = n.plugin_name
            WHERE p.tracked_ref <> 'none'))
        ORDER BY u.upstream FOR SHARE);
    subscription record;
    derived record;
    unsettled_workspaces uuid[];
    unsettled_plugins text[];
BEGIN
    FOR subscription IN
        SELECT p.upstream, p.tracked_ref, min(split_part(p.source_raw, '#', 1)) AS fetch_url
        FROM ROWS FROM (unnest(workspaces), unnest(plugins)) AS n (workspace_id, plugin_name)
        JOIN @extschema@.workspace_plugins AS p
          ON p.workspace_id = n.workspace_id AND p.plugin_name = n.plugin_name
        WHERE p.tracked_ref <> 'none' AND p.upstream IS NOT NULL
          AND (p.upstream <> ALL (held) OR NOT EXISTS (
              SELECT FROM @extschema@.plugin_targets AS t
              JOIN @extschema@.plugin_upstreams AS u ON u.upstream = t.upstream
              WHERE t.upstream = p.upstream AND t.tracked_ref = p.tracked_ref
                AND (u.next_check_at < 'infinity' OR t.tracked_ref LIKE 'sha:%')))
        GROUP BY p.upstream, p.tracked_ref ORDER BY p.upstream, p.tracked_ref
    LOOP
        PERFORM @extschema@.track_plugin_upstream(
            subscription.upstream, subscription.tracked_ref, subscription.fetch_url, at);
    END LOOP;

    SELECT array_agg(u.workspace_id), array_agg(u.plugin_name)
    INTO unsettled_workspaces, unsettled_plugins
    FROM (
        SELECT n.workspace_id, n.plugin_name
        FROM ROWS FROM (unnest(workspaces), unnest(plugins)) AS n (workspace_id, plugin_name)
        JOIN @extschema@.plugin_update_queue AS q
          ON q.workspace_id = n.workspace_id AND q.plugin_name = n.plugin_name AND q.status IN ('pending', 'deferred')
        UNION
        SELECT n.workspace_id, n.plugin_name
        FROM ROWS FROM (unnest(workspaces), unnest(plugins)) AS n (workspace_id, plugin_name)
        JOIN @extschema@.plugin_update_queue AS q
          ON q.workspace_id = n.workspace_id AND q.plugin_name = n.plugin_name AND q.status = 'claimed'
        UNION
        SELECT n.workspace_id, n.plugin_name
        FROM ROWS FROM (unnest(workspaces), unnest(plugins)) AS n (workspace_id, plugin_name)
        JOIN @extschema@.workspace_plugins AS p
          ON p.workspace_id = n.workspace_id AND p.plugin_name = n.plugin_name
        JOIN @extschema@.plugin_targets AS t ON t.upstream = p.upstream AND t.tracked_ref = p.tracked_ref
        WHERE p.installed_sha <> t.sha
        UNION
        SELECT n.workspace_id, n.plugin_name
        FROM ROWS FROM (unnest(workspaces), unnest(plugins)) AS n (workspace_id, plugin_name)
        JOIN @extschema@.workspace_plugins AS p
          ON p.workspace_id = n.workspace_id AND p.plugin_name = n.plugin_name
        JOIN @extschema@.plugin_rollouts AS r ON r.upstream = p.upstream AND r.sha = p.installed_sha
        WHERE p.tracked_ref <> 'none' AND r.state = 'rolled_back') AS u;
    IF unsettled_workspaces IS NOT NULL THEN
        derived := @extschema@.derive_plugin_updates(NULL, NULL, unsettled_workspaces, unsettled_plugins, at);
        PERFORM @extschema@.notify_plugin_updates(derived.queued);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.settle_plugin_installs(uuid[], text[], timestamptz) IS
    'Makes known what some installs track, and brings their updates up to date.';

CREATE FUNCTION @extschema@.plugin_subscriptions()
    RETURNS TABLE (upstream text, tracked_ref text, lowest_sha text, highest_sha text)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- Jumps from subscription to subscription in the index: the cost is that of their number, not
    -- of the installs'. NULL sorts last, so that it is the highest where any commit is unknown.
    WITH RECURSIVE subscription AS (
        (SELECT p.upstream, p.tracked_ref, p.installed_sha
         FROM @extschema@.workspace_plugins AS p
         WHERE p.tracked_ref <> 'none' AND p.upstream IS NOT NULL
         ORDER BY p.upstream, p.tracked_ref, p.installed_sha
         LIMIT 1)
        UNION ALL
        SELECT n.upstream, n.tracked_ref, n.installed_sha
        FROM subscription AS s
        CROSS JOIN LATERAL (
            SELECT p.upstream, p.tracked_ref, p.installed_sha
            FROM @extschema@.workspace_plugins AS p
            WHERE p.tracked_ref <> 'none'
              AND (p.upstream, p.tracked_ref) > (s.upstream, s.tracked_ref)
            ORDER BY p.upstream, p.tracked_ref, p.installed_sha
            LIMIT 1) AS n
    )
    SELECT s.upstream, s.tracked_ref, s.installed_sha, h.installed_sha
    FROM subscription AS s
    CROSS JOIN LATERAL (
        SELECT p.installed_sha
        FROM @extschema@.workspace_plugins AS p
        WHERE p.tracked_ref <> 'none' AND p.upstream = s.upstream AND p.tracked_ref = s.tracked_ref
        ORDER BY p.installed_sha DESC NULLS FIRST
        LIMIT 1) AS h
$$;
COMMENT ON FUNCTION @extschema@.plugin_subscriptions() IS
    'Every (repository, tracked ref) that some install has, with its lowest and highest installed commit.';

CREATE FUNCTION @extschema@.forget_plugin_targets() RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target record;
BEGIN
    FOR target IN
        SELECT t.upstream, t.tracked_ref FROM @extschema@.plugin_targets AS t
        WHERE NOT EXISTS (
            SELECT FROM @extschema@.workspace_plugins AS p
            WHERE p.tracked_ref <> 'none' AND p.upstream = t.upstream AND p.tracked_ref = t.tracked_ref)
        ORDER BY t.upstream, t.tracked_ref
    LOOP
        -- Whoever records an install under it holds this lock: look again once it is had. What is
        -- locked can wait for the next time, for the locks that are held already were taken in the
        -- order of the names.
        PERFORM FROM @extschema@.plugin_upstreams AS u
        WHERE u.upstream = target.upstream FOR NO KEY UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        DELETE FROM @extschema@.plugin_targets AS t
        WHERE t.upstream = target.upstream AND t.tracked_ref = target.tracked_ref
          AND NOT EXISTS (
              SELECT FROM @extschema@.workspace_plugins AS p
              WHERE p.tracked_ref <> 'none' AND p.upstream = t.upstream AND p.tracked_ref = t.tracked_ref);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.forget_plugin_targets() IS
    'Forgets the targets of subscriptions that no install has any more, so that observations need not resolve them.';

CREATE FUNCTION @extschema@.detect_plugin_drift(at timestamptz DEFAULT pg_catalog.clock_timestamp()) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subscription record;
    derived record;
    changes bigint := 0::bigint;
    queued bigint := 0::bigint;
    report @extschema@.plugin_observation;
    default_age constant interval := @extschema@.plugin_min_release_age(NULL);
BEGIN
    FOR subscription IN
        SELECT s.upstream, s.tracked_ref,
               t.upstream IS NULL OR (u.next_check_at = 'infinity' AND t.tracked_ref NOT LIKE 'sha:%') AS is_new,
               t.eligible_at <= at OR t.next_sha IS NOT NULL
                   OR t.min_release_age <> COALESCE(u.min_release_age, default_age) AS is_due
        FROM @extschema@.plugin_subscriptions() AS s
        LEFT JOIN @extschema@.plugin_targets AS t ON t.upstream = s.upstream AND t.tracked_ref = s.tracked_ref
        LEFT JOIN @extschema@.plugin_upstreams AS u ON u.upstream = s.upstream
        WHERE t.upstream IS NULL OR (u.next_check_at = 'infinity' AND t.tracked_ref NOT LIKE 'sha:%')
           OR t.eligible_at <= at OR t.next_sha IS NOT NULL
           OR t.min_release_age <> COALESCE(u.min_release_age, default_age)
           OR (t.sha IS NOT NULL AND (s.lowest_sha, s.highest_sha) IS DISTINCT FROM (t.sha::text, t.sha::text))
           OR EXISTS (SELECT FROM @extschema@.plugin_rollouts AS r
                      WHERE r.upstream = s.upstream AND r.sha = t.sha AND r.state = 'rolled_back')
        UNION
        SELECT q.upstream, q.tracked_ref, false, NULL
        FROM @extschema@.plugin_update_queue AS q WHERE q.status IN ('pending', 'deferred')
        UNION
        SELECT q.upstream, q.tracked_ref, false, NULL
        FROM @extschema@.plugin_update_queue AS q WHERE q.status = 'claimed'
        ORDER BY 1, 2
    LOOP
        IF subscription.is_new THEN
            PERFORM @extschema@.track_plugin_upstream(
                subscription.upstream, subscription.tracked_ref,
                (SELECT split_part(p.source_raw, '#', 1) FROM @extschema@.workspace_plugins AS p
                 WHERE p.tracked_ref <> 'none' AND p.upstream = subscription.upstream
                   AND p.tracked_ref = subscription.tracked_ref LIMIT 1), at);
        END IF;
        PERFORM FROM @extschema@.plugin_upstreams AS u
        WHERE u.upstream = subscription.upstream FOR NO KEY UPDATE;
        IF subscription.is_due THEN
            report := @extschema@.retarget_plugin_upstream(
                subscription.upstream, at, @extschema@.plugin_observation(NULL));
            changes := changes + report.queued + report.superseded + report.cancelled;
        END IF;
        derived := @extschema@.derive_plugin_updates(subscription.upstream, subscription.tracked_ref, NULL, NULL, at);
        changes := changes + derived.queued + derived.superseded + derived.cancelled;
        queued := queued + derived.queued;
    END LOOP;
    PERFORM @extschema@.forget_plugin_targets();
    PERFORM @extschema@.notify_plugin_updates(queued);
    RETURN changes;
END
$$;
COMMENT ON FUNCTION @extschema@.detect_plugin_drift(timestamptz) IS
    'Brings the queue to what is wanted, for everything, and gives the number of changes: the safety net for rows that were written directly. Its cost is that of subscriptions and of what differs.';

CREATE FUNCTION @extschema@.plugin_drift_reason(
    state text, target_ref text, last_error text, eligible_at timestamptz
) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE $1
        WHEN 'in_sync' THEN 'on its target' || COALESCE('; a newer tag reaches its minimum age at ' || $4, '')
        WHEN 'ahead' THEN 'above the highest version upstream'
        WHEN 'unknown_baseline' THEN 'the installed commit is not known'
        WHEN 'no_upstream' THEN 'its source names no repository'
        WHEN 'unobserved' THEN 'its repository was never observed' || COALESCE(': ' || $3, '')
        WHEN 'unresolvable' THEN 'no ref or commit can have this name'
        WHEN 'ref_missing' THEN 'there is no such ref upstream'
        WHEN 'ambiguous_ref' THEN 'there is a branch and a tag of this name: name it in full, as ref:refs/heads/…'
        WHEN 'no_candidate' THEN 'no tag upstream matches' || COALESCE('; one reaches its minimum age at ' || $4, '')
        WHEN 'tag_moved' THEN format('%s points to another commit than before: held until accept_moved_tag()', $2)
        WHEN 'rollback' THEN 'the installed release was rolled back'
        ELSE format('%s is to be installed', COALESCE($2, 'the pinned commit'))
    END
$$;
COMMENT ON FUNCTION @extschema@.plugin_drift_reason(text, text, text, timestamptz) IS
    'A state of drift in words.';

CREATE VIEW @extschema@.workspace_plugin_drift AS
SELECT d.workspace_id, d.plugin_name, d.upstream, d.tracked_ref, d.state, d.installed_sha, d.target_ref, d.target_sha,
       d.since, d.eligible_at,
       q.id AS update_id,
       q.status AS update_status,
       CASE
           WHEN q.status OPERATOR(pg_catalog.=) ANY (ARRAY['dismissed', 'failed']) THEN q.hold
           WHEN q.status IS NULL AND r.state IS NOT NULL AND d.is_wanted
               THEN pg_catalog.concat_ws(': ', CASE WHEN r.state OPERATOR(pg_catalog.=) 'aborted' THEN 'the release was given up'
                                           ELSE 'the release was rolled back' END, r.reason)
           ELSE pg_catalog.concat_ws('; ', @extschema@.plugin_drift_reason(
               d.state, d.target_ref, u.last_error, d.eligible_at), q.hold,
               CASE WHEN d.is_stranded THEN 'what was installed before is not known' END,
               CASE WHEN d.next_sha IS NOT NULL
                    THEN pg_catalog.format('%s follows when this release has reached every tier', d.next_sha) END)
       END COLLATE pg_catalog."default" AS reason
FROM (
    SELECT p.workspace_id, p.plugin_name, p.upstream, p.tracked_ref,
           CASE WHEN p.upstream IS NULL THEN 'no_upstream' WHEN b.upstream IS NOT NULL THEN 'rollback' ELSE j.state END AS state,
           p.installed_sha,
           CASE WHEN b.back_sha IS NULL THEN j.ref END AS target_ref,
           COALESCE(b.back_sha, j.sha) COLLATE pg_catalog."default" AS target_sha,
           GREATEST(t.resolved_at, p.updated_at) AS since,
           t.eligible_at,
           t.next_sha,
           b.upstream IS NOT NULL AND b.back_sha IS NULL AS is_stranded,
           COALESCE(j.state OPERATOR(pg_catalog.=) ANY (ARRAY[
               'pin_mismatch', 'retarget', 'new_version', 'branch_advanced']), false) AS is_wanted
    FROM @extschema@.workspace_plugins AS p
    LEFT JOIN @extschema@.plugin_targets AS t
      ON t.upstream OPERATOR(pg_catalog.=) p.upstream AND t.tracked_ref OPERATOR(pg_catalog.=) p.tracked_ref
    LEFT JOIN LATERAL @extschema@.judge_plugin_install(t, p.installed_sha, pg_catalog.now()) AS j
      ON p.upstream IS NOT NULL
    LEFT JOIN LATERAL (
        SELECT r.upstream, @extschema@.plugin_rollback_sha(p.workspace_id, p.plugin_name, p.upstream, p.installed_sha) AS back_sha
        FROM @extschema@.plugin_rollouts AS r
        WHERE r.upstream OPERATOR(pg_catalog.=) p.upstream AND r.sha OPERATOR(pg_catalog.=) p.installed_sha
          AND r.state OPERATOR(pg_catalog.=) 'rolled_back') AS b ON true
    WHERE p.tracked_ref OPERATOR(pg_catalog.<>) 'none'
) AS d
LEFT JOIN @extschema@.plugin_upstreams AS u ON u.upstream OPERATOR(pg_catalog.=) d.upstream
LEFT JOIN @extschema@.plugin_rollouts AS r
  ON r.upstream OPERATOR(pg_catalog.=) d.upstream AND r.sha OPERATOR(pg_catalog.=) d.target_sha
 AND r.state OPERATOR(pg_catalog.=) ANY (ARRAY['aborted', 'rolled_back'])
LEFT JOIN LATERAL (
    SELECT o.id, o.status, @extschema@.plugin_update_hold(o, pg_catalog.clock_timestamp()) AS hold
    FROM (
        SELECT q.* FROM @extschema@.plugin_update_queue AS q
        WHERE q.workspace_id OPERATOR(pg_catalog.=) d.workspace_id
          AND q.plugin_name OPERATOR(pg_catalog.=) d.plugin_name
          AND q.target_sha OPERATOR(pg_catalog.=) d.target_sha
          AND q.status OPERATOR(pg_catalog.=) ANY (ARRAY['pending', 'deferred'])
        UNION ALL
        SELECT q.* FROM @extschema@.plugin_update_queue AS q
        WHERE q.workspace_id OPERATOR(pg_catalog.=) d.workspace_id
          AND q.plugin_name OPERATOR(pg_catalog.=) d.plugin_name
          AND q.status OPERATOR(pg_catalog.=) 'claimed'
        UNION ALL
        SELECT q.* FROM @extschema@.plugin_update_queue AS q
        WHERE q.workspace_id OPERATOR(pg_catalog.=) d.workspace_id
          AND q.plugin_name OPERATOR(pg_catalog.=) d.plugin_name
          AND q.target_sha OPERATOR(pg_catalog.=) d.target_sha AND q.status OPERATOR(pg_catalog.=) 'dismissed'
        UNION ALL
        SELECT q.* FROM @extschema@.plugin_update_queue AS q
        WHERE q.workspace_id OPERATOR(pg_catalog.=) d.workspace_id
          AND q.plugin_name OPERATOR(pg_catalog.=) d.plugin_name
          AND q.target_sha OPERATOR(pg_catalog.=) d.target_sha
          AND q.current_sha OPERATOR(pg_catalog.=) d.installed_sha AND q.status OPERATOR(pg_catalog.=) 'failed'
    ) AS o LIMIT 1) AS q ON true;
COMMENT ON VIEW @extschema@.workspace_plugin_drift IS
    'Every install that tracks something: how it stands to upstream, and why.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.workspace_id IS 'The workspace.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.plugin_name IS 'The plugin.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.upstream IS 'The repository; NULL where the source names none.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.tracked_ref IS 'What the install follows.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.state IS
    'in_sync, ahead; pin_mismatch, retarget, new_version, branch_advanced, rollback: queued; tag_moved: held; unknown_baseline, no_upstream, unobserved, unresolvable, ref_missing, ambiguous_ref, no_candidate: cannot be told.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.installed_sha IS 'The commit that is installed.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.target_ref IS 'The ref that is followed, in full.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.target_sha IS 'The commit that it points to.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.since IS 'Since when it is like this.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.eligible_at IS 'When the next tag reaches its minimum age.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.update_id IS 'The update that waits for it, is under way, failed or was dismissed.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.update_status IS 'Its status.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.reason IS 'The state in words, and what is missing for more.';

CREATE VIEW @extschema@.pending_plugin_updates AS
SELECT q.id, q.workspace_id, q.plugin_name, q.tracked_ref, q.kind, q.current_sha,
       q.target_sha AS latest_sha, q.target_ref, q.upstream, q.status, q.created_at, q.waiting_since,
       CASE WHEN q.rollout_tier OPERATOR(pg_catalog.<>) '' THEN q.rollout_tier END AS rollout_tier, q.due_at, q.attempts, q.last_error
FROM @extschema@.plugin_update_queue AS q
JOIN @extschema@.workspace_plugins AS p
  ON p.workspace_id OPERATOR(pg_catalog.=) q.workspace_id AND p.plugin_name OPERATOR(pg_catalog.=) q.plugin_name
 AND p.upstream OPERATOR(pg_catalog.=) q.upstream AND p.tracked_ref OPERATOR(pg_catalog.=) q.tracked_ref
WHERE q.status OPERATOR(pg_catalog.=) ANY (ARRAY['pending', 'deferred']);
COMMENT ON VIEW @extschema@.pending_plugin_updates IS 'The updates that wait, as an admin endpoint lists them.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.id IS 'The update''s id, which always means this commit.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.workspace_id IS 'The workspace.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.plugin_name IS 'The plugin.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.tracked_ref IS 'What the install follows.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.kind IS
    'pin_mismatch, retarget, new_version, branch_advanced or rollback.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.current_sha IS 'The commit that is installed.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.latest_sha IS 'The commit that is to be installed.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.target_ref IS 'Its ref; NULL for a pinned commit.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.upstream IS 'The repository.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.status IS 'pending; or deferred, where it was delivered but is not in use yet.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.created_at IS 'When this commit was first wanted.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.waiting_since IS 'When any update was first wanted, through all superseded since.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.rollout_tier IS 'The tier of its workspace; NULL: none.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.due_at IS 'Before this it is not handed out.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.attempts IS 'How many attempts failed.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.last_error IS 'Why the last one did.';

CREATE FUNCTION @extschema@.plugin_install_count(tracked boolean, OUT installs bigint, OUT is_estimate boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source constant regclass := CASE WHEN tracked
        THEN '@extschema@.workspace_plugins_subscription_idx'::regclass
        ELSE '@extschema@.workspace_plugins'::regclass END;
BEGIN
    -- Where counting would take long, the server's own estimate, which vacuum and analyze keep.
    SELECT c.reltuples::bigint INTO installs FROM pg_class AS c WHERE c.oid = source AND c.reltuples >= 0;
    is_estimate := installs IS NOT NULL
        AND pg_relation_size('@extschema@.workspace_plugins'::regclass) > 16 * 1024 * 1024;
    IF NOT is_estimate THEN
        SELECT count(*) INTO installs FROM @extschema@.workspace_plugins AS p
        WHERE NOT plugin_install_count.tracked OR p.tracked_ref <> 'none';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.plugin_install_count(boolean) IS
    'The number of installs, or of those that track something; estimated for a table of more than 16 MB.';

CREATE FUNCTION @extschema@.plugin_drift_counts()
    RETURNS TABLE (state text, installs bigint)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- Only what differs from its target is looked at.
    WITH subscription AS MATERIALIZED (
        SELECT s.upstream, s.tracked_ref, t.sha
        FROM @extschema@.plugin_subscriptions() AS s
        LEFT JOIN @extschema@.plugin_targets AS t ON t.upstream = s.upstream AND t.tracked_ref = s.tracked_ref
        WHERE t.sha IS NULL OR (s.lowest_sha, s.highest_sha) IS DISTINCT FROM (t.sha::text, t.sha::text)
           OR EXISTS (SELECT FROM @extschema@.plugin_rollouts AS r
                      WHERE r.upstream = s.upstream AND r.sha = t.sha AND r.state = 'rolled_back')
    ), differing AS (
        SELECT s.upstream, s.tracked_ref, p.installed_sha, p.installs
        FROM subscription AS s
        CROSS JOIN LATERAL (
            SELECT p.installed_sha, count(*) AS installs
            FROM @extschema@.workspace_plugins AS p
            WHERE p.tracked_ref <> 'none' AND p.upstream = s.upstream AND p.tracked_ref = s.tracked_ref
            GROUP BY p.installed_sha) AS p
        UNION ALL
        SELECT NULL, p.tracked_ref, NULL, count(*)
        FROM @extschema@.workspace_plugins AS p
        WHERE p.tracked_ref <> 'none' AND p.upstream IS NULL
        GROUP BY p.tracked_ref
    )
    SELECT CASE WHEN d.upstream IS NULL THEN 'no_upstream' WHEN r.sha IS NOT NULL THEN 'rollback' ELSE j.state END,
           sum(d.installs)::bigint
    FROM differing AS d
    LEFT JOIN @extschema@.plugin_targets AS t ON t.upstream = d.upstream AND t.tracked_ref = d.tracked_ref
    LEFT JOIN @extschema@.plugin_rollouts AS r
      ON r.upstream = d.upstream AND r.sha = d.installed_sha AND r.state = 'rolled_back'
    CROSS JOIN LATERAL @extschema@.judge_plugin_install(t, d.installed_sha, now()) AS j
    WHERE d.upstream IS NULL OR r.sha IS NOT NULL OR j.state <> 'in_sync'
    GROUP BY 1
$$;
COMMENT ON FUNCTION @extschema@.plugin_drift_counts() IS
    'The number of installs in each state of drift but in_sync.';

CREATE VIEW @extschema@.plugin_tracking_health AS
SELECT i.installs,
       t.installs AS tracked,
       i.is_estimate OR t.is_estimate AS is_estimate,
       GREATEST(t.installs OPERATOR(pg_catalog.-) COALESCE(c.differing, 0), 0) AS in_sync,
       COALESCE(c.drifted, 0) AS drifted,
       COALESCE(c.held, 0) AS held,
       COALESCE(c.unresolvable, 0) AS unresolvable,
       COALESCE(c.by_state, '{}') AS by_state,
       u.upstreams, u.never_observed, u.failing, u.oldest_observation_at,
       (SELECT pg_catalog.count(*) FROM @extschema@.plugin_update_queue AS q
        WHERE q.status OPERATOR(pg_catalog.=) ANY (ARRAY['pending', 'deferred'])) AS pending_updates,
       EXISTS (SELECT FROM @extschema@.workspace_plugins AS p WHERE p.tracked_ref OPERATOR(pg_catalog.<>) 'none')
       AND NOT EXISTS (
           SELECT FROM @extschema@.plugin_targets AS e
           JOIN @extschema@.workspace_plugins AS p
             ON p.upstream OPERATOR(pg_catalog.=) e.upstream AND p.tracked_ref OPERATOR(pg_catalog.=) e.tracked_ref
           WHERE e.state OPERATOR(pg_catalog.=) 'resolved' AND p.installed_sha IS NOT NULL) AS vacuous,
       (SELECT pg_catalog.count(*) FROM @extschema@.plugin_update_queue AS q
        WHERE q.status OPERATOR(pg_catalog.=) 'claimed') AS claimed_updates,
       (SELECT pg_catalog.count(*) FROM @extschema@.plugin_update_queue AS q
        WHERE q.status OPERATOR(pg_catalog.=) 'failed') AS failed_updates,
       (SELECT pg_catalog.count(*) FROM @extschema@.plugin_rollouts AS r
        WHERE r.state OPERATOR(pg_catalog.=) 'paused' AND r.state OPERATOR(pg_catalog.<>) 'active') AS paused_rollouts
FROM @extschema@.plugin_install_count(false) AS i
CROSS JOIN @extschema@.plugin_install_count(true) AS t
CROSS JOIN (
    SELECT pg_catalog.sum(d.installs)::bigint AS differing,
           (pg_catalog.sum(d.installs) FILTER (WHERE d.state OPERATOR(pg_catalog.=) ANY (ARRAY[
               'pin_mismatch', 'retarget', 'new_version', 'branch_advanced', 'rollback'])))::bigint AS drifted,
           (pg_catalog.sum(d.installs) FILTER (WHERE d.state OPERATOR(pg_catalog.=) 'tag_moved'))::bigint AS held,
           (pg_catalog.sum(d.installs) FILTER (WHERE d.state OPERATOR(pg_catalog.=) ANY (ARRAY[
               'unknown_baseline', 'no_upstream', 'unobserved', 'unresolvable', 'ref_missing',
               'ambiguous_ref', 'no_candidate'])))::bigint AS unresolvable,
           pg_catalog.jsonb_object_agg(d.state, d.installs) AS by_state
    FROM @extschema@.plugin_drift_counts() AS d
) AS c
CROSS JOIN (
    SELECT pg_catalog.count(*) AS upstreams,
           pg_catalog.count(*) FILTER (WHERE p.last_checked_at IS NULL) AS never_observed,
           pg_catalog.count(*) FILTER (WHERE p.failures OPERATOR(pg_catalog.>) 0) AS failing,
           pg_catalog.min(p.last_checked_at) AS oldest_observation_at
    FROM @extschema@.plugin_upstreams AS p
    WHERE p.next_check_at OPERATOR(pg_catalog.<) 'infinity'
) AS u;
COMMENT ON VIEW @extschema@.plugin_tracking_health IS
    'One row: is anything tracked, and how does it stand? A tracker that tracks nothing is vacuous.';
COMMENT ON COLUMN @extschema@.plugin_tracking_health.installs IS 'All installs.';
COMMENT ON COLUMN @extschema@.plugin_tracking_health.tracked IS 'Those that track something.';
COMMENT ON COLUMN @extschema@.plugin_tracking_health.is_estimate IS
    'Whether installs, tracked and in_sync are the server''s estimates, as they are for large tables.';
COMMENT ON COLUMN @extschema@.plugin_tracking_health.in_sync IS 'On their target.';
COMMENT ON COLUMN @extschema@.plugin_tracking_health.drifted IS 'For which an update is wanted.';
COMMENT ON COLUMN @extschema@.plugin_tracking_health.held IS 'Held because a tag moved.';
COMMENT ON COLUMN @extschema@.plugin_tracking_health.unresolvable IS 'Of which it cannot be told how they stand.';
COMMENT ON COLUMN @extschema@.plugin_tracking_health.by_state IS 'The number in each state but in_sync.';
COMMENT ON COLUMN @extschema@.plugin_tracking_health.upstreams IS 'Repositories that are looked at.';
COMMENT ON COLUMN @extschema@.plugin_tracking_health.never_observed IS 'Those never observed.';
COMMENT ON COLUMN @extschema@.plugin_tracking_health.failing IS 'Those whose last attempt failed.';
COMMENT ON COLUMN @extschema@.plugin_tracking_health.oldest_observation_at IS 'The oldest of their last observations.';
COMMENT ON COLUMN @extschema@.plugin_tracking_health.pending_updates IS 'Updates that wait.';
COMMENT ON COLUMN @extschema@.plugin_tracking_health.vacuous IS
    'Something tracks, yet nothing can drift: every tracked install is unresolved or of unknown commit.';
COMMENT ON COLUMN @extschema@.plugin_tracking_health.claimed_updates IS 'Updates that are under way.';
COMMENT ON COLUMN @extschema@.plugin_tracking_health.failed_updates IS 'Updates that failed for good.';
COMMENT ON COLUMN @extschema@.plugin_tracking_health.paused_rollouts IS 'Releases that are paused.';

REVOKE ALL ON FUNCTION @extschema@.track_plugin_upstream(text, @extschema@.tracked_ref, text, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.settle_plugin_installs(uuid[], text[], timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.forget_plugin_targets() FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.detect_plugin_drift(timestamptz) FROM PUBLIC;
