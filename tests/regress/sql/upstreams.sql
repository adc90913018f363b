-- plugin_upstreams: repositories appear by themselves, are handed out to one worker at a time, and rest when nothing tracks them.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT forget();
CREATE FUNCTION claim(worker text, minute int, max_upstreams int DEFAULT 1, lease interval DEFAULT '5 minutes')
RETURNS TABLE (upstream text, fetch_url text, until text, last_checked text) LANGUAGE sql ROWS 10
    AS $$ SELECT upstream, fetch_url, minute(leased_until), minute(last_checked_at) FROM claim_plugin_upstreams(worker, max_upstreams, lease, at => t(minute)) ORDER BY 1 $$;
CREATE FUNCTION upstreams() RETURNS TABLE (upstream text, next text, leased_by text, until text, checked text, changed text, failures int, error text, failed text) LANGUAGE sql
    AS $$ SELECT upstream, minute(next_check_at), leased_by, minute(leased_until), minute(last_checked_at), minute(last_changed_at), failures, last_error, minute(last_error_at)
          FROM plugin_upstreams ORDER BY 1 $$;
-- All due at minute 0.
CREATE PROCEDURE due(minute int DEFAULT 0) LANGUAGE sql AS $$ UPDATE plugin_upstreams SET next_check_at = t(minute) WHERE next_check_at < 'infinity' $$;

-- One row a repository, with the source to ask, without its fragment; not for what is not tracked, local, or pinned.
SELECT install(1, 'a', 'tag:latest', 'a', 'https://github.com/O/R.git#v1#x'), install(1, 'b', 'ref:main', 'a', 'git@github.com:o/r.git'),
       install(1, 'c', 'tag:v1', NULL, 'gitea://Acme/p/plugins/x#main'), install(1, 'd', 'none', 'a', 'github://not/tracked'),
       install(1, 'e', 'tag:latest', 'a', 'local://x'), install(1, 'f', 'sha:' || sha('a'), 'a', 'github://only/pinned'), install(1, 'g', 'sha:abc', 'a', 'github://only/abbreviated');
SELECT upstream, fetch_url, check_interval, min_release_age, next_check_at BETWEEN now() - interval '1 hour' AND now() AS due, next_check_at = 'infinity' AS idle,
       leased_by, lease_token, leased_until, last_checked_at, failures, last_error FROM plugin_upstreams ORDER BY 1;
CALL due();

-- Each is handed out once.
SELECT * FROM claim('first', 0);
SELECT count(*) FROM claim('second', 0, 10);
SELECT * FROM claim('third', 0, 10);
SELECT upstream IS NOT NULL, lease_token IS NOT NULL, leased_by IS NOT NULL FROM plugin_upstreams WHERE next_check_at < 'infinity';
-- Not before it is due, and again once the lease is over: to the minute.
SELECT * FROM claim('fourth', 4, 10);
SELECT * FROM claim('fourth', 5, 10, '1 minute');
SELECT * FROM claim('fifth', -1, 10);
-- Those that wait longest come first.
UPDATE plugin_upstreams SET leased_by = NULL, lease_token = NULL, leased_until = NULL;
UPDATE plugin_upstreams SET next_check_at = t(-1) WHERE upstream = 'gitea:Acme/p';
SELECT * FROM claim('w', 10);
SELECT * FROM claim('w', 10);
-- Every hand-out has a token of its own.
UPDATE plugin_upstreams SET leased_by = NULL, lease_token = NULL, leased_until = NULL;
SELECT count(DISTINCT claim_token) FROM (
    SELECT claim_token FROM claim_plugin_upstreams('w', 2, at => t(10)) UNION ALL SELECT claim_token FROM claim_plugin_upstreams('w', 2, at => t(15))) AS c;

