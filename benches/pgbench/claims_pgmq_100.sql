SELECT COALESCE(array_agg(msg_id), '{}') AS ids FROM pgmq.read('updates', 600, 100) \gset
SELECT count(*) FROM pgmq.archive('updates', :ids::bigint[]);
