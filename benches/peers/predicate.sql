-- The rule of is_valid_tracked_ref() in three other ways; :library is built from predicate.c.

CREATE FUNCTION peer_c_predicate(track text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS :'library', 'peer_c_predicate';

CREATE FUNCTION peer_plpgsql_predicate(track text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    spaces constant text := E' \t\n\u000b\f\r\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004'
        '\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000';
BEGIN
    RETURN track = 'none'
        OR (left(track, 4) IN ('tag:', 'sha:', 'ref:')
            AND length(track) > 4
            AND strpos(spaces, right(track, 1)) = 0);
END
$$;

-- The regex stands in the query, as it would in a CHECK. It names what \s leaves out.
\set regex '^(none|(tag|sha|ref):.*[^\\s\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000])$'
