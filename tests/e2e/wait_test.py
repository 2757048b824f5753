"""`syncline wait` and POST /v1/wait: what an application asks after an upload."""
import json
import os

import e2e_case


class Wait(e2e_case.ClusterTest):
    links_can_be_cut = True

    def answer(self, done):
        return json.loads(done.stdout)

    def test_all_have_it(self):
        first = self.farm.nodes[0]
        for i in range(30):
            (first.folder / f"p{i}").write_bytes(os.urandom(1000 * i))
            done = first.cli("wait", f"p{i}", "--json")
            self.assertEqual(0, done.returncode, done.stderr)
            self.assertEqual({"web1", "web2", "web3"}, set(self.answer(done)["have"]))
            for node in self.farm.nodes[1:]:  # no polling: it is there when wait has returned
                self.assertEqual((first.folder / f"p{i}").read_bytes(), (node.folder / f"p{i}").read_bytes())
        absolute = first.cli("wait", first.folder / "p3", "--nodes", "majority", "--durable")
        self.assertEqual(0, absolute.returncode, absolute.stderr)

    def test_changed_file(self):
        first, second, _ = self.farm.nodes
        for text in ("one", "two", "three"):
            (first.folder / "page").write_text(text)
            first.command("wait", "page")
            self.assertEqual(text, (second.folder / "page").read_text())

    def test_a_path_that_is_not_there(self):
        self.assert_refused(self.farm.nodes[0].cli("wait", "nothing"), 1, "nothing")
        self.assert_refused(self.farm.nodes[0].cli("wait", "/etc/passwd"), 1, "passwd")
        self.assert_refused(self.farm.nodes[0].cli("wait", "../uploads"), 1)

    def test_too_many_nodes_asked_for(self):
        first = self.farm.nodes[0]
        (first.folder / "x").write_text("x")
        done = first.cli("wait", "x", "--nodes", "4", "--timeout", "1s")
        self.assertIn(done.returncode, (1, 3))
        self.assert_one_line(done.stderr)

    def test_cut_off(self):
        first, second, third = self.farm.nodes
        self.farm.isolate(third)
        (first.folder / "y").write_text("y")
        done = first.cli("wait", "y", "--nodes", "3", "--timeout", "500ms", "--json")
        self.assertEqual(3, done.returncode, done.stderr)
        self.assertIn("web3", done.stderr)
        self.assertIn("web3", self.answer(done)["lacking"] + self.answer(done)["absent"])
        self.assertEqual(0, first.cli("wait", "y", "--nodes", "majority").returncode)
        self.assertEqual(0, first.cli("wait", "y", "--nodes", "2").returncode)

        def all_but_the_absent():
            return first.cli("wait", "y", "--timeout", "200ms").returncode == 0

        e2e_case.wait_until(all_but_the_absent, "`all` does not count the one cut off", self.deadline(30))
        self.farm.reunite(third)
        self.farm.wait_linked(self.deadline(30))
        self.assertEqual(0, first.cli("wait", "y", "--nodes", "3").returncode)
        self.assertEqual("y", (third.folder / "y").read_text())

    def test_http(self):
        first = self.farm.nodes[0]
        (first.folder / "z").write_text("z")
        code, body = first.http("/v1/wait", {"path": "z", "nodes": "all"})
        self.assertEqual(200, code, body)
        self.assertEqual({"web1", "web2", "web3"}, set(json.loads(body)["have"]))
        self.assertEqual(404, first.http("/v1/wait", {"path": "nothing"})[0])
        self.assertEqual(400, first.http("/v1/wait", {"path": 7})[0])
        self.farm.nodes[2].kill9()
        (first.folder / "w").write_text("w")
        code, body = first.http("/v1/wait", {"path": "w", "nodes": 3, "timeout_ms": 300})
        self.assertEqual(504, code, body)
        self.assertIn("web3", body)


if __name__ == "__main__":
    e2e_case.main()
