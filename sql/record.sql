-- Recording what was installed, and what was removed.

CREATE FUNCTION @extschema@.record_workspace_plugin_install(
    workspace_id uuid,
    plugin_name text,
    source_raw text,
    track text DEFAULT 'none',
    installed_sha text DEFAULT NULL
) RETURNS @extschema@.workspace_plugins
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'record_workspace_plugin_install_wrapper';
COMMENT ON FUNCTION @extschema@.record_workspace_plugin_install(uuid, text, text, text, text) IS
    'Records that a plugin was installed in a workspace, for the first time or again, and gives the row as stored.';

CREATE FUNCTION @extschema@.record_workspace_plugin_installs(installs jsonb) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'record_workspace_plugin_installs_wrapper';
COMMENT ON FUNCTION @extschema@.record_workspace_plugin_installs(jsonb) IS
    'Records an array of objects with the arguments of record_workspace_plugin_install() as keys, all or nothing. Of two for the same plugin the last wins. Gives the number of plugins recorded.';

CREATE FUNCTION @extschema@.remove_workspace_plugin(workspace_id uuid, plugin_name text) RETURNS boolean
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
COMMENT ON FUNCTION @extschema@.remove_workspace_plugin(uuid, text) IS
    'Records that a plugin was removed from a workspace. False where it was not installed.';

REVOKE ALL ON FUNCTION @extschema@.record_workspace_plugin_install(uuid, text, text, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.record_workspace_plugin_installs(jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.remove_workspace_plugin(uuid, text) FROM PUBLIC;
