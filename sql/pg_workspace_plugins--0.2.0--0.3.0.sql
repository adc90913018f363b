-- From 0.2.0 to 0.3.0.

-- What tables of 0.2.0 need, before all that is new or has changed.

ALTER TABLE @extschema@.rollout_tiers
    ADD bake interval NOT NULL DEFAULT '0',
    ADD max_in_flight integer,
    ADD max_failure_percent integer DEFAULT 0,
    ADD max_starts integer,
    ADD starts_interval interval,
    ADD spread interval NOT NULL DEFAULT '0',
    ADD last_started_at timestamptz,
    ADD CONSTRAINT rollout_tiers_bake_check
        CHECK (bake OPERATOR(pg_catalog.>=) interval '0' AND pg_catalog.isfinite(bake)),
    ADD CONSTRAINT rollout_tiers_max_in_flight_check CHECK (max_in_flight OPERATOR(pg_catalog.>=) 1),
    ADD CONSTRAINT rollout_tiers_max_failure_percent_check
        CHECK (max_failure_percent OPERATOR(pg_catalog.>=) 0
           AND max_failure_percent OPERATOR(pg_catalog.<=) 100),
    ADD CONSTRAINT rollout_tiers_max_starts_check CHECK (max_starts OPERATOR(pg_catalog.>=) 1),
    ADD CONSTRAINT rollout_tiers_starts_interval_check
        CHECK ((max_starts IS NULL) OPERATOR(pg_catalog.=) (starts_interval IS NULL)
           AND starts_interval OPERATOR(pg_catalog.>) interval '0' AND pg_catalog.isfinite(starts_interval)),
    ADD CONSTRAINT rollout_tiers_spread_check
        CHECK (spread OPERATOR(pg_catalog.>=) interval '0' AND pg_catalog.isfinite(spread));

ALTER TABLE @extschema@.plugin_targets ADD next_sha @extschema@.commit_sha;

ALTER TABLE @extschema@.plugin_update_queue
    ADD rollout_tier text COLLATE pg_catalog."C" NOT NULL DEFAULT '',
    ADD due_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    ADD attempts integer NOT NULL DEFAULT 0,
    ADD last_error text,
    ADD claimed_by text,
    ADD claimed_at timestamptz,
    ADD claim_token uuid,
    ADD leased_until timestamptz,
    ADD is_outdated boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT plugin_update_queue_kind_check,
    ADD CONSTRAINT plugin_update_queue_kind_check CHECK (kind OPERATOR(pg_catalog.=) ANY (ARRAY[
        'pin_mismatch', 'retarget', 'new_version', 'branch_advanced', 'rollback']));
-- Nobody could claim anything: what is in such a state was written by hand.
UPDATE @extschema@.plugin_update_queue AS q
SET status = 'cancelled', reason = 'claimed before there were claims', finished_at = pg_catalog.clock_timestamp()
WHERE q.status OPERATOR(pg_catalog.=) ANY (ARRAY['claimed', 'deferred']);
ALTER TABLE @extschema@.plugin_update_queue
    ADD CONSTRAINT plugin_update_queue_claimed_check CHECK (
        (status OPERATOR(pg_catalog.=) 'claimed')
            OPERATOR(pg_catalog.=) (claim_token IS NOT NULL AND leased_until IS NOT NULL));
DROP INDEX @extschema@.plugin_update_queue_pending_key;
DROP INDEX @extschema@.plugin_update_queue_subscription_idx;
DROP INDEX @extschema@.plugin_update_queue_finished_at_idx;
DROP TRIGGER workspace_plugins_resourced ON @extschema@.workspace_plugins;

DROP FUNCTION @extschema@.plugin_access();
DROP FUNCTION @extschema@.claim_plugin_upstreams(text, integer, interval, timestamptz);
DROP FUNCTION @extschema@.report_plugin_upstream_error(text, uuid, text, timestamptz);

COMMENT ON COLUMN @extschema@.rollout_tiers.bake IS
    'How long a release has to have been in use here, since its last success, before the next tier gets it.';

COMMENT ON COLUMN @extschema@.rollout_tiers.max_in_flight IS
    'How many updates of the tier may be under way at once, of all releases together; NULL: any number.';

COMMENT ON COLUMN @extschema@.rollout_tiers.max_failure_percent IS
    'A release of which more than this part of the tier''s updates failed is paused; NULL: it never is.';

COMMENT ON COLUMN @extschema@.rollout_tiers.max_starts IS
    'How many updates of the tier may be started in any starts_interval; NULL: any number.';

COMMENT ON COLUMN @extschema@.rollout_tiers.starts_interval IS 'The interval that max_starts is for.';

COMMENT ON COLUMN @extschema@.rollout_tiers.spread IS
    'Over how long the updates that become possible at once are spread, at random.';

COMMENT ON COLUMN @extschema@.rollout_tiers.last_started_at IS
    'When an update was last started under one of the tier''s limits. Kept by claim_plugin_updates().';

CREATE OR REPLACE FUNCTION @extschema@.claim_plugin_upstreams(
    worker text,
    max_upstreams integer DEFAULT 1,
    lease interval DEFAULT '5 minutes',
    skip text[] DEFAULT '{}',
    at timestamptz DEFAULT pg_catalog.clock_timestamp()
) RETURNS TABLE (upstream text, fetch_url text, claim_token uuid, leased_until timestamptz, last_checked_at timestamptz)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    due text[];
    seen text[] := ARRAY[]::text[];
    missing integer := max_upstreams;
    claimed integer;
BEGIN
    IF COALESCE(worker, '') = '' OR COALESCE(max_upstreams, 0) < 1 OR lease IS NULL OR lease <= interval '0' THEN
        RAISE EXCEPTION 'claim_plugin_upstreams: a worker''s name, a positive number and a positive lease are required'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    LOOP
        due := ARRAY(
            SELECT u.upstream FROM @extschema@.plugin_upstreams AS u
            WHERE u.next_check_at <= at AND (u.leased_until IS NULL OR u.leased_until <= at)
              AND u.upstream <> ALL (seen)
              AND NOT EXISTS (SELECT FROM unnest(skip) AS s (prefix) WHERE starts_with(u.upstream, s.prefix))
            ORDER BY u.next_check_at
            LIMIT missing
            FOR NO KEY UPDATE OF u SKIP LOCKED);
        EXIT WHEN due = '{}';
        seen := seen || due;
        -- What nothing tracks any more rests, and takes up no place. Looked at once it is locked, for
        -- somebody may have recorded an install in between.
        UPDATE @extschema@.plugin_upstreams AS u SET next_check_at = 'infinity'
        WHERE u.upstream = ANY (due)
          AND NOT EXISTS (
              SELECT FROM @extschema@.workspace_plugins AS p
              WHERE p.upstream = u.upstream AND p.tracked_ref <> 'none' AND p.tracked_ref NOT LIKE 'sha:%');
        RETURN QUERY
        UPDATE @extschema@.plugin_upstreams AS u
        SET leased_by = worker, lease_token = gen_random_uuid(), leased_until = at + lease
        WHERE u.upstream = ANY (due) AND u.next_check_at < 'infinity'
        RETURNING u.upstream, u.fetch_url, u.lease_token, u.leased_until, u.last_checked_at;
        GET DIAGNOSTICS claimed = ROW_COUNT;
        missing := missing - claimed;
        EXIT WHEN missing = 0;
    END LOOP;
