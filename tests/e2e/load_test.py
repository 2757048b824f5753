"""scripts/load in short: no reader meets a missing upload, and one that joins gets no reader before it has everything."""
import json
import subprocess
import sys
import tempfile
import unittest

import e2e_case
from farm.cluster import die_with_parent

LOAD = e2e_case.ROOT / "tests" / "load" / "load.py"
SECONDS, RATE = 12, 20


class Load(unittest.TestCase):
    def load(self, balancer, mode, disturbed_by, *more):
        done = subprocess.run(
            [sys.executable, "-B", LOAD, "--binaries", e2e_case.BINARIES, "--balancer", balancer, "--mode", mode, "--with", disturbed_by,
             "--seconds", str(SECONDS), "--rate", str(RATE), "--later", "6", "--json", "--directory", e2e_case.directory(True) or tempfile.gettempdir(), *more],
            stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        self.assertTrue(done.stdout, f"the load broke off with exit status {done.returncode}")
        result = json.loads(done.stdout)
        self.assertEqual(0, done.returncode, json.dumps(result, indent=1))
        self.assertGreater(result["uploads"], SECONDS * RATE * 0.8, result)
        self.assertGreaterEqual(result["reads"], 2 * result["uploads"], result)
        for kind in ("404", "wrong", "lacking"):
            self.assertEqual(0, result[kind], result)
        return result

    def test_a_killed_server_behind_nginx(self):
        result = self.load("nginx", "miss", "kill")
        self.assertEqual({"web1", "web2", "web3"}, set(result["takers"]), "every server takes uploads")
        self.assertEqual(0, result["gone"], "what only the killed one had is there again with its disk")

    def test_a_newcomer_behind_nginx(self):
        result = self.load("nginx", "both", "join", "--files", "1500")
        self.assertEqual(0, result["newcomer_requests_before"], result)
        self.assertGreater(result["newcomer_requests_after"], 0, result)


if __name__ == "__main__":
    e2e_case.main()
