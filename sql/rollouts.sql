-- How updates are to be rolled out, and how far each release has come.

-- One row, which may be missing: then all is as the defaults say.
CREATE TABLE @extschema@.plugin_update_policy (
    is_policy boolean NOT NULL DEFAULT true,
    max_attempts integer NOT NULL DEFAULT 5,
    retry_delay interval NOT NULL DEFAULT '1 minute',
    defer_delay interval NOT NULL DEFAULT '10 minutes',
    max_in_flight integer,
    max_failure_percent integer,
    max_starts integer,
    starts_interval interval,
    spread interval NOT NULL DEFAULT '0',
    last_started_at timestamptz,
    CONSTRAINT plugin_update_policy_pkey PRIMARY KEY (is_policy),
    CONSTRAINT plugin_update_policy_is_policy_check CHECK (is_policy),
    CONSTRAINT plugin_update_policy_max_attempts_check CHECK (max_attempts OPERATOR(pg_catalog.>=) 1),
    CONSTRAINT plugin_update_policy_retry_delay_check
        CHECK (retry_delay OPERATOR(pg_catalog.>) interval '0' AND pg_catalog.isfinite(retry_delay)),
    CONSTRAINT plugin_update_policy_defer_delay_check
        CHECK (defer_delay OPERATOR(pg_catalog.>) interval '0' AND pg_catalog.isfinite(defer_delay)),
    CONSTRAINT plugin_update_policy_max_in_flight_check CHECK (max_in_flight OPERATOR(pg_catalog.>=) 1),
    CONSTRAINT plugin_update_policy_max_failure_percent_check
        CHECK (max_failure_percent OPERATOR(pg_catalog.>=) 0
           AND max_failure_percent OPERATOR(pg_catalog.<=) 100),
    CONSTRAINT plugin_update_policy_max_starts_check CHECK (max_starts OPERATOR(pg_catalog.>=) 1),
    CONSTRAINT plugin_update_policy_starts_interval_check
        CHECK ((max_starts IS NULL) OPERATOR(pg_catalog.=) (starts_interval IS NULL)
           AND starts_interval OPERATOR(pg_catalog.>) interval '0' AND pg_catalog.isfinite(starts_interval)),
    CONSTRAINT plugin_update_policy_spread_check
        CHECK (spread OPERATOR(pg_catalog.>=) interval '0' AND pg_catalog.isfinite(spread))
);
COMMENT ON TABLE @extschema@.plugin_update_policy IS
    'How updates are handed out in the whole database: one row. Without it all is as the defaults say.';
COMMENT ON COLUMN @extschema@.plugin_update_policy.is_policy IS 'Always true: there is one policy.';
COMMENT ON COLUMN @extschema@.plugin_update_policy.max_attempts IS
    'After how many failed attempts an update is given up.';
COMMENT ON COLUMN @extschema@.plugin_update_policy.retry_delay IS
    'How long an update waits after its first failed attempt; it doubles with each, up to a day, give or take a quarter.';
COMMENT ON COLUMN @extschema@.plugin_update_policy.defer_delay IS
    'How long an update that was delivered but is not in use yet waits before it is handed out again.';
COMMENT ON COLUMN @extschema@.plugin_update_policy.max_in_flight IS
    'How many updates may be under way at once, of all tiers together; NULL: any number.';
COMMENT ON COLUMN @extschema@.plugin_update_policy.max_failure_percent IS
    'As in rollout_tiers, for the workspaces without a tier; NULL: a release is never paused for them.';
COMMENT ON COLUMN @extschema@.plugin_update_policy.max_starts IS
    'How many updates may be started in any starts_interval, of all tiers together; NULL: any number.';
COMMENT ON COLUMN @extschema@.plugin_update_policy.starts_interval IS 'The interval that max_starts is for.';
COMMENT ON COLUMN @extschema@.plugin_update_policy.spread IS
    'As in rollout_tiers, for the workspaces without a tier.';
COMMENT ON COLUMN @extschema@.plugin_update_policy.last_started_at IS
    'When an update was last started under one of these limits. Kept by claim_plugin_updates().';

CREATE TABLE @extschema@.plugin_update_starts (
    tier text COLLATE pg_catalog."C" NOT NULL,
    started_at timestamptz NOT NULL,
    claim_token uuid NOT NULL,
    updates bigint NOT NULL,
    CONSTRAINT plugin_update_starts_pkey PRIMARY KEY (tier, started_at, claim_token)
);
COMMENT ON TABLE @extschema@.plugin_update_starts IS
    'What was started lately under a limit of starts. Kept by claim_plugin_updates().';
COMMENT ON COLUMN @extschema@.plugin_update_starts.tier IS
    'The tier whose limit it counts for; empty: that of the whole database.';
