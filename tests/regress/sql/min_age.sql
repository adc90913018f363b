-- min_release_age: a tag may be chosen once it has been seen that long on its commit, and the highest that may is.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT forget();
CREATE FUNCTION eligible() RETURNS SETOF text LANGUAGE sql AS $$ SELECT tracked_ref || ' ' || minute(eligible_at) FROM plugin_targets WHERE eligible_at IS NOT NULL ORDER BY 1 $$;

-- By default there is none: a new tag is chosen at once.
SELECT plugin_min_release_age('github.com/o/r');
SELECT install(1, 'a', 'tag:latest', 'a'), install(1, 'exact', 'tag:v1.1.0', 'a'), install(1, 'branch', 'ref:main', 'a');
SELECT observe('tags/v1.0.0=a', 0);
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b heads/main=f', 1);
SELECT plugin, state, ref, update FROM drift();
SELECT forget();

-- Ten minutes, by the repository's own row. What was there at the first look has to wait as well; a single tag, a branch, a pin do not.
SELECT install(1, 'a', 'tag:latest', 'a'), install(1, 'exact', 'tag:v1.0.0', '0'), install(1, 'branch', 'ref:main', 'a'), install(1, 'pin', 'sha:' || sha('e'), 'a');
UPDATE plugin_upstreams SET min_release_age = '10 minutes';
SELECT observe('tags/v1.0.0=a heads/main=f', 0);
SELECT plugin, state, ref, update FROM drift();
SELECT reason LIKE 'no tag upstream matches; one reaches its minimum age at %' FROM drift() WHERE plugin = 'a';
SELECT * FROM eligible();
-- The same answer later: one second too early, then in time.
SELECT brief(observe_plugin_upstream('github.com/o/r', refs('tags/v1.0.0=a heads/main=f'), t(10) - interval '1 second'));
SELECT plugin, state, ref FROM drift() WHERE plugin = 'a';
SELECT observe('tags/v1.0.0=a heads/main=f', 10);
SELECT plugin, state, ref FROM drift() WHERE plugin = 'a';
SELECT * FROM eligible();

-- Releases more often than that do not starve an install: the highest that is old enough is chosen.
SELECT observe('tags/v1.0.0=a tags/v1.0.1=1', 20);
SELECT observe('tags/v1.0.0=a tags/v1.0.1=1 tags/v1.0.2=2', 25);
SELECT plugin, state, ref, update FROM drift() WHERE plugin = 'a';
SELECT reason LIKE 'on its target; a newer tag reaches its minimum age at %' FROM drift() WHERE plugin = 'a';
SELECT * FROM eligible();
SELECT observe('tags/v1.0.0=a tags/v1.0.1=1 tags/v1.0.2=2 tags/v1.0.3=3', 30);
SELECT plugin, state, ref, update FROM drift() WHERE plugin = 'a';
SELECT observe('tags/v1.0.0=a tags/v1.0.1=1 tags/v1.0.2=2 tags/v1.0.3=3 tags/v1.0.4=4', 35);
SELECT plugin, state, ref, update FROM drift() WHERE plugin = 'a';
SELECT observe('tags/v1.0.0=a tags/v1.0.1=1 tags/v1.0.2=2 tags/v1.0.3=3 tags/v1.0.4=4', 40);
SELECT plugin, state, ref, update FROM drift() WHERE plugin = 'a';
SELECT * FROM eligible();
-- Without any observation, detect_plugin_drift() sees to it, and says so.
SELECT detect_plugin_drift(t(44)), detect_plugin_drift(t(45)), detect_plugin_drift(t(46));
SELECT plugin, state, ref, update FROM drift() WHERE plugin = 'a';
SELECT * FROM eligible();
SELECT * FROM queue() WHERE plugin = 'a';

