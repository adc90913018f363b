"""record_workspace_plugin_install: one install a transaction, two clients."""

from functools import partial

from harness import PGBENCH_ROUNDS, QUICK, interleaved, pgbench_rate, say
from report import Comparison

CLIENTS = 2
WORKSPACES, PLUGINS = (100, 10) if QUICK else (2_000, 50)
SIZES = {"workspaces": WORKSPACES, "plugins": PLUGINS}

# The row that the function gives costs the server and the client alike: each of our two scripts
# has its match.
SCRIPTS = {
    "ours": "pgbench/record.sql",
    "ours without row": "pgbench/record_without_row.sql",
    "INSERT": "pgbench/insert.sql",
    "INSERT RETURNING": "pgbench/insert_returning.sql",
    "PL/pgSQL": "pgbench/plpgsql.sql",
}


def measure(session):
    session.file("peers/record.sql")
    session.file("sql/workspaces.sql", **SIZES)
    session.file("sql/record_installs.sql", **SIZES)
    return [row for commit in ("on", "off") for row in compare(commit, rates(session, commit))]


def rates(session, commit):
    say(f"record: {WORKSPACES * PLUGINS:,} installs, synchronous_commit={commit}")

    def rate(script):
        # Every run finds the table without what the one before left behind.
        session.run("VACUUM workspace_plugins;")
        return pgbench_rate(script, CLIENTS, SIZES, f"-c synchronous_commit={commit}")

    return interleaved({name: partial(rate, script) for name, script in SCRIPTS.items()}, PGBENCH_ROUNDS)


def compare(commit, samples):
    function = "`record_workspace_plugin_install`"

    def against(ours, form, peer, name, target=""):
        what = f"{form}, {CLIENTS} clients, synchronous_commit={commit}"
        return Comparison.of(what, peer, "/s", samples, ours, name, target)

    # With the log flushed for each, the disk decides, and makes all of them alike.
    targets = ("≥ 0.95", "≥ 1.15") if commit == "off" else ("≥ 0.95", "")
    without_row, with_row = f"`SELECT FROM` {function}", f"`SELECT` {function}"
    yield against("ours without row", without_row, "bare `INSERT … ON CONFLICT`", "INSERT", targets[0])
    yield against("ours", with_row, "bare `INSERT … ON CONFLICT`", "INSERT")
    yield against("ours", with_row, "`INSERT … ON CONFLICT … RETURNING *`", "INSERT RETURNING")
    yield against("ours", with_row, "PL/pgSQL function", "PL/pgSQL", targets[1])
