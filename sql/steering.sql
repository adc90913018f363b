-- What an operator can do to a release: pause it, go on, give it up, go back.

CREATE FUNCTION @extschema@.pause_plugin_rollout(
    upstream text, sha text, reason text DEFAULT NULL, at timestamptz DEFAULT pg_catalog.clock_timestamp()
) RETURNS boolean
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT @extschema@.set_plugin_rollout_state($1, $2, ARRAY['active'], 'paused', $3, $4)
$$;
COMMENT ON FUNCTION @extschema@.pause_plugin_rollout(text, text, text, timestamptz) IS
    'Hands out nothing more of a release; what is under way goes on. False where it is not active.';

CREATE FUNCTION @extschema@.rederive_plugin_upstream(upstream text, at timestamptz) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target record;
    derived record;
    queued bigint := 0::bigint;
BEGIN
    FOR target IN
        SELECT t.tracked_ref FROM @extschema@.plugin_targets AS t
        WHERE t.upstream = rederive_plugin_upstream.upstream ORDER BY t.tracked_ref
    LOOP
        derived := @extschema@.derive_plugin_updates(upstream, target.tracked_ref, NULL, NULL, at);
        queued := queued + derived.queued;
    END LOOP;
    PERFORM @extschema@.notify_plugin_updates(queued);
    RETURN queued;
END
$$;
COMMENT ON FUNCTION @extschema@.rederive_plugin_upstream(text, timestamptz) IS
    'Brings the queue to what is wanted of a repository, and gives the number of updates that were queued. The caller holds the upstream''s lock.';

CREATE FUNCTION @extschema@.resume_plugin_rollout(
    upstream text, sha text, at timestamptz DEFAULT pg_catalog.clock_timestamp()
) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM @extschema@.plugin_upstreams AS u
    WHERE u.upstream = resume_plugin_rollout.upstream FOR NO KEY UPDATE;
    IF NOT @extschema@.set_plugin_rollout_state(
        upstream, sha, ARRAY['paused', 'aborted', 'rolled_back'], 'active', NULL, at) THEN
        RETURN false;
    END IF;
    -- What was given up is wanted again.
    PERFORM @extschema@.rederive_plugin_upstream(upstream, at);
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@.resume_plugin_rollout(text, text, timestamptz) IS
    'Goes on with a release that was paused, aborted or rolled back. The failures so far do not pause it again. False where it is active.';

CREATE FUNCTION @extschema@.abort_plugin_rollout(
    upstream text, sha text, reason text DEFAULT NULL, at timestamptz DEFAULT pg_catalog.clock_timestamp()
) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM @extschema@.plugin_upstreams AS u
    WHERE u.upstream = abort_plugin_rollout.upstream FOR NO KEY UPDATE;
    IF NOT @extschema@.set_plugin_rollout_state(upstream, sha, ARRAY['active', 'paused'], 'aborted', reason, at) THEN
        RETURN false;
    END IF;
    PERFORM @extschema@.rederive_plugin_upstream(upstream, at);
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@.abort_plugin_rollout(text, text, text, timestamptz) IS
    'Gives a release up: what waits for it is cancelled, and it is not wanted again until it is resumed. Another release is. False where it is neither active nor paused.';

CREATE FUNCTION @extschema@.roll_back_plugin_release(
    upstream text, sha text, reason text DEFAULT NULL, at timestamptz DEFAULT pg_catalog.clock_timestamp()
) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM @extschema@.plugin_upstreams AS u
    WHERE u.upstream = roll_back_plugin_release.upstream FOR NO KEY UPDATE;
    IF NOT @extschema@.set_plugin_rollout_state(
        upstream, sha, ARRAY['active', 'paused', 'aborted'], 'rolled_back', reason, at) THEN
        RAISE EXCEPTION 'roll_back_plugin_release: there is no such release, or it is rolled back already'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'plugin_rollout_progress has the releases, each by its upstream and sha.';
    END IF;
    RETURN @extschema@.rederive_plugin_upstream(upstream, at);
END
$$;
COMMENT ON FUNCTION @extschema@.roll_back_plugin_release(text, text, text, timestamptz) IS
    'Gives a release up, and queues for every install that got it what it had before, in all tiers at once. The number of updates queued.';

REVOKE ALL ON FUNCTION @extschema@.pause_plugin_rollout(text, text, text, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.rederive_plugin_upstream(text, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.resume_plugin_rollout(text, text, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.abort_plugin_rollout(text, text, text, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.roll_back_plugin_release(text, text, text, timestamptz) FROM PUBLIC;
