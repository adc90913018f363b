-- Who may do what. Roles belong to the whole cluster, so none is made here: these functions grant.

CREATE FUNCTION @extschema@.grant_plugin_access(role regrole, level text) RETURNS void
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

CREATE FUNCTION @extschema@.revoke_plugin_access(role regrole) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    granted record;
BEGIN
    IF role IS NULL OR role = 0::oid::regrole THEN
        RAISE EXCEPTION 'revoke_plugin_access: missing required field "role"'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR granted IN SELECT g.object FROM @extschema@.plugin_access() AS g WHERE g.object NOT LIKE 'SCHEMA %'
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', granted.object, role);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.revoke_plugin_access(regrole) IS
    'Takes back what grant_plugin_access() granted, at whatever level; the use of the schema stays.';

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

REVOKE ALL ON FUNCTION @extschema@.grant_plugin_access(regrole, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.revoke_plugin_access(regrole) FROM PUBLIC;
