-- Budgets and other limits, and what is spread.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT forget();

-- So many at once in a tier, of all its releases; the database's limit counts all.
INSERT INTO rollout_tiers (tier, position, max_in_flight) VALUES ('canary', 1, 2);
SELECT count(register_plugin_workspace(w(i), 'canary')) FROM generate_series(1, 5) AS i;
SELECT count(install(i, 'p', 'ref:main', 'a')), count(install(i, 'q', 'ref:main', 'a', 'github://o/q')) FROM generate_series(1, 5) AS i;
SELECT observe('heads/main=b', 0), brief(observe_plugin_upstream('github.com/o/q', refs('heads/main=c'), t(0)));
SELECT count(*) FROM claim(0);
SELECT count(*) FROM claim(0);
SELECT DISTINCT hold FROM holds(0) WHERE status = 'pending';
SELECT status, count(*) FROM plugin_update_queue GROUP BY 1 ORDER BY 1;
SELECT complete(1, 1), fail(2, 1);
SELECT count(*) FROM claim(1, 1);
SELECT count(*) FROM claim(1, 3);
SELECT count(*) FROM claim(1, 3);
-- What has not been reported frees its place.
SELECT count(*) FROM claim(20, 1), LATERAL (SELECT 1) AS x;
SELECT status, count(*) FROM plugin_update_queue GROUP BY 1 ORDER BY 1;
INSERT INTO plugin_update_policy (max_in_flight) VALUES (1);
SELECT count(*) FROM claim(20);
SELECT DISTINCT hold FROM holds(20) WHERE status = 'pending';
SELECT forget();

-- So many started in an interval: in a tier …
INSERT INTO rollout_tiers (tier, position, max_starts, starts_interval) VALUES ('canary', 1, 3, '10 minutes');
SELECT count(register_plugin_workspace(w(i), 'canary')) FROM generate_series(1, 12) AS i;
SELECT count(install(i, 'p', 'ref:main', 'a')) FROM generate_series(1, 12) AS i;
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM claim(0, 2);
SELECT count(*) FROM claim(5, 9);
SELECT DISTINCT hold FROM holds(5) WHERE status = 'pending';
SELECT tier, minute(started_at), updates FROM plugin_update_starts ORDER BY started_at;
SELECT count(*) FROM claim(9);
SELECT count(*) FROM claim(10);
SELECT count(*) FROM claim(14);
SELECT count(*) FROM claim(15);
SELECT tier, minute(started_at), updates FROM plugin_update_starts ORDER BY started_at;
SELECT minute(last_started_at) FROM rollout_tiers;
-- … whatever became of them.
SELECT count(fail(i, 15)) FROM generate_series(1, 6) AS i;
SELECT count(*) FROM claim(18);
SELECT forget();
-- … and in the whole database: 25 in 10 minutes.
INSERT INTO plugin_update_policy (max_starts, starts_interval) VALUES (25, '10 minutes');
INSERT INTO rollout_tiers (tier, position) VALUES ('canary', 1);
SELECT count(register_plugin_workspace(w(i), CASE WHEN i <= 10 THEN 'canary' END)) FROM generate_series(1, 60) AS i;
SELECT count(install(i, 'p', 'ref:main', 'a')) FROM generate_series(1, 60) AS i;
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM claim(0);
SELECT count(complete(i, 1)) FROM generate_series(1, 10) AS i;
SELECT count(*) FROM claim(1);
SELECT count(*) FROM claim(9);
SELECT DISTINCT hold FROM holds(9) WHERE status = 'pending';
SELECT count(*) FROM claim(10);
SELECT count(*) FROM claim(11);
SELECT count(*) FROM claim(12);
SELECT tier, minute(started_at), updates FROM plugin_update_starts ORDER BY started_at;
SELECT forget();

-- What becomes possible at once is spread: when it is queued, and when its lane opens.
INSERT INTO rollout_tiers (tier, position, spread) VALUES ('canary', 1, '0'), ('early', 2, '100 minutes');
INSERT INTO plugin_update_policy (spread) VALUES ('1000 minutes');
SELECT count(register_plugin_workspace(w(i), CASE WHEN i <= 1 THEN 'canary' WHEN i <= 101 THEN 'early' END)) FROM generate_series(1, 201) AS i;
SELECT count(install(i, 'p', 'ref:main', 'a')) FROM generate_series(1, 201) AS i;
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM claim(0);
SELECT complete(1, 200);
SELECT count(*) <= 5 FROM claim(200);
SELECT min(due_at) BETWEEN t(200) AND t(210), max(due_at) BETWEEN t(290) AND t(300), count(DISTINCT due_at) FROM plugin_update_queue WHERE rollout_tier = 'early' AND status = 'pending';
SELECT regexp_replace(hold, ' at .*', ' at …') FROM holds(200) WHERE workspace = (SELECT short(max(workspace_id::text)) FROM plugin_update_queue WHERE rollout_tier = 'early' AND status = 'pending');
SELECT count(*) BETWEEN 20 AND 80 FROM claim(250);
SELECT count(*) > 10 FROM claim(300);
SELECT count(complete(i, 300)) FROM generate_series(2, 101) AS i;
SELECT count(*) FROM claim(300, 1000, '1 year') AS c WHERE c.workspace::int > 105;
SELECT count(*) > 80 FROM claim(1300, 1000, '1 year');
SELECT forget();
-- A backlog that becomes possible at once does not restart a fleet in one wave.
INSERT INTO plugin_update_policy (spread) VALUES ('60 minutes');
SELECT count(install(i, 'p', 'ref:main', NULL)) FROM generate_series(1, 100) AS i;
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM claim(0);
UPDATE workspace_plugins SET installed_sha = sha('a');
SELECT detect_plugin_drift(t(1));
SELECT count(*) < 20 FROM claim(2);
SELECT count(*) > 80 FROM claim(61);
SELECT forget();
