-- The state before the new tag, and an empty queue.
SELECT (observe_plugin_upstream('example.com/hot/plugin', before)).outcome FROM hot;
TRUNCATE plugin_update_queue;
