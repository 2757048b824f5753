"""What every contestant of the benchmark can do, whatever program it is."""
import itertools
import os
import pathlib
import signal
import subprocess
import threading
import time

import usage

START_S = 60


class Failed(Exception):
    """A contestant did not do what a row asked of it. The run goes on without it."""


def wait_until(condition, what, timeout, interval=0.02):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"not within {timeout:.0f} s: {what}")
        time.sleep(interval)


class Contestant:
    """A program that brings what is written into the first folder to the others, each on a host of its own.

    `fill` is a tree that all folders hold before the start. Costs count from the start of the processes on; take differences.
    """

    name = ""
    watches = True  # notices changes by itself; else sync() must be called after them

    def __init__(self, network, directory, fill=None):
        self.network = network
        self.hosts = network.hosts
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True)
        self.staging = self.directory / "staging"  # same file system as the folders, watched by nobody
        self.staging.mkdir()
        self.fill = fill
        self.notes = {}  # what rows remember of it, such as the file that is in its folders
        self.folders = self.make_folders()
        self.trace = None  # what looks at its processes while they are measured, and under which name
        self.now_measured = ""
        self._processes = []
        self._log_numbers = itertools.count(1)
        self._ended_cpu = 0.0
        self._lock = threading.Lock()

    def make_folders(self):
        folders = [self.directory / f"host{number}" / "uploads" for number in range(1, len(self.hosts) + 1)]
        for folder in folders:
            folder.mkdir(parents=True)
            self.fill_folder(folder)
        return folders

    def fill_folder(self, folder):
        if self.fill:
            subprocess.run(["cp", "-a", f"{self.fill}/.", folder], check=True)

    # To be given by each.

    def start(self):
        """Returns when the folders are equal and a change would be taken up at once."""
        raise NotImplementedError

    def sync(self):
        """Brings the changes over, for a contestant that does not watch. Returns when it is done."""

    # What it costs.

    def roots(self):
        with self._lock:
            return [process.pid for process in self._processes]

    def cpu(self):
        return self._ended_cpu + usage.cpu_seconds(self.roots())

    def idle_cpu(self):
        return usage.idle_cpu_seconds(self.roots())

    def rss(self):
        return usage.resident_bytes(self.roots())

    def wire(self):
        return self.network.wire()

    def settle(self, limit=10.0):
        """Waits until its processes rest: what they still do after a change is theirs and in nobody else's time."""
        deadline = time.monotonic() + limit
        used = self.idle_cpu()
        while time.monotonic() < deadline:
            time.sleep(0.25)
            before, used = used, self.idle_cpu()
            if used - before < 0.01:
                return

    # Its processes.

    def spawn(self, host, arguments, **environment):
        """A server, with its output in a log of its own. Returns (process, log)."""
        log = self.directory / f"log{next(self._log_numbers)}-{pathlib.Path(arguments[0]).name}"
        with open(log, "wb") as file:
            process = host.popen([str(a) for a in arguments], stdout=file, stderr=file, env={**os.environ, **environment})
        self.adopt(process)
        return process, log

    def adopt(self, process):
        with self._lock:
            self._processes.append(process)

    def run(self, host, arguments, good=(0,), **environment):
        """A command to its end; its output. Its CPU time and that of its children are added to the contestant's."""
        process, log = self.spawn(host, arguments, **environment)
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            _kill(process, signal.SIGKILL)
            raise
        finally:
            with self._lock:
                self._processes.remove(process)
        process.returncode = os.waitstatus_to_exitcode(status)
        self._ended_cpu += used.ru_utime + used.ru_stime
        output = log.read_text(errors="replace")
        log.unlink()
        if process.returncode not in good:
            program = pathlib.Path(arguments[0]).name
            raise Failed(f"{self.name}: {program} ended with {process.returncode}: {output.strip()[-500:]}")
        return output

    def report(self, lines=5):
        """The ends of the logs, for a failed row."""
        parts = []
        for log in sorted(self.directory.glob("log*")):
            tail = log.read_text(errors="replace").splitlines()[-lines:]
            parts += [f"{log.name}: {text[:200]}" for text in tail]
        return parts

    def stop(self):
        for process in self._processes:
            _kill(process, signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                _kill(process, signal.SIGKILL)
                process.wait()
        self._processes = []


def _kill(process, number):
    """The whole session of a process that spawn() started."""
    if process.returncode is None:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass
