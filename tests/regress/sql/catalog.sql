-- The members of the extension, and how the catalog describes them.
\pset format unaligned
\pset tuples_only on
\pset null NULL

SELECT extname, extversion, extrelocatable, extnamespace::regnamespace FROM pg_extension WHERE extname = 'pg_workspace_plugins';
-- Functions, domains, tables and views; of sequences, operators and casts there are none. Types of tables are left out:
-- servers differ in whether they list them.
SELECT member
FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid,
     LATERAL pg_describe_object(classid, objid, objsubid) AS member
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'pg_workspace_plugins'
  AND NOT EXISTS (SELECT FROM pg_type AS t WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid AND t.typtype <> 'd')
ORDER BY member COLLATE "C";
SELECT relkind, count(*) FROM pg_class AS c JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
JOIN pg_extension AS e ON e.oid = d.refobjid WHERE e.extname = 'pg_workspace_plugins' GROUP BY 1 ORDER BY 1;

-- What pg_dump takes the rows of: every table, whole.
SELECT config.oid::regclass, condition FROM pg_extension, unnest(extconfig, extcondition) AS config (oid, condition)
WHERE extname = 'pg_workspace_plugins' ORDER BY config.oid::regclass::text;
-- Every table has a primary key, and no rows.
SELECT c.relname, count(i.indexrelid) FILTER (WHERE i.indisprimary),
       (SELECT count(*) FROM workspace_plugins), (SELECT count(*) FROM plugin_workspaces), (SELECT count(*) FROM rollout_tiers)
FROM pg_extension, unnest(extconfig) AS config (oid) JOIN pg_class AS c ON c.oid = config.oid LEFT JOIN pg_index AS i ON i.indrelid = c.oid
WHERE extname = 'pg_workspace_plugins' GROUP BY 1 ORDER BY 1;

-- The functions as \df shows them.
SELECT p.proname, pg_get_function_result(p.oid), pg_get_function_arguments(p.oid)
FROM pg_proc AS p JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension AS e ON e.oid = d.refobjid WHERE e.extname = 'pg_workspace_plugins'
ORDER BY p.proname COLLATE "C";
-- Those in SQL or PL/pgSQL have a search_path of their own, with temporary objects last.
SELECT l.lanname, p.proconfig, count(*)
FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension AS e ON e.oid = d.refobjid WHERE e.extname = 'pg_workspace_plugins' AND l.lanname <> 'c'
GROUP BY 1, 2 ORDER BY 1, 2;
-- None is leakproof; those in C that compute are immutable and safe in parallel, those that write are neither.
SELECT p.proname, p.provolatile, p.proparallel, p.proisstrict, p.proleakproof
FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension AS e ON e.oid = d.refobjid WHERE e.extname = 'pg_workspace_plugins' AND l.lanname = 'c'
ORDER BY p.proname COLLATE "C";
-- The library is named without a version.
SELECT DISTINCT p.probin FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension AS e ON e.oid = d.refobjid WHERE e.extname = 'pg_workspace_plugins' AND l.lanname = 'c';

-- It stays where it was made, and its members with it.
SELECT try($$ALTER EXTENSION pg_workspace_plugins SET SCHEMA pg_catalog$$);
SELECT try($$DROP TABLE workspace_plugins$$);
SELECT try($$DROP FUNCTION resolve_tag(tracked_ref, text[], text)$$);
SELECT try($$DROP DOMAIN tracked_ref$$);
