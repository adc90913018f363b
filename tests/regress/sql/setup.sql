-- The extension, and the helpers that the other files use.
CREATE EXTENSION pg_workspace_plugins;

-- Workspace n.
CREATE FUNCTION w(n int) RETURNS uuid LANGUAGE sql IMMUTABLE
    AS $$ SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid $$;

-- A full commit id of one repeated digit.
CREATE FUNCTION sha(digit text) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT repeat(digit, 40) $$;

-- Runs a statement; gives 'ok', or its error in full, but for the failing row, which has the time in it.
CREATE FUNCTION try(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    code text; message text; detail text; hint text; violated text;
BEGIN
    BEGIN
        EXECUTE statement;
        RETURN NEXT 'ok';
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
            detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, violated = CONSTRAINT_NAME;
    END;
    RETURN NEXT code || ' ' || message;
    IF detail <> '' AND detail NOT LIKE 'Failing row contains%' THEN RETURN NEXT '  DETAIL: ' || detail; END IF;
    IF hint <> '' THEN RETURN NEXT '  HINT: ' || hint; END IF;
    IF violated <> '' THEN RETURN NEXT '  CONSTRAINT: ' || violated; END IF;
END
$$;

-- Runs a statement that fails; whether any part of its error but the statement itself holds a text.
CREATE FUNCTION shows(statement text, secret text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    message text; detail text; hint text; context text;
BEGIN
    EXECUTE statement;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
        hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
    RETURN position(secret IN message || detail || hint || replace(context, statement, '')) > 0;
END
$$;

-- Minute n of a day that is long past, for what takes a time.
CREATE FUNCTION t(n int) RETURNS timestamptz LANGUAGE sql IMMUTABLE
    AS $$ SELECT '2025-01-01 00:00:00+00'::timestamptz + n * interval '1 minute' $$;

-- The answer of a git ls-remote: refs('tags/v1=a heads/main=b') is refs/tags/v1 on aaa… and refs/heads/main on bbb….
CREATE FUNCTION refs(list text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT COALESCE(jsonb_object_agg('refs/' || split_part(r, '=', 1), sha(split_part(r, '=', 2))), '{}')
    FROM regexp_split_to_table(list, ' +') AS r WHERE r <> ''
$$;

-- What an observation did, in a line.
CREATE FUNCTION brief(o plugin_observation) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('%s: refs +%s -%s, targets %s, queued %s, superseded %s, cancelled %s%s', o.outcome, o.refs_added,
                  o.refs_gone, o.targets_changed, o.queued, o.superseded, o.cancelled, ' (' || o.detail || ')')
$$;

-- Observes the repository that install() installs from.
CREATE FUNCTION observe(list text, minute int, accept_loss boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
    SELECT brief(observe_plugin_upstream('github.com/o/r', refs(list), t(minute), accept_loss))
$$;
CREATE FUNCTION observe_ref(ref text, digit text, minute int) RETURNS text LANGUAGE sql AS $$
    SELECT brief(observe_plugin_ref('github.com/o/r', ref, sha(digit), t(minute)))
$$;

-- Records an install of which the commit is one repeated digit.
CREATE FUNCTION install(workspace int, plugin text, track text, digit text, source text DEFAULT 'github://o/r') RETURNS text
LANGUAGE sql AS $$
    SELECT register_plugin_workspace(w(workspace));
    SELECT record_workspace_plugin_install(w(workspace), plugin, source, track, sha(digit));
    SELECT ''
$$;

-- The views and tables in short: workspaces as their number, commits as their digit, times as their minute.
CREATE FUNCTION short(value text) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT regexp_replace(regexp_replace(value, '([0-9a-f])\1{39}', '\1', 'g'), '^0{8}-0{4}-0{4}-0{4}-0*(?=.)', '') $$;
CREATE FUNCTION minute(at timestamptz) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT CASE WHEN isfinite(at) THEN trim_scale(extract(epoch FROM at - t(0)) / 60)::text ELSE at::text END $$;
CREATE FUNCTION drift() RETURNS TABLE (workspace text, plugin text, tracked text, state text, ref text, sha text, update text, reason text)
LANGUAGE sql AS $$
    SELECT short(workspace_id::text), plugin_name, tracked_ref, state, target_ref, short(target_sha), update_status, reason
    FROM workspace_plugin_drift ORDER BY workspace_id, plugin_name
$$;
CREATE FUNCTION queue() RETURNS TABLE (workspace text, plugin text, tracked text, kind text, change text, ref text, status text, reason text)
LANGUAGE sql AS $$
    SELECT short(workspace_id::text), plugin_name, tracked_ref, kind, short(current_sha) || '>' || short(target_sha), target_ref, status,
           short(reason)
    FROM plugin_update_queue ORDER BY workspace_id, plugin_name, status COLLATE "C", target_sha, created_at
$$;
CREATE FUNCTION ledger() RETURNS TABLE (ref text, sha text, first_seen text, since text, last_seen text, gone text, times_gone int, accepted boolean)
LANGUAGE sql AS $$
    SELECT ref, short(sha), minute(first_seen_at), minute(current_since), minute(last_seen_at), minute(gone_at), times_gone,
           accepted_at IS NOT NULL
    FROM plugin_upstream_refs ORDER BY upstream, ref, first_seen_at, sha
$$;

-- Claims, in short; completes and fails by workspace, whatever worker has it.
CREATE FUNCTION claim(minute int, max_updates int DEFAULT 100, lease interval DEFAULT '10 minutes') RETURNS TABLE (workspace text, plugin text, kind text, change text, attempt int)
LANGUAGE sql AS $$
    SELECT short(workspace_id::text), plugin_name, kind, short(current_sha) || '>' || short(target_sha), attempt
    FROM claim_plugin_updates('worker', max_updates, lease, t(minute)) ORDER BY workspace_id, plugin_name
$$;
CREATE FUNCTION complete(workspace int, minute int, materialized boolean DEFAULT true, plugin text DEFAULT 'p') RETURNS text LANGUAGE sql AS $$
    SELECT complete_plugin_update(id, claim_token, target_sha, materialized, t(minute)) FROM plugin_update_queue
    WHERE workspace_id = w(workspace) AND plugin_name = plugin AND status = 'claimed'
$$;
CREATE FUNCTION fail(workspace int, minute int, retryable boolean DEFAULT true, plugin text DEFAULT 'p') RETURNS text LANGUAGE sql AS $$
    SELECT fail_plugin_update(id, claim_token, 'it broke', retryable, t(minute)) FROM plugin_update_queue
    WHERE workspace_id = w(workspace) AND plugin_name = plugin AND status = 'claimed'
$$;
CREATE FUNCTION progress() RETURNS TABLE (sha text, tier text, state text, counts text, opened text, opens text, reason text) LANGUAGE sql AS $$
    SELECT short(sha), tier, state, format('total %s pending %s deferred %s claimed %s applied %s failed %s', total, pending, deferred, claimed, applied, failed),
           minute(opened_at), minute(opens_at), reason
    FROM plugin_rollout_progress ORDER BY sha, position
$$;
-- Why each update is not handed out at a time.
CREATE FUNCTION holds(minute int) RETURNS TABLE (workspace text, plugin text, status text, hold text) LANGUAGE sql AS $$
    SELECT short(q.workspace_id::text), q.plugin_name, q.status, plugin_update_hold(q, t(minute)) FROM plugin_update_queue AS q
    WHERE q.status IN ('pending', 'deferred', 'claimed') ORDER BY q.workspace_id, q.plugin_name, q.status
$$;

-- Leaves nothing for the next one.
CREATE FUNCTION forget() RETURNS text LANGUAGE sql AS $$
    DELETE FROM plugin_workspaces;
    DELETE FROM plugin_update_queue;
    DELETE FROM plugin_rollouts;
    DELETE FROM plugin_update_starts;
    DELETE FROM plugin_update_policy;
    DELETE FROM rollout_tiers;
    DELETE FROM plugin_targets;
    DELETE FROM plugin_upstream_refs;
    DELETE FROM plugin_upstreams;
    SELECT ''
$$;
