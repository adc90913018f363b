-- A branch that moves all the time: later tiers still get something.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT forget();
INSERT INTO rollout_tiers (tier, position, bake) VALUES ('canary', 1, '30 minutes');
SELECT register_plugin_workspace(w(1), 'canary'), register_plugin_workspace(w(2));
SELECT install(1, 'p', 'ref:main', 'a'), install(2, 'p', 'ref:main', 'a');
CREATE FUNCTION moved(minute int) RETURNS text LANGUAGE sql AS $$
    -- The tip at a minute.
    SELECT brief(observe_plugin_upstream('github.com/o/r', jsonb_build_object('refs/heads/main', lpad(minute::text, 40, '0')), t(minute)))
$$;
CREATE FUNCTION worker(minute int) RETURNS bigint LANGUAGE sql AS $$
    -- Applies at once whatever it gets.
    SELECT count(complete_plugin_update(c.id, c.claim_token, c.target_sha, true, t(minute))) FROM claim_plugin_updates('w', 10, at => t(minute)) AS c
$$;
CREATE FUNCTION target() RETURNS TABLE (now text, next text) LANGUAGE sql AS $$ SELECT ltrim(sha, '0'), ltrim(next_sha, '0') FROM plugin_targets $$;
-- For an hour longer than it takes to bake, newer commits start over …
SELECT count(moved(i)), sum(worker(i)) FROM generate_series(0, 90) AS i;
SELECT short(workspace_id::text), ltrim(installed_sha, '0') FROM workspace_plugins ORDER BY 1;
-- … then the one that is under way is seen through …
SELECT moved(91), worker(91);
SELECT moved(92), worker(92);
SELECT * FROM target();
SELECT short(workspace_id::text), reason FROM workspace_plugin_drift ORDER BY 1;
SELECT count(moved(i)), sum(worker(i)) FROM generate_series(93, 120) AS i;
SELECT short(workspace_id::text), ltrim(installed_sha, '0') FROM workspace_plugins ORDER BY 1;
SELECT moved(121), worker(121);
SELECT short(workspace_id::text), ltrim(installed_sha, '0') FROM workspace_plugins ORDER BY 1;
-- … and then the newest starts at the first tier.
SELECT moved(122), worker(122);
SELECT short(workspace_id::text), ltrim(installed_sha, '0') FROM workspace_plugins ORDER BY 1;
SELECT detect_plugin_drift(t(123)), detect_plugin_drift(t(123));
SELECT * FROM target();
-- Not for one that is stuck …
SELECT count(moved(i)), sum(worker(i)) FROM generate_series(124, 213) AS i;
SELECT moved(214), moved(215);
SELECT * FROM target();
SELECT moved(333);
SELECT * FROM target();
SELECT moved(334);
SELECT * FROM target();
-- … paused or given up.
SELECT moved(335);
SELECT * FROM target();
SELECT pause_plugin_rollout(upstream, sha, 'no', t(336)) FROM plugin_targets;
SELECT moved(337);
SELECT * FROM target();
-- Back at the one that is under way: nothing follows it.
SELECT count(moved(i)) FROM generate_series(338, 430) AS i;
SELECT * FROM target();
SELECT brief(observe_plugin_upstream('github.com/o/r', jsonb_build_object('refs/heads/main', (SELECT sha FROM plugin_targets)), t(431)));
SELECT * FROM target();
DROP FUNCTION moved(int);
DROP FUNCTION worker(int);
DROP FUNCTION target();
SELECT forget();
