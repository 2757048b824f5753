"""What it costs an upload handler to answer only when every server has the file."""
import http.client
import json
import os
import time

from contestant import Failed
from farm.arrivals import percentile
from inputs import KIB
from rows import Goal, Row, at_most

UPLOAD_BYTES = 64 * KIB


class Barrier(Row):
    name = "barrier"
    stage = "three"
    contestants = quick_contestants = ("syncline",)
    key = "p50_ms"
    goals = (Goal("p50 <= 3 ms", at_most("p50_ms", 3)), Goal("p99 <= 10 ms", at_most("p99_ms", 10)))

    def title(self):
        return "64 KiB on three hosts: close() to the answer of POST /v1/wait for all"

    def measure(self, bench, contestant, run):
        waits = Waits(contestant)
        with contestant.hosts[0].inside():
            waits.one(f"warm-{run}", durable=False)
            shown = [waits.one(f"shown-{run}-{n}", durable=False) for n in range(self.sizes.uploads)]
            durable = [waits.one(f"durable-{run}-{n}", durable=True) for n in range(max(10, self.sizes.uploads // 10))]
        waits.close()
        return {"p50_ms": percentile(shown, 50) * 1000, "p99_ms": percentile(shown, 99) * 1000,
                "durable_p50_ms": percentile(durable, 50) * 1000, "samples": len(shown)}


class Waits:
    """From the first host, over a connection that is kept open for as long as its node likes."""

    def __init__(self, contestant):
        self.folders = contestant.folders
        self.connection = http.client.HTTPConnection("127.0.0.1", contestant.cluster.nodes[0].http_port, timeout=30)

    def one(self, name, durable):
        data = os.urandom(UPLOAD_BYTES)
        file = open(self.folders[0] / name, "wb", buffering=0)
        file.write(data)
        started = time.perf_counter()
        file.close()
        self.connection.request("POST", "/v1/wait", json.dumps({"path": name, "nodes": "all", "durable": durable, "timeout_ms": 10_000}))
        answer = self.connection.getresponse()
        text = answer.read()
        took = time.perf_counter() - started
        if answer.status != 200 or len(json.loads(text)["have"]) != len(self.folders):
            raise Failed(f"wait for {name}: {answer.status} {text[:200]}")
        if any((folder / name).read_bytes() != data for folder in self.folders):
            raise Failed(f"{name} is not everywhere though the barrier says so")
        return took

    def close(self):
        self.connection.close()


ROWS = (Barrier,)
