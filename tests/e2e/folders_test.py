"""Several folders in one cluster: each node has which it likes, where it likes; and a mass delete that nobody has seen is believed only when told."""
import json
import os
import shutil

import e2e_case
from farm import tree


class Folders(e2e_case.ClusterTest):
    def media(self, node):
        path = node.folder.with_name("media-of-" + node.name)
        path.mkdir(exist_ok=True)
        return path

    def add(self, node, *options):
        path = self.media(node)
        answer = node.json("folder", "add", path, "--name", "media", *options)
        self.assertEqual(("media", str(path)), (answer["name"], answer["path"]))
        return answer["founded"]

    def states(self, node):
        done = node.cli("folder", "list", "--json")
        return {f["name"]: f["state"] for f in json.loads(done.stdout)} if done.returncode == 0 else {}  # it has just been started

    def wait_state(self, node, name, state):
        e2e_case.wait_until(lambda: self.states(node).get(name) == state, lambda: f"{name} is {state}: {self.states(node)}", self.deadline(30))

    def wait_same(self, nodes, expected):
        def same():
            return all(tree.contents(self.media(node)) == expected for node in nodes)
        e2e_case.wait_until(same, lambda: f"{[len(tree.contents(self.media(n))) for n in nodes]} files of {len(expected)}", self.deadline(30))

    def test_add_use_remove(self):
        first, second, third = self.farm.nodes
        self.assertTrue(self.add(first))
        name = first.folder.name
        self.assertEqual({name: "ok", "media": "ok"}, self.states(first))
        self.wait_state(second, "media", "elsewhere")
        media = self.media(first)
        expected = {}
        for i in range(40):
            data = os.urandom(1000 * i + 1)
            (media / f"m{i}").write_bytes(data)
            expected[f"m{i}"] = tree.digest(data)
        (first.folder / "m0").write_text("of the other folder")  # the same path, other bytes
        self.assertFalse(self.add(second))
        self.wait_same([first, second], expected)
        e2e_case.wait_until((third.folder / "m0").exists, "the first folder goes on", self.deadline(30))
        self.assertEqual(["m0"], [name for name in os.listdir(third.folder) if name != ".syncline"])
        self.say("a barrier counts those that have the folder; a file is served from it")
        (media / "late").write_text("x")
        expected["late"] = tree.digest(b"x")
        have = second.json("wait", self.media(second) / "m1", "--nodes", "2")["have"]
        self.assertEqual(["web1", "web2"], sorted(have))
        self.assertEqual(0, first.cli("wait", "late", "--folder", "media", "--nodes", "all").returncode)
        code, body = second.http("/v1/folder/media/late")
        self.assertEqual((200, "x"), (code, body))
        self.assertEqual(404, second.http("/v1/file/late")[0])
        self.assertEqual(404, third.http("/v1/folder/media/late")[0])
        self.assert_refused(third.cli("wait", "late", "--folder", "media"), 1, "no folder named media")
        self.say("the node is killed and knows its folders")
        second.kill9()
        second.start()
        second.wait_ready(self.deadline(30))
        self.wait_same([first, second], expected)
        self.say("removed, its files stay and nothing of it is synced; added again, what was deleted meanwhile is deleted here")
        self.assertEqual("media", second.json("folder", "remove", "media")["name"])
        self.assertEqual({name: "ok", "media": "elsewhere"}, self.states(second))
        self.assertEqual(expected, tree.contents(self.media(second)))
        (self.media(second) / "mine").write_text("written while it was nobody's")
        (media / "m3").unlink()
        del expected["m3"]
        self.assertEqual(0, first.cli("wait", "late", "--folder", "media", "--nodes", "1").returncode)
        self.assertTrue((self.media(second) / "m3").exists())
        second.kill9()
        second.start()
        second.wait_ready(self.deadline(30))
        shutil.rmtree(self.media(second) / ".syncline")
        (self.media(second) / "m5").unlink()  # is no deletion: nobody synced it
        self.add(second)
        expected["mine"] = tree.digest(b"written while it was nobody's")
        e2e_case.wait_until(lambda: tree.contents(media).keys() >= expected.keys(), "what was written meanwhile arrives", self.deadline(30))
        self.assertIn("m5", tree.contents(media))
        e2e_case.wait_until((self.media(second) / "m5").exists, "m5 is back", self.deadline(30))

    def test_refusals(self):
        first = self.farm.nodes[0]
        self.add(first)
        inside = first.folder / "inside"
        inside.mkdir()
        other = first.folder.with_name("other")
        other.mkdir()
        self.assert_refused(first.cli("folder", "add", inside), 1, "inside")
        self.assert_refused(first.cli("folder", "add", first.folder), 1, "inside")
        self.assert_refused(first.cli("folder", "add", other, "--name", "media"), 1, "already", "--name")
        self.assert_refused(first.cli("folder", "add", other, "--name", "a/b"), 1, "name")
        self.assert_refused(first.cli("folder", "add", other / "missing"), 1, "no such file")
        self.assert_refused(first.cli("folder", "remove", first.folder.name), 1, "pause")
        self.assert_refused(first.cli("folder", "remove", "nothing"), 1, "folder list")
        self.assertEqual(2, first.cli("folder", "add", other, "--mode", "sideways").returncode)

    def test_pause(self):
        first, second, _ = self.farm.nodes
        self.add(first)
        self.add(second)
        media = self.media(first)
        (media / "a").write_text("1")
        self.assertEqual(0, first.cli("wait", media / "a", "--nodes", "2").returncode)
        second.json("folder", "pause", "media")
        self.wait_state(second, "media", "paused")
        self.assertEqual((200, 503), (second.http("/healthz")[0], second.http("/readyz")[0]))
        (media / "a").write_text("2")
        (self.media(second) / "b").write_text("of a paused folder")
        (second.folder / "unpaused").write_text("x")
        self.assertEqual(0, second.cli("wait", "unpaused", "--nodes", "3").returncode)
        second.kill9()
        second.start()
        self.wait_state(second, "media", "paused")
        self.assertEqual("1", (self.media(second) / "a").read_text())
        self.assertFalse((media / "b").exists())
        second.json("folder", "resume", "media")
        self.wait_same([first, second], {"a": tree.digest(b"2"), "b": tree.digest(b"of a paused folder")})
        second.wait_ready(self.deadline(30))

    def test_mass_delete(self):
        first, second, _ = self.farm.nodes
        for i in range(300):
            (first.folder / f"f{i}").write_bytes(os.urandom(100))
        self.wait_equal(30)
        first.stop()
        for i in range(200):
            (first.folder / f"f{i}").unlink()
        first.start()
        self.wait_state(first, first.folder.name, "stopped")
        folder = first.status()["folders"][0]
        self.assertIn("200 of", folder["reason"])
        self.assertIn("--accept-deletions", folder["reason"])
        self.assertEqual(503, first.http("/healthz")[0])
        self.assertEqual(300, len(tree.contents(second.folder)))
        first.stop()
        first.start()
        self.wait_state(first, first.folder.name, "stopped")
        self.assertEqual(300, len(tree.contents(second.folder)))
        answer = json.loads(first.cli("folder", "resume", "--accept-deletions", "--json").stdout)
        self.assertEqual(first.folder.name, answer["name"])
        e2e_case.wait_until(lambda: len(list(second.folder.glob("f*"))) == 100, "the deletion is everywhere", self.deadline(30))
        self.wait_equal(30)
        first.wait_ready(self.deadline(30))


if __name__ == "__main__":
    e2e_case.main()