END
$$;

COMMENT ON FUNCTION @extschema@.claim_plugin_upstreams(text, integer, interval, text[], timestamptz) IS
    'Hands out repositories that are due to be looked at, each to one worker at a time, but none whose name starts with one of skip. observe_plugin_upstream(), report_plugin_upstream_error() or release_plugin_upstream() ends the lease.';

CREATE OR REPLACE FUNCTION @extschema@.report_plugin_upstream_error(
    upstream text,
    claim_token uuid,
    error text,
    retry_after interval DEFAULT NULL,
    at timestamptz DEFAULT pg_catalog.clock_timestamp()
) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE @extschema@.plugin_upstreams AS u
    SET failures = u.failures + 1,
        last_error = left(COALESCE(NULLIF(error, ''), 'unknown error'), 1000),
        last_error_at = at,
        next_check_at = at + greatest(
            @extschema@.plugin_retry_delay(u.failures + 1, u.check_interval),
            CASE WHEN retry_after > interval '1 day' THEN interval '1 day' ELSE retry_after END),
        leased_by = NULL, lease_token = NULL, leased_until = NULL
    WHERE u.upstream = report_plugin_upstream_error.upstream AND u.lease_token = claim_token;
    RETURN CASE WHEN FOUND THEN 'reported' ELSE 'stale' END;
END
$$;

COMMENT ON FUNCTION @extschema@.report_plugin_upstream_error(text, uuid, text, interval, timestamptz) IS
    'Ends a lease with a failure: the repository is tried again later, later with each failure, and not before retry_after, up to a day. Answers reported, or stale where the lease has passed to somebody else.';

CREATE FUNCTION @extschema@.release_plugin_upstream(upstream text, claim_token uuid) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE @extschema@.plugin_upstreams AS u
    SET leased_by = NULL, lease_token = NULL, leased_until = NULL
    WHERE u.upstream = release_plugin_upstream.upstream AND u.lease_token = claim_token;
    RETURN CASE WHEN FOUND THEN 'released' ELSE 'stale' END;
END
$$;

COMMENT ON FUNCTION @extschema@.release_plugin_upstream(text, uuid) IS
    'Ends a lease without having looked: the repository is due at once, for anybody. Answers released, or stale where the lease has passed to somebody else.';

REVOKE ALL ON FUNCTION @extschema@.claim_plugin_upstreams(text, integer, interval, text[], timestamptz) FROM PUBLIC;

REVOKE ALL ON FUNCTION @extschema@.report_plugin_upstream_error(text, uuid, text, interval, timestamptz) FROM PUBLIC;

REVOKE ALL ON FUNCTION @extschema@.release_plugin_upstream(text, uuid) FROM PUBLIC;

COMMENT ON COLUMN @extschema@.plugin_targets.next_sha IS
    'The commit that it is to mean once the release under way has reached every tier; NULL: it means the newest.';

CREATE OR REPLACE FUNCTION @extschema@.resolve_plugin_target(
    upstream text, tracked @extschema@.tracked_ref, at timestamptz
) RETURNS @extschema@.plugin_targets
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind constant text := @extschema@.tracked_ref_kind(tracked);
    name constant text := @extschema@.tracked_ref_value(tracked);
    is_observed constant boolean := EXISTS (
        SELECT FROM @extschema@.plugin_upstreams AS u
        WHERE u.upstream = resolve_plugin_target.upstream AND u.last_checked_at IS NOT NULL);
    found bigint;
    ref text;
    sha text;
    state text;
    eligible_at timestamptz;
    min_release_age interval;
BEGIN
    IF kind = 'sha' THEN
        state := 'unresolvable';
        IF @extschema@.is_valid_commit_sha(name) THEN
            state := 'resolved';
            sha := name;
        END IF;
    ELSIF NOT is_observed THEN
        state := 'unobserved';
    ELSIF kind = 'tag' THEN
        SELECT f.ref, f.sha INTO ref, sha
        FROM @extschema@.find_plugin_ref(upstream, 'refs/tags/' || name) AS f;
        state := CASE
            WHEN NOT @extschema@.is_valid_git_ref('refs/tags/' || name) THEN 'unresolvable'
            WHEN sha IS NULL THEN 'ref_missing'
            WHEN @extschema@.is_moved_plugin_tag(upstream, ref, sha) THEN 'tag_moved'
            ELSE 'resolved' END;
    ELSIF kind = 'ref' THEN
        SELECT f.ref, f.sha, f.found INTO ref, sha, found
        FROM @extschema@.find_plugin_ref(upstream, name) AS f;
        state := CASE
            WHEN NOT @extschema@.is_valid_git_ref(
                CASE WHEN starts_with(name, 'refs/') THEN name ELSE 'refs/heads/' || name END)
                THEN 'unresolvable'
            WHEN found = 0 THEN 'ref_missing'
            WHEN found > 1 THEN 'ambiguous_ref'
            ELSE 'resolved' END;
    ELSE
        min_release_age := @extschema@.plugin_min_release_age(upstream);
        SELECT c.ref, c.sha, c.eligible_at INTO ref, sha, eligible_at
        FROM @extschema@.choose_plugin_tag(upstream, tracked, NULL, at) AS c;
        state := CASE
            WHEN sha IS NULL AND @extschema@.tracked_ref_stream(tracked) IS NULL THEN 'unresolvable'
            WHEN sha IS NULL THEN 'no_candidate'
            WHEN @extschema@.is_moved_plugin_tag(upstream, ref, sha) THEN 'tag_moved'
            ELSE 'resolved' END;
    END IF;
    IF state NOT IN ('resolved', 'tag_moved') THEN
        ref := NULL;
        sha := NULL;
    END IF;
    RETURN ROW(upstream, tracked, ref, sha::@extschema@.commit_sha, state, at, eligible_at, min_release_age, NULL)::@extschema@.plugin_targets;
