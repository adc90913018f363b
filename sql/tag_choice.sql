-- Which of a repository's tags a tracked ref means.

CREATE FUNCTION @extschema@.resolve_tag(
    wanted @extschema@.tracked_ref, tags text[], installed text DEFAULT NULL
) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'resolve_tag_wrapper';
COMMENT ON FUNCTION @extschema@.resolve_tag(@extschema@.tracked_ref, text[], text) IS
    'The tag that a tracked ref means among those given, in any order; NULL where there is no candidate. Candidates more than 500 majors above the installed tag are left out.';
