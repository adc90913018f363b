-- Workspaces that are registered by hand, where no table of workspaces is attached.

CREATE FUNCTION @extschema@.register_plugin_workspace(
    workspace_id uuid, rollout_tier text DEFAULT NULL
) RETURNS @extschema@.plugin_workspaces
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO @extschema@.plugin_workspaces AS w (workspace_id, rollout_tier)
    VALUES ($1, $2)
    ON CONFLICT ON CONSTRAINT plugin_workspaces_pkey DO UPDATE
        SET rollout_tier = COALESCE(excluded.rollout_tier, w.rollout_tier)
    RETURNING w
$$;
COMMENT ON FUNCTION @extschema@.register_plugin_workspace(uuid, text) IS
    'Registers a workspace, or gives a registered one another rollout tier. Without a tier it keeps the one that it has.';

CREATE FUNCTION @extschema@.unregister_plugin_workspace(workspace_id uuid) RETURNS boolean
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
COMMENT ON FUNCTION @extschema@.unregister_plugin_workspace(uuid) IS
    'Forgets a workspace and all that is installed in it. False where it was not registered.';

REVOKE ALL ON FUNCTION @extschema@.register_plugin_workspace(uuid, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.unregister_plugin_workspace(uuid) FROM PUBLIC;
