"""Trees of small files, one large file, and changes of it."""
import os
import subprocess
import threading
import time

import inputs
import judge
from contestant import Failed
from farm.arrivals import Arrivals
from inputs import KIB, MIB
from rows import Goal, Row, at_most, costs, flush, publish, ratio_at_least, ratio_at_most, remove

RENAMED_BYTES = 16 * KIB
BIG = "big"  # the name in `contestant.notes` of the large file that is in the folders


class Small(Row):
    name = "small"
    contestants = quick_contestants = ("syncline", "rsync", "rsync+ssh", "lsyncd", "syncthing", "unison")
    goals = (Goal("time <= 0.6 x rsync", ratio_at_most("s", "rsync", 0.6)),
             Goal("CPU <= 2 x rsync", ratio_at_most("cpu", "rsync", 2)))

    def title(self):
        mib = self.sizes.small_files * inputs.SMALL_MEAN // MIB
        return f"{self.sizes.small_files:,} files ({mib} MiB) moved into the folder"

    def measure(self, bench, contestant, run):
        stock = bench.inputs.small_files(self.sizes.small_files, run)
        expected = judge.listing(stock)
        figures, name = {}, f"{self.name}-{run}"
        self.prepare(stock, contestant)
        flush()
        with costs(contestant, figures):
            started = self.write(stock, contestant, name, figures)
            ended = judge.wait_listing(expected, contestant.folders[1] / name, self.sizes.row_s)
        figures["s"] = ended - started
        if "written_s" in figures:
            figures["after_s"] = figures["s"] - figures["written_s"]
        judge.check_equal(stock, *(folder / name for folder in contestant.folders))
        remove(contestant, name, self.sizes.row_s)
        return figures

    def prepare(self, stock, contestant):
        inputs.copy(stock, contestant.staging / "tree")

    def write(self, stock, contestant, name, figures):
        return publish(contestant, contestant.staging / "tree", name)


class Stream(Small):
    """From the first byte that the application writes."""

    name = "stream"
    quick_contestants = Row.quick_contestants
    goals = Small.goals[:1]

    def title(self):
        return f"{self.sizes.small_files:,} files written into the folder by cp, from its start"

    def prepare(self, stock, contestant):
        pass

    def write(self, stock, contestant, name, figures):
        started = time.perf_counter()
        subprocess.run(["cp", "-a", stock, contestant.folders[0] / name], check=True)
        figures["written_s"] = time.perf_counter() - started
        if not contestant.watches:
            contestant.sync()
        return started


class File(Row):
    name = "file"
    contestants = quick_contestants = ("syncline", "rsync", "rsync+ssh", "syncthing", "unison")
    key = "mib_s"
    goals = (Goal("rate >= 1.0 x rsync in clear", ratio_at_least("mib_s", "rsync", 1)),
             Goal("rate >= 2.5 x rsync over ssh", ratio_at_least("mib_s", "rsync+ssh", 2.5)))

    def title(self):
        return f"one file of {self.sizes.big_bytes // MIB:,} MiB"

    def measure(self, bench, contestant, run):
        return put_big(bench, contestant, run, self.sizes)


def put_big(bench, contestant, run, sizes):
    """A large file, new in every run, that stays for the rows that change it."""
    source = bench.inputs.big_file(sizes.big_bytes, run)
    staged = contestant.staging / "big"
    inputs.copy(source, staged)
    flush()
    figures, name = {}, f"big-{run}"
    with costs(contestant, figures), WireClock(contestant) as clock:
        figures["s"] = arrival(contestant, name, lambda: clock.start(publish(contestant, staged, name)), sizes.row_s)
    figures["first_s"], figures["last_s"] = clock.passed(sizes.big_bytes, 0.01), clock.passed(sizes.big_bytes, 0.99)
    figures["mib_s"] = sizes.big_bytes / MIB / figures["s"]
    figures["line_percent"] = sizes.big_bytes * 8e-9 / figures["s"] * 100  # of a gigabit
    judge.check_equal(source, *(folder / name for folder in contestant.folders))
    if old := contestant.notes.get(BIG):
        remove(contestant, old, sizes.row_s)
    contestant.notes[BIG] = name
    return figures


class WireClock:
    """When how much of a file was on the wire: what is before the first and after the last byte is nobody's bandwidth."""

    def __init__(self, contestant):
        self._contestant = contestant
        self._begin = 0.0
        self._samples = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        while True:
            self._samples.append((time.perf_counter(), self._contestant.wire()))
            if self._stopped.wait(0.01):
                return

    def start(self, moment):
        self._begin = moment
        return moment

    def passed(self, size, share):
        """Seconds from start() until that share of the size had passed."""
        first = self._samples[0][1]
        return next((moment - self._begin for moment, wire in self._samples if wire - first >= size * share), None)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self._thread.join()