-- A tag that moved starts anew; so does one that was away.
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b', 50);
SELECT observe('tags/v1.0.0=a tags/v1.1.0=c', 55);
SELECT * FROM eligible();
SELECT observe('tags/v1.0.0=a tags/v1.1.0=c', 60);
SELECT plugin, state, ref FROM drift() WHERE plugin = 'a';
SELECT observe('tags/v1.0.0=a tags/v1.1.0=c', 65);
SELECT plugin, state, ref FROM drift() WHERE plugin = 'a';
SELECT observe('tags/v1.0.0=a', 66);
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b', 67);
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b', 76);
SELECT plugin, state, ref FROM drift() WHERE plugin = 'a';
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b', 77);
SELECT plugin, state, ref, update FROM drift() WHERE plugin = 'a';
-- A single ref's observation counts as any other.
SELECT observe_ref('refs/tags/v1.2.0', 'd', 80);
SELECT plugin, state, ref, update FROM drift() WHERE plugin = 'a';
SELECT observe_ref('refs/tags/nightly', 'e', 90);
SELECT plugin, state, ref, update FROM drift() WHERE plugin = 'a';
-- An install whose stream has nothing young is not told of it.
SELECT install(1, 'stream', 'tag:plugin-a/*', 'a');
SELECT observe_ref('refs/tags/v1.3.0', 'e', 95);
SELECT * FROM eligible();
SELECT plugin, state, reason FROM drift() WHERE plugin = 'stream';
SELECT forget();

-- The database's default; the repository's own comes first.
SET pg_workspace_plugins.min_release_age = '2 hours';
SELECT install(1, 'a', 'tag:latest', '0'), install(1, 'b', 'tag:latest', '0', 'github://o/fast');
UPDATE plugin_upstreams SET min_release_age = '0' WHERE upstream = 'github.com/o/fast';
SELECT upstream, plugin_min_release_age(upstream) FROM plugin_upstreams ORDER BY 1;
SELECT plugin_min_release_age('unknown'), plugin_min_release_age(NULL);
SELECT brief(observe_plugin_upstream(upstream, refs('tags/v1.0.0=a'), t(0))) FROM plugin_upstreams ORDER BY upstream;
SELECT plugin, state, update FROM drift();
SELECT observe('tags/v1.0.0=a', 119);
SELECT observe('tags/v1.0.0=a', 120);
SELECT plugin, state, update FROM drift();
SET pg_workspace_plugins.min_release_age = '';
SELECT plugin_min_release_age('unknown');
SET pg_workspace_plugins.min_release_age = 'soon';
SELECT try($$SELECT plugin_min_release_age('unknown')$$);
RESET pg_workspace_plugins.min_release_age;
SELECT forget();

-- Below a jump, the age counts as well.
SELECT install(1, 'below', 'tag:latest', 'a');
UPDATE plugin_upstreams SET min_release_age = '10 minutes';
SELECT observe('tags/v1.0.0=a tags/v2024.1.0=d', 0), observe('tags/v1.0.0=a tags/v2024.1.0=d', 10);
SELECT observe('tags/v1.0.0=a tags/v2024.1.0=d tags/v1.1.0=b', 20);
SELECT count(*) FROM pending_plugin_updates;
SELECT observe('tags/v1.0.0=a tags/v2024.1.0=d tags/v1.1.0=b', 30);
SELECT * FROM queue();
SELECT forget();

-- Another minimum age counts at the next look, though nothing has changed upstream: the column …
SELECT install(1, 'a', 'tag:latest', 'a'), install(1, 'exact', 'tag:v1.1.0', 'a');
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b', 0);
SELECT plugin, state, ref, update FROM drift();
UPDATE plugin_upstreams SET min_release_age = '10 minutes';
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b', 5);
SELECT plugin, state, ref, update FROM drift();
SELECT * FROM eligible();
SELECT * FROM queue();
-- … the setting, also for detect_plugin_drift() …
UPDATE plugin_upstreams SET min_release_age = NULL;
SELECT detect_plugin_drift(t(6)), detect_plugin_drift(t(6));
SELECT plugin, state, ref, update FROM drift();
SET pg_workspace_plugins.min_release_age = '20 minutes';
SELECT detect_plugin_drift(t(7)), detect_plugin_drift(t(7));
SELECT plugin, state, ref, update FROM drift();
SELECT * FROM eligible();
-- … and back.
RESET pg_workspace_plugins.min_release_age;
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b', 8);
SELECT plugin, state, ref, update FROM drift();
SELECT forget();
DROP FUNCTION eligible();
