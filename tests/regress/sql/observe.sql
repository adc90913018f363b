-- observe_plugin_upstream: the complete answer of a git ls-remote.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT forget();
CREATE FUNCTION refuse(refs text) RETURNS SETOF text LANGUAGE sql
    AS $$ SELECT try(format('SELECT observe_plugin_upstream(%L, %L, t(1))', 'github.com/o/r', refs)) $$;
SELECT install(1, 'latest', 'tag:latest', '0'), install(1, 'main', 'ref:main', '0');

-- What is not an answer.
SELECT refuse('null'), refuse('[]'), refuse('"x"'), refuse('1'), refuse('true');
SELECT refuse('{"refs/heads/main": 1}'), refuse('{"refs/heads/main": null}'), refuse('{"refs/heads/main": {}}'), refuse('{"refs/heads/main": []}');
SELECT refuse('{"refs/heads/main": }');
-- Names that git refuses, or that are not full.
SELECT refuse(jsonb_build_object(name, sha('a'))::text) FROM unnest(ARRAY[
    '', 'main', 'refs/heads/', 'refs/heads/a b', 'refs/heads/a..b', 'refs/heads/a~1', 'refs/heads/a^', 'refs/heads/a:b', 'refs/heads/a?', 'refs/heads/a*',
    'refs/heads/a[', 'refs/heads/a\b', 'refs/heads/.a', 'refs/heads/a.', 'refs/heads/a.lock', 'refs/heads/a/', 'refs/heads//a', 'refs/heads/@{', '/refs/heads/a', 'heads/main',
    'refs/tags/v1^{}^{}', '^{}', 'HEAD^{}', 'head', 'FETCH_HEAD', E'refs/heads/a\nb', E'refs/heads/\u007f', 'refs/heads/' || repeat('x', 200) || ' ']) AS name;
-- Names that git takes.
SELECT d.ref FROM decode_plugin_refs(jsonb_object(ARRAY['refs/heads/-x', 'refs/heads/a#b', 'refs/heads/ü', 'refs/x', 'refs/heads', 'refs/heads/a@b', 'refs/pull/1/head'], array_fill(sha('a'), ARRAY[7]))) AS d;
-- Commits that are none.
SELECT refuse(jsonb_build_object('refs/heads/main', sha)::text) FROM unnest(ARRAY['', 'a', repeat('a', 39), repeat('a', 41), repeat('A', 40), repeat('a', 63), repeat('a', 65), sha('a') || ' ', sha('g')]) AS sha;
SELECT refuse(jsonb_build_object('refs/heads/main', sha('a'), 'refs/heads/other', repeat('a', 64))::text);
-- NULLs.
SELECT try($$SELECT observe_plugin_upstream(NULL, '{}')$$);
SELECT try($$SELECT observe_plugin_upstream('github.com/o/r', NULL)$$);
SELECT try($$SELECT observe_plugin_upstream('github.com/o/r', '{}', NULL)$$);
-- None of that left a trace.
SELECT count(*), (SELECT count(*) FROM plugin_upstreams WHERE last_checked_at IS NULL AND failures = 0 AND refs_fingerprint IS NULL) FROM plugin_upstream_refs;
-- Bad input is refused of a repository that nobody tracks too; what could be taken changes nothing.
SELECT try($$SELECT observe_plugin_upstream('github.com/o/x', '{"main": ""}', t(1))$$);
SELECT brief(observe_plugin_upstream('github.com/o/x', refs('tags/v1=a'), t(1))), brief(observe_plugin_upstream('', refs('tags/v1=a'), t(1)));
SELECT upstream FROM plugin_upstreams;

-- An empty answer is none, at first too; HEAD alone is no ref.
SELECT observe('', 1);
SELECT brief(observe_plugin_upstream('github.com/o/r', jsonb_build_object('HEAD', sha('a')), t(2)));
SELECT failures, last_error, minute(last_error_at), minute(last_checked_at), leased_by FROM plugin_upstreams;
SELECT state, reason FROM drift();

