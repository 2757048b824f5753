"""Syncline nodes as processes: made, joined, started, killed, cut off and looked at."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from . import ports, tree
from .host import LOOPBACK, die_with_parent  # noqa: F401  (the latter for those who start programs of their own)
from .relay import Relay


class Timeout(AssertionError):
    """A condition did not come true in time."""


def wait_until(condition, what, timeout, interval=0.02):
    """Returns the first true value of condition(); raises Timeout naming `what`, with the last text it returned."""
    deadline = time.monotonic() + timeout
    while True:
        started = time.monotonic()
        value = condition()
        if value:
            return value
        now = time.monotonic()
        if now > deadline:
            raise Timeout(f"not within {timeout:.0f} s: {what() if callable(what) else what}")
        time.sleep(max(interval, 2 * (now - started)))  # a costly look must not starve what it waits for


class CommandFailed(AssertionError):
    """A command that was to succeed did not."""


class Node:
    """One server of the farm. `number` counts from 1."""

    def __init__(self, cluster, number):
        self.cluster = cluster
        self.number = number
        self.name = f"web{number}"
        self.host = cluster.hosts[number - 1] if number <= len(cluster.hosts) else LOOPBACK
        self.home = cluster.directory / self.name / "home"
        self.folder = cluster.directory / self.name / "uploads"
        self.log = cluster.directory / self.name / "node.log"
        self.port = ports.free_port()
        self.front_port = ports.free_port() if cluster.relay else self.port
        self.http_port = ports.free_port()
        self.process = None
        self.folder.mkdir(parents=True)

    # Commands.

    def cli(self, *arguments, **options):
        """Runs `syncline ARGUMENTS --home ...` and returns the finished process, whatever came of it."""
        return self.cluster.syncline(*arguments, "--home", self.home, host=self.host, **options)

    def command(self, *arguments, **options):
        """The standard output of a command that must succeed."""
        done = self.cli(*arguments, **options)
        if done.returncode != 0:
            raise CommandFailed(f"{self.name}: syncline {' '.join(map(str, arguments))}: exit status {done.returncode}: "
                                f"{done.stderr.strip()}")
        return done.stdout

    def json(self, *arguments):
        return json.loads(self.command(*arguments, "--json"))

    def status(self):
        return self.json("status")

    def conflicts(self):
        return self.json("conflicts")

    def found(self):
        self.command("init", self.folder, *self._addresses())
        self._use_real_port()

    def join(self, token):
        self.command("cluster", "join", "-", self.folder, *self._addresses(), input=token + "\n")
        self._use_real_port()

    def invite(self, *arguments):
        return self.json("cluster", "invite", *arguments)["token"]

    def _addresses(self):
        # The relay's port: what the other members are told. The relay takes it over once the command has run.
        return ("--name", self.name, "--listen", f"{self.host.address}:{self.front_port}",
                "--http", f"127.0.0.1:{self.http_port}")

    def _use_real_port(self):
        if self.front_port == self.port:
            return
        config = self.home / "config.toml"
        text = re.sub(r"(?m)^\s*#?\s*advertise\s*=.*\n", "", config.read_text())
        lines = f'listen = "127.0.0.1:{self.port}"\nadvertise = ["127.0.0.1:{self.front_port}"]\n'
        text, count = re.subn(r"(?m)^listen\s*=.*\n", lines, text)
        if count != 1:
            raise AssertionError(f"{config} has no line `listen = ...`")
        config.write_text(text)
        self.cluster.relay.add(self.number, self.front_port, self.port)

    # The process.

    def start(self):
        with open(self.log, "ab") as log:
            self.process = self.host.popen([self.cluster.binaries / "syncline", "run", "--home", self.home],
                                           stdout=log, stderr=log)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def stop(self, timeout=20):
        """SIGTERM, as systemd stops it. Returns the exit status."""
        self.process.terminate()
        return self.process.wait(timeout)

    def http(self, path, body=None, timeout=10):
        """(status code, body as text); (0, reason) where nobody answers."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data=data,
                                         headers={"Content-Type": "application/json"} if data else {})
        try:
            with self.host.inside(), urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def ready(self):
        if not self.running():
            raise AssertionError(f"{self.name} ended with exit status {self.process.returncode}")
        return self.http("/readyz")[0] == 200

    def wait_ready(self, timeout=30):
        wait_until(self.ready, lambda: f"{self.name} is ready; /readyz says {self.http('/readyz')}", timeout)

    def wire_bytes(self):
        """(sent, received) over all links since this process started."""
        totals = self.status()["totals"]
        return totals["sent_bytes"], totals["received_bytes"]


