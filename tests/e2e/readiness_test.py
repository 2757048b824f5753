"""What balancers are told: ready, draining, how far behind; and a health that is honest. `syncline drain` and `syncline resume`."""
import json
import os
import re
import shutil
import socket
import subprocess
import unittest

import e2e_case
from farm.ports import free_port

NAMESPACES = ["unshare", "--user", "--map-root-user", "--mount"]


def namespaces_are_allowed():
    try:
        return subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


class Readiness(e2e_case.ClusterTest):
    links_can_be_cut = True

    def set_up_agent(self, node, **more):
        """The node runs again, with a port for HAProxy's agent-check and other settings of [balancer]."""
        node.stop()
        node.agent_port = free_port()
        config = node.home / "config.toml"
        text = config.read_text()
        for key, value in {"agent": f'"127.0.0.1:{node.agent_port}"', **more}.items():
            text, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
            self.assertEqual(1, count, f"{key} in {text}")
        config.write_text(text)
        node.start()

    def agent(self, node):
        with socket.create_connection(("127.0.0.1", node.agent_port), timeout=10) as connection:
            return connection.makefile().read()

    def state(self, node):
        done = node.cli("status", "--json")
        return json.loads(done.stdout)["state"] if done.returncode == 0 else "not running yet"

    def wait_state(self, node, state):
        e2e_case.wait_until(lambda: self.state(node) == state,
                            lambda: f"{node.name} is {state}; it is {self.state(node)}: {node.http('/readyz')}", self.deadline(30))

    def test_drain_and_resume(self):
        first, second, third = self.farm.nodes
        self.set_up_agent(first)
        first.wait_ready(self.deadline(30))
        self.assertIn(self.agent(first), ("up ready 100%\n", "up 100%\n"))
        for i in range(40):
            (first.folder / f"upload-{i}").write_bytes(os.urandom(2000 * i))
        done = first.cli("drain", "--timeout", "30s", "--json")
        self.assertEqual(0, done.returncode, done.stderr)
        answer = json.loads(done.stdout)
        self.assertEqual((True, "drained"), (answer["done"], answer["state"]))
        holder = next(node for node in self.farm.nodes if node.name in answer["have"])
        for i in range(40):
            self.assertEqual((first.folder / f"upload-{i}").read_bytes(), (holder.folder / f"upload-{i}").read_bytes())
        self.assert_out_of_service(first)
        first.stop()
        first.start()
        self.wait_state(first, "drained")
        self.assert_out_of_service(first)
        self.say("out of service over a restart")
        (first.folder / "written here all the same").write_text("x")
        e2e_case.wait_until((second.folder / "written here all the same").exists, "it still syncs", self.deadline(30))
        self.assertEqual(0, second.cli("wait", "written here all the same").returncode)
        self.assertIn("ready", first.command("resume"))
        first.wait_ready(self.deadline(30))
        self.assertEqual("up ready 100%\n", self.agent(first))
        first.stop()
        first.start()
        first.wait_ready(self.deadline(30))

    def assert_out_of_service(self, node):
        status, text = node.http("/readyz")
        self.assertEqual(503, status)
        self.assertIn("drained", text)
        self.assertEqual(200, node.http("/healthz")[0])
        self.assertEqual("up drain\n", self.agent(node))

    def test_drain_that_cannot_end(self):
        first, second, third = self.farm.nodes
        self.farm.isolate(first)
        (first.folder / "only here").write_text("x")
        refused = first.cli("drain", "--timeout", "500ms")
        self.assert_refused(refused, 3, "web2", "web3")
        self.assertEqual(3, first.cli("drain", "--timeout", "500ms", "--json").returncode)
        self.farm.reunite(first)
        self.wait_state(first, "drained")
        self.assertTrue((second.folder / "only here").exists() or (third.folder / "only here").exists())
        second.stop()
        third.stop()
        self.assertEqual(3, first.cli("drain", "--timeout", "4s").returncode, "asked again, somebody must have it now")

    def test_catching_up_is_told(self):
        first, second, third = self.farm.nodes
        for sender in (first, second):  # so that it lasts long enough to be seen
            self.set_up_agent(sender, upload='"40 MiB/s"')
        self.set_up_agent(third, changes_behind=5)
        third.wait_ready(self.deadline(30))
        third.stop()
        film = first.folder / "film"
        film.write_bytes(os.urandom(20 << 20))
        for i in range(300):
            (first.folder / f"picture-{i}").write_bytes(os.urandom(300_000))
        first.command("wait", "picture-299", "--timeout", "60s")
        third.start()
        seen = set()

        def ready():
            status, text = third.http("/readyz")
            behind = re.search(r"uploads: (\d+) changes, \d+ s behind", text)
            seen.add((status, "catching up" in text and behind is not None and int(behind[1]) > 5))
            return status == 200

        e2e_case.wait_until(ready, "it catches up", self.deadline(60), interval=0.005)
        self.assertIn((503, True), seen)
        self.assertEqual(film.read_bytes(), (third.folder / "film").read_bytes())
        self.assertEqual(301, sum(path.is_file() for path in third.folder.iterdir()), "ready with every file")


