\set w random(100000000000, 100000000000 + :workspaces - 1)
\set p random(0, :plugins - 1)
SELECT peer_plpgsql_record(('00000000-0000-4000-8000-' || :w::text)::uuid, 'plugin-' || :p::text, 'github://acme/plugins#v1.0.0');
