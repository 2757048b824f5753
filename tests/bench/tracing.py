"""Where the time goes: strace -c or perf record on the nodes of a measurement, for --trace. Its times are worth nothing."""
import pathlib
import signal
import subprocess

TOOLS = ("strace", "perf")


class Trace:
    """On each process of one contestant, from begin() to end(); reports go to `directory`."""

    def __init__(self, tool, directory):
        self.tool = tool
        self.directory = pathlib.Path(directory)
        self._running = []

    def begin(self, name, pids):
        for number, pid in enumerate(pids, 1):
            report = self.directory / f"{self.tool}-{name}-host{number}.txt"
            data = report.with_suffix(".data")
            command = {"strace": ["strace", "-f", "-c", "-S", "calls", "-o", report, "-p", str(pid)],
                       "perf": ["perf", "record", "-q", "-e", "cpu-clock", "-g", "-o", data, "-p", str(pid)]}[self.tool]
            tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                      text=True)
            if self.tool == "strace":
                tracer.stderr.readline()  # it says so when it is attached
            self._running.append((tracer, report, data))

    def end(self):
        for tracer, _, _ in self._running:
            tracer.send_signal(signal.SIGINT)
        for tracer, report, data in self._running:
            tracer.communicate(timeout=60)
            if self.tool == "perf":
                with open(report, "w") as file:
                    subprocess.run(["perf", "report", "--stdio", "--no-children", "-g", "none", "--percent-limit", "0.5",
                                    "-i", data], stdout=file, stderr=subprocess.DEVNULL)
        self._running = []
