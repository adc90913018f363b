-- record_workspace_plugin_installs: an array of installs, all or nothing.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT register_plugin_workspace(w(1)), register_plugin_workspace(w(2));

-- One element, with more fields or other ones in place of a good one's.
CREATE FUNCTION element(more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql
    AS $$ SELECT jsonb_build_object('workspace_id', w(1), 'plugin_name', 'p', 'source_raw', 's') || more $$;
-- The error of a batch whose second element is this.
CREATE FUNCTION refused(element jsonb) RETURNS SETOF text LANGUAGE sql
    AS $$ SELECT try(format('SELECT record_workspace_plugin_installs(%L)', jsonb_build_array(element('{"plugin_name": "good"}'), element))) $$;

-- New and again.
SELECT record_workspace_plugin_installs('[
    {"workspace_id": "00000000-0000-0000-0000-000000000002", "plugin_name": "b", "source_raw": "github://O/r", "track": " tag:v1 ", "installed_sha": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    {"workspace_id": "00000000-0000-0000-0000-000000000001", "plugin_name": "a", "source_raw": "s", "track": null, "installed_sha": null},
    {"workspace_id": "00000000-0000-0000-0000-000000000001", "plugin_name": "b", "source_raw": "s", "track": "", "installed_sha": ""},
    {"workspace_id": "00000000000000000000000000000001", "plugin_name": "c", "source_raw": "s"}]');
SELECT workspace_id, plugin_name, source_raw, upstream, tracked_ref, installed_sha, installed_at = updated_at FROM workspace_plugins ORDER BY 1, 2;
UPDATE workspace_plugins SET installed_at = '2024-01-01 00:00Z', updated_at = '2024-01-02 00:00Z';
BEGIN;
SELECT record_workspace_plugin_installs(jsonb_build_array(
    element('{"plugin_name": "b", "source_raw": "https://host/a", "track": "ref:main"}'), element('{"plugin_name": "d"}')));
SELECT workspace_id, plugin_name, source_raw, upstream, tracked_ref, installed_sha,
       CASE WHEN installed_at = now() THEN 'now' ELSE installed_at::text END, CASE WHEN updated_at = now() THEN 'now' ELSE updated_at::text END
FROM workspace_plugins ORDER BY 1, 2;
COMMIT;

-- The last of two for the same plugin wins, in whatever spelling; a bad one is refused even if it would lose.
SELECT record_workspace_plugin_installs(jsonb_build_array(
    element('{"source_raw": "first", "track": "tag:v1"}'), element('{"plugin_name": "q"}'), element('{"source_raw": "second"}'),
    element('{"workspace_id": "{00000000-0000-0000-0000-000000000001}", "source_raw": "last"}')));
SELECT plugin_name, source_raw, tracked_ref FROM workspace_plugins WHERE plugin_name IN ('p', 'q') ORDER BY 1;
SELECT refused(element('{"plugin_name": "good", "track": "main"}'));
-- Of a key that occurs twice in one object jsonb keeps the last.
SELECT record_workspace_plugin_installs('[{"workspace_id": "x", "plugin_name": "p", "source_raw": "1", "source_raw": "2", "workspace_id": "00000000-0000-0000-0000-000000000001"}]');
SELECT source_raw FROM workspace_plugins WHERE plugin_name = 'p';

-- White space of as many bytes as 'none' has.
SELECT record_workspace_plugin_installs(jsonb_agg(element(jsonb_build_object('plugin_name', 'blank ' || n, 'track', track))))
FROM unnest(ARRAY['    ', E'\t\n\r ', U&'\00A0\00A0', U&' \3000', 'none']) WITH ORDINALITY AS t (track, n);
SELECT plugin_name, tracked_ref FROM workspace_plugins WHERE plugin_name LIKE 'blank%' ORDER BY 1;

-- Nothing to do.
SELECT record_workspace_plugin_installs('[]');
-- No array.
SELECT try($$SELECT record_workspace_plugin_installs(NULL)$$);
SELECT try($$SELECT record_workspace_plugin_installs('null')$$);
SELECT try($$SELECT record_workspace_plugin_installs('{}')$$);
SELECT try($$SELECT record_workspace_plugin_installs(element())$$);
SELECT try($$SELECT record_workspace_plugin_installs('"x"')$$);
SELECT try($$SELECT record_workspace_plugin_installs('1')$$);
SELECT try($$SELECT record_workspace_plugin_installs('true')$$);
-- No objects.
SELECT refused('null');
SELECT refused('1');
SELECT refused('-1.5');
SELECT refused('"x"');
SELECT refused('false');
SELECT refused('[]');
-- Missing fields.
SELECT refused('{}');
SELECT refused(element() - 'workspace_id');
SELECT refused(element() - 'plugin_name');
SELECT refused(element() - 'source_raw');
SELECT refused(element('{"workspace_id": null}'));
SELECT refused(element('{"workspace_id": ""}'));
SELECT refused(element('{"plugin_name": null}'));
SELECT refused(element('{"plugin_name": ""}'));
SELECT refused(element('{"source_raw": null}'));
SELECT refused(element('{"source_raw": ""}'));
-- Unknown keys.
SELECT refused(element('{"tracked_ref": "none"}'));
SELECT refused(element('{"Track": "none"}'));
SELECT refused(element('{"": "x"}'));
SELECT refused(element('{"a\"b\\c\nd": null}'));
SELECT refused(element(jsonb_build_object(repeat('k', 100), 1)));
-- Other types than strings.
SELECT refused(element(jsonb_build_object(field, value)))
FROM unnest(ARRAY['workspace_id', 'plugin_name', 'source_raw', 'track', 'installed_sha']) WITH ORDINALITY AS f (field, n),
     unnest(ARRAY['1', 'true', '[]', '{}']::jsonb[]) WITH ORDINALITY AS v (value, m)
ORDER BY n, m;
SELECT refused(element('{"track": ["tag:v1"]}'));
SELECT refused(element('{"track": {"tag": "v1"}}'));
SELECT refused(element('{"installed_sha": 1e1000}'));
-- Strings that are wrong.
SELECT refused(element('{"workspace_id": "x"}'));
SELECT refused(element('{"workspace_id": " "}'));
SELECT refused(element('{"workspace_id": "urn:uuid:00000000-0000-0000-0000-000000000001"}'));
SELECT refused(element(jsonb_build_object('workspace_id', repeat('0', 100))));
SELECT refused(element('{"track": "main"}'));
SELECT refused(element('{"track": "tag: "}'));
SELECT refused(element('{"installed_sha": "abc"}'));
SELECT refused(element('{"installed_sha": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}'));
SELECT refused(element('{"source_raw": "https://u:p@host/a"}'));
SELECT refused(element('{"source_raw": "https://tok@host/a"}'));
SELECT refused(element('{"source_raw": "https://host/a?token=1"}'));
SELECT refused(element(jsonb_build_object('plugin_name', repeat('x', 256))));
SELECT refused(element(jsonb_build_object('source_raw', repeat('s', 2049))));
SELECT refused(element(jsonb_build_object('track', 'tag:' || repeat('t', 509))));
-- A workspace that nobody registered: the first element that names one.
SELECT refused(element(jsonb_build_object('workspace_id', w(9))));
SELECT try($$SELECT record_workspace_plugin_installs(jsonb_build_array(
    element(), element(jsonb_build_object('workspace_id', w(9))), element(jsonb_build_object('workspace_id', w(8))), element()))$$);
-- After all of these nothing is half done.
SELECT count(*) FROM workspace_plugins WHERE plugin_name = 'good';

-- Escapes, and text that is not ASCII.
SELECT record_workspace_plugin_installs('[{"workspace_id": "00000000-0000-0000-0000-000000000001", "plugin_name": "\u00fc\"\\\n\ud83d\ude00", "source_raw": "\u0073"}]');
SELECT plugin_name, source_raw FROM workspace_plugins WHERE plugin_name LIKE 'ü%';
SELECT plugin_name = E'ü"\\\n😀' FROM workspace_plugins WHERE plugin_name LIKE 'ü%';

-- Deep, and large.
SELECT refused(element(jsonb_build_object('track', (repeat('[', 5000) || repeat(']', 5000))::jsonb)));
SELECT try($$SELECT record_workspace_plugin_installs((repeat('[', 5000) || repeat(']', 5000))::jsonb)$$);
SELECT refused(element(jsonb_build_object('plugin_name', repeat('x', 10000000))));
SELECT left(error, 120), length(error) FROM refused(element(jsonb_build_object('track', repeat('x', 1000000)))) AS error;
SELECT left(error, 150), length(error) FROM refused(element(jsonb_build_object(repeat('x', 1000000), 1))) AS error;
SELECT record_workspace_plugin_installs((SELECT jsonb_agg(element(jsonb_build_object('plugin_name', 'many ' || i, 'workspace_id', w(1 + i % 2))))
                                         FROM generate_series(1, 10000) AS i));
SELECT record_workspace_plugin_installs((SELECT jsonb_agg(element(jsonb_build_object('plugin_name', 'many 1', 'source_raw', 's' || i)))
                                         FROM generate_series(1, 10000) AS i));
SELECT count(*), max(source_raw) FILTER (WHERE workspace_id = w(1) AND plugin_name = 'many 1') FROM workspace_plugins WHERE plugin_name LIKE 'many %';
-- From a table, where it lies compressed or aside.
CREATE TEMP TABLE stored AS SELECT jsonb_agg(element(jsonb_build_object('plugin_name', 'stored ' || md5(i::text)))) AS installs FROM generate_series(1, 1000) AS i;
SELECT record_workspace_plugin_installs(installs) FROM stored;

SELECT unregister_plugin_workspace(w(1)), unregister_plugin_workspace(w(2));
DROP FUNCTION refused(jsonb);
DROP FUNCTION element(jsonb);
