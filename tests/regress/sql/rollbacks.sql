-- Going back: what was installed before is queued, and the bad commit is not offered again.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT forget();
INSERT INTO rollout_tiers (tier, position, bake) VALUES ('canary', 1, '60 minutes');
SELECT register_plugin_workspace(w(1), 'canary'), register_plugin_workspace(w(2), 'canary');
SELECT install(1, 'p', 'tag:latest', 'a'), install(2, 'p', 'tag:^1', 'a'), install(3, 'p', 'tag:latest', 'a'), install(4, 'p', 'tag:latest', 'a'), install(5, 'p', 'tag:latest', 'b');
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b', 0);
SELECT * FROM claim(0);
SELECT complete(1, 0), complete(2, 0);
SELECT * FROM claim(60, 1);
SELECT * FROM drift();
-- One has it by the rollout, one by another way; one has it under way, one waits for it.
SELECT roll_back_plugin_release('github.com/o/r', sha('b'), 'it breaks', t(61));
SELECT * FROM queue();
SELECT * FROM drift();
SELECT * FROM progress();
SELECT tracked, in_sync, drifted, by_state FROM plugin_tracking_health;
-- Not a matter of tiers; nor does what automation does undo it.
SELECT detect_plugin_drift(t(62)), observe('tags/v1.0.0=a tags/v1.1.0=b heads/x=a', 62);
SELECT * FROM claim(62);
SELECT complete(1, 63), complete(2, 63), complete(3, 63), complete(4, 63);
SELECT * FROM claim(63);
SELECT complete(3, 64), complete(4, 64);
SELECT detect_plugin_drift(t(64)), install(1, 'p', 'tag:latest', 'a'), detect_plugin_drift(t(64));
SELECT * FROM drift();
SELECT count(*) FROM pending_plugin_updates;
-- A new install of the bad commit has nothing to go back to.
SELECT install(6, 'p', 'tag:latest', 'b');
SELECT * FROM drift() WHERE workspace = '6';
-- Until a newer one exists, which starts at the first tier.
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b tags/v1.2.0=c', 70);
SELECT * FROM claim(70);
SELECT * FROM holds(70) WHERE status = 'pending';
-- Taken back: it is wanted again where it is the newest.
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b', 71);
SELECT * FROM queue() WHERE status = 'pending';
SELECT resume_plugin_rollout('github.com/o/r', sha('b'), t(72));
SELECT * FROM queue() WHERE status = 'pending';
SELECT forget();

-- A rollback is an update as any other: it can fail, be dismissed, be overtaken by a newer release.
SELECT install(1, 'p', 'ref:main', 'a'), install(2, 'p', 'ref:main', 'a'), install(3, 'p', 'ref:main', 'a');
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM claim(0);
SELECT complete(1, 0), complete(2, 0), complete(3, 0);
SELECT roll_back_plugin_release('github.com/o/r', sha('b'), at => t(1));
SELECT * FROM claim(1, 1);
SELECT fail(1, 1, false);
SELECT dismiss_plugin_update(id, 'keep it') FROM pending_plugin_updates WHERE workspace_id = w(2);
SELECT detect_plugin_drift(t(2));
SELECT * FROM drift();
SELECT observe('heads/main=c', 3);
SELECT * FROM queue() WHERE status = 'pending';
-- Back further: what was before that.
SELECT forget();
SELECT install(1, 'p', 'ref:main', 'a');
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM claim(0);
SELECT complete(1, 0);
SELECT observe('heads/main=c', 1);
SELECT count(*) FROM claim(1);
SELECT complete(1, 1);
SELECT roll_back_plugin_release('github.com/o/r', sha('c'), at => t(2));
SELECT * FROM claim(2);
SELECT complete(1, 2);
SELECT roll_back_plugin_release('github.com/o/r', sha('b'), at => t(3));
SELECT * FROM claim(3);
SELECT complete(1, 3);
SELECT * FROM drift();
SELECT detect_plugin_drift(t(3));
-- While the worker is at it, the install is removed, or recorded.
SELECT forget();
SELECT install(1, 'p', 'ref:main', 'a'), install(2, 'p', 'ref:main', 'a');
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM claim(0);
SELECT complete(1, 0), complete(2, 0);
SELECT roll_back_plugin_release('github.com/o/r', sha('b'), at => t(1));
SELECT count(*) FROM claim(1);
SELECT remove_workspace_plugin(w(1), 'p'), install(2, 'p', 'ref:main', 'c');
SELECT * FROM queue() WHERE kind = 'rollback';
-- A newer release has come meanwhile: once that is done, it is wanted.
SELECT forget();
SELECT install(1, 'p', 'ref:main', 'a');
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM claim(0);
SELECT complete(1, 0);
SELECT observe('heads/main=c', 1);
SELECT roll_back_plugin_release('github.com/o/r', sha('b'), at => t(2));
SELECT * FROM claim(2);
SELECT complete(1, 2);
SELECT * FROM queue() WHERE status = 'pending';
SELECT detect_plugin_drift(t(3));
-- What is under way becomes a way back: if it fails, it is tried again as one.
SELECT forget();
SELECT install(1, 'p', 'ref:main', 'a');
SELECT observe('heads/main=b', 0);
SELECT count(*) FROM claim(0);
SELECT complete(1, 0);
SELECT install(1, 'p', 'sha:' || sha('a'), 'b');
SELECT * FROM claim(100000000);
SELECT roll_back_plugin_release('github.com/o/r', sha('b'), at => t(2));
SELECT fail(1, 100000000, true);
SELECT * FROM queue() WHERE status = 'pending';
SELECT detect_plugin_drift(t(3));
-- A version that is too far above to be reached in one step: the next step is wanted once this one is done.
SELECT forget();
SELECT install(1, 'p', 'tag:latest', 'a');
SELECT observe('tags/v1.0.0=a tags/v400.0.0=b tags/v800.0.0=c', 0);
SELECT * FROM claim(0);
SELECT complete(1, 0);
SELECT * FROM queue() WHERE status = 'pending';
SELECT detect_plugin_drift(t(1));
SELECT forget();

SELECT try($$SELECT roll_back_plugin_release('github.com/o/r', sha('f'))$$);
SELECT try($$SELECT roll_back_plugin_release(NULL, NULL)$$);
