-- commit_sha: full commit ids only, SHA-1 or SHA-256.
\pset format unaligned
\pset tuples_only on

SELECT is_valid_commit_sha('0123456789abcdef0123456789abcdef01234567'), is_valid_commit_sha(repeat('f', 40)),
       is_valid_commit_sha(repeat('0', 64));
SELECT quote_literal(left(input, 12)), length(input), is_valid_commit_sha(input)
FROM unnest(ARRAY['', ' ', 'abc123', repeat('a', 7), repeat('a', 39), repeat('a', 41), repeat('a', 63), repeat('a', 65),
                  repeat('A', 40), repeat('g', 40), repeat('a', 39) || ' ', ' ' || repeat('a', 39), repeat('a', 39) || E'\n',
                  repeat('ü', 20), repeat('ü', 40), 'sha:' || repeat('a', 36), repeat('a', 128)])
     WITH ORDINALITY AS i (input, n) ORDER BY n;
SELECT is_valid_commit_sha(NULL) IS NULL;

-- The domain.
SELECT repeat('a', 40)::commit_sha, NULL::commit_sha IS NULL;
SELECT try($$SELECT ''::commit_sha$$);
SELECT try($$SELECT repeat('A', 40)::commit_sha$$);
SELECT try($$SELECT 'abc123'::commit_sha$$);

-- In a user's own CHECK.
CREATE TABLE own (sha text CHECK (is_valid_commit_sha(sha)));
INSERT INTO own VALUES (repeat('a', 40)), (NULL);
SELECT try($$INSERT INTO own VALUES ('abc123')$$);
DROP TABLE own;

SELECT proname, provolatile, proisstrict, proparallel FROM pg_proc WHERE proname = 'is_valid_commit_sha';
