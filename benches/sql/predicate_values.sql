-- :rows values of every kind, one in twenty of them invalid.
CREATE TABLE predicate_values (value text NOT NULL);
INSERT INTO predicate_values
SELECT CASE n % 20
           WHEN 0 THEN 'v' || n
           WHEN 1 THEN 'ref:main'
           WHEN 2 THEN 'ref:release/' || n % 1000
           WHEN 3 THEN 'tag:latest'
           WHEN 4 THEN 'tag:^1.' || n % 100
           WHEN 5 THEN 'tag:plugin-' || n % 100 || '/*'
           WHEN 6 THEN 'sha:' || md5(n::text) || left(md5(n::text), 8)
           WHEN 7 THEN 'sha:' || md5(n::text) || right(md5(n::text), 8)
           ELSE CASE WHEN n % 3 = 0 THEN 'none' ELSE format('tag:v%s.%s.%s', n % 7, n % 31, n % 101) END
       END
FROM generate_series(1, :rows) AS n;
VACUUM (ANALYZE, FREEZE) predicate_values;
