"""What a row of the table is, and what it may ask of the run."""
import contextlib
import dataclasses
import os
import shutil
import time

import judge
import usage
from inputs import MIB

PAIR = "pair"  # two hosts, empty folders: the stage that most rows share


@dataclasses.dataclass
class Sizes:
    """How much of everything. `full` is the table of the issue; the others are for when there is less time."""

    runs: int = 3
    uploads: int = 200
    upload_s: float = 30  # no new upload after that time
    small_files: int = 10_000
    renamed_files: int = 5_000
    big_bytes: int = 1024 * MIB
    busy_bytes: int = 4096 * MIB
    resident_files: int = 100_000
    million: int = 1_000_000
    idle_peers: int = 4
    idle_s: float = 20
    row_s: float = 300  # what one contestant may take for one measurement
    all_s: float = float("inf")  # no measurement begins after that time

    @staticmethod
    def quick():
        return Sizes(runs=1, uploads=50, upload_s=3, small_files=1_000, renamed_files=500, big_bytes=64 * MIB,
                     busy_bytes=256 * MIB, resident_files=5_000, million=5_000, idle_s=3, row_s=20, all_s=260)

    def scaled(self, factor):
        def count(value, unit):
            return max(1, int(value * factor) // unit) * unit

        return dataclasses.replace(
            self, small_files=count(self.small_files, 100), renamed_files=count(self.renamed_files, 100),
            big_bytes=count(self.big_bytes, MIB), busy_bytes=count(self.busy_bytes, MIB),
            resident_files=count(self.resident_files, 100), million=count(self.million, 100))


@dataclasses.dataclass(frozen=True)
class Goal:
    """`met(results)` is None where what it compares was not measured."""

    text: str
    met: object


def at_most(key, limit):
    def met(results):
        value = results.median("syncline", key)
        return None if value is None else value <= limit

    return met


def at_least(key, limit):
    def met(results):
        value = results.median("syncline", key)
        return None if value is None else value >= limit

    return met


def ratio_at_most(key, peer, limit):
    def met(results):
        value = results.ratio(key, peer)
        return None if value is None else value <= limit

    return met


def ratio_at_least(key, peer, limit):
    def met(results):
        value = results.ratio(key, peer)
        return None if value is None else value >= limit

    return met


class Row:
    """One line of the table. A measurement is a dictionary of figures, whose names and units are in report.py."""

    name = ""
    contestants = ("syncline",)
    quick_contestants = ("machine", "syncline", "rsync", "rsync -z")  # those of them that --quick has time for
    stage = PAIR  # rows on the same stage share the running contestants
    beside = None  # another stage that it plays on as well
    key = "s"  # the figure that the plot shows and ratios are about
    goals = ()

    def __init__(self, sizes):
        self.sizes = sizes

    def title(self):
        raise NotImplementedError

    def measure(self, bench, contestant, run):
        raise NotImplementedError


@contextlib.contextmanager
def costs(contestant, figures):
    """Adds what the contestant spent inside, and until it rests again: cpu, wire, rss."""
    if contestant.trace:
        contestant.trace.begin(contestant.now_measured, contestant.roots())
    cpu, wire = contestant.cpu(), contestant.wire()
    peak = usage.Peak(contestant.roots)
    try:
        yield
        contestant.settle()
    finally:
        figures["rss"] = peak.stop()
        if contestant.trace:
            contestant.trace.end()
    figures["cpu"] = contestant.cpu() - cpu
    figures["wire"] = contestant.wire() - wire


def flush():
    """What preparing wrote goes to the disk before the clock starts."""
    os.sync()


def publish(contestant, staged, name):
    """Moves what is finished into the first folder; the time of that."""
    started = time.perf_counter()
    os.rename(staged, contestant.folders[0] / name)
    if not contestant.watches:
        contestant.sync()
    return started


def remove(contestant, name, timeout):
    """Takes a tree or file away on all hosts, so that the next measurement meets the same folders as the one before."""
    path = contestant.folders[0] / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    if not contestant.watches:
        contestant.sync()
    for folder in contestant.folders[1:]:
        judge.wait_gone(folder / name, timeout)
    contestant.settle()
