"""is_valid_tracked_ref: a filter over a big table, as a whole query."""

import os
import shlex
import subprocess
from pathlib import Path

from harness import HERE, QUICK, interleaved, say
from report import Comparison

ROWS = 20_000 if QUICK else 2_000_000


def build_library():
    """Compiles the peer in C into the folder of the throwaway server, which may read it there."""
    library = Path(os.environ["PGHOST"]) / "predicate.so"
    include, flags = (
        subprocess.run([os.environ["PG_CONFIG"], option], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
        for option in ("--includedir-server", "--cppflags")
    )
    subprocess.run(["cc", "-O2", "-fPIC", "-shared", f"-I{include}", *shlex.split(flags),
                    "-o", library, HERE / "peers/predicate.c"], check=True)
    library.chmod(0o755)
    return library


def prepare(session):
    session.file("peers/predicate.sql", library=build_library())
    session.file("sql/predicate_values.sql", rows=ROWS)
    different = session.file("sql/predicate_edges.sql")
    if different:
        raise SystemExit("the predicates differ:\n" + "\n".join(different[:20]))


def measure(session):
    say(f"predicate: {ROWS:,} values")
    prepare(session)
    conditions = {
        "ours": "is_valid_tracked_ref(value)",
        "C": "peer_c_predicate(value)",
        "regex": "value ~ :'regex'",
        "plpgsql": "peer_plpgsql_predicate(value)",
        "no filter": "true",
    }
    took = interleaved({
        name: lambda condition=condition: session.milliseconds(
            f"SELECT count(*) FROM predicate_values WHERE {condition};")
        for name, condition in conditions.items()
    })
    return list(compare(took))


def compare(took):
    what = f"`is_valid_tracked_ref`, {ROWS:,} values"

    def against(name, peer, target="", **how):
        return Comparison.of(what, peer, "ms", took, "ours", name, target, **how)

    yield against("C", "hand-written C; ours ÷ its time", "≤ 1.2")
    yield against("regex", "regex; its time ÷ ours", "≥ 7", inverse=True)
    yield against("plpgsql", "PL/pgSQL; its time ÷ ours", "≥ 8", inverse=True)
    yield against("no filter", "no filter; ours ÷ its time")
