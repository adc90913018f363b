-- A database of 0.1.0 in use; @schema@ stands for the extension's schema.
INSERT INTO @schema@.rollout_tiers VALUES ('canary', 10), ('stable', 20);
SELECT @schema@.register_plugin_workspace('00000000-0000-0000-0000-000000000001', 'canary');
SELECT @schema@.register_plugin_workspace('00000000-0000-0000-0000-000000000002');
CREATE TABLE public.spaces (id uuid PRIMARY KEY);
INSERT INTO public.spaces
SELECT lpad(to_hex(n), 32, '0')::uuid FROM generate_series(16, 35) AS n;
SELECT @schema@.attach_workspaces('public.spaces');

SELECT @schema@.record_workspace_plugin_install(
    w.workspace_id, 'plugin-' || tracked.place, source, tracked.ref, sha)
FROM @schema@.plugin_workspaces AS w
CROSS JOIN unnest(ARRAY['none', 'tag:latest', 'tag:v1', 'tag:^1.2', 'ref:main', 'sha:xyz'])
    WITH ORDINALITY AS tracked (ref, place)
CROSS JOIN (VALUES ('github://o/r', repeat('1', 40)), ('local://x', NULL)) AS installed (source, sha);
SELECT @schema@.record_workspace_plugin_install(
    w.workspace_id, 'several-' || n, 'https://host.example/' || n || '/r.git#v1', 'tag:latest', repeat('2', 64))
FROM @schema@.plugin_workspaces AS w CROSS JOIN generate_series(1, 5) AS n;
SELECT @schema@.record_workspace_plugin_install(
    '00000000-0000-0000-0000-000000000001', 'pinned', 'github://o/pinned', 'sha:' || repeat('3', 40), repeat('4', 40));
UPDATE @schema@.workspace_plugins
SET installed_at = '2001-02-03 04:05:06.789+00', updated_at = 'infinity'
WHERE plugin_name = 'pinned';
