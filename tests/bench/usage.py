"""What processes cost: CPU seconds and memory of the live ones and of those they have waited for."""
import os
import pathlib
import threading

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def _stat(pid):
    """Fields of /proc/PID/stat after the name; None when it has ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def descendants(roots):
    """The roots that live, and all processes below them."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(name)):
            children.setdefault(int(fields[1]), []).append(int(name))
    found, pending = [], [pid for pid in roots if _stat(pid)]
    while pending:
        pid = pending.pop()
        found.append(pid)
        pending += children.get(pid, [])
    return found


def _precise_cpu(pid):
    """Of the live threads, in the kernel's nanoseconds: for what hardly moves."""
    total = 0
    try:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return total / 1e9


def cpu_seconds(roots):
    """User and system time of the roots, all that descend from them, and all that those have waited for."""
    ticks = 0
    for pid in descendants(roots):
        if fields := _stat(pid):
            ticks += sum(map(int, fields[11:15]))
    return ticks / _TICK


def idle_cpu_seconds(roots):
    return sum(map(_precise_cpu, descendants(roots)))


def resident_bytes(roots):
    return sum(int(fields[21]) * _PAGE for pid in descendants(roots) if (fields := _stat(pid)))


class Peak:
    """The most memory that the processes had at one moment, looked at four times a second until stop()."""

    def __init__(self, roots):
        self.bytes = 0
        self._roots = roots
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self):
        while True:
            self.bytes = max(self.bytes, resident_bytes(self._roots()))
            if self._stopped.wait(0.25):
                return

    def stop(self):
        self._stopped.set()
        self._thread.join()
        return self.bytes
