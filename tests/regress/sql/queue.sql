-- plugin_update_queue: what puts an update in, what takes it out, and what the table itself refuses.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT forget();
CREATE FUNCTION batch(VARIADIC items text[]) RETURNS bigint LANGUAGE sql AS $$
    SELECT record_workspace_plugin_installs(jsonb_agg(jsonb_build_object('workspace_id', w(split_part(i, ' ', 1)::int), 'plugin_name', split_part(i, ' ', 2),
        'track', split_part(i, ' ', 3), 'installed_sha', sha(split_part(i, ' ', 4)), 'source_raw', 'github://o/' || COALESCE(NULLIF(split_part(i, ' ', 5), ''), 'r'))))
    FROM unnest(items) AS i
$$;
SELECT count(register_plugin_workspace(w(i))) FROM generate_series(1, 5) AS i;
SELECT install(1, 'a', 'tag:latest', 'a');
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b heads/main=c', 1);

-- Recording brings the queue up to date in the same call: a new install, of a known subscription and of a new one.
SELECT install(1, 'b', 'tag:latest', 'a'), install(1, 'c', 'ref:main', 'a'), install(1, 'd', 'tag:latest', 'b'), install(1, 'e', 'tag:latest', NULL);
SELECT * FROM queue();
-- The update was applied by hand; another commit; another source; no longer tracked; tracked otherwise, to the same and to another commit.
SELECT install(1, 'b', 'tag:latest', 'b');
SELECT install(1, 'c', 'ref:main', 'd');
SELECT * FROM queue() WHERE plugin IN ('b', 'c');
SELECT install(1, 'c', 'ref:main', 'd', 'github://o/elsewhere');
SELECT install(1, 'a', 'none', 'a');
SELECT * FROM queue() WHERE plugin IN ('a', 'c');
SELECT install(1, 'a', 'tag:latest', 'a'), install(1, 'a', 'tag:v1.1.0', 'a');
SELECT * FROM queue() WHERE plugin = 'a';
SELECT install(1, 'a', 'ref:main', 'a');
SELECT * FROM queue() WHERE plugin = 'a';
SELECT install(1, 'a', 'ref:main', NULL);
SELECT * FROM queue() WHERE plugin = 'a';
SELECT install(1, 'a', 'ref:gone', 'a');
SELECT detect_plugin_drift();
-- Removing cancels.
SELECT install(1, 'a', 'ref:main', 'a');
SELECT remove_workspace_plugin(w(1), 'a');
SELECT * FROM queue() WHERE plugin = 'a' AND reason = 'uninstalled';
SELECT detect_plugin_drift();
-- A batch, of several subscriptions, with what is in sync, what is not, what is no longer, and a new repository.
SELECT batch('1 b tag:latest b', '1 c ref:main a', '2 a tag:latest a', '2 b ref:main c', '2 c tag:v1.1.0 a', '2 d none a', '2 e ref:main a other', '2 f sha:' || sha('f') || ' a', '1 d tag:latest a');
SELECT * FROM queue() WHERE status = 'pending';
SELECT upstream FROM plugin_upstreams ORDER BY 1;
SELECT batch('2 a tag:latest b', '2 c none a', '2 f sha:' || sha('e') || ' a');
SELECT * FROM queue() WHERE workspace = '2';
SELECT detect_plugin_drift();
-- Of two entries for the same install the last one counts.
SELECT batch('3 a tag:latest a', '3 a tag:latest b', '3 b tag:latest b', '3 b tag:latest a');
SELECT * FROM queue() WHERE workspace = '3';
-- A batch that fails leaves nothing.
SELECT try($$SELECT batch('3 a tag:latest a', '9 a tag:latest a')$$);
SELECT * FROM queue() WHERE workspace = '3';
-- What is rolled back, is.
BEGIN;
SELECT install(3, 'c', 'tag:latest', 'a'), install(3, 'd', 'ref:new', 'a', 'github://o/new');
SELECT status FROM queue() WHERE plugin = 'c' AND workspace = '3';
ROLLBACK;
SELECT count(*) FROM queue() WHERE plugin = 'c' AND workspace = '3';
SELECT count(*) FROM plugin_upstreams WHERE upstream = 'github.com/o/new';
-- An import tracks, too.
CREATE TABLE original AS SELECT 1 AS id, w(4) AS workspace_id, 'i' AS plugin_name, 'github://o/r' AS source_raw, 'tag:latest' AS tracked_ref, sha('a') AS installed_sha, t(0) AS installed_at, t(0) AS updated_at
UNION ALL SELECT 2, w(4), 'n', 'github://o/imported', 'tag:latest', sha('a'), t(0), t(0);
SELECT import_workspace_plugins('original');
SELECT upstream FROM plugin_upstreams WHERE upstream LIKE '%imported';
SELECT * FROM queue() WHERE workspace = '4';
DROP TABLE original;
SELECT forget();

