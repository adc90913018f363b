-- plugin_targets: what a subscription means, once for all installs that have it.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT forget();
CREATE FUNCTION targets() RETURNS TABLE (tracked text, state text, ref text, sha text, resolved text, eligible text) LANGUAGE sql
    AS $$ SELECT short(tracked_ref), state, ref, short(sha), minute(resolved_at), minute(eligible_at) FROM plugin_targets ORDER BY upstream, tracked_ref $$;

-- One row for each (repository, tracked ref), however many installs; by all spellings of the repository.
SELECT install(1, 'a', 'tag:latest', 'a'), install(2, 'a', 'tag:latest', '0', 'https://github.com/O/R.git#main'), install(3, 'a', 'tag:latest', NULL, 'git@github.com:o/r.git'),
       install(4, 'a', 'ref:main', 'a'), install(4, 'b', 'none', 'a'), install(4, 'c', 'tag:latest', 'a', 'local://x');
SELECT tracked, state, ref, sha FROM targets();
SELECT upstream, fetch_url FROM plugin_upstreams;
SELECT observe('tags/v1.0.0=a heads/main=b', 1);
SELECT * FROM targets();
-- What does not change keeps its time.
SELECT observe('tags/v1.0.0=a heads/main=c', 2);
SELECT * FROM targets();
-- The same commit by another tag: since when it is wanted stays.
SELECT observe('tags/v1.0.0=a tags/v1.0.1=a heads/main=c', 3);
SELECT * FROM targets();
SELECT observe('heads/main=c', 4);
SELECT * FROM targets();
SELECT forget();

-- Streams of a monorepo are never mixed.
SELECT install(1, 'bare', 'tag:latest', '0'), install(2, 'all', 'tag:*', '0'), install(3, 'slash', 'tag:plugin-a/*', '0'),
       install(4, 'slash, range', 'tag:plugin-a/^1.2', '0'), install(5, 'dash', 'tag:plugin-a-*', '0'), install(6, 'none of it', 'tag:plugin-b/*', '0'),
       install(7, 'another', 'tag:plugin-a/~1.2', '1');
SELECT observe('tags/v1.0.0=a tags/plugin-a/v1.2.3=b tags/plugin-a/v1.10.0=c tags/plugin-a-v9.9.9=d tags/plugin-a/v2.0.0=e tags/plugin-ab/v7.0.0=f', 1);
SELECT tracked, state, ref, sha FROM targets();
SELECT workspace, state, ref, sha, update FROM drift();
-- A version of another stream on the same commit says nothing: unknown in its own, it is new.
SELECT install(8, 'installed by v1', 'tag:plugin-a/*', 'a'), install(9, 'installed by plugin-a/v2', 'tag:latest', 'e');
SELECT workspace, state, ref, update FROM drift() WHERE workspace IN ('8', '9');
SELECT forget();

-- Only a pre-release, only numeric names, then a stable version.
SELECT install(1, 'p', 'tag:latest', '0');
SELECT observe('tags/v1=a tags/v1.10=b tags/nightly=c', 1);
SELECT tracked, state, ref, sha FROM targets();
SELECT observe('tags/v1=a tags/v1.10=b tags/nightly=c tags/v1.0.0-rc.1=d', 2);
SELECT tracked, state, ref, sha FROM targets();
SELECT observe('tags/v1=a tags/v1.10=b tags/nightly=c tags/v1.0.0-rc.1=d tags/v0.9.0=e', 3);
SELECT tracked, state, ref, sha FROM targets();
SELECT * FROM queue();
SELECT forget();

-- Two tags of equal precedence on the same commit: no drift by name.
SELECT install(1, 'p', 'tag:latest', 'a');
SELECT observe('tags/v1.11.0=a', 1);
SELECT observe('tags/v1.11.0=a tags/v1.11.0+build.5=a tags/1.11.0=a', 2);
SELECT state, ref, sha, update FROM drift();
SELECT forget();

-- A jump of more than 500 majors is none for who has a version below it, and is for the others.
SELECT install(1, 'below', 'tag:latest', 'a'), install(2, 'in sync below', 'tag:latest', 'b'), install(3, 'above', 'tag:latest', 'c'),
       install(4, 'of no version', 'tag:latest', '0'), install(5, 'in sync', 'tag:latest', 'd');
SELECT observe('tags/v1.0.0=a tags/v2.0.0=b tags/v2023.1.0=c tags/v2024.1.0=d', 1);
SELECT workspace, plugin, state, ref, sha, update, reason FROM drift();
SELECT * FROM queue();
-- They go on below it: the target itself is as before.
SELECT observe('tags/v1.0.0=a tags/v2.0.0=b tags/v2.1.0=e tags/v2023.1.0=c tags/v2024.1.0=d', 2);
SELECT workspace, plugin, state, ref, sha, update FROM drift();
SELECT * FROM queue();
SELECT detect_plugin_drift();
-- Exactly 500 is none yet.
SELECT forget();
SELECT install(1, '500', 'tag:latest', 'a'), install(2, '501', 'tag:latest', '9');
SELECT observe('tags/v1.0.0=a tags/v0.1.0=9 tags/v501.0.0=b', 1);
SELECT workspace, plugin, state, ref, sha, update FROM drift();
-- Nothing else to go to.
SELECT observe('tags/v501.0.0=b', 2);
SELECT workspace, plugin, state, ref, sha, update, reason FROM drift();
SELECT forget();
-- In the transaction that observes it, by the real clock, the view says the same as the queue.
BEGIN;
SELECT install(1, 'below', 'tag:latest', 'a');
SELECT outcome, queued FROM observe_plugin_upstream('github.com/o/r', refs('tags/v1.0.0=a tags/v2.0.0=b tags/v2024.1.0=d'));
SELECT state, ref, sha, update FROM drift();
COMMIT;
SELECT forget();

-- What an install's own version is, may change without its target: a tag on its commit makes it the newer one.
SELECT install(1, 'p', 'tag:latest', 'b');
SELECT observe('tags/v1.0.0=a', 1);
SELECT state, ref, sha, update FROM drift();
SELECT observe('tags/v1.0.0=a tags/v2.0.0-rc.1=b', 2);
SELECT state, ref, sha, update FROM drift();
SELECT * FROM queue();
-- A version that was seen once stays the install's version when the tag goes: never a downgrade.
SELECT observe('tags/v1.0.0=a', 3);
SELECT state, ref, sha, update, reason FROM drift();
SELECT detect_plugin_drift();
SELECT forget();

-- The constraints.
INSERT INTO plugin_targets VALUES ('u', 'tag:v1', NULL, NULL, 'ref_missing', t(0), NULL);
SELECT try($$INSERT INTO plugin_targets VALUES ('u', 'tag:v1', NULL, NULL, 'ref_missing', t(0), NULL)$$);
SELECT try($$INSERT INTO plugin_targets VALUES ('u', 'tag:v2', NULL, NULL, 'odd', t(0), NULL)$$);
SELECT try($$INSERT INTO plugin_targets VALUES ('u', 'tag:v2', NULL, NULL, 'resolved', t(0), NULL)$$);
SELECT try($$INSERT INTO plugin_targets VALUES ('u', 'tag:v2', NULL, NULL, 'tag_moved', t(0), NULL)$$);
SELECT try($$INSERT INTO plugin_targets VALUES ('u', 'tag:v2', NULL, sha('a'), 'no_candidate', t(0), NULL)$$);
SELECT try($$INSERT INTO plugin_targets VALUES ('u', 'v2', NULL, NULL, 'no_candidate', t(0), NULL)$$);
SELECT forget();
DROP FUNCTION targets();
