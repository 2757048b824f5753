"""Readers on every node open every path all the while: each sees a whole old or a whole new content, never a third value."""
import hashlib
import multiprocessing
import os
import time

import e2e_case
from farm import cluster

PATHS = 40
ROUNDS = 12
SIZES = (200, 9_000, 70_000, 600_000, 3_000_000)


def content(path, version):
    """Tells by itself whether it is whole: its head names path, version and length, its tail is the digest of the rest."""
    size = SIZES[int(path.split("-")[1]) % len(SIZES)] + 997 * (version % 7)
    head = f"{path} {version} {size:08d}\n".encode()
    body = head + hashlib.shake_128(head).digest(4096) * (size // 4096 + 1)
    body = body[:size]
    return body + hashlib.sha256(body).digest()


def fault(path, data):
    """None, or what is wrong with what a reader got."""
    if len(data) < 33:
        return f"{len(data)} bytes"
    head = data.split(b"\n", 1)[0].decode(errors="replace").split()
    if len(head) != 3 or head[0] != path:
        return f"head {head}"
    if hashlib.sha256(data[:-32]).digest() != data[-32:]:
        return f"version {head[1]}: {len(data)} bytes, of which {head[2]} + 32 announced, and the digest differs"
    return None


def read_for_ever(folder, names, reads, faults):
    cluster.die_with_parent()
    os.nice(10)  # the nodes under test come first
    faulty = 0
    while faulty < 10:
        for name in names:
            try:
                data = (folder / name).read_bytes()
            except FileNotFoundError:
                continue
            reads.value += 1
            wrong = fault(name, data)
            if wrong:
                faulty += 1
                faults.put(f"{folder / name}: {wrong}")


class Readers(e2e_case.ClusterTest):
    def setUp(self):
        super().setUp()
        # Forked before any thread of this process exists. What an application writes in place is seen half on its own node,
        # by right: readers there look only at what the application replaces by rename.
        self.faults = multiprocessing.SimpleQueue()
        self.readers = []
        names = [f"picture-{i}" for i in range(PATHS)]
        for node in self.farm.nodes:
            reads = multiprocessing.Value("Q", 0, lock=False)
            seen = [name for i, name in enumerate(names) if self.by_rename(i) or self.owner(i) is not node]
            arguments = (node.folder, seen, reads, self.faults)
            process = multiprocessing.Process(target=read_for_ever, args=arguments, daemon=True)
            process.start()
            self.readers.append((process, reads))

    def tearDown(self):
        for process, _ in self.readers:
            process.kill()
            process.join()

    def owner(self, i):
        return self.farm.nodes[i % len(self.farm.nodes)]

    @staticmethod
    def by_rename(i):
        return i % 2 == 0

    def publish(self, i, version):
        name = f"picture-{i}"
        data = content(name, version)
        path = self.owner(i).folder / name
        if self.by_rename(i):
            scratch = self.scratch / name
            scratch.write_bytes(data)
            os.rename(scratch, path)
            return
        with open(path, "wb", buffering=0) as file:  # as a slow upload does: piece by piece
            for start in range(0, len(data), 1 + len(data) // 4):
                file.write(data[start : start + 1 + len(data) // 4])
                time.sleep(0.001)

    def test_old_or_new_never_half(self):
        self.scratch = self.farm.directory / "scratch"
        self.scratch.mkdir()
        for version in range(ROUNDS):
            for i in range(PATHS):
                self.publish(i, version)
                if self.random.random() < 0.02:
                    victim = self.random.choice(self.farm.nodes)
                    victim.kill9()
                    victim.start()
        self.wait_equal(60)
        for node in self.farm.nodes:
            for i in range(PATHS):
                name = f"picture-{i}"
                last = (node.folder / name).read_bytes().split(b"\n", 1)[0].split()[1]
                self.assertEqual(f"{ROUNDS - 1}".encode(), last, f"version of {name} on {node.name}; {node.conflicts()}")
        faults = []
        while not self.faults.empty():
            faults.append(self.faults.get())
        reads = [reads.value for _, reads in self.readers]
        self.say(f"{sum(reads)} reads during {ROUNDS * PATHS} writes")
        self.assertEqual([], faults)
        self.assertGreater(min(reads), PATHS)


if __name__ == "__main__":
    e2e_case.main()
