-- Values on which the four ways do not agree: there must be none.
WITH space (s) AS (
    SELECT chr(code) FROM generate_series(1, 12400) AS code
), edge (value) AS (
    VALUES (''), ('none'), ('None'), ('tag'), ('tag:'), ('TAG:v1'), ('tag: x'), ('ref:'), ('sha:x'), ('main')
    UNION ALL SELECT 'tag:' || s FROM space
    UNION ALL SELECT 'tag:x' || s FROM space
    UNION ALL SELECT s || 'none' FROM space
    UNION ALL SELECT value FROM predicate_values LIMIT 1000
), answer AS (
    SELECT value, is_valid_tracked_ref(value) AS ours, value ~ :'regex' AS regex,
           peer_c_predicate(value) AS c, peer_plpgsql_predicate(value) AS plpgsql
    FROM edge
)
SELECT quote_literal(value), ours, regex, c, plpgsql
FROM answer WHERE ours <> ALL (ARRAY[regex, c, plpgsql]);
