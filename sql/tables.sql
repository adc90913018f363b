-- What is installed where.

CREATE TABLE @extschema@.rollout_tiers (
    tier text COLLATE pg_catalog."C" NOT NULL,
    "position" integer NOT NULL,
    bake interval NOT NULL DEFAULT '0',
    max_in_flight integer,
    max_failure_percent integer DEFAULT 0,
    max_starts integer,
    starts_interval interval,
    spread interval NOT NULL DEFAULT '0',
    last_started_at timestamptz,
    CONSTRAINT rollout_tiers_pkey PRIMARY KEY (tier),
    CONSTRAINT rollout_tiers_position_key UNIQUE ("position"),
    CONSTRAINT rollout_tiers_tier_check
        CHECK (pg_catalog.octet_length(tier) OPERATOR(pg_catalog.>=) 1
           AND pg_catalog.octet_length(tier) OPERATOR(pg_catalog.<=) 255),
    CONSTRAINT rollout_tiers_bake_check
        CHECK (bake OPERATOR(pg_catalog.>=) interval '0' AND pg_catalog.isfinite(bake)),
    CONSTRAINT rollout_tiers_max_in_flight_check CHECK (max_in_flight OPERATOR(pg_catalog.>=) 1),
    CONSTRAINT rollout_tiers_max_failure_percent_check
        CHECK (max_failure_percent OPERATOR(pg_catalog.>=) 0
           AND max_failure_percent OPERATOR(pg_catalog.<=) 100),
    CONSTRAINT rollout_tiers_max_starts_check CHECK (max_starts OPERATOR(pg_catalog.>=) 1),
    CONSTRAINT rollout_tiers_starts_interval_check
        CHECK ((max_starts IS NULL) OPERATOR(pg_catalog.=) (starts_interval IS NULL)
           AND starts_interval OPERATOR(pg_catalog.>) interval '0' AND pg_catalog.isfinite(starts_interval)),
    CONSTRAINT rollout_tiers_spread_check
        CHECK (spread OPERATOR(pg_catalog.>=) interval '0' AND pg_catalog.isfinite(spread))
);
COMMENT ON TABLE @extschema@.rollout_tiers IS
    'The tiers in which updates are rolled out, such as canary and stable.';
COMMENT ON COLUMN @extschema@.rollout_tiers.tier IS 'The tier''s name.';
COMMENT ON COLUMN @extschema@.rollout_tiers."position" IS
    'The tier''s place in the order of a rollout; the lowest is first.';
COMMENT ON COLUMN @extschema@.rollout_tiers.bake IS
    'How long a release has to have been in use here, since its last success, before the next tier gets it.';
COMMENT ON COLUMN @extschema@.rollout_tiers.max_in_flight IS
    'How many updates of the tier may be under way at once, of all releases together; NULL: any number.';
COMMENT ON COLUMN @extschema@.rollout_tiers.max_failure_percent IS
    'A release of which more than this part of the tier''s updates failed is paused; NULL: it never is.';
COMMENT ON COLUMN @extschema@.rollout_tiers.max_starts IS
    'How many updates of the tier may be started in any starts_interval; NULL: any number.';
COMMENT ON COLUMN @extschema@.rollout_tiers.starts_interval IS 'The interval that max_starts is for.';
COMMENT ON COLUMN @extschema@.rollout_tiers.spread IS
    'Over how long the updates that become possible at once are spread, at random.';
COMMENT ON COLUMN @extschema@.rollout_tiers.last_started_at IS
    'When an update was last started under one of the tier''s limits. Kept by claim_plugin_updates().';

