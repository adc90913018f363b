-- Where a plugin comes from.

CREATE FUNCTION @extschema@.check_plugin_source(source text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'check_plugin_source_wrapper';
COMMENT ON FUNCTION @extschema@.check_plugin_source(text) IS
    'True where a source holds no password, token or query string; otherwise SQLSTATE 23514, without showing it.';

CREATE DOMAIN @extschema@.plugin_source AS text
    -- Constraints of a domain are looked at in the order of their names: no other fault may show a
    -- secret.
    CONSTRAINT plugin_source_holds_no_secret CHECK (@extschema@.check_plugin_source(VALUE))
    CONSTRAINT plugin_source_length
        CHECK (pg_catalog.octet_length(VALUE) OPERATOR(pg_catalog.>=) 1
           AND pg_catalog.octet_length(VALUE) OPERATOR(pg_catalog.<=) 2048);
COMMENT ON DOMAIN @extschema@.plugin_source IS
    'A plugin''s source as the user wrote it, without a password, a token or a query string.';

CREATE FUNCTION @extschema@.plugin_source_upstream(source text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'plugin_source_upstream_wrapper';
COMMENT ON FUNCTION @extschema@.plugin_source_upstream(text) IS
    'The identity of the repository that a source names, such as github.com/owner/repository; NULL where it names none.';
