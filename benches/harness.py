"""What the benchmarks have in common: a session, pgbench, and the order of the runs."""

import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
QUICK = os.environ.get("BENCH_QUICK") == "1"
ROUNDS = 2 if QUICK else 7
# The disk and the neighbours change their speed by the minute: many short runs of pgbench in turn
# compare better than few long ones.
PGBENCH_ROUNDS = 2 if QUICK else 12
PGBENCH_SECONDS = 2
PGBENCH_LENGTH = ("-t", "50") if QUICK else ("-T", str(PGBENCH_SECONDS))

DONE = "-- done --"


def say(text):
    print(text, file=sys.stderr, flush=True)


class Session:
    """A connection that stays open, through psql. Its errors end the program."""

    def __init__(self):
        self.psql = subprocess.Popen(
            ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.psql.stdin.close()
        self.psql.wait()

    def run(self, sql):
        """Runs statements, each closed by a semicolon, and gives the lines they answer."""
        self.psql.stdin.write(f"{sql}\n\\echo {DONE}\n")
        self.psql.stdin.flush()
        return list(iter(self._line, DONE))

    def _line(self):
        line = self.psql.stdout.readline()
        if not line:
            sys.exit("bench: psql gave up, see above")
        return line.rstrip("\n")

    def value(self, sql):
        return self.run(sql)[0]

    def file(self, name, **variables):
        """Runs a file of this folder with psql variables set."""
        for variable, value in variables.items():
            self.run(f"\\set {variable} '{value}'")
        return self.run(f"\\i '{HERE / name}'")

    def milliseconds(self, sql):
        start = time.perf_counter()
        self.run(sql)
        return (time.perf_counter() - start) * 1000


def pgbench_rate(script, clients, variables, settings="", length=PGBENCH_LENGTH):
    """Transactions a second of a script of this folder."""
    defined = [f"-D{name}={value}" for name, value in variables.items()]
    output = subprocess.run(
        ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(clients),
         *length, *defined, "-f", HERE / script],
        env=os.environ | {"PGOPTIONS": settings}, check=True, text=True, stdout=subprocess.PIPE,
    ).stdout
    return float(re.search(r"tps = ([\d.]+) \(without", output)[1])


class Samples(dict):
    """By name, what was measured, one number a round."""

    def median(self, name):
        return statistics.median(self[name])

    def ratios(self, name, other):
        """The quartiles of the rounds' ratios: what slows a whole round down, does not count."""
        return statistics.quantiles((a / b for a, b in zip(self[name], self[other])), method="inclusive")


def interleaved(runs, rounds=ROUNDS):
    """What the runs, a dictionary of functions, give in each round, after one round that does not
    count. Each round goes in another order, so that nothing always profits from its place."""
    samples = Samples({name: [] for name in runs})
    for number in range(rounds + 1):
        for name in order(list(runs), number):
            samples[name].append(runs[name]())
    for name, taken in samples.items():
        del taken[0]
        say(f"  {name}: {' '.join(f'{sample:,.1f}' for sample in taken)}")
    return samples


def order(names, number):
    """Back and forth, and from another start each time."""
    shift = number // 2 % len(names)
    rotated = names[shift:] + names[:shift]
    return rotated if number % 2 == 0 else rotated[::-1]