CREATE TABLE @extschema@.plugin_workspaces (
    workspace_id uuid NOT NULL,
    rollout_tier text COLLATE pg_catalog."C",
    CONSTRAINT plugin_workspaces_pkey PRIMARY KEY (workspace_id),
    CONSTRAINT plugin_workspaces_rollout_tier_check
        CHECK (pg_catalog.octet_length(rollout_tier) OPERATOR(pg_catalog.<=) 255),
    CONSTRAINT plugin_workspaces_rollout_tier_fkey
        FOREIGN KEY (rollout_tier) REFERENCES @extschema@.rollout_tiers (tier)
        ON UPDATE CASCADE ON DELETE SET NULL
);
-- For the foreign key: removing or renaming a tier looks for its workspaces.
CREATE INDEX plugin_workspaces_rollout_tier_idx ON @extschema@.plugin_workspaces (rollout_tier)
    WHERE rollout_tier IS NOT NULL;
COMMENT ON TABLE @extschema@.plugin_workspaces IS
    'The workspaces that may have plugins. Kept by attach_workspaces() or register_plugin_workspace().';
COMMENT ON COLUMN @extschema@.plugin_workspaces.workspace_id IS
    'The workspace''s id in the application.';
COMMENT ON COLUMN @extschema@.plugin_workspaces.rollout_tier IS
    'The tier in which the workspace gets updates; NULL: after all tiers.';

CREATE TABLE @extschema@.workspace_plugins (
    workspace_id uuid NOT NULL,
    plugin_name text COLLATE pg_catalog."C" NOT NULL,
    source_raw @extschema@.plugin_source NOT NULL,
    upstream text COLLATE pg_catalog."C" GENERATED ALWAYS AS (@extschema@.plugin_source_upstream(source_raw)) STORED,
    tracked_ref @extschema@.tracked_ref NOT NULL DEFAULT 'none',
    installed_sha @extschema@.commit_sha,
    installed_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CONSTRAINT workspace_plugins_pkey PRIMARY KEY (workspace_id, plugin_name),
    CONSTRAINT workspace_plugins_workspace_id_fkey
        FOREIGN KEY (workspace_id) REFERENCES @extschema@.plugin_workspaces (workspace_id)
        ON UPDATE CASCADE ON DELETE CASCADE,
    -- The limits keep every key of an index within what a page takes.
    CONSTRAINT workspace_plugins_plugin_name_check
        CHECK (pg_catalog.octet_length(plugin_name) OPERATOR(pg_catalog.>=) 1
           AND pg_catalog.octet_length(plugin_name) OPERATOR(pg_catalog.<=) 255),
    CONSTRAINT workspace_plugins_tracked_ref_check
        CHECK (pg_catalog.octet_length(tracked_ref) OPERATOR(pg_catalog.<=) 512)
);
COMMENT ON TABLE @extschema@.workspace_plugins IS
    'The plugins that are installed, by workspace. Written by record_workspace_plugin_install(), or directly under the same constraints.';
COMMENT ON COLUMN @extschema@.workspace_plugins.workspace_id IS 'The workspace, as registered.';
COMMENT ON COLUMN @extschema@.workspace_plugins.plugin_name IS
    'The plugin''s name, unique in its workspace; 1 to 255 bytes.';
COMMENT ON COLUMN @extschema@.workspace_plugins.source_raw IS
    'Where the plugin was installed from, as the user wrote it; up to 2048 bytes, without secrets.';
COMMENT ON COLUMN @extschema@.workspace_plugins.upstream IS
    'The identity of the source''s repository; NULL where it has none.';
COMMENT ON COLUMN @extschema@.workspace_plugins.tracked_ref IS
    'The upstream ref that the install follows; none: it follows nothing.';
COMMENT ON COLUMN @extschema@.workspace_plugins.installed_sha IS
    'The commit that is installed; NULL where it is not known.';
COMMENT ON COLUMN @extschema@.workspace_plugins.installed_at IS 'When the plugin was first recorded.';
COMMENT ON COLUMN @extschema@.workspace_plugins.updated_at IS 'When the plugin was last recorded.';

-- One statement each: another extension's hooks on the catalog may not bear several in one.
SELECT pg_catalog.pg_extension_config_dump('@extschema@.rollout_tiers'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.plugin_workspaces'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.workspace_plugins'::pg_catalog.regclass, '');
