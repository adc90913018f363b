-- Full commit ids.

CREATE FUNCTION @extschema@.is_valid_commit_sha(sha text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'pgwp_is_valid_commit_sha';
COMMENT ON FUNCTION @extschema@.is_valid_commit_sha(text) IS
    'Whether a text is a full commit id: 40 or 64 lower-case hexadecimal digits. Never raises; NULL for NULL.';

CREATE DOMAIN @extschema@.commit_sha AS text COLLATE pg_catalog."C"
    CONSTRAINT commit_sha_is_full CHECK (@extschema@.is_valid_commit_sha(VALUE));
COMMENT ON DOMAIN @extschema@.commit_sha IS
    'A full commit id, SHA-1 or SHA-256, in lower-case hexadecimal digits.';
