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

-- What the program that asks git needs runs with the rights of the extension's owner: that program
-- speaks with the whole internet, and with its own rights it would have to be able to write the
-- queue, through which it could do anything.

CREATE FUNCTION @extschema@.claim_plugin_upstreams(
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

CREATE FUNCTION @extschema@.report_plugin_upstream_error(
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
