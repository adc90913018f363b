-- What became of updates that were handed out. A worker has to prove that it still has what it reports.

CREATE FUNCTION @extschema@.check_plugin_update_arrays(name text, VARIADIC lengths integer[]) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF lengths[1] <> ANY (lengths[2:]) OR lengths[1] IS NULL OR array_position(lengths[:3], NULL) IS NOT NULL THEN
        RAISE EXCEPTION '%: the arrays have to be of one length', name
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.check_plugin_update_arrays(text, integer[]) IS
    'Refuses arrays of different lengths: those of ids, tokens and results, and one that may be missing.';

CREATE FUNCTION @extschema@.hold_reported_plugin_installs(ids uuid[], claim_tokens uuid[]) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- What is not to stay is looked at again once it is completed, and maybe by nobody else: whoever observes
    -- may have nothing to do with it. Before all other locks, for an observation waits for those.
    PERFORM FROM @extschema@.plugin_upstreams AS u
    WHERE u.upstream = ANY (ARRAY(
        SELECT q.upstream FROM ROWS FROM (unnest(ids), unnest(claim_tokens)) AS g (id, token)
        JOIN @extschema@.plugin_update_queue AS q ON q.id = g.id AND q.claim_token = g.token))
    ORDER BY u.upstream FOR SHARE;
    -- Waited for first, so that what follows sees what has become of them.
    PERFORM FROM ROWS FROM (unnest(ids), unnest(claim_tokens)) AS g (id, token)
    JOIN @extschema@.plugin_update_queue AS q ON q.id = g.id AND q.claim_token = g.token
    JOIN @extschema@.workspace_plugins AS p ON p.workspace_id = q.workspace_id AND p.plugin_name = q.plugin_name
    ORDER BY p.workspace_id, p.plugin_name FOR NO KEY UPDATE OF p;
END
$$;
COMMENT ON FUNCTION @extschema@.hold_reported_plugin_installs(uuid[], uuid[]) IS
    'Keeps others from recording the installs of updates that are reported, and from observing their repositories.';

