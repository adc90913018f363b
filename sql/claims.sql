-- Handing updates out to workers: each to one at a time, lane by lane, within the limits.

CREATE FUNCTION @extschema@.plugin_update_limits(tier text, at timestamptz)
    RETURNS TABLE (allowed bigint, reason text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    scope constant text := CASE tier WHEN '' THEN 'the database' ELSE 'tier ' || tier END;
    limits record;
    used bigint;
    next_at timestamptz;
BEGIN
    SELECT l.max_in_flight, l.max_starts, l.starts_interval INTO limits
    FROM (
        SELECT p.max_in_flight, p.max_starts, p.starts_interval FROM @extschema@.plugin_update_policy AS p
        WHERE plugin_update_limits.tier = ''
        UNION ALL
        SELECT t.max_in_flight, t.max_starts, t.starts_interval FROM @extschema@.rollout_tiers AS t
        WHERE t.tier = plugin_update_limits.tier) AS l;
    IF limits.max_in_flight IS NOT NULL THEN
        SELECT count(*) INTO used FROM @extschema@.plugin_update_queue AS q
        WHERE q.leased_until IS NOT NULL AND plugin_update_limits.tier IN ('', q.rollout_tier);
        allowed := greatest(limits.max_in_flight - used, 0::bigint);
        reason := format('%s of at most %s updates of %s are under way', used, limits.max_in_flight, scope);
        RETURN NEXT;
    END IF;
    IF limits.max_starts IS NOT NULL THEN
        SELECT COALESCE(sum(s.updates), 0)::bigint, min(s.started_at) + limits.starts_interval INTO used, next_at
        FROM @extschema@.plugin_update_starts AS s
        WHERE s.tier = plugin_update_limits.tier AND s.started_at > at - limits.starts_interval;
        allowed := greatest(limits.max_starts - used, 0::bigint);
        reason := format('%s of at most %s updates of %s in %s were started, the next can be at %s',
                         used, limits.max_starts, scope, limits.starts_interval, next_at);
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.plugin_update_limits(text, timestamptz) IS
    'How many more updates a tier''s limits allow, each limit in a row with what uses it up; of the empty tier, those of the whole database.';

CREATE FUNCTION @extschema@.hold_plugin_update_limits() RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- All of them, and before any other lock, so that nobody waits for another in a circle.
    PERFORM FROM @extschema@.plugin_update_policy AS p
    WHERE p.max_in_flight IS NOT NULL OR p.max_starts IS NOT NULL FOR NO KEY UPDATE;
    PERFORM FROM @extschema@.rollout_tiers AS t
    WHERE t.max_in_flight IS NOT NULL OR t.max_starts IS NOT NULL ORDER BY t.tier FOR NO KEY UPDATE;
END
$$;
COMMENT ON FUNCTION @extschema@.hold_plugin_update_limits() IS
    'Keeps everybody else from starting updates under a limit until the end of the transaction, so that what is counted stays true.';

CREATE FUNCTION @extschema@.note_plugin_update_starts(tier text, updates bigint, token uuid, at timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    starts_interval interval;
BEGIN
    -- Written in any case: a transaction with an older snapshot, which cannot count these, has to fail.
    IF tier = '' THEN
        UPDATE @extschema@.plugin_update_policy AS p SET last_started_at = at
        RETURNING p.starts_interval INTO starts_interval;
    ELSE
        UPDATE @extschema@.rollout_tiers AS t SET last_started_at = at WHERE t.tier = note_plugin_update_starts.tier
        RETURNING t.starts_interval INTO starts_interval;
    END IF;
    IF starts_interval IS NOT NULL THEN
        DELETE FROM @extschema@.plugin_update_starts AS s
        WHERE s.tier = note_plugin_update_starts.tier AND s.started_at <= at - starts_interval;
        INSERT INTO @extschema@.plugin_update_starts AS s (tier, started_at, claim_token, updates)
        VALUES (note_plugin_update_starts.tier, at, token, note_plugin_update_starts.updates)
        ON CONFLICT ON CONSTRAINT plugin_update_starts_pkey DO UPDATE SET updates = s.updates + excluded.updates;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.note_plugin_update_starts(text, bigint, uuid, timestamptz) IS
    'Counts what was started under a tier''s limits.';

CREATE FUNCTION @extschema@.tend_plugin_lane(upstream text, sha text, tier text, since timestamptz, at timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    workspaces uuid[];
    plugins text[];
    next_at timestamptz;
BEGIN
    -- Both are right in a snapshot only that sees all that has been committed.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN;
    END IF;
    -- What was installed otherwise behind the functions' back is in the way.
    SELECT array_agg(q.workspace_id), array_agg(q.plugin_name) INTO workspaces, plugins
    FROM (
        SELECT q.* FROM @extschema@.plugin_update_queue AS q
        WHERE q.upstream = tend_plugin_lane.upstream AND q.target_sha = tend_plugin_lane.sha
          AND q.rollout_tier = tend_plugin_lane.tier AND q.status IN ('pending', 'deferred')
          AND q.due_at >= tend_plugin_lane.since
        ORDER BY q.due_at LIMIT 200) AS q
    WHERE NOT EXISTS (
        SELECT FROM @extschema@.workspace_plugins AS p
        WHERE p.workspace_id = q.workspace_id AND p.plugin_name = q.plugin_name AND p.upstream = q.upstream
          AND p.tracked_ref = q.tracked_ref AND p.installed_sha = q.current_sha);
    IF workspaces IS NOT NULL THEN
        PERFORM FROM @extschema@.plugin_upstreams AS u
        WHERE u.upstream = tend_plugin_lane.upstream FOR NO KEY UPDATE SKIP LOCKED;
        IF FOUND THEN
            -- Not what is of another repository by now, whose lock would have to be waited for.
            SELECT array_agg(n.workspace_id), array_agg(n.plugin_name) INTO workspaces, plugins
            FROM ROWS FROM (unnest(workspaces), unnest(plugins)) AS n (workspace_id, plugin_name)
            WHERE NOT EXISTS (
                SELECT FROM @extschema@.workspace_plugins AS p
                WHERE p.workspace_id = n.workspace_id AND p.plugin_name = n.plugin_name
                  AND p.tracked_ref <> 'none' AND p.upstream <> tend_plugin_lane.upstream);
            PERFORM @extschema@.settle_plugin_installs(workspaces, plugins, at);
        END IF;
    END IF;

    -- Nothing can join it now.
    PERFORM FROM @extschema@.plugin_rollout_lanes AS l
    WHERE l.upstream = tend_plugin_lane.upstream AND l.sha = tend_plugin_lane.sha AND l.tier = tend_plugin_lane.tier
    FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    next_at := (
        SELECT q.due_at FROM @extschema@.plugin_update_queue AS q
        WHERE q.upstream = tend_plugin_lane.upstream AND q.target_sha = tend_plugin_lane.sha
          AND q.rollout_tier = tend_plugin_lane.tier AND q.status IN ('pending', 'deferred')
          AND q.due_at >= (SELECT l.next_due_at FROM @extschema@.plugin_rollout_lanes AS l
                           WHERE l.upstream = tend_plugin_lane.upstream AND l.sha = tend_plugin_lane.sha
                             AND l.tier = tend_plugin_lane.tier)
        ORDER BY q.due_at LIMIT 1);
    IF next_at IS NULL THEN
        -- Nothing waits any more, so that the next lane may open before long.
        PERFORM FROM @extschema@.plugin_rollouts AS r
        WHERE r.upstream = tend_plugin_lane.upstream AND r.sha = tend_plugin_lane.sha FOR NO KEY UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        PERFORM @extschema@.arm_plugin_rollouts(ARRAY[upstream], ARRAY[sha]);
        next_at := 'infinity';
    END IF;
    UPDATE @extschema@.plugin_rollout_lanes AS l SET next_due_at = next_at
    WHERE l.upstream = tend_plugin_lane.upstream AND l.sha = tend_plugin_lane.sha AND l.tier = tend_plugin_lane.tier
      AND l.next_due_at <> next_at;
END
$$;
COMMENT ON FUNCTION @extschema@.tend_plugin_lane(text, text, text, timestamptz, timestamptz) IS
    'Clears a lane of what cannot be handed out, and notes where what waits in it begins.';

CREATE FUNCTION @extschema@.advance_plugin_rollouts(at timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rollout record;
    is_advanced boolean := false;
BEGIN
    FOR rollout IN
        SELECT r.upstream, r.sha FROM @extschema@.plugin_rollouts AS r
        WHERE r.state = 'active' AND r.next_open_at <= at
        ORDER BY r.next_open_at LIMIT 100
    LOOP
        IF @extschema@.advance_plugin_rollout(rollout.upstream, rollout.sha, at) THEN
            is_advanced := true;
        END IF;
    END LOOP;
    RETURN is_advanced;
END
$$;
COMMENT ON FUNCTION @extschema@.advance_plugin_rollouts(timestamptz) IS
    'Opens lanes whose time has come. Whether there was any.';

CREATE FUNCTION @extschema@.claim_plugin_updates(
    worker text,
    max_updates integer DEFAULT 1,
    lease interval DEFAULT '10 minutes',
    at timestamptz DEFAULT pg_catalog.clock_timestamp()
) RETURNS TABLE (
    id uuid, workspace_id uuid, plugin_name text, upstream text, fetch_url text, tracked_ref text, kind text,
    current_sha text, target_ref text, target_sha text, claim_token uuid, attempt integer, leased_until timestamptz)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    -- Few rows from the beginning of large indexes, whatever the planner thinks of their sizes. What is
    -- off counts as expensive, which is no reason to compile it.
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    token constant uuid := gen_random_uuid();
    lease_end constant timestamptz := at + lease;
    room bigint := max_updates::bigint;
    is_holding boolean := false;
    allowance bigint;
    taken bigint;
    tier record;
    lane record;
    -- The lanes to tend.
    upstreams text[] := ARRAY[]::text[];
    shas text[] := ARRAY[]::text[];
    tiers text[] := ARRAY[]::text[];
    since timestamptz[] := ARRAY[]::timestamptz[];
    is_last boolean;
    is_changed boolean;
BEGIN
    IF COALESCE(worker, '') = '' OR COALESCE(max_updates, 0) < 1 OR lease IS NULL OR lease <= interval '0' OR at IS NULL THEN
        RAISE EXCEPTION 'claim_plugin_updates: a worker''s name, a positive number and a positive lease are required'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR pass IN 1 .. 2 LOOP
        FOR tier IN
            SELECT t.tier, t.is_limited, l.is_all_limited, l.is_all_limited OR bool_or(t.is_limited) OVER () AS is_any_limited
            FROM (
                SELECT t.tier, t."position", t.max_in_flight IS NOT NULL OR t.max_starts IS NOT NULL AS is_limited
                FROM @extschema@.rollout_tiers AS t
                UNION ALL
                SELECT '', NULL, false) AS t,
                (SELECT EXISTS (SELECT FROM @extschema@.plugin_update_policy AS p
                                WHERE p.max_in_flight IS NOT NULL OR p.max_starts IS NOT NULL) AS is_all_limited) AS l
            ORDER BY t."position"
        LOOP
            IF tier.is_any_limited AND NOT is_holding THEN
                PERFORM @extschema@.hold_plugin_update_limits();
                is_holding := true;
            END IF;
            allowance := NULL;
            FOR lane IN
                SELECT l.upstream, l.sha, l.next_due_at FROM @extschema@.plugin_rollout_lanes AS l
                WHERE l.tier = tier.tier AND l.is_claimable AND l.next_due_at <= at
                ORDER BY l.next_due_at
            LOOP
                IF allowance IS NULL THEN
                    allowance := least(
                        room,
                        CASE WHEN tier.is_all_limited THEN (
                            SELECT min(l.allowed) FROM @extschema@.plugin_update_limits('', at) AS l) END,
                        CASE WHEN tier.is_limited THEN (
                            SELECT min(l.allowed) FROM @extschema@.plugin_update_limits(tier.tier, at) AS l) END);
                END IF;
                EXIT WHEN allowance <= 0;
                RETURN QUERY
                -- Locked first, so that nothing is looked up of what others are about to have.
                WITH picked AS MATERIALIZED (
                    SELECT k.id, k.workspace_id, p.fetch_url
                    FROM (
                        SELECT q.* FROM @extschema@.plugin_update_queue AS q
                        WHERE q.upstream = lane.upstream AND q.target_sha = lane.sha AND q.rollout_tier = tier.tier
                          AND q.status IN ('pending', 'deferred') AND q.due_at >= lane.next_due_at AND q.due_at <= at
                        ORDER BY q.due_at FOR NO KEY UPDATE SKIP LOCKED) AS k
                    CROSS JOIN LATERAL (
                        SELECT split_part(p.source_raw, '#', 1) AS fetch_url FROM @extschema@.workspace_plugins AS p
                        WHERE p.workspace_id = k.workspace_id AND p.plugin_name = k.plugin_name
                          AND p.upstream = k.upstream AND p.tracked_ref = k.tracked_ref
                          AND p.installed_sha = k.current_sha OFFSET 0) AS p
                    WHERE NOT EXISTS (
                        SELECT FROM @extschema@.plugin_update_queue AS c
                        WHERE c.workspace_id = k.workspace_id AND c.plugin_name = k.plugin_name
                          AND c.status = 'claimed' OFFSET 0)
                    LIMIT allowance
                )
                UPDATE @extschema@.plugin_update_queue AS q
                SET status = 'claimed', claimed_by = worker, claimed_at = at, claim_token = token,
                    leased_until = lease_end, is_outdated = false
                FROM picked AS k
                WHERE q.id = k.id AND q.workspace_id = k.workspace_id
                RETURNING q.id, q.workspace_id, q.plugin_name, q.upstream, k.fetch_url, q.tracked_ref::text, q.kind,
                          q.current_sha::text, q.target_ref, q.target_sha::text, token, q.attempts + 1, lease_end;
                GET DIAGNOSTICS taken = ROW_COUNT;
                IF taken > 0 AND tier.is_all_limited THEN
                    PERFORM @extschema@.note_plugin_update_starts('', taken, token, at);
                END IF;
                IF taken > 0 AND tier.is_limited THEN
                    PERFORM @extschema@.note_plugin_update_starts(tier.tier, taken, token, at);
                END IF;
                -- Now and then also where there was enough, so that what is long gone is not read again;
                -- then nothing was in the way.
                IF taken < allowance OR random() < 0.02 THEN
                    upstreams := array_append(upstreams, lane.upstream);
                    shas := array_append(shas, lane.sha::text);
                    tiers := array_append(tiers, tier.tier);
                    since := array_append(since, CASE WHEN taken < allowance THEN lane.next_due_at END);
                END IF;
                room := room - taken;
                allowance := allowance - taken;
            END LOOP;
            EXIT WHEN room <= 0;
        END LOOP;
        -- What waits for the locks of releases before what takes those of lanes; with these it waits no more.
        is_last := pass = 2 OR (room <= 0 AND random() > 0.05);
        is_changed := NOT is_last AND @extschema@.expire_plugin_claims(at) > 0;
        IF cardinality(upstreams) > 0 THEN
            PERFORM @extschema@.tend_plugin_lane(l.upstream, l.sha, l.tier, l.since, at)
            FROM ROWS FROM (unnest(upstreams), unnest(shas), unnest(tiers), unnest(since)) AS l (upstream, sha, tier, since);
            upstreams := ARRAY[]::text[];
            shas := ARRAY[]::text[];
            tiers := ARRAY[]::text[];
            since := ARRAY[]::timestamptz[];
        END IF;
        EXIT WHEN is_last;
        EXIT WHEN NOT @extschema@.advance_plugin_rollouts(at) AND NOT is_changed;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.claim_plugin_updates(text, integer, interval, timestamptz) IS
    'Hands out updates to a worker, which has them to itself until its lease ends: where to fetch from, and which commit to install.';

CREATE FUNCTION @extschema@.extend_plugin_update(
    id uuid, claim_token uuid, lease interval DEFAULT '10 minutes', at timestamptz DEFAULT pg_catalog.clock_timestamp()
) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF lease IS NULL OR lease <= interval '0' OR at IS NULL THEN
        RAISE EXCEPTION 'extend_plugin_update: a positive lease is required'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE @extschema@.plugin_update_queue AS q SET leased_until = at + lease
    WHERE q.id = extend_plugin_update.id AND q.claim_token = extend_plugin_update.claim_token;
    RETURN CASE WHEN FOUND THEN 'claimed' ELSE 'stale' END;
END
$$;
COMMENT ON FUNCTION @extschema@.extend_plugin_update(uuid, uuid, interval, timestamptz) IS
    'Extends the lease of an update that a worker still has: claimed; or stale, where it no longer has it.';

REVOKE ALL ON FUNCTION @extschema@.hold_plugin_update_limits() FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.note_plugin_update_starts(text, bigint, uuid, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.tend_plugin_lane(text, text, text, timestamptz, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.advance_plugin_rollouts(timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.claim_plugin_updates(text, integer, interval, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.extend_plugin_update(uuid, uuid, interval, timestamptz) FROM PUBLIC;
