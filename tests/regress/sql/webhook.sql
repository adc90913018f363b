-- observe_plugin_webhook: what GitHub, Gitea and GitLab tell of themselves.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT forget();
CREATE FUNCTION hook(provider text, payload jsonb, minute int) RETURNS text LANGUAGE sql AS $$ SELECT brief(observe_plugin_webhook(provider, payload, t(minute))) $$;
CREATE FUNCTION next() RETURNS SETOF text LANGUAGE sql AS $$ SELECT upstream || ' ' || minute(next_check_at) FROM plugin_upstreams ORDER BY 1 $$;
CREATE FUNCTION repository(url text) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('repository', jsonb_build_object('clone_url', url)) $$;
CREATE FUNCTION project(url text) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('project', jsonb_build_object('git_http_url', url)) $$;
SELECT install(1, 'main', 'ref:main', '0'), install(1, 'latest', 'tag:latest', '0'),
       install(2, 'gitea', 'ref:main', '0', 'gitea://Acme/p'), install(2, 'gitea by url', 'ref:main', '0', 'https://git.example.com/Acme/p.git'),
       install(3, 'gitlab', 'ref:main', '0', 'git@gitlab.example.com:g/p.git');
UPDATE plugin_upstreams SET next_check_at = t(1000);

-- Before the repository was ever observed, a push makes it due.
SELECT hook('github', jsonb_build_object('ref', 'refs/heads/main', 'before', sha('0'), 'after', sha('a')) || repository('https://github.com/O/R.git'), 1);
SELECT next();
SELECT count(*) FROM plugin_upstream_refs;
SELECT brief(observe_plugin_upstream(upstream, refs('heads/main=a tags/v1.0.0=a'), t(10))) FROM plugin_upstreams ORDER BY upstream;
UPDATE plugin_upstreams SET next_check_at = t(1000);

-- GitHub: push of a branch, of a tag, deletion. Git is asked a minute later all the same.
SELECT hook('github', jsonb_build_object('ref', 'refs/heads/main', 'before', sha('a'), 'after', sha('b')) || repository('https://github.com/O/R.git'), 11);
SELECT next();
SELECT hook('github', jsonb_build_object('ref', 'refs/tags/v2.0.0', 'before', sha('0'), 'after', sha('f'), 'head_commit', jsonb_build_object('id', sha('c'))) || repository('git@github.com:o/r.git'), 12);
SELECT hook('github', jsonb_build_object('ref', 'refs/tags/v2.0.0', 'before', sha('c'), 'after', sha('0'), 'deleted', true) || repository('https://github.com/o/r'), 13);
SELECT ref, sha, gone FROM ledger() WHERE sha IN ('b', 'c', 'f');
-- Created and deleted: GitHub says no commit.
SELECT hook('github', jsonb_build_object('ref', 'v3.0.0', 'ref_type', 'tag', 'master_branch', 'main', 'pusher_type', 'user') || repository('https://github.com/o/r'), 14);
SELECT next();
SELECT hook('github', jsonb_build_object('ref', 'main', 'ref_type', 'branch', 'pusher_type', 'user') || repository('https://github.com/o/r'), 15);
SELECT plugin, state, update FROM drift() WHERE workspace = '1';
-- A release makes the repository due at once.
UPDATE plugin_upstreams SET next_check_at = t(1000);
SELECT hook('github', jsonb_build_object('action', 'published', 'release', jsonb_build_object('tag_name', 'v4.0.0')) || repository('https://github.com/o/r'), 16);
SELECT next();
-- Late, or again.
SELECT hook('github', jsonb_build_object('ref', 'refs/heads/main', 'before', sha('a'), 'after', sha('b')) || repository('https://github.com/o/r'), 11);
SELECT hook('github', jsonb_build_object('ref', 'refs/heads/main', 'before', sha('a'), 'after', sha('b')) || repository('https://github.com/o/r'), 9);
SELECT next();

-- Gitea: by the name and by the URL, which are two repositories here.
SELECT hook('gitea', jsonb_build_object('ref', 'refs/heads/main', 'before', sha('a'), 'after', sha('b'),
    'repository', jsonb_build_object('full_name', 'Acme/p', 'clone_url', 'https://git.example.com/Acme/p.git')), 20);
SELECT plugin, state, sha, update FROM drift() WHERE workspace = '2';
SELECT hook('gitea', jsonb_build_object('sha', sha('c'), 'ref', 'main', 'ref_type', 'branch', 'repository', jsonb_build_object('full_name', 'Acme/p', 'clone_url', 'https://git.example.com/Acme/p.git')), 21);
SELECT hook('gitea', jsonb_build_object('ref', 'main', 'ref_type', 'branch', 'pusher_type', 'user', 'repository', jsonb_build_object('full_name', 'Acme/p', 'clone_url', 'https://git.example.com/Acme/p.git')), 22);
SELECT plugin, state, sha, update FROM drift() WHERE workspace = '2';

