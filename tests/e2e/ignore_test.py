"""Ignore rules that the cluster shares, and nodes that only send or only receive."""
import json
import subprocess

import e2e_case
from farm import tree


def status(node):
    code, text = node.http("/v1/status")
    return json.loads(text) if code == 200 else {"folders": [{"state": "starting", "rules": -1, "held": []}], "problems": []}


class Ignore(e2e_case.ClusterTest):
    def write(self, node, path, content=b"x"):
        file = node.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def names(self, node):
        found = subprocess.run(["find", ".", "-path", "./.syncline", "-prune", "-o", "-type", "f", "-printf", "%P\n"],
                               cwd=node.folder, capture_output=True, text=True, check=True).stdout
        return set(found.splitlines())

    def wait_names(self, node, expected):
        e2e_case.wait_until(lambda: self.names(node) == expected,
                            lambda: f"{node.name} has {sorted(expected)}; it has {sorted(self.names(node))}", self.deadline(30))

    def wait_rules(self, count):
        for node in self.farm.nodes:
            e2e_case.wait_until(lambda: (status(node)["folders"][0]["rules"], status(node)["folders"][0]["state"]) == (count, "ok"),
                                lambda: f"{node.name} has {count} rules: {status(node)['folders']}", self.deadline(30))

    def test_the_cluster_shares_the_rules(self):
        a, b, c = self.farm.nodes
        for path in ("cache/old", "keep/a.jpg", "top.tmp"):
            self.write(a, path)
        everything = {"cache/old", "keep/a.jpg", "top.tmp"}
        for node in (b, c):
            self.wait_names(node, everything)
        self.say("written: the rules")
        self.write(b, ".synclineignore", b"# what the site makes anew\n/cache/\n+ keep*.tmp\n*.tmp\n[broken\n")
        self.wait_rules(3)
        everything |= {".synclineignore"}
        for node in (a, b, c):
            self.assertEqual(everything, self.names(node), "what is ignored from now on stays, and is no deletion")
            self.assertEqual([(".synclineignore", True)],
                             [(p["path"], "line 5" in p["problem"]) for p in status(node)["problems"]])
        self.write(a, "cache/new")
        self.write(a, "new.tmp")
        (a.folder / "top.tmp").unlink()
        self.write(a, "keep.tmp")
        self.write(a, "last.jpg")
        shared = {"keep.tmp", "last.jpg"}
        for node in (b, c):
            self.wait_names(node, everything | shared)
        self.assertEqual(1, a.cli("wait", "new.tmp").returncode)
        self.assertIn("ignored", a.cli("wait", "new.tmp").stderr)
        rsync = subprocess.run(["rsync", "-anic", "--delete", "--exclude=/.syncline/", "--no-owner", "--no-group", "--omit-dir-times",
                                f"--exclude-from={a.folder}/.synclineignore", f"{a.folder}/", f"{c.folder}/"],
                               capture_output=True, text=True, check=True).stdout
        self.assertEqual("", rsync, "rsync with the same rules sees no difference")

        self.say("restarted: the rules hold from the first moment on")
        b.stop()
        self.write(b, "cache/while-down")
        (b.folder / "cache/old").unlink()
        b.start()
        self.farm.wait_linked(self.deadline(30))
        self.wait_rules(3)
        self.assertEqual({"cache/while-down"}, {name for name in self.names(b) if name.startswith("cache/")})
        self.assertEqual({"cache/old"}, {name for name in self.names(c) if name.startswith("cache/")})

        self.say("taken back: everything is synced again, and nothing is lost")
        (c.folder / ".synclineignore").unlink()
        self.wait_rules(0)
        union = {"cache/old", "cache/new", "cache/while-down", "keep/a.jpg", "top.tmp", "new.tmp"} | shared
        for node in (a, b, c):
            self.wait_names(node, union)
        self.wait_equal(30)
        self.assertEqual([], a.conflicts())