END
$$;

CREATE TABLE @extschema@.plugin_update_policy (
    is_policy boolean NOT NULL DEFAULT true,
    max_attempts integer NOT NULL DEFAULT 5,
    retry_delay interval NOT NULL DEFAULT '1 minute',
    defer_delay interval NOT NULL DEFAULT '10 minutes',
    max_in_flight integer,
    max_failure_percent integer,
    max_starts integer,
    starts_interval interval,
    spread interval NOT NULL DEFAULT '0',
    last_started_at timestamptz,
    CONSTRAINT plugin_update_policy_pkey PRIMARY KEY (is_policy),
    CONSTRAINT plugin_update_policy_is_policy_check CHECK (is_policy),
    CONSTRAINT plugin_update_policy_max_attempts_check CHECK (max_attempts OPERATOR(pg_catalog.>=) 1),
    CONSTRAINT plugin_update_policy_retry_delay_check
        CHECK (retry_delay OPERATOR(pg_catalog.>) interval '0' AND pg_catalog.isfinite(retry_delay)),
    CONSTRAINT plugin_update_policy_defer_delay_check
        CHECK (defer_delay OPERATOR(pg_catalog.>) interval '0' AND pg_catalog.isfinite(defer_delay)),
    CONSTRAINT plugin_update_policy_max_in_flight_check CHECK (max_in_flight OPERATOR(pg_catalog.>=) 1),
    CONSTRAINT plugin_update_policy_max_failure_percent_check
        CHECK (max_failure_percent OPERATOR(pg_catalog.>=) 0
           AND max_failure_percent OPERATOR(pg_catalog.<=) 100),
    CONSTRAINT plugin_update_policy_max_starts_check CHECK (max_starts OPERATOR(pg_catalog.>=) 1),
    CONSTRAINT plugin_update_policy_starts_interval_check
        CHECK ((max_starts IS NULL) OPERATOR(pg_catalog.=) (starts_interval IS NULL)
           AND starts_interval OPERATOR(pg_catalog.>) interval '0' AND pg_catalog.isfinite(starts_interval)),
    CONSTRAINT plugin_update_policy_spread_check
        CHECK (spread OPERATOR(pg_catalog.>=) interval '0' AND pg_catalog.isfinite(spread))
);

COMMENT ON TABLE @extschema@.plugin_update_policy IS
    'How updates are handed out in the whole database: one row. Without it all is as the defaults say.';

COMMENT ON COLUMN @extschema@.plugin_update_policy.is_policy IS 'Always true: there is one policy.';

COMMENT ON COLUMN @extschema@.plugin_update_policy.max_attempts IS
    'After how many failed attempts an update is given up.';

COMMENT ON COLUMN @extschema@.plugin_update_policy.retry_delay IS
    'How long an update waits after its first failed attempt; it doubles with each, up to a day, give or take a quarter.';

COMMENT ON COLUMN @extschema@.plugin_update_policy.defer_delay IS
    'How long an update that was delivered but is not in use yet waits before it is handed out again.';

COMMENT ON COLUMN @extschema@.plugin_update_policy.max_in_flight IS
    'How many updates may be under way at once, of all tiers together; NULL: any number.';

COMMENT ON COLUMN @extschema@.plugin_update_policy.max_failure_percent IS
    'As in rollout_tiers, for the workspaces without a tier; NULL: a release is never paused for them.';

COMMENT ON COLUMN @extschema@.plugin_update_policy.max_starts IS
    'How many updates may be started in any starts_interval, of all tiers together; NULL: any number.';

COMMENT ON COLUMN @extschema@.plugin_update_policy.starts_interval IS 'The interval that max_starts is for.';

COMMENT ON COLUMN @extschema@.plugin_update_policy.spread IS
    'As in rollout_tiers, for the workspaces without a tier.';

COMMENT ON COLUMN @extschema@.plugin_update_policy.last_started_at IS
    'When an update was last started under one of these limits. Kept by claim_plugin_updates().';

CREATE TABLE @extschema@.plugin_update_starts (
    tier text COLLATE pg_catalog."C" NOT NULL,
    started_at timestamptz NOT NULL,
    claim_token uuid NOT NULL,
    updates bigint NOT NULL,
    CONSTRAINT plugin_update_starts_pkey PRIMARY KEY (tier, started_at, claim_token)
);

COMMENT ON TABLE @extschema@.plugin_update_starts IS
    'What was started lately under a limit of starts. Kept by claim_plugin_updates().';

COMMENT ON COLUMN @extschema@.plugin_update_starts.tier IS
    'The tier whose limit it counts for; empty: that of the whole database.';

COMMENT ON COLUMN @extschema@.plugin_update_starts.started_at IS 'When.';

COMMENT ON COLUMN @extschema@.plugin_update_starts.claim_token IS 'By which claim.';

COMMENT ON COLUMN @extschema@.plugin_update_starts.updates IS 'How many updates.';

CREATE TABLE @extschema@.plugin_rollouts (
    upstream text COLLATE pg_catalog."C" NOT NULL,
    sha @extschema@.commit_sha NOT NULL,
    state text NOT NULL DEFAULT 'active',
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    next_open_at timestamptz NOT NULL DEFAULT '-infinity',
    state_since timestamptz,
    reason text,
    forgiven_until timestamptz,
    CONSTRAINT plugin_rollouts_pkey PRIMARY KEY (upstream, sha),
    CONSTRAINT plugin_rollouts_state_check CHECK (state OPERATOR(pg_catalog.=) ANY (ARRAY[
        'active', 'paused', 'aborted', 'rolled_back']))
);

CREATE INDEX plugin_rollouts_next_open_at_idx ON @extschema@.plugin_rollouts (next_open_at)
    WHERE state OPERATOR(pg_catalog.=) 'active';

CREATE INDEX plugin_rollouts_stopped_idx ON @extschema@.plugin_rollouts (upstream, sha)
    WHERE state OPERATOR(pg_catalog.<>) 'active';

COMMENT ON TABLE @extschema@.plugin_rollouts IS
    'Every release, a commit of a repository, that some install is or was to get.';

COMMENT ON COLUMN @extschema@.plugin_rollouts.upstream IS 'The repository.';

COMMENT ON COLUMN @extschema@.plugin_rollouts.sha IS 'The commit.';

COMMENT ON COLUMN @extschema@.plugin_rollouts.state IS
    'active; paused: nothing is handed out; aborted: nor is it wanted any more; rolled_back: what has it gets back what it had before.';

