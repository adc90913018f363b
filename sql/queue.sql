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
    rollout_tier text COLLATE pg_catalog."C" NOT NULL DEFAULT '',
    due_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    claimed_by text,
    claimed_at timestamptz,
    claim_token uuid,
    leased_until timestamptz,
    is_outdated boolean NOT NULL DEFAULT false,
    CONSTRAINT plugin_update_queue_pkey PRIMARY KEY (id, workspace_id),
    CONSTRAINT plugin_update_queue_kind_check CHECK (kind OPERATOR(pg_catalog.=) ANY (ARRAY[
        'pin_mismatch', 'retarget', 'new_version', 'branch_advanced', 'rollback'])),
    CONSTRAINT plugin_update_queue_status_check CHECK (status OPERATOR(pg_catalog.=) ANY (ARRAY[
        'pending', 'claimed', 'applied', 'deferred', 'failed', 'dismissed', 'superseded', 'cancelled'])),
    CONSTRAINT plugin_update_queue_finished_check CHECK (
        (status OPERATOR(pg_catalog.=) ANY (ARRAY['pending', 'claimed', 'deferred']))
        OPERATOR(pg_catalog.=) (finished_at IS NULL)),
    CONSTRAINT plugin_update_queue_claimed_check CHECK (
        (status OPERATOR(pg_catalog.=) 'claimed')
            OPERATOR(pg_catalog.=) (claim_token IS NOT NULL AND leased_until IS NOT NULL))
);
-- What waits, and what is under way: one each for an install.
CREATE UNIQUE INDEX plugin_update_queue_pending_key
    ON @extschema@.plugin_update_queue (workspace_id, plugin_name)
    WHERE status OPERATOR(pg_catalog.=) ANY (ARRAY['pending', 'deferred']);
CREATE UNIQUE INDEX plugin_update_queue_claimed_key
    ON @extschema@.plugin_update_queue (workspace_id, plugin_name)
    WHERE status OPERATOR(pg_catalog.=) 'claimed';
-- The verdicts that stick.
CREATE UNIQUE INDEX plugin_update_queue_dismissed_key
    ON @extschema@.plugin_update_queue (workspace_id, plugin_name, target_sha)
    WHERE status OPERATOR(pg_catalog.=) 'dismissed';
CREATE INDEX plugin_update_queue_failed_idx
    ON @extschema@.plugin_update_queue (workspace_id, plugin_name, target_sha)
    WHERE status OPERATOR(pg_catalog.=) 'failed';
-- What a claim reads, lane by lane, and what is left to do in a lane.
CREATE INDEX plugin_update_queue_lane_idx
    ON @extschema@.plugin_update_queue (upstream, target_sha, rollout_tier, due_at)
    WHERE status OPERATOR(pg_catalog.=) ANY (ARRAY['pending', 'deferred']);
-- Two that are not to be read, from end to end, for what is under way of one install, as statistics of a
-- quiet hour would have it: who asks for that has no upstream and no lease.
-- What became of a lane's updates, and when.
CREATE INDEX plugin_update_queue_outcome_idx
    ON @extschema@.plugin_update_queue (upstream, target_sha, rollout_tier, status, finished_at)
    WHERE status OPERATOR(pg_catalog.=) ANY (ARRAY['claimed', 'applied', 'failed']) AND upstream IS NOT NULL;
-- What is under way in a tier, and whose lease has run out.
CREATE INDEX plugin_update_queue_lease_idx
    ON @extschema@.plugin_update_queue (rollout_tier, leased_until)
    WHERE leased_until IS NOT NULL;
COMMENT ON TABLE @extschema@.plugin_update_queue IS
    'The updates that are wanted, and what became of those that were. An id always means one commit.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.id IS 'The update''s id.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.workspace_id IS 'Where.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.plugin_name IS 'Which plugin.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.upstream IS 'From which repository.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.tracked_ref IS 'What the install follows.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.kind IS
    'Why: pin_mismatch, retarget, new_version, branch_advanced or rollback.';
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
COMMENT ON COLUMN @extschema@.plugin_update_queue.rollout_tier IS
    'The tier that its workspace is in; empty: none.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.due_at IS 'Before this it is not handed out.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.attempts IS
    'How many attempts have failed; a lease that ran out counts as one.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.last_error IS 'Why the last attempt failed.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.claimed_by IS 'The worker that it was handed to last.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.claimed_at IS 'When.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.claim_token IS
    'What proves that a worker is the one that it was handed to; NULL unless it is claimed.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.leased_until IS
    'Until when the worker may take; NULL unless it is claimed.';
COMMENT ON COLUMN @extschema@.plugin_update_queue.is_outdated IS
    'It is claimed, but something else is wanted by now.';

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
                                    ELSE COALESCE(r.state, j.state) END
                         FROM @extschema@.judge_plugin_install(t, p.installed_sha, at) AS j)
               END
        FROM @extschema@.workspace_plugins AS p
        LEFT JOIN @extschema@.plugin_targets AS t
          ON t.upstream = p.upstream AND t.tracked_ref = p.tracked_ref
        LEFT JOIN @extschema@.plugin_rollouts AS r
          ON r.upstream = ended.upstream AND r.sha = ended.target_sha AND r.state IN ('aborted', 'rolled_back')
        WHERE p.workspace_id = ended.workspace_id AND p.plugin_name = ended.plugin_name),
        'uninstalled')