-- An id always means one commit: a row that waits becomes superseded, and what was first wanted when is kept.
SELECT install(1, 'a', 'tag:latest', 'a');
SELECT observe('tags/v1.0.0=a', 1), observe('tags/v1.0.0=a tags/v1.1.0=b', 2), observe('tags/v1.0.0=a tags/v1.1.0=b tags/v1.2.0=c', 3);
SELECT short(current_sha), short(target_sha), status, minute(created_at), minute(waiting_since), minute(finished_at), short(reason) FROM plugin_update_queue ORDER BY created_at;
-- The same commit by another tag is the same update.
SELECT id AS kept FROM pending_plugin_updates \gset
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b tags/v1.2.0=c tags/v1.2.1=c', 4);
SELECT id = :'kept', target_ref, minute(created_at) FROM pending_plugin_updates;
-- Upstream back at what is installed: cancelled; and ahead: cancelled, then wanted anew.
SELECT observe('tags/v1.0.0=a', 5);
SELECT status, minute(finished_at), reason FROM plugin_update_queue WHERE id = :'kept';
SELECT observe('tags/v1.0.0=a tags/v1.2.1=c', 6);
SELECT id <> :'kept', target_ref, minute(created_at), minute(waiting_since) FROM pending_plugin_updates;
-- A row that is being applied is left to finish, and its commit is not wanted again; another one is.
SELECT short(target_sha) FROM claim_plugin_updates('worker', at => t(6));
SELECT detect_plugin_drift(t(7)), observe('tags/v1.0.0=a tags/v1.2.1=c heads/x=a', 7);
SELECT observe('tags/v1.0.0=a tags/v1.2.1=c tags/v1.3.0=d', 8);
SELECT observe('tags/v1.0.0=a tags/v1.2.1=c tags/v1.3.0=d tags/v1.4.0=e', 9);
SELECT status, short(target_sha) FROM plugin_update_queue WHERE finished_at IS NULL ORDER BY 1;
SELECT remove_workspace_plugin(w(1), 'a');
SELECT status, short(target_sha) FROM plugin_update_queue WHERE finished_at IS NULL ORDER BY 1;
SELECT forget();

-- detect_plugin_drift(): after direct writes of every kind, and nothing the second time.
SELECT install(1, 'a', 'tag:latest', 'b'), install(1, 'b', 'tag:latest', 'a'), install(1, 'c', 'ref:main', 'a'), install(1, 'd', 'ref:main', 'a'), install(1, 'e', 'tag:latest', 'a'), install(1, 'f', 'ref:main', 'c');
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b heads/main=c', 1);
SELECT detect_plugin_drift(t(2));
INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, tracked_ref, installed_sha) VALUES
    (w(1), 'new', 'github://o/r', 'tag:latest', sha('a')), (w(1), 'new subscription', 'github://o/r', 'tag:v1.1.0', sha('a')), (w(1), 'in sync', 'github://o/r', 'tag:v1.0.0', sha('a')),
    (w(1), 'new repository', 'https://host/x/y.git#v1', 'ref:main', sha('a')), (w(1), 'unknown', 'github://o/r', 'tag:latest', NULL), (w(1), 'local', 'x', 'tag:latest', sha('a')),
    (w(1), 'pin', 'github://o/r', 'sha:' || sha('f'), sha('a'));
