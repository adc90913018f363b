-- import_workspace_plugins: rows of the original service's table, each taken or refused with its reason.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE SCHEMA original;
SELECT count(register_plugin_workspace(w(i))) FROM generate_series(1, 2) AS i;

-- The table as it was.
CREATE TABLE original.plugins (
    id uuid PRIMARY KEY, workspace_id uuid, plugin_name text, source_raw text, tracked_ref text,
    installed_sha text, installed_at timestamptz, updated_at timestamptz);
INSERT INTO original.plugins VALUES
    (w(101), w(1), 'whole', 'github://O/r#v1', 'tag:v1', sha('a'), '2024-01-01 00:00Z', '2024-02-01 00:00Z'),
    (w(102), w(1), 'untracked', 'my-plugin', 'none', NULL, '2024-01-01 00:00Z', '2024-02-01 00:00Z'),
    (w(103), w(1), 'nulls', 's', NULL, NULL, NULL, '2024-02-01 00:00Z'),
    (w(104), w(1), 'empty', 's', '', '', '2024-01-01 00:00Z', NULL),
    (w(105), w(2), 'trimmed', 's', E' tag:latest\n', NULL, '2024-01-01 00:00Z', '2024-02-01 00:00Z'),
    (w(106), w(2), 'branch', 's', 'ref:main', NULL, '2024-01-01 00:00Z', '2024-02-01 00:00Z'),
    (w(201), NULL, 'p', 's', 'none', NULL, now(), now()),
    (w(202), w(9), 'p', 's', 'none', NULL, now(), now()),
    (w(203), w(1), NULL, 's', 'none', NULL, now(), now()),
    (w(204), w(1), '', 's', 'none', NULL, now(), now()),
    (w(205), w(1), 'no source', NULL, 'none', NULL, now(), now()),
    (w(206), w(1), 'empty source', '', 'none', NULL, now(), now()),
    (w(207), w(1), 'bad ref', 's', 'main', NULL, now(), now()),
    (w(208), w(1), 'bad sha', 's', 'none', 'abc', now(), now()),
    (w(209), w(1), 'secret', 'https://u:hunter2@host/a', 'none', NULL, now(), now()),
    (w(210), w(1), repeat('x', 256), 's', 'none', NULL, now(), now()),
    (w(211), w(1), 'long source', repeat('s', 2049), 'none', NULL, now(), now()),
    (w(212), w(1), 'long ref', 's', 'tag:' || repeat('t', 509), NULL, now(), now());
SELECT id, workspace_id, left(plugin_name, 20), reason FROM workspace_plugins_import_refusals('original.plugins');
SELECT import_workspace_plugins('original.plugins');
SELECT workspace_id, plugin_name, source_raw, upstream, tracked_ref, installed_sha, installed_at, updated_at = now(), updated_at
FROM workspace_plugins ORDER BY plugin_name COLLATE "C";

-- Again: nothing is newer, so that nothing is stored.
DELETE FROM original.plugins WHERE id >= w(200);
SELECT import_workspace_plugins('original.plugins');
SELECT count(*) FROM workspace_plugins_import_refusals('original.plugins');
-- A row that is newer in the original wins; one that was recorded here since then does, too.
UPDATE original.plugins SET tracked_ref = 'tag:v2', installed_at = '2023-01-01 00:00Z', updated_at = '2024-03-01 00:00Z' WHERE plugin_name = 'whole';
SELECT tracked_ref FROM record_workspace_plugin_install(w(1), 'untracked', 's', 'tag:here');
UPDATE original.plugins SET tracked_ref = 'tag:there', updated_at = '2024-03-01 00:00Z' WHERE plugin_name = 'untracked';
SELECT id, plugin_name, reason FROM workspace_plugins_import_refusals('original.plugins');
SELECT import_workspace_plugins('original.plugins');
SELECT plugin_name, tracked_ref, installed_at FROM workspace_plugins WHERE plugin_name = 'whole';
SELECT plugin_name, tracked_ref FROM workspace_plugins WHERE plugin_name = 'untracked';
-- So it is where only the time of the first install is known.
UPDATE original.plugins SET installed_at = '2024-01-01 00:00Z', updated_at = NULL WHERE plugin_name = 'whole';
SELECT id, plugin_name, reason FROM workspace_plugins_import_refusals('original.plugins') WHERE plugin_name = 'whole';
DELETE FROM workspace_plugins;

-- All columns text, one missing, others more, in another order and the table's name in need of quotes.
CREATE TABLE original."Old plugins" (
    "Extra" int, updated_at text, installed_at text, tracked_ref text, source_raw text, plugin_name text, workspace_id text, id text, gone int);
