-- record_workspace_plugin_install: one install, new or again.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT register_plugin_workspace(w(1));

-- New: the row as it is stored.
SELECT workspace_id, plugin_name, source_raw, upstream, tracked_ref, installed_sha, installed_at = now(), updated_at = now()
FROM record_workspace_plugin_install(w(1), 'p', 'github://O/r#v1', 'tag:v1', sha('a'));
BEGIN;
CREATE TEMP TABLE answer ON COMMIT DROP AS SELECT r FROM record_workspace_plugin_install(w(1), 'same', 'github://o/r', 'tag:v1', sha('a')) AS r;
SELECT pg_typeof(r), r = p FROM answer, workspace_plugins AS p WHERE p.plugin_name = 'same';
COMMIT;
SELECT (record_workspace_plugin_install(w(1), 'same', 's')).plugin_name, pg_typeof(record_workspace_plugin_install(w(1), 'same', 's'));

-- Again: everything but the key and installed_at is new.
UPDATE workspace_plugins SET installed_at = '2024-01-01 00:00Z', updated_at = '2024-01-02 00:00Z' WHERE plugin_name = 'p';
SELECT plugin_name, source_raw, upstream, tracked_ref, installed_sha, installed_at, updated_at = now()
FROM record_workspace_plugin_install(w(1), 'p', 'https://host/a/b', 'ref:main', sha('b'));
-- Without track and sha it is no longer tracked, and its commit no longer known.
SELECT plugin_name, source_raw, upstream, tracked_ref, installed_sha, installed_at, updated_at = now()
FROM record_workspace_plugin_install(w(1), 'p', 'my-plugin');

-- Defaults, NULL and '', by position and by name.
SELECT tracked_ref, installed_sha FROM record_workspace_plugin_install(w(1), 'p', 's', NULL, NULL);
SELECT tracked_ref, installed_sha FROM record_workspace_plugin_install(w(1), 'p', 's', '', '');
SELECT tracked_ref, installed_sha FROM record_workspace_plugin_install(w(1), 'p', 's', '   ');
SELECT tracked_ref, installed_sha FROM record_workspace_plugin_install(
    installed_sha => repeat('0', 64), source_raw => 's', plugin_name => 'p', workspace_id => w(1));
-- White space of as many bytes as 'none' has.
SELECT tracked_ref FROM unnest(ARRAY['    ', E'\t\n\r ', U&'\00A0\00A0', U&' \3000', E'\tnone', 'none ', ' none']) AS t (track),
    LATERAL record_workspace_plugin_install(w(1), 'blank', 's', track);
-- The track is trimmed, nothing else is.
SELECT plugin_name, source_raw, tracked_ref
FROM record_workspace_plugin_install(w(1), ' p ', ' s ', U&'\00A0\3000 tag:v1.0.0 \000A');
SELECT tracked_ref FROM unnest(ARRAY['tag:latest', 'tag:^1.2', 'tag:plugin-a/*', 'sha:abc123', 'ref:main', 'tag:has space', 'sha:xyz']) WITH ORDINALITY AS t (track, n),
    LATERAL record_workspace_plugin_install(w(1), 'tracks', 's', track) ORDER BY n;
-- Names differ by case and by accents.
SELECT count(*) FROM unnest(ARRAY['Name', 'name', 'nämé', U&'na\0308me\0301']) AS n, LATERAL record_workspace_plugin_install(w(1), n, 's');
SELECT count(*) FROM workspace_plugins WHERE plugin_name IN ('Name', 'name', 'nämé', U&'na\0308me\0301');

-- What is missing, in the order of the arguments.
SELECT try($$SELECT record_workspace_plugin_install(NULL, NULL, NULL)$$);
SELECT try($$SELECT record_workspace_plugin_install(w(1), NULL, NULL)$$);
SELECT try($$SELECT record_workspace_plugin_install(w(1), '', 's')$$);
SELECT try($$SELECT record_workspace_plugin_install(w(1), 'p', NULL)$$);
SELECT try($$SELECT record_workspace_plugin_install(w(1), 'p', '')$$);
-- What is wrong.
SELECT try($$SELECT record_workspace_plugin_install(w(1), 'p', 's', 'main')$$);
SELECT try($$SELECT record_workspace_plugin_install(w(1), 'p', 's', 'tag: ')$$);
SELECT try($$SELECT record_workspace_plugin_install(w(1), 'p', 's', 'none', 'abc123')$$);
SELECT try($$SELECT record_workspace_plugin_install(w(1), 'p', 's', 'none', ' ')$$);
SELECT try($$SELECT record_workspace_plugin_install(w(1), 'p', 's', 'none', repeat('A', 40))$$);
SELECT try($$SELECT record_workspace_plugin_install(w(1), 'p', 's', 'none', repeat('z', 100))$$);
SELECT try($$SELECT record_workspace_plugin_install(w(1), 'p', 's', 'none', sha('a') || ' ')$$);
SELECT try($$SELECT record_workspace_plugin_install('x', 'p', 's')$$);
SELECT try($$SELECT record_workspace_plugin_install(w(1), 'p', 'https://u:p@host/a')$$);
SELECT try($$SELECT record_workspace_plugin_install(w(1), 'p', 'https://tok@host/a')$$);
SELECT try($$SELECT record_workspace_plugin_install(w(1), 'p', 'https://host/a?token=1')$$);
SELECT try($$SELECT record_workspace_plugin_install(w(1), repeat('x', 256), 's')$$);
SELECT try($$SELECT record_workspace_plugin_install(w(1), repeat('ü', 128), 's')$$);
SELECT try($$SELECT record_workspace_plugin_install(w(1), 'p', repeat('s', 2049))$$);
SELECT try($$SELECT record_workspace_plugin_install(w(1), 'p', 's', 'tag:' || repeat('t', 509))$$);
-- The limits themselves fit, once the track is trimmed.
SELECT octet_length(plugin_name), octet_length(source_raw), octet_length(tracked_ref)
FROM record_workspace_plugin_install(w(1), repeat('x', 255), repeat('s', 2048), ' tag:' || repeat('t', 508) || ' ');

