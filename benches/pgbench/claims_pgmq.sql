SELECT * FROM pgmq.read('updates', 600, 1) \gset
SELECT pgmq.archive('updates', :msg_id::bigint);