class Cluster:
    """Some nodes with one folder each, below a directory of their own. Use as a context manager: nothing is left behind.

    `hosts` says where they run, in order; loopback where it ends. Links can be cut on loopback only.
    """

    def __init__(self, binaries, links_can_be_cut=False, prefix="syncline-e2e-", parent=None, hosts=()):
        self.binaries = pathlib.Path(binaries)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        self.directory.chmod(0o755)
        self.relay = Relay() if links_can_be_cut else None
        self.nodes = []
        self.hosts = hosts

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self, keep_files=False):
        for node in self.nodes:
            if node.running():
                node.kill9()
        if self.relay:
            self.relay.close()
            self.relay = None
        if not keep_files:
            shutil.rmtree(self.directory, ignore_errors=True)

    def syncline(self, *arguments, timeout=60, host=LOOPBACK, **options):
        options.setdefault("input", "")
        return host.run([self.binaries / "syncline", *map(_argument, arguments)], timeout, **options)

    def new_node(self):
        node = Node(self, len(self.nodes) + 1)
        self.nodes.append(node)
        return node

    def form(self, count):
        """The first node founds, the others join; all are running and ready in the end."""
        founder = self.new_node()
        founder.found()
        founder.start()
        founder.wait_ready()
        for _ in range(count - 1):
            node = self.new_node()
            node.join(founder.invite())
            node.start()
        self.wait_linked()
        return self.nodes

    def wait_linked(self, timeout=30):
        """Every running node is ready and linked to every other running node."""
        names = {node.name for node in self.nodes if node.running()}

        def linked(node):
            return node.ready() and names - {node.name} <= {p["name"] for p in node.status()["peers"] if p["linked"]}

        for node in self.nodes:
            if node.running():
                wait_until(lambda: linked(node), lambda: f"{node.name} is linked; it says {node.status()['peers']}", timeout)

    def isolate(self, node):
        for other in self.nodes:
            if other is not node:
                self.relay.cut(node.number, other.number)

    def reunite(self, node):
        for other in self.nodes:
            if other is not node:
                self.relay.heal(node.number, other.number)

    def wait_equal(self, timeout=60, also=lambda: True):
        """Every folder equal to the first in the eyes of rsync and diff, and `also` true of the result."""
        found = []

        def equal():
            found[:] = ["the trees differ in names, sizes, modes or times"]
            first, *others = [tree.snapshot(node.folder) for node in self.nodes]
            if any(other != first for other in others):
                found.extend(_some_differences(first, others))
                return False
            found[:] = [line for node in self.nodes[1:] for line in tree.differences(self.nodes[0].folder, node.folder)]
            return not found and also()

        wait_until(equal, lambda: "the folders are equal: " + "; ".join(found[:10]), timeout, interval=0.1)

    def report(self, lines=40):
        """The ends of the logs and every node's status, for a failed test's output."""
        parts = []
        for node in self.nodes:
            if node.log.exists():
                parts.append(f"--- {node.log}")
                parts += node.log.read_text(errors="replace").splitlines()[-lines:]
            if node.running():
                try:
                    parts.append(f"--- status of {node.name}\n{json.dumps(node.status())[:4000]}")
                except (AssertionError, OSError, subprocess.TimeoutExpired, ValueError) as error:
                    parts.append(f"--- no status of {node.name}: {error}")
        return "\n".join(parts)


def _argument(value):
    return value if isinstance(value, (str, bytes, os.PathLike)) else str(value)


def _some_differences(first, others):
    for number, other in enumerate(others, 2):
        for path in sorted(first.keys() | other.keys()):
            if first.get(path) != other.get(path):
                yield f"{path!r}: 1 has {first.get(path)}, {number} has {other.get(path)}"