COMMENT ON COLUMN @extschema@.plugin_rollouts.created_at IS 'When some install was first to get it.';

COMMENT ON COLUMN @extschema@.plugin_rollouts.next_open_at IS
    'Not before this can the next tier get it; infinity: not before something else happens.';

COMMENT ON COLUMN @extschema@.plugin_rollouts.state_since IS 'When the state last changed; NULL: never.';

COMMENT ON COLUMN @extschema@.plugin_rollouts.reason IS 'Why it is in this state.';

COMMENT ON COLUMN @extschema@.plugin_rollouts.forgiven_until IS
    'When it was last resumed: earlier failures do not pause it again.';

CREATE TABLE @extschema@.plugin_rollout_lanes (
    upstream text COLLATE pg_catalog."C" NOT NULL,
    sha @extschema@.commit_sha NOT NULL,
    tier text COLLATE pg_catalog."C" NOT NULL,
    opened_at timestamptz,
    is_claimable boolean NOT NULL DEFAULT false,
    next_due_at timestamptz NOT NULL DEFAULT 'infinity',
    CONSTRAINT plugin_rollout_lanes_pkey PRIMARY KEY (upstream, sha, tier),
    CONSTRAINT plugin_rollout_lanes_rollout_fkey FOREIGN KEY (upstream, sha)
        REFERENCES @extschema@.plugin_rollouts (upstream, sha) ON DELETE CASCADE
);

CREATE INDEX plugin_rollout_lanes_claimable_idx ON @extschema@.plugin_rollout_lanes (tier, next_due_at)
    WHERE is_claimable;

COMMENT ON TABLE @extschema@.plugin_rollout_lanes IS
    'The tiers of each release, in which its updates stand.';

COMMENT ON COLUMN @extschema@.plugin_rollout_lanes.upstream IS 'The repository.';

COMMENT ON COLUMN @extschema@.plugin_rollout_lanes.sha IS 'The commit.';

COMMENT ON COLUMN @extschema@.plugin_rollout_lanes.tier IS
    'The tier; empty: the workspaces without one, which come last.';

COMMENT ON COLUMN @extschema@.plugin_rollout_lanes.opened_at IS
    'Since when the tier may get the release; NULL: not yet.';

COMMENT ON COLUMN @extschema@.plugin_rollout_lanes.is_claimable IS
    'Whether updates are handed out: it is open, and the release is active.';

COMMENT ON COLUMN @extschema@.plugin_rollout_lanes.next_due_at IS
    'Nothing that waits here is due before this, so that a claim need not look further back.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.plugin_update_policy'::pg_catalog.regclass, '');

SELECT pg_catalog.pg_extension_config_dump('@extschema@.plugin_update_starts'::pg_catalog.regclass, '');

SELECT pg_catalog.pg_extension_config_dump('@extschema@.plugin_rollouts'::pg_catalog.regclass, '');

SELECT pg_catalog.pg_extension_config_dump('@extschema@.plugin_rollout_lanes'::pg_catalog.regclass, '');

CREATE UNIQUE INDEX plugin_update_queue_pending_key
    ON @extschema@.plugin_update_queue (workspace_id, plugin_name)
    WHERE status OPERATOR(pg_catalog.=) ANY (ARRAY['pending', 'deferred']);

CREATE INDEX plugin_update_queue_failed_idx
    ON @extschema@.plugin_update_queue (workspace_id, plugin_name, target_sha)
    WHERE status OPERATOR(pg_catalog.=) 'failed';

CREATE INDEX plugin_update_queue_lane_idx
    ON @extschema@.plugin_update_queue (upstream, target_sha, rollout_tier, due_at)
    WHERE status OPERATOR(pg_catalog.=) ANY (ARRAY['pending', 'deferred']);

CREATE INDEX plugin_update_queue_outcome_idx
    ON @extschema@.plugin_update_queue (upstream, target_sha, rollout_tier, status, finished_at)
    WHERE status OPERATOR(pg_catalog.=) ANY (ARRAY['claimed', 'applied', 'failed']) AND upstream IS NOT NULL;

CREATE INDEX plugin_update_queue_lease_idx
    ON @extschema@.plugin_update_queue (rollout_tier, leased_until)
    WHERE leased_until IS NOT NULL;

COMMENT ON COLUMN @extschema@.plugin_update_queue.kind IS
    'Why: pin_mismatch, retarget, new_version, branch_advanced or rollback.';

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

