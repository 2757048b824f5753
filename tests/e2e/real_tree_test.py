"""A tree no one here wrote: npm installs on one node, upgrades on another, removes on the third."""
import os
import subprocess

import e2e_case
from farm import tree

OLD = ["typescript@4.9.5", "date-fns@2.29.3"]
NEW = ["typescript@5.4.5", "date-fns@3.6.0"]


class RealTree(e2e_case.ClusterTest):
    many_files = True

    def npm(self, node, *arguments):
        """Runs npm in the node's folder; returns what it left there, to be compared with what the node makes of it."""
        cache = os.environ.get("SYNCLINE_E2E_NPM_CACHE", e2e_case.BINARIES.parent / "npm-cache")
        done = subprocess.run(
            ["npm", *arguments, "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--prefer-offline",
             "--loglevel=error", "--cache", cache], cwd=node.folder, capture_output=True, text=True, timeout=150)
        self.assertEqual(0, done.returncode, f"npm {' '.join(arguments)} failed: {done.stderr}")
        return tree.contents(node.folder)

    def settle(self, what, expected):
        self.wait_equal(60)
        for node in self.farm.nodes:
            self.assert_contents(expected, node)
            self.assertEqual([], node.conflicts(), f"{what} is no conflict")
        self.say(f"{what}: {len(expected)} files are equal on all nodes")

    def test_install_upgrade_remove(self):
        first, second, third = self.farm.nodes
        (first.folder / "package.json").write_text('{"name": "site", "version": "1.0.0", "private": true}\n')
        installed = self.npm(first, "install", *OLD)
        self.assertGreater(len(installed), 3000)
        self.settle("install", installed)

        upgraded = self.npm(second, "install", *NEW)
        self.assertNotEqual(installed, upgraded)
        self.settle("upgrade", upgraded)

        reduced = self.npm(third, "uninstall", "date-fns")
        self.assertLess(len(reduced), len(upgraded) / 2)
        self.settle("removal", reduced)


if __name__ == "__main__":
    e2e_case.main()
