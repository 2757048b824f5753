"""Who leaves or is evicted is out for good: it hears of it, syncs nothing more, and keeps its files."""
import json
import os
import shutil

import e2e_case


class Membership(e2e_case.ClusterTest):
    links_can_be_cut = True

    def members(self, node):
        return {member["name"]: member["state"] for member in node.json("cluster", "members")["members"]}

    def wait_members(self, node, expected):
        e2e_case.wait_until(lambda: self.members(node) == expected,
                            lambda: f"{node.name} lists {expected}; it lists {self.members(node)}", self.deadline(20))

    def wait_out(self, node, word):
        def is_out():
            status = node.status()
            return status["state"] == "stopped" and word in status["reason"]
        e2e_case.wait_until(is_out, lambda: f"{node.name} says {word}; it says {node.http('/readyz')}", self.deadline(20))
        self.assertEqual(503, node.http("/readyz")[0])
        self.assertEqual(503, node.http("/healthz")[0])

    def assert_apart(self, gone, first):
        """Nothing passes between them any more, while two others are together."""
        (gone.folder / "late").write_text("of nobody")
        (first.folder / "still two").write_text("x")
        self.assertEqual(0, first.cli("wait", "still two", "--nodes", "2").returncode)
        self.assertFalse((gone.folder / "still two").exists())
        self.assertFalse((first.folder / "late").exists())

    def test_leave(self):
        first, second, third = self.farm.nodes
        for i in range(30):
            (third.folder / f"upload-{i}").write_bytes(os.urandom(3000 * i))
        done = third.cli("cluster", "leave", "--timeout", "30s", "--json")
        self.assertEqual(0, done.returncode, done.stderr)
        answer = json.loads(done.stdout)
        self.assertEqual((True, "stopped"), (answer["done"], answer["state"]))
        for node in (first, second):
            self.wait_members(node, {"web1": "joined", "web2": "joined", "web3": "left"})
        holder = next(node for node in self.farm.nodes if node.name in answer["have"])
        for i in range(30):
            self.assertEqual((third.folder / f"upload-{i}").read_bytes(), (holder.folder / f"upload-{i}").read_bytes())
        self.wait_out(third, "left")
        self.assert_refused(third.cli("cluster", "leave"), 1, "not a member")
        self.assert_refused(third.cli("wait", "upload-1"), 1, "left")
        third.stop()
        third.start()
        e2e_case.wait_until(lambda: third.cli("status").returncode == 0, "it runs again", self.deadline(20))
        self.wait_out(third, "left")
        self.assert_apart(third, first)
        self.assertEqual(["web2"], [peer["name"] for peer in first.status()["peers"]])
        self.say("a new node of the same name joins")
        fourth = self.farm.new_node()
        fourth.name = "web3"
        fourth.join(second.invite())
        fourth.start()
        fourth.wait_ready(self.deadline(30))
        self.assertEqual("x", (fourth.folder / "still two").read_text())

    def test_evict_one_that_runs(self):
        first, second, third = self.farm.nodes
        self.assert_refused(first.cli("cluster", "evict", "web9"), 1, "web9", "cluster members")
        self.assert_refused(first.cli("cluster", "evict", "web1"), 1, "leave")
        self.assertEqual("web3", first.json("cluster", "evict", "web3")["name"])
        self.assert_refused(first.cli("cluster", "evict", "web3"), 1, "not a member")
        self.wait_members(second, {"web1": "joined", "web2": "joined", "web3": "evicted"})
        self.wait_out(third, "evicted")
        self.assert_apart(third, first)
        self.say("it comes back with a new home, and with what it had")
        third.stop()
        shutil.rmtree(third.folder / ".syncline")
        again = self.farm.new_node()
        again.name, again.folder = "web3", third.folder
        again.join(second.invite())
        again.start()
        again.wait_ready(self.deadline(30))
        self.assertEqual("x", (again.folder / "still two").read_text())
        e2e_case.wait_until((first.folder / "late").exists, "what it wrote meanwhile is a member's now", self.deadline(30))

    def test_evict_one_that_is_down(self):
        first, second, third = self.farm.nodes
        third.kill9()
        second.kill9()
        e2e_case.wait_until(lambda: first.http("/readyz")[0] == 503, "one of three is no majority", self.deadline(30))
        identity = next(m["id"] for m in first.json("cluster", "members")["members"] if m["name"] == "web3")
        first.command("cluster", "evict", identity[:12])
        first.wait_ready(self.deadline(20))
        self.say("one of two is enough")
        third.start()  # knows nothing of it
        e2e_case.wait_until(lambda: third.cli("status").returncode == 0, "it runs again", self.deadline(20))
        self.wait_out(third, "evicted")
        second.start()
        second.wait_ready(self.deadline(30))
        self.wait_members(second, {"web1": "joined", "web2": "joined", "web3": "evicted"})

    def test_leave_that_cannot_end(self):
        first, second, third = self.farm.nodes
        self.farm.isolate(third)
        (third.folder / "only here").write_text("x")
        self.assert_refused(third.cli("cluster", "leave", "--timeout", "500ms"), 3, "web1", "web2")
        self.assertEqual("joined", self.members(third)["web3"])
        self.farm.reunite(third)
        third.command("resume")
        third.wait_ready(self.deadline(30))
        e2e_case.wait_until((first.folder / "only here").exists, "it is a member still", self.deadline(30))


if __name__ == "__main__":
    e2e_case.main()
