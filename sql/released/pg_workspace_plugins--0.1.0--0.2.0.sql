-- From 0.1.0 to 0.2.0: observation, drift and the queue of updates.

-- A limit that the table had was planned by every statement that writes; the domain's is not.
ALTER DOMAIN @extschema@.plugin_source ADD
    CONSTRAINT plugin_source_length
        CHECK (pg_catalog.octet_length(VALUE) OPERATOR(pg_catalog.>=) 1
           AND pg_catalog.octet_length(VALUE) OPERATOR(pg_catalog.<=) 2048);
ALTER TABLE @extschema@.workspace_plugins DROP CONSTRAINT workspace_plugins_source_raw_check;

-- The repositories that something tracks, and every ref that was ever seen in them.

CREATE TABLE @extschema@.plugin_upstreams (
    upstream text COLLATE pg_catalog."C" NOT NULL,
    fetch_url text NOT NULL,
    check_interval interval NOT NULL DEFAULT '15 minutes',
    min_release_age interval,
    next_check_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    leased_by text,
    lease_token uuid,
    leased_until timestamptz,
    last_checked_at timestamptz,
    last_changed_at timestamptz,
    refs_fingerprint bytea,
    failures integer NOT NULL DEFAULT 0,
    last_error text,
    last_error_at timestamptz,
    CONSTRAINT plugin_upstreams_pkey PRIMARY KEY (upstream),
    CONSTRAINT plugin_upstreams_check_interval_check
        CHECK (check_interval OPERATOR(pg_catalog.>) interval '0'),
    CONSTRAINT plugin_upstreams_min_release_age_check
        CHECK (min_release_age OPERATOR(pg_catalog.>=) interval '0')
);
CREATE INDEX plugin_upstreams_next_check_at_idx ON @extschema@.plugin_upstreams (next_check_at);
COMMENT ON TABLE @extschema@.plugin_upstreams IS
    'The repositories that something tracks. Rows appear by themselves.';
COMMENT ON COLUMN @extschema@.plugin_upstreams.upstream IS
    'The repository''s identity, as plugin_source_upstream() gives it.';
COMMENT ON COLUMN @extschema@.plugin_upstreams.fetch_url IS
    'Where to ask: the source of the install that first tracked it, without its fragment.';
COMMENT ON COLUMN @extschema@.plugin_upstreams.check_interval IS 'How often to ask.';
COMMENT ON COLUMN @extschema@.plugin_upstreams.min_release_age IS
    'How long a tag has to have been seen on its commit before it may be chosen; NULL: as the setting pg_workspace_plugins.min_release_age says, 0 without it.';
COMMENT ON COLUMN @extschema@.plugin_upstreams.next_check_at IS
    'When to ask next; infinity while nothing tracks it.';
COMMENT ON COLUMN @extschema@.plugin_upstreams.leased_by IS 'Who is asking now.';
COMMENT ON COLUMN @extschema@.plugin_upstreams.lease_token IS 'What proves that it is the one that is asking.';
COMMENT ON COLUMN @extschema@.plugin_upstreams.leased_until IS 'When somebody else may ask.';
COMMENT ON COLUMN @extschema@.plugin_upstreams.last_checked_at IS
    'The time of the last observation; NULL: never observed. Every ref that is not gone was there.';
COMMENT ON COLUMN @extschema@.plugin_upstreams.last_changed_at IS 'The time of the last observation that changed a ref.';
COMMENT ON COLUMN @extschema@.plugin_upstreams.refs_fingerprint IS 'SHA-256 of the last complete answer.';
COMMENT ON COLUMN @extschema@.plugin_upstreams.failures IS 'Failed attempts since the last observation.';
COMMENT ON COLUMN @extschema@.plugin_upstreams.last_error IS 'Why the last attempt failed; NULL once one succeeds.';
COMMENT ON COLUMN @extschema@.plugin_upstreams.last_error_at IS 'When the last attempt failed.';

CREATE TABLE @extschema@.plugin_upstream_refs (
    upstream text COLLATE pg_catalog."C" NOT NULL,
    ref text COLLATE pg_catalog."C" NOT NULL,
    sha @extschema@.commit_sha NOT NULL,
    first_seen_at timestamptz NOT NULL,
    current_since timestamptz NOT NULL,
    last_seen_at timestamptz,
    gone_at timestamptz,
    times_gone integer NOT NULL DEFAULT 0,
    accepted_at timestamptz,
    CONSTRAINT plugin_upstream_refs_pkey PRIMARY KEY (upstream, ref, sha),
    CONSTRAINT plugin_upstream_refs_gone_check
        CHECK ((gone_at IS NULL) OPERATOR(pg_catalog.=) (last_seen_at IS NULL))
);
CREATE UNIQUE INDEX plugin_upstream_refs_current_key
    ON @extschema@.plugin_upstream_refs (upstream, ref) WHERE gone_at IS NULL;
CREATE INDEX plugin_upstream_refs_sha_idx ON @extschema@.plugin_upstream_refs (upstream, sha);
COMMENT ON TABLE @extschema@.plugin_upstream_refs IS
    'Every (ref, commit) that was ever observed, by this database''s clock. Never deleted.';
COMMENT ON COLUMN @extschema@.plugin_upstream_refs.upstream IS 'The repository.';
COMMENT ON COLUMN @extschema@.plugin_upstream_refs.ref IS 'The full name, such as refs/tags/v1.0.0.';
COMMENT ON COLUMN @extschema@.plugin_upstream_refs.sha IS 'The commit, of an annotated tag the one behind it.';
COMMENT ON COLUMN @extschema@.plugin_upstream_refs.first_seen_at IS 'When the ref was first seen on this commit.';
COMMENT ON COLUMN @extschema@.plugin_upstream_refs.current_since IS
    'Since when it has been on this commit, without a gap, until gone_at. A release''s age counts from here.';
COMMENT ON COLUMN @extschema@.plugin_upstream_refs.last_seen_at IS
    'The last observation that saw it; NULL while it is there, which is then the upstream''s last_checked_at.';
COMMENT ON COLUMN @extschema@.plugin_upstream_refs.gone_at IS
    'The observation that missed it, or saw it on another commit; NULL while it is there.';
COMMENT ON COLUMN @extschema@.plugin_upstream_refs.times_gone IS 'How often it went.';
COMMENT ON COLUMN @extschema@.plugin_upstream_refs.accepted_at IS
    'When accept_moved_tag() accepted that the tag points here.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.plugin_upstreams'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.plugin_upstream_refs'::pg_catalog.regclass, '');

CREATE FUNCTION @extschema@.plugin_retry_delay(failures integer, base interval) RETURNS interval
    LANGUAGE sql VOLATILE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- Doubles with each failure up to a day; jitter keeps failures that began together apart.
    SELECT least(base * pow(2, least(greatest(failures, 1) - 1, 20)), interval '1 day')
           * (0.75 + random() / 2)
