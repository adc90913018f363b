-- Who may do what: nobody at first, then a role for each level.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT forget();

-- Of the extension's functions PUBLIC may execute those that only compute or look …
CREATE VIEW functions AS
SELECT p.oid::regprocedure::text AS function, p.provolatile, p.prosecdef,
       EXISTS (SELECT FROM aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) AS a WHERE a.grantee = 0) AS public
FROM pg_proc AS p JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'pg_workspace_plugins';
SELECT function, provolatile FROM functions WHERE public ORDER BY function COLLATE "C";
-- … and no other.
SELECT function, provolatile FROM functions WHERE NOT public ORDER BY function COLLATE "C";
-- With the rights of their owner run the triggers only.
SELECT function FROM functions WHERE prosecdef ORDER BY function COLLATE "C";
-- No table is open to PUBLIC.
SELECT c.relname, a.privilege_type FROM pg_class AS c JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
JOIN pg_extension AS e ON e.oid = d.refobjid, aclexplode(COALESCE(c.relacl, acldefault('r', c.relowner))) AS a
WHERE e.extname = 'pg_workspace_plugins' AND a.grantee = 0;

-- One role per level, and one without any.
CREATE ROLE regress_nobody;
CREATE ROLE regress_reader;
CREATE ROLE regress_recorder;
CREATE ROLE regress_worker;
CREATE ROLE regress_watcher;
CREATE ROLE "regress Operator";
SELECT grant_plugin_access('regress_reader', 'reader'), grant_plugin_access('regress_recorder', 'recorder'), grant_plugin_access('regress_worker', 'worker'),
       grant_plugin_access('regress_watcher', 'watcher'),
       grant_plugin_access('"regress Operator"', 'operator');
SELECT register_plugin_workspace(w(1));
CREATE TABLE boxes (id uuid PRIMARY KEY);
ALTER TABLE boxes OWNER TO "regress Operator";
CREATE TABLE original (id int, workspace_id uuid, plugin_name text, source_raw text, tracked_ref text, installed_at timestamptz, updated_at timestamptz);
GRANT SELECT ON original TO PUBLIC;
INSERT INTO original VALUES (1, w(1), 'imported', 'github://o/imported', 'tag:latest', now(), now());
-- Something that is tracked, with an update that waits and a tag that is held.
SELECT install(1, 'tracked', 'ref:main', 'a'), install(1, 'held', 'tag:v1', 'a');
SELECT observe('heads/main=b tags/v1=a', 1), observe('heads/main=b tags/v1=b', 2);
UPDATE plugin_upstreams SET next_check_at = t(0);