-- Observed: the lease is over, the next look an interval later, give or take 5 %.
SELECT brief(observe_plugin_upstream('github.com/o/r', refs('tags/v1=a'), t(16)));
SELECT upstream, leased_by, until, checked, changed, failures, error FROM upstreams() WHERE upstream = 'github.com/o/r';
SELECT next_check_at BETWEEN t(16) + interval '15 minutes' * 0.95 AND t(16) + interval '15 minutes' * 1.05 FROM plugin_upstreams WHERE upstream = 'github.com/o/r';
SELECT * FROM claim('w', 30, 10);
SELECT * FROM claim('w', 32, 10);
-- The interval is the repository's own.
UPDATE plugin_upstreams SET check_interval = '1 day' WHERE upstream = 'github.com/o/r';
SELECT brief(observe_plugin_upstream('github.com/o/r', refs('tags/v1=a'), t(33)));
SELECT next_check_at BETWEEN t(33) + interval '1 day' * 0.95 AND t(33) + interval '1 day' * 1.05 FROM plugin_upstreams WHERE upstream = 'github.com/o/r';
SELECT try($$UPDATE plugin_upstreams SET check_interval = '0'$$), try($$UPDATE plugin_upstreams SET check_interval = '-1 day'$$), try($$UPDATE plugin_upstreams SET min_release_age = '-1 day'$$);
SELECT forget();

-- A failure ends the lease, only of who has it.
SELECT install(1, 'a', 'tag:latest', 'a');
CALL due();
SELECT claim_token AS token FROM claim_plugin_upstreams('w', at => t(0)) \gset
SELECT report_plugin_upstream_error('github.com/o/r', gen_random_uuid(), 'x', at => t(1)), report_plugin_upstream_error('github.com/o/r', NULL, 'x', at => t(1)),
       report_plugin_upstream_error('github.com/o/x', :'token', 'x', at => t(1)), report_plugin_upstream_error(NULL, :'token', 'x', at => t(1));
SELECT upstream, leased_by, until, failures, error FROM upstreams();
SELECT report_plugin_upstream_error('github.com/o/r', :'token', 'could not resolve host', at => t(1));
SELECT report_plugin_upstream_error('github.com/o/r', :'token', 'again', at => t(1));
SELECT upstream, leased_by, until, checked, failures, error, failed FROM upstreams();
-- Whoever lost the lease is told so.
UPDATE plugin_upstreams SET next_check_at = t(2);
SELECT claim_token AS token FROM claim_plugin_upstreams('slow', lease => '1 minute', at => t(2)) \gset
SELECT * FROM claim('fast', 3);
SELECT report_plugin_upstream_error('github.com/o/r', :'token', 'timeout', at => t(4));
SELECT upstream, leased_by, until, failures, error FROM upstreams();
-- An observation, whoever makes it, ends lease and failures.
SELECT observe('tags/v1=a', 5);
SELECT upstream, leased_by, until, checked, failures, error, failed FROM upstreams();
-- One that is refused is a failure, and one that comes late is nothing.
SELECT observe('', 6);
SELECT upstream, leased_by, until, checked, failures, error, failed FROM upstreams();
SELECT observe('tags/v2=a', 4);
SELECT upstream, leased_by, until, checked, failures, error, failed FROM upstreams();
-- An error is cut, and never empty.
CREATE FUNCTION fail(error text) RETURNS TABLE (failures int, shown text, length int) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE plugin_upstreams SET next_check_at = t(10);
    PERFORM report_plugin_upstream_error(c.upstream, c.claim_token, error, at => t(10)) FROM claim_plugin_upstreams('w', at => t(10)) AS c;
    RETURN QUERY SELECT u.failures, left(u.last_error, 20), length(u.last_error) FROM plugin_upstreams AS u;
END $$;
SELECT * FROM fail(NULL);
SELECT * FROM fail('');
SELECT * FROM fail(repeat('ü', 5000));
DROP FUNCTION fail(text);

-- The delay doubles with each failure up to a day, give or take 25 %, and differs from time to time.
SELECT failures, bool_and(delay BETWEEN expected * 0.75 AND expected * 1.25), count(DISTINCT delay) > 1 AS jitter, max(delay) > expected * 1.1 AS above, min(delay) < expected * 0.9 AS below
FROM (VALUES (1, interval '15 minutes'), (2, '30 minutes'), (3, '1 hour'), (7, '16 hours'), (8, '1 day'), (100, '1 day'), (2147483647, '1 day'), (0, '15 minutes')) AS f (failures, expected),
     generate_series(1, 200) AS i, LATERAL (SELECT plugin_retry_delay(failures + i * 0, '15 minutes') AS delay OFFSET 0) AS d
