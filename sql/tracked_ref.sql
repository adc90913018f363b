-- Which upstream ref an install follows.

CREATE FUNCTION @extschema@.is_valid_tracked_ref(track text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'pgwp_is_valid_tracked_ref';
COMMENT ON FUNCTION @extschema@.is_valid_tracked_ref(text) IS
    'Whether a text is a canonical tracked ref. Never raises; NULL for NULL. For CHECK constraints.';

CREATE FUNCTION @extschema@.validate_tracked_ref(track text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'validate_tracked_ref_wrapper';
COMMENT ON FUNCTION @extschema@.validate_tracked_ref(text) IS
    'The canonical form of a track value: trimmed, ''none'' for nothing. SQLSTATE 22023 where there is none.';

-- Bytes decide its order, on every machine alike.
CREATE DOMAIN @extschema@.tracked_ref AS text COLLATE pg_catalog."C"
    CONSTRAINT tracked_ref_is_canonical CHECK (@extschema@.is_valid_tracked_ref(VALUE));
COMMENT ON DOMAIN @extschema@.tracked_ref IS
    'none | tag:<name> | tag:latest | tag:[<prefix>]<range> | sha:<hex> | ref:<name>';

CREATE FUNCTION @extschema@.tracked_ref_kind(tracked @extschema@.tracked_ref) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tracked_ref_kind_wrapper';
COMMENT ON FUNCTION @extschema@.tracked_ref_kind(@extschema@.tracked_ref) IS
    'none, tag, latest, range, sha or ref.';

CREATE FUNCTION @extschema@.tracked_ref_value(tracked @extschema@.tracked_ref) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tracked_ref_value_wrapper';
COMMENT ON FUNCTION @extschema@.tracked_ref_value(@extschema@.tracked_ref) IS
    'What stands behind the first colon of a tracked ref; NULL for none.';
