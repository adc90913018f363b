-- The same two tables with all their indexes and nothing around them, and what waits, to fill them with.
CREATE TABLE bare_queue (LIKE plugin_update_queue INCLUDING ALL);
CREATE TABLE bare_installs (LIKE workspace_plugins INCLUDING ALL);
CREATE TABLE waiting_updates AS SELECT * FROM plugin_update_queue;