$$;
COMMENT ON FUNCTION @extschema@.plugin_update_end_reason(@extschema@.plugin_update_queue, timestamptz) IS
    'Why an update is no longer wanted.';

CREATE FUNCTION @extschema@.cancel_removed_plugin_updates() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    upstreams text[];
    shas text[];
BEGIN
    -- An observation that is under way may be adding one.
    PERFORM FROM @extschema@.plugin_upstreams AS u
    WHERE u.upstream IN (SELECT r.upstream FROM removed AS r WHERE r.tracked_ref <> 'none')
    ORDER BY u.upstream FOR SHARE;
    -- What is under way as well: its worker no longer owns it.
    WITH ended AS (
        UPDATE @extschema@.plugin_update_queue AS q
        SET status = 'cancelled', reason = 'uninstalled', finished_at = clock_timestamp(),
            claim_token = NULL, leased_until = NULL
        FROM removed AS r
        WHERE q.workspace_id = r.workspace_id AND q.plugin_name = r.plugin_name
          AND q.status IN ('pending', 'deferred', 'claimed')
        RETURNING q.upstream, q.target_sha::text
    )
    SELECT array_agg(e.upstream), array_agg(e.target_sha) INTO upstreams, shas FROM ended AS e;
    PERFORM @extschema@.arm_plugin_rollouts(upstreams, shas);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@.cancel_removed_plugin_updates() IS
    'Trigger: what is removed, by whatever way, has no update waiting, nor under way.';
CREATE TRIGGER workspace_plugins_removed AFTER DELETE ON @extschema@.workspace_plugins
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT
    EXECUTE FUNCTION @extschema@.cancel_removed_plugin_updates();

CREATE FUNCTION @extschema@.cancel_resourced_plugin_updates() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    upstreams text[];
    shas text[];
BEGIN
    -- A change of the workspace's tier may be under way, as for what is new to it by its foreign key.
    PERFORM FROM @extschema@.plugin_workspaces AS w WHERE w.workspace_id = NEW.workspace_id FOR KEY SHARE;
    -- An observation of the repository that it came from may be under way.
    PERFORM FROM @extschema@.plugin_upstreams AS u WHERE u.upstream = OLD.upstream FOR SHARE;
    WITH ended AS (
        UPDATE @extschema@.plugin_update_queue AS q
        SET status = 'cancelled', finished_at = clock_timestamp(), claim_token = NULL, leased_until = NULL,
            reason = CASE NEW.tracked_ref WHEN 'none' THEN 'no longer tracked' ELSE 'installed from another source' END
        WHERE q.workspace_id = OLD.workspace_id AND q.plugin_name = OLD.plugin_name
          AND q.status IN ('pending', 'deferred', 'claimed') AND q.upstream = OLD.upstream
        RETURNING q.upstream, q.target_sha::text
    )
    SELECT array_agg(e.upstream), array_agg(e.target_sha) INTO upstreams, shas FROM ended AS e;
    PERFORM @extschema@.arm_plugin_rollouts(upstreams, shas);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@.cancel_resourced_plugin_updates() IS
    'Trigger: what is installed from another repository has no update waiting from the one before, nor under way.';
CREATE TRIGGER workspace_plugins_resourced AFTER UPDATE ON @extschema@.workspace_plugins
    FOR EACH ROW WHEN (COALESCE(OLD.upstream, '') OPERATOR(pg_catalog.<>) COALESCE(NEW.upstream, '')
        OR (OLD.tracked_ref OPERATOR(pg_catalog.=) 'none')
           OPERATOR(pg_catalog.<>) (NEW.tracked_ref OPERATOR(pg_catalog.=) 'none'))
    EXECUTE FUNCTION @extschema@.cancel_resourced_plugin_updates();

CREATE FUNCTION @extschema@.rename_plugin_updates() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- What is left of an earlier workspace of this id.
    UPDATE @extschema@.plugin_update_queue AS q
    SET status = 'cancelled', reason = 'uninstalled'
    WHERE q.workspace_id = NEW.workspace_id AND q.status IN ('dismissed', 'failed');
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
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    dismissed record;
BEGIN
    -- Not while an observation is looking at it.
    PERFORM FROM @extschema@.plugin_upstreams AS u
    WHERE u.upstream = (
        SELECT q.upstream FROM @extschema@.plugin_update_queue AS q WHERE q.id = dismiss_plugin_update.id) FOR SHARE;
    UPDATE @extschema@.plugin_update_queue AS q
    SET status = 'dismissed', reason = dismiss_plugin_update.reason, finished_at = clock_timestamp()
    WHERE q.id = dismiss_plugin_update.id AND q.status IN ('pending', 'deferred')
    RETURNING q.upstream, q.target_sha::text INTO dismissed;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM @extschema@.arm_plugin_rollouts(ARRAY[dismissed.upstream], ARRAY[dismissed.target_sha]);
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@.dismiss_plugin_update(uuid, text) IS
    'Puts a waiting update aside. It sticks for that commit: only another commit is wanted again. False where the update is not waiting.';

