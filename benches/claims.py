"""Claims and completions: beside a bare queue and pgmq, by the size of the backlog, and while a
transaction is held open."""

import re
import statistics
from contextlib import contextmanager, nullcontext
from functools import partial

from harness import QUICK, Session, interleaved, pgbench_rate, say
from report import Comparison

CLIENTS, BATCH = 8, 100
# How often each client claims and completes, one at a time and in batches. A run takes less than waits.
SINGLES, BATCHES = (25, 2) if QUICK else (500, 50)
WAITING = 2_000 if QUICK else 50_000
BACKLOGS = (1_000, 2_000, 5_000) if QUICK else (1_000, 100_000, 1_000_000)
CLAIMS = 20 if QUICK else 100
BURN_DOWN = 4_000 if QUICK else 200_000
BURN_DOWN_ROUNDS = 2 if QUICK else 3

# By peer, what fills its queue, what counts what it has completed, and its two scripts.
OURS = ("sql/claims_fill.sql", "plugin_update_queue WHERE status = 'applied'", "pgbench/claims")
BARE = ("peers/claims_bare_fill.sql", "bare_queue WHERE status = 'applied'", "pgbench/claims_bare")
PGMQ = ("peers/claims_pgmq_fill.sql", "pgmq.a_updates", "pgbench/claims_pgmq")


def measure(session):
    rows = [*rates(session), *latencies(session), burn_down(session)]
    session.file("sql/claims_fleet.sql", installs=0, tiers="off")
    return rows


def facts(session):
    return [] if has_pgmq(session) else ["pgmq: not to be had here"]


def has_pgmq(session):
    return session.file("peers/claims_pgmq.sql") == ["t"]


def rates(session):
    session.file("sql/claims_fleet.sql", installs=WAITING, tiers="off")
    session.file("sql/claims_fill.sql")
    session.file("peers/claims_bare.sql")
    peers = {"ours": OURS, "bare": BARE}
    if has_pgmq(session):
        session.run("SELECT pgmq.create('updates');")
        peers["pgmq"] = PGMQ
    for commit in ("on", "off"):
        say(f"claims: {WAITING:,} updates, {CLIENTS} clients, synchronous_commit={commit}")
        runs = {f"{name}{suffix}": partial(rate, session, peer, commit, *size)
                for name, peer in peers.items()
                for suffix, size in (("", (1, SINGLES)), (" in batches", (BATCH, BATCHES)))}
        yield from compare(commit, interleaved(runs))


def rate(session, peer, commit, batch, times, beside=nullcontext):
    """Updates a second, of as many by all peers, each from a queue that is as full."""
    fill, completed, scripts = peer
    session.file(fill)
    script = f"{scripts}.sql" if batch == 1 else f"{scripts}_{batch}.sql"
    with beside():
        a_second = batch * pgbench_rate(script, CLIENTS, {}, f"-c synchronous_commit={commit}", ("-t", str(times)))
    done = int(session.value(f"SELECT count(*) FROM {completed};"))
    if done != CLIENTS * times * batch:
        raise SystemExit(f"{script} completed {done:,} updates of {CLIENTS * times * batch:,}")
    return a_second


def compare(commit, samples):
    def against(peer, name, target="", suffix=""):
        what = f"claim and complete{suffix and f' {BATCH} at a time'}, {CLIENTS} clients, synchronous_commit={commit}"
        return Comparison.of(what, peer, "updates/s", samples, f"ours{suffix}", name, target)

    batches = " in batches"
    bare = "bare `FOR UPDATE SKIP LOCKED`, then two `UPDATE`s"
    yield against(bare, "bare", "≥ 0.8")
    yield against(f"{bare}, {BATCH} at a time", "bare in batches", suffix=batches)
    yield against("one at a time", "ours", "≥ 8", batches)
    if "pgmq" in samples:
        yield against("pgmq's `read` and `archive`", "pgmq", "≥ 1")
        yield against(f"pgmq's `read` and `archive`, {BATCH} at a time", "pgmq in batches", "≥ 1", batches)


def latencies(session):
    """What one claim costs does not depend on how many updates wait for their tier's turn."""
    milliseconds = {}
    for backlog in BACKLOGS:
        say(f"claims: {backlog:,} updates, one in a hundred for canaries")
        session.file("sql/claims_fleet.sql", installs=backlog, tiers="on")
        session.file("sql/claims_fill.sql")
        took = interleaved({"claim": partial(claim_milliseconds, session)})
        milliseconds[backlog] = took.median("claim")
    first = milliseconds[BACKLOGS[0]]
    for backlog in BACKLOGS[1:]:
        yield Comparison(f"one claim of {backlog:,} waiting updates, 99 % of a tier that is not open",
                         f"{BACKLOGS[0]:,} waiting updates", milliseconds[backlog], first, "ms",
                         milliseconds[backlog] / first, "≤ 1.5")


def claim_milliseconds(session):
    """The median of many claims, each taken back, so that the next finds the same."""
    session.run("VACUUM plugin_update_queue;")
    statements = "BEGIN;\n\\timing on\nSELECT * FROM claim_plugin_updates('worker');\n\\timing off\nROLLBACK;"
    answers = (session.run(statements) for _ in range(CLAIMS))
    return statistics.median(float(re.search(r"^Time: ([\d.]+) ms", answer[1])[1]) for answer in answers)


def burn_down(session):
    say(f"claims: all of {BURN_DOWN:,} updates, {BATCH} at a time")
    session.file("sql/claims_fleet.sql", installs=BURN_DOWN, tiers="off")
    all_of_them = partial(rate, session, OURS, "off", BATCH, BURN_DOWN // CLIENTS // BATCH)
    took = interleaved({"held": partial(all_of_them, open_transaction), "free": all_of_them}, BURN_DOWN_ROUNDS)
    return Comparison.of(f"claim and complete all of {BURN_DOWN:,}, {BATCH} at a time, {CLIENTS} clients,"
                         " synchronous_commit=off, a transaction with an old snapshot held open",
                         "no such transaction", "updates/s", took, "held", "free", "≥ 0.7")


@contextmanager
def open_transaction():
    """Until it ends, nothing that the others leave behind can be cleared away."""
    with Session() as other:
        other.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM plugin_update_queue;")
        yield
