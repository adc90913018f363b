-- Input of the kinds that break things: huge, binary, in transactions that may not write.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT register_plugin_workspace(w(1));

-- A megabyte for every text: an answer or an error, and never a long one.
SELECT length(validate_tracked_ref('tag:' || repeat('x', 1000000))), length(validate_tracked_ref(repeat(' ', 1000000))),
       length(validate_tracked_ref(repeat(U&'\3000', 300000) || 'tag:v1' || repeat(U&'\2003', 300000)));
SELECT left(error, 40), length(error) FROM try($$SELECT validate_tracked_ref(repeat('x', 1000000))$$) AS error;
SELECT left(error, 40), length(error) FROM try($$SELECT validate_tracked_ref(repeat(E'\x01', 1000000))$$) AS error;
SELECT is_valid_tracked_ref('tag:' || repeat('x', 1000000)), is_valid_tracked_ref(repeat('x', 1000000)),
       is_valid_commit_sha(repeat('a', 1000000)), length(('tag:' || repeat('x', 1000000))::tracked_ref);
SELECT tracked_ref_kind('tag:' || repeat('x', 1000000)), length(tracked_ref_value('ref:' || repeat('x', 1000000)));
SELECT left(error, 40), length(error) FROM try($$SELECT repeat('x', 1000000)::tracked_ref$$) AS error;
SELECT left(error, 40), length(error) FROM try($$SELECT repeat('a', 1000000)::commit_sha$$) AS error;
SELECT check_plugin_source(repeat('x', 1000000)), check_plugin_source('https://host/' || repeat('a/', 500000)),
       check_plugin_source('https://host/a#' || repeat('x', 1000000));
SELECT error FROM try($$SELECT check_plugin_source('https://' || repeat('u', 1000000) || '@host/a')$$) AS error;
SELECT error FROM try($$SELECT check_plugin_source(repeat('https://', 100000) || 'u:p@host')$$) AS error;
SELECT plugin_source_upstream(repeat('x', 1000000)), length(plugin_source_upstream('https://host/' || repeat('a/', 500000))),
       plugin_source_upstream('https://' || repeat('h', 1000000) || '/a') IS NULL, length(plugin_source_upstream('git@host:' || repeat('a', 1000000))),
       plugin_source_upstream('https://host/a#' || repeat('x', 1000000)), length(plugin_source_upstream(repeat('https://', 100000)));
SELECT resolve_tag('tag:latest', ARRAY['v1.0.0', repeat('x', 1000000), 'v' || repeat('9', 1000000) || '.0.0', 'v1.0.0-' || repeat('a.', 500000) || 'a']),
       resolve_tag('tag:^1', ARRAY['v1.0.0+' || repeat('x', 100)]) IS NOT NULL, resolve_tag('tag:' || repeat('x', 1000000), '{v1.0.0}'),
       resolve_tag('tag:^' || repeat('1', 1000000), '{v1.0.0}'), resolve_tag('tag:' || repeat('*', 1000000), '{v1.0.0}'),
       resolve_tag('tag:latest', '{v1.0.0}', repeat('x', 1000000));
SELECT resolve_tag('tag:latest', array_agg('v1.' || i || '.0')) FROM generate_series(1, 100000) AS i;
SELECT error FROM try($$SELECT record_workspace_plugin_install(w(1), repeat('x', 1000000), 's')$$) AS error;
SELECT error FROM try($$SELECT record_workspace_plugin_install(w(1), 'p', repeat('x', 1000000))$$) AS error;
SELECT error FROM try($$SELECT record_workspace_plugin_install(w(1), 'p', 'https://u:' || repeat('x', 1000000) || '@host/a')$$) AS error;
SELECT error FROM try($$SELECT record_workspace_plugin_install(w(1), 'p', 's', 'tag:' || repeat('x', 1000000))$$) AS error;
SELECT left(error, 40), length(error) FROM try($$SELECT record_workspace_plugin_install(w(1), 'p', 's', repeat('x', 1000000))$$) AS error;
SELECT left(error, 70), length(error) FROM try($$SELECT record_workspace_plugin_install(w(1), 'p', 's', 'none', repeat('x', 1000000))$$) AS error;
SELECT tracked_ref FROM record_workspace_plugin_install(w(1), 'p', 's', repeat(' ', 1000000) || 'tag:v1');
SELECT remove_workspace_plugin(w(1), repeat('x', 1000000));
SELECT error FROM try($$SELECT grant_plugin_access(current_user::regrole, repeat('x', 1000000))$$) AS error;
SELECT length(plugin_install_refusal(repeat('x', 1000000), NULL, NULL, NULL, NULL)),
       plugin_install_refusal(w(1)::text, repeat('x', 1000000), NULL, NULL, NULL);

