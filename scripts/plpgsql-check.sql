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
SELECT p.oid AS function, coalesce(t.tgrelid, 0) AS relation,
       p.prorettype = 'trigger'::regtype AND t.oid IS NULL AS unused
  FROM pg_depend d
  JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_workspace_plugins'
  JOIN pg_proc p ON p.oid = d.objid
  JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
  LEFT JOIN pg_trigger t ON t.tgfoid = p.oid AND NOT t.tgisinternal
 WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass
   AND d.deptype = 'e';

CREATE TEMPORARY TABLE finding AS
SELECT s.function::regprocedure, f.message
  FROM subject s,
       plpgsql_check_function(
         s.function, relid => s.relation, extra_warnings => true,
         performance_warnings => true, security_warnings => true,
         compatibility_warnings => true) AS f (message)
 WHERE NOT s.unused
UNION ALL
SELECT s.function::regprocedure, 'no trigger uses this function' FROM subject s WHERE s.unused;

SELECT function || ': ' || message FROM finding;
SELECT count(DISTINCT function) || ' functions checked' FROM subject;
DO $$
BEGIN
  IF EXISTS (SELECT FROM finding) THEN
    RAISE 'plpgsql_check found something';
  END IF;
END $$;
