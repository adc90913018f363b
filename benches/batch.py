"""record_workspace_plugin_installs: many installs in one call, and what memory that takes."""

import re
from functools import partial
from pathlib import Path

from harness import QUICK, Session, interleaved, pgbench_rate, say
from report import Comparison

ROWS = 2_000 if QUICK else 100_000
ROUNDS = 2 if QUICK else 5
WHAT = f"`record_workspace_plugin_installs`, {ROWS:,} rows"
SIZES = {"workspaces": ROWS // 20, "plugins": 20}

UPSERT = """INSERT INTO workspace_plugins AS w (workspace_id, plugin_name, source_raw, tracked_ref, installed_sha)
SELECT install.* FROM batch_input, {source} AS install
ON CONFLICT (workspace_id, plugin_name) DO UPDATE SET
    source_raw = excluded.source_raw,
    tracked_ref = excluded.tracked_ref,
    installed_sha = excluded.installed_sha,
    updated_at = GREATEST(w.updated_at, excluded.updated_at);"""
ARRAYS = "unnest(workspaces, names, sources, tracks, shas)"
ARRAYS_AS_TEXT = """unnest(workspaces_text::uuid[], names_text::text[], sources_text::text[],
    tracks_text::text[], shas_text::text[])"""
LOOP = f"""DO $$
DECLARE
    install record;
BEGIN
    FOR install IN SELECT i.* FROM batch_input, {ARRAYS} AS i (workspace, name, source, track, sha) LOOP
        PERFORM record_workspace_plugin_install(
            install.workspace, install.name, install.source, install.track, install.sha);
    END LOOP;
END
$$;"""

STATEMENTS = {
    "ours": "SELECT record_workspace_plugin_installs(document) FROM batch_input;",
    "unnest": UPSERT.format(source=ARRAYS),
    "ours, from text": "SELECT record_workspace_plugin_installs(document_text::jsonb) FROM batch_input;",
    "unnest, from text": UPSERT.format(source=ARRAYS_AS_TEXT),
}


def measure(session):
    say(f"batch: {ROWS:,} installs")
    session.file("sql/workspaces.sql", **SIZES)
    session.file("sql/batch_input.sql", rows=ROWS, **SIZES)
    return [
        *batches("new", interleaved(runs(session, into_empty=True), ROUNDS)),
        *batches("there already", interleaved(runs(session, into_empty=False), ROUNDS)),
        *calls(interleaved(one_by_one(session), ROUNDS)),
        memory(),
    ]


def runs(session, into_empty):
    return {name: partial(rate, session, into_empty, sql) for name, sql in STATEMENTS.items()}


def rate(session, into_empty, sql):
    """Installs a second: all of them new, or all of them there already."""
    session.run("TRUNCATE workspace_plugins;" if into_empty else "VACUUM workspace_plugins;")
    return ROWS / session.milliseconds(sql) * 1000


def one_by_one(session):
    """One call for all, one for each in one transaction, and one in a transaction of its own."""

    def transactions():
        session.run("TRUNCATE workspace_plugins;")
        return pgbench_rate("pgbench/record.sql", 1, SIZES)

    return {
        "ours": partial(rate, session, True, STATEMENTS["ours"]),
        "a transaction each": transactions,
        "one transaction": partial(rate, session, True, LOOP),
    }


def batches(case, samples):
    peer = "`INSERT … SELECT FROM unnest(…) ON CONFLICT`"
    for way in ("", ", from text"):
        what = f"{WHAT}, {case}{way}"
        yield Comparison.of(what, peer, "rows/s", samples, "ours" + way, "unnest" + way, "≥ 0.8")


def calls(samples):
    for way, target in (("a transaction each", "≥ 10"), ("one transaction", "")):
        yield Comparison.of(f"{WHAT}, new", f"one call a row, {way}", "rows/s", samples, "ours", way, target)


def memory():
    """How much the peak of a fresh backend's resident memory grows in one call."""
    with Session() as session:
        session.run("TRUNCATE workspace_plugins;")
        size = int(session.value("SELECT octet_length(document_text) FROM batch_input;"))
        status = Path("/proc") / session.value("SELECT pg_backend_pid();") / "status"
        session.run("""SELECT record_workspace_plugin_installs('[]');""")
        before = peak(status)
        session.run(STATEMENTS["ours"])
        grown = peak(status) - before
    mebibytes = [number / 2**20 for number in (grown, size)]
    return Comparison(f"{WHAT}: growth of the backend's peak memory", "size of the JSON", *mebibytes, "MiB", grown / size, "< 10")


def peak(status):
    return int(re.search(r"^VmHWM:\s*(\d+)", status.read_text(), re.M)[1]) * 1024
