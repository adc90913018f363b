-- The extension in another schema, dropped and made again, renamed: in one session, with plans kept from before.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT current_database() AS back \gset
CREATE DATABASE regress_schema;
\c regress_schema
SET client_min_messages = warning;

-- In a schema whose name needs quotes and that nobody's search_path knows.
CREATE SCHEMA "Odd Schema";
CREATE EXTENSION pg_workspace_plugins SCHEMA "Odd Schema";
SELECT extnamespace::regnamespace, extrelocatable FROM pg_extension WHERE extname = 'pg_workspace_plugins';
SELECT n.nspname, count(*) > 0 FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND d.deptype = 'e'
JOIN pg_proc AS p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE e.extname = 'pg_workspace_plugins' GROUP BY 1;
SET search_path = '';
SELECT "Odd Schema".validate_tracked_ref(' tag:v1 '), "Odd Schema".is_valid_tracked_ref('x'), "Odd Schema".tracked_ref_kind('tag:*'),
       "Odd Schema".tracked_ref_value('ref:main'), "Odd Schema".is_valid_commit_sha('x'), "Odd Schema".check_plugin_source('x'),
       "Odd Schema".plugin_source_upstream('github://o/r'), "Odd Schema".resolve_tag('tag:latest', '{v1.0.0}');
SELECT 'none'::"Odd Schema".tracked_ref;
INSERT INTO "Odd Schema".rollout_tiers VALUES ('canary', 1);
SELECT * FROM "Odd Schema".register_plugin_workspace('00000000-0000-0000-0000-000000000001', 'canary');
SELECT plugin_name, upstream, tracked_ref FROM "Odd Schema".record_workspace_plugin_install('00000000-0000-0000-0000-000000000001', 'p', 'github://o/r', 'tag:v1');
SELECT "Odd Schema".record_workspace_plugin_installs('[{"workspace_id": "00000000-0000-0000-0000-000000000001", "plugin_name": "q", "source_raw": "s"}]');
SELECT "Odd Schema".record_workspace_plugin_install('00000000-0000-0000-0000-000000000009', 'p', 's');
SELECT "Odd Schema".record_workspace_plugin_installs('[{"workspace_id": "00000000-0000-0000-0000-000000000009", "plugin_name": "q", "source_raw": "s"}]');
SELECT "Odd Schema".remove_workspace_plugin('00000000-0000-0000-0000-000000000001', 'q');
-- Observing, and all that follows from it.
SELECT "Odd Schema".record_workspace_plugin_installs(('[{"workspace_id": "00000000-0000-0000-0000-000000000001", "plugin_name": "t", "source_raw": "github://o/r", "track": "tag:latest", "installed_sha": "' || repeat('a', 40) || '"}]')::jsonb);
SELECT upstream, fetch_url FROM "Odd Schema".claim_plugin_upstreams('w');
SELECT "Odd Schema".report_plugin_upstream_error('github.com/o/r', NULL, 'x');
SELECT outcome, queued FROM "Odd Schema".observe_plugin_upstream('github.com/o/r', pg_catalog.jsonb_build_object('refs/tags/v1.1.0', repeat('b', 40), 'refs/tags/v1.0.0', repeat('a', 40)));
SELECT outcome, superseded FROM "Odd Schema".observe_plugin_ref('github.com/o/r', 'refs/tags/v1.2.0', repeat('c', 40));
SELECT outcome, cancelled FROM "Odd Schema".observe_plugin_webhook('gitlab', pg_catalog.jsonb_build_object('object_kind', 'tag_push', 'ref', 'refs/tags/v1.2.0', 'after', repeat('f', 40), 'checkout_sha', repeat('d', 40), 'project', pg_catalog.jsonb_build_object('git_http_url', 'https://github.com/o/r')));
SELECT plugin_name, state, target_ref, update_status FROM "Odd Schema".workspace_plugin_drift ORDER BY 1;
SELECT "Odd Schema".accept_moved_tag('github.com/o/r', 'v1.2.0', repeat('d', 40));
SELECT plugin_name, kind, target_ref, "Odd Schema".dismiss_plugin_update(id, 'no') FROM "Odd Schema".pending_plugin_updates;
SELECT tracked, unresolvable, by_state, vacuous FROM "Odd Schema".plugin_tracking_health;
SELECT "Odd Schema".detect_plugin_drift(), "Odd Schema".prune_plugin_updates('0') > 0;
SELECT "Odd Schema".remove_workspace_plugin('00000000-0000-0000-0000-000000000001', 't');
CREATE TABLE public.boxes (id uuid PRIMARY KEY);
INSERT INTO public.boxes VALUES ('00000000-0000-0000-0000-000000000002');
SELECT "Odd Schema".attach_workspaces('public.boxes');
INSERT INTO public.boxes VALUES ('00000000-0000-0000-0000-000000000003');
UPDATE public.boxes SET id = '00000000-0000-0000-0000-000000000004' WHERE id = '00000000-0000-0000-0000-000000000003';
DELETE FROM public.boxes WHERE id = '00000000-0000-0000-0000-000000000002';
SELECT "Odd Schema".attach_workspaces('public.boxes');
SELECT workspace_id FROM "Odd Schema".plugin_workspaces ORDER BY 1;
TRUNCATE public.boxes;
SELECT workspace_id FROM "Odd Schema".plugin_workspaces ORDER BY 1;
SELECT "Odd Schema".detach_workspaces('public.boxes');
CREATE TABLE public.original AS SELECT 1 AS id, workspace_id, 'i' AS plugin_name, 's' AS source_raw, 'none' AS tracked_ref, pg_catalog.now() AS installed_at, pg_catalog.now() AS updated_at
FROM "Odd Schema".plugin_workspaces;
SELECT "Odd Schema".import_workspace_plugins('public.original');
SELECT pg_catalog.count(*) FROM "Odd Schema".workspace_plugins_import_refusals('public.original');
CREATE ROLE regress_schema_operator;
SELECT "Odd Schema".grant_plugin_access('regress_schema_operator', 'operator');
SET ROLE regress_schema_operator;
SELECT plugin_name FROM "Odd Schema".record_workspace_plugin_install('00000000-0000-0000-0000-000000000001', 'r', 's');
SELECT plugin_name FROM "Odd Schema".record_workspace_plugin_install('00000000-0000-0000-0000-000000000001', 'r', 'github://o/r', 'tag:latest', pg_catalog.repeat('a', 40));
SELECT "Odd Schema".detect_plugin_drift();
RESET ROLE;
SELECT "Odd Schema".revoke_plugin_access('regress_schema_operator');
SELECT "Odd Schema".unregister_plugin_workspace('00000000-0000-0000-0000-000000000001');
RESET search_path;
DROP OWNED BY regress_schema_operator;
DROP ROLE regress_schema_operator;

