"""The figures of scripts/bench: what a user would time with a watch, on real binaries, beside rsync in the same run."""
import argparse
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "lib"))

from farm import tree  # noqa: E402  (the path is set above)
from farm.arrivals import Arrivals, percentile  # noqa: E402
from farm.cluster import Cluster, die_with_parent, wait_until  # noqa: E402
from farm.ports import free_port  # noqa: E402

KIB, MIB = 1 << 10, 1 << 20
FILES_MIB = 122 / 10_000  # mean size of a file of the tree
PATIENCE_S = 300

_RSYNCD = """\
use chroot = no
reverse lookup = no
log file = {directory}/rsyncd.log
pid file = {directory}/rsyncd.pid
address = 127.0.0.1
port = {port}
[source]
path = {source}
exclude = /.syncline
"""


class Rsync:
    """The peer: a daemon that serves a folder, and a client that pulls it."""

    def __init__(self, directory, source):
        directory.mkdir()
        self.directory = directory
        self.port = free_port()
        config = directory / "rsyncd.conf"
        config.write_text(_RSYNCD.format(directory=directory, port=self.port, source=source))
        self.daemon = subprocess.Popen(["rsync", "--daemon", "--no-detach", f"--config={config}"], stdin=subprocess.DEVNULL,
                                       start_new_session=True, preexec_fn=die_with_parent)
        wait_until(lambda: subprocess.run(["rsync", self.url("")], capture_output=True).returncode == 0, "rsyncd answers", 10)

    def url(self, path):
        return f"rsync://127.0.0.1:{self.port}/source/{path}"

    def pull(self, path, target, *options):
        """(seconds, bytes both ways)."""
        started = time.perf_counter()
        done = subprocess.run(["rsync", "-a", "--stats", *options, self.url(path), target], capture_output=True, text=True,
                              check=True, env={**os.environ, "LC_ALL": "C"})
        seconds = time.perf_counter() - started
        moved = sum(int(line.split(":")[1].strip().replace(",", "")) for line in done.stdout.splitlines()
                    if line.startswith(("Total bytes sent", "Total bytes received")))
        return seconds, moved

    def stop(self):
        self.daemon.terminate()
        self.daemon.wait()


def line(what, figure, peer=""):
    print(f"  {what:<52} {figure:<34} {peer}", flush=True)


def cpu_seconds(process):
    """Of all threads, in the kernel's nanoseconds."""
    total = 0
    for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


