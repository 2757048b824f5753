"""The command line is a contract: shapes of --json, exit statuses, HTTP codes, what a stop and a start leave behind."""
import json
import os
import re
import stat
import subprocess

import e2e_case

ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class CommandLine(e2e_case.ClusterTest):
    links_can_be_cut = True

    def test_status(self):
        first = self.farm.nodes[0]
        (first.folder / "a").write_bytes(b"12345")
        first.command("wait", "a")
        e2e_case.wait_until(lambda: all(peer["behind"] == 0 for peer in first.status()["peers"]), "no peer is behind",
                            self.deadline(20))
        status = first.status()
        self.assertEqual("web1", status["node"])
        self.assertIs(True, status["ready"])
        self.assertEqual([], status["problems"])
        self.assertEqual({"web2", "web3"}, {peer["name"] for peer in status["peers"]})
        for peer in status["peers"]:
            self.assertEqual((True, 0), (peer["linked"], peer["behind"]))
        (folder,) = status["folders"]
        self.assertEqual(("uploads", str(first.folder)), (folder["name"], folder["path"]))
        self.assertEqual(("ok", 1, 5), (folder["state"], folder["files"], folder["bytes"]))
        text = first.command("status")
        for word in ("web1", "web2", "web3", "uploads"):
            self.assertIn(word, text)

    def test_status_watch(self):
        first = self.farm.nodes[0]
        command = [self.farm.binaries / "syncline", "status", "--watch", "--json", "--home", first.home]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
            lines = [json.loads(watch.stdout.readline()) for _ in range(2)]
            watch.terminate()
            watch.stdout.read()
        self.assertEqual(["web1", "web1"], [line["node"] for line in lines])

    def test_members(self):
        members = self.farm.nodes[1].json("cluster", "members")["members"]
        self.assertEqual({"web1", "web2", "web3"}, {member["name"] for member in members})
        self.assertIn("web3", self.farm.nodes[1].command("cluster", "members"))

    def test_invite(self):
        answer = self.farm.nodes[0].json("cluster", "invite", "--ttl", "10m")
        self.assertGreater(len(answer["token"]), 60)
        self.assertNotIn(answer["token"], self.farm.nodes[0].log.read_text(), "a secret in the log")
        self.assertIn("syncline-", self.farm.nodes[0].command("cluster", "invite"))

    def test_conflicts_of_none(self):
        self.assertEqual([], self.farm.nodes[0].conflicts())
        self.assertEqual([], self.farm.nodes[0].json("conflicts", "list"))
        self.assertEqual(0, self.farm.nodes[0].cli("conflicts").returncode)

    def test_conflict_shape(self):
        first, second, third = self.farm.nodes
        self.farm.isolate(first)
        for node in (first, third):
            (node.folder / "both").write_text(node.name)
            node.command("wait", "both", "--nodes", "1")
        self.farm.reunite(first)
        e2e_case.wait_until(second.conflicts, "the conflict reaches node 2", self.deadline(30))
        (conflict,) = second.conflicts()
        self.assertLessEqual({"id", "path", "winner", "loser"}, conflict.keys())
        self.assertLessEqual({"node", "time"}, conflict["winner"].keys())
        self.assertLessEqual({"node", "time", "size"}, conflict["loser"].keys())
        self.assertRegex(conflict["loser"]["time"], ISO_TIME)
        self.assertEqual([conflict], json.loads(second.http("/v1/conflicts")[1]))
        self.assertIn(conflict["id"], second.command("conflicts"))

    def test_usage_errors(self):
        first = self.farm.nodes[0]
        for arguments in (["no-such-command"], ["status", "--no-such-option"], ["wait"], ["conflicts", "restore"],
                          ["cluster", "join"], ["wait", "a", "--nodes", "zero"], ["wait", "a", "--timeout", "soon"],
                          ["cluster", "invite", "--uses", "0"]):
            done = first.cli(*arguments)
            self.assertEqual(2, done.returncode, f"{arguments}: {done.stdout}{done.stderr}")
            self.assertTrue(done.stderr.strip(), arguments)
        self.assertEqual(0, self.farm.syncline("--help").returncode)
        self.assertEqual(0, self.farm.syncline("--version").returncode)

    def test_home_by_environment_and_before_the_command(self):
        first = self.farm.nodes[0]
        by_environment = self.farm.syncline("status", "--json", env={**os.environ, "SYNCLINE_HOME": str(first.home)})
        before = self.farm.syncline("--home", first.home, "status", "--json")
        for done in (by_environment, before):
            self.assertEqual("web1", json.loads(done.stdout)["node"], done.stderr)

    def test_http(self):
        first = self.farm.nodes[0]
        self.assertEqual(200, first.http("/healthz")[0])
        self.assertEqual(200, first.http("/readyz")[0])
        self.assertEqual("web1", json.loads(first.http("/v1/status")[1])["node"])
        code, metrics = first.http("/metrics")
        self.assertEqual(200, code)
        self.assertRegex(metrics, r"(?m)^syncline_\w+(\{[^}]*\})? [0-9.e+]+$")
        self.assertEqual(404, first.http("/no/such/page")[0])

    def test_readiness_needs_a_majority(self):
        first = self.farm.nodes[0]
        self.farm.isolate(first)
        e2e_case.wait_until(lambda: not first.ready(), "the one cut off is not ready", self.deadline(30))
        self.assertEqual(200, first.http("/healthz")[0])
        self.assertTrue(self.farm.nodes[1].ready(), "the majority stays ready")
        self.farm.reunite(first)
        first.wait_ready(self.deadline(30))

    def test_files_nobody_else_may_read(self):
        for node in self.farm.nodes:
            self.assertEqual(0o700, stat.S_IMODE(node.home.stat().st_mode))
            self.assertEqual(0o700, stat.S_IMODE((node.folder / ".syncline").stat().st_mode))

    def test_stop_and_start(self):
        first, second, _ = self.farm.nodes
        self.assertEqual(0, second.stop(), "the exit status of a node stopped by SIGTERM")
        done = second.cli("status")
        self.assert_refused(done, 1, "not running")
        (first.folder / "meanwhile").write_text("x")
        (second.folder / "own").write_text("y")
        second.start()
        second.wait_ready(self.deadline(30))
        self.wait_equal(30, also=lambda: (first.folder / "own").exists() and (second.folder / "meanwhile").exists())


if __name__ == "__main__":
    e2e_case.main()
