"""Runs of the real binaries for the black-box tests and scripts/blackbox: operations drawn from a seed, played, judged.

The seed decides what is done and in which order, not how fast: a run that failed may need several tries to fail again.
"""
import ctypes
import hashlib
import json
import os
import random
import time

from farm import tree
from farm.cluster import Timeout, wait_until

from blackbox_model import Model

_AT_FDCWD, _RENAME_NOREPLACE, _RENAME_EXCHANGE = -100, 1, 2
_libc = ctypes.CDLL(None, use_errno=True)

PATHS = ("a", "b", "d/c", "d/e/f")
_SIZES = (40, 3_000, 70_000, 400_000)


def _rename(first, second, flags):
    """True; False where a name is missing or taken."""
    if _libc.renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), flags) == 0:
        return True
    error = ctypes.get_errno()
    if error in (2, 17, 20):  # ENOENT, EEXIST, ENOTDIR
        return False
    raise OSError(error, os.strerror(error), str(second))


def value_bytes(value):
    """The bytes of a value: no two values have the same size, which is how conflicts are told apart."""
    size = _SIZES[value % 4] + value
    head = b"value %d\n" % value
    return head + hashlib.shake_128(head).digest(size - len(head))


def value_of_size(size):
    """Which value has this size."""
    return next(size - base for rest, base in enumerate(_SIZES) if (size - base) % 4 == rest and 0 < size - base < 2_000)


def value_of(data):
    """The value whose bytes these are, else a text that says what is wrong with them."""
    head = data[:30].split(b"\n", 1)[0]
    if head.startswith(b"value ") and head[6:].isdigit() and value_bytes(int(head[6:])) == data:
        return int(head[6:])
    return f"{len(data)} strange bytes {data[:30]!r}"


def draw(seed, count, nodes, kills=True, cuts=True):
    """`count` operations, as tuples; a rerun may leave some of them out."""
    rng = random.Random(seed)
    weights = {"write": 45, "read": 25, "delete": 10, "pause": 12, "cut": 3 * cuts, "heal": 3 * cuts, "kill": 2 * kills,
               "start": 2 * kills, "stabilize": 1}
    operations = []
    for number in range(count):
        kind = rng.choices(list(weights), list(weights.values()))[0]
        node = rng.randrange(nodes)
        other = (node + rng.randrange(1, nodes)) % nodes
        operations.append((kind, node, other, rng.choice(PATHS), number + 1, rng.random()))
    return operations


