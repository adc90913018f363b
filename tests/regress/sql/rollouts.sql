-- A release goes through its tiers in their order.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT forget();
CREATE FUNCTION fleet(list text) RETURNS text LANGUAGE sql AS $$
    -- fleet('1=canary 2= 3=early'): workspaces with their tiers, each with plugin p that follows main on a.
    SELECT count(register_plugin_workspace(w(split_part(i, '=', 1)::int), NULLIF(split_part(i, '=', 2), '')))::text FROM regexp_split_to_table(list, ' +') AS i;
    SELECT count(install(split_part(i, '=', 1)::int, 'p', 'ref:main', 'a'))::text FROM regexp_split_to_table(list, ' +') AS i
$$;
-- Workspace n comes late.
CREATE FUNCTION late(n int, tier text, minute int) RETURNS bigint LANGUAGE sql AS $$
    SELECT register_plugin_workspace(w(n), tier);
    INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, tracked_ref, installed_sha) VALUES (w(n), 'p', 'github://o/r', 'ref:main', sha('a'));
    SELECT detect_plugin_drift(t(minute))
$$;

-- The first lane is open at once; the next once it is done and has baked; workspaces without a tier come last.
INSERT INTO rollout_tiers (tier, position, bake) VALUES ('stable', 30, '0'), ('canary', 10, '60 minutes'), ('early', 20, '30 minutes');
SELECT fleet('1=canary 2=canary 3=early 4=stable 5=');
SELECT observe('heads/main=b', 0);
SELECT * FROM progress();
SELECT * FROM holds(0);
SELECT * FROM claim(0);
SELECT complete(1, 1), complete(2, 5);
SELECT * FROM claim(64);
SELECT * FROM progress();
SELECT * FROM holds(64);
SELECT * FROM claim(65);
SELECT * FROM progress();
SELECT complete(3, 70);
SELECT * FROM claim(99);
SELECT * FROM claim(100);
SELECT complete(4, 101);
SELECT * FROM claim(101);
SELECT complete(5, 102);
SELECT * FROM progress();
SELECT detect_plugin_drift(), (SELECT count(*) FROM drift() WHERE state <> 'in_sync');
SELECT forget();

-- An empty lane passes; so does one in which everything was dismissed, removed or converged.
INSERT INTO rollout_tiers (tier, position, bake) VALUES ('nobody', 1, '60 minutes'), ('canary', 2, '60 minutes'), ('early', 3, '60 minutes');
SELECT fleet('1=canary 2=early 3=canary 4=early 5=');
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM pending_plugin_updates AS u, dismiss_plugin_update(u.id, 'no') WHERE u.workspace_id = w(1);
SELECT * FROM claim(0, 1);
SELECT fail(3, 0);
SELECT * FROM claim(0);
SELECT remove_workspace_plugin(w(3), 'p');
SELECT * FROM claim(0);
SELECT unregister_plugin_workspace(w(2)), install(4, 'p', 'ref:main', 'b');
SELECT * FROM claim(0);
SELECT * FROM progress();
SELECT forget();

-- Deferred is not done.
INSERT INTO rollout_tiers (tier, position) VALUES ('canary', 1);
SELECT fleet('1=canary 2=');
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM claim(0);
SELECT complete(1, 0, false);
SELECT * FROM claim(0);
SELECT * FROM progress();
SELECT * FROM holds(0);
SELECT * FROM claim(10);
SELECT complete(1, 10);
SELECT * FROM claim(10);
SELECT forget();

-- Without tiers there is one lane, open at once.
SELECT fleet('1= 2=');
SELECT observe('heads/main=b', 0);
SELECT * FROM progress();
SELECT count(*) FROM claim(0);
SELECT forget();

