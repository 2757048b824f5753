"""What a large folder costs while nothing happens, after a cut and after a restart."""
import datetime
import json
import time

import judge
from contestant import Failed, wait_until
from inputs import KIB, MIB, write
from rows import Goal, Row, at_least, at_most

MISSED = 100


def status_of(node):
    code, text = node.http("/v1/status")
    return json.loads(text) if code == 200 else {}


def linked(node):
    peers = status_of(node).get("peers", [])
    return bool(peers) and all(peer["linked"] for peer in peers)


def linked_at(node):
    """When the node says in its log that the last link came up (wall clock): asking it takes longer than the catching up."""
    lines = [line for line in node.log.read_text(errors="replace").splitlines() if " linked to " in line]
    return datetime.datetime.fromisoformat(lines[-1].split()[0]).timestamp()


class CatchUp(Row):
    name = "catch-up"
    stage = "million"
    goals = (Goal("<= 100 ms from the link on", at_most("s", 0.1)), Goal("wire <= 100 KiB", at_most("wire", 100 * KIB)))

    def title(self):
        return f"{MISSED} changes of 16 bytes missed while the plug was out, among {self.sizes.million:,} files"

    def measure(self, bench, contestant, run):
        network, node = contestant.network, contestant.cluster.nodes[0]
        if not hasattr(network, "set_link"):
            raise Failed("needs network namespaces: only there is a plug to pull")
        contestant.settle()
        network.set_link(False)
        try:
            wait_until(lambda: not linked(node), "the first node notices that the link is gone", 120)
            names = frozenset(f"missed-{run}-{number}" for number in range(MISSED))
            for name in names:
                write(contestant.folders[0] / name, f"{name:16}".encode())
            contestant.settle()
        finally:
            network.set_link(True)
        wire, plugged = network.wire(), time.time()
        judge.wait_listing({".": names}, contestant.folders[1], self.sizes.row_s)
        ended, at_link = time.time(), linked_at(contestant.cluster.nodes[1])
        wire = network.wire() - wire
        for name in names:
            judge.check_equal(*(folder / name for folder in contestant.folders))
        return {"s": ended - at_link, "redial_s": at_link - plugged, "wire": wire}


class Restart(Row):
    name = "restart"
    stage = "million"
    goals = (Goal("serving and linked in <= 1 s", at_most("s", 1)),
             Goal("check scan >= 200,000 files/s", at_least("files_s", 200_000)))

    def title(self):
        return f"restart of a node with {self.sizes.million:,} unchanged files"

    def measure(self, bench, contestant, run):
        node = contestant.cluster.nodes[0]
        contestant.settle()
        contestant.stop_node(node)
        started = time.perf_counter()
        contestant.start_node(node)
        wait_until(lambda: node.ready() and linked(node), "the node is ready and linked", self.sizes.row_s, interval=0.005)
        ready = time.perf_counter()
        wait_until(lambda: all(f["state"] == "ok" for f in status_of(node)["folders"]), "the check scan has ended",
                   self.sizes.row_s, interval=0.02)
        contestant.settle(60)
        scanned = time.perf_counter() - started
        (folder,) = status_of(node)["folders"]
        if folder["files"] < self.sizes.million:
            raise Failed(f"the node knows {folder['files']:,} files only")
        return {"s": ready - started, "scan_s": scanned, "files_s": folder["files"] / scanned, "rss": contestant.rss()}


class Idle(Row):
    name = "idle"
    stage = "million-farm"
    key = "cpu_percent"
    goals = (Goal("<= 0.1 % of a core", at_most("cpu_percent", 0.1)),
             Goal("<= 100 bytes/s a peer", at_most("peer_bytes_s", 100)),
             Goal("RSS <= 150 MiB", at_most("rss", 150 * MIB)))

    def title(self):
        return f"nothing happens, {self.sizes.million:,} files, {self.sizes.idle_peers} peers; figures of one node"

    def measure(self, bench, contestant, run):
        contestant.settle(60)
        nodes = len(contestant.folders)
        cpu, wire, begin = contestant.idle_cpu(), contestant.wire(), time.perf_counter()
        time.sleep(self.sizes.idle_s)  # the figure is about time that passes
        seconds = time.perf_counter() - begin
        return {"cpu_percent": (contestant.idle_cpu() - cpu) / nodes / seconds * 100,
                "peer_bytes_s": (contestant.wire() - wire) / seconds / (nodes - 1), "rss": contestant.rss() / nodes}


ROWS = (CatchUp, Restart, Idle)