CREATE OR REPLACE FUNCTION @extschema@.plugin_update_end_reason(
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

CREATE OR REPLACE FUNCTION @extschema@.cancel_removed_plugin_updates() RETURNS trigger
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

CREATE OR REPLACE FUNCTION @extschema@.cancel_resourced_plugin_updates() RETURNS trigger
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

CREATE OR REPLACE FUNCTION @extschema@.rename_plugin_updates() RETURNS trigger
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

CREATE OR REPLACE FUNCTION @extschema@.dismiss_plugin_update(id uuid, reason text) RETURNS boolean
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

CREATE OR REPLACE FUNCTION @extschema@.prune_plugin_updates(older_than interval) RETURNS bigint
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

REVOKE ALL ON FUNCTION @extschema@.retry_plugin_update(uuid, timestamptz) FROM PUBLIC;

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

CREATE OR REPLACE FUNCTION @extschema@.derive_plugin_updates(
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

REVOKE ALL ON FUNCTION @extschema@.hold_claimed_plugin_updates(text, @extschema@.tracked_ref, uuid[], text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION @extschema@.apply_wanted_plugin_updates(text, @extschema@.tracked_ref, uuid[], text[], timestamptz) FROM PUBLIC;

CREATE FUNCTION @extschema@.is_awaited_plugin_target(
    old @extschema@.plugin_targets, new @extschema@.plugin_targets, at timestamptz
) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bakes constant interval := COALESCE((SELECT sum(t.bake) FROM @extschema@.rollout_tiers AS t), interval '0');
BEGIN
    -- A newer release starts at the first tier again, so that of a branch that moves all the time the
    -- later tiers would never get anything. Once one of their workspaces has waited for an hour longer
    -- than all tiers bake, the release under way is seen through; not for ever, if it is stuck.
    RETURN old.state = 'resolved' AND new.state = 'resolved'
       AND EXISTS (
           SELECT FROM @extschema@.plugin_rollouts AS r
           JOIN @extschema@.plugin_rollout_lanes AS l ON l.upstream = r.upstream AND l.sha = r.sha
           JOIN @extschema@.plugin_update_queue AS q
             ON q.upstream = l.upstream AND q.target_sha = l.sha AND q.rollout_tier = l.tier
            AND q.status IN ('pending', 'deferred')
           WHERE r.upstream = old.upstream AND r.sha = old.sha AND r.state = 'active'
             AND at < r.created_at + 2 * bakes + interval '1 hour'
             AND l.opened_at IS NULL
             AND q.tracked_ref = old.tracked_ref AND q.waiting_since < at - bakes - interval '1 hour');
END
$$;

COMMENT ON FUNCTION @extschema@.is_awaited_plugin_target(@extschema@.plugin_targets, @extschema@.plugin_targets, timestamptz) IS
    'Whether later tiers have waited for long enough that a newer release has to wait for the one under way.';

CREATE OR REPLACE FUNCTION @extschema@.retarget_plugin_upstream(
    upstream text, at timestamptz, before @extschema@.plugin_observation
) RETURNS @extschema@.plugin_observation
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old @extschema@.plugin_targets;
    new @extschema@.plugin_targets;
    derived record;
    report record := before;
    -- Where a stream is followed, the tags below its highest matter as well: they say which version
    -- is installed.
    tags_changed constant boolean := EXISTS (
        SELECT FROM @extschema@.plugin_upstream_refs AS r
        WHERE r.upstream = retarget_plugin_upstream.upstream
          AND r.ref >= 'refs/tags/' AND r.ref < 'refs/tags0'
          AND at IN (r.current_since, r.gone_at, r.accepted_at));
BEGIN
    FOR old IN
        SELECT t.* FROM @extschema@.plugin_targets AS t
        WHERE t.upstream = retarget_plugin_upstream.upstream ORDER BY t.tracked_ref
    LOOP
        new := @extschema@.resolve_plugin_target(old.upstream, old.tracked_ref, at);
        IF new.sha <> old.sha AND @extschema@.is_awaited_plugin_target(old, new, at) THEN
            UPDATE @extschema@.plugin_targets AS t SET next_sha = new.sha
            WHERE t.upstream = old.upstream AND t.tracked_ref = old.tracked_ref AND t.next_sha IS DISTINCT FROM new.sha;
            CONTINUE;
        END IF;
        CONTINUE WHEN (new.state, new.ref, new.sha, new.eligible_at, new.min_release_age, new.next_sha)
                      IS NOT DISTINCT FROM
                      (old.state, old.ref, old.sha, old.eligible_at, old.min_release_age, old.next_sha)
                  AND (NOT tags_changed OR @extschema@.tracked_ref_stream(new.tracked_ref) IS NULL);
        UPDATE @extschema@.plugin_targets AS t
        SET state = new.state, ref = new.ref, sha = new.sha, eligible_at = new.eligible_at,
            min_release_age = new.min_release_age, next_sha = NULL,
            resolved_at = CASE WHEN (new.state, new.sha) IS DISTINCT FROM (old.state, old.sha)
                               THEN new.resolved_at ELSE old.resolved_at END
        WHERE t.upstream = new.upstream AND t.tracked_ref = new.tracked_ref;
        IF (new.state, new.ref, new.sha) IS DISTINCT FROM (old.state, old.ref, old.sha) THEN
            report.targets_changed := report.targets_changed + 1;
        END IF;
        derived := @extschema@.derive_plugin_updates(new.upstream, new.tracked_ref, NULL, NULL, at);
        report.queued := report.queued + derived.queued;
        report.superseded := report.superseded + derived.superseded;
        report.cancelled := report.cancelled + derived.cancelled;
    END LOOP;
    PERFORM @extschema@.notify_plugin_updates(report.queued);
    RETURN report;
END
$$;

CREATE OR REPLACE FUNCTION @extschema@.apply_plugin_refs(
    upstream text, names text[], shas text[], seen_before timestamptz, at timestamptz, OUT added bigint, OUT gone bigint
)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
    -- How many refs there are is not known before: nested loops over them all would never end.
    SET enable_nestloop = off
    SET jit = off
AS $$
BEGIN
    -- A ref of which something newer is known, by observe_plugin_ref(), stays as it is.
    UPDATE @extschema@.plugin_upstream_refs AS r
    SET gone_at = at, last_seen_at = greatest(seen_before, r.current_since), times_gone = r.times_gone + 1
    WHERE r.upstream = apply_plugin_refs.upstream AND r.gone_at IS NULL AND r.current_since < at
      AND NOT EXISTS (
          SELECT FROM ROWS FROM (unnest(names), unnest(shas)) AS i (ref, sha)
          WHERE i.ref = r.ref AND i.sha = r.sha);
    GET DIAGNOSTICS gone = ROW_COUNT;

    INSERT INTO @extschema@.plugin_upstream_refs AS r (upstream, ref, sha, first_seen_at, current_since)
    SELECT apply_plugin_refs.upstream, i.ref, i.sha, at, at
    FROM ROWS FROM (unnest(names), unnest(shas)) AS i (ref, sha)
    WHERE NOT EXISTS (
        SELECT FROM @extschema@.plugin_upstream_refs AS known
        WHERE known.upstream = apply_plugin_refs.upstream AND known.ref = i.ref
          AND (known.gone_at IS NULL OR known.gone_at > at))
    ON CONFLICT ON CONSTRAINT plugin_upstream_refs_pkey DO UPDATE
        SET current_since = excluded.current_since, last_seen_at = NULL, gone_at = NULL;
    GET DIAGNOSTICS added = ROW_COUNT;
END
$$;

CREATE OR REPLACE FUNCTION @extschema@.observe_plugin_upstream(
    upstream text,
    refs jsonb,
    observed_at timestamptz DEFAULT pg_catalog.clock_timestamp(),
    accept_loss boolean DEFAULT false
) RETURNS @extschema@.plugin_observation
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    u @extschema@.plugin_upstreams;
    report record := @extschema@.plugin_observation(NULL);
    fingerprint bytea;
    names text[];
    shas text[];
BEGIN
    IF upstream IS NULL OR refs IS NULL OR observed_at IS NULL THEN
        RAISE EXCEPTION 'observe_plugin_upstream: missing required field "%"',
                        CASE WHEN upstream IS NULL THEN 'upstream' WHEN refs IS NULL THEN 'refs' ELSE 'observed_at' END
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF NOT isfinite(observed_at) THEN
        RAISE EXCEPTION 'observe_plugin_upstream: observed_at has to be finite'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT * INTO u FROM @extschema@.plugin_upstreams AS p
    WHERE p.upstream = observe_plugin_upstream.upstream FOR NO KEY UPDATE;
    -- jsonb has one text for one set of refs.
    fingerprint := sha256(convert_to(refs::text, 'UTF8'));
    IF u.last_checked_at >= observed_at THEN
        report.outcome := 'stale';
        RETURN report;
    ELSIF u.refs_fingerprint IS DISTINCT FROM fingerprint THEN
        SELECT array_agg(d.ref), array_agg(d.sha) INTO names, shas FROM @extschema@.decode_plugin_refs(refs) AS d;
        report.detail := @extschema@.implausible_plugin_refs(upstream, names);
    END IF;

    IF u.upstream IS NULL THEN
        report.outcome := 'untracked';
    ELSIF u.refs_fingerprint = fingerprint THEN
        report.outcome := 'unchanged';
    ELSIF report.detail IS NOT NULL AND NOT COALESCE(accept_loss, false) THEN
        report.outcome := 'refused';
    ELSE
        SELECT a.added, a.gone INTO report.refs_added, report.refs_gone
        FROM @extschema@.apply_plugin_refs(upstream, COALESCE(names, '{}'), COALESCE(shas, '{}'), u.last_checked_at, observed_at) AS a;
        report.outcome := CASE WHEN report.refs_added + report.refs_gone > 0 THEN 'changed' ELSE 'unchanged' END;
    END IF;

    IF report.outcome = 'refused' THEN
        UPDATE @extschema@.plugin_upstreams AS p
        SET failures = p.failures + 1, last_error = report.detail, last_error_at = observed_at,
            next_check_at = observed_at + @extschema@.plugin_retry_delay(p.failures + 1, p.check_interval),
            leased_by = NULL, lease_token = NULL, leased_until = NULL
        WHERE p.upstream = u.upstream;
    ELSIF report.outcome <> 'untracked' THEN
        UPDATE @extschema@.plugin_upstreams AS p
        SET failures = 0, last_error = NULL, last_error_at = NULL, last_checked_at = observed_at,
            last_changed_at = CASE report.outcome WHEN 'changed' THEN observed_at ELSE p.last_changed_at END,
            -- Not where something newer is known than this answer.
            refs_fingerprint = CASE
                WHEN u.refs_fingerprint = fingerprint THEN fingerprint
                WHEN NOT EXISTS (
                    SELECT FROM @extschema@.plugin_upstream_refs AS r
                    WHERE r.upstream = u.upstream AND greatest(r.current_since, r.gone_at) > observed_at)
                    THEN fingerprint END,
            next_check_at = observed_at + p.check_interval * (0.95 + random() / 10),
            leased_by = NULL, lease_token = NULL, leased_until = NULL
        WHERE p.upstream = u.upstream;
        IF u.last_checked_at IS NULL OR report.outcome = 'changed' OR EXISTS (
            SELECT FROM @extschema@.plugin_targets AS t
            WHERE t.upstream = u.upstream
              AND (t.eligible_at <= observed_at OR t.next_sha IS NOT NULL
                   OR t.min_release_age <> (SELECT @extschema@.plugin_min_release_age(u.upstream)))) THEN
            report := @extschema@.retarget_plugin_upstream(u.upstream, observed_at, report);
        END IF;
    END IF;
    RETURN report;
END
$$;

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

CREATE OR REPLACE FUNCTION @extschema@.settle_plugin_installs(workspaces uuid[], plugins text[], at timestamptz)
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

CREATE OR REPLACE FUNCTION @extschema@.detect_plugin_drift(at timestamptz DEFAULT pg_catalog.clock_timestamp()) RETURNS bigint
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

CREATE OR REPLACE FUNCTION @extschema@.plugin_drift_reason(
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

CREATE OR REPLACE VIEW @extschema@.workspace_plugin_drift AS
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

COMMENT ON COLUMN @extschema@.workspace_plugin_drift.state IS
    'in_sync, ahead; pin_mismatch, retarget, new_version, branch_advanced, rollback: queued; tag_moved: held; unknown_baseline, no_upstream, unobserved, unresolvable, ref_missing, ambiguous_ref, no_candidate: cannot be told.';

COMMENT ON COLUMN @extschema@.workspace_plugin_drift.update_id IS 'The update that waits for it, is under way, failed or was dismissed.';

CREATE OR REPLACE VIEW @extschema@.pending_plugin_updates AS
SELECT q.id, q.workspace_id, q.plugin_name, q.tracked_ref, q.kind, q.current_sha,
       q.target_sha AS latest_sha, q.target_ref, q.upstream, q.status, q.created_at, q.waiting_since,
       CASE WHEN q.rollout_tier OPERATOR(pg_catalog.<>) '' THEN q.rollout_tier END AS rollout_tier, q.due_at, q.attempts, q.last_error
FROM @extschema@.plugin_update_queue AS q
JOIN @extschema@.workspace_plugins AS p
  ON p.workspace_id OPERATOR(pg_catalog.=) q.workspace_id AND p.plugin_name OPERATOR(pg_catalog.=) q.plugin_name
 AND p.upstream OPERATOR(pg_catalog.=) q.upstream AND p.tracked_ref OPERATOR(pg_catalog.=) q.tracked_ref
WHERE q.status OPERATOR(pg_catalog.=) ANY (ARRAY['pending', 'deferred']);

COMMENT ON COLUMN @extschema@.pending_plugin_updates.kind IS
    'pin_mismatch, retarget, new_version, branch_advanced or rollback.';

COMMENT ON COLUMN @extschema@.pending_plugin_updates.status IS 'pending; or deferred, where it was delivered but is not in use yet.';

COMMENT ON COLUMN @extschema@.pending_plugin_updates.rollout_tier IS 'The tier of its workspace; NULL: none.';

COMMENT ON COLUMN @extschema@.pending_plugin_updates.due_at IS 'Before this it is not handed out.';

COMMENT ON COLUMN @extschema@.pending_plugin_updates.attempts IS 'How many attempts failed.';

COMMENT ON COLUMN @extschema@.pending_plugin_updates.last_error IS 'Why the last one did.';

CREATE OR REPLACE FUNCTION @extschema@.plugin_drift_counts()
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

CREATE OR REPLACE VIEW @extschema@.plugin_tracking_health AS
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

COMMENT ON COLUMN @extschema@.plugin_tracking_health.claimed_updates IS 'Updates that are under way.';

COMMENT ON COLUMN @extschema@.plugin_tracking_health.failed_updates IS 'Updates that failed for good.';

COMMENT ON COLUMN @extschema@.plugin_tracking_health.paused_rollouts IS 'Releases that are paused.';

CREATE OR REPLACE FUNCTION @extschema@.grant_plugin_access(role regrole, level text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    levels constant text[] := ARRAY['reader', 'recorder', 'worker', 'watcher', 'operator'];
    granted record;
BEGIN
    IF role IS NULL OR role = 0::oid::regrole THEN
        RAISE EXCEPTION 'grant_plugin_access: missing required field "role"'
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF level IS NULL OR level <> ALL (levels) THEN
        RAISE EXCEPTION 'grant_plugin_access: unknown level %', COALESCE(quote_ident(left(level, 64)), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The levels are: ' || array_to_string(levels, ', ') || '.';
    END IF;
    FOR granted IN
        SELECT g.privileges, g.object FROM @extschema@.plugin_access() AS g
        WHERE level = 'operator' OR g.levels && ARRAY['reader', level]
    LOOP
        EXECUTE format('GRANT %s ON %s TO %s', granted.privileges, granted.object, role);
    END LOOP;
END
$$;

COMMENT ON FUNCTION @extschema@.grant_plugin_access(regrole, text) IS
    'Grants a role what it needs as a reader, recorder, worker, watcher or operator. Each includes the reader, and the operator all.';

CREATE FUNCTION @extschema@.plugin_access()
    RETURNS TABLE (levels text[], privileges text, object text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
        ('{reader}'::text[], 'USAGE', 'SCHEMA @extschema@'),
        ('{reader}', 'SELECT', 'TABLE @extschema@.rollout_tiers'),
        ('{reader}', 'SELECT', 'TABLE @extschema@.plugin_workspaces'),
        ('{reader}', 'SELECT', 'TABLE @extschema@.workspace_plugins'),
        ('{reader}', 'SELECT', 'TABLE @extschema@.plugin_upstreams'),
        ('{reader}', 'SELECT', 'TABLE @extschema@.plugin_upstream_refs'),
        ('{reader}', 'SELECT', 'TABLE @extschema@.plugin_targets'),
        ('{reader}', 'SELECT', 'TABLE @extschema@.plugin_update_queue'),
        ('{reader}', 'SELECT', 'TABLE @extschema@.workspace_plugin_drift'),
        ('{reader}', 'SELECT', 'TABLE @extschema@.pending_plugin_updates'),
        ('{reader}', 'SELECT', 'TABLE @extschema@.plugin_tracking_health'),
        ('{reader}', 'SELECT', 'TABLE @extschema@.plugin_update_policy'),
        ('{reader}', 'SELECT', 'TABLE @extschema@.plugin_update_starts'),
        ('{reader}', 'SELECT', 'TABLE @extschema@.plugin_rollouts'),
        ('{reader}', 'SELECT', 'TABLE @extschema@.plugin_rollout_lanes'),
        ('{reader}', 'SELECT', 'TABLE @extschema@.plugin_rollout_progress'),
        ('{recorder}', 'INSERT, UPDATE, DELETE', 'TABLE @extschema@.plugin_workspaces'),
        ('{recorder}', 'INSERT, UPDATE, DELETE', 'TABLE @extschema@.workspace_plugins'),
        -- Recording, and completing, makes known what is tracked, and keeps the queue.
        ('{recorder,worker}', 'INSERT, UPDATE', 'TABLE @extschema@.plugin_upstreams'),
        ('{recorder,worker}', 'INSERT, UPDATE', 'TABLE @extschema@.plugin_targets'),
        ('{recorder,worker}', 'INSERT, UPDATE', 'TABLE @extschema@.plugin_update_queue'),
        ('{recorder,worker}', 'EXECUTE', 'FUNCTION @extschema@.track_plugin_upstream(text, @extschema@.tracked_ref, text, timestamptz)'),
        ('{recorder,worker}', 'EXECUTE', 'FUNCTION @extschema@.settle_plugin_installs(uuid[], text[], timestamptz)'),
        ('{recorder,worker}', 'EXECUTE', 'FUNCTION @extschema@.derive_plugin_updates(text, @extschema@.tracked_ref, uuid[], text[], timestamptz)'),
        ('{recorder,worker}', 'EXECUTE', 'FUNCTION @extschema@.notify_plugin_updates(bigint)'),
        ('{recorder,worker}', 'INSERT, UPDATE', 'TABLE @extschema@.plugin_rollouts'),
        ('{recorder,worker}', 'INSERT, UPDATE', 'TABLE @extschema@.plugin_rollout_lanes'),
        ('{recorder,worker}', 'EXECUTE', 'FUNCTION @extschema@.hold_claimed_plugin_updates(text, @extschema@.tracked_ref, uuid[], text[])'),
        ('{recorder,worker}', 'EXECUTE', 'FUNCTION @extschema@.apply_wanted_plugin_updates(text, @extschema@.tracked_ref, uuid[], text[], timestamptz)'),
        ('{recorder,worker}', 'EXECUTE', 'FUNCTION @extschema@.arm_plugin_rollouts(text[], text[])'),
        ('{recorder}', 'EXECUTE', 'FUNCTION @extschema@.hold_workspace_upstreams(uuid)'),
        ('{recorder,worker}', 'EXECUTE', 'FUNCTION @extschema@.add_plugin_lanes(text[], text[], text[], timestamptz[], boolean[], timestamptz)'),
        ('{recorder,worker}', 'EXECUTE', 'FUNCTION @extschema@.advance_plugin_rollout(text, text, timestamptz)'),
        ('{recorder,worker}', 'EXECUTE', 'FUNCTION @extschema@.open_plugin_lane(text, text, text, timestamptz)'),
        ('{recorder,worker}', 'EXECUTE', 'FUNCTION @extschema@.stop_failing_plugin_rollout(text, text, text, timestamptz)'),
        ('{recorder,worker}', 'EXECUTE', 'FUNCTION @extschema@.set_plugin_rollout_state(text, text, text[], text, text, timestamptz)'),
        ('{recorder}', 'EXECUTE', 'FUNCTION @extschema@.register_plugin_workspace(uuid, text)'),
        ('{recorder}', 'EXECUTE', 'FUNCTION @extschema@.unregister_plugin_workspace(uuid)'),
        ('{recorder}', 'EXECUTE', 'FUNCTION @extschema@.record_workspace_plugin_install(uuid, text, text, text, text)'),
        ('{recorder}', 'EXECUTE', 'FUNCTION @extschema@.record_workspace_plugin_installs(jsonb)'),
        ('{recorder}', 'EXECUTE', 'FUNCTION @extschema@.remove_workspace_plugin(uuid, text)'),
        ('{worker}', 'UPDATE (installed_sha, updated_at)', 'TABLE @extschema@.workspace_plugins'),
        ('{worker}', 'UPDATE (last_started_at)', 'TABLE @extschema@.rollout_tiers'),
        ('{worker}', 'UPDATE (last_started_at)', 'TABLE @extschema@.plugin_update_policy'),
        ('{worker}', 'INSERT, UPDATE, DELETE', 'TABLE @extschema@.plugin_update_starts'),
        ('{worker}', 'EXECUTE', 'FUNCTION @extschema@.claim_plugin_updates(text, integer, interval, timestamptz)'),
        ('{worker}', 'EXECUTE', 'FUNCTION @extschema@.hold_plugin_update_limits()'),
        ('{worker}', 'EXECUTE', 'FUNCTION @extschema@.note_plugin_update_starts(text, bigint, uuid, timestamptz)'),
        ('{worker}', 'EXECUTE', 'FUNCTION @extschema@.tend_plugin_lane(text, text, text, timestamptz, timestamptz)'),
        ('{worker}', 'EXECUTE', 'FUNCTION @extschema@.advance_plugin_rollouts(timestamptz)'),
        ('{worker}', 'EXECUTE', 'FUNCTION @extschema@.expire_plugin_claims(timestamptz)'),
        ('{worker}', 'EXECUTE', 'FUNCTION @extschema@.extend_plugin_update(uuid, uuid, interval, timestamptz)'),
        ('{worker}', 'EXECUTE', 'FUNCTION @extschema@.complete_plugin_update(uuid, uuid, text, boolean, timestamptz)'),
        ('{worker}', 'EXECUTE', 'FUNCTION @extschema@.complete_plugin_updates(uuid[], uuid[], text[], boolean[], timestamptz)'),
        ('{worker}', 'EXECUTE', 'FUNCTION @extschema@.hold_reported_plugin_installs(uuid[], uuid[])'),
        ('{worker}', 'EXECUTE', 'FUNCTION @extschema@.end_plugin_attempts(uuid[], uuid[], text[], boolean[], boolean, timestamptz)'),
        ('{worker}', 'EXECUTE', 'FUNCTION @extschema@.fail_plugin_update(uuid, uuid, text, boolean, timestamptz)'),
        ('{worker}', 'EXECUTE', 'FUNCTION @extschema@.fail_plugin_updates(uuid[], uuid[], text[], boolean[], timestamptz)'),
        ('{operator}', 'INSERT, UPDATE, DELETE', 'TABLE @extschema@.rollout_tiers'),
        ('{operator}', 'INSERT, UPDATE, DELETE', 'TABLE @extschema@.plugin_update_policy'),
        ('{operator}', 'DELETE', 'TABLE @extschema@.plugin_rollouts'),
        ('{operator}', 'INSERT, UPDATE', 'TABLE @extschema@.plugin_upstream_refs'),
        ('{operator}', 'DELETE', 'TABLE @extschema@.plugin_update_queue'),
        ('{operator}', 'DELETE', 'TABLE @extschema@.plugin_targets'),
        ('{watcher}', 'EXECUTE', 'FUNCTION @extschema@.claim_plugin_upstreams(text, integer, interval, text[], timestamptz)'),
        ('{watcher}', 'EXECUTE', 'FUNCTION @extschema@.release_plugin_upstream(text, uuid)'),
        ('{watcher}', 'EXECUTE', 'FUNCTION @extschema@.report_plugin_upstream_error(text, uuid, text, interval, timestamptz)'),
        ('{watcher}', 'EXECUTE', 'FUNCTION @extschema@.observe_plugin_upstream(text, jsonb, timestamptz, boolean)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.observe_plugin_ref(text, text, text, timestamptz)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.observe_plugin_webhook(text, jsonb, timestamptz)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.apply_plugin_refs(text, text[], text[], timestamptz, timestamptz)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.retarget_plugin_upstream(text, timestamptz, @extschema@.plugin_observation)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.accept_moved_tag(text, text, text)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.forget_plugin_targets()'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.detect_plugin_drift(timestamptz)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.dismiss_plugin_update(uuid, text)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.retry_plugin_update(uuid, timestamptz)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.pause_plugin_rollout(text, text, text, timestamptz)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.resume_plugin_rollout(text, text, timestamptz)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.abort_plugin_rollout(text, text, text, timestamptz)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.roll_back_plugin_release(text, text, text, timestamptz)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.rederive_plugin_upstream(text, timestamptz)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.prune_plugin_updates(interval)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.sync_attached_workspace()'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.truncate_attached_workspaces()'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.attach_workspaces(regclass, name)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.detach_workspaces(regclass)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.original_workspace_plugins(regclass)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.workspace_plugins_import(regclass)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.workspace_plugins_import_refusals(regclass)'),
        ('{operator}', 'EXECUTE', 'FUNCTION @extschema@.import_workspace_plugins(regclass)')
$$;

COMMENT ON FUNCTION @extschema@.plugin_access() IS
    'What the levels of grant_plugin_access() grant.';

-- What waits stands in lanes from now on, in the order in which it came.
UPDATE @extschema@.plugin_update_queue AS q
SET due_at = n.due_at, rollout_tier = n.rollout_tier
FROM (
    SELECT q.id, q.workspace_id, COALESCE(w.rollout_tier, '') AS rollout_tier,
           q.waiting_since OPERATOR(pg_catalog.-) (interval '1 microsecond' OPERATOR(pg_catalog.*) (
               pg_catalog.row_number() OVER (ORDER BY q.waiting_since DESC))::double precision) AS due_at
    FROM @extschema@.plugin_update_queue AS q
    LEFT JOIN @extschema@.plugin_workspaces AS w ON w.workspace_id OPERATOR(pg_catalog.=) q.workspace_id
    WHERE q.status OPERATOR(pg_catalog.=) 'pending') AS n
WHERE q.id OPERATOR(pg_catalog.=) n.id AND q.workspace_id OPERATOR(pg_catalog.=) n.workspace_id;
SELECT @extschema@.add_plugin_lanes(
    pg_catalog.array_agg(l.upstream), pg_catalog.array_agg(l.target_sha), pg_catalog.array_agg(l.rollout_tier),
    pg_catalog.array_agg(l.due_at), '{}', pg_catalog.clock_timestamp())
FROM (
    SELECT q.upstream, q.target_sha::text AS target_sha, q.rollout_tier, pg_catalog.min(q.due_at) AS due_at
    FROM @extschema@.plugin_update_queue AS q
    WHERE q.status OPERATOR(pg_catalog.=) 'pending'
    GROUP BY q.upstream, q.target_sha, q.rollout_tier) AS l;