def arrival(contestant, name, act, patience):
    """Seconds from the time that `act` returns until the file has come to every other host."""
    watches = [Arrivals(folder) for folder in contestant.folders[1:]]
    try:
        started = act()
        ends = [watch.wait(name, patience, started) for watch in watches]
    finally:
        for watch in watches:
            watch.close()
    if None in ends:
        raise Failed(f"{name} was not on {ends.count(None)} of the other hosts within {patience:.0f} s")
    return max(ends) - started


class Change(Row):
    """The large file changes; rsync and Unison compare both sides, we know what the other side has."""

    contestants = File.contestants
    goals = (Goal("time <= 0.5 x rsync", ratio_at_most("s", "rsync", 0.5)),
             Goal("wire <= 1.15 x the change + 32 KiB", at_most("wire_over", 0)))

    def measure(self, bench, contestant, run):
        if BIG not in contestant.notes:
            put_big(bench, contestant, f"for-{self.name}", self.sizes)
        name = contestant.notes[BIG]
        path = contestant.folders[0] / name
        changed = self.prepare(path, contestant.staging / "changed", run)
        flush()
        figures = {}

        def act():
            started = self.write(path, contestant.staging / "changed", run)
            if not contestant.watches:
                contestant.sync()
            return started

        with costs(contestant, figures):
            figures["s"] = arrival(contestant, name, act, self.sizes.row_s)
            judge.wait_size(contestant.folders[1] / name, path.stat().st_size, self.sizes.row_s)
        figures["wire_over"] = figures["wire"] - (1.15 * changed + 32 * KIB)
        judge.check_equal(*(folder / name for folder in contestant.folders))
        return figures

    def of(self):
        return f"{self.sizes.big_bytes // MIB:,} MiB"


class Insert(Change):
    name = "insert"

    def title(self):
        return f"one byte inserted at the head of {self.of()}, from the rename on"

    def prepare(self, path, staged, run):
        return inputs.insert_at_head(path, staged)

    def write(self, path, staged, run):
        started = time.perf_counter()
        os.rename(staged, path)
        return started


class Append(Change):
    name = "append"

    def title(self):
        return f"1 MiB appended to {self.of()}, from close() on"

    def prepare(self, path, staged, run):
        return MIB

    def write(self, path, staged, run):
        inputs.append(path, run)
        return time.perf_counter()


class Pages(Change):
    name = "pages"

    def title(self):
        return f"1 % of the 4 KiB pages of {self.of()} rewritten in place, from close() on"

    def prepare(self, path, staged, run):
        return max(1, path.stat().st_size // inputs.PAGE // 100) * inputs.PAGE

    def write(self, path, staged, run):
        inputs.rewrite_pages(path, run)
        return time.perf_counter()


class Rename(Row):
    name = "rename"
    contestants = ("syncline", "rsync", "lsyncd", "syncthing", "unison")
    goals = (Goal("time <= 0.3 s", at_most("s", 0.3)), Goal("wire <= 1 MiB", at_most("wire", MIB)))

    def title(self):
        return f"a folder of {self.sizes.renamed_files:,} files of 16 KiB renamed"

    def measure(self, bench, contestant, run):
        stock = bench.inputs.equal_files(self.sizes.renamed_files, RENAMED_BYTES, "rename")
        expected = judge.listing(stock)
        source, target = contestant.folders[:2]
        old, new = contestant.notes.get("renamed"), f"renamed-{run}"
        if old is None:
            old = "renamed"
            inputs.copy(stock, contestant.staging / "tree")
            publish(contestant, contestant.staging / "tree", old)
            judge.wait_listing(expected, target / old, self.sizes.row_s)
            contestant.settle()
        flush()
        figures = {}
        with costs(contestant, figures):
            started = time.perf_counter()
            os.rename(source / old, source / new)
            if not contestant.watches:
                contestant.sync()
            judge.wait_listing(expected, target / new, self.sizes.row_s)
            figures["s"] = judge.wait_gone(target / old, self.sizes.row_s) - started
        judge.check_equal(stock, source / new, target / new)
        contestant.notes["renamed"] = new
        return figures


ROWS = (Small, Stream, File, Insert, Append, Pages, Rename)