UPDATE workspace_plugins SET installed_sha = sha('a') WHERE plugin_name = 'a';
UPDATE workspace_plugins SET installed_sha = sha('b') WHERE plugin_name = 'b';
UPDATE workspace_plugins SET tracked_ref = 'tag:latest' WHERE plugin_name = 'c';
UPDATE workspace_plugins SET tracked_ref = 'none' WHERE plugin_name = 'd';
UPDATE workspace_plugins SET source_raw = 'github://o/r2' WHERE plugin_name = 'e';
DELETE FROM workspace_plugins WHERE plugin_name = 'f';
SELECT detect_plugin_drift(t(3)) > 0;
SELECT * FROM queue();
SELECT upstream, fetch_url, minute(next_check_at) FROM plugin_upstreams WHERE upstream <> 'github.com/o/r' ORDER BY 1;
SELECT detect_plugin_drift(t(4)), detect_plugin_drift();
SELECT plugin, state, update FROM drift() WHERE (state IN ('pin_mismatch', 'retarget', 'new_version', 'branch_advanced')) <> COALESCE(update = 'pending', false);
-- TRUNCATE fires no trigger for a row.
TRUNCATE workspace_plugins;
SELECT count(*) FROM pending_plugin_updates;
SELECT detect_plugin_drift(t(5)) > 0, detect_plugin_drift(t(6));
SELECT status, reason, count(*) FROM plugin_update_queue WHERE finished_at = t(5) GROUP BY 1, 2;
SELECT forget();

-- A workspace that is deleted takes its updates with it, one that gets another id keeps them: by hand and attached.
CREATE TABLE boxes (id uuid PRIMARY KEY);
INSERT INTO boxes VALUES (w(1)), (w(2)), (w(3));
SELECT attach_workspaces('boxes');
SELECT install(1, 'a', 'ref:main', 'a'), install(2, 'a', 'ref:main', 'a'), install(3, 'a', 'ref:main', 'a'), install(3, 'b', 'ref:main', 'a'), install(4, 'a', 'ref:main', 'a'), install(5, 'a', 'ref:main', 'a');
SELECT observe('heads/main=b', 1);
SELECT dismiss_plugin_update(id, 'no') FROM pending_plugin_updates WHERE workspace_id = w(2);
UPDATE boxes SET id = w(11) WHERE id = w(1);
UPDATE boxes SET id = w(12) WHERE id = w(2);
DELETE FROM boxes WHERE id = w(3);
UPDATE plugin_workspaces SET workspace_id = w(14) WHERE workspace_id = w(4);
SELECT unregister_plugin_workspace(w(5));
SELECT * FROM queue();
SELECT short(workspace_id::text), plugin_name FROM pending_plugin_updates ORDER BY workspace_id;
SELECT detect_plugin_drift();
SELECT detach_workspaces('boxes');
DROP TABLE boxes;
-- To an id of which there is a past.
SELECT forget();
SELECT install(1, 'a', 'ref:main', 'a'), install(2, 'a', 'ref:main', 'a');
SELECT observe('heads/main=b', 1);
SELECT count(*) FROM pending_plugin_updates AS u, dismiss_plugin_update(u.id, 'no');
SELECT unregister_plugin_workspace(w(1));
UPDATE plugin_workspaces SET workspace_id = w(1) WHERE workspace_id = w(2);
SELECT * FROM drift();
SELECT forget();

-- Dismissed: only what waits, once; it sticks for that commit, through all that brings the queue up to date.
SELECT install(1, 'a', 'ref:main', 'a'), install(1, 'b', 'ref:main', 'a');
SELECT observe('heads/main=b', 1);
SELECT id AS a FROM pending_plugin_updates WHERE plugin_name = 'a' \gset
SELECT dismiss_plugin_update(:'a', 'not on a Friday');
SELECT dismiss_plugin_update(:'a', 'again'), dismiss_plugin_update(gen_random_uuid(), 'x'), dismiss_plugin_update(NULL, 'x');
SELECT * FROM queue();
SELECT status, finished_at BETWEEN now() - interval '1 minute' AND clock_timestamp(), reason FROM plugin_update_queue WHERE id = :'a';
SELECT * FROM drift();
SELECT detect_plugin_drift(), install(1, 'a', 'ref:main', 'a'), observe('heads/main=b tags/v1=b', 2), install(1, 'a', 'tag:v1', 'a'), detect_plugin_drift();
SELECT * FROM queue() WHERE plugin = 'a';
-- Another commit is wanted; that one again is not.
SELECT install(1, 'a', 'ref:main', 'a'), observe('heads/main=c', 3);
SELECT * FROM queue() WHERE plugin = 'a';
SELECT observe('heads/main=b', 4);
SELECT * FROM queue() WHERE plugin = 'a';
SELECT * FROM drift();
-- A dismissal without a reason.
SELECT dismiss_plugin_update(id, NULL) FROM pending_plugin_updates WHERE plugin_name = 'b';
SELECT plugin, update, reason FROM drift();

