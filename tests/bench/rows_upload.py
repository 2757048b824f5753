"""How long after close() an upload is visible on the other host."""
import os
import random
import threading
import time

import judge
from contestant import Failed
from farm.arrivals import Arrivals, percentile
from inputs import KIB, MIB, write
from rows import Goal, Row, at_most, costs, flush, publish, remove

UPLOAD_BYTES = 64 * KIB
EVERYBODY = ("syncline", "rsync", "rsync+ssh", "lsyncd", "syncthing", "unison")


class Upload(Row):
    name = "upload"
    contestants = quick_contestants = EVERYBODY
    key = "p50_ms"
    goals = (Goal("p50 <= 2 ms", at_most("p50_ms", 2)), Goal("p99 <= 8 ms", at_most("p99_ms", 8)))

    def title(self):
        return "64 KiB upload, close() to visible on the other host"

    def measure(self, bench, contestant, run):
        figures = {}
        one_upload(contestant, f"warm-{run}.jpg", self.sizes.row_s)
        with costs(contestant, figures):
            delays = uploads(contestant, f"{self.name}-{run}", self.sizes.uploads, self.sizes.upload_s, self.sizes.row_s)
        figures["cpu_ms_each"] = figures.pop("cpu") * 1000 / len(delays)
        figures["wire_each"] = figures.pop("wire") / len(delays)
        return figures | latency(delays)


class ResidentUpload(Upload):
    """With many files in the folders before, on both sides."""

    name = "upload-100k"
    stage = "resident"
    contestants = ("syncline", "rsync", "lsyncd", "syncthing", "unison")
    quick_contestants = Row.quick_contestants

    def title(self):
        return f"the same with {self.sizes.resident_files:,} files in the folder"


class MillionUpload(Upload):
    name = "upload-1m"
    stage = "million"
    contestants = ("syncline",)

    def title(self):
        return f"the same with {self.sizes.million:,} files in the folder"


class BusyUpload(Row):
    """While a large file is on the same wire."""

    name = "upload-busy"
    contestants = ("syncline", "syncthing")
    key = "p99_ms"
    goals = (Goal("p99 <= 20 ms", at_most("p99_ms", 20)),)

    def title(self):
        return f"the same while a file of {self.sizes.busy_bytes // MIB:,} MiB is in transfer"

    def measure(self, bench, contestant, run):
        staged = contestant.staging / "busy"
        os.link(bench.inputs.big_file(self.sizes.busy_bytes, "busy"), staged)
        flush()
        figures, name = {}, f"busy-{run}"
        arrivals = Arrivals(contestant.folders[1])
        arrived = threading.Event()
        watcher = threading.Thread(target=lambda: arrivals.wait(name, self.sizes.row_s) and arrived.set(), daemon=True)
        watcher.start()
        with costs(contestant, figures):
            publish(contestant, staged, name)
            delays = uploads(contestant, f"{self.name}-{run}", 100_000, self.sizes.row_s, self.sizes.row_s, arrived.is_set)
        watcher.join()
        arrivals.close()
        judge.check_equal(*(folder / name for folder in contestant.folders))
        remove(contestant, name, self.sizes.row_s)
        return figures | latency(delays)


def latency(delays):
    return {"p50_ms": percentile(delays, 50) * 1000, "p99_ms": percentile(delays, 99) * 1000, "samples": len(delays)}


def uploads(contestant, prefix, count, seconds, patience, enough=lambda: False):
    """Delays of one upload after the other: at most so many, none begun after so many seconds or when there are `enough`."""
    arrivals = Arrivals(contestant.folders[1])
    source = random.Random(prefix)
    delays = []
    end = time.perf_counter() + seconds
    try:
        while len(delays) < count and (not delays or time.perf_counter() < end and not enough()):
            name = f"{prefix}-{len(delays)}.jpg"
            data = source.randbytes(UPLOAD_BYTES)
            delays.append(_upload(contestant, arrivals, name, data, patience))
    finally:
        arrivals.close()
    return delays


def _upload(contestant, arrivals, name, data, patience):
    file = open(contestant.folders[0] / name, "wb", buffering=0)
    file.write(data)
    started = time.perf_counter()
    file.close()
    if not contestant.watches:
        contestant.sync()
    arrived = arrivals.wait(name, patience)
    if arrived is None:
        raise Failed(f"{name} was not on the other host within {patience:.0f} s")
    if (contestant.folders[1] / name).read_bytes() != data:
        raise Failed(f"{name} differs on the other host")
    return arrived - started


def one_upload(contestant, name, patience):
    """What the first of all costs (a connection, an index) is not the row's."""
    write(contestant.folders[0] / name, os.urandom(UPLOAD_BYTES))
    if not contestant.watches:
        contestant.sync()
    judge.wait_listing({".": {name}}, contestant.folders[1], patience)
    contestant.settle()


ROWS = (Upload, BusyUpload, ResidentUpload, MillionUpload)
