-- observe_plugin_ref: what is known of a single ref, between complete answers.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT forget();
SELECT install(1, 'latest', 'tag:latest', '0'), install(1, 'main', 'ref:main', '0');
UPDATE plugin_upstreams SET next_check_at = t(1000);

-- Before the first complete answer it makes the repository due, and no more; never later than it was.
SELECT observe_ref('refs/heads/main', 'a', 1);
SELECT minute(next_check_at), last_checked_at, (SELECT count(*) FROM plugin_upstream_refs) FROM plugin_upstreams;
SELECT observe_ref('refs/heads/main', 'a', 5);
SELECT minute(next_check_at) FROM plugin_upstreams;
SELECT DISTINCT state FROM drift();
-- Nobody tracks it.
SELECT brief(observe_plugin_ref('github.com/o/x', 'refs/heads/main', sha('a'), t(1)));
SELECT upstream FROM plugin_upstreams;

SELECT observe('tags/v1.0.0=a heads/main=a', 10);
-- Set, moved, as it is.
SELECT observe_ref('refs/tags/v1.1.0', 'b', 11);
SELECT observe_ref('refs/heads/main', 'b', 12);
SELECT observe_ref('refs/heads/main', 'b', 13);
SELECT plugin, state, ref, sha, update FROM drift();
SELECT * FROM queue();
-- Gone: NULL, or zeros; what is not there cannot go.
SELECT observe_ref('refs/heads/main', NULL, 14);
SELECT observe_ref('refs/heads/main', NULL, 15);
SELECT observe_ref('refs/heads/main', 'c', 16);
SELECT observe_ref('refs/heads/main', '0', 17);
SELECT brief(observe_plugin_ref('github.com/o/r', 'refs/tags/v1.1.0', repeat('0', 64), t(18)));
SELECT plugin, state, ref, sha, update FROM drift();
SELECT * FROM queue();
SELECT * FROM ledger();
-- A tag that moves is held by that already.
SELECT observe_ref('refs/tags/v1.0.0', 'd', 19);
SELECT plugin, state, ref, sha, update FROM drift() WHERE plugin = 'latest';
-- The next look is when it was to be, and the last complete answer is as old as before.
SELECT minute(last_checked_at), minute(last_changed_at), next_check_at < t(10) + interval '16 minutes' FROM plugin_upstreams;

-- Late: older than the complete answer, or than what is known of the ref; of another ref it is not late.
SELECT observe_ref('refs/heads/main', 'e', 10), observe_ref('refs/heads/main', 'e', 9);
SELECT observe_ref('refs/heads/main', 'e', 17), observe_ref('refs/heads/main', 'e', 16);
SELECT observe_ref('refs/heads/other', 'e', 11);
SELECT plugin, state, ref, sha, update FROM drift();
SELECT observe_ref('refs/heads/main', 'e', 20);

-- A complete answer that is older than that: what is newer stays, the rest is as it says.
SELECT observe('tags/v1.0.0=a heads/main=a', 15);
SELECT ref, sha, since FROM ledger() WHERE gone IS NULL;
SELECT minute(last_checked_at) FROM plugin_upstreams;
-- The next one that says the same is the newer one now, and counts.
SELECT observe('tags/v1.0.0=a heads/main=a', 30);
SELECT ref, sha FROM ledger() WHERE gone IS NULL;
SELECT plugin, state, ref, sha FROM drift();
-- So it is for a ref that went.
SELECT observe_ref('refs/heads/main', NULL, 40);
SELECT observe('tags/v1.0.0=a heads/main=a', 35);
SELECT ref, sha FROM ledger() WHERE gone IS NULL;
SELECT observe('tags/v1.0.0=a heads/main=a', 50);
SELECT ref, sha FROM ledger() WHERE gone IS NULL;
-- And where what was known only by the way was wrong.
SELECT observe_ref('refs/heads/main', 'b', 60);
SELECT observe('tags/v1.0.0=a heads/main=a', 70);
SELECT ref, sha FROM ledger() WHERE gone IS NULL;

-- What is wrong.
SELECT try($$SELECT observe_plugin_ref(NULL, 'refs/heads/main', sha('a'))$$);
SELECT try($$SELECT observe_plugin_ref('', 'refs/heads/main', sha('a'))$$);
SELECT try($$SELECT observe_plugin_ref('github.com/o/r', 'refs/heads/main', sha('a'), NULL)$$);
SELECT try(format('SELECT observe_plugin_ref(%L, %L, sha(%L))', 'github.com/o/r', ref, 'a')) FROM unnest(ARRAY[NULL, '', 'main', 'HEAD', 'heads/main', 'refs/heads/a..b', 'refs/tags/v1^{}', repeat('x', 200)]) AS ref;
SELECT try(format('SELECT observe_plugin_ref(%L, %L, %L, t(80))', 'github.com/o/r', 'refs/heads/main', sha)) FROM unnest(ARRAY['x', repeat('a', 39), repeat('a', 63), repeat('A', 40), sha('a') || ' ', '0', repeat('0', 39), repeat('x', 200)]) AS sha;
SELECT ref, sha FROM ledger() WHERE gone IS NULL;
SELECT forget();
