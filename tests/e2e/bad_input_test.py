"""Bad input to a command: one clear line on standard error, the right exit status, and the node goes on."""
import os
import re
import shutil
import socket
import time

import e2e_case

NOBODY = 65534


class Join(e2e_case.ClusterTest):
    nodes = 1

    def newcomer_is_refused(self, token, *words):
        node = self.farm.new_node()
        done = node.cli("cluster", "join", token, node.folder, *node._addresses())
        self.assert_refused(done, 1, *words)
        self.assertFalse((node.home / "config.toml").exists(), "half a home was left behind")
        self.assertFalse((node.folder / ".syncline").exists(), "the folder was marked")
        self.assertEqual(200, self.farm.nodes[0].http("/healthz")[0], "the inviter goes on")

    def test_unknown_token(self):
        good = self.farm.nodes[0].invite()
        self.newcomer_is_refused("hello", "token")
        self.newcomer_is_refused(good[: len(good) // 2], "token")
        middle = len(good) // 2
        other = "A" if good[middle] != "A" else "B"
        self.newcomer_is_refused(good[:middle] + other + good[middle + 1 :], "token")

    def test_token_of_an_inviter_that_forgot_it(self):
        inviter = self.farm.nodes[0]
        token = inviter.invite()
        home = self.farm.directory / "old-home"
        shutil.move(inviter.home, home)  # founded anew: another cluster at the same address
        inviter.kill9()
        shutil.rmtree(inviter.folder / ".syncline")
        inviter.found()
        inviter.start()
        inviter.wait_ready()
        self.newcomer_is_refused(token)

    def test_expired_token(self):
        token = self.farm.nodes[0].invite("--ttl", "1s")
        time.sleep(1.1)  # the one thing that only the clock brings about
        self.newcomer_is_refused(token, "expired")

    def test_used_token(self):
        inviter = self.farm.nodes[0]
        token = inviter.invite()
        self.farm.new_node().join(token)
        self.newcomer_is_refused(token, "token")
        self.assertEqual(2, len(inviter.json("cluster", "members")["members"]))

    def test_token_for_two(self):
        inviter = self.farm.nodes[0]
        token = inviter.invite("--uses", "2")
        self.farm.new_node().join(token)
        self.farm.new_node().join(token)
        self.newcomer_is_refused(token, "token")

    def test_inviter_is_down(self):
        token = self.farm.nodes[0].invite()
        self.farm.nodes[0].stop()
        node = self.farm.new_node()
        started = time.monotonic()
        self.assert_refused(node.cli("cluster", "join", token, node.folder, *node._addresses()), 1)
        self.assertLess(time.monotonic() - started, self.deadline(20))


class Home(e2e_case.ClusterTest):
    nodes = 0

    def init(self, node, folder, **options):
        return self.farm.syncline("init", folder, *node._addresses(), "--home", node.home, **options)

    def test_folder_missing_or_no_directory(self):
        node = self.farm.new_node()
        self.assert_refused(self.init(node, node.folder / "missing"), 1, "missing")
        (node.folder / "file").write_text("x")
        self.assert_refused(self.init(node, node.folder / "file"), 1, "director")
        self.assertFalse((node.home / "config.toml").exists())

    def test_folder_not_writable(self):
        node = self.farm.new_node()
        node.folder.chmod(0o555)
        options = {}
        if os.geteuid() == 0:  # root may write anywhere: ask as somebody else, with binaries that he may read
            binaries = self.farm.directory / "bin"
            shutil.copytree(self.farm.binaries, binaries, ignore=lambda _, names: set(names) - {"syncline", "synclined"})
            self.farm.binaries = binaries
            os.chown(node.home.parent, NOBODY, NOBODY)
            options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self.assert_refused(self.init(node, node.folder, **options), 1, str(node.folder))
        node.folder.chmod(0o755)

    def test_folder_of_another_cluster(self):
        first, second = self.farm.new_node(), self.farm.new_node()
        first.found()
        self.assert_refused(self.init(second, first.folder), 1, "cluster")
        self.assert_refused(self.init(first, second.folder), 1, "already")  # the home is taken

    def test_broken_config(self):
        node = self.farm.new_node()
        node.found()
        config = node.home / "config.toml"
        good = config.read_text()
        for broken, what in (("listen = = 3", None), ('no_such_key = "x"', "no_such_key"), ('listen = "nonsense"', None)):
            lines = [line for line in good.splitlines() if "listen" not in broken or not re.match(r"listen\s*=", line)]
            config.write_text("\n".join([broken, *lines]) + "\n")
            done = node.cli("run", timeout=20)
            self.assert_refused(done, 1, "config.toml:1", *([what] if what else []))
        config.write_text(good)

    def test_home_without_a_node(self):
        node = self.farm.new_node()
        self.assert_refused(node.cli("run"), 1)
        self.assert_refused(node.cli("status"), 1)

    def test_key_of_another_node(self):
        node, other = self.farm.new_node(), self.farm.new_node()
        node.found()
        other.found()
        shutil.copy(other.home / "identity", node.home / "identity")
        self.assert_refused(node.cli("run", timeout=20), 1, str(node.home))

    def test_port_in_use(self):
        node = self.farm.new_node()
        node.found()
        for kind, port in ((socket.SOCK_DGRAM, node.port), (socket.SOCK_STREAM, node.http_port)):
            with socket.socket(socket.AF_INET, kind) as taken:
                taken.bind(("127.0.0.1", port))
                if kind == socket.SOCK_STREAM:
                    taken.listen()
                done = node.cli("run", timeout=20)
            self.assertEqual(1, done.returncode, done.stderr)
            self.assertIn(str(port), done.stderr.strip().splitlines()[-1])

    def test_a_second_node_with_the_same_home(self):
        node = self.farm.new_node()
        node.found()
        node.start()
        node.wait_ready()
        self.assert_refused(node.cli("run", timeout=20), 1, str(node.process.pid))
        self.assertTrue(node.ready())


if __name__ == "__main__":
    e2e_case.main()