-- Text that is not text, which the server refuses before the extension sees it.
SELECT try($$SELECT record_workspace_plugin_installs('[{"plugin_name": "\u0000"}]')$$);
SELECT try($$SELECT record_workspace_plugin_installs('[{"\u0000": "x"}]')$$);
SELECT try($$SELECT record_workspace_plugin_installs('[{"plugin_name": "\ud800"}]')$$);
SELECT try($$SELECT record_workspace_plugin_installs('[{"plugin_name": ')$$);
SELECT try($$SELECT record_workspace_plugin_installs('')$$);
SELECT try($$SELECT validate_tracked_ref(E'tag:\xff')$$);
SELECT try($$SELECT validate_tracked_ref(E'tag:\xed\xa0\x80')$$);
SELECT try($$SELECT validate_tracked_ref(convert_from('\x7461673a00', 'UTF8'))$$);
-- Control characters are allowed where the rule is structural, and are stored as they are.
SELECT tracked_ref = E'tag:a\x01\x7fb', plugin_name = E'\x01' FROM record_workspace_plugin_install(w(1), E'\x01', E'a\x02', E'tag:a\x01\x7fb');
-- Text that looks like SQL is text.
SELECT plugin_name, source_raw, tracked_ref
FROM record_workspace_plugin_install(w(1), $$'; DROP TABLE workspace_plugins; --$$, $$$1 %s {} \\ "x"$$, $$tag:'||'x$$);
SELECT remove_workspace_plugin(w(1), $$'; DROP TABLE workspace_plugins; --$$);

-- A transaction that only reads: every function that writes is refused, those that compute are not.
BEGIN READ ONLY;
SELECT validate_tracked_ref('tag:v1'), resolve_tag('tag:latest', '{v1.0.0}'), plugin_source_upstream('github://o/r');
SELECT try($$SELECT record_workspace_plugin_install(w(1), 'p', 's')$$);
SELECT try($$SELECT record_workspace_plugin_installs('[{"workspace_id": "00000000-0000-0000-0000-000000000001", "plugin_name": "q", "source_raw": "s"}]')$$);
SELECT record_workspace_plugin_installs('[]');
SELECT try($$SELECT record_workspace_plugin_install(w(1), 'p', 's', 'main')$$);
SELECT try($$SELECT remove_workspace_plugin(w(1), 'p')$$);
SELECT try($$SELECT register_plugin_workspace(w(2))$$);
SELECT try($$SELECT unregister_plugin_workspace(w(1))$$);
SELECT try($$SELECT import_workspace_plugins('workspace_plugins')$$);
SELECT try($$SELECT grant_plugin_access(current_user::regrole, 'reader')$$);
SELECT try($$SELECT revoke_plugin_access(current_user::regrole)$$);
COMMIT;
CREATE TABLE boxes (id uuid PRIMARY KEY);
BEGIN READ ONLY;
SELECT try($$SELECT attach_workspaces('boxes')$$);
SELECT detach_workspaces('boxes');
COMMIT;
SELECT attach_workspaces('boxes');
BEGIN READ ONLY;
SELECT try($$SELECT detach_workspaces('boxes')$$);
COMMIT;
DROP TABLE boxes;
SELECT plugin_name, source_raw FROM workspace_plugins WHERE plugin_name = 'p';

-- At the strictest isolation level.
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT plugin_name FROM record_workspace_plugin_install(w(1), 'serializable', 's');
SELECT record_workspace_plugin_installs('[{"workspace_id": "00000000-0000-0000-0000-000000000001", "plugin_name": "serializable", "source_raw": "s2"}]');
SELECT remove_workspace_plugin(w(1), 'p');
COMMIT;
SELECT plugin_name, source_raw FROM workspace_plugins WHERE plugin_name IN ('serializable', 'p');

-- Prepared, for more calls than it takes to make a plan that is good for all.
PREPARE record (uuid, text, text, text, text) AS SELECT plugin_name, source_raw, tracked_ref, installed_sha FROM record_workspace_plugin_install($1, $2, $3, $4, $5);
EXECUTE record (w(1), 'prepared', 's1', 'tag:v1', NULL);
EXECUTE record (w(1), 'prepared', 's2', NULL, sha('a'));
EXECUTE record (w(1), 'prepared', 's3', '', '');
EXECUTE record (w(1), 'prepared', 's4', ' ref:x ', sha('b'));
EXECUTE record (w(1), NULL, 's5', NULL, NULL);
EXECUTE record (w(1), 'prepared', 's6', 'main', NULL);
EXECUTE record (w(9), 'prepared', 's7', NULL, NULL);
EXECUTE record (w(1), 'prepared', 's8', 'sha:1', NULL);
EXECUTE record (w(1), 'prepared', 's9', 'tag:*', NULL);
DEALLOCATE record;
PREPARE batch (jsonb) AS SELECT record_workspace_plugin_installs($1);
EXECUTE batch ('[{"workspace_id": "00000000-0000-0000-0000-000000000001", "plugin_name": "q", "source_raw": "s"}]');
EXECUTE batch (NULL);
EXECUTE batch ('[]');
EXECUTE batch ('[{"workspace_id": "00000000-0000-0000-0000-000000000001", "plugin_name": "q"}]');
DEALLOCATE batch;
SET plan_cache_mode = force_generic_plan;
PREPARE kind (text) AS SELECT validate_tracked_ref($1), tracked_ref_kind($1::tracked_ref), is_valid_tracked_ref($1);
EXECUTE kind ('tag:v1');
EXECUTE kind (NULL);
EXECUTE kind ('main');
DEALLOCATE kind;
RESET plan_cache_mode;

SELECT unregister_plugin_workspace(w(1));