CREATE TABLE action (n int GENERATED ALWAYS AS IDENTITY, statement text);
INSERT INTO action (statement) VALUES
    ($$SELECT validate_tracked_ref('none'), is_valid_tracked_ref('none'), tracked_ref_kind('none'), tracked_ref_value('none')$$),
    ($$SELECT is_valid_commit_sha('x'), check_plugin_source('x'), plugin_source_upstream('x'), resolve_tag('none', '{}')$$),
    ($$SELECT 'none'::tracked_ref, repeat('a', 40)::commit_sha, 's'::plugin_source$$),
    ($$SELECT FROM workspace_plugins$$),
    ($$SELECT FROM plugin_workspaces$$),
    ($$SELECT FROM rollout_tiers$$),
    ($$SELECT register_plugin_workspace(w(2))$$),
    ($$SELECT record_workspace_plugin_install(w(1), 'p', 's', 'tag:v1')$$),
    ($$SELECT record_workspace_plugin_installs('[{"workspace_id": "00000000-0000-0000-0000-000000000001", "plugin_name": "q", "source_raw": "s"}]')$$),
    ($$SELECT remove_workspace_plugin(w(1), 'p')$$),
    ($$SELECT unregister_plugin_workspace(w(2))$$),
    ($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw) VALUES (w(1), 'direct', 's') ON CONFLICT (workspace_id, plugin_name) DO UPDATE SET source_raw = excluded.source_raw$$),
    ($$DELETE FROM workspace_plugins WHERE plugin_name = 'direct'$$),
    ($$INSERT INTO plugin_workspaces VALUES (w(3))$$),
    ($$INSERT INTO rollout_tiers VALUES ('canary', 1)$$),
    ($$SELECT count(reason) FROM workspace_plugin_drift$$),
    ($$SELECT count(id) FROM pending_plugin_updates$$),
    ($$SELECT in_sync, by_state, vacuous FROM plugin_tracking_health$$),
    ($$SELECT FROM plugin_upstreams, plugin_upstream_refs, plugin_targets, plugin_update_queue$$),
    ($$SELECT record_workspace_plugin_install(w(1), 'p', 'github://o/r', 'ref:main', sha('a'))$$),
    ($$SELECT record_workspace_plugin_install(w(1), 'tracked', 'github://o/r', 'ref:main', sha('b'))$$),
    ($$SELECT record_workspace_plugin_install(w(1), 'p', 'github://o/new', 'tag:latest')$$),
    ($$SELECT record_workspace_plugin_installs(jsonb_build_array(jsonb_build_object('workspace_id', w(1), 'plugin_name', 'p', 'source_raw', 'github://o/r', 'track', 'ref:main', 'installed_sha', sha('a'))))$$),
    ($$SELECT remove_workspace_plugin(w(1), 'tracked')$$),
    ($$SELECT unregister_plugin_workspace(w(1))$$),
    ($$UPDATE plugin_workspaces SET workspace_id = w(7) WHERE workspace_id = w(1)$$),
    ($$SELECT claim_plugin_upstreams('w', 1, '5 minutes', '{}', t(5))$$),
    ($$SELECT report_plugin_upstream_error('github.com/o/r', NULL, 'x')$$),
    ($$SELECT release_plugin_upstream('github.com/o/r', NULL)$$),
    ($$SELECT observe_plugin_upstream('github.com/o/r', refs('heads/main=c tags/v2=a'), t(3))$$),
    ($$SELECT observe_plugin_upstream('github.com/o/r', '{}', t(3))$$),
    ($$SELECT observe_plugin_ref('github.com/o/r', 'refs/heads/main', sha('c'), t(3))$$),
    ($$SELECT observe_plugin_webhook('gitlab', jsonb_build_object('object_kind', 'push', 'ref', 'refs/heads/main', 'after', sha('c'), 'project', jsonb_build_object('git_http_url', 'https://github.com/o/r')), t(3))$$),
    ($$SELECT accept_moved_tag('github.com/o/r', 'v1', sha('b'))$$),
    ($$SELECT detect_plugin_drift()$$),
    ($$SELECT dismiss_plugin_update(id, 'no') FROM pending_plugin_updates$$),
    ($$SELECT claim_plugin_updates('w', 1, '5 minutes', t(5))$$),
    ($$SELECT extend_plugin_update(id, claim_token, '1 hour', t(6)) FROM claim_plugin_updates('w', 1, '5 minutes', t(5))$$),
    ($$SELECT complete_plugin_update(id, claim_token, target_sha, true, t(6)) FROM claim_plugin_updates('w', 1, '5 minutes', t(5))$$),
    ($$SELECT complete_plugin_update(id, claim_token, target_sha, false, t(6)) FROM claim_plugin_updates('w', 1, '5 minutes', t(5))$$),
    ($$SELECT fail_plugin_update(id, claim_token, 'x', true, t(6)) FROM claim_plugin_updates('w', 1, '5 minutes', t(5))$$),
    ($$SELECT fail_plugin_update(id, claim_token, 'x', false, t(6)) FROM claim_plugin_updates('w', 1, '5 minutes', t(5))$$),
    ($$SELECT claim_plugin_updates('w', 1, '5 minutes', now() + interval '1 day')$$),
    ($$SELECT count(total) FROM plugin_rollout_progress$$),
    ($$SELECT pause_plugin_rollout('github.com/o/r', sha('b'))$$),
    ($$SELECT resume_plugin_rollout('github.com/o/r', sha('b'))$$),
    ($$SELECT abort_plugin_rollout('github.com/o/r', sha('b'))$$),
    ($$SELECT roll_back_plugin_release('github.com/o/r', sha('b'))$$),
    ($$INSERT INTO plugin_update_policy (max_starts, starts_interval) VALUES (25, '10 minutes')$$),
    ($$UPDATE plugin_rollouts SET state = 'paused'$$),
    ($$SELECT retry_plugin_update(id) FROM plugin_update_queue$$),
    ($$SELECT prune_plugin_updates('0')$$),
    ($$UPDATE plugin_upstreams SET check_interval = '1 hour', min_release_age = '1 day'$$),
    ($$DELETE FROM plugin_upstream_refs$$),
    ($$SELECT derive_plugin_updates('github.com/o/r', 'ref:main', NULL, NULL, now())$$),
    ($$TRUNCATE workspace_plugins$$),
    ($$SELECT attach_workspaces('boxes')$$),
    ($$INSERT INTO boxes VALUES (w(4))$$),
    ($$SELECT detach_workspaces('boxes')$$),
    ($$SELECT import_workspace_plugins('original')$$),
    ($$SELECT FROM workspace_plugins_import_refusals('original')$$),
    ($$SELECT grant_plugin_access('regress_nobody', 'operator')$$),
    ($$SELECT revoke_plugin_access('regress_reader')$$),
    ($$DROP TABLE workspace_plugins$$);
