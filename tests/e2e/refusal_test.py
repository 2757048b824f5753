"""Refusal beats disaster: a root that vanished or lost its marker stops that folder on that node, and deletes nothing anywhere."""
import json
import os
import shutil

import e2e_case
from farm import tree


class Refusal(e2e_case.ClusterTest):
    nodes = 2

    def setUp(self):
        super().setUp()
        for i in range(50):
            (self.farm.nodes[0].folder / f"picture-{i}").write_bytes(os.urandom(3000))
        self.wait_equal(30)
        self.expected = tree.contents(self.farm.nodes[0].folder)
        self.assertEqual(50, len(self.expected))

    def stopped(self, node):
        code, text = node.http("/v1/status")
        folder = json.loads(text)["folders"][0] if code == 200 else {"state": "starting"}
        return folder["state"] == "stopped" and folder["reason"] and not node.ready() and node.http("/healthz")[0] == 503

    def wait_stopped(self, node):
        e2e_case.wait_until(lambda: self.stopped(node), lambda: f"the folder is stopped: {node.status()['folders']}",
                            self.deadline(30))

    def nothing_is_deleted_and_sync_goes_on(self, repair):
        first, second = self.farm.nodes
        (second.folder / "later").write_text("written meanwhile")
        self.expected["later"] = tree.digest(b"written meanwhile")
        second.command("wait", "later", "--nodes", "1")
        self.assertEqual(self.expected, tree.contents(second.folder))
        repair()
        if not first.running():
            first.start()
        first.wait_ready(self.deadline(60))
        self.wait_equal(30)
        self.assertEqual(self.expected, tree.contents(second.folder))

    def test_unmounted_while_it_runs(self):
        first = self.farm.nodes[0]
        aside = first.folder.with_name("aside")
        os.rename(first.folder, aside)
        first.folder.mkdir()  # the empty mount point
        (first.folder / "mark").write_text("x")
        self.wait_stopped(first)
        self.assertEqual(["mark"], os.listdir(first.folder), "the mount point is left alone")

        def mount_again():
            first.kill9()
            shutil.rmtree(first.folder)
            os.rename(aside, first.folder)

        self.nothing_is_deleted_and_sync_goes_on(mount_again)

    def test_mounted_again_while_it_runs(self):
        """Another directory of the same name, as after a restore or a mount: it is synced, and watched, without a restart."""
        first, second = self.farm.nodes
        aside = first.folder.with_name("aside")
        os.rename(first.folder, aside)
        self.wait_stopped(first)
        shutil.copytree(aside, first.folder)
        first.wait_ready(self.deadline(60))
        (first.folder / "after").write_text("noticed")
        e2e_case.wait_until((second.folder / "after").exists, "a file written after that arrives", self.deadline(30))
        self.expected["after"] = tree.digest(b"noticed")
        self.wait_equal(30)
        self.assertEqual(self.expected, tree.contents(second.folder))

    def test_not_mounted_at_the_start(self):
        first = self.farm.nodes[0]
        first.stop()
        aside = first.folder.with_name("aside")
        os.rename(first.folder, aside)
        first.folder.mkdir()
        first.start()
        self.wait_stopped(first)

        def mount_again():
            first.kill9()
            first.folder.rmdir()
            os.rename(aside, first.folder)

        self.nothing_is_deleted_and_sync_goes_on(mount_again)

    def test_everything_removed_with_the_marker(self):
        first = self.farm.nodes[0]
        kept = first.folder.with_name("kept")
        shutil.copytree(first.folder, kept)
        for entry in os.scandir(first.folder):  # rm -rf FOLDER/* FOLDER/.*, the marker before the pictures
            if entry.name == tree.OWN_DIRECTORY:
                shutil.rmtree(entry.path)
        for entry in os.scandir(first.folder):
            os.unlink(entry.path)
        self.wait_stopped(first)

        def put_back():
            first.kill9()
            shutil.rmtree(first.folder)
            os.rename(kept, first.folder)

        self.nothing_is_deleted_and_sync_goes_on(put_back)


if __name__ == "__main__":
    e2e_case.main()
