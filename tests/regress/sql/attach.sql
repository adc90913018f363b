-- attach_workspaces: a table of the application's that is followed, in all that may be written to it.
\pset format unaligned
\pset tuples_only on
\pset null NULL

CREATE TABLE workspaces (id uuid PRIMARY KEY, name text);
INSERT INTO workspaces SELECT w(i) FROM generate_series(1, 3) AS i;
SELECT register_plugin_workspace(w(2));
CREATE VIEW registered AS SELECT string_agg(right(workspace_id::text, 12)::int::text, ' ' ORDER BY workspace_id) FROM plugin_workspaces;

-- Rows that are there are registered; those that were already, do not count.
SELECT attach_workspaces('workspaces');
TABLE registered;
SELECT tgname, tgtype, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'workspaces'::regclass ORDER BY 1;
-- Again: nothing happens, but for rows that went behind its back.
SELECT attach_workspaces('workspaces');
SELECT unregister_plugin_workspace(w(3));
SELECT attach_workspaces('workspaces', 'id');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'workspaces'::regclass;

-- Insert, in all ways.
INSERT INTO workspaces VALUES (w(4), 'x'), (w(5), 'y');
COPY workspaces (id) FROM stdin;
00000000-0000-0000-0000-000000000006
00000000-0000-0000-0000-000000000007
\.
INSERT INTO workspaces VALUES (w(4), 'z') ON CONFLICT DO NOTHING;
INSERT INTO workspaces VALUES (w(4), 'z'), (w(8), 'new') ON CONFLICT (id) DO UPDATE SET name = excluded.name;
MERGE INTO workspaces AS t USING (VALUES (w(5), 'merged'), (w(9), 'merged')) AS s (id, name) ON t.id = s.id
    WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.name);
WITH more AS (INSERT INTO workspaces VALUES (w(10)) RETURNING id) SELECT id FROM more;
TABLE registered;
-- What is registered already does not stand in the way.
SELECT register_plugin_workspace(w(11));
INSERT INTO workspaces VALUES (w(11));
-- A transaction may insert and record at once.
BEGIN;
INSERT INTO workspaces VALUES (w(12));
SELECT plugin_name FROM record_workspace_plugin_install(w(12), 'p', 's');
COMMIT;
-- In one statement, not yet: the row is registered at its end.
SELECT try($$WITH added AS (INSERT INTO workspaces VALUES (w(13)) RETURNING id) SELECT record_workspace_plugin_install(id, 'p', 's') FROM added$$);
-- Rolled back, it is neither here nor there.
BEGIN;
INSERT INTO workspaces VALUES (w(14));
ROLLBACK;
TABLE registered;

-- A change of id takes installs and tier along, one that changes nothing else does not matter.
INSERT INTO rollout_tiers VALUES ('canary', 1);
SELECT register_plugin_workspace(w(12), 'canary');
UPDATE workspaces SET id = w(20), name = 'moved' WHERE id = w(12);
UPDATE workspaces SET id = id, name = 'same' WHERE id = w(20);
SELECT * FROM plugin_workspaces WHERE workspace_id IN (w(12), w(20));
SELECT workspace_id, plugin_name FROM workspace_plugins;
-- An id that is taken, here or by a workspace that was registered by hand, is refused as a key is.
SELECT register_plugin_workspace(w(21));
SELECT try($$UPDATE workspaces SET id = w(1) WHERE id = w(20)$$);
SELECT try($$UPDATE workspaces SET id = w(21) WHERE id = w(20)$$);
SELECT workspace_id, plugin_name FROM workspace_plugins;
SELECT unregister_plugin_workspace(w(21));

-- Delete, with all that is installed.
DELETE FROM workspaces WHERE id = w(20);
SELECT count(*) FROM workspace_plugins;
DELETE FROM workspaces WHERE id IN (w(4), w(5), w(6));
WITH gone AS (DELETE FROM workspaces WHERE id IN (w(7), w(8)) RETURNING id) SELECT count(*) FROM gone;
TABLE registered;
-- Deleted and inserted again at once, it is a new one.
SELECT plugin_name FROM record_workspace_plugin_install(w(1), 'p', 's');
BEGIN;
DELETE FROM workspaces WHERE id = w(1);
INSERT INTO workspaces VALUES (w(1));
COMMIT;
SELECT count(*) FROM workspace_plugins;

-- Truncate: only what is in the table goes.
SELECT register_plugin_workspace(w(30));
SELECT p.plugin_name, q.plugin_name FROM record_workspace_plugin_install(w(1), 'p', 's') AS p, record_workspace_plugin_install(w(30), 'q', 's') AS q;
BEGIN;
TRUNCATE workspaces;
TABLE registered;
ROLLBACK;
TABLE registered;
TRUNCATE workspaces;
TABLE registered;
SELECT workspace_id, plugin_name FROM workspace_plugins;