class Run:
    """Operations on a formed cluster (farm.Cluster), and what the model makes of them. `deadline` stretches seconds."""

    def __init__(self, farm, deadline):
        self.farm, self.deadline = farm, deadline
        self.model = Model()
        self.trace = []
        self.scratch = farm.directory / "scratch"
        self.scratch.mkdir(exist_ok=True)
        self.cuts = set()
        self.down = set()

    def play(self, operations):
        """Raises Timeout or AssertionError with the trace when the model does not explain what was seen."""
        try:
            for operation in operations:
                self.step(*operation)
                self.check(self.model.faults)
            self.stabilize()
        except (AssertionError, OSError) as error:
            raise AssertionError(f"{error}\n  " + "\n  ".join(self.trace[-60:])) from error

    def summary(self):
        events = self.model.events
        return (f"{sum(map(len, events.values()))} writes and deletions, "
                f"{sum(len(self.model.heads(path)) for path in events)} heads in the end, "
                f"at most {self.model.needless} needless conflicts of a path")

    def check(self, faults):
        if faults:
            raise AssertionError("; ".join(faults))

    def step(self, kind, node, other, path, number, share):
        node, other = self.farm.nodes[node], self.farm.nodes[other]
        if kind == "write":
            self.write(node, path, number)
        elif kind == "read":
            value = self.read(node, path)
            self.note(f"{node.name} reads {path}: {value}")
            self.model.read(node.name, path, value)
        elif kind == "delete":
            self.delete(node, path, number)
        elif kind == "pause":
            time.sleep(0.05 * share * share)  # so that news travels in some runs and not in others
        elif kind == "cut":
            self.note(f"cut {node.name} {other.name}")
            self.farm.relay.cut(node.number, other.number)
            self.cuts.add((node.number, other.number))
        elif kind == "heal":
            self.heal()
        elif kind == "kill":
            self.kill(node)
        elif kind == "start":
            self.start_all()
        elif kind == "stabilize":
            self.stabilize()

    def note(self, text):
        self.trace.append(f"{time.strftime('%H:%M:%S')}.{time.time_ns() // 1_000_000 % 1000:03} {text}")

    def read(self, node, path):
        try:
            with open(node.folder / path, "rb") as file:
                return value_of(file.read())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, node, path, value):
        """Changes places with what is there, in one step."""
        scratch = self.scratch / f"{node.name}-{value}"
        scratch.write_bytes(value_bytes(value))
        target = node.folder / path
        while True:
            target.parent.mkdir(parents=True, exist_ok=True)
            if _rename(scratch, target, _RENAME_EXCHANGE):
                replaced = value_of(scratch.read_bytes())
                os.unlink(scratch)
                break
            if _rename(scratch, target, _RENAME_NOREPLACE):
                replaced = None
                break
        self.note(f"{node.name} writes {path}: {value} over {replaced}")
        self.model.write(node.name, path, value, replaced)

    def delete(self, node, path, number):
        scratch = self.scratch / f"{node.name}-{number}"
        if not _rename(node.folder / path, scratch, _RENAME_NOREPLACE):
            return
        replaced = value_of(scratch.read_bytes())
        os.unlink(scratch)
        self.note(f"{node.name} deletes {path}: {replaced}")
        self.model.write(node.name, path, None, replaced)

    def heal(self):
        for first, second in self.cuts:
            self.farm.relay.heal(first, second)
        if self.cuts:
            self.note("heal all")
        self.cuts.clear()

    def kill(self, node):
        if node in self.down:
            return
        self.note(f"kill -9 {node.name}")
        node.kill9()
        self.down.add(node)

    def start_all(self):
        for node in self.down:
            self.note(f"start {node.name}")
            node.start()
        self.down.clear()

    def stabilize(self):
        self.heal()
        self.start_all()
        self.farm.wait_linked(self.deadline(40))
        for node in self.farm.nodes:  # when `wait` returns, the node knows of what was done to the path there
            for path in PATHS:
                node.cli("wait", path, "--nodes", "1")
        found = []

        def stable():
            found[:] = self.end_faults()
            return not found

        try:
            wait_until(stable, "stable", self.deadline(30), interval=0.1)
        except Timeout:
            raise Timeout("not stable: " + "; ".join(found[:6])) from None
        values = {path: self.read(self.farm.nodes[0], path) for path in self.model.events}
        self.model.stabilized([node.name for node in self.farm.nodes], values)
        self.note(f"stable: {values}")

    def end_faults(self):
        faults = []
        for first, second in zip(self.farm.nodes, self.farm.nodes[1:]):
            faults += tree.differences(first.folder, second.folder)
        listings = [node.conflicts() for node in self.farm.nodes]
        ids = [sorted(conflict["id"] for conflict in listing) for listing in listings]
        if any(other != ids[0] for other in ids):
            faults.append(f"the conflict lists differ: {ids}")
        if faults:
            return faults
        for node, listing in zip(self.farm.nodes, listings):
            values = {path: self.read(node, path) for path in self.model.events}
            conflicts = {}
            for conflict in listing:
                value, kept = self.loser_of(node, conflict)
                conflicts.setdefault(conflict["path"], set()).add(value)
                # Of an entry that should not be there (see the model) the bytes may be gone: they were overwritten.
                if not kept and value in [head.value for head in self.model.heads(conflict["path"])]:
                    faults.append(f"{node.name} lacks the bytes of {conflict}")
            faults += [f"{node.name}: {fault}" for fault in self.model.stable_faults(values, conflicts)]
        return faults

    def loser_of(self, node, conflict):
        """(value, whether the node has its bytes)"""
        done = node.cli("conflicts", "show", conflict["id"], "--json")
        if done.returncode != 0:
            return done.stderr, False  # it was resolved meanwhile: not the end yet
        file = json.loads(done.stdout).get("loser_file")
        if not file:
            return value_of_size(conflict["loser"]["size"]), False
        with open(file, "rb") as kept:
            return value_of(kept.read()), True
