"""Two nodes edit one file while the link is cut: one wins everywhere, the other is listed everywhere and restorable."""
import os

import e2e_case
from farm import tree


class Conflicts(e2e_case.ClusterTest):
    links_can_be_cut = True

    def edit_apart(self, path, first_text, third_text):
        """Node 1 and then node 3 write `path` while node 1 is cut off. None deletes."""
        first, second, third = self.farm.nodes
        self.farm.isolate(first)
        for node, text in ((first, first_text), (third, third_text)):
            if text is None:
                os.unlink(node.folder / path)
            else:
                (node.folder / path).write_text(text)
            self.noticed(node, path, text)
        e2e_case.wait_until(lambda: self.read(second, path) == third_text, "node 2 follows node 3", self.deadline(20))
        self.farm.reunite(first)

    def noticed(self, node, path, text):
        """`wait` is about what is on the disk when it is called: when it returns, the node knows of the write."""
        if text is not None:
            node.command("wait", path, "--nodes", "1")

    def read(self, node, path):
        try:
            return (node.folder / path).read_text()
        except FileNotFoundError:
            return None

    def wait_conflicts(self, count):
        def all_have():
            return all(len(node.conflicts()) == count for node in self.farm.nodes)

        e2e_case.wait_until(all_have, lambda: f"{count} conflicts on each: {[n.conflicts() for n in self.farm.nodes]}",
                            self.deadline(30))
        self.wait_equal(30)
        self.assertEqual(1, len({tuple(c["id"] for c in node.conflicts()) for node in self.farm.nodes}), "the same ids")
        return self.farm.nodes[1].conflicts()

    def test_listed_everywhere_and_restored(self):
        first, second, third = self.farm.nodes
        (first.folder / "page.html").write_text("old\n")
        self.wait_equal(30)
        self.edit_apart("page.html", "by node 1\n", "by node 3, later\n")
        (conflict,) = self.wait_conflicts(1)
        self.assertEqual("page.html", conflict["path"])
        self.assertEqual(("web3", "web1"), (conflict["winner"]["node"], conflict["loser"]["node"]))
        self.assertEqual(len("by node 1\n"), conflict["loser"]["size"])
        self.assertEqual("by node 3, later\n", self.read(first, "page.html"))

        shown = second.command("conflicts", "show", conflict["id"])
        self.assertIn("page.html", shown)
        second.command("conflicts", "restore", conflict["id"], "--as", "page-1.html")
        e2e_case.wait_until(lambda: not any(node.conflicts() for node in self.farm.nodes), "resolved everywhere",
                            self.deadline(20))
        self.wait_equal(30)
        for node in self.farm.nodes:
            self.assertEqual("by node 1\n", self.read(node, "page-1.html"))
            self.assertEqual("by node 3, later\n", self.read(node, "page.html"))

    def test_restored_in_place(self):
        first, second, third = self.farm.nodes
        (first.folder / "a").write_text("old")
        self.wait_equal(30)
        self.edit_apart("a", "first", "third")
        (conflict,) = self.wait_conflicts(1)
        third.command("conflicts", "restore", conflict["id"])
        e2e_case.wait_until(lambda: all(self.read(node, "a") == "first" for node in self.farm.nodes),
                            "the loser is live everywhere", self.deadline(20))
        e2e_case.wait_until(lambda: not any(node.conflicts() for node in self.farm.nodes), "no conflict is left",
                            self.deadline(20))

    def test_survives_restart_and_is_dropped(self):
        first, second, third = self.farm.nodes
        self.edit_apart("b", "first", "third")
        (conflict,) = self.wait_conflicts(1)
        for node in self.farm.nodes:
            node.kill9()
        for node in self.farm.nodes:
            node.start()
        self.farm.wait_linked(self.deadline(30))
        self.assertEqual([conflict["id"]], [c["id"] for c in first.conflicts()])
        self.assert_refused(first.cli("conflicts", "show", "ffff0000ffff"), 1, "ffff0000ffff")
        first.command("conflicts", "drop", conflict["id"])
        self.wait_conflicts(0)
        self.assertEqual("third", self.read(second, "b"))

    def test_an_edit_that_loses_to_a_delete(self):
        first, second, third = self.farm.nodes
        (first.folder / "c").write_text("old")
        self.wait_equal(30)
        self.edit_apart("c", "edited", None)
        (conflict,) = self.wait_conflicts(1)
        self.assertIsNone(self.read(first, "c"))
        second.command("conflicts", "restore", conflict["id"])
        e2e_case.wait_until(lambda: all(self.read(node, "c") == "edited" for node in self.farm.nodes),
                            "the edit is live again", self.deadline(20))

    def test_equal_edits_are_no_conflict(self):
        first, second, third = self.farm.nodes
        self.farm.isolate(first)
        for node in (first, third):
            (node.folder / "same").write_text("same bytes")
            os.utime(node.folder / "same", ns=(0, 10**18))
            node.folder.joinpath("same").chmod(0o644)
            node.command("wait", "same", "--nodes", "1")
        self.farm.reunite(first)
        (first.folder / "mark").write_text("x")
        self.wait_equal(30, also=lambda: (third.folder / "mark").exists())
        self.assertEqual([[], [], []], [node.conflicts() for node in self.farm.nodes])


if __name__ == "__main__":
    e2e_case.main()
