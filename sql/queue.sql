-- The updates that are wanted: a cache of drift, derived from what is installed, what it tracks and
-- what upstream has.

CREATE TABLE @extschema@.plugin_update_queue (
    id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
    workspace_id uuid NOT NULL,
    plugin_name text COLLATE pg_catalog."C" NOT NULL,
    upstream text COLLATE pg_catalog."C" NOT NULL,
    tracked_ref @extschema@.tracked_ref NOT NULL,
    kind text NOT NULL,
    current_sha @extschema@.commit_sha NOT NULL,
    target_ref text COLLATE pg_catalog."C",
    target_sha @extschema@.commit_sha NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    reason text,
    created_at timestamptz NOT NULL,
    waiting_since timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT plugin_update_queue_pkey PRIMARY KEY (id, workspace_id),
    CONSTRAINT plugin_update_queue_kind_check CHECK (kind OPERATOR(pg_catalog.=) ANY (ARRAY[
        'pin_mismatch', 'retarget', 'new_version', 'branch_advanced'])),
    CONSTRAINT plugin_update_queue_status_check CHECK (status OPERATOR(pg_catalog.=) ANY (ARRAY[
        'pending', 'claimed', 'applied', 'deferred', 'failed', 'dismissed', 'superseded', 'cancelled'])),
    CONSTRAINT plugin_update_queue_finished_check CHECK (
        (status OPERATOR(pg_catalog.=) ANY (ARRAY['pending', 'claimed', 'deferred']))
        OPERATOR(pg_catalog.=) (finished_at IS NULL))
);
CREATE UNIQUE INDEX plugin_update_queue_pending_key
    ON @extschema@.plugin_update_queue (workspace_id, plugin_name)
    WHERE status OPERATOR(pg_catalog.=) 'pending';
CREATE UNIQUE INDEX plugin_update_queue_claimed_key
    ON @extschema@.plugin_update_queue (workspace_id, plugin_name)
    WHERE status OPERATOR(pg_catalog.=) 'claimed';
CREATE UNIQUE INDEX plugin_update_queue_dismissed_key
    ON @extschema@.plugin_update_queue (workspace_id, plugin_name, target_sha)
    WHERE status OPERATOR(pg_catalog.=) 'dismissed';
CREATE INDEX plugin_update_queue_subscription_idx
    ON @extschema@.plugin_update_queue (upstream, tracked_ref)
    WHERE status OPERATOR(pg_catalog.=) 'pending';
CREATE INDEX plugin_update_queue_finished_at_idx
    ON @extschema@.plugin_update_queue (finished_at) WHERE finished_at IS NOT NULL;
COMMENT ON TABLE @extschema@.plugin_update_queue IS
    'The updates that are wanted, and what became of those that were. An id always means one commit.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.id IS 'The update''s id.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.workspace_id IS 'Where.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.plugin_name IS 'Which plugin.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.upstream IS 'From which repository.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.tracked_ref IS 'What the install follows.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.kind IS
    'Why: pin_mismatch, retarget, new_version or branch_advanced.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.current_sha IS 'The commit that is installed.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.target_ref IS 'The ref that is to be installed; NULL for a pinned commit.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.target_sha IS 'The commit that is to be installed.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.status IS
    'pending, claimed, applied, deferred, failed, dismissed, superseded or cancelled.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.reason IS 'Why it ended as it did.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.created_at IS 'When this commit was first wanted.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.waiting_since IS
    'When any update was first wanted, through all that were superseded since.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.finished_at IS 'When it ended; NULL while it is open.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.plugin_update_queue'::pg_catalog.regclass, '');

CREATE FUNCTION @extschema@.plugin_update_end_reason(
    ended @extschema@.plugin_update_queue, at timestamptz
) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT COALESCE((
        SELECT CASE
                   WHEN p.tracked_ref = 'none' THEN 'no longer tracked'
                   WHEN p.upstream IS DISTINCT FROM ended.upstream THEN 'installed from another source'
                   ELSE (SELECT CASE j.state
                                    WHEN 'in_sync' THEN 'converged'
                                    ELSE j.state END
                         FROM @extschema@.judge_plugin_install(t, p.installed_sha, at) AS j)
               END
        FROM @extschema@.workspace_plugins AS p
        LEFT JOIN @extschema@.plugin_targets AS t
          ON t.upstream = p.upstream AND t.tracked_ref = p.tracked_ref
        WHERE p.workspace_id = ended.workspace_id AND p.plugin_name = ended.plugin_name),
        'uninstalled')
