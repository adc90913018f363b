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
