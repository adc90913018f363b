-- White space and the characters of git's names are decided in UTF-8; refuse early what cannot work.
DO LANGUAGE plpgsql $requirements$
BEGIN
    IF pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.<>) 'UTF8' THEN
        RAISE EXCEPTION 'pg_workspace_plugins needs a database with encoding UTF8, not %',
                        pg_catalog.getdatabaseencoding()
            USING ERRCODE = 'feature_not_supported';
    END IF;
END
$requirements$;
