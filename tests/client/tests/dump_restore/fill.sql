-- A database in use; @schema@ stands for the extension's schema.
CREATE ROLE reader LOGIN;
CREATE ROLE recorder LOGIN;
CREATE ROLE operator LOGIN;
CREATE ROLE application LOGIN;
CREATE ROLE stranger LOGIN;
CREATE ROLE dumper LOGIN;

CREATE SCHEMA IF NOT EXISTS @schema@;
CREATE EXTENSION pg_workspace_plugins SCHEMA @schema@;
SELECT @schema@.grant_plugin_access('reader', 'reader');
SELECT @schema@.grant_plugin_access('recorder', 'recorder');
SELECT @schema@.grant_plugin_access('operator', 'operator');
-- A right that no level gives, on a member of the extension.
GRANT SELECT (tier) ON @schema@.rollout_tiers TO application;

INSERT INTO @schema@.rollout_tiers VALUES ('canary', 10), ('stable, "quoted"', 20);
SELECT @schema@.register_plugin_workspace('00000000-0000-0000-0000-000000000001', 'canary');
SELECT @schema@.register_plugin_workspace('00000000-0000-0000-0000-000000000002', 'stable, "quoted"');

-- The application's own table. Its owner and its writer need no rights in the extension.
CREATE TABLE public."Work spaces" ("The id" uuid PRIMARY KEY, name text);
INSERT INTO public."Work spaces"
SELECT lpad(to_hex(n), 32, '0')::uuid, 'workspace ' || n FROM generate_series(16, 35) AS n;
SELECT @schema@.attach_workspaces('public."Work spaces"');
GRANT SELECT, INSERT, UPDATE, DELETE ON public."Work spaces" TO application;
CREATE TABLE public.operators_own (id uuid PRIMARY KEY);
ALTER TABLE public.operators_own OWNER TO operator;

-- A table that uses the types and the predicates.
CREATE TABLE public.followed (
    id integer PRIMARY KEY,
    wanted @schema@.tracked_ref NOT NULL DEFAULT 'tag:latest',
    raw text CHECK (@schema@.is_valid_tracked_ref(raw) AND @schema@.tracked_ref_kind(raw) <> 'none'),
    at_commit @schema@.commit_sha,
    source @schema@.plugin_source,
    upstream text GENERATED ALWAYS AS (@schema@.plugin_source_upstream(source)) STORED
);
CREATE INDEX followed_kind ON public.followed (@schema@.tracked_ref_kind(wanted));
CREATE VIEW public.followed_tags AS
    SELECT id, @schema@.resolve_tag(wanted, '{v1.0.0,v1.10.0}') AS tag FROM public.followed;
INSERT INTO public.followed (id, wanted, raw, at_commit, source) VALUES
    (1, DEFAULT, 'tag:latest', repeat('a', 40), 'github://Owner/repository'),
    (2, 'ref:main', 'sha:abc', repeat('0', 64), NULL),
    (3, 'tag:^1', NULL, NULL, 'my-plugin');

SELECT @schema@.record_workspace_plugin_install(
    w.workspace_id, 'plugin', 'https://GitHub.com/Foo/Bar.git#v1', ' tag:v1 ', repeat('b', 40))
FROM @schema@.plugin_workspaces AS w;
SELECT @schema@.record_workspace_plugin_install(
    '00000000-0000-0000-0000-000000000001', odd, 'local://' || odd, 'ref:' || odd || '.')
FROM unnest(ARRAY[E'tab\tand\nnewline', E'\\N', E'back\\slash', 'quote '' and "', 'ünï 日本語', ' ', 'NULL']) AS odd;
-- Times that are not of now.
UPDATE @schema@.workspace_plugins
SET installed_at = '2001-02-03 04:05:06.789+00', updated_at = 'infinity'
WHERE plugin_name = 'NULL';

-- Repositories that were observed, and updates in every way that they can be.
SELECT @schema@.record_workspace_plugin_install(
    '00000000-0000-0000-0000-000000000001', 'follows ' || ref, 'github://o/r#v1', ref, repeat('1', 40))
FROM unnest(ARRAY['tag:latest', 'tag:v1.0.0', 'tag:^1', 'ref:main', 'ref:dev', 'sha:' || repeat('3', 40)]) AS ref;
SELECT @schema@.observe_plugin_upstream('github.com/o/r', jsonb_build_object(
    'refs/tags/v1.0.0', repeat('1', 40), 'refs/heads/main', repeat('1', 40), 'refs/heads/dev', repeat('1', 40)));
SELECT @schema@.observe_plugin_upstream('github.com/o/r', jsonb_build_object(
    'refs/tags/v1.0.0', repeat('2', 40), 'refs/tags/v1.1.0', repeat('4', 40), 'refs/heads/main', repeat('5', 40)));
SELECT @schema@.accept_moved_tag('github.com/o/r', 'v1.0.0', repeat('2', 40));
SELECT @schema@.dismiss_plugin_update(id, E'not\tnow')
FROM @schema@.pending_plugin_updates WHERE tracked_ref = 'tag:^1';
SELECT @schema@.observe_plugin_upstream('github.com/o/r', jsonb_build_object(
    'refs/tags/v1.0.0', repeat('2', 40), 'refs/tags/v1.1.0', repeat('4', 40), 'refs/heads/main', repeat('6', 40)));
SELECT @schema@.report_plugin_upstream_error(upstream, claim_token, 'timed out')
FROM @schema@.claim_plugin_upstreams('worker', 1);
UPDATE @schema@.plugin_upstreams SET min_release_age = '0', check_interval = '1 hour 30 minutes';

-- Updates under way in two tiers, under limits; one that failed, one that was applied, a release that stands still.
UPDATE @schema@.rollout_tiers SET bake = '1 hour', max_in_flight = 2, max_starts = 20, starts_interval = '10 minutes';
INSERT INTO @schema@.plugin_update_policy (max_attempts, max_starts, starts_interval) VALUES (3, 25, '10 minutes');
SELECT @schema@.record_workspace_plugin_install(
    w.workspace_id, 'rolled out', 'github://o/rolled', 'ref:main', repeat('1', 40))
FROM @schema@.plugin_workspaces AS w;
SELECT @schema@.observe_plugin_upstream('github.com/o/rolled', jsonb_build_object('refs/heads/main', repeat('2', 40)));
SELECT @schema@.complete_plugin_update(id, claim_token, target_sha) FROM @schema@.claim_plugin_updates('worker', 1);
SELECT @schema@.fail_plugin_update(id, claim_token, E'it\tbroke') FROM @schema@.claim_plugin_updates('worker', 1);
SELECT FROM @schema@.claim_plugin_updates('worker', 2);
SELECT @schema@.pause_plugin_rollout('github.com/o/rolled', repeat('2', 40), 'not now');
