-- A worker in nothing but psql: takes updates from the database, one after the other, until nothing is
-- left that may be applied now. From the top folder of this repository, every minute:
--
--   psql --no-psqlrc --quiet --set folder=/srv/plugins --file examples/worker.sql
--
-- FOLDER/WORKSPACE/PLUGIN/current is the plugin as the workspace uses it. The variable worker is the
-- worker's name, as an operator sees it. psql does one thing at a time, so that it cannot extend a
-- lease while git is at work: git gets less time than the lease, and what comes after it a new one.
\set ON_ERROR_STOP on
\if :{?worker}
\else
    \set worker `echo "$(hostname):$PPID"`
\endif

-- One row in any case, for \gset; what is NULL in it is not set.
SELECT u.id, u.claim_token, u.fetch_url, u.target_sha, u.workspace_id, u.plugin_name,
       u.id IS NOT NULL AS is_claimed,
       concat_ws('/', :'folder', u.workspace_id, u.plugin_name) AS home,
       concat_ws('.', u.target_sha, u.claim_token) AS copy,
       concat_ws('/', :'folder', u.workspace_id, u.plugin_name, u.target_sha || '.' || u.claim_token) AS new_folder,
       CASE WHEN u.plugin_name ~ '^[.-]|[/[:cntrl:]]' THEN 'no name for a folder: ' || u.plugin_name END AS refusal
FROM (VALUES (1)) AS one
LEFT JOIN claim_plugin_updates(:'worker', 1, '10 minutes') AS u ON true \gset

\if :is_claimed
    \set outcome stale
    \set before none
    \if :{?refusal}
        SELECT fail_plugin_update(:'id', :'claim_token', :'refusal', retryable => false) AS outcome \gset
    \else
        -- By commit, into a folder of its own: nothing that is in use is changed yet.
        \set result `mkdir -p :'home' && timeout 540 examples/fetch-plugin :'fetch_url' :'target_sha' :'new_folder' 2>&1 && echo fetched`
        SELECT :'result' = 'fetched' AS is_fetched \gset
        \if :is_fetched
            SELECT extend_plugin_update(:'id', :'claim_token', '10 minutes') = 'claimed' AS is_ours \gset
            \if :is_ours
                -- Here is the place for what else takes long: to build it, to try it.

                -- The report and the switch, both or neither: while the transaction is open nobody else
                -- can have the update, nor record another commit.
                \set before `readlink :'home'/current || echo none`
                BEGIN;
                SELECT outcome, outcome = 'applied' AS is_applied
                FROM complete_plugin_update(:'id', :'claim_token', :'target_sha') AS outcome \gset
                \if :is_applied
                    \set is_in_place `cd :'home' && ln -sfn :'copy' next && mv -T next current && echo true || echo false`
                \else
                    \set is_in_place false
                \endif
                \if :is_in_place
                    COMMIT;
                \else
                    ROLLBACK;
                    SELECT fail_plugin_update(:'id', :'claim_token', 'cannot be put in place') AS outcome \gset
                \endif
            \endif
        \else
            SELECT fail_plugin_update(:'id', :'claim_token', :'result') AS outcome \gset
        \endif
        -- The copy before this one is not needed any more; or, if this one came to nothing, this. Above
        -- all if the update is stale: it is somebody else's by now, or nobody's.
        SELECT :'home' || '/' || CASE :'outcome' WHEN 'applied' THEN :'before' ELSE :'copy' END AS waste \gset
        \set thrown_away `rm -rf :'waste'`
    \endif
    \echo :workspace_id :plugin_name :target_sha :outcome
    \ir worker.sql
\endif
