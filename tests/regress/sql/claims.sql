-- Handing updates out, and what becomes of them.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT forget();
-- What an attempt may be retried after, without the jitter.
CREATE FUNCTION about(at timestamptz) RETURNS text LANGUAGE sql AS $$ SELECT round(minute(at)::numeric)::text $$;

-- The whole of what a worker is told.
SELECT install(1, 'p', 'tag:latest', 'a', 'github://o/r/plugins/p#tag:v1.0.0'), install(2, 'p', 'tag:latest', 'a'), install(3, 'p', 'tag:latest', 'b');
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b', 1);
SELECT short(workspace_id::text), plugin_name, upstream, fetch_url, tracked_ref, kind, short(current_sha), target_ref, short(target_sha), attempt, minute(leased_until),
       claim_token IS NOT NULL, id = (SELECT id FROM plugin_update_queue WHERE workspace_id = w(1))
FROM claim_plugin_updates('worker 1', 1, '5 minutes', t(2));
-- Each is handed out once, as many as are asked for.
SELECT * FROM claim(3, 5);
SELECT * FROM claim(3, 5);
SELECT count(DISTINCT claim_token), count(*), min(claimed_by), max(claimed_by) FROM plugin_update_queue WHERE status = 'claimed';
SELECT * FROM holds(3);
SELECT * FROM pending_plugin_updates;
-- Completed: the install is on the commit, in the same call; once.
SELECT minute(updated_at) = minute(t(4)), short(installed_sha) FROM workspace_plugins WHERE workspace_id = w(1);
SELECT id AS id, claim_token AS token FROM plugin_update_queue WHERE workspace_id = w(1) \gset
SELECT complete_plugin_update(:'id', :'token', sha('b'), true, t(4));
SELECT short(installed_sha), updated_at > t(4) FROM workspace_plugins WHERE workspace_id = w(1);
SELECT status, minute(finished_at), attempts, claim_token, leased_until, claimed_by, minute(claimed_at) FROM plugin_update_queue WHERE id = :'id';
SELECT complete_plugin_update(:'id', :'token', sha('b')), fail_plugin_update(:'id', :'token', 'x'), extend_plugin_update(:'id', :'token');
SELECT * FROM drift();
SELECT detect_plugin_drift();
-- Another token, another commit than was handed out, another update.
SELECT id AS id, claim_token AS token FROM plugin_update_queue WHERE workspace_id = w(2) \gset
SELECT complete_plugin_update(:'id', gen_random_uuid(), sha('b')), complete_plugin_update(:'id', :'token', sha('c')), complete_plugin_update(gen_random_uuid(), :'token', sha('b')),
       complete_plugin_update(:'id', NULL, sha('b')), complete_plugin_update(NULL, NULL, sha('b')), fail_plugin_update(:'id', gen_random_uuid(), 'x'), fail_plugin_update(NULL, :'token', 'x'),
       extend_plugin_update(:'id', gen_random_uuid()), extend_plugin_update(NULL, NULL);
SELECT status, attempts, minute(leased_until) FROM plugin_update_queue WHERE id = :'id';
-- Delivered, but not in use yet: nothing advances, the drift stays, and it is handed out again.
SELECT complete_plugin_update(:'id', :'token', sha('b'), false, t(5));
SELECT * FROM drift() WHERE workspace = '2';
SELECT short(installed_sha) FROM workspace_plugins WHERE workspace_id = w(2);
SELECT status, attempts, about(due_at) FROM plugin_update_queue WHERE id = :'id';
SELECT detect_plugin_drift(t(6)), (SELECT count(*) FROM claim(6)), status FROM pending_plugin_updates;
SELECT * FROM claim(16);
SELECT complete(2, 17);
SELECT * FROM queue();
SELECT forget();