$$;
COMMENT ON FUNCTION @extschema@.plugin_update_end_reason(@extschema@.plugin_update_queue, timestamptz) IS
    'Why an update is no longer wanted.';

-- Brings the queue to what is wanted, for the installs of one subscription, or for those named.
-- Whoever calls it holds the locks of the subscriptions.
CREATE FUNCTION @extschema@.derive_plugin_updates(
    upstream text, tracked @extschema@.tracked_ref, workspaces uuid[], plugins text[], at timestamptz,
    OUT queued bigint, OUT superseded bigint, OUT cancelled bigint
)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    -- One generic plan cannot suit one install and a hundred thousand.
    SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    WITH named AS (
        SELECT n.workspace_id, n.plugin_name
        FROM ROWS FROM (unnest(workspaces), unnest(plugins)) AS n (workspace_id, plugin_name)
    ), subscribed AS (
        SELECT t.* FROM @extschema@.plugin_targets AS t
        WHERE t.upstream = derive_plugin_updates.upstream AND t.tracked_ref = tracked
    ), differing AS NOT MATERIALIZED (
        -- Two ranges of the index: what is on the target already is never looked at.
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
    ), wanted AS MATERIALIZED (
        -- Full joins here and below, for those are never nested loops, whatever the planner expects
        -- of tables that nobody has analyzed.
        SELECT d.workspace_id, d.plugin_name, d.upstream, d.tracked_ref, j.state, d.installed_sha, j.ref, j.sha
        FROM differing AS d
        FULL JOIN judged AS j ON j.upstream = d.upstream AND j.tracked_ref = d.tracked_ref
                             AND j.installed_sha = d.installed_sha
        WHERE COALESCE(j.state, '') IN ('pin_mismatch', 'retarget', 'new_version', 'branch_advanced')
          AND (NOT EXISTS (SELECT FROM @extschema@.plugin_update_queue AS q WHERE q.status = 'dismissed')
               OR NOT EXISTS (
                   SELECT FROM @extschema@.plugin_update_queue AS q
                   WHERE q.workspace_id = d.workspace_id AND q.plugin_name = d.plugin_name
                     AND q.target_sha = j.sha AND q.status = 'dismissed'))
          AND (NOT EXISTS (SELECT FROM @extschema@.plugin_update_queue AS q WHERE q.status = 'claimed')
               OR NOT EXISTS (
                   SELECT FROM @extschema@.plugin_update_queue AS q
                   WHERE q.workspace_id = d.workspace_id AND q.plugin_name = d.plugin_name
                     AND q.target_sha = j.sha AND q.status = 'claimed'))
    ), open AS (
        SELECT q.id, q.workspace_id, q.plugin_name, q.target_sha, q.waiting_since
        FROM @extschema@.plugin_update_queue AS q
        WHERE q.status = 'pending' AND q.upstream = derive_plugin_updates.upstream AND q.tracked_ref = tracked
        UNION
        SELECT q.id, q.workspace_id, q.plugin_name, q.target_sha, q.waiting_since
        FROM @extschema@.plugin_update_queue AS q
        JOIN named AS n ON n.workspace_id = q.workspace_id AND n.plugin_name = q.plugin_name
        WHERE q.status = 'pending'
        UNION
        SELECT q.id, q.workspace_id, q.plugin_name, q.target_sha, q.waiting_since
        FROM @extschema@.plugin_update_queue AS q
        JOIN wanted AS w ON w.workspace_id = q.workspace_id AND w.plugin_name = q.plugin_name
        WHERE q.status = 'pending'
    ), step AS MATERIALIZED (
        SELECT w.*, o.id AS open_id, o.workspace_id AS open_workspace_id, o.target_sha AS open_sha, o.waiting_since
        FROM wanted AS w
        FULL JOIN open AS o ON o.workspace_id = w.workspace_id AND o.plugin_name = w.plugin_name
    ), ended AS (
        UPDATE @extschema@.plugin_update_queue AS q
        SET status = CASE WHEN s.sha IS NULL THEN 'cancelled' ELSE 'superseded' END,
            reason = CASE WHEN s.sha IS NOT NULL THEN 'upstream moved to ' || s.sha
                          ELSE @extschema@.plugin_update_end_reason(q, at) END,
            finished_at = at
        FROM step AS s
        WHERE q.id = s.open_id AND q.workspace_id = s.open_workspace_id AND q.status = 'pending'
          AND s.sha IS DISTINCT FROM s.open_sha
        RETURNING q.status
    ), refreshed AS (
        UPDATE @extschema@.plugin_update_queue AS q
        SET upstream = s.upstream, tracked_ref = s.tracked_ref, kind = s.state,
            current_sha = s.installed_sha, target_ref = s.ref
        FROM step AS s
        WHERE q.id = s.open_id AND q.workspace_id = s.open_workspace_id AND q.status = 'pending'
          AND s.sha = s.open_sha
          AND (q.upstream, q.tracked_ref, q.kind, q.current_sha, q.target_ref)
              IS DISTINCT FROM (s.upstream, s.tracked_ref, s.state, s.installed_sha, s.ref)
        RETURNING 1
    ), added AS (
        -- Counting what has ended makes this wait for it: the unique index takes one row only.
        INSERT INTO @extschema@.plugin_update_queue
            (workspace_id, plugin_name, upstream, tracked_ref, kind, current_sha, target_ref, target_sha,
             created_at, waiting_since)
        SELECT s.workspace_id, s.plugin_name, s.upstream, s.tracked_ref, s.state, s.installed_sha,
               s.ref, s.sha, at, COALESCE(s.waiting_since, at)
        FROM step AS s
        WHERE s.sha IS NOT NULL AND s.sha IS DISTINCT FROM s.open_sha AND (SELECT count(*) FROM ended) >= 0
        ON CONFLICT (workspace_id, plugin_name) WHERE status = 'pending' DO NOTHING
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM added),
           (SELECT count(*) FROM ended AS e WHERE e.status = 'superseded'),
           (SELECT count(*) FROM ended AS e WHERE e.status = 'cancelled')
    INTO queued, superseded, cancelled;
