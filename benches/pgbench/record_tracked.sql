\set w random(100000000000, 100000000000 + :installs / 10 - 1)
\set p random(1, 9)
SELECT FROM record_workspace_plugin_install(('00000000-0000-4000-8000-' || :w::text)::uuid, 'plugin-' || :p::text, 'https://example.com/cold/plugin-' || ((:w::bigint * 10 + :p::bigint) % :upstreams)::text, 'tag' || chr(58) || 'latest', repeat('a', 40));
