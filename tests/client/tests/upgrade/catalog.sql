-- A line for everything that the catalog knows of the extension; @schema@ stands for its schema.
WITH member AS (
    SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, 0) AS name
    FROM pg_depend AS d
    JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
    WHERE e.extname = 'pg_workspace_plugins' AND d.deptype = 'e'
), relation AS (
    SELECT m.name, c.* FROM member AS m
    JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
), routine AS (
    SELECT m.name, p.* FROM member AS m
    JOIN pg_proc AS p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
), type AS (
    SELECT m.name, t.* FROM member AS m
    JOIN pg_type AS t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
), acl AS (
    SELECT name, relacl AS acl, acldefault('r', relowner) AS usual FROM relation
    UNION ALL SELECT name, proacl, acldefault('f', proowner) FROM routine
    UNION ALL SELECT name, typacl, acldefault('T', typowner) FROM type
    UNION ALL
    SELECT r.name || '.' || a.attname, a.attacl, NULL
    FROM relation AS r JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attacl IS NOT NULL
), initial AS (
    SELECT m.name || COALESCE('.' || a.attname, '') AS name, i.privtype, i.initprivs
    FROM member AS m
    JOIN pg_init_privs AS i ON i.classoid = m.classid AND i.objoid = m.objid
    LEFT JOIN pg_attribute AS a ON a.attrelid = i.objoid AND a.attnum = i.objsubid AND i.objsubid <> 0
)
SELECT concat_ws(' | ', 'member', name) FROM member
UNION ALL
SELECT concat_ws(' | ', 'relation', name, relkind, relpersistence, relreplident, relrowsecurity, reloptions)
FROM relation
UNION ALL
SELECT concat_ws(' | ', 'column', r.name, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
                 a.attnotnull, a.attgenerated, a.attidentity, a.attstorage, a.attisdropped, c.collname,
                 pg_get_expr(d.adbin, d.adrelid))
FROM relation AS r
JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation AS c ON c.oid = a.attcollation
UNION ALL
SELECT concat_ws(' | ', 'constraint', o.name, c.conname, c.convalidated, pg_get_constraintdef(c.oid))
FROM (SELECT name, oid AS relation, 0::oid AS type FROM relation
      UNION ALL SELECT name, 0, oid FROM type) AS o
JOIN pg_constraint AS c ON (c.conrelid, c.contypid) = (o.relation, o.type)
UNION ALL
SELECT concat_ws(' | ', 'index', r.name, i.indisvalid, i.indisprimary, pg_get_indexdef(i.indexrelid))
FROM relation AS r JOIN pg_index AS i ON i.indrelid = r.oid
UNION ALL
SELECT concat_ws(' | ', 'trigger', r.name, t.tgenabled,
                 CASE WHEN t.tgisinternal THEN t.tgfoid::regproc::text ELSE pg_get_triggerdef(t.oid) END)
FROM relation AS r JOIN pg_trigger AS t ON t.tgrelid = r.oid
UNION ALL
SELECT concat_ws(' | ', 'view', name, pg_get_viewdef(oid)) FROM relation WHERE relkind = 'v'
UNION ALL
SELECT concat_ws(' | ', 'function', name, pg_get_functiondef(oid), pg_get_function_arguments(oid)) FROM routine
UNION ALL
SELECT concat_ws(' | ', 'type', name, typtype, typnotnull, typdefault, format_type(typbasetype, typtypmod))
FROM type
UNION ALL
SELECT concat_ws(' | ', 'right', acl.name, a.grantee::regrole, a.privilege_type, a.is_grantable)
FROM acl CROSS JOIN aclexplode(COALESCE(acl.acl, acl.usual)) AS a
UNION ALL
SELECT concat_ws(' | ', 'initial right', i.name, i.privtype, a.grantee::regrole, a.privilege_type, a.is_grantable)
FROM initial AS i CROSS JOIN aclexplode(i.initprivs) AS a
UNION ALL
SELECT concat_ws(' | ', 'comment', pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description)
FROM member AS m JOIN pg_description AS d ON d.classoid = m.classid AND d.objoid = m.objid
UNION ALL
SELECT concat_ws(' | ', 'dumped', config.relation::regclass, config.condition)
FROM pg_extension AS e, unnest(e.extconfig, e.extcondition) AS config (relation, condition)
WHERE e.extname = 'pg_workspace_plugins'
UNION ALL
SELECT concat_ws(' | ', 'extension', extname, extversion, extrelocatable, extnamespace::regnamespace)
FROM pg_extension WHERE extname = 'pg_workspace_plugins'
