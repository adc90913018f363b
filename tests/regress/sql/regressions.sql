-- How the original failed: each of these would have caught it.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT forget();

-- 1. Every source became none, so that the sweep matched nothing and looked healthy: a tracker that tracks nothing says so.
SELECT tracked, vacuous FROM plugin_tracking_health;
SELECT install(1, 'a', 'none', 'a');
SELECT tracked, vacuous FROM plugin_tracking_health;
SELECT install(1, 'a', 'tag:latest', 'a', 'my-plugin'), install(1, 'b', 'tag:latest', NULL);
SELECT tracked, unresolvable, by_state, vacuous FROM plugin_tracking_health;
SELECT observe('tags/v1.0.0=a', 1);
SELECT tracked, unresolvable, by_state, vacuous FROM plugin_tracking_health;
SELECT install(1, 'c', 'tag:latest', 'a');
SELECT tracked, in_sync, vacuous FROM plugin_tracking_health;
SELECT forget();

-- 2. ON CONFLICT without the partial index's predicate failed on every enqueue, and the empty queue looked like no drift.
-- Enqueueing, over a row that waits, and beside one that is being applied, fills the queue …
SELECT install(1, 'a', 'ref:main', 'a'), install(2, 'a', 'ref:main', 'a');
SELECT observe('heads/main=b', 1);
UPDATE plugin_update_queue SET status = 'claimed', claim_token = w(9), leased_until = 'infinity' WHERE workspace_id = w(2);
SELECT observe('heads/main=c', 2);
SELECT detect_plugin_drift();
SELECT * FROM queue();
-- … and every partial unique index takes part in an ON CONFLICT that names its predicate, and in none that does not.
SELECT c.relname, pg_get_expr(i.indpred, i.indrelid) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = i.indrelid AND d.deptype = 'e'
WHERE i.indisunique AND i.indpred IS NOT NULL ORDER BY 1;
CREATE FUNCTION again(predicate text, condition text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT try(format('INSERT INTO plugin_update_queue (workspace_id, plugin_name, upstream, tracked_ref, kind, current_sha, target_sha, status, created_at, waiting_since, finished_at, claim_token, leased_until)
                       SELECT workspace_id, plugin_name, upstream, tracked_ref, kind, current_sha, target_sha, status, created_at, waiting_since, finished_at, claim_token, leased_until FROM plugin_update_queue WHERE %s
                       ON CONFLICT %s DO NOTHING', condition, predicate))
$$;
SELECT dismiss_plugin_update(id, 'no') FROM pending_plugin_updates WHERE workspace_id = w(1);
SELECT again($$(workspace_id, plugin_name) WHERE status = 'pending'$$, $$status = 'pending'$$), again($$(workspace_id, plugin_name) WHERE status = 'claimed'$$, $$status = 'claimed'$$),
       again($$(workspace_id, plugin_name, target_sha) WHERE status = 'dismissed'$$, $$status = 'dismissed'$$);
SELECT again('(workspace_id, plugin_name)', 'true'), again('(workspace_id, plugin_name, target_sha)', 'true');
SELECT try($$INSERT INTO plugin_upstream_refs (upstream, ref, sha, first_seen_at, current_since) SELECT upstream, ref, sha('f'), t(9), t(9) FROM plugin_upstream_refs WHERE gone_at IS NULL
             ON CONFLICT (upstream, ref) WHERE gone_at IS NULL DO NOTHING$$);
SELECT try($$INSERT INTO plugin_upstream_refs (upstream, ref, sha, first_seen_at, current_since) SELECT upstream, ref, sha('f'), t(9), t(9) FROM plugin_upstream_refs WHERE gone_at IS NULL$$);
SELECT status, count(*) FROM plugin_update_queue GROUP BY 1 ORDER BY 1;
DROP FUNCTION again(text, text);
SELECT forget();

-- 3. The sweep resolved tracked_ref, the apply installed the source's fragment: the tracked ref alone says what is to be installed.
SELECT install(1, 'a', 'tag:latest', 'a', 'github://o/r#tag:v1.0.0'), install(1, 'b', 'tag:latest', 'b', 'github://o/r#v1.0.0');
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b', 1);
SELECT * FROM queue();
SELECT fetch_url FROM plugin_upstreams;
-- Applied, it is over, whatever the fragment says.
SELECT install(1, 'a', 'tag:latest', 'b', 'github://o/r#tag:v1.0.0'), detect_plugin_drift(), observe('tags/v1.0.0=a tags/v1.1.0=b', 2);
SELECT count(*) FROM pending_plugin_updates;
SELECT forget();

-- 4. An uninstalled plugin left its row that waits; 25 of them, oldest first, blocked the queue.
SELECT count(install(i, 'a', 'ref:main', 'a')) FROM generate_series(1, 30) AS i;
SELECT observe('heads/main=b', 1);
SELECT count(remove_workspace_plugin(w(i), 'a')) FROM generate_series(1, 10) AS i;
SELECT count(unregister_plugin_workspace(w(i))) FROM generate_series(11, 20) AS i;
DELETE FROM workspace_plugins WHERE workspace_id BETWEEN w(21) AND w(25);
SELECT status, reason, count(*) FROM plugin_update_queue GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) FROM pending_plugin_updates;
SELECT observe('heads/main=c', 2);
SELECT status, count(*) FROM plugin_update_queue GROUP BY 1 ORDER BY 1;
SELECT forget();

-- 6. A dismissed update came back at the next sweep.
SELECT install(1, 'a', 'ref:main', 'a');
SELECT observe('heads/main=b', 1);
SELECT dismiss_plugin_update(id, 'broken on our boxes') FROM pending_plugin_updates;
SELECT detect_plugin_drift(), observe('heads/main=b', 2), observe('heads/main=b tags/x=b', 3), install(1, 'a', 'ref:main', 'a'), prune_plugin_updates('0'), detect_plugin_drift();
SELECT status, count(*) FROM plugin_update_queue GROUP BY 1;
SELECT state, update, reason FROM drift();
SELECT observe('heads/main=c', 4);
SELECT status, short(target_sha) FROM plugin_update_queue ORDER BY 1;
SELECT forget();

-- 7. A row that waits was never refreshed: what was shown was not what would be installed.
SELECT install(1, 'a', 'ref:main', 'a');
SELECT observe('heads/main=b', 1);
SELECT id AS shown FROM pending_plugin_updates \gset
SELECT observe('heads/main=c', 2);
SELECT id = :'shown' AS same, short(latest_sha) FROM pending_plugin_updates;
SELECT status, short(target_sha), short(reason) FROM plugin_update_queue WHERE id = :'shown';
SELECT u.latest_sha = r.sha FROM pending_plugin_updates AS u JOIN plugin_upstream_refs AS r ON r.upstream = u.upstream AND r.ref = u.target_ref AND r.gone_at IS NULL;
-- Of the install too: what is installed now.
SELECT install(1, 'a', 'ref:main', 'd');
SELECT short(current_sha), short(latest_sha) FROM pending_plugin_updates;
SELECT forget();

-- 9. '' instead of NULL as installed commit passed the filter and crashed the reader.
SELECT count(register_plugin_workspace(w(1)));
SELECT installed_sha FROM record_workspace_plugin_install(w(1), 'a', 'github://o/r', 'ref:main', '');
SELECT record_workspace_plugin_installs(jsonb_build_array(jsonb_build_object('workspace_id', w(1), 'plugin_name', 'b', 'source_raw', 'github://o/r', 'track', 'ref:main', 'installed_sha', '')));
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, tracked_ref, installed_sha) VALUES (w(1), 'c', 'github://o/r', 'ref:main', '')$$);
SELECT observe('heads/main=b', 1);
SELECT * FROM drift();
SELECT detect_plugin_drift(), (SELECT count(*) FROM plugin_update_queue), by_state FROM plugin_tracking_health;
SELECT forget();