$$;
COMMENT ON FUNCTION @extschema@.plugin_retry_delay(integer, interval) IS
    'How long to wait after so many failures in a row: exponential from a base to a day, with 25 % of jitter.';

CREATE FUNCTION @extschema@.claim_plugin_upstreams(
    worker text,
    max_upstreams integer DEFAULT 1,
    lease interval DEFAULT '5 minutes',
    at timestamptz DEFAULT pg_catalog.clock_timestamp()
) RETURNS TABLE (upstream text, fetch_url text, claim_token uuid, leased_until timestamptz, last_checked_at timestamptz)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    idle text[];
BEGIN
    IF COALESCE(worker, '') = '' OR COALESCE(max_upstreams, 0) < 1 OR lease IS NULL OR lease <= interval '0' THEN
        RAISE EXCEPTION 'claim_plugin_upstreams: a worker''s name, a positive number and a positive lease are required'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- What nothing tracks any more rests, and takes up no place. Looked at again once it is locked,
    -- for somebody may have recorded an install in between.
    idle := ARRAY(
        SELECT u.upstream FROM @extschema@.plugin_upstreams AS u
        WHERE u.next_check_at <= at AND (u.leased_until IS NULL OR u.leased_until <= at)
          AND NOT EXISTS (
              SELECT FROM @extschema@.workspace_plugins AS p
              WHERE p.upstream = u.upstream AND p.tracked_ref <> 'none' AND p.tracked_ref NOT LIKE 'sha:%')
        FOR NO KEY UPDATE OF u SKIP LOCKED);
    UPDATE @extschema@.plugin_upstreams AS u SET next_check_at = 'infinity'
    WHERE u.upstream = ANY (idle)
      AND NOT EXISTS (
          SELECT FROM @extschema@.workspace_plugins AS p
          WHERE p.upstream = u.upstream AND p.tracked_ref <> 'none' AND p.tracked_ref NOT LIKE 'sha:%');
    RETURN QUERY
    WITH due AS (
        SELECT u.upstream
        FROM @extschema@.plugin_upstreams AS u
        WHERE u.next_check_at <= at AND (u.leased_until IS NULL OR u.leased_until <= at)
          AND EXISTS (
              SELECT FROM @extschema@.workspace_plugins AS p
              WHERE p.upstream = u.upstream AND p.tracked_ref <> 'none' AND p.tracked_ref NOT LIKE 'sha:%')
        ORDER BY u.next_check_at
        LIMIT max_upstreams
        FOR NO KEY UPDATE OF u SKIP LOCKED
    )
    UPDATE @extschema@.plugin_upstreams AS u
    SET leased_by = worker, lease_token = gen_random_uuid(), leased_until = at + lease
    FROM due WHERE u.upstream = due.upstream
    RETURNING u.upstream, u.fetch_url, u.lease_token, u.leased_until, u.last_checked_at;
END
$$;
COMMENT ON FUNCTION @extschema@.claim_plugin_upstreams(text, integer, interval, timestamptz) IS
    'Hands out repositories that are due to be looked at, each to one worker at a time. observe_plugin_upstream() or report_plugin_upstream_error() ends the lease.';

CREATE FUNCTION @extschema@.report_plugin_upstream_error(
    upstream text,
    claim_token uuid,
    error text,
    at timestamptz DEFAULT pg_catalog.clock_timestamp()
) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE @extschema@.plugin_upstreams AS u
    SET failures = u.failures + 1,
        last_error = left(COALESCE(NULLIF(error, ''), 'unknown error'), 1000),
        last_error_at = at,
        next_check_at = at + @extschema@.plugin_retry_delay(u.failures + 1, u.check_interval),
        leased_by = NULL, lease_token = NULL, leased_until = NULL
    WHERE u.upstream = report_plugin_upstream_error.upstream AND u.lease_token = claim_token;
    RETURN CASE WHEN FOUND THEN 'reported' ELSE 'stale' END;
END
$$;
COMMENT ON FUNCTION @extschema@.report_plugin_upstream_error(text, uuid, text, timestamptz) IS
    'Ends a lease with a failure: the repository is tried again later, later with each failure. Answers reported, or stale where the lease has passed to somebody else.';

REVOKE ALL ON FUNCTION @extschema@.claim_plugin_upstreams(text, integer, interval, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.report_plugin_upstream_error(text, uuid, text, timestamptz) FROM PUBLIC;

-- What each subscription, a (repository, tracked ref) that some install has, means right now.

CREATE TABLE @extschema@.plugin_targets (
    upstream text COLLATE pg_catalog."C" NOT NULL,
    tracked_ref @extschema@.tracked_ref NOT NULL,
    ref text COLLATE pg_catalog."C",
    sha @extschema@.commit_sha,
    state text NOT NULL,
    resolved_at timestamptz NOT NULL,
    eligible_at timestamptz,
    min_release_age interval,
    CONSTRAINT plugin_targets_pkey PRIMARY KEY (upstream, tracked_ref),
    CONSTRAINT plugin_targets_state_check CHECK (state OPERATOR(pg_catalog.=) ANY (ARRAY[
        'resolved', 'unobserved', 'unresolvable', 'ref_missing', 'ambiguous_ref', 'no_candidate',
        'tag_moved'])),
    CONSTRAINT plugin_targets_sha_check
        CHECK ((state OPERATOR(pg_catalog.=) ANY (ARRAY['resolved', 'tag_moved']))
               OPERATOR(pg_catalog.=) (sha IS NOT NULL))
);
CREATE INDEX plugin_targets_eligible_at_idx ON @extschema@.plugin_targets (eligible_at)
    WHERE eligible_at IS NOT NULL;
COMMENT ON TABLE @extschema@.plugin_targets IS
    'What each subscription means right now: one row for all installs that follow the same ref of the same repository.';
COMMENT ON COLUMN @extschema@.plugin_targets.upstream IS 'The repository.';
COMMENT ON COLUMN @extschema@.plugin_targets.tracked_ref IS 'What is followed.';
COMMENT ON COLUMN @extschema@.plugin_targets.ref IS 'The ref that it means, such as refs/tags/v1.2.0; NULL for a commit.';
COMMENT ON COLUMN @extschema@.plugin_targets.sha IS 'The commit that it means.';
COMMENT ON COLUMN @extschema@.plugin_targets.state IS
    'resolved; or why it may not be followed: unobserved, unresolvable, ref_missing, ambiguous_ref, no_candidate, tag_moved.';
COMMENT ON COLUMN @extschema@.plugin_targets.resolved_at IS 'Since when it means this.';
COMMENT ON COLUMN @extschema@.plugin_targets.eligible_at IS
    'When the next tag that is too young now reaches its minimum age.';
COMMENT ON COLUMN @extschema@.plugin_targets.min_release_age IS
    'The minimum age that the tag was chosen by; NULL where none is chosen.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.plugin_targets'::pg_catalog.regclass, '');