class Bench:
    def __init__(self, farm, quick):
        self.farm = farm
        self.quick = quick
        self.scratch = farm.directory / "scratch"
        self.scratch.mkdir()
        self.random = random.Random(7)
        self.big_bytes = (256 if quick else 1024) * MIB
        self.file_count = 2_000 if quick else 10_000

    def synced_files(self, node):
        (folder,) = node.status()["folders"]
        return folder["files"] if folder["pending"] == 0 else -1

    def make_tree(self, directory):
        directory.mkdir()
        for i in range(self.file_count):
            folder = directory / f"{i % 100:02d}"
            folder.mkdir(exist_ok=True)
            size = int(self.random.uniform(0.2, 1.8) * FILES_MIB * MIB)
            (folder / f"{i}.bin").write_bytes(self.random.randbytes(size))

    def tree(self):
        """A node that has a tree; then an empty one joins. And then the tree a second time, while both run."""
        first = self.farm.new_node()
        first.found()
        self.make_tree(first.folder / "tree")
        first.start()
        first.wait_ready(PATIENCE_S)
        wait_until(lambda: self.synced_files(first) == self.file_count, "the first node knows its files", PATIENCE_S)
        size = sum(s for _, s, _, _ in tree.snapshot(first.folder).values())
        what = f"{self.file_count:,} files ({size / MIB:.0f} MiB)"

        rsync = Rsync(self.farm.directory / "rsyncd", first.folder)
        peer = min(rsync.pull("tree", self.scratch / f"pulled-{i}")[0] for i in range(2))
        second = self.farm.new_node()
        second.join(first.invite())
        started = time.perf_counter()
        second.start()
        wait_until(lambda: second.http("/healthz")[0] == 200 and self.synced_files(second) == self.file_count,
                   lambda: f"the second node has the files: {second.status()['folders']}", PATIENCE_S, interval=0.005)
        ours = time.perf_counter() - started
        line(f"{what}, an empty node catches up", f"{ours:.2f} s", f"rsync -a {peer:.2f} s: {ours / peer:.2f} x")

        again = self.scratch / "again"
        self.make_tree(again)
        started = time.perf_counter()
        subprocess.run(["cp", "-a", again, first.folder / "again"], check=True)
        copied = time.perf_counter() - started
        wait_until(lambda: self.synced_files(second) == 2 * self.file_count, "the second tree is there", PATIENCE_S,
                   interval=0.005)
        ours = time.perf_counter() - started
        line(f"{what}, cp -a into a running node", f"{ours:.2f} s, of it cp {copied:.2f} s",
             f"rsync -a {peer:.2f} s: {ours / peer:.2f} x")
        self.farm.wait_equal(PATIENCE_S)
        rsync.stop()

    def upload(self):
        first, second = self.farm.nodes
        arrivals = Arrivals(second.folder)
        delays = []
        for i in range(100 if self.quick else 500):
            name = f"upload-{i}.jpg"
            data = self.random.randbytes(64 * KIB)
            file = open(first.folder / name, "wb")
            file.write(data)
            file.flush()
            started = time.perf_counter()
            file.close()
            arrived = arrivals.wait(name, PATIENCE_S)
            if (second.folder / name).read_bytes() != data:
                raise AssertionError(f"{name} differs")
            delays.append(arrived - started)
        figures = ", ".join(f"p{p} {percentile(delays, p) * 1000:.2f} ms" for p in (50, 99))
        line(f"64 KiB upload, close() to visible, {len(delays)} times", figures)

    def publish(self, source, name):
        """Moves a finished file into the first folder; seconds until the second has it, and all bytes on the wire for it."""
        first, second = self.farm.nodes
        arrivals = Arrivals(second.folder)
        before = sum(first.wire_bytes())
        started = time.perf_counter()
        os.rename(source, first.folder / name)
        arrived = arrivals.wait(name, PATIENCE_S)
        if arrived is None:
            raise AssertionError(f"{name} did not arrive within {PATIENCE_S} s")
        moved = sum(first.wire_bytes()) - before
        return arrived - started, moved

    def file(self):
        source = self.scratch / "big"
        with open(source, "wb") as file:
            for _ in range(self.big_bytes // MIB):
                file.write(self.random.randbytes(MIB))
        seconds, moved = self.publish(source, "big")
        rsync = Rsync(self.farm.directory / "rsyncd-file", self.farm.nodes[0].folder)
        peer, _ = rsync.pull("big", self.scratch / "pulled-big")
        rsync.stop()
        line(f"{self.big_bytes / MIB:.0f} MiB in one file", f"{self.big_bytes / MIB / seconds:.0f} MiB/s encrypted, wire x "
             f"{moved / self.big_bytes:.3f}", f"rsync -a {self.big_bytes / MIB / peer:.0f} MiB/s, in clear")

    def insert(self):
        first = self.farm.nodes[0]
        if not (first.folder / "big").exists():
            self.file()
        changed = self.scratch / "changed"
        with open(changed, "wb") as target, open(first.folder / "big", "rb") as source:
            target.write(b"!")
            while piece := source.read(8 * MIB):
                target.write(piece)
        seconds, moved = self.publish(changed, "big")
        rsync = Rsync(self.farm.directory / "rsyncd-insert", first.folder)
        peer, peer_moved = rsync.pull("big", self.scratch / "pulled-big", "--no-whole-file")
        rsync.stop()
        line(f"one byte inserted at the head of {self.big_bytes / MIB:.0f} MiB", f"{seconds:.2f} s, {moved:,} bytes on the wire",
             f"rsync {peer:.2f} s, {peer_moved:,} bytes")
        self.farm.wait_equal(PATIENCE_S)

    def idle(self):
        seconds = 5 if self.quick else 20
        processes = [node.process for node in self.farm.nodes]
        moved = sum(self.farm.nodes[0].wire_bytes())
        before = [cpu_seconds(process) for process in processes]
        time.sleep(seconds)
        used = [cpu_seconds(process) - start for process, start in zip(processes, before)]
        moved = sum(self.farm.nodes[0].wire_bytes()) - moved
        line(f"idle for {seconds} s, {self.synced_files(self.farm.nodes[0]):,} files",
             f"{max(used) / seconds * 100:.3f} % of a core, {moved / seconds:.0f} bytes/s")


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--binaries", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="smaller inputs")
    parser.add_argument("--only", default="upload,file,insert,idle", help="names, comma-separated; tree always comes first")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"Two nodes on loopback, {os.cpu_count()} cores{', quick' if arguments.quick else ''}:")
    with Cluster(arguments.binaries, prefix="syncline-bench-") as farm:
        bench = Bench(farm, arguments.quick)
        try:
            bench.tree()
            for name in ("upload", "file", "insert", "idle"):
                if name in arguments.only.split(","):
                    getattr(bench, name)()
        except AssertionError as error:
            print(f"{farm.report()}\nscripts/bench: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
