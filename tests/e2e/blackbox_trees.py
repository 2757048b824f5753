"""Applications that do anything to a tree on all nodes at once, while nodes die and links are cut: all trees are equal in the end."""
import errno
import os
import random
import threading

from farm import tree
from farm.cluster import wait_until

# Another node was quicker, or a directory would go into itself.
_LOST_RACES = {errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.ELOOP, errno.EINVAL}


class Gardener(threading.Thread):
    """An application on one node. What it has written whole goes into `written`, by digest, before anybody may see it."""

    def __init__(self, node, seed, written):
        super().__init__(name=node.name)
        self.folder, self.random, self.written = node.folder, random.Random(seed), written
        self.stopping = threading.Event()
        self.operations = 0
        self.error = None

    def run(self):
        try:
            while not self.stopping.wait(self.random.uniform(0, 0.01)):
                self.try_step()
                self.operations += 1
        except OSError as error:  # the test fails with it
            self.error = error

    def try_step(self):
        try:
            self.step()
        except OSError as error:
            if error.errno not in _LOST_RACES:
                raise

    def path(self):
        depth = self.random.choice((1, 1, 2, 3))
        return self.folder.joinpath(*(self.random.choice("pqrs") for _ in range(depth)))

    def step(self):
        path, kind = self.path(), self.random.random()
        if kind < 0.35:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.write(path, os.O_CREAT | os.O_TRUNC)
        elif kind < 0.5:
            self.replace(path)
        elif kind < 0.6:
            self.write(path, 0)
        elif kind < 0.7:
            os.rename(path, self.path())
        elif kind < 0.8:
            path.mkdir(parents=True)
        elif kind < 0.85:
            os.symlink(self.random.choice(("p", "../q", "nowhere")), path)
        elif kind < 0.9:
            os.chmod(path, self.random.choice((0o644, 0o600, 0o755)), follow_symlinks=True)
        elif path.is_dir() and not path.is_symlink():
            os.rmdir(path)
        else:
            path.unlink()

    def data(self):
        return self.random.randbytes(self.random.choice((0, 1, 900, 30_000, 300_000)))

    def write(self, path, flags):
        """In place."""
        with open(os.open(path, os.O_RDWR | os.O_NOFOLLOW | flags, 0o644), "r+b", buffering=0) as file:
            file.write(self.data())
            file.seek(0)
            self.written.add(tree.digest(file.read()))

    def replace(self, path):
        data = self.data()
        self.written.add(tree.digest(data))
        path.parent.mkdir(parents=True, exist_ok=True)
        new = self.folder / f"{self.name}.new"
        new.write_bytes(data)
        os.rename(new, path)


def garden(farm, seed, rounds, deadline):
    """Returns (operations, files, conflicts); raises AssertionError when the trees do not become equal, or hold what nobody wrote."""
    rng = random.Random(seed)
    written = {tree.digest(b"")}
    gardeners = [Gardener(node, rng.random(), written) for node in farm.nodes]
    for gardener in gardeners:
        gardener.start()
    try:
        for _ in range(rounds):
            _disturb(farm, gardeners, rng, deadline)
    finally:
        for gardener in gardeners:
            gardener.stopping.set()
        for gardener in gardeners:
            gardener.join()
    errors = [gardener.error for gardener in gardeners if gardener.error]
    if errors:
        raise AssertionError(f"an application cannot work: {errors}")
    farm.wait_linked(deadline(30))
    farm.wait_equal(deadline(60), also=lambda: _listings_agree(farm))
    found = tree.contents(farm.nodes[0].folder)
    strange = {path for path, digest in found.items() if digest not in written}
    if strange:
        raise AssertionError(f"a content that nobody wrote, at {sorted(strange)[:5]}")
    return sum(g.operations for g in gardeners), len(found), len(farm.nodes[0].conflicts())


def _listings_agree(farm):
    return len({str(sorted(conflict["id"] for conflict in node.conflicts())) for node in farm.nodes}) == 1


def _disturb(farm, gardeners, rng, deadline):
    """Some work in the midst of which one node dies or is cut off; it is back in the end."""
    goal = sum(g.operations for g in gardeners) + 150

    def worked():
        return sum(g.operations for g in gardeners) >= goal or any(g.error for g in gardeners)

    victim = rng.choice(farm.nodes)
    if rng.random() < 0.5:
        farm.isolate(victim)
    else:
        victim.kill9()
    wait_until(worked, "the applications work", deadline(20), interval=0.005)
    farm.reunite(victim)
    if not victim.running():
        victim.start()
