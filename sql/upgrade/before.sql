-- What tables of 0.2.0 need, before all that is new or has changed.

ALTER TABLE @extschema@.rollout_tiers
    ADD bake interval NOT NULL DEFAULT '0',
    ADD max_in_flight integer,
    ADD max_failure_percent integer DEFAULT 0,
    ADD max_starts integer,
    ADD starts_interval interval,
    ADD spread interval NOT NULL DEFAULT '0',
    ADD last_started_at timestamptz,
    ADD CONSTRAINT rollout_tiers_bake_check
        CHECK (bake OPERATOR(pg_catalog.>=) interval '0' AND pg_catalog.isfinite(bake)),
    ADD CONSTRAINT rollout_tiers_max_in_flight_check CHECK (max_in_flight OPERATOR(pg_catalog.>=) 1),
    ADD CONSTRAINT rollout_tiers_max_failure_percent_check
        CHECK (max_failure_percent OPERATOR(pg_catalog.>=) 0
           AND max_failure_percent OPERATOR(pg_catalog.<=) 100),
    ADD CONSTRAINT rollout_tiers_max_starts_check CHECK (max_starts OPERATOR(pg_catalog.>=) 1),
    ADD CONSTRAINT rollout_tiers_starts_interval_check
        CHECK ((max_starts IS NULL) OPERATOR(pg_catalog.=) (starts_interval IS NULL)
           AND starts_interval OPERATOR(pg_catalog.>) interval '0' AND pg_catalog.isfinite(starts_interval)),
    ADD CONSTRAINT rollout_tiers_spread_check
        CHECK (spread OPERATOR(pg_catalog.>=) interval '0' AND pg_catalog.isfinite(spread));

ALTER TABLE @extschema@.plugin_targets ADD next_sha @extschema@.commit_sha;

ALTER TABLE @extschema@.plugin_update_queue
    ADD rollout_tier text COLLATE pg_catalog."C" NOT NULL DEFAULT '',
    ADD due_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    ADD attempts integer NOT NULL DEFAULT 0,
    ADD last_error text,
    ADD claimed_by text,
    ADD claimed_at timestamptz,
    ADD claim_token uuid,
    ADD leased_until timestamptz,
    ADD is_outdated boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT plugin_update_queue_kind_check,
    ADD CONSTRAINT plugin_update_queue_kind_check CHECK (kind OPERATOR(pg_catalog.=) ANY (ARRAY[
        'pin_mismatch', 'retarget', 'new_version', 'branch_advanced', 'rollback']));
-- Nobody could claim anything: what is in such a state was written by hand.
UPDATE @extschema@.plugin_update_queue AS q
SET status = 'cancelled', reason = 'claimed before there were claims', finished_at = pg_catalog.clock_timestamp()
WHERE q.status OPERATOR(pg_catalog.=) ANY (ARRAY['claimed', 'deferred']);
ALTER TABLE @extschema@.plugin_update_queue
    ADD CONSTRAINT plugin_update_queue_claimed_check CHECK (
        (status OPERATOR(pg_catalog.=) 'claimed')
            OPERATOR(pg_catalog.=) (claim_token IS NOT NULL AND leased_until IS NOT NULL));
DROP INDEX @extschema@.plugin_update_queue_pending_key;
DROP INDEX @extschema@.plugin_update_queue_subscription_idx;
DROP INDEX @extschema@.plugin_update_queue_finished_at_idx;
DROP TRIGGER workspace_plugins_resourced ON @extschema@.workspace_plugins;

DROP FUNCTION @extschema@.plugin_access();
DROP FUNCTION @extschema@.claim_plugin_upstreams(text, integer, interval, timestamptz);
DROP FUNCTION @extschema@.report_plugin_upstream_error(text, uuid, text, timestamptz);
