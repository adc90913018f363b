-- resolve_tag: which tag a tracked ref means.
\pset format unaligned
\pset tuples_only on
\pset null NULL

CREATE TEMP TABLE repository (name text, tags text[]);
INSERT INTO repository VALUES
    ('mixed', '{v1.0.0,v1.9.0,v1.10.0,v1.11.0,v2.0.0-rc.1,latest,v1,v1.2,nightly,2024.01.05,Release-1.0,plugin-a/v1.2.3,plugin-a/v1.10.0,plugin-a-v9.9.9,v1.010.0,v1.11.0-rc.9,v99999999999999999999.0.0}'),
    ('build', '{v1.0.0,v1.9.0,v1.10.0,v1.11.0,v2.0.0-rc.1,latest,v1,v1.2,nightly,2024.01.05,Release-1.0,plugin-a/v1.2.3,plugin-a/v1.10.0,plugin-a-v9.9.9,v1.010.0,v1.11.0-rc.9,v99999999999999999999.0.0,v1.11.0+build.5,1.11.0}'),
    ('pre', '{v1.0.0-alpha,v1.0.0-alpha.1,v1.0.0-alpha.beta,v1.0.0-beta,v1.0.0-beta.2,v1.0.0-beta.11,v1.0.0-rc.1}'),
    ('gitea', '{v0.3.0-gitea.1,v0.4.0-gitea.1,v0.4.0-gitea.2}'),
    ('short', '{v1,v1.2,v1.10}'),
    ('calendar', '{2024.01.05,2024.11.30}'),
    ('one strict', '{v1,v1.0.3,v1.2}'),
    ('words', '{latest,nightly,stable}'),
    ('empty', '{}'),
    ('jump', '{v1.0.0,v2.0.0,2024.1.0}');

SELECT name, resolve_tag('tag:latest', tags), resolve_tag('tag:*', tags) FROM repository;
SELECT wanted, resolve_tag(wanted, tags)
FROM repository, unnest(ARRAY['tag:plugin-a/*', 'tag:plugin-a-*', 'tag:^1.9', 'tag:~1.9', 'tag:2.*', 'tag:1.*', 'tag:^1.9.0', 'tag:~1.9.0',
                              'tag:plugin-a/^1.2', 'tag:plugin-a/~1.2', 'tag:plugin-b/*', 'tag:^2', 'tag:v1.9.0', 'tag:v1', 'tag:v1.9.1',
                              'tag:latest2', 'none', 'ref:main', 'ref:v1.9.0', 'sha:v1.9.0', 'tag:^x', 'tag:**', 'tag:^1 ^1', 'tag:V1.9.0']::tracked_ref[])
     WITH ORDINALITY AS w (wanted, n)
WHERE name = 'mixed' ORDER BY n;

-- In whatever order they come.
SELECT DISTINCT r.name, resolve_tag('tag:latest', array_agg(tag ORDER BY md5(tag || seed)))
FROM repository AS r, unnest(r.tags) AS tag, generate_series(1, 50) AS seed
GROUP BY r.name, seed ORDER BY r.name;

-- A jump of more than 500 majors is left out.
SELECT resolve_tag('tag:latest', tags, 'v1.0.0'), resolve_tag('tag:latest', tags), resolve_tag('tag:latest', tags, 'nightly'),
       resolve_tag('tag:latest', tags, '2023.1.0')
FROM repository WHERE name = 'jump';
SELECT resolve_tag('tag:latest', '{v1.0.0,v501.0.0,v502.0.0}', 'v1.0.0'), resolve_tag('tag:*', '{v502.0.0}', 'v1.0.0'),
       resolve_tag('tag:v502.0.0', '{v502.0.0}', 'v1.0.0');
-- Lower than what is installed is an answer all the same.
SELECT resolve_tag('tag:latest', '{v1.0.0}', 'v2.0.0');

-- Ties: build metadata, then the bytes of the name.
SELECT resolve_tag('tag:latest', '{1.0.0,v1.0.0,V1.0.0}'), resolve_tag('tag:latest', '{v1.0.0+b,v1.0.0+a,v1.0.0}'),
       resolve_tag('tag:latest', '{v1.0.0+9,v1.0.0+10}');

-- What git would not take as a name is no candidate.
SELECT resolve_tag('tag:has space', '{has space}'), resolve_tag('tag:a..b', '{a..b}'), resolve_tag('tag:-a', '{-a}'),
       resolve_tag('tag:a^', '{a^}'), resolve_tag('tag:plugin a/*', '{plugin a/v1.0.0}');

-- NULL and arrays of other shapes.
SELECT resolve_tag(NULL, '{v1.0.0}'), resolve_tag('tag:latest', NULL), resolve_tag('tag:latest', '{v1.0.0,NULL,v2.0.0,NULL}'),
       resolve_tag('tag:latest', '{NULL}'), resolve_tag('tag:latest', '{v1.0.0,v1.0.0,v1.0.0}'), resolve_tag('tag:latest', '{"",v1.0.0}');
SELECT resolve_tag('tag:latest', '{{v1.0.0,v3.0.0},{v2.0.0,NULL}}'), resolve_tag('tag:latest', '[5:6]={v1.0.0,v2.0.0}'::text[]);
SELECT try($$SELECT resolve_tag('latest', '{v1.0.0}')$$);

SELECT proname, provolatile, proisstrict, proparallel FROM pg_proc WHERE proname = 'resolve_tag';
