-- The tags in :tags, one a line, and those of them that the type semver takes, without their v.
CREATE EXTENSION semver;
CREATE TEMP TABLE tag_line (tag text);
CREATE TABLE tags (tags text[] NOT NULL, versions text[] NOT NULL);
ALTER TABLE tags ALTER tags SET STORAGE EXTERNAL, ALTER versions SET STORAGE EXTERNAL;
COPY tag_line FROM :'tags';
INSERT INTO tags
SELECT array_agg(tag), array_agg(v) FILTER (WHERE is_semver(v))
FROM tag_line, regexp_replace(tag, '^[vV]', '') AS v;