-- A workspace that nobody registered.
SELECT try($$SELECT record_workspace_plugin_install(w(9), 'p', 's')$$);
SELECT count(*) FROM workspace_plugins WHERE workspace_id = w(9);
-- After an error the session goes on, in the same transaction too.
BEGIN;
SELECT try($$SELECT record_workspace_plugin_install(w(9), 'p', 's')$$);
SELECT plugin_name FROM record_workspace_plugin_install(w(1), 'after', 's');
SAVEPOINT s;
SELECT record_workspace_plugin_install(w(9), 'p', 's');
ROLLBACK TO s;
SELECT plugin_name FROM record_workspace_plugin_install(w(1), 'after that', 's');
COMMIT;
SELECT plugin_name FROM workspace_plugins WHERE plugin_name LIKE 'after%' ORDER BY 1;
-- Rolled back, it is not there.
BEGIN;
SELECT plugin_name FROM record_workspace_plugin_install(w(1), 'undone', 's');
ROLLBACK;
SELECT count(*) FROM workspace_plugins WHERE plugin_name = 'undone';

-- Another foreign key's violation, in a trigger of the user's, is not taken for an unknown workspace.
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int CONSTRAINT child_id_fkey REFERENCES parent);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO child VALUES (1); RETURN NEW; END $$;
CREATE TRIGGER audit BEFORE INSERT ON workspace_plugins FOR EACH ROW EXECUTE FUNCTION audit();
SELECT try($$SELECT record_workspace_plugin_install(w(1), 'q', 's')$$);
DROP TRIGGER audit ON workspace_plugins;
DROP FUNCTION audit();
DROP TABLE child, parent;

-- Nor is any other error hidden that the server raises on the way.
ALTER TABLE workspace_plugins ADD CONSTRAINT own_check CHECK (plugin_name <> 'forbidden');
SELECT try($$SELECT record_workspace_plugin_install(w(1), 'forbidden', 's')$$);
ALTER TABLE workspace_plugins DROP CONSTRAINT own_check;

-- Many in one statement, and in a loop of PL/pgSQL.
SELECT count(r) FROM generate_series(1, 1000) AS i, LATERAL record_workspace_plugin_install(w(1), 'many ' || i, 'github://o/r' || i) AS r;
DO $$
DECLARE r workspace_plugins;
BEGIN
    FOR i IN 1..100 LOOP
        r := record_workspace_plugin_install(w(1), 'many ' || i, 's', 'tag:v' || i);
        ASSERT r.tracked_ref = 'tag:v' || i;
    END LOOP;
END $$;
SELECT count(*), count(upstream), count(*) FILTER (WHERE tracked_ref <> 'none') FROM workspace_plugins WHERE plugin_name LIKE 'many %';


-- A trigger of the user's may suppress the row: then there is none to give.
CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER suppress BEFORE INSERT ON workspace_plugins FOR EACH ROW EXECUTE FUNCTION suppress();
SELECT record_workspace_plugin_install(w(1), 'suppressed', 's') IS NULL AS suppressed;
DROP TRIGGER suppress ON workspace_plugins;
DROP FUNCTION suppress();

-- updated_at never goes back, whatever a transaction's clock says.
INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, installed_at, updated_at)
VALUES (w(1), 'of later', 's', 'infinity', 'infinity');
SELECT updated_at FROM record_workspace_plugin_install(w(1), 'of later', 's');
SELECT record_workspace_plugin_installs(jsonb_build_array(jsonb_build_object('workspace_id', w(1), 'plugin_name', 'of later', 'source_raw', 's')));
SELECT updated_at FROM workspace_plugins WHERE plugin_name = 'of later';
DELETE FROM workspace_plugins WHERE plugin_name = 'of later';

SELECT unregister_plugin_workspace(w(1));
