"""scripts/blackbox: fresh clusters and fresh seeds until the time is over; what failed is played again with fewer operations."""
import argparse
import os
import pathlib
import signal
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts" / "lib"))

from farm.cluster import Cluster  # noqa: E402  (the path is set above)

from blackbox_durable import durable  # noqa: E402
from blackbox_run import Run, draw  # noqa: E402
from blackbox_trees import garden  # noqa: E402

NODES, OPERATIONS = 3, 200
TRIES = 3  # of a shorter row of operations, before it counts as harmless


class Soak:
    def __init__(self, binaries, logs, ends):
        self.binaries, self.logs, self.ends = binaries, logs, ends

    def on_a_cluster(self, what, log=None):
        """None, or why `what(farm)` failed."""
        with Cluster(self.binaries, links_can_be_cut=True) as farm:
            try:
                farm.form(NODES)
                what(farm)
                return None
            except Exception as error:  # whatever it is, the soak goes on
                if log:
                    log.write_text(f"{type(error).__name__}: {error}\n{farm.report(lines=200)}\n")
                return str(error)

    def play(self, operations, log=None):
        return self.on_a_cluster(lambda farm: Run(farm, _deadline).play(operations), log)

    def once(self, seed):
        """Prints what fails under this seed. True: nothing."""
        operations = draw(seed, OPERATIONS, NODES)
        kinds = {"model": lambda log: self.play(operations, log),
                 "trees": lambda log: self.on_a_cluster(lambda farm: garden(farm, seed, 8, _deadline), log),
                 "durable": lambda log: self.on_a_cluster(lambda farm: durable(farm, seed, 5, _deadline), log)}
        good = True
        for kind, run in kinds.items():
            log = self.logs / f"{kind}-{seed}.log"
            fault = run(log)
            if fault is None:
                continue
            good = False
            print(f"seed {seed}, {kind}: {fault[:2000]}\nall of it: {log}", flush=True)
            if kind == "model":
                self.shrink(operations, log)
        return good

    def shrink(self, operations, log):
        """Leaves out ever smaller pieces, as long as some try still fails."""
        size = len(operations) // 2
        while size > 0 and time.monotonic() < self.ends:
            for start in range(0, len(operations), size):
                fewer = operations[:start] + operations[start + size:]
                if any(self.play(fewer) for _ in range(TRIES)):
                    operations = fewer
                    break
                if time.monotonic() > self.ends:
                    break
            else:
                size //= 2
        with open(log, "a") as file:
            file.write(f"fails with {len(operations)} operations:\n" + "".join(f"{operation}\n" for operation in operations))
        print(f"fails with {len(operations)} operations: {operations if len(operations) < 20 else 'see the log'}", flush=True)


def _deadline(seconds):
    return 2 * seconds


def main():
    parser = argparse.ArgumentParser(prog="scripts/blackbox")
    parser.add_argument("--binaries", required=True, type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    logs = pathlib.Path(tempfile.mkdtemp(prefix="syncline-blackbox-"))
    soak = Soak(options.binaries, logs, time.monotonic() + 60 * options.minutes)
    if options.seed is not None:
        sys.exit(0 if soak.once(options.seed) else 1)
    seed, played, failed = time.time_ns() // 1_000_000_000, 0, 0
    while time.monotonic() < soak.ends:
        failed += not soak.once(seed + played)
        played += 1
        print(f"{played} seeds, {failed} failed", flush=True)
    if not failed:
        os.rmdir(logs)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