COMMENT ON COLUMN @extschema@.plugin_update_starts.started_at IS 'When.';
COMMENT ON COLUMN @extschema@.plugin_update_starts.claim_token IS 'By which claim.';
COMMENT ON COLUMN @extschema@.plugin_update_starts.updates IS 'How many updates.';

CREATE TABLE @extschema@.plugin_rollouts (
    upstream text COLLATE pg_catalog."C" NOT NULL,
    sha @extschema@.commit_sha NOT NULL,
    state text NOT NULL DEFAULT 'active',
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    next_open_at timestamptz NOT NULL DEFAULT '-infinity',
    state_since timestamptz,
    reason text,
    forgiven_until timestamptz,
    CONSTRAINT plugin_rollouts_pkey PRIMARY KEY (upstream, sha),
    CONSTRAINT plugin_rollouts_state_check CHECK (state OPERATOR(pg_catalog.=) ANY (ARRAY[
        'active', 'paused', 'aborted', 'rolled_back']))
);
CREATE INDEX plugin_rollouts_next_open_at_idx ON @extschema@.plugin_rollouts (next_open_at)
    WHERE state OPERATOR(pg_catalog.=) 'active';
CREATE INDEX plugin_rollouts_stopped_idx ON @extschema@.plugin_rollouts (upstream, sha)
    WHERE state OPERATOR(pg_catalog.<>) 'active';
COMMENT ON TABLE @extschema@.plugin_rollouts IS
    'Every release, a commit of a repository, that some install is or was to get.';
COMMENT ON COLUMN @extschema@.plugin_rollouts.upstream IS 'The repository.';
COMMENT ON COLUMN @extschema@.plugin_rollouts.sha IS 'The commit.';
COMMENT ON COLUMN @extschema@.plugin_rollouts.state IS
    'active; paused: nothing is handed out; aborted: nor is it wanted any more; rolled_back: what has it gets back what it had before.';
COMMENT ON COLUMN @extschema@.plugin_rollouts.created_at IS 'When some install was first to get it.';
COMMENT ON COLUMN @extschema@.plugin_rollouts.next_open_at IS
    'Not before this can the next tier get it; infinity: not before something else happens.';
COMMENT ON COLUMN @extschema@.plugin_rollouts.state_since IS 'When the state last changed; NULL: never.';
COMMENT ON COLUMN @extschema@.plugin_rollouts.reason IS 'Why it is in this state.';
COMMENT ON COLUMN @extschema@.plugin_rollouts.forgiven_until IS
    'When it was last resumed: earlier failures do not pause it again.';

CREATE TABLE @extschema@.plugin_rollout_lanes (
    upstream text COLLATE pg_catalog."C" NOT NULL,
    sha @extschema@.commit_sha NOT NULL,
    tier text COLLATE pg_catalog."C" NOT NULL,
    opened_at timestamptz,
    is_claimable boolean NOT NULL DEFAULT false,
    next_due_at timestamptz NOT NULL DEFAULT 'infinity',
    CONSTRAINT plugin_rollout_lanes_pkey PRIMARY KEY (upstream, sha, tier),
    CONSTRAINT plugin_rollout_lanes_rollout_fkey FOREIGN KEY (upstream, sha)
        REFERENCES @extschema@.plugin_rollouts (upstream, sha) ON DELETE CASCADE
);
CREATE INDEX plugin_rollout_lanes_claimable_idx ON @extschema@.plugin_rollout_lanes (tier, next_due_at)
    WHERE is_claimable;
COMMENT ON TABLE @extschema@.plugin_rollout_lanes IS
    'The tiers of each release, in which its updates stand.';
COMMENT ON COLUMN @extschema@.plugin_rollout_lanes.upstream IS 'The repository.';
COMMENT ON COLUMN @extschema@.plugin_rollout_lanes.sha IS 'The commit.';
COMMENT ON COLUMN @extschema@.plugin_rollout_lanes.tier IS
    'The tier; empty: the workspaces without one, which come last.';
COMMENT ON COLUMN @extschema@.plugin_rollout_lanes.opened_at IS
    'Since when the tier may get the release; NULL: not yet.';
COMMENT ON COLUMN @extschema@.plugin_rollout_lanes.is_claimable IS
    'Whether updates are handed out: it is open, and the release is active.';
COMMENT ON COLUMN @extschema@.plugin_rollout_lanes.next_due_at IS
    'Nothing that waits here is due before this, so that a claim need not look further back.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.plugin_update_policy'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.plugin_update_starts'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.plugin_rollouts'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.plugin_rollout_lanes'::pg_catalog.regclass, '');