-- Failures: back-off, doubled with each, and the end of it; none blocks another.
INSERT INTO plugin_update_policy (max_attempts, retry_delay) VALUES (3, '8 minutes');
SELECT install(1, 'p', 'ref:main', 'a'), install(2, 'p', 'ref:main', 'a'), install(3, 'p', 'ref:main', 'a');
SELECT observe('heads/main=b', 0);
SELECT * FROM claim(0, 1);
SELECT fail(1, 0);
SELECT minute(due_at)::numeric BETWEEN 6 AND 10, status, attempts, last_error, claim_token FROM plugin_update_queue WHERE workspace_id = w(1);
SELECT regexp_replace(hold, 'until .*, attempt', 'until …, attempt') FROM holds(1) WHERE workspace = '1';
SELECT * FROM claim(1, 1);
SELECT fail(2, 1, false);
SELECT status, attempts, last_error, finished_at = t(1) FROM plugin_update_queue WHERE workspace_id = w(2);
SELECT * FROM claim(5);
SELECT complete(3, 6);
SELECT * FROM claim(11);
SELECT fail(1, 11);
SELECT minute(due_at)::numeric - 11 BETWEEN 12 AND 20, status, attempts FROM plugin_update_queue WHERE workspace_id = w(1);
SELECT * FROM claim(22);
SELECT * FROM claim(31);
SELECT fail(1, 32);
SELECT * FROM claim(10000);
-- What failed for good sticks for that commit and that install …
SELECT * FROM drift();
SELECT detect_plugin_drift(), install(2, 'p', 'ref:main', 'a'), detect_plugin_drift();
SELECT count(*) FROM pending_plugin_updates;
-- … until it is retried …
SELECT retry_plugin_update(id, t(40)) FROM plugin_update_queue WHERE workspace_id = w(1);
SELECT retry_plugin_update(id, t(40)), retry_plugin_update(NULL), retry_plugin_update(gen_random_uuid()) FROM plugin_update_queue WHERE status = 'pending';
SELECT * FROM queue() WHERE workspace = '1';
SELECT attempts, minute(created_at) FROM pending_plugin_updates;
-- … the plugin is installed otherwise …
SELECT install(2, 'p', 'ref:main', 'c');
SELECT * FROM queue() WHERE workspace = '2';
-- … or another commit is wanted.
SELECT observe('heads/main=d', 41);
SELECT * FROM queue() WHERE status = 'pending';
SELECT failed_updates, claimed_updates, pending_updates FROM plugin_tracking_health;
SELECT forget();

-- Leases: extended; run out, which is a failed attempt; taken over by another, and then of no use to the first.
SELECT install(1, 'p', 'ref:main', 'a');
SELECT observe('heads/main=b', 0);
SELECT * FROM claim(0, 1, '10 minutes');
SELECT id AS id, claim_token AS token FROM plugin_update_queue \gset
SELECT extend_plugin_update(:'id', :'token', '10 minutes', t(9));
SELECT * FROM claim(18);
SELECT * FROM claim(19);
SELECT attempts, last_error, status FROM plugin_update_queue;
CREATE TABLE before AS SELECT q::text FROM plugin_update_queue AS q UNION ALL SELECT p::text FROM workspace_plugins AS p UNION ALL SELECT l::text FROM plugin_rollout_lanes AS l;
SELECT complete_plugin_update(:'id', :'token', sha('b'), true, t(20)), complete_plugin_update(:'id', :'token', sha('b'), false, t(20)), fail_plugin_update(:'id', :'token', 'late', true, t(20)),
       fail_plugin_update(:'id', :'token', 'late', false, t(20)), extend_plugin_update(:'id', :'token', '1 hour', t(20));
SELECT outcome, outcome2 FROM complete_plugin_updates(ARRAY[:'id'::uuid], ARRAY[:'token'::uuid], ARRAY[sha('b')], NULL, t(20)), fail_plugin_updates(ARRAY[:'id'::uuid], ARRAY[:'token'::uuid], ARRAY['late'], NULL, t(20)) AS f (id2, outcome2) WHERE id = id2 AND id = :'id';
(SELECT q::text FROM plugin_update_queue AS q UNION ALL SELECT p::text FROM workspace_plugins AS p UNION ALL SELECT l::text FROM plugin_rollout_lanes AS l) EXCEPT ALL TABLE before;
DROP TABLE before;
-- A lease that has run out, but that nobody has taken over: its worker may still report.
SELECT complete(1, 60);
SELECT * FROM queue();
SELECT forget();
-- Leases that run out again and again come to an end.
INSERT INTO plugin_update_policy (max_attempts) VALUES (2);
SELECT install(1, 'p', 'ref:main', 'a');
SELECT observe('heads/main=b', 0);
SELECT c.* FROM claim(0) AS c;
SELECT c.* FROM claim(10) AS c;
SELECT c.* FROM claim(20) AS c;
SELECT status, attempts, last_error FROM plugin_update_queue;
SELECT forget();

