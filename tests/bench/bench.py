"""Syncline side by side with rsync, lsyncd, Syncthing and Unison: times, CPU, memory and bytes on the wire of the same work.

Rows are measured one contestant after the other, run by run; the table has medians, and ratios within a run. It asserts
nothing: exit status 0 says that it ran, 1 that no row had a figure.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "lib"))

import network  # noqa: E402  (the path is set above)
import plots  # noqa: E402
import report  # noqa: E402
import rows_barrier  # noqa: E402
import rows_files  # noqa: E402
import rows_limits  # noqa: E402
import rows_links  # noqa: E402
import rows_million  # noqa: E402
import rows_upload  # noqa: E402
import rows_versions  # noqa: E402
import tracing  # noqa: E402
from contestant import Failed  # noqa: E402
from inputs import Inputs  # noqa: E402
from rows import Sizes  # noqa: E402
from stages import CONTESTANTS, Stages  # noqa: E402

ROWS = (*rows_limits.ROWS, *rows_upload.ROWS[:2], *rows_barrier.ROWS, *rows_files.ROWS, *rows_versions.ROWS, *rows_links.ROWS,
        *rows_upload.ROWS[2:], *rows_million.ROWS)
START_S = 1800  # for a million files on both sides
GRACE_S = 60  # beyond the patience of a row: copying what it publishes, and hashing
EXPECTED = (Failed, AssertionError, OSError, subprocess.SubprocessError)


class TimeOver(Failed):
    pass


@contextlib.contextmanager
def time_limit(seconds, what):
    """Raises TimeOver inside when it takes longer. May be nested. For the main thread."""
    def over(*_):
        raise TimeOver(f"{what} took longer than {seconds:.0f} s")

    old_handler = signal.signal(signal.SIGALRM, over)
    left, started = signal.setitimer(signal.ITIMER_REAL, seconds)[0], time.monotonic()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old_handler)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(0.001, left - (time.monotonic() - started)))


class Bench:
    """One run of the benchmark; what rows see of it."""

    def __init__(self, stages, inputs, sizes, peers, quick, tracer=None):
        self.stages = stages
        self.inputs = inputs
        self.sizes = sizes
        self.peers = peers
        self.quick = quick
        self.tracer = tracer
        self.started = time.monotonic()

    def contestant(self, name, stage):
        limit = min(START_S, max(20, self._left()))
        with time_limit(limit, f"starting {name}"):
            return self.stages.contestant(name, stage)

    def _left(self):
        return self.sizes.all_s - (time.monotonic() - self.started)

    def run_row(self, row):
        results = report.Results(row)
        self.stages.stop(keep=lambda _, stage: stage in (row.stage, row.beside))
        chosen = [name for name in row.contestants if not self.quick or name in row.quick_contestants]
        names = [name for name in chosen if name in self.peers]
        for run in range(self.sizes.runs):
            for name in names:
                if name not in results.reasons:
                    self._measure(row, results, name, run)
            self.inputs.forget(f"{row.name}-{run}")
        return results

    def _measure(self, row, results, name, run):
        if self._left() <= 0:
            results.fail(name, f"left out: the {self.sizes.all_s:.0f} s are over")
            return
        began = time.monotonic()
        try:
            contestant = self.contestant(name, row.stage)
            contestant.now_measured = f"{row.name}-{name}-{run}"
            contestant.trace = self.tracer if name == "syncline" else None
            with time_limit(min(self.sizes.row_s + GRACE_S, self._left() + 20), "the measurement"):
                figures = row.measure(self, contestant, f"{row.name}-{run}")
            results.add(name, run, figures | {"took_s": time.monotonic() - began})
        except Exception as error:  # whatever it is, the others are measured
            self._give_up(row, results, name, error)

    def _give_up(self, row, results, name, error):
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, subprocess.CalledProcessError) and error.stderr:
            reason += f": {error.stderr.strip()[-300:]}"
        results.fail(name, f"FAILED: {reason[:300]}")
        print(f"{row.name}, {name}: {reason[:2000]}", file=sys.stderr)
        if not isinstance(error, EXPECTED):  # a fault of the benchmark itself
            traceback.print_exception(error)
        if contestant := self.stages.running(name, row.stage):
            with contextlib.suppress(Exception):
                print("\n".join("    " + line for line in contestant.report()), file=sys.stderr)
        for stage in (row.stage, row.beside):
            self.stages.drop(name, stage)


def versions():
    """What is compared: the first line that each program says of itself."""
    for command in ("rsync --version", "ssh -V", "lsyncd --version", "syncthing --version", "unison -version"):
        command = command.split()
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, text=True)
            line = (done.stdout + done.stderr).splitlines()[0]
            yield line if command[0] in line.lower() else f"{command[0]} {line}"


def arguments_of():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="small inputs, one run, five minutes at most")
    parser.add_argument("--only", metavar="ROW,...", help=f"of {', '.join(row.name for row in ROWS)}")
    parser.add_argument("--peers", metavar="NAME,...", help=f"of {', '.join(CONTESTANTS)}")
    parser.add_argument("--runs", type=int, help="how often each is measured")
    parser.add_argument("--scale", type=float, default=1, help="factor on the numbers of files and bytes")
    parser.add_argument("--row-time", type=float, metavar="SECONDS", help="patience with one measurement")
    parser.add_argument("--trace", choices=tracing.TOOLS,
                        help="look at Syncline's nodes meanwhile; reports go to the output folder")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    parser.add_argument("--loopback", action="store_true", help="no network namespaces, even where they may be made")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "build" / "bench", help="where results.json and plots go")
    arguments = parser.parse_args()
    rows, peers = {row.name for row in ROWS}, set(CONTESTANTS)
    for given, known, what in ((arguments.only, rows, "row"), (arguments.peers, peers, "contestant")):
        if unknown := set((given or "").split(",")) - known - {""}:
            parser.error(f"no such {what}: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    return arguments


def sizes_of(arguments):
    sizes = Sizes.quick() if arguments.quick else Sizes()
    sizes = sizes.scaled(arguments.scale)
    sizes.runs = arguments.runs or sizes.runs
    sizes.row_s = arguments.row_time or sizes.row_s
    return sizes


def run(arguments, scratch):
    sizes = sizes_of(arguments)
    network.sweep()
    namespaces = not arguments.loopback and network.may_have_namespaces()
    inputs = Inputs(scratch / "inputs", arguments.output / "cache")
    stages = Stages(arguments.binaries, inputs, sizes, scratch, namespaces)
    peers = arguments.peers.split(",") if arguments.peers else list(CONTESTANTS)
    bench = Bench(stages, inputs, sizes, peers, quick=arguments.quick and not arguments.peers,
                  tracer=tracing.Trace(arguments.trace, arguments.output) if arguments.trace else None)
    chosen = [row(sizes) for row in ROWS if not arguments.only or row.name in arguments.only.split(",")]
    hosts = "hosts in network namespaces" if namespaces else "all on loopback, whose counters are shared with everybody"
    print(f"{os.cpu_count()} cores, {hosts}, median of {sizes.runs}\n{'; '.join(versions())}\n", flush=True)
    all_results = []
    try:
        for row in chosen:
            all_results.append(bench.run_row(row))
            if not arguments.markdown:
                print(report.text_of(all_results[-1]), flush=True)
    finally:
        stages.stop()
        if arguments.markdown:
            print(report.markdown_of(all_results))
        (arguments.output / "results.json").write_text(json.dumps(report.as_data(all_results), indent=1))
        plots.write_all(all_results, arguments.output)
    print(f"Figures and plots: {arguments.output}")
    return 0 if any(results.runs for results in all_results) else 1


def main():
    arguments = arguments_of()
    arguments.output.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="syncline-bench-"))
    try:
        return run(arguments, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
