-- Tags that moved: held until accept_moved_tag(), whatever way they went and came back.
\pset format unaligned
\pset tuples_only on
\pset null NULL
SELECT forget();
CREATE FUNCTION accept(tag text, digit text) RETURNS boolean LANGUAGE sql AS $$ SELECT accept_moved_tag('github.com/o/r', tag, sha(digit)) $$;
CREATE FUNCTION states() RETURNS SETOF text LANGUAGE sql
    AS $$ SELECT concat_ws(' ', plugin, state, ref, sha, update) FROM drift() $$;

-- One that has it, one that is to get it, and one that gets it as the highest.
SELECT install(1, 'exact', 'tag:v1.0.0', 'a'), install(1, 'exact, other', 'tag:v1.0.0', '0'), install(1, 'latest', 'tag:latest', 'a'), install(1, 'latest, other', 'tag:latest', '0');
SELECT observe('tags/v1.0.0=a', 1);
SELECT states();
-- Moved: what waits is cancelled, nothing is queued.
SELECT observe('tags/v1.0.0=b', 2);
SELECT states();
SELECT * FROM queue();
SELECT DISTINCT reason FROM drift();
SELECT detect_plugin_drift();
-- Accepted only as it is: another tag, commit or repository is not held.
SELECT accept('v1.0.0', 'a'), accept('v1.0.0', 'c'), accept('v2.0.0', 'b'), accept('refs/tags/v1.0.0', 'b'), accept_moved_tag('github.com/o/x', 'v1.0.0', sha('b'));
SELECT accept(NULL, 'b'), accept('v1.0.0', NULL), accept_moved_tag(NULL, 'v1.0.0', sha('b'));
SELECT states();
-- Accepted, it is what everybody is to get.
SELECT accept('v1.0.0', 'b');
SELECT states();
SELECT * FROM queue() WHERE status = 'pending';
SELECT accept('v1.0.0', 'b'), detect_plugin_drift();
-- Installed, it is in sync.
SELECT install(1, 'exact', 'tag:v1.0.0', 'b'), install(1, 'latest', 'tag:latest', 'b');
SELECT states();
-- Back at the commit before: that is another move.
SELECT observe('tags/v1.0.0=a', 3);
SELECT states();
SELECT accept('v1.0.0', 'a');
SELECT states();
-- Moved on and on.
SELECT observe('tags/v1.0.0=c', 4);
SELECT observe('tags/v1.0.0=d', 5);
SELECT states();
SELECT accept('v1.0.0', 'c'), accept('v1.0.0', 'd');
SELECT states();
SELECT * FROM ledger();
SELECT forget();

-- Moved back before anybody accepted it: as if nothing had been.
SELECT install(1, 'has it', 'tag:v1.0.0', 'a'), install(1, 'other', 'tag:v1.0.0', '0');
SELECT observe('tags/v1.0.0=a', 1);
SELECT observe('tags/v1.0.0=b', 2);
SELECT observe('tags/v1.0.0=a', 3);
SELECT states();
SELECT accept('v1.0.0', 'a');
SELECT * FROM ledger();
SELECT forget();

-- Deleted, and back on the same commit: not moved. Back on another one: moved.
SELECT install(1, 'has it', 'tag:v1.0.0', 'a'), install(1, 'other', 'tag:v1.0.0', '0');
SELECT observe('tags/v1.0.0=a heads/main=f', 1);
SELECT observe('heads/main=f', 2);
SELECT states();
SELECT observe('tags/v1.0.0=a heads/main=f', 3);
SELECT states();
SELECT observe('heads/main=f', 4);
SELECT observe('tags/v1.0.0=b heads/main=f', 5);
SELECT states();
SELECT accept('v1.0.0', 'b');
SELECT states();
-- Deleted after it was accepted, and back on the commit that was.
SELECT observe('heads/main=f', 6);
SELECT observe('tags/v1.0.0=b heads/main=f', 7);
SELECT states();
SELECT * FROM queue();
SELECT * FROM ledger();
SELECT forget();

-- A moved tag that is not the highest holds nobody; a new one above it frees those it held.
SELECT install(1, 'latest', 'tag:latest', 'a'), install(1, 'range', 'tag:~1.0', '0');
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b', 1);
SELECT observe('tags/v1.0.0=a tags/v1.1.0=c', 2);
SELECT states();
SELECT observe('tags/v1.0.0=a tags/v1.1.0=c tags/v1.2.0=d', 3);
SELECT states();
SELECT observe('tags/v1.0.0=e tags/v1.1.0=c tags/v1.2.0=d', 4);
SELECT states();
SELECT forget();

-- A branch moves as it likes, and ref: follows a tag as it follows a branch.
SELECT install(1, 'branch', 'ref:main', 'a'), install(1, 'tag', 'ref:v1', 'a');
SELECT observe('heads/main=a tags/v1=a', 1);
SELECT observe('heads/main=b tags/v1=b', 2);
SELECT states();
SELECT forget();
DROP FUNCTION accept(text, text);
DROP FUNCTION states();

-- Two tags of equal precedence on different commits: the higher by build metadata, then by name, is a new version.
SELECT install(1, 'build', 'tag:latest', 'a'), install(2, 'name', 'tag:plugin-a/*', 'c');
SELECT observe('tags/v1.0.0+1=a tags/v1.0.0+2=b tags/plugin-a/1.0.0=c tags/plugin-a/v1.0.0=d', 1);
SELECT workspace, plugin, state, ref, update FROM drift();
SELECT install(1, 'build', 'tag:latest', 'b'), install(2, 'name', 'tag:plugin-a/*', 'd');
SELECT workspace, plugin, state, ref, update FROM drift();
SELECT forget();

-- The highest version of a range moved and is held; from below a jump, a lower one is wanted and queued all the same.
SELECT install(1, 'calendar', 'tag:latest', '1'), install(2, 'versions', 'tag:latest', 'a');
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b tags/v2024.1.0=1', 1);
SELECT observe('tags/v1.0.0=a tags/v1.1.0=b tags/v2024.1.0=2', 2);
SELECT workspace, plugin, state, ref, update FROM drift();
SELECT install(3, 'recorded now', 'tag:latest', 'a');
SELECT record_workspace_plugin_installs(jsonb_build_array(jsonb_build_object('workspace_id', w(3), 'plugin_name', 'in a batch', 'source_raw', 'github://o/r', 'track', 'tag:latest', 'installed_sha', sha('a'))));
SELECT workspace, plugin, state, ref, update FROM drift();
SELECT forget();
