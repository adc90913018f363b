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
    next_sha @extschema@.commit_sha,
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
COMMENT ON COLUMN @extschema@.plugin_targets.next_sha IS
    'The commit that it is to mean once the release under way has reached every tier; NULL: it means the newest.';

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
    RETURN ROW(upstream, tracked, ref, sha::@extschema@.commit_sha, state, at, eligible_at, min_release_age, NULL)::@extschema@.plugin_targets;
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