-- Triggers follow a renamed table, and a table in another schema.
INSERT INTO workspaces VALUES (w(1));
CREATE SCHEMA app;
ALTER TABLE workspaces SET SCHEMA app;
ALTER TABLE app.workspaces RENAME TO boxes;
INSERT INTO app.boxes VALUES (w(2));
TABLE registered;
TRUNCATE app.boxes;
TABLE registered;

-- A renamed column is an error that says what to do, and nothing is lost; then it is attached anew.
ALTER TABLE app.boxes RENAME id TO box_id;
SELECT try($$INSERT INTO app.boxes VALUES (w(3))$$);
SELECT attach_workspaces('app.boxes');
INSERT INTO app.boxes VALUES (w(3));
TABLE registered;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'app.boxes'::regclass;

-- Detached, it is no longer followed; what is registered stays.
SELECT detach_workspaces('app.boxes');
SELECT detach_workspaces('app.boxes');
INSERT INTO app.boxes VALUES (w(4));
DELETE FROM app.boxes WHERE box_id = w(3);
TABLE registered;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'app.boxes'::regclass;
-- Attached again, what came in between is registered, what went stays.
SELECT attach_workspaces('app.boxes');
TABLE registered;

-- Who has no rights on the extension writes to the attached table all the same, as with a foreign key.
CREATE ROLE regress_app;
GRANT USAGE ON SCHEMA app TO regress_app;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON app.boxes TO regress_app;
SET ROLE regress_app;
INSERT INTO app.boxes VALUES (w(40)), (w(41));
UPDATE app.boxes SET box_id = w(42) WHERE box_id = w(41);
DELETE FROM app.boxes WHERE box_id = w(40);
SELECT try($$TABLE plugin_workspaces$$);
RESET ROLE;
TABLE registered;
SET ROLE regress_app;
TRUNCATE app.boxes;
RESET ROLE;
TABLE registered;
-- But it cannot put the triggers on a table of its own.
CREATE SCHEMA own AUTHORIZATION regress_app;
SET ROLE regress_app;
CREATE TABLE own.boxes (id uuid PRIMARY KEY);
SELECT try($$SELECT attach_workspaces('own.boxes')$$);
SELECT try($$CREATE TRIGGER mine AFTER INSERT ON own.boxes FOR EACH ROW EXECUTE FUNCTION sync_attached_workspace('id')$$);
SELECT try($$CREATE TRIGGER mine BEFORE TRUNCATE ON own.boxes FOR EACH STATEMENT EXECUTE FUNCTION truncate_attached_workspaces('id')$$);
SELECT try($$SELECT detach_workspaces('app.boxes')$$);
RESET ROLE;
-- Nor does an attached table of its own lend it the rights of the extension's owner, whatever its column becomes.
SELECT attach_workspaces('own.boxes');
SET ROLE regress_app;
CREATE TYPE own.disguise AS (id uuid);
CREATE FUNCTION own.reveal(own.disguise) RETURNS uuid LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'runs as the owner of the extension'; END $$;
CREATE CAST (own.disguise AS uuid) WITH FUNCTION own.reveal(own.disguise) AS IMPLICIT;
ALTER TABLE own.boxes DISABLE TRIGGER USER;
ALTER TABLE own.boxes ADD COLUMN disguised own.disguise;
INSERT INTO own.boxes VALUES (w(70), ROW(w(70)));
SET client_min_messages = warning;
ALTER TABLE own.boxes DROP COLUMN id CASCADE;
RESET client_min_messages;
ALTER TABLE own.boxes RENAME disguised TO id;
ALTER TABLE own.boxes ENABLE TRIGGER USER;
SELECT try($$TRUNCATE own.boxes$$);
SELECT try($$DELETE FROM own.boxes$$);
SELECT try($$INSERT INTO own.boxes VALUES (ROW(w(71)))$$);
RESET ROLE;

-- Only at read committed: an older snapshot would miss rows.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT try($$SELECT attach_workspaces('app.boxes')$$);
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT try($$SELECT attach_workspaces('app.boxes')$$);
ROLLBACK;
-- Writing to the attached table is fine at any level.
BEGIN ISOLATION LEVEL SERIALIZABLE;
INSERT INTO app.boxes VALUES (w(50));
SELECT plugin_name FROM record_workspace_plugin_install(w(50), 'p', 's');
DELETE FROM app.boxes WHERE box_id = w(50);
COMMIT;

-- Triggers do not fire for replicated rows, nor when the user turns them off.
SET session_replication_role = replica;
INSERT INTO app.boxes VALUES (w(60));
RESET session_replication_role;
TABLE registered;
SELECT attach_workspaces('app.boxes');
TABLE registered;

-- A table that goes leaves what is registered.
DROP TABLE app.boxes;
TABLE registered;

SET client_min_messages = warning;
DROP SCHEMA app, own CASCADE;
DROP OWNED BY regress_app;
DROP ROLE regress_app;
DROP VIEW registered;
DELETE FROM plugin_workspaces;
DELETE FROM rollout_tiers;
