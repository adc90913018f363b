-- tracked_ref: the rule, its error, the domain, and the functions on it.
\pset format unaligned
\pset tuples_only on

-- What is canonical already, or becomes so.
SELECT quote_literal(input), validate_tracked_ref(input)
FROM unnest(ARRAY[
    '', '   ', 'none', E'\tnone\n', U&'\00A0', ' none ', 'tag:v1.0.0', 'tag:v0.4.0-gitea.1', 'tag:latest',
    'sha:abc123', 'sha:0123456789abcdef0123456789abcdef01234567', 'sha:xyz', 'ref:main', '  tag:v1 ',
    'tag: x', 'tag:has space', 'tag:^1.2', 'tag:plugin-a/*', 'tag::', 'tag:none', 'ref:refs/heads/main',
    'tag:ü', E'tag:a\tb']) WITH ORDINALITY AS i (input, n) ORDER BY n;

-- What is not.
SELECT quote_literal(input), error
FROM unnest(ARRAY[
    'tag:', 'sha:', 'ref:', 'tag', 'sha', 'ref', 'latest', 'main', 'v1.0.0', 'random', 'TAG:v1', 'Tag:v1', 'None', 'NONE',
    'branch:main', 'tag: ', 'none:', 'none x', 'nonetag:v1', ':', 'tag :v1', 'tags:v1', U&'tag:\3000']) WITH ORDINALITY AS i (input, n),
    LATERAL try(format('SELECT validate_tracked_ref(%L)', input)) WITH ORDINALITY AS e (error, line) ORDER BY n, line;

-- The value in the error is escaped, and cut at 128 characters.
SELECT try($$SELECT validate_tracked_ref(E'a"b\\c\nd\te\x01')$$);
SELECT try($$SELECT validate_tracked_ref(repeat('x', 128))$$);
SELECT try($$SELECT validate_tracked_ref(repeat('x', 129))$$);
SELECT try($$SELECT validate_tracked_ref(repeat('ü', 129))$$);
SELECT try($$SELECT validate_tracked_ref('  main  ')$$);

-- White space is what Unicode says: of all characters these are cut off at the end …
SELECT string_agg(upper(lpad(to_hex(c), 4, '0')), ' ' ORDER BY c)
FROM generate_series(1, 1114111) AS c
WHERE c NOT BETWEEN 55296 AND 57343 AND NOT is_valid_tracked_ref('tag:v' || chr(c));
SELECT string_agg(upper(lpad(to_hex(c), 4, '0')), ' ' ORDER BY c)
FROM generate_series(1, 1114111) AS c
WHERE c NOT BETWEEN 55296 AND 57343 AND validate_tracked_ref('tag:v' || chr(c)) = 'tag:v';
-- … and at the start, several of them too.
CREATE TEMP TABLE spaces AS
SELECT c FROM unnest(ARRAY[9, 10, 11, 12, 13, 32, 133, 160, 5760, 8192, 8193, 8194, 8195, 8196, 8197, 8198,
                           8199, 8200, 8201, 8202, 8232, 8233, 8239, 8287, 12288]) AS c;
SELECT count(*),
       bool_and(validate_tracked_ref(chr(c) || 'tag:v1') = 'tag:v1'),
       bool_and(validate_tracked_ref(chr(c) || chr(c) || 'tag:v1' || chr(c) || chr(c)) = 'tag:v1'),
       bool_and(validate_tracked_ref(chr(c)) = 'none'),
       bool_and(validate_tracked_ref('tag:v' || chr(c) || '1') = 'tag:v' || chr(c) || '1')
FROM spaces;
SELECT bool_or(is_valid_tracked_ref(chr(c) || 'tag:v1')), bool_or(is_valid_tracked_ref(chr(c) || 'none')),
       bool_or(is_valid_tracked_ref(chr(c))) FROM spaces;
-- Zero-width space and byte order mark are not white space.
SELECT try($$SELECT validate_tracked_ref(U&'\200Btag:v1')$$);
SELECT try($$SELECT validate_tracked_ref(U&'\FEFFtag:v1')$$);
SELECT is_valid_tracked_ref(U&'tag:v1\200B'), is_valid_tracked_ref(U&'tag:v1\FEFF');

-- NULL is NULL.
SELECT validate_tracked_ref(NULL) IS NULL, is_valid_tracked_ref(NULL) IS NULL,
       tracked_ref_kind(NULL) IS NULL, tracked_ref_value(NULL) IS NULL, NULL::tracked_ref IS NULL;

-- The predicate: canonical values only, and never an error.
SELECT quote_literal(input), is_valid_tracked_ref(input)
FROM unnest(ARRAY['none', 'tag:v1', 'sha:1', 'ref:x', 'tag:latest', 'tag:^1', '', ' ', ' none', 'none ', 'tag:v1 ',
                  ' tag:v1', 'tag:', 'latest', 'None', 'TAG:v1']) WITH ORDINALITY AS i (input, n) ORDER BY n;

-- Kind and value.
SELECT t, tracked_ref_kind(t), tracked_ref_value(t)
FROM unnest(ARRAY['none', 'tag:v1', 'tag:latest', 'tag:latest2', 'tag:^1.2', 'tag:~1.4', 'tag:1.*', 'tag:*', 'tag:plugin-a/^1.2',
                  'tag:plugin-a/*', 'tag:1.2', 'tag:a:b', 'sha:abc', 'sha:latest', 'ref:main', 'ref:latest', 'ref:a*',
                  'tag:has space']::tracked_ref[]) WITH ORDINALITY AS i (t, n) ORDER BY n;

-- The domain takes canonical values only.
SELECT 'tag:v1'::tracked_ref, 'none'::tracked_ref;
SELECT try($$SELECT 'latest'::tracked_ref$$);
SELECT try($$SELECT ' tag:v1'::tracked_ref$$);
SELECT try($$SELECT ''::tracked_ref$$);
SELECT try($$SELECT tracked_ref_kind('main')$$);
SELECT try($$SELECT tracked_ref_value('')$$);

-- In a user's own tables: as a CHECK, as the type of a column, in an index.
CREATE TABLE own (id int, checked text CHECK (is_valid_tracked_ref(checked)), typed tracked_ref DEFAULT 'none',
                  kind text GENERATED ALWAYS AS (tracked_ref_kind(typed)) STORED);
CREATE INDEX ON own (tracked_ref_kind(typed), tracked_ref_value(typed));
INSERT INTO own VALUES (1, 'tag:v1', 'ref:main'), (2, NULL, NULL), (3, 'none', DEFAULT) RETURNING *;
SELECT try($$INSERT INTO own VALUES (4, 'v1', 'none')$$);
SELECT try($$INSERT INTO own VALUES (4, 'none', 'v1')$$);
SELECT try($$UPDATE own SET typed = 'sha:' WHERE id = 1$$);
SELECT try($$COPY own (id, typed) FROM PROGRAM 'echo 5,main' (FORMAT csv)$$);
SET enable_seqscan = off;
SELECT id FROM own WHERE tracked_ref_kind(typed) = 'ref' AND tracked_ref_value(typed) = 'main';
RESET enable_seqscan;
DROP TABLE own;

-- Immutable, strict, safe in parallel.
SELECT proname, provolatile, proisstrict, proparallel
FROM pg_proc WHERE proname IN ('validate_tracked_ref', 'is_valid_tracked_ref', 'tracked_ref_kind', 'tracked_ref_value')
ORDER BY proname;
