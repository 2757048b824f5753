"""Garbage over the index: it is moved aside and rebuilt from the tree and the peers, and nothing is deleted anywhere."""
import os

import e2e_case
from farm import tree


class CorruptIndex(e2e_case.ClusterTest):
    def index_files(self, node):
        files = [path for path in node.home.rglob("data.mdb") if ".corrupt-" not in path.parent.name]
        self.assertEqual(1, len(files), "the index of the node")
        return files

    def spoil(self, node, how):
        for path in self.index_files(node):
            with open(path, "r+b") as file:
                how(file)

    def garbage(self, file):
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        file.write(self.random.randbytes(min(size, 1 << 20)))

    @staticmethod
    def truncate(file):
        file.truncate(5000)

    def fill(self):
        for node in self.farm.nodes:
            for i in range(200):
                path = node.folder / f"from{node.number}" / f"{i}"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(self.random.randbytes(self.random.randrange(20000)))
        self.wait_equal(30)
        return tree.contents(self.farm.nodes[0].folder)

    def test_rebuilt_and_nothing_deleted(self):
        expected = self.fill()
        self.assertEqual(600, len(expected))
        victim, other, _ = self.farm.nodes
        for how in (self.garbage, self.truncate):
            victim.stop()
            self.spoil(victim, how)
            before = {path for path in victim.home.rglob("*")}
            changed = other.folder / "from1" / "0"
            changed.write_bytes(b"changed meanwhile")
            expected["from1/0"] = tree.digest(b"changed meanwhile")
            (other.folder / "from2" / "1").unlink(missing_ok=True)
            expected.pop("from2/1", None)
            victim.start()
            victim.wait_ready(self.deadline(60))
            aside = {path for path in victim.home.rglob("*")} - before
            self.assertTrue(aside, "the spoilt index was not kept")
            self.farm.wait_linked(self.deadline(30))
            self.settle(expected)
            self.say(f"rebuilt after {how.__name__}")
        log = victim.log.read_text()
        self.assertIn("index", log)

    def settle(self, expected):
        """Equal again. A file deleted while the index was lost may come back, for the node cannot know; no other."""
        self.wait_equal(60)
        for node in self.farm.nodes:
            found = tree.contents(node.folder)
            found.pop("from2/1", None)
            self.assertEqual(expected, found, f"on {node.name}")


if __name__ == "__main__":
    e2e_case.main()
