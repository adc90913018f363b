-- A release goes through its tiers in their order: which of its lanes are open, and what the others wait for.

CREATE FUNCTION @extschema@.plugin_lane_position(tier text) RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT COALESCE((SELECT t."position" FROM @extschema@.rollout_tiers AS t WHERE t.tier = $1), 1::bigint << 32)
$$;
COMMENT ON FUNCTION @extschema@.plugin_lane_position(text) IS
    'The place of a tier in a rollout; the workspaces without one come last.';

CREATE FUNCTION @extschema@.arm_plugin_rollouts(upstreams text[], shas text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Written in any case: whoever is looking at the lanes at this moment does not see what has changed.
    UPDATE @extschema@.plugin_rollouts AS r SET next_open_at = '-infinity'
    FROM (
        SELECT r.upstream, r.sha FROM @extschema@.plugin_rollouts AS r
        WHERE (r.upstream, r.sha) IN (
              SELECT a.upstream, a.sha FROM ROWS FROM (unnest(upstreams), unnest(shas)) AS a (upstream, sha))
          AND r.state = 'active'
          AND EXISTS (SELECT FROM @extschema@.plugin_rollout_lanes AS l
                      WHERE l.upstream = r.upstream AND l.sha = r.sha AND l.opened_at IS NULL)
        ORDER BY r.upstream, r.sha FOR NO KEY UPDATE) AS armed
    WHERE r.upstream = armed.upstream AND r.sha = armed.sha;
END
$$;
COMMENT ON FUNCTION @extschema@.arm_plugin_rollouts(text[], text[]) IS
    'Has the next claim look whether another lane of some releases can open.';

CREATE FUNCTION @extschema@.plugin_lane_failures(
    upstream text, sha text, tier text, since timestamptz, OUT failed bigint, OUT total bigint, OUT is_too_many boolean
)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    percent integer;
BEGIN
    IF tier = '' THEN
        SELECT p.max_failure_percent INTO percent FROM @extschema@.plugin_update_policy AS p;
    ELSE
        SELECT t.max_failure_percent INTO percent FROM @extschema@.rollout_tiers AS t
        WHERE t.tier = plugin_lane_failures.tier;
    END IF;
    SELECT count(*) INTO failed FROM @extschema@.plugin_update_queue AS q
    WHERE q.upstream = plugin_lane_failures.upstream AND q.target_sha = plugin_lane_failures.sha
      AND q.rollout_tier = plugin_lane_failures.tier AND q.status = 'failed'
      AND q.finished_at > COALESCE(since, '-infinity');
    is_too_many := failed > 0 AND percent = 0;
    IF failed > 0 AND percent > 0 THEN
        -- No further than it takes to know.
        SELECT count(*) INTO total FROM (
            SELECT FROM @extschema@.plugin_update_queue AS q
            WHERE q.upstream = plugin_lane_failures.upstream AND q.target_sha = plugin_lane_failures.sha
              AND q.rollout_tier = plugin_lane_failures.tier AND q.status IN ('claimed', 'applied', 'failed')
            UNION ALL
            SELECT FROM @extschema@.plugin_update_queue AS q
            WHERE q.upstream = plugin_lane_failures.upstream AND q.target_sha = plugin_lane_failures.sha
              AND q.rollout_tier = plugin_lane_failures.tier AND q.status IN ('pending', 'deferred')
            LIMIT failed * 100 / percent + 1) AS q;
        is_too_many := failed * 100 > percent * total;
    END IF;
    is_too_many := COALESCE(is_too_many, false);
END
$$;
COMMENT ON FUNCTION @extschema@.plugin_lane_failures(text, text, text, timestamptz) IS
    'How many updates of a lane failed since some time, of how many as far as that matters, and whether those are too many.';

CREATE FUNCTION @extschema@.plugin_lane_wait(
    upstream text, sha text, tier text,
    OUT opens_at timestamptz, OUT behind text, OUT is_waiting boolean, OUT is_claimed boolean
)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    earlier record;
BEGIN
    opens_at := '-infinity';
    FOR earlier IN
        SELECT l.tier, t.bake
        FROM @extschema@.plugin_rollout_lanes AS l
        JOIN @extschema@.rollout_tiers AS t ON t.tier = l.tier
        WHERE l.upstream = plugin_lane_wait.upstream AND l.sha = plugin_lane_wait.sha
          AND t."position" < @extschema@.plugin_lane_position(plugin_lane_wait.tier)
        ORDER BY t."position"
    LOOP
        behind := earlier.tier;
        is_waiting := EXISTS (
            SELECT FROM @extschema@.plugin_update_queue AS q
            WHERE q.upstream = plugin_lane_wait.upstream AND q.target_sha = plugin_lane_wait.sha
              AND q.rollout_tier = earlier.tier AND q.status IN ('pending', 'deferred'));
        is_claimed := EXISTS (
            SELECT FROM @extschema@.plugin_update_queue AS q
            WHERE q.upstream = plugin_lane_wait.upstream AND q.target_sha = plugin_lane_wait.sha
              AND q.rollout_tier = earlier.tier AND q.status = 'claimed');
        IF is_waiting OR is_claimed THEN
            opens_at := NULL;
            RETURN;
        END IF;
        opens_at := greatest(opens_at, earlier.bake + (
            SELECT max(q.finished_at) FROM @extschema@.plugin_update_queue AS q
            WHERE q.upstream = plugin_lane_wait.upstream AND q.target_sha = plugin_lane_wait.sha
              AND q.rollout_tier = earlier.tier AND q.status = 'applied'));
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.plugin_lane_wait(text, text, text) IS
    'When a lane of a release can open; NULL while an earlier one has something left to do, with that tier and what is left there.';

CREATE FUNCTION @extschema@.set_plugin_rollout_state(
    upstream text, sha text, from_states text[], to_state text, reason text, at timestamptz
) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    UPDATE @extschema@.plugin_rollouts AS r
    SET state = to_state, state_since = at, reason = set_plugin_rollout_state.reason, next_open_at = '-infinity',
        forgiven_until = CASE to_state WHEN 'active' THEN at ELSE r.forgiven_until END
    WHERE r.upstream = set_plugin_rollout_state.upstream AND r.sha = set_plugin_rollout_state.sha
      AND r.state = ANY (from_states);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE @extschema@.plugin_rollout_lanes AS l
    SET is_claimable = to_state = 'active' AND l.opened_at IS NOT NULL
    WHERE l.upstream = set_plugin_rollout_state.upstream AND l.sha = set_plugin_rollout_state.sha;
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@.set_plugin_rollout_state(text, text, text[], text, text, timestamptz) IS
    'Brings a release from one of some states to another; false where it is in none of them.';

CREATE FUNCTION @extschema@.stop_failing_plugin_rollout(upstream text, sha text, tier text, at timestamptz)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rollout record;
    failures record;
BEGIN
    -- One at a time, so that failures that are reported at once are counted together. Written in any
    -- case: a transaction with an older snapshot, which cannot count this one's, has to fail.
    UPDATE @extschema@.plugin_rollouts AS r SET state = r.state
    WHERE r.upstream = stop_failing_plugin_rollout.upstream AND r.sha = stop_failing_plugin_rollout.sha
    RETURNING r.state, r.forgiven_until INTO rollout;
    IF rollout.state <> 'active' THEN
        RETURN false;
    END IF;
    failures := @extschema@.plugin_lane_failures(upstream, sha, tier, rollout.forgiven_until);
    RETURN failures.is_too_many AND @extschema@.set_plugin_rollout_state(
        upstream, sha, ARRAY['active'], 'paused',
        format('too many failures %s: %s',
               CASE tier WHEN '' THEN 'outside of all tiers' ELSE 'in tier ' || tier END, failures.failed), at);
END
$$;
COMMENT ON FUNCTION @extschema@.stop_failing_plugin_rollout(text, text, text, timestamptz) IS
    'Pauses a release of which too many updates of a tier failed.';

CREATE FUNCTION @extschema@.open_plugin_lane(upstream text, sha text, tier text, at timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    spread constant interval := @extschema@.plugin_tier_spread(tier);
BEGIN
    UPDATE @extschema@.plugin_rollout_lanes AS l
    SET opened_at = at, is_claimable = true
    WHERE l.upstream = open_plugin_lane.upstream AND l.sha = open_plugin_lane.sha AND l.tier = open_plugin_lane.tier;
    IF spread > interval '0' THEN
        UPDATE @extschema@.plugin_update_queue AS q
        SET due_at = at + spread * random()
        FROM (
            SELECT w.id, w.workspace_id FROM @extschema@.plugin_update_queue AS w
            WHERE w.upstream = open_plugin_lane.upstream AND w.target_sha = open_plugin_lane.sha
              AND w.rollout_tier = open_plugin_lane.tier AND w.status IN ('pending', 'deferred') AND w.due_at <= at
            FOR NO KEY UPDATE SKIP LOCKED) AS w
        WHERE q.id = w.id AND q.workspace_id = w.workspace_id;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.open_plugin_lane(text, text, text, timestamptz) IS
    'Lets a tier get a release, spread over as long as the tier says.';

CREATE FUNCTION @extschema@.plugin_tier_spread(tier text) RETURNS interval
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT COALESCE(CASE $1
        WHEN '' THEN (SELECT p.spread FROM @extschema@.plugin_update_policy AS p)
        ELSE (SELECT t.spread FROM @extschema@.rollout_tiers AS t WHERE t.tier = $1) END, interval '0')
$$;
COMMENT ON FUNCTION @extschema@.plugin_tier_spread(text) IS
    'Over how long the updates of a tier that become possible at once are spread.';

CREATE FUNCTION @extschema@.advance_plugin_rollout(upstream text, sha text, at timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    next_tier text;
    ready record;
    next_at timestamptz;
    is_advanced boolean := false;
BEGIN
    -- One at a time; whoever is at it does it for all.
    PERFORM FROM @extschema@.plugin_rollouts AS r
    WHERE r.upstream = advance_plugin_rollout.upstream AND r.sha = advance_plugin_rollout.sha
      AND r.state = 'active'
    FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    LOOP
        SELECT l.tier INTO next_tier FROM @extschema@.plugin_rollout_lanes AS l
        WHERE l.upstream = advance_plugin_rollout.upstream AND l.sha = advance_plugin_rollout.sha
          AND l.opened_at IS NULL
        ORDER BY @extschema@.plugin_lane_position(l.tier) LIMIT 1;
        next_at := 'infinity';
        EXIT WHEN NOT FOUND;
        ready := @extschema@.plugin_lane_wait(upstream, sha, next_tier);
        -- A lane in which only what is under way is left is looked at until that has ended; for one in
        -- which something waits, the claim that takes the last of it tells.
        next_at := COALESCE(ready.opens_at, CASE WHEN ready.is_waiting THEN 'infinity'::timestamptz ELSE at END);
        EXIT WHEN ready.opens_at IS NULL OR ready.opens_at > at;
        -- Of fewer updates than before the same failures may be too many.
        EXIT WHEN ready.behind IS NOT NULL
              AND @extschema@.stop_failing_plugin_rollout(upstream, sha, ready.behind, at);
        -- A claim waits for nobody who may be waiting for it: it comes by again.
        PERFORM FROM @extschema@.plugin_rollout_lanes AS l
        WHERE l.upstream = advance_plugin_rollout.upstream AND l.sha = advance_plugin_rollout.sha AND l.tier = next_tier
        FOR NO KEY UPDATE SKIP LOCKED;
        next_at := at;
        EXIT WHEN NOT FOUND;
        PERFORM @extschema@.open_plugin_lane(upstream, sha, next_tier, at);
        is_advanced := true;
    END LOOP;
    UPDATE @extschema@.plugin_rollouts AS r SET next_open_at = next_at
    WHERE r.upstream = advance_plugin_rollout.upstream AND r.sha = advance_plugin_rollout.sha
      AND r.next_open_at <> next_at;
    RETURN is_advanced;
END
$$;
COMMENT ON FUNCTION @extschema@.advance_plugin_rollout(text, text, timestamptz) IS
    'Opens the lanes of a release that can open. False where there is none, or somebody else is at it.';

CREATE FUNCTION @extschema@.add_plugin_lanes(
    upstreams text[], shas text[], tiers text[], due timestamptz[], are_rollbacks boolean[], at timestamptz
) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    added bigint;
    opened record;
BEGIN
    INSERT INTO @extschema@.plugin_rollouts (upstream, sha, created_at)
    SELECT DISTINCT n.upstream, n.sha, at
    FROM ROWS FROM (unnest(upstreams), unnest(shas)) AS n (upstream, sha)
    ORDER BY 1, 2
    ON CONFLICT ON CONSTRAINT plugin_rollouts_pkey DO NOTHING;
    -- Nobody forgets them now.
    PERFORM FROM @extschema@.plugin_rollouts AS r
    WHERE (r.upstream, r.sha) IN (
        SELECT n.upstream, n.sha FROM ROWS FROM (unnest(upstreams), unnest(shas)) AS n (upstream, sha))
    ORDER BY r.upstream, r.sha FOR KEY SHARE;
    INSERT INTO @extschema@.plugin_rollout_lanes (upstream, sha, tier)
    SELECT n.upstream, n.sha, n.tier
    FROM ROWS FROM (unnest(upstreams), unnest(shas), unnest(tiers)) AS n (upstream, sha, tier)
    ORDER BY 1, 2, 3
    ON CONFLICT ON CONSTRAINT plugin_rollout_lanes_pkey DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    IF added > 0 THEN
        PERFORM @extschema@.arm_plugin_rollouts(upstreams, shas);
    END IF;
    -- A claim that finds a lane empty at this moment must not put it to rest.
    PERFORM FROM @extschema@.plugin_rollout_lanes AS l
    WHERE (l.upstream, l.sha, l.tier) IN (
        SELECT n.upstream, n.sha, n.tier
        FROM ROWS FROM (unnest(upstreams), unnest(shas), unnest(tiers)) AS n (upstream, sha, tier))
    ORDER BY l.upstream, l.sha, l.tier FOR KEY SHARE;
    UPDATE @extschema@.plugin_rollout_lanes AS l SET next_due_at = w.due
    FROM (
        SELECT l.upstream, l.sha, l.tier, n.due
        FROM (
            SELECT g.upstream, g.sha, g.tier, min(g.due) AS due
            FROM ROWS FROM (unnest(upstreams), unnest(shas), unnest(tiers), unnest(due)) AS g (upstream, sha, tier, due)
            GROUP BY 1, 2, 3) AS n
        JOIN @extschema@.plugin_rollout_lanes AS l
          ON l.upstream = n.upstream AND l.sha = n.sha AND l.tier = n.tier
        WHERE l.next_due_at > n.due
        ORDER BY l.upstream, l.sha, l.tier FOR NO KEY UPDATE OF l) AS w
    WHERE l.upstream = w.upstream AND l.sha = w.sha AND l.tier = w.tier AND l.next_due_at > w.due;
    -- Going back is never to wait for its turn.
    UPDATE @extschema@.plugin_rollout_lanes AS l
    SET opened_at = at, is_claimable = r.state = 'active'
    FROM ROWS FROM (unnest(upstreams), unnest(shas), unnest(tiers), unnest(are_rollbacks))
             AS n (upstream, sha, tier, is_rollback)
    JOIN @extschema@.plugin_rollouts AS r ON r.upstream = n.upstream AND r.sha = n.sha
    WHERE n.is_rollback AND l.upstream = n.upstream AND l.sha = n.sha AND l.tier = n.tier AND l.opened_at IS NULL;
    IF added > 0 THEN
        FOR opened IN
            SELECT DISTINCT n.upstream, n.sha
            FROM ROWS FROM (unnest(upstreams), unnest(shas)) AS n (upstream, sha) ORDER BY 1, 2
        LOOP
            PERFORM @extschema@.advance_plugin_rollout(opened.upstream, opened.sha, at);
        END LOOP;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.add_plugin_lanes(text[], text[], text[], timestamptz[], boolean[], timestamptz) IS
    'Makes known the lanes in which updates stand by now, and that there is something to hand out.';

CREATE FUNCTION @extschema@.hold_workspace_upstreams(workspace_id uuid) RETURNS void
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT FROM @extschema@.plugin_upstreams AS u
    WHERE u.upstream IN (SELECT p.upstream FROM @extschema@.workspace_plugins AS p WHERE p.workspace_id = $1)
    ORDER BY u.upstream FOR NO KEY UPDATE
$$;
COMMENT ON FUNCTION @extschema@.hold_workspace_upstreams(uuid) IS
    'Waits for what observes or records the repositories of a workspace''s plugins, and has others wait.';

CREATE FUNCTION @extschema@.move_plugin_updates() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    upstreams text[];
    shas text[];
    tiers text[];
    due timestamptz[];
    rollbacks boolean[];
BEGIN
    -- An observation or a record that is under way may be adding one; a record may do so from a
    -- repository that is new to the workspace, and has the workspace then.
    PERFORM @extschema@.hold_workspace_upstreams(NEW.workspace_id);
    PERFORM FROM @extschema@.plugin_workspaces AS w WHERE w.workspace_id = NEW.workspace_id FOR UPDATE;
    PERFORM @extschema@.hold_workspace_upstreams(NEW.workspace_id);
    -- Waited for first, so that what follows sees what has become of them.
    PERFORM FROM @extschema@.plugin_update_queue AS q
    WHERE q.workspace_id = NEW.workspace_id AND q.status IN ('pending', 'deferred', 'claimed')
    ORDER BY q.plugin_name FOR NO KEY UPDATE;
    WITH moved AS (
        UPDATE @extschema@.plugin_update_queue AS q
        SET rollout_tier = COALESCE(NEW.rollout_tier, '')
        WHERE q.workspace_id = NEW.workspace_id AND q.status IN ('pending', 'deferred', 'claimed')
        RETURNING q.upstream, q.target_sha::text, q.due_at, q.kind = 'rollback' AS is_rollback
    )
    SELECT array_agg(m.upstream), array_agg(m.target_sha), array_agg(COALESCE(NEW.rollout_tier, '')),
           array_agg(m.due_at), array_agg(m.is_rollback)
    INTO upstreams, shas, tiers, due, rollbacks FROM moved AS m;
    IF upstreams IS NOT NULL THEN
        PERFORM @extschema@.arm_plugin_rollouts(upstreams, shas);
        PERFORM @extschema@.add_plugin_lanes(upstreams, shas, tiers, due, rollbacks, clock_timestamp());
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@.move_plugin_updates() IS
    'Trigger: updates follow their workspace into another tier.';
CREATE TRIGGER plugin_workspaces_moved AFTER UPDATE ON @extschema@.plugin_workspaces
    FOR EACH ROW WHEN (COALESCE(OLD.rollout_tier, '') OPERATOR(pg_catalog.<>) COALESCE(NEW.rollout_tier, ''))
    EXECUTE FUNCTION @extschema@.move_plugin_updates();

CREATE FUNCTION @extschema@.rename_plugin_lanes() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE @extschema@.plugin_rollout_lanes AS l SET tier = NEW.tier WHERE l.tier = OLD.tier;
    UPDATE @extschema@.plugin_update_queue AS q SET rollout_tier = NEW.tier WHERE q.rollout_tier = OLD.tier;
    UPDATE @extschema@.plugin_update_starts AS s SET tier = NEW.tier WHERE s.tier = OLD.tier;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@.rename_plugin_lanes() IS
    'Trigger: what became of a tier''s updates follows it when its name changes.';
-- Before, for the workspaces follow after.
CREATE TRIGGER rollout_tiers_renamed BEFORE UPDATE ON @extschema@.rollout_tiers
    FOR EACH ROW WHEN (OLD.tier OPERATOR(pg_catalog.<>) NEW.tier)
    EXECUTE FUNCTION @extschema@.rename_plugin_lanes();

CREATE FUNCTION @extschema@.reconsider_plugin_rollouts() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE @extschema@.plugin_rollouts AS r SET next_open_at = '-infinity'
    FROM (
        SELECT r.upstream, r.sha FROM @extschema@.plugin_rollouts AS r
        WHERE r.state = 'active'
          AND EXISTS (SELECT FROM @extschema@.plugin_rollout_lanes AS l
                      WHERE l.upstream = r.upstream AND l.sha = r.sha AND l.opened_at IS NULL)
        ORDER BY r.upstream, r.sha FOR NO KEY UPDATE) AS waiting
    WHERE r.upstream = waiting.upstream AND r.sha = waiting.sha;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@.reconsider_plugin_rollouts() IS
    'Trigger: tiers that have changed may let the next lanes open at another time.';
CREATE TRIGGER rollout_tiers_changed AFTER DELETE OR UPDATE OF tier, "position", bake, max_failure_percent
    ON @extschema@.rollout_tiers
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.reconsider_plugin_rollouts();

REVOKE ALL ON FUNCTION @extschema@.arm_plugin_rollouts(text[], text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.set_plugin_rollout_state(text, text, text[], text, text, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.stop_failing_plugin_rollout(text, text, text, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.open_plugin_lane(text, text, text, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.advance_plugin_rollout(text, text, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.add_plugin_lanes(text[], text[], text[], timestamptz[], boolean[], timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.hold_workspace_upstreams(uuid) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.move_plugin_updates() FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.reconsider_plugin_rollouts() FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.rename_plugin_lanes() FROM PUBLIC;
