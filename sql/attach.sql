-- The application's own table of workspaces, joined in by triggers on that table: pg_dump keeps
-- them with it, where it would lose a foreign key from a table of the extension.

CREATE FUNCTION @extschema@.sync_attached_workspace() RETURNS trigger
    LANGUAGE c SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'sync_attached_workspace_wrapper';
COMMENT ON FUNCTION @extschema@.sync_attached_workspace() IS
    'Trigger of attach_workspaces(). SECURITY DEFINER as a foreign key''s triggers are: whoever writes to the attached table needs no rights here.';

CREATE FUNCTION @extschema@.truncate_attached_workspaces() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- The table's owner decides what the column is by now: comparing another type with a uuid could
    -- call a cast of that owner's, here with the rights of the extension's owner.
    IF NOT EXISTS (SELECT FROM pg_attribute AS a
                   WHERE a.attrelid = TG_RELID AND a.attname = TG_ARGV[0]
                     AND a.atttypid = 'uuid'::regtype AND NOT a.attisdropped) THEN
        RAISE EXCEPTION 'truncate_attached_workspaces: the attached table has no uuid column "%" any more', TG_ARGV[0]
            USING ERRCODE = 'undefined_column',
                  HINT = 'Call attach_workspaces() again after renaming its id column.';
    END IF;
    EXECUTE format('DELETE FROM %s AS w USING %s AS t WHERE w.workspace_id = t.%I',
                   '@extschema@.plugin_workspaces'::regclass, TG_RELID::regclass, TG_ARGV[0]);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@.truncate_attached_workspaces() IS
    'Trigger of attach_workspaces(). SECURITY DEFINER for the same reason as sync_attached_workspace().';

CREATE FUNCTION @extschema@.attachable_workspace_column(workspaces regclass, wanted name) RETURNS name
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found name[];
    primary_key boolean[];
BEGIN
    SELECT array_agg(k.attname ORDER BY k.is_primary DESC, k.attnum),
           array_agg(k.is_primary ORDER BY k.is_primary DESC, k.attnum)
    INTO found, primary_key
    FROM (
        SELECT a.attname, a.attnum, bool_or(i.indisprimary) AS is_primary
        FROM pg_index AS i
        JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = workspaces AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1
          AND i.indpred IS NULL AND a.attnotnull AND a.atttypid = 'uuid'::regtype
          AND a.attname = COALESCE(wanted, a.attname)
        GROUP BY a.attname, a.attnum
    ) AS k;

    IF found IS NULL THEN
        RAISE EXCEPTION 'attach_workspaces: % has no single-column uuid key%', workspaces,
                        CASE WHEN wanted IS NULL THEN '' ELSE format(' on column %I', wanted) END
            USING ERRCODE = 'invalid_table_definition',
                  HINT = 'The id column has to be uuid, NOT NULL, and a primary key or UNIQUE on its own.';
    END IF;
    IF cardinality(found) > 1 AND NOT primary_key[1] AND wanted IS NULL THEN
        RAISE EXCEPTION 'attach_workspaces: % has several single-column uuid keys: %', workspaces,
                        array_to_string(found, ', ')
            USING ERRCODE = 'ambiguous_column', HINT = 'Name one of them as id_column.';
    END IF;
    RETURN found[1];
END
$$;
COMMENT ON FUNCTION @extschema@.attachable_workspace_column(regclass, name) IS
    'The column by which attach_workspaces() joins a table in: its uuid primary key, or its only unique uuid.';