ALTER TABLE original."Old plugins" DROP gone;
INSERT INTO original."Old plugins" (id, workspace_id, plugin_name, source_raw, tracked_ref, installed_at, updated_at) VALUES
    ('1', w(1)::text, 'p', 'first', 'tag:v1', '2024-01-01 00:00Z', '2024-02-01 00:00Z'),
    ('2', upper(w(1)::text), 'p', 'later', 'tag:v2', '2024-01-01 00:00Z', '2024-03-01 00:00Z'),
    ('3', replace(w(1)::text, '-', ''), 'p', 'no time', 'tag:v3', '2024-01-01 00:00Z', NULL),
    ('4', '{' || w(1) || '}', 'q', 's', 'none', '2024-01-01 00:00Z', '2024-02-01 00:00Z'),
    ('5', 'x', 'p', 's', 'none', now()::text, now()::text),
    ('6', '', 'p', 's', 'none', now()::text, now()::text),
    (NULL, w(9)::text, 'p', 's', 'none', now()::text, now()::text);
SELECT * FROM workspace_plugins_import_refusals('original."Old plugins"');
SELECT import_workspace_plugins('original."Old plugins"');
SELECT workspace_id, plugin_name, source_raw, tracked_ref, installed_sha, installed_at, updated_at FROM workspace_plugins ORDER BY plugin_name;
-- A time that is none stops the import.
UPDATE original."Old plugins" SET installed_at = 'yesterday or so' WHERE id = '1';
SELECT try($$SELECT import_workspace_plugins('original."Old plugins"')$$);
DELETE FROM workspace_plugins;

-- More than twenty refusals: the warning shows the first of them.
CREATE TABLE original.many AS
SELECT 100 + i AS id, w(1) AS workspace_id, 'p' || i AS plugin_name, 's' AS source_raw, CASE WHEN i % 2 = 0 THEN 'main' ELSE 'none' END AS tracked_ref,
       now() AS installed_at, now() AS updated_at FROM generate_series(1, 50) AS i;
SELECT import_workspace_plugins('original.many');
SELECT count(*) FROM workspace_plugins;
SELECT count(*), min(reason) FROM workspace_plugins_import_refusals('original.many');
DELETE FROM workspace_plugins;

-- A view, and an empty table.
CREATE VIEW original.good AS SELECT * FROM original.many WHERE tracked_ref = 'none';
SELECT import_workspace_plugins('original.good');
SELECT import_workspace_plugins('original.good');
TRUNCATE original.many;
SELECT import_workspace_plugins('original.many');
SELECT count(*) FROM workspace_plugins;

-- What cannot be imported from.
SELECT try($$SELECT import_workspace_plugins(NULL)$$);
SELECT try($$SELECT import_workspace_plugins('original.nowhere')$$);
SELECT try($$SELECT import_workspace_plugins(0)$$);
CREATE TABLE original.other (id int, plugin_name text, "Source_raw" text);
SELECT try($$SELECT import_workspace_plugins('original.other')$$);
SELECT try($$SELECT * FROM workspace_plugins_import_refusals('original.other')$$);
CREATE SEQUENCE original.sequence;
SELECT try($$SELECT import_workspace_plugins('original.sequence')$$);

-- Row security that would hide rows is an error, not a gap.
CREATE ROLE regress_operator;
SELECT grant_plugin_access('regress_operator', 'operator');
GRANT USAGE ON SCHEMA original TO regress_operator;
GRANT SELECT ON original.plugins TO regress_operator;
SET ROLE regress_operator;
SELECT import_workspace_plugins('original.plugins');
SELECT try($$SELECT import_workspace_plugins('original.many')$$);
RESET ROLE;
ALTER TABLE original.plugins ENABLE ROW LEVEL SECURITY;
SET ROLE regress_operator;
SELECT try($$SELECT import_workspace_plugins('original.plugins')$$);
RESET ROLE;

-- Why a row cannot be taken, asked for one.
SELECT plugin_install_refusal(w(1)::text, 'p', 's', 'tag:v1', NULL), plugin_install_refusal(w(1)::text, 'p', 's', NULL, ''),
       plugin_install_refusal(NULL, NULL, NULL, NULL, NULL), plugin_install_refusal(w(1)::text, 'p', 's', 'main', 'abc');

DROP OWNED BY regress_operator;
DROP ROLE regress_operator;
SET client_min_messages = warning;
DROP SCHEMA original CASCADE;
DELETE FROM plugin_workspaces;
