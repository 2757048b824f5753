#!/usr/bin/env python3
"""Uploads through a real balancer at a set rate, each read back at once and again later, while something happens to a server.

Modes: barrier (the application answers when every server has the file; what a server lacks is 404), miss (it answers at once; what
a server lacks is fetched from the one that has it), both. Every method goes to every server in turn. Exit status 1: a reader
met 404, a short or wrong body, or something that was to be there is not. Counted apart: 404 for an upload that the barrier had
answered with 202 (early), and for one that only the disturbed server has (apart).
"""
import argparse
import collections
import itertools
import json
import os
import pathlib
import signal
import sys
import time

import load_peers
import load_site
from load_generator import Generator

BALANCERS, MODES, PEERS = ("nginx", "haproxy"), ("barrier", "miss", "both"), ("rsync", "syncthing")
_LEVEL_SECONDS = 300


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def milliseconds(values, share):
    return round(percentile(values, share) * 1000, 1)


class Run:
    """One site, one load, one disturbance."""

    def __init__(self, arguments, balancer, mode, disturbed_by):
        self.arguments, self.balancer, self.mode, self.disturbed_by = arguments, balancer, mode, disturbed_by
        if mode in PEERS:
            self.site, self.disturbance = load_peers.PeerSite(mode, parent=arguments.directory), load_site.Nothing()
            return
        self.site = load_site.Site(arguments.binaries, balancer, mode, links_can_be_cut=disturbed_by == "cut",
                                   parent=arguments.directory)
        self.disturbance = load_site.DISTURBANCES[disturbed_by](self.site)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.site.close(keep=kind is not None and self.arguments.keep)

    def say(self, text):
        print(f"{time.strftime('%H:%M:%S')}  {self.balancer}, {self.mode}, {self.disturbed_by}: {text}", file=sys.stderr, flush=True)

    def fill(self, count):
        """Files from before, so that a newcomer has something to fetch."""
        folder = self.site.servers[0].node.folder
        for number in range(count):
            if number % 1000 == 0:
                (folder / f"old{number // 1000}").mkdir()
            (folder / f"old{number // 1000}" / f"{number}").write_bytes(os.urandom(2048))
        if count:
            load_site.wait_until(lambda: self.site.servers[0].node.status()["totals"]["files"] >= count, "the old files are noticed", 600, 0.5)
            self.site.wait_level(600)
            self.say(f"{count} files from before are everywhere")

    def only_there(self, upload):
        """The upload is on the disturbed server's disk and on no other's."""
        if upload.server not in self.disturbance.names():
            return False
        return not any(server.has(upload.name, self.arguments.bytes) for server in self.site.servers if server.name != upload.server)

    def go(self):
        a = self.arguments
        self.fill(a.files)
        generator = Generator(self.site.port, a.rate, a.seconds, a.bytes, self.only_there, later_seconds=a.later)
        generator.start()
        self.say(f"{a.rate} uploads of {a.bytes} bytes a second for {a.seconds} s")
        began = time.monotonic()
        time.sleep(max(0.0, a.seconds / 3))  # the load's own clock, not a wait for an event
        self.disturbance.begin()
        time.sleep(max(0.0, began + a.seconds / 2 - time.monotonic()))
        self.disturbance.end()
        generator.thread.join()
        self.say("the load is over")
        self.site.wait_level(_LEVEL_SECONDS)
        return self.result(generator)

    def result(self, g):
        apart = {f.upload.name: f.upload for f in g.failures if f.apart}
        # What the barrier has not confirmed is promised to nobody.
        early = [f for f in g.failures if not f.apart and self.mode == "barrier" and f.what == "404" and not f.upload.confirmed]
        met = collections.Counter(f.what for f in g.failures if not f.apart and f not in early)
        lacking = self.lacking(g)
        gone = sorted(name for name in lacking if name in apart or self.disturbed_by == "kill-empty")
        result = {
            "balancer": self.balancer, "mode": self.mode, "with": self.disturbed_by, "seconds": self.arguments.seconds,
            "rate": self.arguments.rate, "bytes": self.arguments.bytes,
            "uploads": len(g.uploads), "unconfirmed": sum(not u.confirmed for u in g.uploads), "refused": len(g.refused), "late": g.late,
            "reads": g.reads, "404": met["404"], "early": len(early), "wrong": met["wrong"], "5xx": met["5xx"], "other": met["other"],
            "apart": len(apart), "apart_confirmed": sum(u.confirmed for u in apart.values()) if self.mode != "miss" else 0,
            "gone": len(gone), "lacking": len(set(lacking) - set(gone)),
            "upload_ms": [milliseconds(g.upload_seconds, share) for share in (0.5, 0.99)],
            "read_ms": [milliseconds(g.read_seconds, share) for share in (0.5, 0.99)],
            "takers": dict(collections.Counter(u.server for u in g.uploads)),
            "examples": [f"{f.at} s: {f.upload.name} of {f.upload.server}: {f.what}: {f.detail}" for f in g.failures if not f.apart and f not in early][:5],
            "refusals": [str(r) for r in g.refused[:5]],
            **self.disturbance.report(),
        }
        result["good"] = not any(self.faults(result))
        return result

    def lacking(self, g):
        """What some server does not have in the end, {name: servers}."""
        out = collections.defaultdict(list)
        for server in self.site.servers:
            for upload in g.uploads:
                if not server.has(upload.name, self.arguments.bytes):
                    out[upload.name].append(server.name)
        return out

    def faults(self, r):
        yield from (r[key] for key in ("404", "wrong", "other", "lacking", "apart_confirmed"))
        yield r["gone"] if self.disturbed_by != "kill-empty" else 0
        yield (r["5xx"] or r["refused"]) if self.disturbed_by == "none" else 0
        yield r.get("newcomer_requests_before", 0)


