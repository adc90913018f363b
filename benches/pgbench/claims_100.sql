SELECT COALESCE(array_agg(id), '{}') AS ids, COALESCE(array_agg(claim_token), '{}') AS tokens, COALESCE(array_agg(target_sha), '{}') AS shas
FROM claim_plugin_updates('worker', 100) \gset
SELECT count(*) FROM complete_plugin_updates(:ids::uuid[], :tokens::uuid[], :shas::text[]);