GRANT SELECT ON action TO PUBLIC;
-- Each action is undone, so that every role finds the same.
CREATE FUNCTION outcome(role regrole) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    a record; message text;
BEGIN
    FOR a IN SELECT * FROM action ORDER BY n LOOP
        BEGIN
            EXECUTE format('SET LOCAL ROLE %s', role);
            EXECUTE a.statement;
            RAISE SQLSTATE 'OK000' USING MESSAGE = 'ok';
        EXCEPTION WHEN OTHERS THEN
            message := CASE WHEN SQLSTATE = 'OK000' THEN 'ok' ELSE SQLSTATE || ' ' || SQLERRM END;
        END;
        RETURN NEXT rpad(message, 60) || ' | ' || left(a.statement, 70);
    END LOOP;
END $$;
SELECT outcome('regress_nobody');
SELECT outcome('regress_reader');
SELECT outcome('regress_recorder');
SELECT outcome('regress_worker');
SELECT outcome('regress_watcher');
SELECT outcome('"regress Operator"');

-- A watcher has what a reader has, and four functions.
SELECT p.oid::regprocedure FROM pg_proc AS p JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
WHERE has_function_privilege('regress_watcher', p.oid, 'EXECUTE') AND NOT has_function_privilege('regress_reader', p.oid, 'EXECUTE') ORDER BY 1::text;
SELECT count(*) FILTER (WHERE privilege_type = 'SELECT') > 0 AS reads, count(*) FILTER (WHERE privilege_type <> 'SELECT') AS others
FROM pg_class, aclexplode(relacl) WHERE grantee = 'regress_watcher'::regrole;
SELECT count(*) FROM pg_attribute, aclexplode(attacl) WHERE grantee = 'regress_watcher'::regrole;

-- What is granted, is taken back; another level is then another.
SELECT relname, privilege_type FROM pg_class, aclexplode(relacl) WHERE grantee = '"regress Operator"'::regrole AND relkind IN ('r', 'v') AND relname <> 'boxes' ORDER BY 1, 2;
SELECT revoke_plugin_access('"regress Operator"');
SELECT relname, privilege_type FROM pg_class, aclexplode(relacl) WHERE grantee = '"regress Operator"'::regrole AND relkind IN ('r', 'v') AND relname <> 'boxes' ORDER BY 1, 2;
SELECT count(*) FROM pg_proc, aclexplode(proacl) WHERE grantee = '"regress Operator"'::regrole;
SELECT grant_plugin_access('"regress Operator"', 'reader');
SELECT relname, privilege_type FROM pg_class, aclexplode(relacl) WHERE grantee = '"regress Operator"'::regrole AND relkind IN ('r', 'v') AND relname <> 'boxes' ORDER BY 1, 2;
-- Twice is once.
SELECT grant_plugin_access('regress_recorder', 'recorder'), grant_plugin_access('regress_recorder', 'reader');
SELECT count(*) FROM outcome('regress_recorder') AS o WHERE o LIKE 'ok %';
SELECT revoke_plugin_access('regress_nobody');

-- What cannot be granted.
SELECT try($$SELECT grant_plugin_access('regress_reader', 'admin')$$);
SELECT try($$SELECT grant_plugin_access('regress_reader', 'Reader')$$);
SELECT try($$SELECT grant_plugin_access('regress_reader', '')$$);
SELECT try($$SELECT grant_plugin_access('regress_reader', NULL)$$);
SELECT try($$SELECT grant_plugin_access('regress_reader', repeat('x', 1000))$$);
SELECT try($$SELECT grant_plugin_access('regress_reader', E'x"\n')$$);
SELECT try($$SELECT grant_plugin_access(NULL, 'reader')$$);
SELECT try($$SELECT grant_plugin_access(0, 'reader')$$);
SELECT try($$SELECT grant_plugin_access('regress_missing', 'reader')$$);
SELECT try($$SELECT grant_plugin_access('public', 'reader')$$);
SELECT try($$SELECT revoke_plugin_access(NULL)$$);
SELECT try($$SELECT revoke_plugin_access('regress_missing')$$);

SELECT forget();
DROP FUNCTION outcome(regrole);
DROP TABLE action, original, boxes;
DROP VIEW functions;
DROP OWNED BY regress_nobody, regress_reader, regress_recorder, regress_worker, regress_watcher, "regress Operator";
DROP ROLE regress_nobody, regress_reader, regress_recorder, regress_worker, regress_watcher, "regress Operator";
DELETE FROM plugin_workspaces;