COLUMNS = ("balancer", "mode", "with", "uploads", "unconfirmed", "refused", "reads", "404", "early", "wrong", "5xx", "other", "apart", "gone", "lacking",
           "upload p50/p99 ms", "read p50/p99 ms")


def table(results):
    rows = [COLUMNS]
    for r in results:
        row = [str(r[key]) for key in COLUMNS[:-2]]
        rows.append((*row, *("{} / {}".format(*r[key]) for key in ("upload_ms", "read_ms"))))
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def parse():
    parser = argparse.ArgumentParser(prog="scripts/load", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--balancer", choices=(*BALANCERS, "all"), default="all")
    parser.add_argument("--mode", choices=(*MODES, "all"), default="all")
    parser.add_argument("--with", dest="disturbed_by", choices=(*load_site.DISTURBANCES, "all"), default="none",
                        help="from the first third of the time to its half: a server is killed and comes back with its disks, its node alone is, "
                             "a server is killed and comes back empty, its links are cut, one more joins")
    parser.add_argument("--beside", choices=(*PEERS, "all"), help="instead: nginx in front of what a site without Syncline has, rsync once a "
                        "minute with every POST pinned to one server, or Syncthing, which notices changes after a second; nothing happens to a server")
    parser.add_argument("--rate", type=float, default=100, help="uploads a second")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--bytes", type=int, default=65536)
    parser.add_argument("--later", type=float, default=30, help="the second read comes so many seconds later, at most")
    parser.add_argument("--files", type=int, default=0, help="of 2 KiB, there before the load begins")
    parser.add_argument("--json", action="store_true", help="one object a run, instead of the table")
    parser.add_argument("--directory", type=pathlib.Path, help="where the servers' disks are (default: for temporary files)")
    parser.add_argument("--keep", action="store_true", help="the folders and logs of a run that broke off")
    return parser.parse_args()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    arguments = parse()
    results = []
    runs = [("nginx", peer, "none") for peer in PEERS if arguments.beside in (peer, "all")]
    runs = runs or list(itertools.product(BALANCERS if arguments.balancer == "all" else (arguments.balancer,),
                                          MODES if arguments.mode == "all" else (arguments.mode,),
                                          load_site.DISTURBANCES if arguments.disturbed_by == "all" else (arguments.disturbed_by,)))
    for balancer, mode, disturbed_by in runs:
        with Run(arguments, balancer, mode, disturbed_by) as run:
            results.append(run.go())
            run.say(json.dumps(results[-1]))
        if arguments.json:
            print(json.dumps(results[-1]), flush=True)
    if not arguments.json:
        print(table(results))
    return 0 if all(result["good"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