END
$$;
COMMENT ON FUNCTION @extschema@.derive_plugin_updates(text, @extschema@.tracked_ref, uuid[], text[], timestamptz) IS
    'Brings the queue to what is wanted, for the installs of one subscription or for those named. The caller holds the locks of the subscriptions.';

CREATE FUNCTION @extschema@.cancel_removed_plugin_updates() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- An observation that is under way may be adding one.
    PERFORM FROM @extschema@.plugin_upstreams AS u
    WHERE u.upstream IN (SELECT r.upstream FROM removed AS r WHERE r.tracked_ref <> 'none')
    ORDER BY u.upstream FOR SHARE;
    UPDATE @extschema@.plugin_update_queue AS q
    SET status = 'cancelled', reason = 'uninstalled', finished_at = clock_timestamp()
    FROM removed AS r
    WHERE q.workspace_id = r.workspace_id AND q.plugin_name = r.plugin_name AND q.status = 'pending';
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@.cancel_removed_plugin_updates() IS
    'Trigger: what is removed, by whatever way, has no update waiting.';
CREATE TRIGGER workspace_plugins_removed AFTER DELETE ON @extschema@.workspace_plugins
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT
    EXECUTE FUNCTION @extschema@.cancel_removed_plugin_updates();

CREATE FUNCTION @extschema@.cancel_resourced_plugin_updates() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- An observation of the repository that it came from may be under way.
    PERFORM FROM @extschema@.plugin_upstreams AS u WHERE u.upstream = OLD.upstream FOR SHARE;
    UPDATE @extschema@.plugin_update_queue AS q
    SET status = 'cancelled', finished_at = clock_timestamp(),
        reason = CASE NEW.tracked_ref WHEN 'none' THEN 'no longer tracked' ELSE 'installed from another source' END
    WHERE q.workspace_id = OLD.workspace_id AND q.plugin_name = OLD.plugin_name AND q.status = 'pending'
      AND q.upstream = OLD.upstream;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@.cancel_resourced_plugin_updates() IS
    'Trigger: what is installed from another repository has no update waiting from the one before.';