-- GitLab: push of a branch, of a tag (whose own commit is checkout_sha), deletion, release.
SELECT hook('gitlab', jsonb_build_object('object_kind', 'push', 'ref', 'refs/heads/main', 'after', sha('b')) || project('https://gitlab.example.com/g/p.git'), 30);
SELECT hook('gitlab', jsonb_build_object('object_kind', 'tag_push', 'ref', 'refs/tags/v2.0.0', 'after', sha('f'), 'checkout_sha', sha('c')) || project('https://gitlab.example.com/g/p.git'), 31);
SELECT hook('gitlab', jsonb_build_object('object_kind', 'tag_push', 'ref', 'refs/tags/v2.0.0', 'after', sha('0'), 'checkout_sha', NULL) || project('https://gitlab.example.com/g/p.git'), 32);
SELECT hook('gitlab', jsonb_build_object('object_kind', 'release', 'tag', 'v3') || project('https://gitlab.example.com/g/p.git'), 33);
SELECT ref, short(sha), minute(gone_at) FROM plugin_upstream_refs WHERE upstream = 'gitlab.example.com/g/p' ORDER BY first_seen_at, ref;

-- Of a repository that nobody tracks, nothing is changed: nor of one that nobody tracks any more.
CREATE TABLE before AS SELECT (SELECT jsonb_agg(u ORDER BY upstream) FROM plugin_upstreams AS u) AS upstreams, (SELECT count(*) FROM plugin_upstream_refs) AS refs;
SELECT hook('github', jsonb_build_object('ref', 'refs/heads/main', 'before', sha('a'), 'after', sha('b')) || repository('https://github.com/o/x'), 40);
SELECT hook('github', jsonb_build_object('action', 'published', 'release', jsonb_build_object('tag_name', 'v1')) || repository('https://github.com/o/x'), 40);
SELECT hook('gitlab', jsonb_build_object('object_kind', 'push', 'ref', 'refs/heads/main', 'after', sha('b')) || project('https://gitlab.example.com/o/x'), 40);
SELECT hook('github', jsonb_build_object('ref', 'refs/heads/main', 'before', sha('a'), 'after', sha('b')) || repository(url), 40)
FROM unnest(ARRAY['x', '../..', 'local://x', 'https://user:secret@github.com/o/x', 'https://github.com/o/r?token=x']) AS url;
-- Nor by an event that is none of these.
SELECT hook('github', '{"zen": "x", "hook_id": 1}', 41), hook('github', '{}', 41), hook('github', jsonb_build_object('action', 'opened', 'issue', '{}'::jsonb) || repository('https://github.com/o/r'), 41);
SELECT hook('gitea', '{}', 41), hook('gitlab', '{}', 41), hook('gitlab', jsonb_build_object('object_kind', 'merge_request') || project('https://gitlab.example.com/g/p.git'), 41);
SELECT before.* IS NOT DISTINCT FROM ((SELECT jsonb_agg(u ORDER BY upstream) FROM plugin_upstreams AS u), (SELECT count(*) FROM plugin_upstream_refs)) FROM before;
DROP TABLE before;

-- What is wrong.
SELECT try($$SELECT observe_plugin_webhook('bitbucket', '{}')$$);
SELECT try($$SELECT observe_plugin_webhook('GitHub', '{}')$$);
SELECT try($$SELECT observe_plugin_webhook('', '{}')$$);
SELECT try($$SELECT observe_plugin_webhook(NULL, '{}')$$);
SELECT try($$SELECT observe_plugin_webhook('github', NULL)$$);
SELECT try($$SELECT observe_plugin_webhook('github', '[]')$$), try($$SELECT observe_plugin_webhook('gitea', '"x"')$$), try($$SELECT observe_plugin_webhook('gitlab', 'null')$$);
SELECT try($$SELECT hook('github', jsonb_build_object('ref', 'refs/heads/main', 'before', sha('a'), 'after', 'abc') || repository('https://github.com/o/r'), 50)$$);
SELECT try($$SELECT hook('github', jsonb_build_object('ref', 'refs/heads/a b', 'before', sha('a'), 'after', sha('b')) || repository('https://github.com/o/r'), 50)$$);
SELECT try($$SELECT hook('github', jsonb_build_object('ref', 1, 'before', sha('a'), 'after', sha('b')) || repository('https://github.com/o/r'), 50)$$);
SELECT try($$SELECT hook('github', jsonb_build_object('ref', 'refs/heads/main', 'before', sha('a'), 'after', sha('b')), 50)$$);
SELECT try($$SELECT hook('gitlab', jsonb_build_object('object_kind', 'push', 'ref', 'refs/heads/main', 'after', sha('b')), 50)$$);
SELECT try($$SELECT observe_plugin_webhook('github', jsonb_build_object('action', 'published', 'release', jsonb_build_object('tag_name', 'v4.0.0')) || repository('https://github.com/o/r'), NULL)$$);
SELECT forget();
DROP FUNCTION hook(text, jsonb, int), next(), repository(text), project(text);
