-- workspace_plugin_drift: every state that an install can have, its target, whether it is queued, and why.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT forget();

-- Before the repository was ever observed, nothing is known but what a pin needs.
SELECT install(1, 'pinned', 'sha:' || sha('b'), 'a'), install(1, 'latest', 'tag:latest', 'a'), install(1, 'exact', 'tag:v1.0.0', 'a'),
       install(1, 'branch', 'ref:main', 'a'), install(1, 'unknown', 'tag:latest', NULL), install(1, 'local', 'tag:latest', 'a', 'local://x'),
       install(1, 'not tracked', 'none', 'a');
SELECT * FROM drift();
SELECT * FROM queue();
-- A failure to ask is part of the reason.
SELECT report_plugin_upstream_error(upstream, claim_token, 'host not found', at => t(0)) FROM claim_plugin_upstreams('worker', 1);
SELECT DISTINCT state, reason FROM drift() WHERE state = 'unobserved';
SELECT forget();

-- The table of states. Any but none: no commit is known.
SELECT install(1, 'tag', 'tag:v1.0.0', NULL), install(1, 'latest', 'tag:latest', NULL), install(1, 'range', 'tag:^1.0', NULL),
       install(1, 'pin', 'sha:' || sha('a'), NULL), install(1, 'ref', 'ref:main', NULL), install(1, 'missing', 'tag:v9', NULL);
SELECT observe('tags/v1.0.0=a heads/main=a', 1);
SELECT * FROM drift();
SELECT * FROM queue();
SELECT forget();

-- sha:S.
SELECT install(1, 'pin mismatch', 'sha:' || sha('b'), 'a'), install(2, 'pin', 'sha:' || sha('a'), 'a'),
       install(3, 'abbreviated', 'sha:abc123', 'a'), install(4, 'no hex', 'sha:xyz', 'a'), install(5, 'upper case', 'sha:' || upper(sha('a')), 'a'),
       install(6, 'of another algorithm', 'sha:' || repeat('a', 64), 'a');
SELECT workspace, plugin, state, ref, short(sha), update, reason FROM drift();
SELECT workspace, plugin, kind, short(change), ref, status FROM queue();
SELECT forget();

-- tag:T: another commit is installed; the tag moved; it does not exist; no tag can be called so.
SELECT install(1, 'in sync', 'tag:v1.0.0', 'a'), install(2, 'retarget', 'tag:v1.0.0', '0'), install(3, 'moved', 'tag:v2.0.0', 'a'),
       install(4, 'moved, but there', 'tag:v2.0.0', 'e'), install(5, 'missing', 'tag:v3.0.0', 'a'), install(6, 'illegal', 'tag:has space', 'a'),
       install(7, 'only a branch', 'tag:main', 'a'), install(8, 'also a branch', 'tag:both', 'c');
SELECT observe('tags/v1.0.0=a tags/v2.0.0=d tags/both=f heads/both=b heads/main=c', 1);
SELECT observe('tags/v1.0.0=a tags/v2.0.0=e tags/both=f heads/both=b heads/main=c', 2);
SELECT * FROM drift();
SELECT * FROM queue();
SELECT forget();

-- latest and ranges: above, equal, below, and nothing at all.
SELECT install(1, 'new', 'tag:latest', 'a'), install(2, 'new in range', 'tag:~1.0', 'a'), install(3, 'in sync', 'tag:latest', 'c'),
       install(4, 'of no version', 'tag:latest', '0'), install(5, 'ahead of its range', 'tag:~1.0', 'c'), install(6, 'ahead', 'tag:^1', 'd'),
       install(7, 'no candidate', 'tag:^2', 'a'), install(8, 'no such stream', 'tag:plugin-b/*', 'a'), install(9, 'no range', 'tag:^x', 'a');
SELECT observe('tags/v1.0.0=a tags/v1.0.1=b tags/v1.1.0=c tags/v2.0.0-rc.1=d', 1);
SELECT * FROM drift();
SELECT * FROM queue();
-- The same tag, another commit: those that have it, and those that would get it, are held.
SELECT observe('tags/v1.0.0=a tags/v1.0.1=b tags/v1.1.0=e tags/v2.0.0-rc.1=d', 2);
SELECT * FROM drift();
SELECT * FROM queue();
SELECT forget();

-- ref:N: a branch, a tag, both, neither, a full name, a name that cannot be.
SELECT install(1, 'branch', 'ref:main', 'a'), install(2, 'branch, in sync', 'ref:main', 'b'), install(3, 'tag', 'ref:v1', 'a'),
       install(4, 'both', 'ref:both', 'a'), install(5, 'missing', 'ref:gone', 'a'), install(6, 'full', 'ref:refs/heads/both', 'a'),
       install(7, 'full tag', 'ref:refs/tags/both', 'a'), install(8, 'other', 'ref:refs/pull/1/head', 'a'), install(9, 'illegal', 'ref:a..b', 'a'),
       install(10, 'both, in sync', 'ref:both', 'c'), install(11, 'with slash', 'ref:release/1', 'a');
SELECT observe('heads/main=b tags/v1=c heads/both=c tags/both=d heads/release/1=f', 1);
SELECT * FROM drift();
SELECT * FROM queue();
-- A pull request's ref is a ref like any other.
SELECT observe('heads/main=b tags/v1=c heads/both=c heads/release/1=f pull/1/head=e', 2);
SELECT * FROM drift() WHERE plugin IN ('both', 'other', 'full tag', 'both, in sync');
SELECT forget();

-- A default branch that is called like a tag.
SELECT install(1, 'ref', 'ref:v1.0.0', 'a'), install(2, 'tag', 'tag:v1.0.0', 'a');
SELECT brief(observe_plugin_upstream('github.com/o/r', refs('heads/v1.0.0=b tags/v1.0.0=c') || jsonb_build_object('HEAD', sha('b')), t(1)));
SELECT * FROM drift();
SELECT * FROM queue();
SELECT forget();

-- One row an install, whatever else the queue holds of it: here written directly.
SELECT install(1, 'p', 'ref:main', 'a');
SELECT observe('heads/main=b heads/next=c', 1);
SELECT dismiss_plugin_update(id, 'not now') FROM pending_plugin_updates;
SELECT install(1, 'p', 'ref:next', 'a');
UPDATE workspace_plugins SET tracked_ref = 'ref:main';
SELECT count(*) FROM drift();
SELECT detect_plugin_drift();
SELECT * FROM drift();
SELECT forget();

-- The columns.
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'workspace_plugin_drift'::regclass AND attnum > 0 ORDER BY attnum;
