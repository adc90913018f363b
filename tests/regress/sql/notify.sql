-- Notification: off unless the setting is on, once a transaction, on a channel of the schema's own.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT forget();
LISTEN "plugin_updates.public";
-- psql shows the process that notified, whose number is another each time. What is shown comes with the next \o.
\set through '|sed -e "s/PID [0-9]*/PID .../"'

-- Off by default, and by setting.
\o :through
SELECT install(1, 'a', 'ref:main', 'a'), install(2, 'a', 'ref:main', 'a'), install(1, 'b', 'tag:latest', 'a');
SELECT observe('heads/main=b', 1);
SET pg_workspace_plugins.notify = off;
SELECT observe('heads/main=c', 2);
SET pg_workspace_plugins.notify = '';
SELECT observe('heads/main=d', 3);
\o

-- On: when something is queued, by an observation, by a record, by a batch, by detect_plugin_drift() …
SET pg_workspace_plugins.notify = on;
\o :through
SELECT observe('heads/main=e', 4);
\o
\o :through
SELECT install(3, 'a', 'ref:main', 'a');
\o
\o :through
SELECT record_workspace_plugin_installs(jsonb_build_array(jsonb_build_object('workspace_id', w(3), 'plugin_name', 'b', 'source_raw', 'github://o/r', 'track', 'ref:main', 'installed_sha', sha('a'))));
\o
INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, tracked_ref, installed_sha) VALUES (w(3), 'c', 'github://o/r', 'ref:main', sha('a'));
\o :through
SELECT detect_plugin_drift();
\o
\o :through
SELECT observe_ref('refs/heads/main', 'f', 5);
\o
-- … and when nothing is, not: unchanged, only cancelled, nothing tracked.
\o :through
SELECT observe('heads/main=f', 6);
SELECT observe('heads/main=a', 7);
SELECT detect_plugin_drift();
SELECT install(4, 'a', 'ref:main', 'a'), install(4, 'b', 'none', 'b');
SELECT remove_workspace_plugin(w(4), 'a');
\o
-- Once a transaction, however much there is; none where it is rolled back.
\o :through
BEGIN;
SELECT observe('heads/main=b', 8);
SELECT observe('heads/main=c tags/v1.0.0=b', 9);
SELECT install(5, 'a', 'ref:main', 'a');
COMMIT;
\o
\o :through
BEGIN;
SELECT observe('heads/main=d', 10);
ROLLBACK;
\o
-- What is accepted, too.
SELECT install(6, 'a', 'tag:v1.0.0', 'b');
SELECT observe('heads/main=c tags/v1.0.0=f', 10);
\o :through
SELECT accept_moved_tag('github.com/o/r', 'v1.0.0', sha('f'));
\o
-- A value that is none.
SET pg_workspace_plugins.notify = 'loudly';
SELECT try($$SELECT observe('heads/main=e tags/v1.0.0=f', 11)$$);
RESET pg_workspace_plugins.notify;
UNLISTEN *;
SELECT forget();

-- The channel is of the schema, as it is quoted; one of the longest name still gets it.
SELECT current_database() AS back \gset
CREATE DATABASE regress_notify;
\c regress_notify
SET client_min_messages = warning;
SET pg_workspace_plugins.notify = on;
CREATE FUNCTION go() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT 'nothing to go'; END;
CREATE PROCEDURE make(schema text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', schema);
    EXECUTE format('CREATE EXTENSION pg_workspace_plugins SCHEMA %I', schema);
    EXECUTE format('CREATE OR REPLACE FUNCTION go() RETURNS text LANGUAGE sql AS $go$
        SELECT %1$I.register_plugin_workspace(%2$L);
        SELECT %1$I.record_workspace_plugin_install(%2$L, %3$L, %4$L, %5$L, repeat(%6$L, 40));
        SELECT (%1$I.observe_plugin_upstream(%7$L, jsonb_build_object(%8$L, repeat(%9$L, 40)))).queued::text $go$',
        schema, '00000000-0000-0000-0000-000000000001', 'p', 'github://o/r', 'ref:main', 'a', 'github.com/o/r', 'refs/heads/main', 'b');
END $$;
CALL make('plugins');
LISTEN "plugin_updates.plugins";
LISTEN "plugin_updates.public";
\o :through
SELECT go();
\o
DROP EXTENSION pg_workspace_plugins;
CALL make('Odd Schema');
LISTEN "plugin_updates.""Odd Schema""";
\o :through
SELECT go();
\o
DROP EXTENSION pg_workspace_plugins;
CALL make(repeat('x', 63));
\o :through
SELECT go();
\o
DROP EXTENSION pg_workspace_plugins;
CALL make(repeat('ü', 31));
\o :through
SELECT go();
\o
\c :back
DROP DATABASE regress_notify;