-- 10. A tag that was moved by force was delivered.
SELECT install(1, 'exact', 'tag:v1.0.0', 'a'), install(2, 'latest', 'tag:latest', 'a'), install(3, 'range', 'tag:^1', 'a'), install(4, 'behind', 'tag:latest', '0'), install(5, 'behind, exact', 'tag:v1.0.0', '0');
SELECT observe('tags/v1.0.0=a', 1);
SELECT observe('tags/v1.0.0=b', 2);
SELECT detect_plugin_drift(), count(*) FROM pending_plugin_updates;
SELECT count(*) FROM plugin_update_queue WHERE target_sha = sha('b');
SELECT workspace, state FROM drift();
SELECT install(6, 'new', 'tag:v1.0.0', 'a'), install(7, 'new', 'tag:latest', '0'), detect_plugin_drift();
SELECT count(*) FROM plugin_update_queue WHERE target_sha = sha('b');
SELECT held, drifted FROM plugin_tracking_health;
SELECT forget();

-- 12. One fetch per install, one after the other: one look at a repository serves every install of it, and a slow one starves nobody.
SELECT count(install(i, 'a', CASE WHEN i % 2 = 0 THEN 'tag:latest' ELSE 'ref:main' END, '0', (ARRAY['github://o/r', 'https://github.com/O/R.git', 'git@github.com:o/r'])[1 + i % 3])) FROM generate_series(1, 300) AS i;
SELECT count(install(i, 'b', 'ref:main', '0', 'https://slow.example/x/y')) FROM generate_series(1, 10) AS i;
SELECT count(*) FROM plugin_upstreams;
SELECT count(*) FROM claim_plugin_upstreams('stuck', 1);
SELECT count(*) FROM claim_plugin_upstreams('not stuck', 1);
SELECT count(*) FROM claim_plugin_upstreams('with nothing to do', 10);
SELECT observe('tags/v1.0.0=a heads/main=b', 1);
SELECT ref, sha, count(*) FROM drift() WHERE plugin = 'a' AND update = 'pending' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT forget();

-- 13. A backfill made everything eligible at once: what is recorded of an unknown commit queues nothing.
SELECT count(register_plugin_workspace(w(1)));
INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw, tracked_ref) SELECT w(1), 'p' || i, 'github://o/r', 'tag:latest' FROM generate_series(1, 100) AS i;
SELECT detect_plugin_drift(), observe('tags/v1.0.0=a', 1), detect_plugin_drift();
SELECT state, update, count(*) FROM drift() GROUP BY 1, 2;
SELECT forget();