-- Failures: more than so many in a hundred pause the release, by itself; as many do not.
INSERT INTO rollout_tiers (tier, position, max_failure_percent) VALUES ('canary', 1, 25);
SELECT fleet('1=canary 2=canary 3=canary 4=canary 5=');
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM claim(0);
SELECT fail(1, 1, false);
SELECT * FROM progress();
SELECT complete(2, 1), fail(3, 1), fail(4, 2, false);
SELECT * FROM progress();
SELECT * FROM holds(3);
SELECT * FROM drift();
SELECT * FROM claim(100);
SELECT failed_updates, paused_rollouts FROM plugin_tracking_health;
-- Resumed: the same failures do not pause it again, a new one does.
SELECT resume_plugin_rollout('github.com/o/r', sha('b'), t(101)), resume_plugin_rollout('github.com/o/r', sha('b'), t(101));
SELECT * FROM claim(102);
SELECT * FROM progress();
SELECT fail(3, 103, false);
SELECT * FROM progress();
SELECT * FROM claim(103);
SELECT complete(5, 104);
SELECT * FROM progress();
SELECT forget();
-- None at all, any number; and after the lane is through: a late one pauses, too.
INSERT INTO rollout_tiers (tier, position, max_failure_percent) VALUES ('canary', 1, 0), ('early', 2, NULL);
SELECT fleet('1=canary 2=early 3=early 4= 5=');
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM claim(0);
SELECT complete(1, 0);
SELECT count(*) FROM claim(0);
SELECT fail(2, 1, false), fail(3, 1, false);
SELECT * FROM claim(2);
SELECT late(6, 'canary', 2);
SELECT complete(4, 3);
SELECT * FROM claim(3);
SELECT fail(6, 4, false);
SELECT * FROM progress();
SELECT complete(5, 5);
SELECT forget();
-- Of fewer updates than before, the same failures may be too many.
INSERT INTO rollout_tiers (tier, position, max_failure_percent) VALUES ('canary', 1, 50);
SELECT fleet('1=canary 2=canary 3=');
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM claim(0);
SELECT fail(1, 0, false);
SELECT unregister_plugin_workspace(w(2));
SELECT * FROM claim(1);
SELECT * FROM progress();
SELECT forget();

-- By hand: pause, go on, give up. What is under way goes on.
INSERT INTO rollout_tiers (tier, position) VALUES ('canary', 1);
SELECT fleet('1=canary 2=canary 3=');
SELECT observe('heads/main=b', 0);
SELECT * FROM claim(0, 1);
SELECT pause_plugin_rollout('github.com/o/r', sha('b'), 'Friday', t(1)), pause_plugin_rollout('github.com/o/r', sha('b'), 'again', t(1)), pause_plugin_rollout('github.com/o/r', sha('c')), pause_plugin_rollout(NULL, NULL);
SELECT complete(1, 2);
SELECT * FROM claim(2);
SELECT * FROM progress();
SELECT * FROM holds(2);
-- While it is paused, another release is not.
SELECT observe('heads/main=c', 3);
SELECT * FROM claim(3);
SELECT * FROM queue() WHERE workspace = '3';
SELECT resume_plugin_rollout('github.com/o/r', sha('b'), t(4));
SELECT * FROM claim(4);
SELECT abort_plugin_rollout('github.com/o/r', sha('c'), 'it is bad', t(5)), abort_plugin_rollout('github.com/o/r', sha('c'), 'again', t(5)), abort_plugin_rollout('github.com/o/x', sha('c'));
SELECT * FROM queue() WHERE status IN ('pending', 'claimed', 'cancelled');
SELECT * FROM drift();
SELECT detect_plugin_drift(t(6)), observe('heads/main=c heads/x=a', 6), install(3, 'p', 'ref:main', 'a');
SELECT count(*) FROM pending_plugin_updates;
-- An attempt that was under way ends there, a success counts.
SELECT fail(1, 7), complete(2, 7);
SELECT * FROM progress() WHERE sha = 'c';
SELECT * FROM drift();
-- Taken back.
SELECT resume_plugin_rollout('github.com/o/r', sha('c'), t(8));
SELECT * FROM queue() WHERE status = 'pending';
SELECT * FROM claim(8);
SELECT forget();

