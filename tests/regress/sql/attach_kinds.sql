-- attach_workspaces: which tables it takes, by which column, and what it refuses.
\pset format unaligned
\pset tuples_only on
\pset null NULL
CREATE SCHEMA kinds;
CREATE VIEW registered AS SELECT string_agg(right(workspace_id::text, 12)::int::text, ' ' ORDER BY workspace_id) FROM plugin_workspaces;

-- A uuid under any name; names that need quotes.
CREATE SCHEMA "Odd ""schema""; --";
CREATE TABLE "Odd ""schema""; --"."Work'spaces; ü" ("select ""Id'%s \ $1" uuid PRIMARY KEY, id text);
INSERT INTO "Odd ""schema""; --"."Work'spaces; ü" VALUES (w(1));
SELECT attach_workspaces('"Odd ""schema""; --"."Work''spaces; ü"');
INSERT INTO "Odd ""schema""; --"."Work'spaces; ü" VALUES (w(2));
UPDATE "Odd ""schema""; --"."Work'spaces; ü" SET "select ""Id'%s \ $1" = w(3) WHERE "select ""Id'%s \ $1" = w(1);
SELECT attach_workspaces('"Odd ""schema""; --"."Work''spaces; ü"', 'select "Id''%s \ $1');
TABLE registered;
TRUNCATE "Odd ""schema""; --"."Work'spaces; ü";
TABLE registered;
SELECT detach_workspaces('"Odd ""schema""; --"."Work''spaces; ü"');
SELECT count(*) FROM pg_trigger WHERE tgrelid = '"Odd ""schema""; --"."Work''spaces; ü"'::regclass;
SET client_min_messages = warning;
DROP SCHEMA "Odd ""schema""; --" CASCADE;
RESET client_min_messages;
-- The longest name.
CREATE TABLE kinds.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx (ääääääääääääääääääääääääääääääx uuid PRIMARY KEY);
SELECT attach_workspaces('kinds.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx');
INSERT INTO kinds.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx VALUES (w(1));
TABLE registered;
TRUNCATE kinds.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx;

-- UNIQUE instead of a primary key; a primary key of another type besides.
CREATE TABLE kinds.by_unique (n int PRIMARY KEY, tenant uuid NOT NULL UNIQUE);
SELECT attach_workspaces('kinds.by_unique');
INSERT INTO kinds.by_unique VALUES (1, w(1));
UPDATE kinds.by_unique SET n = 2;
UPDATE kinds.by_unique SET tenant = w(2);
TABLE registered;
DELETE FROM kinds.by_unique;
TABLE registered;
-- Several keys: the primary one, unless another is named.
CREATE TABLE kinds.several (a uuid NOT NULL UNIQUE, b uuid PRIMARY KEY, c uuid NOT NULL UNIQUE);
SELECT attach_workspaces('kinds.several');
INSERT INTO kinds.several VALUES (w(1), w(2), w(3));
TABLE registered;
DELETE FROM kinds.several;
SELECT attach_workspaces('kinds.several', 'c');
INSERT INTO kinds.several VALUES (w(1), w(2), w(3));
TABLE registered;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'kinds.several'::regclass AND NOT tgisinternal;
-- Without saying so it goes back to the primary key.
SELECT attach_workspaces('kinds.several');
TABLE registered;
DELETE FROM kinds.several;
DELETE FROM plugin_workspaces;
CREATE TABLE kinds.two_unique (a uuid NOT NULL UNIQUE, "B" uuid NOT NULL UNIQUE);
SELECT try($$SELECT attach_workspaces('kinds.two_unique')$$);
SELECT attach_workspaces('kinds.two_unique', 'B');
-- The same column with several indexes is no matter.
CREATE TABLE kinds.twice (id uuid PRIMARY KEY);
CREATE UNIQUE INDEX ON kinds.twice (id);
SELECT attach_workspaces('kinds.twice');
CREATE TABLE kinds.twice_unique (id uuid NOT NULL UNIQUE);
CREATE UNIQUE INDEX ON kinds.twice_unique (id);
SELECT try($$SELECT attach_workspaces('kinds.twice_unique')$$);

