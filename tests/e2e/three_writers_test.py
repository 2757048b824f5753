"""All nodes write at once, overlapping names included: they agree, and no version that was written is lost."""
import concurrent.futures
import os
import threading
import zlib

import e2e_case
from farm import tree

OWN, SHARED, SHARED_WHILE_CUT = 1400, 300, 300  # files a node writes: 2,000


class ThreeWriters(e2e_case.ClusterTest):
    many_files = True
    links_can_be_cut = True

    def content(self, node, name):
        head = f"{name} by {node.name}\n".encode()
        return head + self.bodies[node.number][: zlib.crc32(name.encode()) % 20000]

    def write(self, node, names):
        """What an application does that must not overwrite: it opens exclusively. Returns the digests of what it wrote."""
        written = set()
        for name in names:
            path = node.folder / name
            path.parent.mkdir(exist_ok=True)
            try:
                file = open(path, "xb")
            except FileExistsError:
                continue  # another node's version arrived first: it was seen, and nothing is written
            with file:
                file.write(self.content(node, name))
            written.add(tree.digest(self.content(node, name)))
        return written

    def write_everywhere(self, names_of):
        barrier = threading.Barrier(len(self.farm.nodes))

        def work(node):
            barrier.wait()
            return self.write(node, names_of(node))

        with concurrent.futures.ThreadPoolExecutor() as pool:
            return set().union(*pool.map(work, self.farm.nodes))

    def live(self, node):
        return set(tree.contents(node.folder).values())

    def test_no_version_is_lost(self):
        self.bodies = {node.number: os.urandom(20000) for node in self.farm.nodes}
        for node in self.farm.nodes:
            self.farm.isolate(node)
        written = self.write_everywhere(lambda node: [f"cut{i % 7}/{i}" for i in range(SHARED_WHILE_CUT)])
        self.assertEqual(3 * SHARED_WHILE_CUT, len(written))
        for node in self.farm.nodes:
            self.farm.reunite(node)
        written |= self.write_everywhere(
            lambda node: [f"shared{i % 5}/{i}" for i in range(SHARED)] + [f"own{node.number}/{i}" for i in range(OWN)])
        self.say(f"{len(written)} versions were written")

        self.wait_equal(90, also=self.conflicts_agree)
        live = self.live(self.farm.nodes[0])
        conflicts = self.farm.nodes[0].conflicts()
        self.say(f"equal: {len(live)} versions are live, {len(conflicts)} in conflicts")
        self.assertLessEqual(live, written, "a live content that nobody wrote")
        self.assertGreaterEqual(len(conflicts), 2 * SHARED_WHILE_CUT)

        self.restore_all(conflicts)
        self.wait_equal(60, also=lambda: not self.farm.nodes[1].conflicts())
        for node in self.farm.nodes:
            self.assertEqual(written, self.live(node), f"lost or invented on {node.name}")
        self.say("every conflict was restored: all versions are there")

    def conflicts_agree(self):
        first, *others = [sorted(c["id"] for c in node.conflicts()) for node in self.farm.nodes]
        written = 3 * SHARED_WHILE_CUT
        return len(first) >= written - SHARED_WHILE_CUT and all(first == other for other in others)

    def restore_all(self, conflicts):
        """A third of them on every node, at once."""

        def work(node):
            for conflict in conflicts[node.number - 1 :: len(self.farm.nodes)]:
                node.command("conflicts", "restore", conflict["id"], "--as", f"restored/{conflict['id']}")

        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(work, self.farm.nodes))


if __name__ == "__main__":
    e2e_case.main()
