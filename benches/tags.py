"""resolve_tag: the highest of many tags."""

import os
import random
from pathlib import Path

from harness import QUICK, interleaved, say
from report import Comparison

TAGS = 200 if QUICK else 12_000
REPEATS = 2 if QUICK else 20

# One message with many statements, so that the way to the server and back hardly counts.
STATEMENTS = {
    "ours": r"SELECT resolve_tag('tag:latest', tags) FROM tags\; " * REPEATS + ";",
    "semver": r"SELECT (SELECT t FROM unnest(versions) AS t ORDER BY t::semver DESC LIMIT 1) FROM tags\; " * REPEATS + ";",
}


def tag_names():
    """The tags in the file BENCH_TAGS, one a line or as `git ls-remote` prints them, else made up."""
    file = os.environ.get("BENCH_TAGS")
    if not file:
        return made_up(random.Random(1))
    names = (line.split("refs/tags/")[-1] for line in Path(file).read_text().splitlines() if "refs/heads/" not in line)
    return [name for name in names if not name.endswith("^{}")][:TAGS]


def made_up(dice):
    """As of a project that releases many times a day: nine in ten without a v, few pre-releases."""
    names = [f"{dice.randrange(9, 44)}.{dice.randrange(300)}.{dice.randrange(20)}" for _ in range(TAGS)]
    return [
        f"v{name}" if place % 11 == 0 else f"{name}-next.{place % 9}" if place % 160 == 1 else name
        for place, name in enumerate(names)
    ]


def measure(session):
    names = tag_names()
    say(f"tags: {len(names):,} of {os.environ.get('BENCH_TAGS', 'made-up names')}")
    prepare(session, names)
    took = interleaved({name: lambda sql=sql: session.milliseconds(sql) / REPEATS for name, sql in STATEMENTS.items()})
    what = f"`resolve_tag`, {len(names):,} {'real' if 'BENCH_TAGS' in os.environ else 'made-up'} tags"
    peer = "`ORDER BY t::semver DESC LIMIT 1`; its time ÷ ours"
    return [Comparison.of(what, peer, "ms", took, "ours", "semver", "≥ 5", inverse=True)]


def prepare(session, names):
    file = Path(os.environ["PGHOST"]) / "tags"
    file.write_text("".join(f"{name}\n" for name in names))
    file.chmod(0o644)
    session.file("sql/tags.sql", tags=file)
    ours, theirs = (session.run(sql)[0].removeprefix("v") for sql in STATEMENTS.values())
    if ours != theirs:
        raise SystemExit(f"the highest tag is {ours} or {theirs}")
