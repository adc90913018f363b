-- The same :rows installs as one document and as one array for each column, in an order that is
-- not that of the keys. Stored uncompressed: unpacking is not what is compared.
CREATE TABLE batch_input (
    document jsonb NOT NULL, document_text text NOT NULL,
    workspaces uuid[] NOT NULL, workspaces_text text NOT NULL,
    names text[] NOT NULL, names_text text NOT NULL,
    sources text[] NOT NULL, sources_text text NOT NULL,
    tracks text[] NOT NULL, tracks_text text NOT NULL,
    shas text[] NOT NULL, shas_text text NOT NULL
);
SELECT format('ALTER TABLE batch_input ALTER %I SET STORAGE EXTERNAL', attname)
FROM pg_attribute WHERE attrelid = 'batch_input'::regclass AND attnum > 0 \gexec

WITH install AS (
    SELECT ('00000000-0000-4000-8000-' || (100000000000 + n % :workspaces))::uuid AS workspace_id,
           'plugin-' || n / :workspaces AS plugin_name,
           'https://github.com/acme/plugins-' || n % 997 || '.git#v1.0.0' AS source_raw,
           CASE n % 4 WHEN 0 THEN 'tag:latest' WHEN 1 THEN 'tag:v1.0.' || n % 31
                      WHEN 2 THEN 'ref:main' ELSE 'none' END AS track,
           md5(n::text) || '01234567' AS installed_sha,
           hashint4(n) AS place
    FROM generate_series(0, :rows - 1) AS n
), packed AS (
    SELECT jsonb_agg(jsonb_build_object('workspace_id', workspace_id, 'plugin_name', plugin_name,
                         'source_raw', source_raw, 'track', track, 'installed_sha', installed_sha)
                     ORDER BY place) AS document,
           array_agg(workspace_id ORDER BY place) AS workspaces,
           array_agg(plugin_name ORDER BY place) AS names,
           array_agg(source_raw ORDER BY place) AS sources,
           array_agg(track ORDER BY place) AS tracks,
           array_agg(installed_sha ORDER BY place) AS shas
    FROM install
)
INSERT INTO batch_input
SELECT document, document::text, workspaces, workspaces::text, names, names::text,
       sources, sources::text, tracks, tracks::text, shas, shas::text
FROM packed;
VACUUM ANALYZE batch_input;
