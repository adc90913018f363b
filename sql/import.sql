-- From the table of the original service.

CREATE FUNCTION @extschema@.plugin_install_refusal(
    workspace_id text, plugin_name text, source_raw text, track text, installed_sha text
) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'plugin_install_refusal_wrapper';
COMMENT ON FUNCTION @extschema@.plugin_install_refusal(text, text, text, text, text) IS
    'Why an install cannot be recorded, by its own fields; NULL where it can. Shows no part of a source.';

CREATE FUNCTION @extschema@.original_workspace_plugins(source regclass)
    RETURNS TABLE (
        id text, workspace_id text, plugin_name text, source_raw text, track text,
        installed_sha text, installed_at timestamptz, updated_at timestamptz
    )
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET row_security = off
AS $$
DECLARE
    columns name[];
    missing text;
BEGIN
    SELECT array_agg(a.attname) INTO columns
    FROM pg_attribute AS a
    WHERE a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped;

    SELECT string_agg(wanted, ', ') INTO missing
    FROM unnest(ARRAY['id', 'workspace_id', 'plugin_name', 'source_raw', 'tracked_ref',
                      'installed_at', 'updated_at']) AS wanted
    WHERE wanted <> ALL (COALESCE(columns, '{}'));
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'import_workspace_plugins: % lacks %', source, missing
            USING ERRCODE = 'undefined_column';
    END IF;

    RETURN QUERY EXECUTE format(
        'SELECT id::text, workspace_id::text, plugin_name::text, source_raw::text, tracked_ref::text, '
        '%s::text, installed_at::timestamptz, updated_at::timestamptz FROM %s',
        CASE WHEN 'installed_sha' = ANY (columns) THEN 'installed_sha' ELSE 'NULL' END, source);
END
$$;
COMMENT ON FUNCTION @extschema@.original_workspace_plugins(regclass) IS
    'The rows of a table of the original service, whatever types its columns have.';

CREATE FUNCTION @extschema@.workspace_plugins_import(source regclass)
    RETURNS TABLE (
        id text, workspace_id text, plugin_name text, source_raw text, track text,
        installed_sha text, installed_at timestamptz, updated_at timestamptz, reason text
    )
    LANGUAGE sql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH checked AS (
        SELECT o.*,
               @extschema@.plugin_install_refusal(
                   o.workspace_id, o.plugin_name, o.source_raw, o.track, o.installed_sha) AS refusal
        FROM @extschema@.original_workspace_plugins(source) AS o
    ), ranked AS (
        SELECT c.*,
               -- Several spellings of one UUID are one workspace.
               row_number() OVER (
                   PARTITION BY c.refusal IS NULL, translate(lower(c.workspace_id), '{}-', ''),
                                c.plugin_name
                   ORDER BY COALESCE(c.updated_at, c.installed_at) DESC NULLS LAST, c.id DESC) AS nth
        FROM checked AS c
    )
    SELECT r.id, r.workspace_id, r.plugin_name, r.source_raw, r.track, r.installed_sha,
           COALESCE(r.installed_at, r.updated_at, now()), COALESCE(r.updated_at, r.installed_at, now()),
           CASE
               WHEN r.refusal IS NOT NULL THEN r.refusal
               WHEN NOT EXISTS (
                   SELECT FROM @extschema@.plugin_workspaces AS w
                   WHERE w.workspace_id = r.workspace_id::uuid)
                   THEN format('workspace "%s" is not registered', r.workspace_id)
               WHEN r.nth > 1 THEN 'a later row for the same plugin is in the table'
               WHEN EXISTS (
                   SELECT FROM @extschema@.workspace_plugins AS p
                   WHERE p.workspace_id = r.workspace_id::uuid AND p.plugin_name = r.plugin_name
                     AND p.updated_at > COALESCE(r.updated_at, r.installed_at))
                   THEN 'a later install of the same plugin is recorded already'
           END
    FROM ranked AS r
$$;
COMMENT ON FUNCTION @extschema@.workspace_plugins_import(regclass) IS
    'The rows of a table of the original service, each with the reason why it cannot be imported, or NULL.';

CREATE FUNCTION @extschema@.workspace_plugins_import_refusals(source regclass)
    RETURNS TABLE (id text, workspace_id text, plugin_name text, reason text)
    LANGUAGE sql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT i.id, i.workspace_id, i.plugin_name, i.reason
    FROM @extschema@.workspace_plugins_import(source) AS i
    WHERE i.reason IS NOT NULL
    -- Numbers by their value, whatever type the column has.
    ORDER BY octet_length(i.id), i.id
$$;
COMMENT ON FUNCTION @extschema@.workspace_plugins_import_refusals(regclass) IS
    'Every row that import_workspace_plugins() cannot take from a table, and why.';

CREATE FUNCTION @extschema@.import_workspace_plugins(source regclass) RETURNS bigint
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
COMMENT ON FUNCTION @extschema@.import_workspace_plugins(regclass) IS
    'Takes over the rows of a table of the original service, with their timestamps. Gives the number of rows stored; warns of those that cannot be. May be repeated.';

REVOKE ALL ON FUNCTION @extschema@.original_workspace_plugins(regclass) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.workspace_plugins_import(regclass) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.workspace_plugins_import_refusals(regclass) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.import_workspace_plugins(regclass) FROM PUBLIC;