-- Range scans over installed_sha find what differs from a target without looking at what does not.
CREATE INDEX workspace_plugins_subscription_idx
    ON @extschema@.workspace_plugins (upstream, tracked_ref, installed_sha)
    WHERE tracked_ref OPERATOR(pg_catalog.<>) 'none';

CREATE FUNCTION @extschema@.compare_plugin_versions(tracked @extschema@.tracked_ref, installed text, target text)
    RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'compare_plugin_versions_wrapper';
COMMENT ON FUNCTION @extschema@.compare_plugin_versions(@extschema@.tracked_ref, text, text) IS
    'Where the target tag stands to the installed one in the stream that is tracked: above, equal, below, or jump where it is more than 500 majors above. NULL where one is not in the stream.';

CREATE FUNCTION @extschema@.tracked_ref_stream(tracked @extschema@.tracked_ref) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tracked_ref_stream_wrapper';
COMMENT ON FUNCTION @extschema@.tracked_ref_stream(@extschema@.tracked_ref) IS
    'The whole stream of a range, as a tracked ref: tag:plugin-a/* for tag:plugin-a/^1.2. NULL where there is none.';

CREATE FUNCTION @extschema@.is_valid_git_ref(ref text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'is_valid_git_ref_wrapper';
COMMENT ON FUNCTION @extschema@.is_valid_git_ref(text) IS 'Whether git takes a text as a full ref, such as refs/heads/main.';

CREATE FUNCTION @extschema@.plugin_min_release_age(upstream text) RETURNS interval
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT COALESCE(
        (SELECT u.min_release_age FROM @extschema@.plugin_upstreams AS u WHERE u.upstream = $1),
        NULLIF(current_setting('pg_workspace_plugins.min_release_age', true), '')::interval,
        interval '0')
$$;
COMMENT ON FUNCTION @extschema@.plugin_min_release_age(text) IS
    'How long a tag of a repository has to have been seen on its commit before it may be chosen.';

CREATE FUNCTION @extschema@.is_moved_plugin_tag(upstream text, ref text, sha text) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- The commit that was accepted last, else the one that was seen first, is the tag's own.
    SELECT COALESCE($3 <> (
        SELECT r.sha FROM @extschema@.plugin_upstream_refs AS r
        WHERE r.upstream = $1 AND r.ref = $2
        ORDER BY r.accepted_at DESC NULLS LAST, r.first_seen_at, r.sha
        LIMIT 1), false)
$$;
COMMENT ON FUNCTION @extschema@.is_moved_plugin_tag(text, text, text) IS
    'Whether a tag points elsewhere than where it was first seen or last accepted.';

CREATE FUNCTION @extschema@.choose_plugin_tag(
    upstream text, tracked @extschema@.tracked_ref, installed text, at timestamptz,
    OUT ref text, OUT sha text, OUT eligible_at timestamptz
)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    age constant interval := @extschema@.plugin_min_release_age(choose_plugin_tag.upstream);
    -- Without a minimum age also what was seen later than at, by an observation that came first.
    seen_by constant timestamptz := CASE WHEN age > interval '0' THEN at - age ELSE 'infinity' END;
    tags text[];
BEGIN
    SELECT array_agg(substr(r.ref, 11)) FILTER (WHERE r.current_since <= seen_by),
           at + (min(r.current_since) FILTER (WHERE r.current_since > seen_by
               AND @extschema@.resolve_tag(tracked, ARRAY[substr(r.ref, 11)], installed) IS NOT NULL) - (at - age))
    INTO tags, eligible_at
    FROM @extschema@.plugin_upstream_refs AS r
    WHERE r.upstream = choose_plugin_tag.upstream AND r.gone_at IS NULL
      AND r.ref >= 'refs/tags/' AND r.ref < 'refs/tags0';
    ref := 'refs/tags/' || @extschema@.resolve_tag(tracked, tags, installed);
    SELECT r.sha::text INTO sha FROM @extschema@.plugin_upstream_refs AS r
    WHERE r.upstream = choose_plugin_tag.upstream AND r.ref = choose_plugin_tag.ref AND r.gone_at IS NULL;
END
$$;
COMMENT ON FUNCTION @extschema@.choose_plugin_tag(text, @extschema@.tracked_ref, text, timestamptz) IS
    'The highest tag of a stream that is old enough, and when the next one will be.';

CREATE FUNCTION @extschema@.find_plugin_ref(upstream text, name text, OUT ref text, OUT sha text, OUT found bigint)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- A full name means itself; a short one a branch or a tag, and where there is both, neither.
    SELECT min(r.ref), min(r.sha::text), count(*)
    FROM @extschema@.plugin_upstream_refs AS r
    WHERE r.upstream = $1 AND r.gone_at IS NULL
      AND r.ref = ANY (CASE WHEN starts_with($2, 'refs/') THEN ARRAY[$2]
                            ELSE ARRAY['refs/heads/' || $2, 'refs/tags/' || $2] END)
$$;
COMMENT ON FUNCTION @extschema@.find_plugin_ref(text, text) IS
    'The branch or tag of a name, and how many of that name there are.';

CREATE FUNCTION @extschema@.resolve_plugin_target(
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
    RETURN ROW(upstream, tracked, ref, sha::@extschema@.commit_sha, state, at, eligible_at, min_release_age)::@extschema@.plugin_targets;
END
$$;
COMMENT ON FUNCTION @extschema@.resolve_plugin_target(text, @extschema@.tracked_ref, timestamptz) IS
    'What a subscription means, by the refs that were observed.';

CREATE FUNCTION @extschema@.judge_plugin_install(
    target @extschema@.plugin_targets, installed @extschema@.commit_sha, at timestamptz,
    OUT state text, OUT ref text, OUT sha text
)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    -- Not as its callers have it: this is called once for each commit.
    SET plan_cache_mode = auto
AS $$
DECLARE
    kind constant text := @extschema@.tracked_ref_kind(target.tracked_ref);
    installed_tag text;
    standing text;
BEGIN
    ref := target.ref;
    sha := target.sha;
    IF installed IS NULL THEN
        state := 'unknown_baseline';
    ELSIF installed = target.sha THEN
        state := 'in_sync';
    ELSIF target.state IS DISTINCT FROM 'resolved'
        AND NOT COALESCE(target.state = 'tag_moved' AND kind IN ('latest', 'range'), false) THEN
        state := COALESCE(target.state, 'unobserved');
    ELSIF kind IN ('sha', 'tag', 'ref') THEN
        state := CASE kind WHEN 'sha' THEN 'pin_mismatch' WHEN 'tag' THEN 'retarget' ELSE 'branch_advanced' END;
    ELSE
        installed_tag := @extschema@.plugin_tag_of_commit(target.upstream, target.tracked_ref, installed);
        standing := @extschema@.compare_plugin_versions(
            target.tracked_ref, installed_tag, substr(target.ref, 11));
        IF standing = 'jump' THEN
            SELECT c.ref, c.sha INTO ref, sha
            FROM @extschema@.choose_plugin_tag(target.upstream, target.tracked_ref, installed_tag, at) AS c;
            standing := @extschema@.compare_plugin_versions(
                target.tracked_ref, installed_tag, substr(ref, 11));
        END IF;
        state := CASE
            WHEN sha IS NULL THEN 'no_candidate'
            WHEN installed = sha THEN 'in_sync'
            WHEN standing = 'below' THEN 'ahead'
            WHEN @extschema@.is_moved_plugin_tag(target.upstream, ref, sha) THEN 'tag_moved'
            -- Another commit under the same tag, by now accepted. Another tag of equal precedence is
            -- the higher by its build metadata or its name.
            WHEN standing = 'equal' AND installed_tag = substr(ref, 11) THEN 'retarget'
            ELSE 'new_version' END;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.judge_plugin_install(@extschema@.plugin_targets, @extschema@.commit_sha, timestamptz) IS
    'How an installed commit stands to its subscription''s target, and which ref and commit it is to get.';

CREATE FUNCTION @extschema@.plugin_tag_of_commit(
    upstream text, tracked @extschema@.tracked_ref, sha text
) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- Also by tags that are gone: what was installed keeps its version.
    SELECT @extschema@.resolve_tag(@extschema@.tracked_ref_stream($2), array_agg(substr(r.ref, 11)))
    FROM @extschema@.plugin_upstream_refs AS r
    WHERE r.upstream = $1 AND r.sha = $3 AND starts_with(r.ref, 'refs/tags/')
$$;
COMMENT ON FUNCTION @extschema@.plugin_tag_of_commit(text, @extschema@.tracked_ref, text) IS
    'The highest tag of a stream that was ever seen on a commit.';

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

-- What upstream has: complete answers of git ls-remote, and single refs.

CREATE FUNCTION @extschema@.decode_plugin_refs(refs jsonb) RETURNS TABLE (ref text, sha text)
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'decode_plugin_refs_wrapper';
COMMENT ON FUNCTION @extschema@.decode_plugin_refs(jsonb) IS
    'The refs of an answer of git ls-remote, annotated tags with the commit behind them. SQLSTATE 22023 where it is none.';

-- What an observation did.
CREATE TYPE @extschema@.plugin_observation AS (
    outcome text, detail text, refs_added bigint, refs_gone bigint, targets_changed bigint,
    queued bigint, superseded bigint, cancelled bigint
);
COMMENT ON TYPE @extschema@.plugin_observation IS
    'What an observation did: its outcome (changed, unchanged, stale, refused, untracked, scheduled or ignored), and counts.';

CREATE FUNCTION @extschema@.plugin_observation(outcome text) RETURNS @extschema@.plugin_observation
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ROW($1, NULL::text, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint)::@extschema@.plugin_observation
$$;
COMMENT ON FUNCTION @extschema@.plugin_observation(text) IS 'An observation that did nothing yet.';

CREATE FUNCTION @extschema@.retarget_plugin_upstream(
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
        CONTINUE WHEN (new.state, new.ref, new.sha, new.eligible_at, new.min_release_age)
                      IS NOT DISTINCT FROM (old.state, old.ref, old.sha, old.eligible_at, old.min_release_age)
                  AND (NOT tags_changed OR @extschema@.tracked_ref_stream(new.tracked_ref) IS NULL);
        UPDATE @extschema@.plugin_targets AS t
        SET state = new.state, ref = new.ref, sha = new.sha, eligible_at = new.eligible_at,
            min_release_age = new.min_release_age,
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
COMMENT ON FUNCTION @extschema@.retarget_plugin_upstream(text, timestamptz, @extschema@.plugin_observation) IS
    'Resolves what follows a repository anew, and brings the queue to it where something changed. The caller holds the upstream''s lock.';

CREATE FUNCTION @extschema@.notify_plugin_updates(queued bigint) RETURNS void
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- Equal notifications of one transaction are delivered as one.
    SELECT pg_notify(('plugin_updates.' || pronamespace::regnamespace::text)::name::text, '')
    FROM pg_proc
    WHERE oid = '@extschema@.notify_plugin_updates'::regproc AND $1 > 0
      AND COALESCE(NULLIF(current_setting('pg_workspace_plugins.notify', true), ''), 'off')::boolean
$$;
COMMENT ON FUNCTION @extschema@.notify_plugin_updates(bigint) IS
    'Tells those who LISTEN to "plugin_updates.<schema>" that updates are waiting; only with the setting pg_workspace_plugins.notify on.';

CREATE FUNCTION @extschema@.apply_plugin_refs(
    upstream text, names text[], shas text[], seen_before timestamptz, at timestamptz, OUT added bigint, OUT gone bigint
)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
    -- How many refs there are is not known before: nested loops over them all would never end.
    SET enable_nestloop = off
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
COMMENT ON FUNCTION @extschema@.apply_plugin_refs(text, text[], text[], timestamptz, timestamptz) IS
    'Brings the ledger of refs to a complete answer. The caller holds the upstream''s lock.';

CREATE FUNCTION @extschema@.implausible_plugin_refs(upstream text, names text[]) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- A login page, a wrong repository or a broken mirror, rather than a mass deletion.
    SELECT CASE
        WHEN COALESCE(cardinality($2), 0) = 0 THEN 'the answer holds no ref'
        WHEN known.tags >= 10 AND known.lost * 2 > known.tags
            THEN format('the answer lost %s of %s tags', known.lost, known.tags)
    END
    FROM (
        WITH tag AS (
            SELECT r.ref FROM @extschema@.plugin_upstream_refs AS r
            WHERE r.upstream = $1 AND r.gone_at IS NULL AND r.ref >= 'refs/tags/' AND r.ref < 'refs/tags0'
        )
        -- A difference of sets, which is hashed whatever the planner thinks of the array's size.
        SELECT (SELECT count(*) FROM tag) AS tags,
               (SELECT count(*) FROM (SELECT ref FROM tag EXCEPT SELECT unnest($2)) AS gone) AS lost
    ) AS known
$$;
COMMENT ON FUNCTION @extschema@.implausible_plugin_refs(text, text[]) IS
    'Why a complete answer is not to be believed; NULL where it is.';

CREATE FUNCTION @extschema@.observe_plugin_upstream(
    upstream text,
    refs jsonb,
    observed_at timestamptz DEFAULT pg_catalog.clock_timestamp(),
    accept_loss boolean DEFAULT false
) RETURNS @extschema@.plugin_observation
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
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
              AND (t.eligible_at <= observed_at
                   OR t.min_release_age <> (SELECT @extschema@.plugin_min_release_age(u.upstream)))) THEN
            report := @extschema@.retarget_plugin_upstream(u.upstream, observed_at, report);
        END IF;
    END IF;
    RETURN report;
END
$$;
COMMENT ON FUNCTION @extschema@.observe_plugin_upstream(text, jsonb, timestamptz, boolean) IS
    'Takes the complete answer of one git ls-remote, as an object of full refs and commits, and brings the ledger, the targets and the queue to it. An answer that lost everything, or most tags, is refused unless accept_loss.';

CREATE FUNCTION @extschema@.observe_plugin_ref(
    upstream text, ref text, sha text, observed_at timestamptz DEFAULT pg_catalog.clock_timestamp()
) RETURNS @extschema@.plugin_observation
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    u @extschema@.plugin_upstreams;
    report record := @extschema@.plugin_observation('unchanged');
    -- All zeros is how git says that a ref is no more.
    target constant text := CASE WHEN sha ~ '^(0{40}|0{64})$' THEN NULL ELSE NULLIF(sha, '') END;
BEGIN
    IF COALESCE(upstream, '') = '' OR observed_at IS NULL THEN
        RAISE EXCEPTION 'observe_plugin_ref: missing required field "%"',
                        CASE WHEN observed_at IS NULL THEN 'observed_at' ELSE 'upstream' END
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF NOT isfinite(observed_at) THEN
        RAISE EXCEPTION 'observe_plugin_ref: observed_at has to be finite'
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF NOT COALESCE(@extschema@.is_valid_git_ref(ref), false) THEN
        RAISE EXCEPTION 'observe_plugin_ref: not a full ref of git: %', COALESCE(quote_literal(left(ref, 128)), 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF NOT COALESCE(@extschema@.is_valid_commit_sha(target), true) THEN
        RAISE EXCEPTION 'observe_plugin_ref: invalid sha %: expected 40 or 64 lower-case hexadecimal digits', quote_literal(left(sha, 64))
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT * INTO u FROM @extschema@.plugin_upstreams AS p
    WHERE p.upstream = observe_plugin_ref.upstream FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        report.outcome := 'untracked';
        RETURN report;
    ELSIF u.last_checked_at >= observed_at OR EXISTS (
        SELECT FROM @extschema@.plugin_upstream_refs AS r
        WHERE r.upstream = u.upstream AND r.ref = observe_plugin_ref.ref
          AND greatest(r.current_since, r.gone_at) >= observed_at) THEN
        report.outcome := 'stale';
        RETURN report;
    ELSIF u.last_checked_at IS NULL THEN
        -- One ref is not a repository: nothing can be resolved before the first complete answer.
        UPDATE @extschema@.plugin_upstreams AS p
        SET next_check_at = least(p.next_check_at, observed_at) WHERE p.upstream = u.upstream;
        report.outcome := 'scheduled';
        RETURN report;
    END IF;

    UPDATE @extschema@.plugin_upstream_refs AS r
    SET gone_at = observed_at, last_seen_at = greatest(u.last_checked_at, r.current_since), times_gone = r.times_gone + 1
    WHERE r.upstream = u.upstream AND r.ref = observe_plugin_ref.ref AND r.gone_at IS NULL
      AND r.sha IS DISTINCT FROM target;
    GET DIAGNOSTICS report.refs_gone = ROW_COUNT;
    INSERT INTO @extschema@.plugin_upstream_refs AS r (upstream, ref, sha, first_seen_at, current_since)
    SELECT u.upstream, observe_plugin_ref.ref, target, observed_at, observed_at
    WHERE target IS NOT NULL AND NOT EXISTS (
        SELECT FROM @extschema@.plugin_upstream_refs AS known
        WHERE known.upstream = u.upstream AND known.ref = observe_plugin_ref.ref AND known.gone_at IS NULL)
    ON CONFLICT ON CONSTRAINT plugin_upstream_refs_pkey DO UPDATE
        SET current_since = excluded.current_since, last_seen_at = NULL, gone_at = NULL;
    GET DIAGNOSTICS report.refs_added = ROW_COUNT;
    IF report.refs_added + report.refs_gone > 0 THEN
        report.outcome := 'changed';
        -- The last complete answer is no longer what is known.
        UPDATE @extschema@.plugin_upstreams AS p
        SET refs_fingerprint = NULL, last_changed_at = observed_at WHERE p.upstream = u.upstream;
        report := @extschema@.retarget_plugin_upstream(u.upstream, observed_at, report);
    END IF;
    RETURN report;
END
$$;
COMMENT ON FUNCTION @extschema@.observe_plugin_ref(text, text, text, timestamptz) IS
    'Takes what is known of a single ref: its commit, or NULL or zeros where it is gone.';

CREATE FUNCTION @extschema@.accept_moved_tag(upstream text, tag text, sha text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    accepted boolean;
    at constant timestamptz := clock_timestamp();
BEGIN
    PERFORM FROM @extschema@.plugin_upstreams AS u
    WHERE u.upstream = accept_moved_tag.upstream FOR NO KEY UPDATE;
    UPDATE @extschema@.plugin_upstream_refs AS r
    SET accepted_at = at
    WHERE r.upstream = accept_moved_tag.upstream AND r.ref = 'refs/tags/' || tag
      AND r.sha = accept_moved_tag.sha AND r.gone_at IS NULL
      AND @extschema@.is_moved_plugin_tag(r.upstream, r.ref, r.sha);
    accepted := FOUND;
    IF accepted THEN
        PERFORM @extschema@.retarget_plugin_upstream(
            accept_moved_tag.upstream, at, @extschema@.plugin_observation(NULL));
    END IF;
    RETURN accepted;
END
$$;
COMMENT ON FUNCTION @extschema@.accept_moved_tag(text, text, text) IS
    'Accepts that a tag points to another commit than before: what follows it is no longer held. False where the tag is not held, or points elsewhere by now.';

CREATE FUNCTION @extschema@.decode_plugin_webhook(provider text, payload jsonb)
    RETURNS TABLE (event text, action text, url text, ref text, sha text)
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'decode_plugin_webhook_wrapper';
COMMENT ON FUNCTION @extschema@.decode_plugin_webhook(text, jsonb) IS
    'What a webhook of github, gitea or gitlab says: one row a URL of the repository; action set, gone, check or ignore.';

CREATE FUNCTION @extschema@.observe_plugin_webhook(
    provider text, payload jsonb, observed_at timestamptz DEFAULT pg_catalog.clock_timestamp()
) RETURNS @extschema@.plugin_observation
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hook record;
    tracked text;
    one record;
    report record := @extschema@.plugin_observation('untracked');
BEGIN
    IF provider IS NULL OR payload IS NULL OR observed_at IS NULL THEN
        RAISE EXCEPTION 'observe_plugin_webhook: missing required field "%"',
                        CASE WHEN provider IS NULL THEN 'provider' WHEN payload IS NULL THEN 'payload' ELSE 'observed_at' END
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT d.event, d.action, d.ref, d.sha INTO hook
    FROM @extschema@.decode_plugin_webhook(provider, payload) AS d LIMIT 1;
    IF hook.action = 'ignore' THEN
        report.outcome := 'ignored';
        report.detail := hook.event;
        RETURN report;
    END IF;
    -- A repository may be tracked by several of its URLs at once.
    FOR tracked IN
        SELECT DISTINCT u.upstream FROM @extschema@.decode_plugin_webhook(provider, payload) AS d
        JOIN @extschema@.plugin_upstreams AS u ON u.upstream = @extschema@.plugin_source_upstream(d.url)
        ORDER BY u.upstream
    LOOP
        -- A webhook may come late, twice or out of order: git is asked soon, and has the last word.
        UPDATE @extschema@.plugin_upstreams AS u
        SET next_check_at = least(u.next_check_at, observed_at
                + CASE hook.action WHEN 'check' THEN interval '0' ELSE interval '1 minute' END)
        WHERE u.upstream = tracked AND u.next_check_at < 'infinity';
        IF hook.action = 'check' THEN
            report.outcome := 'scheduled';
        ELSE
            one := @extschema@.observe_plugin_ref(tracked, hook.ref, hook.sha, observed_at);
            one.refs_added := one.refs_added + report.refs_added;
            one.refs_gone := one.refs_gone + report.refs_gone;
            one.targets_changed := one.targets_changed + report.targets_changed;
            one.queued := one.queued + report.queued;
            one.superseded := one.superseded + report.superseded;
            one.cancelled := one.cancelled + report.cancelled;
            report := one;
        END IF;
    END LOOP;
    report.detail := COALESCE(report.detail, hook.event);
    RETURN report;
END
$$;
COMMENT ON FUNCTION @extschema@.observe_plugin_webhook(text, jsonb, timestamptz) IS
    'Takes the payload of a webhook of github, gitea or gitlab. Whoever receives it over HTTP has to check its signature first. What says no commit makes the repository due at once.';

REVOKE ALL ON FUNCTION @extschema@.retarget_plugin_upstream(text, timestamptz, @extschema@.plugin_observation) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.notify_plugin_updates(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.apply_plugin_refs(text, text[], text[], timestamptz, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.observe_plugin_upstream(text, jsonb, timestamptz, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.observe_plugin_ref(text, text, text, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.accept_moved_tag(text, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.observe_plugin_webhook(text, jsonb, timestamptz) FROM PUBLIC;

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
          AND NOT EXISTS (
              SELECT FROM @extschema@.plugin_targets AS t
              JOIN @extschema@.plugin_upstreams AS u ON u.upstream = t.upstream
              WHERE t.upstream = p.upstream AND t.tracked_ref = p.tracked_ref
                AND (u.next_check_at < 'infinity' OR t.tracked_ref LIKE 'sha:%'))
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
          ON q.workspace_id = n.workspace_id AND q.plugin_name = n.plugin_name AND q.status = 'pending'
        UNION
        SELECT n.workspace_id, n.plugin_name
        FROM ROWS FROM (unnest(workspaces), unnest(plugins)) AS n (workspace_id, plugin_name)
        JOIN @extschema@.workspace_plugins AS p
          ON p.workspace_id = n.workspace_id AND p.plugin_name = n.plugin_name
        JOIN @extschema@.plugin_targets AS t ON t.upstream = p.upstream AND t.tracked_ref = p.tracked_ref
        WHERE p.installed_sha <> t.sha) AS u;
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
               t.eligible_at <= at OR t.min_release_age <> COALESCE(u.min_release_age, default_age) AS is_due
        FROM @extschema@.plugin_subscriptions() AS s
        LEFT JOIN @extschema@.plugin_targets AS t ON t.upstream = s.upstream AND t.tracked_ref = s.tracked_ref
        LEFT JOIN @extschema@.plugin_upstreams AS u ON u.upstream = s.upstream
        WHERE t.upstream IS NULL OR (u.next_check_at = 'infinity' AND t.tracked_ref NOT LIKE 'sha:%')
           OR t.eligible_at <= at OR t.min_release_age <> COALESCE(u.min_release_age, default_age)
           OR (t.sha IS NOT NULL AND (s.lowest_sha, s.highest_sha) IS DISTINCT FROM (t.sha::text, t.sha::text))
        UNION
        SELECT q.upstream, q.tracked_ref, false, NULL
        FROM @extschema@.plugin_update_queue AS q WHERE q.status = 'pending'
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
        ELSE format('%s is to be installed', COALESCE($2, 'the pinned commit'))
    END
$$;
COMMENT ON FUNCTION @extschema@.plugin_drift_reason(text, text, text, timestamptz) IS
    'A state of drift in words.';

CREATE VIEW @extschema@.workspace_plugin_drift AS
SELECT d.*,
       q.id AS update_id,
       q.status AS update_status,
       CASE
           WHEN q.status OPERATOR(pg_catalog.=) 'dismissed' THEN pg_catalog.concat_ws(': ', 'dismissed', q.reason)
           ELSE @extschema@.plugin_drift_reason(d.state, d.target_ref, u.last_error, d.eligible_at)
       END AS reason
FROM (
    SELECT p.workspace_id, p.plugin_name, p.upstream, p.tracked_ref,
           CASE WHEN p.upstream IS NULL THEN 'no_upstream' ELSE j.state END AS state,
           p.installed_sha, j.ref AS target_ref, j.sha AS target_sha,
           GREATEST(t.resolved_at, p.updated_at) AS since,
           t.eligible_at
    FROM @extschema@.workspace_plugins AS p
    LEFT JOIN @extschema@.plugin_targets AS t
      ON t.upstream OPERATOR(pg_catalog.=) p.upstream AND t.tracked_ref OPERATOR(pg_catalog.=) p.tracked_ref
    LEFT JOIN LATERAL @extschema@.judge_plugin_install(t, p.installed_sha, pg_catalog.now()) AS j
      ON p.upstream IS NOT NULL
    WHERE p.tracked_ref OPERATOR(pg_catalog.<>) 'none'
) AS d
LEFT JOIN @extschema@.plugin_upstreams AS u ON u.upstream OPERATOR(pg_catalog.=) d.upstream
LEFT JOIN LATERAL (
    SELECT o.* FROM (
        SELECT q.id, q.status, q.reason FROM @extschema@.plugin_update_queue AS q
        WHERE q.workspace_id OPERATOR(pg_catalog.=) d.workspace_id
          AND q.plugin_name OPERATOR(pg_catalog.=) d.plugin_name
          AND q.target_sha OPERATOR(pg_catalog.=) d.target_sha AND q.status OPERATOR(pg_catalog.=) 'dismissed'
        UNION ALL
        SELECT q.id, q.status, q.reason FROM @extschema@.plugin_update_queue AS q
        WHERE q.workspace_id OPERATOR(pg_catalog.=) d.workspace_id
          AND q.plugin_name OPERATOR(pg_catalog.=) d.plugin_name
          AND q.target_sha OPERATOR(pg_catalog.=) d.target_sha AND q.status OPERATOR(pg_catalog.=) 'pending'
    ) AS o LIMIT 1) AS q ON true;
COMMENT ON VIEW @extschema@.workspace_plugin_drift IS
    'Every install that tracks something: how it stands to upstream, and why.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.workspace_id IS 'The workspace.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.plugin_name IS 'The plugin.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.upstream IS 'The repository; NULL where the source names none.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.tracked_ref IS 'What the install follows.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.state IS
    'in_sync, ahead; pin_mismatch, retarget, new_version, branch_advanced: queued; tag_moved: held; unknown_baseline, no_upstream, unobserved, unresolvable, ref_missing, ambiguous_ref, no_candidate: cannot be told.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.installed_sha IS 'The commit that is installed.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.target_ref IS 'The ref that is followed, in full.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.target_sha IS 'The commit that it points to.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.since IS 'Since when it is like this.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.eligible_at IS 'When the next tag reaches its minimum age.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.update_id IS 'The update that waits, or was dismissed, for it.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.update_status IS 'Its status.';
COMMENT ON COLUMN @extschema@.workspace_plugin_drift.reason IS 'The state in words, and what is missing for more.';

CREATE VIEW @extschema@.pending_plugin_updates AS
SELECT q.id, q.workspace_id, q.plugin_name, q.tracked_ref, q.kind, q.current_sha,
       q.target_sha AS latest_sha, q.target_ref, q.upstream, q.status, q.created_at, q.waiting_since
FROM @extschema@.plugin_update_queue AS q
JOIN @extschema@.workspace_plugins AS p
  ON p.workspace_id OPERATOR(pg_catalog.=) q.workspace_id AND p.plugin_name OPERATOR(pg_catalog.=) q.plugin_name
 AND p.upstream OPERATOR(pg_catalog.=) q.upstream AND p.tracked_ref OPERATOR(pg_catalog.=) q.tracked_ref
WHERE q.status OPERATOR(pg_catalog.=) 'pending';
COMMENT ON VIEW @extschema@.pending_plugin_updates IS 'The updates that wait, as an admin endpoint lists them.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.id IS 'The update''s id, which always means this commit.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.workspace_id IS 'The workspace.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.plugin_name IS 'The plugin.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.tracked_ref IS 'What the install follows.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.kind IS 'pin_mismatch, retarget, new_version or branch_advanced.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.current_sha IS 'The commit that is installed.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.latest_sha IS 'The commit that is to be installed.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.target_ref IS 'Its ref; NULL for a pinned commit.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.upstream IS 'The repository.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.status IS 'pending.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.created_at IS 'When this commit was first wanted.';
COMMENT ON COLUMN @extschema@.pending_plugin_updates.waiting_since IS 'When any update was first wanted, through all superseded since.';

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
    ), differing AS (
        SELECT s.upstream, s.tracked_ref, p.installed_sha, p.installs
        FROM subscription AS s
        CROSS JOIN LATERAL (
            SELECT p.installed_sha, count(*) AS installs
            FROM @extschema@.workspace_plugins AS p
            WHERE p.tracked_ref <> 'none' AND p.upstream = s.upstream AND p.tracked_ref = s.tracked_ref
            GROUP BY p.installed_sha) AS p
        WHERE s.sha IS NULL OR p.installed_sha IS DISTINCT FROM s.sha
        UNION ALL
        SELECT NULL, p.tracked_ref, NULL, count(*)
        FROM @extschema@.workspace_plugins AS p
        WHERE p.tracked_ref <> 'none' AND p.upstream IS NULL
        GROUP BY p.tracked_ref
    )
    SELECT CASE WHEN d.upstream IS NULL THEN 'no_upstream' ELSE j.state END, sum(d.installs)::bigint
    FROM differing AS d
    LEFT JOIN @extschema@.plugin_targets AS t ON t.upstream = d.upstream AND t.tracked_ref = d.tracked_ref
    CROSS JOIN LATERAL @extschema@.judge_plugin_install(t, d.installed_sha, now()) AS j
    WHERE d.upstream IS NULL OR j.state <> 'in_sync'
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
        WHERE q.status OPERATOR(pg_catalog.=) 'pending') AS pending_updates,
       EXISTS (SELECT FROM @extschema@.workspace_plugins AS p WHERE p.tracked_ref OPERATOR(pg_catalog.<>) 'none')
       AND NOT EXISTS (
           SELECT FROM @extschema@.plugin_targets AS e
           JOIN @extschema@.workspace_plugins AS p
             ON p.upstream OPERATOR(pg_catalog.=) e.upstream AND p.tracked_ref OPERATOR(pg_catalog.=) e.tracked_ref
           WHERE e.state OPERATOR(pg_catalog.=) 'resolved' AND p.installed_sha IS NOT NULL) AS vacuous
FROM @extschema@.plugin_install_count(false) AS i
CROSS JOIN @extschema@.plugin_install_count(true) AS t
CROSS JOIN (
    SELECT pg_catalog.sum(d.installs)::bigint AS differing,
           (pg_catalog.sum(d.installs) FILTER (WHERE d.state OPERATOR(pg_catalog.=) ANY (ARRAY[
               'pin_mismatch', 'retarget', 'new_version', 'branch_advanced'])))::bigint AS drifted,
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

REVOKE ALL ON FUNCTION @extschema@.track_plugin_upstream(text, @extschema@.tracked_ref, text, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.settle_plugin_installs(uuid[], text[], timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.forget_plugin_targets() FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.detect_plugin_drift(timestamptz) FROM PUBLIC;

-- What is imported is tracked at once.

CREATE OR REPLACE FUNCTION @extschema@.import_workspace_plugins(source regclass) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    imported bigint;
    workspaces uuid[];
    plugins text[];
    refused bigint;
    first_refusals text;
BEGIN
    WITH judged AS MATERIALIZED (
        SELECT * FROM @extschema@.workspace_plugins_import(source)
    ), stored AS (
        INSERT INTO @extschema@.workspace_plugins AS p
            (workspace_id, plugin_name, source_raw, tracked_ref, installed_sha, installed_at, updated_at)
        SELECT j.workspace_id::uuid, j.plugin_name, j.source_raw,
               @extschema@.validate_tracked_ref(COALESCE(j.track, '')), NULLIF(j.installed_sha, ''),
               j.installed_at, j.updated_at
        FROM judged AS j
        WHERE j.reason IS NULL
        ORDER BY j.workspace_id::uuid, j.plugin_name
        ON CONFLICT ON CONSTRAINT workspace_plugins_pkey DO UPDATE
            SET source_raw = excluded.source_raw,
                tracked_ref = excluded.tracked_ref,
                installed_sha = excluded.installed_sha,
                installed_at = excluded.installed_at,
                updated_at = excluded.updated_at
            WHERE p.updated_at < excluded.updated_at
        RETURNING p.workspace_id, p.plugin_name
    )
    SELECT (SELECT count(*) FROM stored),
           (SELECT array_agg(s.workspace_id) FROM stored AS s),
           (SELECT array_agg(s.plugin_name) FROM stored AS s),
           (SELECT count(*) FROM judged AS j WHERE j.reason IS NOT NULL),
           (SELECT string_agg(format('%s: %s', f.id, f.reason), E'\n'
                              ORDER BY octet_length(f.id), f.id)
            FROM (SELECT j.id, j.reason FROM judged AS j WHERE j.reason IS NOT NULL
                  ORDER BY octet_length(j.id), j.id LIMIT 20) AS f)
    INTO imported, workspaces, plugins, refused, first_refusals;
    IF imported > 0 THEN
        PERFORM @extschema@.settle_plugin_installs(workspaces, plugins, clock_timestamp());
    END IF;

    IF refused > 0 THEN
        RAISE WARNING 'import_workspace_plugins: % rows of % were not imported', refused, source
            USING DETAIL = first_refusals,
                  HINT = format('All of them: SELECT * FROM %s(%L);',
                                '@extschema@.workspace_plugins_import_refusals'::regproc, source);
    END IF;
    RETURN imported;
END
$$;

-- Locks of upstreams come before those of installs.

CREATE OR REPLACE FUNCTION @extschema@.remove_workspace_plugin(workspace_id uuid, plugin_name text) RETURNS boolean
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- The lock of the upstream before that of the install, as recording and observing take them.
    SELECT FROM @extschema@.plugin_upstreams AS u
    WHERE u.upstream = (
        SELECT p.upstream FROM @extschema@.workspace_plugins AS p
        WHERE p.workspace_id = $1 AND p.plugin_name = $2 AND p.tracked_ref <> 'none')
    FOR SHARE;
    WITH gone AS (
        DELETE FROM @extschema@.workspace_plugins AS p
        WHERE p.workspace_id = $1 AND p.plugin_name = $2
        RETURNING 1
    )
    SELECT EXISTS (SELECT FROM gone)
$$;

CREATE OR REPLACE FUNCTION @extschema@.unregister_plugin_workspace(workspace_id uuid) RETURNS boolean
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- The locks of the upstreams before those of the installs, as recording and observing take them.
    SELECT FROM @extschema@.plugin_upstreams AS u
    WHERE u.upstream IN (
        SELECT p.upstream FROM @extschema@.workspace_plugins AS p
        WHERE p.workspace_id = $1 AND p.tracked_ref <> 'none')
    ORDER BY u.upstream FOR SHARE;
    WITH gone AS (
        DELETE FROM @extschema@.plugin_workspaces AS w WHERE w.workspace_id = $1 RETURNING 1
    )
    SELECT EXISTS (SELECT FROM gone)
$$;

-- Access to what is new: a role gets it when it is granted its level again.

CREATE OR REPLACE FUNCTION @extschema@.plugin_access()
    RETURNS TABLE (level text, privileges text, object text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
        ('reader', 'USAGE', 'SCHEMA @extschema@'),
        ('reader', 'SELECT', 'TABLE @extschema@.rollout_tiers'),
        ('reader', 'SELECT', 'TABLE @extschema@.plugin_workspaces'),
        ('reader', 'SELECT', 'TABLE @extschema@.workspace_plugins'),
        ('reader', 'SELECT', 'TABLE @extschema@.plugin_upstreams'),
        ('reader', 'SELECT', 'TABLE @extschema@.plugin_upstream_refs'),
        ('reader', 'SELECT', 'TABLE @extschema@.plugin_targets'),
        ('reader', 'SELECT', 'TABLE @extschema@.plugin_update_queue'),
        ('reader', 'SELECT', 'TABLE @extschema@.workspace_plugin_drift'),
        ('reader', 'SELECT', 'TABLE @extschema@.pending_plugin_updates'),
        ('reader', 'SELECT', 'TABLE @extschema@.plugin_tracking_health'),
        ('recorder', 'INSERT, UPDATE, DELETE', 'TABLE @extschema@.plugin_workspaces'),
        ('recorder', 'INSERT, UPDATE, DELETE', 'TABLE @extschema@.workspace_plugins'),
        -- Recording makes known what is tracked, and keeps the queue.
        ('recorder', 'INSERT, UPDATE', 'TABLE @extschema@.plugin_upstreams'),
        ('recorder', 'INSERT, UPDATE', 'TABLE @extschema@.plugin_targets'),
        ('recorder', 'INSERT, UPDATE', 'TABLE @extschema@.plugin_update_queue'),
        ('recorder', 'EXECUTE', 'FUNCTION @extschema@.track_plugin_upstream(text, @extschema@.tracked_ref, text, timestamptz)'),
        ('recorder', 'EXECUTE', 'FUNCTION @extschema@.settle_plugin_installs(uuid[], text[], timestamptz)'),
        ('recorder', 'EXECUTE', 'FUNCTION @extschema@.derive_plugin_updates(text, @extschema@.tracked_ref, uuid[], text[], timestamptz)'),
        ('recorder', 'EXECUTE', 'FUNCTION @extschema@.notify_plugin_updates(bigint)'),
        ('recorder', 'EXECUTE', 'FUNCTION @extschema@.register_plugin_workspace(uuid, text)'),
        ('recorder', 'EXECUTE', 'FUNCTION @extschema@.unregister_plugin_workspace(uuid)'),
        ('recorder', 'EXECUTE', 'FUNCTION @extschema@.record_workspace_plugin_install(uuid, text, text, text, text)'),
        ('recorder', 'EXECUTE', 'FUNCTION @extschema@.record_workspace_plugin_installs(jsonb)'),
        ('recorder', 'EXECUTE', 'FUNCTION @extschema@.remove_workspace_plugin(uuid, text)'),
        ('operator', 'INSERT, UPDATE, DELETE', 'TABLE @extschema@.rollout_tiers'),
        ('operator', 'INSERT, UPDATE', 'TABLE @extschema@.plugin_upstream_refs'),
        ('operator', 'DELETE', 'TABLE @extschema@.plugin_update_queue'),
        ('operator', 'DELETE', 'TABLE @extschema@.plugin_targets'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.claim_plugin_upstreams(text, integer, interval, timestamptz)'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.report_plugin_upstream_error(text, uuid, text, timestamptz)'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.observe_plugin_upstream(text, jsonb, timestamptz, boolean)'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.observe_plugin_ref(text, text, text, timestamptz)'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.observe_plugin_webhook(text, jsonb, timestamptz)'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.apply_plugin_refs(text, text[], text[], timestamptz, timestamptz)'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.retarget_plugin_upstream(text, timestamptz, @extschema@.plugin_observation)'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.accept_moved_tag(text, text, text)'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.forget_plugin_targets()'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.detect_plugin_drift(timestamptz)'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.dismiss_plugin_update(uuid, text)'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.prune_plugin_updates(interval)'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.sync_attached_workspace()'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.truncate_attached_workspaces()'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.attach_workspaces(regclass, name)'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.detach_workspaces(regclass)'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.original_workspace_plugins(regclass)'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.workspace_plugins_import(regclass)'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.workspace_plugins_import_refusals(regclass)'),
        ('operator', 'EXECUTE', 'FUNCTION @extschema@.import_workspace_plugins(regclass)')
$$;