CREATE FUNCTION @extschema@.retry_plugin_update(id uuid, at timestamptz DEFAULT pg_catalog.clock_timestamp())
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    retried record;
BEGIN
    -- The locks of recording it again: whoever does so sees what is queued here, or has been seen.
    PERFORM FROM @extschema@.plugin_upstreams AS u
    WHERE u.upstream = (
        SELECT p.upstream FROM @extschema@.plugin_update_queue AS q
        JOIN @extschema@.workspace_plugins AS p
          ON p.workspace_id = q.workspace_id AND p.plugin_name = q.plugin_name
        WHERE q.id = retry_plugin_update.id) FOR SHARE;
    PERFORM FROM @extschema@.workspace_plugins AS p
    WHERE (p.workspace_id, p.plugin_name) = (
        SELECT q.workspace_id, q.plugin_name FROM @extschema@.plugin_update_queue AS q
        WHERE q.id = retry_plugin_update.id) FOR NO KEY UPDATE;
    UPDATE @extschema@.plugin_update_queue AS q
    SET status = 'cancelled', reason = 'retried'
    WHERE q.id = retry_plugin_update.id AND q.status IN ('failed', 'dismissed')
    RETURNING q.workspace_id, q.plugin_name INTO retried;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM @extschema@.settle_plugin_installs(
        ARRAY[retried.workspace_id], ARRAY[retried.plugin_name], retry_plugin_update.at);
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@.retry_plugin_update(uuid, timestamptz) IS
    'Takes back that an update failed, or was dismissed: where it is still wanted it waits anew, under another id. False where it is neither.';

CREATE FUNCTION @extschema@.prune_plugin_updates(older_than interval) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cutoff constant timestamptz := clock_timestamp() - older_than;
    pruned bigint;
    upstreams text[];
    shas text[];
BEGIN
    -- What was dismissed or failed stays while its plugin is installed: it would be wanted again. What
    -- became of a release is known while anything of it is left to do, and what an install had before a
    -- release that was rolled back while it has that.
    DELETE FROM @extschema@.plugin_update_queue AS q
    WHERE q.finished_at < cutoff
      AND (q.status NOT IN ('dismissed', 'failed') OR NOT EXISTS (
          SELECT FROM @extschema@.workspace_plugins AS p
          WHERE p.workspace_id = q.workspace_id AND p.plugin_name = q.plugin_name))
      AND (q.status NOT IN ('applied', 'failed') OR NOT EXISTS (
          SELECT FROM @extschema@.plugin_update_queue AS o
          WHERE o.upstream = q.upstream AND o.target_sha = q.target_sha
            AND o.status IN ('pending', 'deferred', 'claimed')))
      AND (q.status <> 'applied' OR NOT EXISTS (
          SELECT FROM @extschema@.plugin_rollouts AS r
          JOIN @extschema@.workspace_plugins AS p ON p.upstream = r.upstream AND p.installed_sha = r.sha
          WHERE r.upstream = q.upstream AND r.sha = q.target_sha AND r.state = 'rolled_back'
            AND p.workspace_id = q.workspace_id AND p.plugin_name = q.plugin_name));
    GET DIAGNOSTICS pruned = ROW_COUNT;
    -- Locked first, then looked at, and only what is locked: an update may be joining another.
    SELECT array_agg(l.upstream), array_agg(l.sha::text) INTO upstreams, shas
    FROM (
        SELECT r.upstream, r.sha FROM @extschema@.plugin_rollouts AS r
        WHERE r.created_at < cutoff AND r.state = 'active' FOR UPDATE SKIP LOCKED) AS l;
    DELETE FROM @extschema@.plugin_rollouts AS r
    WHERE (r.upstream, r.sha) IN (
          SELECT n.upstream, n.sha FROM ROWS FROM (unnest(upstreams), unnest(shas)) AS n (upstream, sha))
      AND NOT EXISTS (
          SELECT FROM @extschema@.plugin_update_queue AS o
          WHERE o.upstream = r.upstream AND o.target_sha = r.sha
            AND o.status IN ('pending', 'deferred', 'claimed', 'applied', 'failed'));
    RETURN pruned;
END
$$;
COMMENT ON FUNCTION @extschema@.prune_plugin_updates(interval) IS
    'Deletes what ended longer ago than that, and gives the number. Dismissals and failures stay while they matter, and all of a release of which something is left to do.';

REVOKE ALL ON FUNCTION @extschema@.cancel_removed_plugin_updates() FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.cancel_resourced_plugin_updates() FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.rename_plugin_updates() FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.dismiss_plugin_update(uuid, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.prune_plugin_updates(interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.retry_plugin_update(uuid, timestamptz) FROM PUBLIC;
