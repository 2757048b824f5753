"""`syncline verify` reads everything again. That a file rots under unchanged time stamps no test of real disks can bring about: the unit tests
have it (node_repair_test.cpp); kept versions have no stamps to be believed."""
import json
import os

import e2e_case


def read(path):
    with open(path, "rb") as file:
        return file.read()


def rot(path):
    with open(path, "r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))


class Verify(e2e_case.ClusterTest):
    def set_up_files(self, node):
        files = {f"picture-{i}": os.urandom(1 + 20_000 * i) for i in range(20)}
        for name, data in files.items():
            (node.folder / name).write_bytes(data)
        for name in files:
            node.command("wait", name)
        self.wait_equal()
        return files

    def test_a_sound_tree(self):
        first = self.farm.nodes[0]
        files = self.set_up_files(first)
        found = first.json("verify")
        self.assertEqual((True, 0, 0, 0), (found["done"], found["damaged_count"], found["unreadable_count"], found["pending"]))
        self.assertEqual((len(files), sum(map(len, files.values()))), (found["files"], found["bytes"]))
        # What they have is told a moment after it is there.
        e2e_case.wait_until(lambda: sorted(first.json("verify")["agree"]) == ["web2", "web3"], "both agree", self.deadline(20))
        self.assertIn("20 files", first.command("verify", "--repair"))

    def test_a_rotten_kept_version(self):
        first, second, third = self.farm.nodes
        # Two at once: one of them loses.
        for attempt in range(20):
            for node in (first, third):
                (node.folder / f"both-{attempt}").write_text(f"{node.name} {attempt}" * 50)
            e2e_case.wait_until(lambda: len({(n.folder / f"both-{attempt}").read_text() for n in self.farm.nodes
                                             if (n.folder / f"both-{attempt}").exists()}) == 1, "one wins", self.deadline(20))
            if first.conflicts():
                break
        self.assertTrue(first.conflicts(), "no conflict came of 20 attempts")
        self.wait_equal(also=lambda: all(node.conflicts() for node in self.farm.nodes))
        identity = second.conflicts()[0]["id"]

        def kept():
            return second.json("conflicts", "show", identity)["loser_file"]
        e2e_case.wait_until(kept, "the loser's bytes are here", self.deadline(20))
        path = kept()
        before = read(path)
        rot(path)
        self.assert_refused_with_output(second.cli("verify"), "damaged: both", "--repair")
        self.assertNotEqual(before, read(path))
        done = second.cli("verify", "--repair", "--json")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(1, json.loads(done.stdout)["repaired"])
        self.assertEqual(before, read(path))

    def assert_refused_with_output(self, done, text, hint):
        self.assertEqual(1, done.returncode, done.stdout + done.stderr)
        self.assertIn(text, done.stdout)
        self.assert_one_line(done.stderr)
        self.assertIn(hint, done.stderr)


if __name__ == "__main__":
    e2e_case.main()
