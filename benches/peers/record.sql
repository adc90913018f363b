-- record_workspace_plugin_install() in PL/pgSQL. It leaves out the looks for secrets and lengths,
-- and does not translate the error for an unknown workspace, which would need a subtransaction.

CREATE FUNCTION peer_plpgsql_record(
    workspace_id uuid, plugin_name text, source_raw text,
    track text DEFAULT 'none', installed_sha text DEFAULT NULL
) RETURNS workspace_plugins
    LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    spaces constant text := E' \t\n\u000b\f\r\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004'
        '\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000';
    canonical text := COALESCE(NULLIF(btrim($4, spaces), ''), 'none');
    stored workspace_plugins;
BEGIN
    IF $1 IS NULL THEN
        RAISE EXCEPTION 'missing required field "workspace_id"' USING ERRCODE = '22023';
    ELSIF COALESCE($2, '') = '' THEN
        RAISE EXCEPTION 'missing required field "plugin_name"' USING ERRCODE = '22023';
    ELSIF COALESCE($3, '') = '' THEN
        RAISE EXCEPTION 'missing required field "source_raw"' USING ERRCODE = '22023';
    ELSIF canonical <> 'none'
          AND (left(canonical, 4) NOT IN ('tag:', 'sha:', 'ref:') OR length(canonical) = 4) THEN
        RAISE EXCEPTION 'invalid track value %', canonical USING ERRCODE = '22023';
    END IF;
    INSERT INTO workspace_plugins AS w
        (workspace_id, plugin_name, source_raw, tracked_ref, installed_sha)
    VALUES ($1, $2, $3, canonical, NULLIF($5, ''))
    ON CONFLICT (workspace_id, plugin_name) DO UPDATE SET
        source_raw = excluded.source_raw,
        tracked_ref = excluded.tracked_ref,
        installed_sha = excluded.installed_sha,
        updated_at = GREATEST(w.updated_at, excluded.updated_at)
    RETURNING w.* INTO stored;
    RETURN stored;
END
$$;