-- The first: all that is there. Annotated tags are the commit behind them, in whatever order; HEAD is left out.
SELECT brief(observe_plugin_upstream('github.com/o/r', refs('tags/v1.0.0=1 tags/v1.0.0^{}=a tags/lw=c heads/main=b') || jsonb_build_object('HEAD', sha('b')), t(3)));
SELECT * FROM ledger();
SELECT minute(last_checked_at), minute(last_changed_at), failures, last_error, last_error_at FROM plugin_upstreams;
-- Again: unchanged, and of the same refs in another form too.
SELECT brief(observe_plugin_upstream('github.com/o/r', refs('tags/v1.0.0=1 tags/v1.0.0^{}=a tags/lw=c heads/main=b') || jsonb_build_object('HEAD', sha('b')), t(4)));
SELECT observe('tags/v1.0.0=a tags/lw=c heads/main=b', 5);
SELECT minute(last_checked_at), minute(last_changed_at) FROM plugin_upstreams;
SELECT * FROM ledger();
-- The tag is made anew for the same commit: no change.
SELECT observe('tags/v1.0.0=2 tags/v1.0.0^{}=a tags/lw=c heads/main=b', 6);
-- An older one that comes late, and another of the same time, change nothing.
SELECT observe('tags/v9.0.0=9', 5);
SELECT observe('tags/v9.0.0=9', 6);
SELECT observe('tags/v9.0.0=9', -100);
SELECT minute(last_checked_at), minute(last_changed_at), failures FROM plugin_upstreams;
SELECT * FROM ledger();
-- Added, moved, gone, back.
SELECT observe('tags/v1.0.0=a heads/main=d heads/next=e', 7);
SELECT observe('tags/v1.0.0=a heads/main=b tags/lw=c', 8);
SELECT * FROM ledger();
SELECT * FROM queue();
SELECT forget();

-- Never observed, then late: the order of two observations does not matter for what is there in the end.
SELECT install(1, 'latest', 'tag:latest', '0'), install(1, 'other', 'tag:latest', '0', 'github://o/other');
SELECT observe('tags/v1.0.0=a', 1), observe('tags/v2.0.0=b', 2);
SELECT brief(observe_plugin_upstream('github.com/o/other', refs('tags/v2.0.0=b'), t(2))), brief(observe_plugin_upstream('github.com/o/other', refs('tags/v1.0.0=a'), t(1)));
SELECT plugin, ref, sha, update FROM drift();
SELECT upstream, ref, short(sha) FROM plugin_upstream_refs WHERE gone_at IS NULL ORDER BY 1;
SELECT forget();

-- Most of many tags lost: refused, as a failure; half of them, or of few tags all but one, is believed.
CREATE FUNCTION tags(first int, last int) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(format('tags/v1.0.%s=a', i), ' ') FROM generate_series(first, last) AS i $$;
SELECT install(1, 'latest', 'tag:latest', '0'), install(1, 'main', 'ref:main', '0');
SELECT observe(tags(1, 10) || ' heads/main=b', 1);
SELECT observe(tags(1, 4) || ' heads/main=c', 2);
SELECT state, ref, update FROM drift();
SELECT minute(last_checked_at), minute(last_changed_at), failures, last_error, minute(last_error_at), leased_by,
       next_check_at BETWEEN t(2) + interval '15 minutes' * 0.75 AND t(2) + interval '15 minutes' * 1.25 FROM plugin_upstreams;
