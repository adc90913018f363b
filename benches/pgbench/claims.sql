SELECT * FROM claim_plugin_updates('worker') \gset
SELECT complete_plugin_update(:id::uuid, :claim_token::uuid, :target_sha);