class Modes(e2e_case.ClusterTest):
    nodes = 0

    def form(self, mode):
        a, b = self.farm.new_node(), self.farm.new_node()
        a.found()
        a.start()
        a.wait_ready(self.deadline(30))
        b.join(a.invite())
        self.set_mode(b, mode)
        b.start()
        self.farm.wait_linked(self.deadline(30))
        return a, b

    def set_mode(self, node, mode):
        config = node.home / "config.toml"
        before, text = "", config.read_text()
        for known in ("send-receive", "receive-only", "send-only"):
            before = before or (f'mode = "{known}"' if f'mode = "{known}"' in text else "")
        self.assertTrue(before, "init and join write the key")
        config.write_text(text.replace(before, f'mode = "{mode}"'))

    def restart(self, node, mode):
        node.stop()
        self.set_mode(node, mode)
        node.start()
        self.farm.wait_linked(self.deadline(30))

    def held(self, node):
        return {(h["path"], h["changed_here"]) for h in status(node)["folders"][0]["held"]}

    def wait_held(self, node, expected):
        e2e_case.wait_until(lambda: self.held(node) == expected, lambda: f"kept back: {expected}; {self.held(node)}",
                            self.deadline(30))

    def test_receive_only(self):
        a, b = self.form("receive-only")
        for path in ("one", "two"):
            (a.folder / path).write_text("theirs")
            a.command("wait", path)
        (b.folder / "one").write_text("mine")
        (b.folder / "two").unlink()
        (b.folder / "new").mkdir()
        (b.folder / "new" / "file").write_text("mine")
        changed = {("one", True), ("two", True), ("new", True), ("new/file", True)}
        self.wait_held(b, changed)
        self.assertIn("receive-only", b.command("status"))
        self.assertEqual(changed, {(h["path"], h["changed_here"]) for h in b.json("folder", "list")[0]["held"]})
        (a.folder / "three").write_text("theirs")
        a.command("wait", "three")
        self.assertEqual("theirs", (b.folder / "three").read_text())
        self.assertEqual({"one", "two", "three"}, set(tree.contents(a.folder)), "nothing was published")
        refused = b.cli("wait", "one")
        self.assert_refused(refused, 1, "only receives")
        self.restart(b, "receive-only")
        self.assertEqual(changed, self.held(b))
        self.assertEqual({"paths": 1}, b.json("folder", "revert", "one"))
        self.wait_held(b, changed - {("one", True)})
        e2e_case.wait_until(lambda: (b.folder / "one").read_text() == "theirs", "the others' version is there", self.deadline(30))
        b.command("folder", "revert")
        self.wait_held(b, set())
        self.wait_equal(30)
        self.assert_refused(b.cli("folder", "revert"), 1, "nothing was changed")

        self.say("a change here, and then a mode that publishes it")
        (b.folder / "one").write_text("mine")
        (b.folder / "two").unlink()
        self.wait_held(b, {("one", True), ("two", True)})
        self.restart(b, "send-receive")
        self.wait_equal(30)
        self.assertEqual({"one", "three"}, set(tree.contents(a.folder)))
        self.assertEqual("mine", (a.folder / "one").read_text())
        self.assertEqual([], a.conflicts(), "the versions that were changed had been seen")

    def test_send_only(self):
        a, b = self.form("send-only")
        (b.folder / "one").write_text("mine")
        b.command("wait", "one")
        self.assertEqual("mine", (a.folder / "one").read_text())
        (a.folder / "two").write_text("theirs")
        (a.folder / "one").write_text("theirs")
        self.wait_held(b, {("one", False), ("two", False)})
        a.command("wait", "two")  # b is not waited for
        self.assertEqual({"one": tree.digest(b"mine")}, tree.contents(b.folder))
        self.restart(b, "send-receive")
        self.wait_equal(30)
        self.assertEqual("theirs", (b.folder / "one").read_text())


if __name__ == "__main__":
    e2e_case.main()