-- Objects of the same names earlier in the caller's search_path are not taken for the extension's.
CREATE SCHEMA other;
CREATE TABLE other.plugin_workspaces (workspace_id uuid PRIMARY KEY);
CREATE TABLE other.workspace_plugins (workspace_id uuid, plugin_name text);
CREATE FUNCTION other.count() RETURNS bigint LANGUAGE sql AS 'SELECT 42::bigint';
CREATE TEMP TABLE workspace_plugins (workspace_id uuid, plugin_name text);
CREATE TEMP TABLE plugin_workspaces (workspace_id uuid, rollout_tier text);
SET search_path = other, pg_catalog, "Odd Schema";
SELECT workspace_id FROM "Odd Schema".register_plugin_workspace('00000000-0000-0000-0000-000000000001');
SELECT plugin_name FROM record_workspace_plugin_install('00000000-0000-0000-0000-000000000001', 'p', 's');
SELECT record_workspace_plugin_installs('[{"workspace_id": "00000000-0000-0000-0000-000000000001", "plugin_name": "q", "source_raw": "s"}]');
SELECT pg_catalog.count(*) FROM "Odd Schema".workspace_plugins;
SELECT plugin_name FROM record_workspace_plugin_install('00000000-0000-0000-0000-000000000001', 'p', 'github://o/r', 'ref:main', pg_catalog.repeat('a', 40));
SELECT outcome, queued FROM observe_plugin_upstream('github.com/o/r', pg_catalog.jsonb_build_object('refs/heads/main', pg_catalog.repeat('c', 40)));
SELECT detect_plugin_drift();
SELECT plugin_name, state, update_status FROM workspace_plugin_drift;
SELECT remove_workspace_plugin('00000000-0000-0000-0000-000000000001', 'q'), unregister_plugin_workspace('00000000-0000-0000-0000-000000000001');
RESET search_path;
DISCARD TEMP;

