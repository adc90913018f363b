-- Whether there is pgmq: made here where the server offers it, or loaded before.
SELECT 'CREATE EXTENSION pgmq' FROM pg_available_extensions
WHERE name = 'pgmq' AND to_regproc('pgmq.read') IS NULL \gexec
SELECT to_regproc('pgmq.read') IS NOT NULL;