-- It may be said again, is refused again, and what is right after that is taken.
SELECT observe(tags(1, 4) || ' heads/main=c', 3);
SELECT observe('heads/main=c', 4);
SELECT observe('', 5);
SELECT failures, last_error FROM plugin_upstreams;
SELECT observe(tags(1, 10) || ' heads/main=b', 6);
SELECT failures, last_error FROM plugin_upstreams;
-- Others in their place do not help; that the tags moved is another matter.
SELECT observe(tags(11, 30) || ' heads/main=b', 7);
SELECT observe(replace(tags(1, 10), '=a', '=c') || ' heads/main=b', 8);
SELECT observe(tags(1, 10) || ' heads/main=b', 9);
-- Exactly half.
SELECT observe(tags(1, 5) || ' heads/main=b', 10);
-- Of five, all.
SELECT observe('heads/main=b', 11);
SELECT count(*) FROM plugin_upstream_refs WHERE gone_at IS NULL;
-- Of eleven, six; unless it is known to be right. Nothing at all, too.
SELECT observe(tags(1, 11), 12);
SELECT observe(tags(1, 5), 13);
SELECT observe(tags(1, 5), 14, true);
SELECT observe('', 15);
SELECT observe('', 16, NULL);
SELECT observe('', 17, true);
SELECT count(*) FROM plugin_upstream_refs WHERE gone_at IS NULL;
SELECT state, update FROM drift();
SELECT observe('', 18);
SELECT failures, minute(last_checked_at) FROM plugin_upstreams;
-- Branches may go as they like.
SELECT forget();
SELECT install(1, 'main', 'ref:main', '0');
SELECT observe((SELECT string_agg(format('heads/b%s=a', i), ' ') FROM generate_series(1, 100) AS i) || ' heads/main=b', 1);
SELECT observe('heads/main=b', 2);
SELECT forget();
DROP FUNCTION tags(int, int);

-- SHA-256, and a repository that changes to it.
SELECT install(1, 'main', 'ref:main', '0');
SELECT observe('heads/main=a', 1);
SELECT brief(observe_plugin_upstream('github.com/o/r', jsonb_build_object('refs/heads/main', repeat('a', 64)), t(2)));
SELECT state, length(target_sha), update_status FROM workspace_plugin_drift;
SELECT forget();

-- Rolled back, nothing of it was.
SELECT install(1, 'latest', 'tag:latest', '0');
BEGIN;
SELECT observe('tags/v1.0.0=a', 1);
ROLLBACK;
SELECT (SELECT count(*) FROM plugin_upstream_refs), (SELECT count(*) FROM plugin_update_queue), state FROM plugin_targets;
-- A failure on the way leaves nothing half done.
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE TRIGGER fail BEFORE INSERT ON plugin_update_queue EXECUTE FUNCTION fail();
SELECT try($$SELECT observe('tags/v1.0.0=a', 1)$$);
DROP TRIGGER fail ON plugin_update_queue;
DROP FUNCTION fail();
SELECT (SELECT count(*) FROM plugin_upstream_refs), (SELECT count(*) FROM plugin_update_queue), last_checked_at, refs_fingerprint FROM plugin_upstreams;
SELECT observe('tags/v1.0.0=a', 1);
SELECT forget();

-- 100,000 refs, then one more; each within the time.
SELECT install(1, 'latest', 'tag:latest', '0'), install(1, 'main', 'ref:main', '0');
SET statement_timeout = '60s';
SELECT brief(observe_plugin_upstream('github.com/o/r', jsonb_object_agg('refs/tags/v1.' || i || '.0', sha('a')) || refs('heads/main=b'), t(1))) FROM generate_series(1, 100000) AS i;
SELECT brief(observe_plugin_upstream('github.com/o/r', jsonb_object_agg('refs/tags/v1.' || i || '.0', sha('a')) || refs('heads/main=b'), t(2))) FROM generate_series(1, 100000) AS i;
SELECT brief(observe_plugin_upstream('github.com/o/r', jsonb_object_agg('refs/tags/v1.' || i || '.0', sha('a')) || refs('heads/main=b'), t(3))) FROM generate_series(1, 100001) AS i;
SELECT brief(observe_plugin_upstream('github.com/o/r', jsonb_object_agg('refs/tags/v1.' || i || '.0', sha('a')) || refs('heads/main=c'), t(4))) FROM generate_series(1, 60000) AS i;
RESET statement_timeout;
SELECT plugin, state, ref, update FROM drift();
SELECT count(*), count(gone_at) FROM plugin_upstream_refs;
SELECT forget();
DROP FUNCTION refuse(text);

-- A time without end would make all that comes later stale.
SELECT try($$SELECT observe_plugin_upstream('github.com/o/r', '{}', 'infinity')$$);
SELECT try($$SELECT observe_plugin_ref('github.com/o/r', 'refs/heads/main', NULL, '-infinity')$$);
