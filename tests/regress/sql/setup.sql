-- The extension, and the helpers that the other files use.
CREATE EXTENSION pg_workspace_plugins;

-- Workspace n.
CREATE FUNCTION w(n int) RETURNS uuid LANGUAGE sql IMMUTABLE
    AS $$ SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid $$;

-- A full commit id of one repeated digit.
CREATE FUNCTION sha(digit text) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT repeat(digit, 40) $$;

-- Runs a statement; gives 'ok', or its error in full, but for the failing row, which has the time in it.
CREATE FUNCTION try(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    code text; message text; detail text; hint text; violated text;
BEGIN
    BEGIN
        EXECUTE statement;
        RETURN NEXT 'ok';
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
            detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, violated = CONSTRAINT_NAME;
    END;
    RETURN NEXT code || ' ' || message;
    IF detail <> '' AND detail NOT LIKE 'Failing row contains%' THEN RETURN NEXT '  DETAIL: ' || detail; END IF;
    IF hint <> '' THEN RETURN NEXT '  HINT: ' || hint; END IF;
    IF violated <> '' THEN RETURN NEXT '  CONSTRAINT: ' || violated; END IF;
END
$$;

-- Runs a statement that fails; whether any part of its error but the statement itself holds a text.
CREATE FUNCTION shows(statement text, secret text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    message text; detail text; hint text; context text;
BEGIN
    EXECUTE statement;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
        hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
    RETURN position(secret IN message || detail || hint || replace(context, statement, '')) > 0;
END
$$;