-- Upstream moves while an update is under way: it is left to finish, and the next waits until then.
SELECT install(1, 'p', 'ref:main', 'a'), install(2, 'p', 'ref:main', 'a'), install(3, 'p', 'ref:main', 'a'), install(4, 'p', 'ref:main', 'a');
SELECT observe('heads/main=b', 0);
SELECT * FROM claim(0);
SELECT observe('heads/main=c', 1);
SELECT * FROM queue();
SELECT * FROM claim(2);
SELECT * FROM holds(2) WHERE workspace = '1';
SELECT complete(1, 3), fail(2, 3), complete(3, 3, false);
SELECT * FROM queue() WHERE workspace <> '4';
SELECT * FROM claim(4);
SELECT complete(1, 5), complete(2, 5), complete(3, 5), complete(4, 5);
SELECT * FROM claim(6);
SELECT * FROM drift();
SELECT * FROM claim(20);
SELECT detect_plugin_drift(t(7));
-- Back at what was installed: an update that is under way is undone when it is complete.
SELECT forget();
SELECT install(1, 'p', 'ref:main', 'a'), install(2, 'p', 'ref:main', 'a');
SELECT observe('heads/main=b', 0);
SELECT * FROM claim(0);
SELECT observe('heads/main=a', 1);
SELECT complete(1, 2), fail(2, 2);
SELECT * FROM queue();
SELECT detect_plugin_drift(t(2));
SELECT forget();

-- Installed otherwise, removed, or its workspace deleted, while an update is under way: the worker has lost it.
SELECT install(i, 'p', 'ref:main', 'a') FROM generate_series(1, 7) AS i;
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM claim(0);
CREATE TABLE claimed AS SELECT id, claim_token, workspace_id FROM plugin_update_queue;
SELECT install(1, 'p', 'ref:main', 'c'), install(2, 'p', 'tag:v1', 'a'), install(3, 'p', 'ref:main', 'a', 'github://o/elsewhere'), install(4, 'p', 'none', 'a'), install(7, 'p', 'ref:main', 'a');
SELECT remove_workspace_plugin(w(5), 'p'), unregister_plugin_workspace(w(6));
SELECT * FROM queue();
SELECT short(c.workspace_id::text), complete_plugin_update(c.id, c.claim_token, sha('b'), true, t(1)) FROM claimed AS c ORDER BY c.workspace_id;
SELECT short(workspace_id::text), plugin_name, upstream, tracked_ref, short(installed_sha) FROM workspace_plugins ORDER BY 1;
-- By the very commit: what is recorded is the worker's own doing, or another's; it is there in any case.
SELECT forget();
DROP TABLE claimed;
SELECT install(1, 'p', 'ref:main', 'a');
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM claim(0);
SELECT install(1, 'p', 'ref:main', 'b');
SELECT complete(1, 1);
SELECT * FROM queue();
-- Uninstalled and installed anew: another install.
SELECT install(1, 'q', 'ref:main', 'a');
SELECT count(*) FROM claim_plugin_updates('worker');
SELECT id AS id, claim_token AS token FROM plugin_update_queue WHERE status = 'claimed' \gset
SELECT remove_workspace_plugin(w(1), 'q'), install(1, 'q', 'ref:main', 'a');
SELECT complete_plugin_update(:'id', :'token', sha('b'));
SELECT * FROM queue() WHERE plugin = 'q';
SELECT forget();

-- Behind the functions' back: not handed out, and the queue is put right.
SELECT install(i, 'p', 'ref:main', 'a') FROM generate_series(1, 6) AS i;
SELECT observe('heads/main=b', 0);
UPDATE workspace_plugins SET installed_sha = sha('b') WHERE workspace_id = w(1);
UPDATE workspace_plugins SET installed_sha = sha('c') WHERE workspace_id = w(2);
UPDATE workspace_plugins SET tracked_ref = 'sha:' || sha('d') WHERE workspace_id = w(3);
SELECT * FROM claim(1);
SELECT * FROM claim(1);
SELECT * FROM queue();
-- While it is under way, too.
UPDATE workspace_plugins SET installed_sha = sha('e') WHERE workspace_id = w(4);
SELECT complete(4, 2), complete(5, 2);
SELECT short(installed_sha) FROM workspace_plugins WHERE workspace_id = w(4);
SELECT detect_plugin_drift(t(3));
SELECT * FROM queue() WHERE workspace = '4';
TRUNCATE workspace_plugins;
SELECT complete(6, 3);
SELECT * FROM claim(100);
SELECT forget();

