-- plugin_source: the identity of a source's repository, and what a source must not hold.
\pset format unaligned
\pset tuples_only on
\pset null NULL

SELECT source, plugin_source_upstream(source)
FROM unnest(ARRAY[
    'github://Foo/Bar#tag:v1', 'https://GitHub.com:443/Foo/Bar.git', 'https://github.com/foo/bar/',
    'git@github.com:Foo/Bar.git', 'ssh://git@github.com/Foo/Bar', 'git+https://github.com/foo/bar.git',
    'github://foo/bar/plugins/x#v1', 'gitea://Acme/p/plugins/x#main', 'ssh://git@host.example:2222/a/b.git',
    'git+https://host.Example/A/B.git/sub/dir#v1#x',
    'http://host:80/a/b.git', 'git://host:9418/a/b', 'https://host./a//b',
    'file:///srv/git/a.git',
    'my-plugin', 'local://x', 'local://x#v1', 'github://foo', 'github://foo/../bar', 'https://host/a/../b',
    'ext::sh -c x', '']) WITH ORDINALITY AS s (source, n) ORDER BY n;

-- More: other ports stay, paths keep their case elsewhere, what git would not take is none.
SELECT source, plugin_source_upstream(source)
FROM unnest(ARRAY[
    'https://host:8443/A/b', 'ssh://git@host:22/a/b', 'https://host:80/a', 'HTTPS://HOST/a', 'github://o/r.git', 'github://o/r/',
    'gitea://o/r.git#x', 'gitea://o', 'https://host', 'https://host/', 'https://host/a b', E'https://host/a\nb', 'https:///a/b',
    'https://host/-a', 'git@host:-a', 'git@host:a', 'host:a', '/srv/git/a', './a', '#x', 'https://host/a#b?c',
    'https://[::1]:8443/a', 'https://host/ü', 'https://hüst/a', 'ftp://host/a', 'git+ssh://git@host/a/b', 'ssh://-oProxyCommand=x/a'])
    WITH ORDINALITY AS s (source, n) ORDER BY n;
SELECT plugin_source_upstream(NULL);

-- Its answer is of use in an index and in a generated column.
CREATE TABLE own (source text, upstream text GENERATED ALWAYS AS (plugin_source_upstream(source)) STORED);
CREATE INDEX ON own (plugin_source_upstream(source));
INSERT INTO own VALUES ('github://O/r#x') RETURNING *;
DROP TABLE own;

-- No secret in a source: refused, and not shown, whether by the function, the domain, the table or a record.
SELECT source, error
FROM unnest(ARRAY[
    'https://u:p@host/a/b', 'https://tok@host/a/b', 'https://host/a/b?token=1', 'https://u:p#q@host/a', 'https://u:@host/a',
    'https://:p@host/a', 'https://u%3Ap@host/a', 'ssh://git:pw@host/a', 'git:pw@host:a', 'https://proxy/https://u:p@host/a',
    'https:////u:p@host/a', 'git://host/a?x', 'github://u:p@o/r']) WITH ORDINALITY AS s (source, n),
    LATERAL try(format('SELECT check_plugin_source(%L)', source)) WITH ORDINALITY AS e (error, line) ORDER BY n, line;
SELECT source, check_plugin_source(source)
FROM unnest(ARRAY['', 'my-plugin', 'git@host:a', 'ssh://git@host/a', 'https://host/a#b?c', 'https://host:8443/a', 'what?', 'a@b',
                  'file:///srv/a']) WITH ORDINALITY AS s (source, n) ORDER BY n;
SELECT check_plugin_source(NULL);
SELECT try($$SELECT 'https://u:hunter2@host/a'::plugin_source$$);
SELECT 'https://host/a'::plugin_source, NULL::plugin_source;

SELECT register_plugin_workspace(w(1));
SELECT try($$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw) VALUES (w(1), 'p', 'https://u:hunter2@host/a')$$);
SELECT statement, shows(statement, 'hunter2')
FROM unnest(ARRAY[
    $$SELECT check_plugin_source('https://u:hunter2@host/a')$$,
    $$SELECT 'https://hunter2@host/a'::plugin_source$$,
    $$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw) VALUES (w(1), 'p', 'https://u:hunter2@host/a')$$,
    $$INSERT INTO workspace_plugins (workspace_id, plugin_name, source_raw) VALUES (w(1), 'p', 'https://host/a?t=hunter2')$$,
    $$SELECT record_workspace_plugin_install(w(1), 'p', 'https://u:hunter2@host/a')$$,
    $$SELECT record_workspace_plugin_install(w(1), 'p', 'https://hunter2@host/a')$$,
    $$SELECT record_workspace_plugin_install(w(1), 'p', 'https://host/a?hunter2', 'main')$$,
    $$SELECT record_workspace_plugin_installs(jsonb_build_array(jsonb_build_object('workspace_id', w(1), 'plugin_name', 'p', 'source_raw', 'https://u:hunter2@host/a')))$$])
    WITH ORDINALITY AS s (statement, n) ORDER BY n;
SELECT unregister_plugin_workspace(w(1));

SELECT proname, provolatile, proisstrict, proparallel FROM pg_proc
WHERE proname IN ('check_plugin_source', 'plugin_source_upstream') ORDER BY proname;
