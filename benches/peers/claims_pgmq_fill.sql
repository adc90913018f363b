-- A message for each update, with what a claim gives a worker.
SELECT pgmq.purge_queue('updates');
TRUNCATE pgmq.a_updates;
SELECT count(*) FROM pgmq.send_batch('updates', ARRAY(
    SELECT jsonb_build_object('workspace_id', workspace_id, 'plugin_name', plugin_name,
        'fetch_url', 'https://example.com/released/plugin', 'tracked_ref', tracked_ref, 'kind', kind,
        'current_sha', current_sha, 'target_ref', target_ref, 'target_sha', target_sha)
    FROM waiting_updates));
VACUUM ANALYZE;