-- Many at once: each by itself, in any order, some of them stale.
SELECT install(i, 'p', 'ref:main', 'a') FROM generate_series(1, 5) AS i;
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM claim(0);
SELECT d.n, d.outcome FROM (SELECT array_agg(id ORDER BY workspace_id DESC) AS ids, array_agg(CASE workspace_id WHEN w(2) THEN w(0) ELSE claim_token END ORDER BY workspace_id DESC) AS tokens FROM plugin_update_queue) AS q,
     complete_plugin_updates(ids, tokens, ARRAY[sha('b'), sha('b'), sha('b'), sha('b'), sha('b')], ARRAY[true, false, NULL, true, true], t(1)) WITH ORDINALITY AS d (id, outcome, n);
SELECT d.n, d.outcome FROM (SELECT array_agg(id ORDER BY workspace_id) AS ids, array_agg(claim_token ORDER BY workspace_id) AS tokens FROM plugin_update_queue WHERE workspace_id <= w(2)) AS q,
     fail_plugin_updates(ids, tokens, ARRAY['x', NULL], ARRAY[true, false], t(1)) WITH ORDINALITY AS d (id, outcome, n);
SELECT * FROM queue();
SELECT * FROM complete_plugin_updates('{}', '{}', '{}');
SELECT * FROM fail_plugin_updates('{}', '{}', '{}', '{}');
-- The same one twice is completed once.
SELECT forget();
SELECT install(1, 'p', 'ref:main', 'a');
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM claim(0);
SELECT outcome FROM (SELECT id, claim_token FROM plugin_update_queue) AS q, complete_plugin_updates(ARRAY[q.id, q.id], ARRAY[q.claim_token, q.claim_token], ARRAY[sha('b'), sha('b')]);
SELECT count(*) FROM plugin_update_queue;
SELECT forget();

-- What makes no sense.
SELECT try($$SELECT claim_plugin_updates('')$$);
SELECT try($$SELECT claim_plugin_updates(NULL)$$);
SELECT try($$SELECT claim_plugin_updates('w', 0)$$);
SELECT try($$SELECT claim_plugin_updates('w', NULL)$$);
SELECT try($$SELECT claim_plugin_updates('w', 1, '0')$$);
SELECT try($$SELECT claim_plugin_updates('w', 1, '-1 minute')$$);
SELECT try($$SELECT claim_plugin_updates('w', 1, NULL)$$);
SELECT try($$SELECT claim_plugin_updates('w', 1, '1 minute', NULL)$$);
SELECT try($$SELECT extend_plugin_update(w(1), w(1), '0')$$);
SELECT try($$SELECT complete_plugin_update(w(1), w(1), 'abc')$$);
SELECT try($$SELECT complete_plugin_update(w(1), w(1), '')$$);
SELECT try($$SELECT complete_plugin_update(w(1), w(1), NULL)$$);
SELECT try(format('SELECT complete_plugin_update(w(1), w(1), %L)', repeat('X', 1000000)));
SELECT try($$SELECT complete_plugin_updates(ARRAY[w(1)], '{}', '{}')$$);
SELECT try($$SELECT complete_plugin_updates(ARRAY[w(1)], ARRAY[w(1)], ARRAY[sha('a'), sha('b')])$$);
SELECT try($$SELECT complete_plugin_updates(ARRAY[w(1)], ARRAY[w(1)], ARRAY[sha('a')], '{}')$$);
SELECT try($$SELECT complete_plugin_updates(NULL, NULL, NULL)$$);
SELECT try($$SELECT fail_plugin_updates(ARRAY[w(1)], ARRAY[w(1)], NULL)$$);
SELECT try($$SELECT fail_plugin_updates(ARRAY[w(1)], ARRAY[w(1)], ARRAY['a'], ARRAY[true, false])$$);
SELECT try($$INSERT INTO plugin_update_policy (max_attempts) VALUES (0)$$);
SELECT try($$INSERT INTO plugin_update_policy (is_policy) VALUES (false)$$);
SELECT try($$INSERT INTO plugin_update_policy (retry_delay) VALUES ('0')$$);
SELECT try($$INSERT INTO plugin_update_policy (max_starts) VALUES (1)$$);
DROP FUNCTION about(timestamptz);
SELECT forget();
