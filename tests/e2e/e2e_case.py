"""What every end-to-end test starts from. Run one alone: SYNCLINE_BIN=build/dev/bin tests/e2e/wait_test.py [TestCase.test]

SYNCLINE_E2E_KEEP=1 keeps the folders, homes and logs of a failed test; SYNCLINE_E2E_SLOWER=5 stretches every deadline
(sanitizers). SYNCLINE_E2E_SEED=N repeats the random choices of a run that printed this seed. SYNCLINE_E2E_DIR is where the
folders are made.
"""
import os
import pathlib
import random
import shutil
import signal
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "lib"))

from farm import cluster, tree  # noqa: E402  (the path is set above)

BINARIES = pathlib.Path(os.environ.get("SYNCLINE_BIN", ROOT / "build" / "dev" / "bin")).resolve()
SLOWER = float(os.environ.get("SYNCLINE_E2E_SLOWER", "1"))

Cluster = cluster.Cluster
wait_until = cluster.wait_until

_RAM_DISK = "/dev/shm"
_RAM_DISK_NEEDED = 4 << 30


def directory(many_files):
    """Where folders are made; None: the system's place for temporary files."""
    chosen = os.environ.get("SYNCLINE_E2E_DIR")
    if chosen or not many_files:
        return chosen
    # Removing 20,000 files takes ext4 with the option `discard` a minute (2026-11, virtual disk): more than the test.
    roomy = os.access(_RAM_DISK, os.W_OK) and shutil.disk_usage(_RAM_DISK).free > _RAM_DISK_NEEDED
    return _RAM_DISK if roomy else None


class ClusterTest(unittest.TestCase):
    """Makes self.farm before a test and leaves nothing of it behind; on a failure prints the nodes' logs first."""

    nodes = 3
    links_can_be_cut = False
    many_files = False
    maxDiff = 4000

    def run(self, result=None):
        self.result = result if result is not None else self.defaultTestResult()
        return super().run(self.result)

    def setUp(self):
        if not (BINARIES / "syncline").exists():
            self.fail(f"no syncline in {BINARIES}: build first, or set SYNCLINE_BIN")
        self.seed = int(os.environ.get("SYNCLINE_E2E_SEED", random.SystemRandom().randrange(1 << 32)))
        self.random = random.Random(self.seed)
        self.started = time.monotonic()
        self.farm = Cluster(BINARIES, links_can_be_cut=self.links_can_be_cut, parent=directory(self.many_files))
        self.addCleanup(self._close)
        if self.nodes:
            self.farm.form(self.nodes)
            self.say(f"{self.nodes} nodes are linked and ready")

    def _close(self):
        failed = any(test is self for test, _ in self.result.failures + self.result.errors)
        if failed:
            print(f"seed {self.seed}\n{self.farm.report()}", file=sys.stderr)
        keep = failed and os.environ.get("SYNCLINE_E2E_KEEP") == "1"
        if keep:
            print(f"kept {self.farm.directory}", file=sys.stderr)
        self.farm.close(keep_files=keep)

    def say(self, text):
        print(f"{time.monotonic() - self.started:6.1f} s  {text}", flush=True)

    def deadline(self, seconds):
        return seconds * SLOWER

    def wait_equal(self, seconds=60, **options):
        self.farm.wait_equal(self.deadline(seconds), **options)

    def assert_contents(self, expected, node, known=None):
        """The regular files of the node's folder are these: {path: digest}. `known` tells what a digest once was."""
        found = tree.contents(node.folder)
        if found == expected:
            return
        known = known or {}
        lines = []
        for path in sorted(expected.keys() | found.keys()):
            wanted, got = expected.get(path), found.get(path)
            if wanted != got:
                lines.append(f"{path}: has {known.get(got, got)}, expected {known.get(wanted, wanted)}")
        conflicts = [conflict["path"] for conflict in node.conflicts()]
        self.fail(f"{node.name}: {len(lines)} of {len(expected)} files are not what was written last: {'; '.join(lines[:8])}"
                  f"\n{len(conflicts)} conflicts: {conflicts[:8]}")

    def assert_one_line(self, text):
        """`text`, what a refused command wrote on standard error, is one clear line without a stack of causes."""
        lines = text.strip().splitlines()
        self.assertEqual(1, len(lines), text)
        self.assertGreater(len(lines[0]), 15, text)

    def assert_refused(self, done, status, *words):
        """A finished command was refused with this exit status and one line that holds all the words."""
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        self.assert_one_line(done.stderr)
        for word in words:
            self.assertIn(word.lower(), done.stderr.lower())


def main():
    # A time-out of ctest arrives as SIGTERM: end through the clean-ups, so that no node is left running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    unittest.main(verbosity=1)
