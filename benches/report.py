"""The facts about the machine, and the table."""

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from harness import QUICK

SETTINGS = ("synchronous_commit", "fsync", "full_page_writes", "shared_buffers", "jit",
            "max_parallel_workers_per_gather", "autovacuum", "max_wal_size")

HEAD = """| what | peer | ours | peer's | ratio | middle half | target | met |
|---|---|--:|--:|--:|--:|--:|---|"""


@dataclass
class Comparison:
    """Two medians and a ratio. `target` is a limit for it such as `≤ 1.2`; without one the row only
    informs. `middle` is where half of the rounds' ratios lie."""

    what: str
    peer: str
    ours: float
    theirs: float
    unit: str
    ratio: float
    target: str = ""
    middle: tuple = ()

    @classmethod
    def of(cls, what, peer, unit, samples, ours, theirs, target="", inverse=False):
        """Ours through the peer's, or the inverse."""
        low, ratio, high = samples.ratios(theirs, ours) if inverse else samples.ratios(ours, theirs)
        return cls(what, peer, samples.median(ours), samples.median(theirs), unit, ratio, target, (low, high))

    def met(self):
        """Where the limit lies among the rounds' ratios, another run may well answer otherwise."""
        if not self.target or QUICK:
            return ""
        sign, limit = self.target.split()[0], float(self.target.split()[1])
        good = {"≤": self.ratio <= limit, "<": self.ratio < limit, "≥": self.ratio >= limit}[sign]
        answer = "yes" if good else f"**no**, by {abs(self.ratio / limit - 1):.1%}"
        unsure = self.middle and self.middle[0] < limit < self.middle[1]
        return answer + (", but within the noise" if unsure else "")

    def line(self):
        ours, theirs = (f"{value:,.{1 if value < 100 else 0}f} {self.unit}" for value in (self.ours, self.theirs))
        middle = " to ".join(f"{ratio:.2f}" for ratio in self.middle)
        target = f"{self.target}×" if self.target else ""
        return f"| {self.what} | {self.peer} | {ours} | {theirs} | {self.ratio:.2f}× | {middle} | {target} | {self.met()} |"


def table(comparisons):
    return "\n".join([HEAD] + [comparison.line() for comparison in comparisons])


def facts(session):
    """One line each on the machine, the server and its settings."""
    settings = (f"`{name}={session.value(f'SHOW {name};')}`" for name in SETTINGS)
    return [
        f"{os.cpu_count()} cores of {cpu_model()}, {memory()} memory, {platform.system()} {platform.release()},"
        f" load {os.getloadavg()[0]:.1f} at the start",
        f"PostgreSQL {session.value('SHOW server_version;')}, {', '.join(settings)}",
    ]


def cpu_model():
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else platform.machine()


def memory():
    kilobytes = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.M)[1]
    return f"{int(kilobytes) / 2**20:.0f} GiB"
