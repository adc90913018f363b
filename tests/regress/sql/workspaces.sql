-- Workspaces that are registered by hand, and their tiers.
\pset format unaligned
\pset tuples_only on
\pset null NULL

INSERT INTO rollout_tiers VALUES ('canary', 1), ('stable', 2);
SELECT * FROM register_plugin_workspace(w(1));
SELECT * FROM register_plugin_workspace(w(2), 'canary');
SELECT * FROM register_plugin_workspace(rollout_tier => 'stable', workspace_id => w(3));
-- Again: without a tier nothing changes, with one it moves.
SELECT * FROM register_plugin_workspace(w(2));
SELECT * FROM register_plugin_workspace(w(2), NULL);
SELECT * FROM register_plugin_workspace(w(2), 'stable');
SELECT * FROM register_plugin_workspace(w(1), 'canary');
SELECT try($$SELECT register_plugin_workspace(w(4), 'nightly')$$);
SELECT try($$SELECT register_plugin_workspace(w(1), '')$$);
SELECT try($$SELECT register_plugin_workspace(NULL)$$);
SELECT try($$SELECT register_plugin_workspace('x')$$);
SELECT * FROM plugin_workspaces ORDER BY 1;

-- What is installed stays when a workspace is registered again, and goes with it.
SELECT plugin_name FROM record_workspace_plugin_install(w(1), 'p', 's');
SELECT * FROM register_plugin_workspace(w(1), 'stable');
SELECT workspace_id, plugin_name FROM workspace_plugins;
SELECT unregister_plugin_workspace(w(1));
SELECT workspace_id, plugin_name FROM workspace_plugins;
SELECT unregister_plugin_workspace(w(1)), unregister_plugin_workspace(w(9)), unregister_plugin_workspace(NULL);
SELECT unregister_plugin_workspace(w(2)), unregister_plugin_workspace(w(3));
SELECT count(*) FROM plugin_workspaces;
DELETE FROM rollout_tiers;

-- A tier's name that no index could hold is refused by its length.
SELECT try($$SELECT register_plugin_workspace(w(1), repeat('x', 1000000))$$);
