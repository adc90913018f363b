-- The answer of a repository with many tags, in the file :refs.
CREATE TEMP TABLE answer_line (refs jsonb);
-- The two control characters cannot stand in the file, so that its one line is one value.
COPY answer_line FROM :'refs' WITH (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02');
CREATE TABLE answer (refs jsonb NOT NULL);
ALTER TABLE answer ALTER refs SET STORAGE EXTERNAL;
INSERT INTO answer SELECT refs FROM answer_line;
SELECT register_plugin_workspace('00000000-0000-4000-8000-000000000000');
SELECT record_workspace_plugin_install('00000000-0000-4000-8000-000000000000', 'many tags', 'https://example.com/many/tags', 'tag:latest', repeat('0', 40));
SELECT (observe_plugin_upstream('example.com/many/tags', refs)).outcome FROM answer;