CREATE FUNCTION @extschema@.complete_plugin_updates(
    ids uuid[], claim_tokens uuid[], applied_shas text[], materialized boolean[] DEFAULT NULL,
    at timestamptz DEFAULT pg_catalog.clock_timestamp()
) RETURNS TABLE (id uuid, outcome text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    done record;
    invalid integer;
BEGIN
    PERFORM @extschema@.check_plugin_update_arrays(
        'complete_plugin_updates', cardinality(ids), cardinality(claim_tokens), cardinality(applied_shas),
        cardinality(materialized));
    SELECT min(a.n)::integer INTO invalid FROM unnest(applied_shas) WITH ORDINALITY AS a (sha, n)
    WHERE NOT COALESCE(@extschema@.is_valid_commit_sha(a.sha), false);
    IF invalid IS NOT NULL THEN
        RAISE EXCEPTION 'complete_plugin_update: invalid applied_sha %: expected 40 or 64 lower-case hexadecimal digits',
                        COALESCE(quote_literal(left(applied_shas[invalid], 64)), 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM @extschema@.hold_reported_plugin_installs(ids, claim_tokens);
    -- The updates in the order in which others lock them, after the installs. Only what is claimed has a token;
    -- to ask for the status as well could have all that is claimed read.
    WITH given AS MATERIALIZED (
        SELECT g.id, g.token, g.sha, COALESCE(g.materialized, true) AS is_materialized
        FROM ROWS FROM (unnest(ids), unnest(claim_tokens), unnest(applied_shas), unnest(materialized))
                 AS g (id, token, sha, materialized)
    ), held AS MATERIALIZED (
        SELECT q.id, q.workspace_id, g.token, g.is_materialized
        FROM given AS g
        JOIN @extschema@.plugin_update_queue AS q
          ON q.id = g.id AND q.claim_token = g.token AND q.target_sha = g.sha
        JOIN @extschema@.workspace_plugins AS p
          ON p.workspace_id = q.workspace_id AND p.plugin_name = q.plugin_name AND p.upstream = q.upstream
         AND p.tracked_ref = q.tracked_ref AND p.installed_sha = q.current_sha
        ORDER BY p.workspace_id, p.plugin_name
    ), ended AS (
        UPDATE @extschema@.plugin_update_queue AS q
        SET status = CASE WHEN h.is_materialized THEN 'applied' WHEN q.is_outdated THEN 'superseded' ELSE 'deferred' END,
            reason = CASE WHEN NOT h.is_materialized AND q.is_outdated THEN 'not wanted any more' END,
            finished_at = CASE WHEN h.is_materialized OR q.is_outdated THEN at END,
            due_at = CASE WHEN h.is_materialized OR q.is_outdated THEN q.due_at
                          ELSE at + COALESCE((SELECT p.defer_delay FROM @extschema@.plugin_update_policy AS p),
                                             interval '10 minutes') END,
            claim_token = NULL, leased_until = NULL
        FROM held AS h
        WHERE q.id = h.id AND q.workspace_id = h.workspace_id AND q.claim_token = h.token
        RETURNING q.id, q.workspace_id, q.plugin_name, q.status, q.upstream, q.target_sha, q.rollout_tier, q.due_at,
                  -- After a step back, or the first of some, something else is wanted.
                  q.is_outdated OR NOT EXISTS (
                      SELECT FROM @extschema@.plugin_targets AS t
                      WHERE t.upstream = q.upstream AND t.tracked_ref = q.tracked_ref AND t.sha = q.target_sha)
                      AS is_unsettled
    ), advanced AS (
        UPDATE @extschema@.workspace_plugins AS p
        SET installed_sha = e.target_sha, updated_at = greatest(p.updated_at, at)
        FROM ended AS e
        WHERE p.workspace_id = e.workspace_id AND p.plugin_name = e.plugin_name AND e.status = 'applied'
        RETURNING 1
    )
    SELECT jsonb_object_agg(e.id, e.status) AS outcomes,
           array_agg(e.workspace_id) FILTER (WHERE e.is_unsettled) AS workspaces,
           array_agg(e.plugin_name) FILTER (WHERE e.is_unsettled) AS plugins,
           array_agg(e.upstream) FILTER (WHERE e.status = 'deferred') AS upstreams,
           array_agg(e.target_sha::text) FILTER (WHERE e.status = 'deferred') AS shas,
           array_agg(e.rollout_tier) FILTER (WHERE e.status = 'deferred') AS tiers,
           array_agg(e.due_at) FILTER (WHERE e.status = 'deferred') AS due
    INTO done FROM ended AS e;
    IF done.upstreams IS NOT NULL THEN
        PERFORM @extschema@.add_plugin_lanes(done.upstreams, done.shas, done.tiers, done.due, '{}', at);
    END IF;
    IF done.workspaces IS NOT NULL THEN
        PERFORM @extschema@.settle_plugin_installs(done.workspaces, done.plugins, at);
    END IF;
    RETURN QUERY
    SELECT g.id, COALESCE(done.outcomes ->> g.id::text, 'stale')
    FROM unnest(complete_plugin_updates.ids) WITH ORDINALITY AS g (id, n) ORDER BY g.n;
END
$$;
COMMENT ON FUNCTION @extschema@.complete_plugin_updates(uuid[], uuid[], text[], boolean[], timestamptz) IS
    'Reports updates that were applied, as complete_plugin_update() does for one: element n of each array is of one update.';

CREATE FUNCTION @extschema@.complete_plugin_update(
    id uuid, claim_token uuid, applied_sha text, materialized boolean DEFAULT true,
    at timestamptz DEFAULT pg_catalog.clock_timestamp()
) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
    SET jit = off
AS $$
BEGIN
    -- By far the most are applied, wanted as before, the last step to their target, and locked by nobody.
    -- Everything else is as for many: who has a lock may be about to mark it as outdated.
    IF materialized THEN
        WITH held AS MATERIALIZED (
            SELECT q.id, q.workspace_id, q.plugin_name
            FROM @extschema@.plugin_update_queue AS q
            JOIN @extschema@.workspace_plugins AS p
              ON p.workspace_id = q.workspace_id AND p.plugin_name = q.plugin_name AND p.upstream = q.upstream
             AND p.tracked_ref = q.tracked_ref AND p.installed_sha = q.current_sha
            WHERE q.id = complete_plugin_update.id AND q.claim_token = complete_plugin_update.claim_token
              AND q.target_sha = applied_sha AND NOT q.is_outdated
              AND EXISTS (SELECT FROM @extschema@.plugin_targets AS t
                          WHERE t.upstream = q.upstream AND t.tracked_ref = q.tracked_ref AND t.sha = q.target_sha)
            FOR NO KEY UPDATE OF p SKIP LOCKED FOR NO KEY UPDATE OF q SKIP LOCKED
        ), ended AS (
            UPDATE @extschema@.plugin_update_queue AS q
            SET status = 'applied', finished_at = at, claim_token = NULL, leased_until = NULL
            FROM held AS h
            WHERE q.id = h.id AND q.workspace_id = h.workspace_id
        )
        UPDATE @extschema@.workspace_plugins AS p
        SET installed_sha = applied_sha, updated_at = greatest(p.updated_at, at)
        FROM held AS h
        WHERE p.workspace_id = h.workspace_id AND p.plugin_name = h.plugin_name;
        IF FOUND THEN
            RETURN 'applied';
        END IF;
    END IF;
    RETURN (SELECT c.outcome FROM @extschema@.complete_plugin_updates(
                ARRAY[id], ARRAY[claim_token], ARRAY[applied_sha], ARRAY[materialized], at) AS c);
END
$$;
COMMENT ON FUNCTION @extschema@.complete_plugin_update(uuid, uuid, text, boolean, timestamptz) IS
    'Reports that an update was applied: applied, and its install is on that commit; deferred, where it was delivered but is not in use yet (materialized false); or stale, where the worker no longer has it or its install has changed, and nothing is changed.';

CREATE FUNCTION @extschema@.end_plugin_attempts(
    ids uuid[], claim_tokens uuid[], errors text[], retryable boolean[], is_delayed boolean, at timestamptz
) RETURNS TABLE (id uuid, outcome text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    done record;
    failed record;
    max_attempts constant integer :=
        COALESCE((SELECT p.max_attempts FROM @extschema@.plugin_update_policy AS p), 5);
    retry_delay constant interval :=
        COALESCE((SELECT p.retry_delay FROM @extschema@.plugin_update_policy AS p), interval '1 minute');
BEGIN
    WITH given AS MATERIALIZED (
        SELECT g.id, g.token, g.error, COALESCE(g.retryable, true) AS is_retryable
        FROM ROWS FROM (unnest(ids), unnest(claim_tokens), unnest(errors), unnest(retryable))
                 AS g (id, token, error, retryable)
    ), held AS MATERIALIZED (
        SELECT q.id, q.workspace_id, g.token, g.error, g.is_retryable
        FROM given AS g
        JOIN @extschema@.plugin_update_queue AS q ON q.id = g.id AND q.claim_token = g.token
        ORDER BY q.workspace_id, q.plugin_name FOR NO KEY UPDATE OF q
    ), ended AS (
        UPDATE @extschema@.plugin_update_queue AS q
        SET status = CASE WHEN q.is_outdated THEN 'superseded'
                          WHEN h.is_retryable AND q.attempts + 1 < max_attempts THEN 'pending'
                          ELSE 'failed' END,
            reason = CASE WHEN q.is_outdated THEN 'not wanted any more' END,
            finished_at = CASE WHEN q.is_outdated OR NOT (h.is_retryable AND q.attempts + 1 < max_attempts) THEN at END,
            due_at = CASE WHEN is_delayed THEN at + @extschema@.plugin_retry_delay(q.attempts + 1, retry_delay)
                          ELSE at END,
            attempts = q.attempts + 1, last_error = left(h.error, 2000), claim_token = NULL, leased_until = NULL
        FROM held AS h
        WHERE q.id = h.id AND q.workspace_id = h.workspace_id AND q.claim_token = h.token
        RETURNING q.id, q.status, q.upstream, q.target_sha, q.rollout_tier, q.due_at
    )
    SELECT jsonb_object_agg(e.id, e.status) AS outcomes,
           array_agg(e.upstream) FILTER (WHERE e.status = 'pending') AS upstreams,
           array_agg(e.target_sha::text) FILTER (WHERE e.status = 'pending') AS shas,
           array_agg(e.rollout_tier) FILTER (WHERE e.status = 'pending') AS tiers,
           array_agg(e.due_at) FILTER (WHERE e.status = 'pending') AS due,
           array_agg(e.upstream) FILTER (WHERE e.status = 'failed') AS failed_upstreams,
           array_agg(e.target_sha::text) FILTER (WHERE e.status = 'failed') AS failed_shas,
           array_agg(e.rollout_tier) FILTER (WHERE e.status = 'failed') AS failed_tiers
    INTO done FROM ended AS e;
    -- The locks of releases before those of their lanes.
    FOR failed IN
        SELECT DISTINCT f.upstream, f.sha, f.tier
        FROM ROWS FROM (unnest(done.failed_upstreams), unnest(done.failed_shas), unnest(done.failed_tiers))
                 AS f (upstream, sha, tier)
        ORDER BY 1, 2, 3
    LOOP
        PERFORM @extschema@.stop_failing_plugin_rollout(failed.upstream, failed.sha, failed.tier, at);
    END LOOP;
    IF done.upstreams IS NOT NULL THEN
        PERFORM @extschema@.add_plugin_lanes(done.upstreams, done.shas, done.tiers, done.due, '{}', at);
    END IF;
    RETURN QUERY
    SELECT g.id, COALESCE(done.outcomes ->> g.id::text, 'stale')
    FROM unnest(end_plugin_attempts.ids) WITH ORDINALITY AS g (id, n) ORDER BY g.n;
END
$$;
COMMENT ON FUNCTION @extschema@.end_plugin_attempts(uuid[], uuid[], text[], boolean[], boolean, timestamptz) IS
    'Ends attempts that failed: the update waits for the next one, or has failed.';

CREATE FUNCTION @extschema@.fail_plugin_updates(
    ids uuid[], claim_tokens uuid[], errors text[], retryable boolean[] DEFAULT NULL,
    at timestamptz DEFAULT pg_catalog.clock_timestamp()
) RETURNS TABLE (id uuid, outcome text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.check_plugin_update_arrays(
        'fail_plugin_updates', cardinality(ids), cardinality(claim_tokens), cardinality(errors),
        cardinality(retryable));
    RETURN QUERY SELECT e.id, e.outcome
    FROM @extschema@.end_plugin_attempts(ids, claim_tokens, errors, retryable, true, at) AS e;
END
$$;
COMMENT ON FUNCTION @extschema@.fail_plugin_updates(uuid[], uuid[], text[], boolean[], timestamptz) IS
    'Reports updates that failed, as fail_plugin_update() does for one: element n of each array is of one update.';

CREATE FUNCTION @extschema@.fail_plugin_update(
    id uuid, claim_token uuid, error text, retryable boolean DEFAULT true,
    at timestamptz DEFAULT pg_catalog.clock_timestamp()
) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT e.outcome FROM @extschema@.end_plugin_attempts(
                ARRAY[id], ARRAY[claim_token], ARRAY[error], ARRAY[retryable], true, at) AS e);
END
$$;
COMMENT ON FUNCTION @extschema@.fail_plugin_update(uuid, uuid, text, boolean, timestamptz) IS
    'Reports that an attempt failed: pending, to be tried again later; failed, after the last attempt or where it is not retryable; superseded, where it is not wanted any more; or stale, where the worker no longer has it.';

CREATE FUNCTION @extschema@.expire_plugin_claims(at timestamptz) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lost record;
    expired bigint := 0::bigint;
BEGIN
    SELECT array_agg(l.id) AS ids, array_agg(l.claim_token) AS tokens,
           array_agg('not reported by ' || l.claimed_by || ' before ' || l.leased_until) AS errors
    INTO lost
    FROM (
        SELECT q.id, q.claim_token, q.claimed_by, q.leased_until FROM @extschema@.plugin_update_queue AS q
        WHERE q.leased_until <= at
        ORDER BY q.workspace_id, q.plugin_name LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED) AS l;
    IF lost.ids IS NOT NULL THEN
        -- The lease was delay enough.
        SELECT count(*) INTO expired
        FROM @extschema@.end_plugin_attempts(lost.ids, lost.tokens, lost.errors, NULL, false, at) AS e;
    END IF;
    RETURN expired;
END
$$;
COMMENT ON FUNCTION @extschema@.expire_plugin_claims(timestamptz) IS
    'Counts what workers have not reported before their leases ended as failed attempts, and gives the number.';

REVOKE ALL ON FUNCTION @extschema@.hold_reported_plugin_installs(uuid[], uuid[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.complete_plugin_updates(uuid[], uuid[], text[], boolean[], timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.complete_plugin_update(uuid, uuid, text, boolean, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.end_plugin_attempts(uuid[], uuid[], text[], boolean[], boolean, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.fail_plugin_updates(uuid[], uuid[], text[], boolean[], timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.fail_plugin_update(uuid, uuid, text, boolean, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.expire_plugin_claims(timestamptz) FROM PUBLIC;
