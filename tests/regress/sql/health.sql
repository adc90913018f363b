-- plugin_tracking_health: one row that shows whether anything is tracked, and how it stands.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT forget();
CREATE FUNCTION health() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format('installs %s, tracked %s%s: in_sync %s, drifted %s, held %s, unresolvable %s %s; upstreams %s: never observed %s, failing %s, oldest %s; pending %s%s',
                  installs, tracked, CASE WHEN is_estimate THEN ' (estimated)' END, in_sync, drifted, held, unresolvable, by_state, upstreams, never_observed, failing,
                  minute(oldest_observation_at), pending_updates, CASE WHEN vacuous THEN '; VACUOUS' END)
    FROM plugin_tracking_health
$$;
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'plugin_tracking_health'::regclass AND attnum > 0 ORDER BY attnum;

-- Nothing at all, nothing tracked: not vacuous, there is nothing to fail.
SELECT * FROM health();
SELECT install(1, 'a', 'none', 'a'), install(1, 'b', 'none', 'a', 'x');
SELECT * FROM health();
-- Tracked, but nothing can come of it: no repository, none observed, no commit known, no such ref.
SELECT install(1, 'local', 'tag:latest', 'a', 'x');
SELECT * FROM health();
SELECT install(1, 'never', 'ref:main', 'a', 'github://o/never'), install(1, 'null', 'ref:main', NULL), install(1, 'no pin', 'sha:abc', 'a');
SELECT * FROM health();
SELECT observe('heads/main=a', 1);
SELECT * FROM health();
SELECT install(1, 'missing', 'ref:gone', 'a');
SELECT * FROM health();
-- Something can: a pin, or an install of a ref that is there.
SELECT install(1, 'pin', 'sha:' || sha('a'), 'b');
SELECT * FROM health();
SELECT remove_workspace_plugin(w(1), 'pin'), install(1, 'here', 'ref:main', 'a');
SELECT * FROM health();
SELECT forget();

-- Every state.
SELECT install(1, 'in sync', 'tag:latest', 'd'), install(2, 'new', 'tag:latest', 'a'), install(3, 'ahead', 'tag:^1.0', 'e'), install(4, 'exact', 'tag:v1.0.0', '0'), install(5, 'moved', 'tag:moved', '0'),
       install(6, 'pin', 'sha:' || sha('b'), 'a'), install(7, 'pinned', 'sha:' || sha('b'), 'b'), install(8, 'branch', 'ref:main', 'a'), install(9, 'ambiguous', 'ref:both', 'a'), install(10, 'missing', 'ref:gone', 'a'),
       install(11, 'none', 'tag:^7', 'a'), install(12, 'unknown', 'tag:latest', NULL), install(13, 'local', 'tag:latest', 'a', 'x'), install(14, 'unresolvable', 'sha:abc', 'a'),
       install(15, 'never observed', 'ref:main', 'a', 'github://o/never'), install(16, 'not tracked', 'none', 'a');
SELECT observe('tags/v1.0.0=a tags/v1.1.0=d tags/v2.0.0-rc.1=e tags/moved=a heads/main=b heads/both=a tags/both=a', 1);
SELECT observe('tags/v1.0.0=a tags/v1.1.0=d tags/v2.0.0-rc.1=e tags/moved=b heads/main=b heads/both=a tags/both=a', 2);
SELECT * FROM health();
-- It says what the drift view says.
SELECT h.by_state - 'in_sync' = (SELECT jsonb_object_agg(state, n) FROM (SELECT state, count(*) AS n FROM drift() WHERE state <> 'in_sync' GROUP BY 1) AS d),
       h.in_sync = (SELECT count(*) FROM drift() WHERE state = 'in_sync'), h.tracked = (SELECT count(*) FROM drift()) FROM plugin_tracking_health AS h;
-- Failing, refused, and well again; at rest it is not counted.
SELECT report_plugin_upstream_error(upstream, claim_token, 'x', at => t(3)) FROM claim_plugin_upstreams('w', 10, at => clock_timestamp()) WHERE upstream LIKE '%never';
SELECT observe('', 4);
SELECT * FROM health();
SELECT observe('tags/v1.0.0=a tags/v1.1.0=d tags/v2.0.0-rc.1=e tags/moved=b heads/main=b heads/both=a tags/both=a', 5);
SELECT remove_workspace_plugin(w(15), 'never observed');
SELECT count(*) FROM claim_plugin_upstreams('w', 10, at => 'infinity') WHERE upstream LIKE '%never';
SELECT * FROM health();
SELECT forget();

-- In sync below a jump is in sync.
SELECT install(1, 'below', 'tag:latest', 'a'), install(2, 'above', 'tag:latest', 'd');
SELECT observe('tags/v1.0.0=a tags/v2024.1.0=d', 1);
SELECT state FROM drift();
SELECT * FROM health();
SELECT forget();

-- The oldest observation, of all that are looked at.
SELECT install(1, 'a', 'ref:main', 'a'), install(1, 'b', 'ref:main', 'a', 'github://o/b');
SELECT observe('heads/main=a', 5), brief(observe_plugin_upstream('github.com/o/b', refs('heads/main=a'), t(3)));
SELECT * FROM health();
SELECT forget();

-- Many installs: the server's estimate, but never of whether it is vacuous.
SELECT count(register_plugin_workspace(w(1)));
INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, tracked_ref, installed_sha)
SELECT w(1), lpad(i::text, 250, 'x'), 'github://o/r', 'ref:main', sha('a') FROM generate_series(1, 50000) AS i;
ANALYZE workspace_plugins;
SELECT detect_plugin_drift();
SELECT is_estimate, installs BETWEEN 45000 AND 55000, tracked BETWEEN 45000 AND 55000, unresolvable, by_state, vacuous FROM plugin_tracking_health;
SELECT observe('heads/main=a', 1);
SELECT is_estimate, in_sync BETWEEN 45000 AND 55000, drifted, by_state, vacuous FROM plugin_tracking_health;
SELECT forget();
VACUUM workspace_plugins;
SELECT installs, tracked, is_estimate, vacuous FROM plugin_tracking_health;
DROP FUNCTION health();