GROUP BY failures, expected ORDER BY failures;
SELECT report_plugin_upstream_error(c.upstream, c.claim_token, 'x', at => t(20000)) FROM claim_plugin_upstreams('w', at => t(20000)) AS c;
SELECT failures, next_check_at BETWEEN t(20000) + interval '15 minutes' * 2 ^ (failures - 1) * 0.75 AND t(20000) + interval '15 minutes' * 2 ^ (failures - 1) * 1.25 FROM plugin_upstreams;
SELECT forget();

-- Nothing tracks it any more: it rests from the next claim on …
SELECT install(1, 'a', 'tag:latest', 'a'), install(1, 'b', 'ref:main', 'a'), install(2, 'c', 'ref:main', 'a', 'https://host/x/y');
CALL due();
SELECT remove_workspace_plugin(w(1), 'a'), install(1, 'b', 'none', 'a');
SELECT * FROM claim('w', 0, 10);
SELECT upstream, next FROM upstreams() WHERE upstream = 'github.com/o/r';
SELECT * FROM claim('w', 10000000, 10);
-- … until something does again.
SELECT install(1, 'b', 'none', 'a'), install(1, 'b', 'sha:' || sha('b'), 'a');
SELECT next FROM upstreams() WHERE upstream = 'github.com/o/r';
SELECT install(1, 'b', 'ref:main', 'a');
SELECT next_check_at BETWEEN now() - interval '1 hour' AND now() FROM plugin_upstreams WHERE upstream = 'github.com/o/r';
-- By a new subscription, by a batch.
SELECT remove_workspace_plugin(w(1), 'b');
SELECT count(*) FROM claim_plugin_upstreams('w', 10, at => 'infinity') WHERE upstream = 'github.com/o/r';
SELECT next FROM upstreams() WHERE upstream = 'github.com/o/r';
SELECT record_workspace_plugin_installs(jsonb_build_array(jsonb_build_object('workspace_id', w(1), 'plugin_name', 'b', 'source_raw', 'github://o/r', 'track', 'ref:other')));
SELECT next_check_at BETWEEN now() - interval '1 hour' AND now() FROM plugin_upstreams WHERE upstream = 'github.com/o/r';
-- Behind the functions' back: then by detect_plugin_drift().
SELECT remove_workspace_plugin(w(1), 'b');
SELECT count(*) FROM claim_plugin_upstreams('w', 10, at => 'infinity') WHERE upstream = 'github.com/o/r';
SELECT next FROM upstreams() WHERE upstream = 'github.com/o/r';
INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, tracked_ref) VALUES (w(1), 'b', 'github://o/r', 'ref:other');
SELECT detect_plugin_drift(t(20));
SELECT next FROM upstreams() WHERE upstream = 'github.com/o/r';
SELECT detect_plugin_drift(t(21));
SELECT next FROM upstreams() WHERE upstream = 'github.com/o/r';
-- A pin needs nobody to ask; a pinned repository that is tracked otherwise too is asked for.
SELECT forget();
SELECT install(1, 'a', 'sha:' || sha('a'), 'a');
SELECT next FROM upstreams();
SELECT install(1, 'b', 'tag:latest', 'a');
SELECT next <> 'infinity' FROM upstreams();
SELECT remove_workspace_plugin(w(1), 'b');
CALL due();
SELECT * FROM claim('w', 0, 10);
SELECT next FROM upstreams();

-- What rests does not use up what a worker asks for.
SELECT forget();
SELECT install(1, 'a', 'tag:latest', 'a'), install(1, 'b', 'tag:latest', 'a', 'https://host/x/y'), install(1, 'c', 'tag:latest', 'a', 'https://host/x/z');
CALL due();
UPDATE plugin_upstreams SET next_check_at = t(-1) WHERE upstream <> 'host/x/z';
SELECT remove_workspace_plugin(w(1), 'a'), remove_workspace_plugin(w(1), 'b');
SELECT * FROM claim('w', 0, 1);
SELECT upstream, next FROM upstreams();
SELECT forget();