-- Pruning: only what has ended that long ago; dismissals stay while the plugin is installed.
SELECT status, count(*) FROM plugin_update_queue GROUP BY 1 ORDER BY 1;
SELECT prune_plugin_updates('100 years'), prune_plugin_updates(NULL);
SELECT prune_plugin_updates('1 day');
SELECT status, count(*) FROM plugin_update_queue GROUP BY 1 ORDER BY 1;
SELECT prune_plugin_updates('0');
SELECT detect_plugin_drift(), count(*) FROM pending_plugin_updates;
SELECT observe('heads/main=d', 5);
SELECT prune_plugin_updates('0');
SELECT remove_workspace_plugin(w(1), 'a');
SELECT prune_plugin_updates('0');
SELECT * FROM queue();
SELECT forget();

-- What an admin endpoint lists.
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'pending_plugin_updates'::regclass AND attnum > 0 ORDER BY attnum;
SELECT install(1, 'a', 'tag:latest', 'a'), install(2, 'b', 'sha:' || sha('b'), 'a'), install(3, 'c', 'tag:latest', 'b');
SELECT observe('tags/v1.0.0=b', 1);
SELECT short(workspace_id::text), plugin_name, short(tracked_ref), kind, short(current_sha), short(latest_sha), target_ref, upstream, status, minute(created_at) FROM pending_plugin_updates WHERE kind = 'new_version';
SELECT short(workspace_id::text), plugin_name, short(tracked_ref), kind, short(current_sha), short(latest_sha), target_ref, upstream, status, created_at = waiting_since FROM pending_plugin_updates ORDER BY 1;
-- It shows nothing of what is no longer installed, or follows another ref, even before the queue knows.
UPDATE workspace_plugins SET tracked_ref = 'ref:main' WHERE plugin_name = 'a';
TRUNCATE workspace_plugins;
SELECT count(*), (SELECT count(*) FROM plugin_update_queue WHERE status = 'pending') FROM pending_plugin_updates;
SELECT forget();

-- The table: one row that waits and one that is being applied for an install; one dismissal of a commit.
CREATE FUNCTION put(status text, digit text, workspace int DEFAULT 1, finished int DEFAULT NULL, kind text DEFAULT 'new_version') RETURNS SETOF text LANGUAGE sql AS $$
    SELECT try(format('INSERT INTO plugin_update_queue (workspace_id, plugin_name, upstream, tracked_ref, kind, current_sha, target_ref, target_sha, status, created_at, waiting_since, finished_at, claim_token, leased_until)
                       VALUES (%L, %L, %L, %L, %L, sha(%L), %L, sha(%L), %L, t(0), t(0), %s, %s)',
                      w(workspace), 'p', 'github.com/o/r', 'tag:latest', kind, '0', 'refs/tags/v1', digit, status, CASE WHEN finished IS NULL THEN 'NULL' ELSE format('t(%s)', finished) END,
                      CASE status WHEN 'claimed' THEN 'gen_random_uuid(), t(9)' ELSE 'NULL, NULL' END))
$$;
SELECT put('pending', 'a'), put('claimed', 'a'), put('dismissed', 'a', finished => 1), put('deferred', 'a', 4), put('applied', 'a', finished => 1), put('applied', 'a', finished => 1),
       put('failed', 'a', finished => 1), put('superseded', 'a', finished => 1), put('cancelled', 'a', finished => 1), put('dismissed', 'b', finished => 1), put('pending', 'a', 2);
SELECT put('pending', 'b');
SELECT put('claimed', 'b');
SELECT put('deferred', 'b');
SELECT try($$UPDATE plugin_update_queue SET claim_token = NULL WHERE status = 'claimed'$$);
SELECT try($$UPDATE plugin_update_queue SET claim_token = gen_random_uuid(), leased_until = t(1) WHERE status = 'pending'$$);
SELECT put('dismissed', 'a', finished => 1);
SELECT put('odd', 'a');
SELECT put('pending', 'a', 3, 1);
SELECT put('applied', 'a', 3);
SELECT put('pending', 'a', 3, kind => 'tag_moved');
SELECT put('pending', NULL, 3);
SELECT put('pending', 'z', 3);
SELECT count(*) FROM plugin_update_queue;
DROP FUNCTION put(text, text, int, int, text);
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'plugin_update_queue'::regclass AND contype <> 'n' ORDER BY conname;
SELECT indexrelid::regclass, pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'plugin_update_queue'::regclass ORDER BY indexrelid::regclass::text;
SELECT forget();
DROP FUNCTION batch(text[]);
