"""Drift: a full check, an observation, what one new tag sets off, and the health of it all."""

import json
import os
from functools import partial
from pathlib import Path

from harness import PGBENCH_ROUNDS, QUICK, interleaved, pgbench_rate, say
from report import Comparison

INSTALLS = 20_000 if QUICK else 1_000_000
UPSTREAMS = 100 if QUICK else 5_000
FOLLOWERS = INSTALLS // 10
TAGS = 200 if QUICK else 12_000
SIZES = {"installs": INSTALLS, "upstreams": UPSTREAMS, "followers": FOLLOWERS}

HASH_JOIN = """SELECT count(*) FROM workspace_plugins AS p
JOIN plugin_targets AS t USING (upstream, tracked_ref) WHERE p.installed_sha IS DISTINCT FROM t.sha;"""
COUNT = "SELECT count(*) FROM workspace_plugins;"
HEALTH = "SELECT * FROM plugin_tracking_health;"
PARSE = """CREATE TEMP TABLE parsed AS SELECT pair.key, pair.value FROM answer, jsonb_each_text(refs) AS pair;
DROP TABLE parsed;"""


def measure(session):
    session.run("SET max_parallel_workers_per_gather = 2;")
    session.file("sql/many_tags.sql", refs=answer_file())
    rows = [*flat_observations(session)]
    say(f"drift: {INSTALLS:,} installs of {UPSTREAMS:,} upstreams")
    rows += [full_check(session), health(session), observation(session), new_tag(session), *recording(session)]
    session.run("RESET max_parallel_workers_per_gather;")
    return rows


def answer_file():
    """The answer in the file BENCH_REFS, as `git ls-remote` prints it, else a made-up one."""
    given = os.environ.get("BENCH_REFS")
    lines = Path(given).read_text().splitlines() if given else made_up()
    refs = {ref: sha for sha, ref in (line.split("\t") for line in lines)}
    file = Path(os.environ["PGHOST"]) / "refs.json"
    file.write_text(json.dumps(refs))
    file.chmod(0o644)
    return file


def made_up():
    return [f"{number:040x}\trefs/tags/{number // 400}.{number // 20 % 20}.{number % 20}" for number in range(TAGS)]


def flat_observations(session):
    """What an unchanged observation costs does not depend on how many installs there are."""
    milliseconds = {}
    for installs in (INSTALLS // 100, INSTALLS // 10, INSTALLS):
        session.file("sql/fleet.sql", **SIZES | {"installs": installs})
        took = interleaved({"observe": partial(session.milliseconds, observe_statement())})
        milliseconds[installs] = took.median("observe")
    first = milliseconds[INSTALLS // 100]
    for installs, took in list(milliseconds.items())[1:]:
        yield Comparison(f"unchanged observation, {installs:,} installs", f"{INSTALLS // 100:,} installs",
                         took, first, "ms", took / first, "≤ 1.5")


def observe_statement():
    return "SELECT (observe_plugin_upstream('example.com/many/tags', refs)).outcome FROM answer;"


def full_check(session):
    took = interleaved({
        "ours": partial(session.milliseconds, "SELECT detect_plugin_drift();"),
        "hash join": partial(session.milliseconds, HASH_JOIN),
    })
    return Comparison.of(f"`detect_plugin_drift`, {INSTALLS:,} installs, nothing drifted",
                         "parallel hash join; its time ÷ ours", "ms", took, "ours", "hash join", "≥ 3", inverse=True)


def health(session):
    took = interleaved({
        "ours": partial(session.milliseconds, HEALTH),
        "count": partial(session.milliseconds, COUNT),
    })
    return Comparison.of(f"`plugin_tracking_health`, {INSTALLS:,} installs", "`count(*)`; ours ÷ its time",
                         "ms", took, "ours", "count", "≤ 1")


def observation(session):
    took = interleaved({
        "ours": partial(session.milliseconds, observe_statement()),
        "parse": partial(session.milliseconds, PARSE),
    })
    return Comparison.of(f"unchanged observation of {TAGS:,} tags",
                         "`jsonb_each_text` into a temporary table; ours ÷ its time", "ms", took, "ours", "parse", "≤ 1.5")


def new_tag(session):
    def ours():
        session.file("sql/before_new_tag.sql")
        return session.milliseconds("SELECT (observe_plugin_upstream('example.com/hot/plugin', after)).queued FROM hot;")

    def peer():
        session.run("TRUNCATE queue_peer;")
        return session.milliseconds("""INSERT INTO queue_peer
            (workspace_id, plugin_name, upstream, tracked_ref, kind, current_sha, target_ref, target_sha, created_at, waiting_since)
            SELECT workspace_id, plugin_name, upstream, tracked_ref, 'new_version', installed_sha, 'refs/tags/v2.0.0', repeat('b', 40), now(), now()
            FROM workspace_plugins WHERE upstream = 'example.com/hot/plugin' AND tracked_ref = 'tag:latest' AND tracked_ref <> 'none';""")

    took = interleaved({"ours": ours, "peer": peer})
    session.file("sql/before_new_tag.sql")
    return Comparison.of(f"a new tag that {FOLLOWERS:,} of {INSTALLS:,} installs follow",
                         "`INSERT … SELECT` of the same rows; ours ÷ its time", "ms", took, "ours", "peer", "≤ 1.5")


def recording(session):
    for commit, target in (("on", "≥ 0.8"), ("off", "≥ 0.8")):
        def rate(script, commit=commit):
            session.run("VACUUM workspace_plugins; VACUUM plugin_upstreams;")
            return pgbench_rate(script, 2, SIZES, f"-c synchronous_commit={commit}")

        rates = interleaved({
            "ours": partial(rate, "pgbench/record_tracked.sql"),
            "INSERT": partial(rate, "pgbench/insert_tracked.sql"),
        }, max(2, PGBENCH_ROUNDS // 2))
        yield Comparison.of(f"`record_workspace_plugin_install`, tracked and up to date, 2 clients, synchronous_commit={commit}",
                            "bare `INSERT … ON CONFLICT`", "/s", rates, "ours", "INSERT", target)