-- Whose host has no place is left out; of the others there are as many as are asked for.
SELECT install(1, 'a', 'tag:latest', 'a', 'https://a.example/x'), install(1, 'b', 'tag:latest', 'a', 'https://a.example/y'),
       install(1, 'c', 'tag:latest', 'a', 'https://b.example/x'), install(1, 'd', 'tag:latest', 'a', 'gitea://o/r');
CALL due();
UPDATE plugin_upstreams SET next_check_at = t(-1) WHERE upstream = 'a.example/x';
SELECT upstream FROM claim_plugin_upstreams('w', 10, skip => '{a.example/,gitea:}', at => t(0));
SELECT upstream FROM claim_plugin_upstreams('w', 1, skip => '{}', at => t(0));
SELECT upstream FROM claim_plugin_upstreams('w', 10, skip => NULL, at => t(0)) ORDER BY 1;

-- Given back: due at once, and no failure.
SELECT claim_token AS token FROM claim_plugin_upstreams('w', at => t(10)) WHERE upstream = 'a.example/x' \gset
SELECT release_plugin_upstream('a.example/x', gen_random_uuid()), release_plugin_upstream('a.example/x', NULL), release_plugin_upstream('a.example/y', :'token');
SELECT release_plugin_upstream('a.example/x', :'token'), release_plugin_upstream('a.example/x', :'token');
SELECT * FROM upstreams() WHERE upstream = 'a.example/x';

-- A server that asked to be left alone is not asked before, but within a day.
CREATE FUNCTION reported(retry_after interval) RETURNS text LANGUAGE sql
    AS $$ SELECT report_plugin_upstream_error(upstream, claim_token, 'too often', retry_after, t(20)) FROM claim_plugin_upstreams('w', skip => '{b,g}', at => t(20)) $$;
CALL due(19);
UPDATE plugin_upstreams SET failures = 0 WHERE upstream = 'a.example/x';
DELETE FROM plugin_upstreams WHERE upstream = 'a.example/y';
SELECT reported('5 hours');
SELECT minute(next_check_at) FROM plugin_upstreams WHERE upstream = 'a.example/x';
CALL due(19);
SELECT reported('1 year');
SELECT minute(next_check_at) FROM plugin_upstreams WHERE upstream = 'a.example/x';
CALL due(19);
SELECT reported('1 second');
SELECT next_check_at BETWEEN t(20) + interval '40 minutes' AND t(20) + interval '80 minutes' FROM plugin_upstreams WHERE upstream = 'a.example/x';
DROP FUNCTION reported(interval);
SELECT forget();

-- Arguments that make no sense.
SELECT try($$SELECT claim_plugin_upstreams(NULL)$$);
SELECT try($$SELECT claim_plugin_upstreams('')$$);
SELECT try($$SELECT claim_plugin_upstreams('w', 0)$$);
SELECT try($$SELECT claim_plugin_upstreams('w', -1)$$);
SELECT try($$SELECT claim_plugin_upstreams('w', NULL)$$);
SELECT try($$SELECT claim_plugin_upstreams('w', 1, '0')$$);
SELECT try($$SELECT claim_plugin_upstreams('w', 1, '-1 minute')$$);
SELECT try($$SELECT claim_plugin_upstreams('w', 1, NULL)$$);
SELECT count(*) FROM claim_plugin_upstreams('w', 2147483647);
DROP FUNCTION claim(text, int, int, interval), upstreams();
DROP PROCEDURE due(int);

-- The tables.
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid IN ('plugin_upstreams'::regclass, 'plugin_upstream_refs'::regclass, 'plugin_targets'::regclass) AND contype <> 'n' ORDER BY conname COLLATE "C";
SELECT pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid IN ('plugin_upstreams'::regclass, 'plugin_upstream_refs'::regclass, 'plugin_targets'::regclass) ORDER BY indexrelid::regclass::text COLLATE "C";