-- A workspace that changes its tier takes its updates along; one that comes late joins the lane of its tier.
INSERT INTO rollout_tiers (tier, position, bake) VALUES ('canary', 1, '10 minutes'), ('early', 2, '10 minutes');
SELECT fleet('1=canary 2=early 3=');
SELECT observe('heads/main=b', 0);
SELECT register_plugin_workspace(w(3), 'canary');
SELECT * FROM claim(0);
SELECT complete(1, 0), complete(3, 1);
UPDATE plugin_workspaces SET rollout_tier = NULL WHERE workspace_id = w(2);
SELECT * FROM progress();
SELECT late(4, 'canary', 10);
SELECT * FROM holds(11);
SELECT * FROM claim(11);
SELECT complete(4, 12);
SELECT * FROM claim(21);
SELECT * FROM claim(22);
-- Under way, too; then the limits of its new tier count it.
SELECT register_plugin_workspace(w(2), 'early');
SELECT * FROM progress();
SELECT complete(2, 23);
-- A tier's new name, and its end.
UPDATE rollout_tiers SET tier = 'first' WHERE tier = 'canary';
SELECT late(5, 'first', 23), late(6, 'early', 23);
SELECT * FROM progress();
DELETE FROM rollout_tiers WHERE tier = 'early';
SELECT * FROM progress();
SELECT * FROM claim(24);
SELECT complete(5, 24);
SELECT * FROM holds(24);
-- Shorter baking counts at once.
UPDATE rollout_tiers SET bake = '1 minute';
SELECT * FROM claim(25);
SELECT forget();

-- A newer release starts at the first lane, and the older starts nowhere new.
INSERT INTO rollout_tiers (tier, position, bake) VALUES ('canary', 1, '60 minutes');
SELECT fleet('1=canary 2=canary 3=');
SELECT observe('heads/main=b', 0);
SELECT * FROM claim(0, 1);
SELECT observe('heads/main=c', 10);
SELECT * FROM queue();
SELECT * FROM claim(10);
SELECT complete(1, 11), complete(2, 11);
SELECT * FROM claim(11);
SELECT complete(1, 12);
SELECT * FROM claim(71);
SELECT * FROM claim(72);
SELECT * FROM progress();
SELECT forget();

-- What one release waits for is not what another does.
INSERT INTO rollout_tiers (tier, position, bake) VALUES ('canary', 1, '60 minutes');
SELECT fleet('1=canary 2=');
SELECT install(1, 'q', 'ref:main', 'a', 'github://o/q'), install(2, 'q', 'ref:main', 'a', 'github://o/q');
SELECT observe('heads/main=b', 0), brief(observe_plugin_upstream('github.com/o/q', refs('heads/main=c'), t(0)));
SELECT * FROM claim(0);
SELECT complete(1, 0, plugin => 'q');
SELECT * FROM claim(60);
SELECT short(sha), tier, state FROM plugin_rollout_progress ORDER BY upstream, position;
SELECT forget();

-- Pruning keeps what a rollout still has to know.
INSERT INTO rollout_tiers (tier, position, bake) VALUES ('canary', 1, '60 minutes');
SELECT fleet('1=canary 2=');
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM claim(0);
SELECT complete(1, 0);
SELECT prune_plugin_updates('0'), count(*) FROM plugin_update_queue;
SELECT count(*) FROM claim(60);
SELECT complete(2, 61);
SELECT prune_plugin_updates('0'), (SELECT count(*) FROM plugin_rollouts), (SELECT count(*) FROM plugin_rollout_lanes);
SELECT count(*) FROM plugin_update_queue;
SELECT forget();

-- What the tables refuse.
SELECT try($$INSERT INTO rollout_tiers (tier, position, bake) VALUES ('x', 1, '-1 minute')$$);
SELECT try($$INSERT INTO rollout_tiers (tier, position, max_in_flight) VALUES ('x', 1, 0)$$);
SELECT try($$INSERT INTO rollout_tiers (tier, position, max_failure_percent) VALUES ('x', 1, 101)$$);
SELECT try($$INSERT INTO rollout_tiers (tier, position, max_failure_percent) VALUES ('x', 1, -1)$$);
SELECT try($$INSERT INTO rollout_tiers (tier, position, max_starts) VALUES ('x', 1, 1)$$);
SELECT try($$INSERT INTO rollout_tiers (tier, position, starts_interval) VALUES ('x', 1, '1 minute')$$);
SELECT try($$INSERT INTO rollout_tiers (tier, position, max_starts, starts_interval) VALUES ('x', 1, 1, '0')$$);
SELECT try($$INSERT INTO rollout_tiers (tier, position, spread) VALUES ('x', 1, '-1 minute')$$);
SELECT try($$INSERT INTO rollout_tiers (tier, position) VALUES ('x', 1), ('y', 1)$$);
DROP FUNCTION fleet(text);
DROP FUNCTION late(int, text, int);
SELECT forget();
