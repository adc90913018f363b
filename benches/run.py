#!/usr/bin/env -S python3 -B
"""Runs the benchmarks against the server of PGHOST and prints their table in markdown.

BENCH_QUICK=1 takes tiny sizes: it tests the benchmarks, its numbers mean nothing. Arguments choose
some of the benchmarks by name.
"""

import sys

import batch
import claims
import drift
import harness
import predicate
import record
import report
import tags
import watch

BENCHMARKS = {"predicate": predicate, "record": record, "batch": batch, "tags": tags, "drift": drift,
              "claims": claims, "watch": watch}


def main(names):
    with harness.Session() as session:
        session.run("CREATE EXTENSION pg_workspace_plugins;")
        facts = report.facts(session)
        comparisons = []
        for name in names or BENCHMARKS:
            comparisons += BENCHMARKS[name].measure(session)
            if name == "claims":
                facts += claims.facts(session)
    facts.append(f"medians of {harness.ROUNDS} interleaved rounds, of {watch.PAIRS} of the watcher, of"
                 f" {harness.PGBENCH_ROUNDS} for pgbench with {harness.PGBENCH_SECONDS} s each; a ratio is the median of the rounds' ratios")
    print("\n".join(f"- {fact}" for fact in facts))
    print()
    print(report.table(comparisons))


if __name__ == "__main__":
    main(sys.argv[1:])
