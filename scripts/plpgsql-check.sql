-- Checks every PL/pgSQL function of the extension at all levels; any finding is
-- an error. A trigger function is checked against each table that it is on.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION plpgsql_check;
CREATE SCHEMA plugins;
CREATE EXTENSION pg_workspace_plugins SCHEMA plugins;
CREATE TABLE workspaces (id uuid PRIMARY KEY);
SELECT FROM plugins.attach_workspaces('public.workspaces');

CREATE TEMPORARY VIEW subject AS
SELECT p.oid AS function, coalesce(t.tgrelid, 0) AS relation, t.tgoldtable AS old_table,
       p.prorettype = 'trigger'::regtype AND t.oid IS NULL AS unused
  FROM pg_depend d
  JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_workspace_plugins'
  JOIN pg_proc p ON p.oid = d.objid
  JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
  LEFT JOIN pg_trigger t ON t.tgfoid = p.oid AND NOT t.tgisinternal
 WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass
   AND d.deptype = 'e';

-- Findings that are wrong, because the checker cannot see through dynamic SQL.
CREATE TEMPORARY TABLE accepted (function text, message text, reason text);
INSERT INTO accepted VALUES
    ('detach_workspaces', 'routine is marked as VOLATILE, should be STABLE', 'it executes DROP TRIGGER'),
    ('original_workspace_plugins', 'OUT variable "%" is maybe unmodified', 'RETURN QUERY EXECUTE sets them all'),
    ('grant_plugin_access', 'text type variable is not sanitized', 'the text is a constant of plugin_access()'),
    ('revoke_plugin_access', 'text type variable is not sanitized', 'the text is a constant of plugin_access()');

CREATE TEMPORARY TABLE finding AS
SELECT p.proname, f.lineno, f.level, f.message, f.detail, f.query
  FROM subject s
  JOIN pg_proc p ON p.oid = s.function,
       plpgsql_check_function_tb(
         s.function, relid => s.relation, oldtable => s.old_table, extra_warnings => true,
         performance_warnings => true, security_warnings => true,
         compatibility_warnings => true) AS f
 WHERE NOT s.unused
UNION ALL
SELECT s.function::regproc::text, NULL, 'error', 'no trigger uses this function', NULL, NULL
  FROM subject s WHERE s.unused;

CREATE TEMPORARY VIEW complaint AS
SELECT format('%s, line %s: %s: %s', f.proname, f.lineno, f.level, concat_ws('; ', f.message, f.detail, f.query)) AS line
  FROM finding f
 WHERE NOT EXISTS (SELECT FROM accepted a WHERE f.proname = a.function AND f.message LIKE a.message)
UNION ALL
SELECT format('%s: no longer found, do not accept it: %s', a.function, a.message)
  FROM accepted a
 WHERE NOT EXISTS (SELECT FROM finding f WHERE f.proname = a.function AND f.message LIKE a.message);

SELECT line FROM complaint;
SELECT count(DISTINCT function) || ' functions checked' FROM subject;
DO $$
BEGIN
    IF EXISTS (SELECT FROM complaint) THEN
        RAISE 'plpgsql_check found something';
    END IF;
END $$;