CREATE TRIGGER workspace_plugins_resourced AFTER UPDATE ON @extschema@.workspace_plugins
    FOR EACH ROW WHEN (OLD.upstream IS NOT NULL AND OLD.tracked_ref OPERATOR(pg_catalog.<>) 'none'
        AND (NEW.upstream IS NULL OR NEW.upstream OPERATOR(pg_catalog.<>) OLD.upstream
             OR NEW.tracked_ref OPERATOR(pg_catalog.=) 'none'))
    EXECUTE FUNCTION @extschema@.cancel_resourced_plugin_updates();

CREATE FUNCTION @extschema@.rename_plugin_updates() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- What is left of an earlier workspace of this id.
    UPDATE @extschema@.plugin_update_queue AS q
    SET status = 'cancelled', reason = 'uninstalled'
    WHERE q.workspace_id = NEW.workspace_id AND q.status = 'dismissed';
    UPDATE @extschema@.plugin_update_queue AS q
    SET workspace_id = NEW.workspace_id
    WHERE q.workspace_id = OLD.workspace_id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@.rename_plugin_updates() IS
    'Trigger: updates follow their workspace when its id changes.';
CREATE TRIGGER plugin_workspaces_renamed AFTER UPDATE ON @extschema@.plugin_workspaces
    FOR EACH ROW WHEN (OLD.workspace_id OPERATOR(pg_catalog.<>) NEW.workspace_id)
    EXECUTE FUNCTION @extschema@.rename_plugin_updates();

CREATE FUNCTION @extschema@.dismiss_plugin_update(id uuid, reason text) RETURNS boolean
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- Not while an observation is looking at it.
    SELECT FROM @extschema@.plugin_upstreams AS u
    WHERE u.upstream = (SELECT q.upstream FROM @extschema@.plugin_update_queue AS q WHERE q.id = $1) FOR SHARE;
    WITH dismissed AS (
        UPDATE @extschema@.plugin_update_queue AS q
        SET status = 'dismissed', reason = $2, finished_at = clock_timestamp()
        WHERE q.id = $1 AND q.status = 'pending'
        RETURNING 1
    )
    SELECT EXISTS (SELECT FROM dismissed)
$$;
COMMENT ON FUNCTION @extschema@.dismiss_plugin_update(uuid, text) IS
    'Puts a waiting update aside. It sticks for that commit: only another commit is wanted again. False where the update is not waiting.';

CREATE FUNCTION @extschema@.prune_plugin_updates(older_than interval) RETURNS bigint
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- What was dismissed stays while its plugin is installed: it would be wanted again.
    WITH pruned AS (
        DELETE FROM @extschema@.plugin_update_queue AS q
        WHERE q.finished_at < clock_timestamp() - $1
          AND (q.status <> 'dismissed' OR NOT EXISTS (
              SELECT FROM @extschema@.workspace_plugins AS p
              WHERE p.workspace_id = q.workspace_id AND p.plugin_name = q.plugin_name))
        RETURNING 1
    )
    SELECT count(*) FROM pruned
$$;
COMMENT ON FUNCTION @extschema@.prune_plugin_updates(interval) IS
    'Deletes what ended longer ago than that, and gives the number. Dismissals stay while they matter.';

REVOKE ALL ON FUNCTION @extschema@.derive_plugin_updates(text, @extschema@.tracked_ref, uuid[], text[], timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.cancel_removed_plugin_updates() FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.cancel_resourced_plugin_updates() FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.rename_plugin_updates() FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.dismiss_plugin_update(uuid, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.prune_plugin_updates(interval) FROM PUBLIC;