-- Two tables at once.
CREATE TABLE kinds.one (id uuid PRIMARY KEY);
CREATE TABLE kinds.other (id uuid PRIMARY KEY);
INSERT INTO kinds.one VALUES (w(1)), (w(2));
INSERT INTO kinds.other VALUES (w(2)), (w(3));
SELECT attach_workspaces('kinds.one'), attach_workspaces('kinds.other');
TABLE registered;
SELECT detach_workspaces('kinds.one');
INSERT INTO kinds.other VALUES (w(4));
TABLE registered;
DELETE FROM kinds.other;
DELETE FROM plugin_workspaces;

-- Partitions, also where their columns stand in another order; writes to one directly, and a move between them.
CREATE TABLE kinds.parted (region int, id uuid, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE kinds.parted_1 PARTITION OF kinds.parted FOR VALUES FROM (w(0)) TO (w(50));
CREATE TABLE kinds.parted_2 (id uuid NOT NULL, gone int, region int);
ALTER TABLE kinds.parted_2 DROP gone;
ALTER TABLE kinds.parted ATTACH PARTITION kinds.parted_2 FOR VALUES FROM (w(50)) TO (w(100));
INSERT INTO kinds.parted VALUES (1, w(1)), (2, w(51));
SELECT attach_workspaces('kinds.parted');
TABLE registered;
INSERT INTO kinds.parted VALUES (1, w(2)), (2, w(52));
INSERT INTO kinds.parted_1 VALUES (1, w(3));
INSERT INTO kinds.parted_2 (id) VALUES (w(53));
COPY kinds.parted_2 (id) FROM stdin;
00000000-0000-0000-0000-000000000054
\.
TABLE registered;
UPDATE kinds.parted SET id = w(60) WHERE id = w(52);
TABLE registered;
SELECT plugin_name FROM record_workspace_plugin_install(w(1), 'moves', 's');
UPDATE kinds.parted SET id = w(61) WHERE id = w(1);
TABLE registered;
SELECT workspace_id, plugin_name FROM workspace_plugins;
DELETE FROM kinds.parted_1 WHERE id = w(3);
DELETE FROM kinds.parted WHERE id = w(53);
TABLE registered;
CREATE TABLE kinds.parted_3 PARTITION OF kinds.parted FOR VALUES FROM (w(100)) TO (w(200));
INSERT INTO kinds.parted_3 VALUES (3, w(100));
TABLE registered;
TRUNCATE kinds.parted;
TABLE registered;
SELECT detach_workspaces('kinds.parted');
INSERT INTO kinds.parted VALUES (1, w(2));
TABLE registered;
DELETE FROM plugin_workspaces;

-- A child by inheritance is a table of its own.
CREATE TABLE kinds.parent (id uuid PRIMARY KEY);
CREATE TABLE kinds.child () INHERITS (kinds.parent);
SELECT attach_workspaces('kinds.parent');
INSERT INTO kinds.child VALUES (w(1));
TABLE registered;

-- What cannot work.
SELECT try($$SELECT attach_workspaces(NULL)$$);
SELECT try($$SELECT attach_workspaces('kinds.nowhere')$$);
SELECT try($$SELECT attach_workspaces(0)$$);
SELECT try($$SELECT attach_workspaces(4000000000)$$);
SELECT try($$SELECT attach_workspaces('')$$);
CREATE VIEW kinds.view AS SELECT * FROM kinds.one;
SELECT try($$SELECT attach_workspaces('kinds.view')$$);
CREATE MATERIALIZED VIEW kinds.matview AS SELECT * FROM kinds.one;
CREATE UNIQUE INDEX ON kinds.matview (id);
SELECT try($$SELECT attach_workspaces('kinds.matview')$$);
CREATE SEQUENCE kinds.sequence;
SELECT try($$SELECT attach_workspaces('kinds.sequence')$$);
SELECT try($$SELECT attach_workspaces('kinds.one_pkey')$$);
CREATE TEMP TABLE temporary (id uuid PRIMARY KEY);
SELECT try($$SELECT attach_workspaces('temporary')$$);
SELECT try($$SELECT attach_workspaces('plugin_workspaces')$$);
SELECT try($$SELECT attach_workspaces('workspace_plugins')$$);
SELECT try($$SELECT attach_workspaces('rollout_tiers')$$);
SELECT try($$SELECT attach_workspaces('pg_catalog.pg_class')$$);
CREATE TABLE kinds.no_key (id uuid NOT NULL);
SELECT try($$SELECT attach_workspaces('kinds.no_key')$$);
CREATE TABLE kinds.text_key (id text PRIMARY KEY);
SELECT try($$SELECT attach_workspaces('kinds.text_key')$$);
SELECT try($$SELECT attach_workspaces('kinds.text_key', 'id')$$);
CREATE TABLE kinds.composite (id uuid, region int, PRIMARY KEY (id, region));
SELECT try($$SELECT attach_workspaces('kinds.composite')$$);
CREATE TABLE kinds.nullable (id uuid UNIQUE);
SELECT try($$SELECT attach_workspaces('kinds.nullable')$$);
CREATE TABLE kinds.partial (id uuid NOT NULL, gone boolean);
CREATE UNIQUE INDEX ON kinds.partial (id) WHERE NOT gone;
SELECT try($$SELECT attach_workspaces('kinds.partial')$$);
CREATE TABLE kinds.expression (id uuid NOT NULL);
CREATE UNIQUE INDEX ON kinds.expression (md5(id::text));
SELECT try($$SELECT attach_workspaces('kinds.expression')$$);
CREATE TABLE kinds.nothing ();
SELECT try($$SELECT attach_workspaces('kinds.nothing')$$);
SELECT try($$SELECT attach_workspaces('kinds.one', 'nowhere')$$);
SELECT try($$SELECT attach_workspaces('kinds.one', '')$$);
SELECT try($$SELECT attach_workspaces('kinds.one', 'No where"')$$);
-- A key that is deferrable or covers more columns is fine.
CREATE TABLE kinds.deferrable (id uuid PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);
SELECT attach_workspaces('kinds.deferrable');
CREATE TABLE kinds.covering (id uuid, n int, PRIMARY KEY (id) INCLUDE (n));
SELECT attach_workspaces('kinds.covering');
-- A domain over uuid.
CREATE DOMAIN kinds.workspace_id AS uuid;
CREATE TABLE kinds.of_domain (id kinds.workspace_id PRIMARY KEY);
SELECT try($$SELECT attach_workspaces('kinds.of_domain')$$);
-- An unlogged table.
CREATE UNLOGGED TABLE kinds.unlogged (id uuid PRIMARY KEY);
SELECT attach_workspaces('kinds.unlogged');

-- Detach: anything else than an attached table is not attached.
SELECT detach_workspaces(NULL), detach_workspaces('kinds.one'), detach_workspaces('kinds.view'), detach_workspaces(0);
SELECT try($$SELECT detach_workspaces('kinds.nowhere')$$);

-- A trigger of the user's own with the same name.
CREATE TABLE kinds.taken (id uuid PRIMARY KEY);
CREATE FUNCTION kinds.mine() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER plugin_workspaces_sync AFTER INSERT ON kinds.taken FOR EACH ROW EXECUTE FUNCTION kinds.mine();
SELECT try($$SELECT attach_workspaces('kinds.taken')$$);
SELECT detach_workspaces('kinds.taken');

-- Row security that would hide rows is an error, not a gap.
CREATE ROLE regress_operator;
CREATE TABLE kinds.secured (id uuid PRIMARY KEY);
INSERT INTO kinds.secured VALUES (w(1));
ALTER TABLE kinds.secured ENABLE ROW LEVEL SECURITY;
ALTER TABLE kinds.secured FORCE ROW LEVEL SECURITY;
ALTER TABLE kinds.secured OWNER TO regress_operator;
GRANT USAGE, CREATE ON SCHEMA kinds TO regress_operator;
SELECT grant_plugin_access('regress_operator', 'operator');
SET ROLE regress_operator;
SELECT try($$SELECT attach_workspaces('kinds.secured')$$);
ALTER TABLE kinds.secured NO FORCE ROW LEVEL SECURITY;
SELECT attach_workspaces('kinds.secured');
RESET ROLE;
TABLE registered;

SET client_min_messages = warning;
DROP SCHEMA kinds CASCADE;
DROP VIEW registered;
DROP OWNED BY regress_operator;
DROP ROLE regress_operator;
DELETE FROM plugin_workspaces;