-- Dropped, and made again at the same place.
DROP EXTENSION pg_workspace_plugins CASCADE;
CREATE EXTENSION pg_workspace_plugins SCHEMA "Odd Schema";
SELECT "Odd Schema".register_plugin_workspace('00000000-0000-0000-0000-000000000001');
SELECT plugin_name FROM "Odd Schema".record_workspace_plugin_install('00000000-0000-0000-0000-000000000001', 'p', 's');
SELECT "Odd Schema".record_workspace_plugin_installs('[{"workspace_id": "00000000-0000-0000-0000-000000000001", "plugin_name": "q", "source_raw": "s"}]');
SELECT "Odd Schema".attach_workspaces('public.boxes');
INSERT INTO public.boxes VALUES ('00000000-0000-0000-0000-000000000005');

-- Dropped, its triggers go; made again elsewhere, while the first schema is still there.
DROP EXTENSION pg_workspace_plugins CASCADE;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'boxes'::regclass;
INSERT INTO boxes VALUES ('00000000-0000-0000-0000-000000000006');
CREATE EXTENSION pg_workspace_plugins;
SELECT attach_workspaces('boxes');
INSERT INTO boxes VALUES ('00000000-0000-0000-0000-000000000007');
SELECT plugin_name FROM record_workspace_plugin_install('00000000-0000-0000-0000-000000000007', 'p', 's');
SELECT record_workspace_plugin_installs('[{"workspace_id": "00000000-0000-0000-0000-000000000007", "plugin_name": "q", "source_raw": "s"}]');
SELECT remove_workspace_plugin('00000000-0000-0000-0000-000000000007', 'p');
DROP EXTENSION pg_workspace_plugins CASCADE;

-- Made in a transaction that is rolled back after its functions were called.
BEGIN;
CREATE SCHEMA first;
CREATE EXTENSION pg_workspace_plugins SCHEMA first;
SELECT first.attach_workspaces('boxes');
SELECT plugin_name FROM first.record_workspace_plugin_install('00000000-0000-0000-0000-000000000007', 'p', 's');
ROLLBACK;
CREATE SCHEMA second;
CREATE EXTENSION pg_workspace_plugins SCHEMA second;
SELECT second.attach_workspaces('boxes');
SELECT plugin_name FROM second.record_workspace_plugin_install('00000000-0000-0000-0000-000000000007', 'p', 's');
SELECT second.record_workspace_plugin_installs('[{"workspace_id": "00000000-0000-0000-0000-000000000007", "plugin_name": "q", "source_raw": "s"}]');

-- The schema is renamed, which is not supported: what is written in SQL looks for the old one.
ALTER SCHEMA second RENAME TO "Sec'ond";
SELECT plugin_name FROM "Sec'ond".record_workspace_plugin_install('00000000-0000-0000-0000-000000000007', 'r', 's');
SELECT "Sec'ond".record_workspace_plugin_installs('[{"workspace_id": "00000000-0000-0000-0000-000000000007", "plugin_name": "s", "source_raw": "s"}]');
SELECT 'none'::"Sec'ond".tracked_ref, "Sec'ond".resolve_tag('tag:latest', '{v1.0.0}');
-- Renamed back, all is as it was.
ALTER SCHEMA "Sec'ond" RENAME TO second;
SELECT second.record_workspace_plugin_installs('[{"workspace_id": "00000000-0000-0000-0000-000000000007", "plugin_name": "s", "source_raw": "s"}]');
INSERT INTO boxes VALUES ('00000000-0000-0000-0000-000000000008');
DELETE FROM boxes WHERE id = '00000000-0000-0000-0000-000000000005';
SELECT p.workspace_id, p.plugin_name FROM second.workspace_plugins AS p ORDER BY 1, 2;
SELECT workspace_id FROM second.plugin_workspaces ORDER BY 1;
\c :back
DROP DATABASE regress_schema;
