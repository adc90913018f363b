\set w random(100000000000, 100000000000 + :workspaces - 1)
\set p random(0, :plugins - 1)
INSERT INTO workspace_plugins AS w (workspace_id, plugin_name, source_raw, tracked_ref, installed_sha)
VALUES (('00000000-0000-4000-8000-' || :w::text)::uuid, 'plugin-' || :p::text, 'github://acme/plugins#v1.0.0', 'none', NULL)
ON CONFLICT (workspace_id, plugin_name) DO UPDATE SET
    source_raw = excluded.source_raw,
    tracked_ref = excluded.tracked_ref,
    installed_sha = excluded.installed_sha,
    updated_at = GREATEST(w.updated_at, excluded.updated_at)
RETURNING *;
