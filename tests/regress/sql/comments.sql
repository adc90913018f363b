-- Every function, domain, table, view, and column of the extension says what it is for.
\pset format unaligned
\pset tuples_only on

CREATE VIEW members AS
SELECT d.classid, d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'pg_workspace_plugins'
  AND NOT EXISTS (SELECT FROM pg_type AS t WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid AND t.typtype <> 'd');
-- Without a comment: none.
SELECT pg_describe_object(classid, objid, 0) FROM members WHERE obj_description(objid, classid::regclass::name) IS NULL;
SELECT c.relname, a.attname
FROM members AS m JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE col_description(c.oid, a.attnum) IS NULL;
-- That these queries look at something:
SELECT classid::regclass, count(*) > 0, bool_and(length(obj_description(objid, classid::regclass::name)) >= 10) FROM members GROUP BY classid ORDER BY classid::regclass::text;
SELECT count(*) FROM members AS m JOIN pg_attribute AS a ON m.classid = 'pg_class'::regclass AND a.attrelid = m.objid AND a.attnum > 0;
SELECT obj_description(oid, 'pg_extension') FROM pg_extension WHERE extname = 'pg_workspace_plugins';
DROP VIEW members;