CREATE FUNCTION @extschema@.attach_workspaces(workspaces regclass, id_column name DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    -- Where row security would hide workspaces, fail rather than miss them.
    SET row_security = off
AS $$
DECLARE
    kind "char";
    persistence "char";
    id name;
    registered bigint;
BEGIN
    SELECT c.relkind, c.relpersistence INTO kind, persistence FROM pg_class AS c WHERE c.oid = workspaces;
    IF workspaces IS NULL THEN
        RAISE EXCEPTION 'attach_workspaces: missing required field "workspaces"'
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF kind IS NULL OR kind NOT IN ('r', 'p') OR persistence = 't' THEN
        RAISE EXCEPTION 'attach_workspaces: % is not a permanent table', workspaces
            USING ERRCODE = 'wrong_object_type';
    ELSIF workspaces = '@extschema@.plugin_workspaces'::regclass THEN
        RAISE EXCEPTION 'attach_workspaces: % belongs to the extension', workspaces
            USING ERRCODE = 'wrong_object_type';
    ELSIF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        -- An older snapshot would miss what was committed before the lock was had.
        RAISE EXCEPTION 'attach_workspaces must run at isolation level READ COMMITTED'
            USING ERRCODE = 'active_sql_transaction';
    END IF;
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', workspaces);
    id := @extschema@.attachable_workspace_column(workspaces, id_column);
    IF @extschema@.attached_workspace_column(workspaces) IS DISTINCT FROM id THEN
        PERFORM @extschema@.detach_workspaces(workspaces);
        EXECUTE format('CREATE TRIGGER plugin_workspaces_sync AFTER INSERT OR DELETE ON %s'
                       ' FOR EACH ROW EXECUTE FUNCTION %s(%L)',
                       workspaces, '@extschema@.sync_attached_workspace'::regproc, id);
        -- Where a change of id moves the row to another partition, the server deletes and inserts
        -- it: the installs have to follow before it does.
        EXECUTE format('CREATE TRIGGER plugin_workspaces_follow %s UPDATE ON %s'
                       ' FOR EACH ROW WHEN (OLD.%I IS DISTINCT FROM NEW.%I) EXECUTE FUNCTION %s(%L)',
                       CASE kind WHEN 'p' THEN 'BEFORE' ELSE 'AFTER' END,
                       workspaces, id, id, '@extschema@.sync_attached_workspace'::regproc, id);
        EXECUTE format('CREATE TRIGGER plugin_workspaces_truncate BEFORE TRUNCATE ON %s'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION %s(%L)',
                       workspaces, '@extschema@.truncate_attached_workspaces'::regproc, id);
    END IF;
    EXECUTE format('INSERT INTO %s (workspace_id) SELECT t.%I FROM %s AS t ON CONFLICT DO NOTHING',
                   '@extschema@.plugin_workspaces'::regclass, id, workspaces);
    GET DIAGNOSTICS registered = ROW_COUNT;
    RETURN registered;
END
$$;
COMMENT ON FUNCTION @extschema@.attach_workspaces(regclass, name) IS
    'Joins the application''s table of workspaces in: its rows are registered, now and from here on, and follow its deletes and changes of id. Gives the number of workspaces that are newly registered.';

CREATE FUNCTION @extschema@.attached_workspace_column(workspaces regclass) RETURNS name
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- The trigger's only argument, as the catalog stores it: closed by a zero byte.
    SELECT convert_from(substr(t.tgargs, 1, octet_length(t.tgargs) - 1), 'UTF8')::name
    FROM pg_trigger AS t
    WHERE t.tgrelid = workspaces AND t.tgname = 'plugin_workspaces_sync'
      AND t.tgfoid = '@extschema@.sync_attached_workspace'::regproc
$$;
COMMENT ON FUNCTION @extschema@.attached_workspace_column(regclass) IS
    'The id column of a table that is attached; NULL where it is not.';

CREATE FUNCTION @extschema@.detach_workspaces(workspaces regclass) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    attached_trigger name;
    attached boolean := false;
BEGIN
    -- DROP TRIGGER would take the lock too, but only after the triggers have been looked for.
    IF EXISTS (SELECT FROM pg_class AS c WHERE c.oid = workspaces AND c.relkind IN ('r', 'p')) THEN
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', workspaces);
    END IF;
    FOR attached_trigger IN
        SELECT t.tgname FROM pg_trigger AS t
        WHERE t.tgrelid = workspaces AND NOT t.tgisinternal
          AND t.tgfoid IN ('@extschema@.sync_attached_workspace'::regproc,
                           '@extschema@.truncate_attached_workspaces'::regproc)
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', attached_trigger, workspaces);
        attached := true;
    END LOOP;
    RETURN attached;
END
$$;
COMMENT ON FUNCTION @extschema@.detach_workspaces(regclass) IS
    'Undoes attach_workspaces(): the table is no longer followed. What is registered stays. False where it was not attached.';

REVOKE ALL ON FUNCTION @extschema@.sync_attached_workspace() FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.truncate_attached_workspaces() FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.attach_workspaces(regclass, name) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.detach_workspaces(regclass) FROM PUBLIC;