@unittest.skipUnless(shutil.which("strace"), "no strace here")
class Stop(e2e_case.ClusterTest):
    nodes = 2

    def test_what_was_applied_last_is_on_disk_when_the_node_has_stopped(self):
        first, second = self.farm.nodes
        calls = self.farm.directory / "calls"
        tracer = subprocess.Popen(["strace", "-f", "-e", "trace=renameat,renameat2,linkat,syncfs", "-o", str(calls), "-p", str(first.process.pid)],
                                  stderr=subprocess.PIPE, text=True)
        self.assertIn("attached", tracer.stderr.readline())
        for i in range(3):  # the end of a group before the first, none between the last and the end
            (second.folder / f"upload-{i}").write_text("x")
            e2e_case.wait_until((first.folder / f"upload-{i}").exists, "it is applied", self.deadline(30), interval=0.001)
        first.stop()
        tracer.wait(timeout=self.deadline(30))
        lines = calls.read_text().splitlines()
        applied = max(i for i, line in enumerate(lines) if "upload-2" in line)
        self.assertTrue(any("syncfs(" in line for line in lines[applied:]), "\n".join(lines))


class Health(e2e_case.ClusterTest):
    nodes = 2

    def setUp(self):
        if not namespaces_are_allowed():
            self.skipTest("no user namespaces here")
        super().setUp()

    def run_in_namespace(self, node, script):
        """The node runs again where this shell command was run before."""
        node.stop()
        with open(node.log, "ab") as log:
            node.process = node.host.popen(
                [*NAMESPACES, "sh", "-c", f"{script} && exec {self.farm.binaries / 'syncline'} run --home {node.home}"],
                stdout=log, stderr=log)

    def unhealthy(self, node, word):
        status, text = node.http("/healthz")
        return status == 503 and word in text and node.http("/readyz")[0] == 503

    def test_a_full_disk(self):
        first, second = self.farm.nodes
        before = second.folder.with_name("before")
        second.stop()
        os.rename(second.folder, before)
        second.folder.mkdir()
        second.start()
        self.run_in_namespace(second, f"mount -t tmpfs -o size=1m tmpfs {second.folder} && cp -a {before}/. {second.folder}")
        second.wait_ready(self.deadline(30))
        (first.folder / "fits").write_bytes(os.urandom(200_000))
        self.assertEqual(0, first.cli("wait", "fits").returncode)
        self.assertEqual(200, second.http("/healthz")[0])
        (first.folder / "does not").write_bytes(os.urandom(2_000_000))
        e2e_case.wait_until(lambda: self.unhealthy(second, "no space left"),
                            lambda: f"it says that the disk is full: {second.http('/healthz')}", self.deadline(30))
        self.assertEqual(200, first.http("/healthz")[0])
        os.remove(first.folder / "does not")
        e2e_case.wait_until(lambda: second.http("/healthz")[0] == 200 and second.ready(), "it fits again", self.deadline(30))

    def test_a_folder_that_cannot_be_watched(self):
        first, second = self.farm.nodes
        for i in range(10):
            (first.folder / f"directory-{i}").mkdir()
        self.wait_equal(30)
        self.run_in_namespace(second, "echo 4 > /proc/sys/user/max_inotify_watches")
        e2e_case.wait_until(lambda: self.unhealthy(second, "not watched"),
                            lambda: f"it says so: {second.http('/healthz')}", self.deadline(30))


if __name__ == "__main__":
    e2e_case.main()
