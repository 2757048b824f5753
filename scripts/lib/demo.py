"""The demonstration behind scripts/demo: what a web farm's administrator would try first, in words and then in figures."""
import argparse
import hashlib
import http.client
import pathlib
import random
import signal
import subprocess
import sys
import time

from farm.arrivals import Arrivals, percentile
from farm.cluster import Cluster, Timeout, die_with_parent, wait_until
from farm.nginx import Nginx
from farm.ports import free_port, prefer_port

HERE = pathlib.Path(__file__).resolve().parent
SERVERS = 3
JPEG_HEAD = bytes.fromhex("ffd8ffe000104a46494600010101004800480000")


class Failed(Exception):
    """The demonstration did not show what it promises."""


def say(text=""):
    print(text, flush=True)


def picture(rng):
    """As a camera's or an editor's: 20 KiB to 5 MiB, half of them below 300 KiB, nothing to compress."""
    size = int(min(max(rng.lognormvariate(12.6, 1.1), 20 * 1024), 5 * 1024 * 1024))
    return JPEG_HEAD + rng.randbytes(size - len(JPEG_HEAD))


class Client:
    """A browser behind the balancer."""

    def __init__(self, port):
        self.port = port
        self.connection = None

    def request(self, method, path, body=None):
        """(status, server that answered, body)."""
        for fresh in (self.connection is None, True):
            if fresh:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                self.connection.request(method, path, body)
                answer = self.connection.getresponse()
                return answer.status, answer.getheader("X-Served-By"), answer.read()
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                continue  # the balancer closed an idle connection
        raise Failed(f"the balancer does not answer {method} {path}")


class Demo:
    def __init__(self, farm, uploads):
        self.farm = farm
        self.uploads = uploads
        self.random = random.Random(20240229)
        self.digests = {}  # name -> (digest, server that took it)
        self.delays = []  # seconds from close on one server to visible on all others
        self.payload_bytes = 0
        self.apps = {}
        self.conflicts_seen = 0
        self.nginx = None

    # The farm.

    def start_app(self, node):
        self.apps[node.name] = subprocess.Popen(
            [sys.executable, "-B", HERE.parent / "demo_app.py", "--name", node.name, "--folder", node.folder,
             "--port", str(self.app_ports[node.name])], start_new_session=True, preexec_fn=die_with_parent)

    def start(self):
        say("Starting three nodes on loopback. The first founds a cluster, two join with a token each.")
        nodes = self.farm.form(SERVERS)
        self.app_ports = {node.name: free_port() for node in nodes}
        for node in nodes:
            self.start_app(node)
        self.port = prefer_port(8080)
        self.nginx = Nginx(self.farm.directory / "nginx", self.port, self.app_ports.values())
        self.nginx.start()
        self.client = Client(self.port)
        for _ in range(SERVERS):
            wait_until(self.balancer_answers, "the balancer and its servers answer", 15)
        self.arrivals = {node.name: Arrivals(node.folder) for node in nodes}
        say(f"One upload application per server, and nginx in front on port {self.port}: round robin for every method.\n")

    def balancer_answers(self):
        try:
            return self.client.request("GET", "/")[0] == 200
        except (OSError, http.client.HTTPException, Failed):
            self.client.connection = None
            return False

    def stop(self):
        if self.nginx:
            self.nginx.stop()
        for app in self.apps.values():
            app.kill()
            app.wait()

    # What it shows.

    def upload(self, name):
        data = picture(self.random)
        started = time.perf_counter()
        status, server, _ = self.client.request("POST", f"/upload/{name}", data)
        if status != 201:
            raise Failed(f"upload of {name}: status {status} from {server}")
        self.digests[name] = (hashlib.blake2b(data).digest(), server)
        self.payload_bytes += len(data)
        return server, started

    def measure(self, name, server, started):
        """Waits until every running node shows the upload."""
        closed = self.arrivals[server].wait(name, 10, after=started)
        seen = [self.arrivals[node.name].wait(name, 30, after=started)
                for node in self.farm.nodes if node.name != server and node.running()]
        if closed is None or None in seen:
            raise Failed(f"{name}, uploaded to {server}, was not visible everywhere within 30 s")
        self.delays.append(max(seen) - closed)

    def show_uploads(self):
        say(f"Uploading {self.uploads} pictures through the balancer ...")
        started = time.perf_counter()
        for i in range(self.uploads):
            name = f"picture-{i:04d}.jpg"
            self.measure(name, *self.upload(name))
        taken = {}
        for _, server in self.digests.values():
            taken[server] = taken.get(server, 0) + 1
        shares = ", ".join(f"{server} took {count}" for server, count in sorted(taken.items()))
        say(f"  {self.payload_bytes / 2**20:.0f} MiB in {time.perf_counter() - started:.1f} s; {shares}.")
        say(f"  From close() on one server to visible on all: p50 {self.delay(50)}, p99 {self.delay(99)}.\n")

    def show_reading_back(self, names):
        """Every picture is read through the balancer until each server that did not take it has answered."""
        for name in names:
            digest, taker = self.digests[name]
            wanted = {node.name for node in self.farm.nodes} - {taker}
            for _ in range(20 * SERVERS):
                status, server, body = self.client.request("GET", f"/upload/{name}")
                if status != 200 or hashlib.blake2b(body).digest() != digest:
                    raise Failed(f"{name}, uploaded to {taker}: {server} answers {status} with {len(body)} bytes")
                wanted.discard(server)
                if not wanted:
                    break
            else:
                raise Failed(f"{name} was never asked of {wanted}")

    def show_conflict(self):
        first, second, third = self.farm.nodes
        name = "prices.txt"
        (first.folder / name).write_text("coffee 2.00\n")
        first.command("wait", name)
        say(f"Cutting {first.name} off, and editing {name} on {first.name} and on {second.name} meanwhile.")
        self.farm.isolate(first)
        texts = {first: "coffee 2.20\n", second: "coffee 1.90\n"}
        for node, text in texts.items():
            (node.folder / name).write_text(text)
            node.command("wait", name, "--nodes", "1")
        say(f"  {first.name} says: {texts[first].strip()}    {second.name} says: {texts[second].strip()}")
        self.farm.reunite(first)
        say(f"The link is back. {third.name}, which edited nothing, lists the conflict:\n")
        wait_until(third.conflicts, "the conflict is known on the third node", 30)
        (conflict,) = third.conflicts()
        self.conflicts_seen += 1
        say(indent(f"$ syncline conflicts\n{third.command('conflicts')}"))
        winner = (third.folder / name).read_text()
        (loser,) = set(texts.values()) - {winner}
        say(f"Live everywhere: {winner.strip()!r}. The other version is kept; {third.name} restores it:\n")
        say(indent(f"$ syncline conflicts restore {conflict['id']}\n{third.command('conflicts', 'restore', conflict['id'])}"))
        wait_until(lambda: all((node.folder / name).read_text() == loser for node in self.farm.nodes)
                   and not any(node.conflicts() for node in self.farm.nodes), "the restored version is live everywhere", 30)
        say(f"Live on all three now: {loser.strip()!r}. No conflict is left.\n")

    def show_kill(self):
        victim = self.farm.nodes[1]
        more = max(3, self.uploads // 10)
        say(f"kill -9 of {victim.name}, node and application. {more} more uploads through the balancer ...")
        victim.kill9()
        self.apps[victim.name].kill()
        self.apps[victim.name].wait()
        names = [f"while-{victim.name}-was-down-{i:03d}.jpg" for i in range(more)]
        for name in names:
            self.measure(name, *self.upload(name))
        say("  all of them accepted by the other two, and visible on both.")
        started = time.perf_counter()
        victim.start()
        victim.wait_ready(60)
        caught_up = time.perf_counter() - started
        for name in names:
            if hashlib.blake2b((victim.folder / name).read_bytes()).digest() != self.digests[name][0]:
                raise Failed(f"{victim.name} says it is ready, but {name} differs")
        self.start_app(victim)
        wait_until(lambda: self.client.request("GET", "/")[1] == victim.name, f"the balancer uses {victim.name} again", 15)
        say(f"  {victim.name} is back: ready {caught_up:.2f} s after its start, with everything it missed.\n")
        self.show_reading_back(names)

    def run(self):
        self.start()
        self.show_uploads()
        say("Reading every picture back through the balancer, from the two servers that did not take it ...")
        self.show_reading_back(list(self.digests))
        say("  all there, byte for byte.\n")
        self.show_conflict()
        self.show_kill()
        say("Comparing the three folders with rsync -anic --delete and diff -r ...")
        self.farm.wait_equal(30)
        say("  they are equal: names, bytes, modes, times.\n")
        self.table()

    def delay(self, percent):
        return f"{percentile(self.delays, percent) * 1000:.1f} ms"

    def table(self):
        wire = self.farm.relay.stats()["bytes"]
        copies = self.payload_bytes * (SERVERS - 1)
        rows = [
            ("uploads", f"{len(self.digests)} ({self.payload_bytes / 2**20:.0f} MiB)"),
            ("visible everywhere, p50", self.delay(50)),
            ("visible everywhere, p99", self.delay(99)),
            ("conflicts", f"{self.conflicts_seen}, restored {self.conflicts_seen}"),
            ("bytes on the wire", f"{wire / 2**20:.0f} MiB ({wire / copies:.3f} x what {SERVERS - 1} copies of each weigh)"),
        ]
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            say(f"  {name:<{width}}  {value}")
        say()

    def stay(self):
        say("Everything stays up until Ctrl-C. To try:")
        say(f"  balancer        http://127.0.0.1:{self.port}/   curl -T FILE http://127.0.0.1:{self.port}/upload/NAME")
        for node in self.farm.nodes:
            say(f"  {node.name}            http://127.0.0.1:{self.app_ports[node.name]}/   status http://127.0.0.1:"
                f"{node.http_port}/v1/status   folder {node.folder}")
        node = self.farm.nodes[0]
        say(f"  command line    {self.farm.binaries}/syncline status --watch --home {node.home}")
        try:
            while True:
                signal.pause()
        except KeyboardInterrupt:
            say("\nTaking everything down.")


def indent(text):
    return "".join(f"    {line}\n" for line in text.rstrip().splitlines())


def main():
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--binaries", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--once", action="store_true", help="end when everything was shown, also on a terminal")
    parser.add_argument("--uploads", type=int, default=300, help="pictures to upload (300)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    stay = not arguments.once and sys.stdout.isatty()
    with Cluster(arguments.binaries, links_can_be_cut=True, prefix="syncline-demo-") as farm:
        demo = Demo(farm, max(arguments.uploads, SERVERS))
        try:
            demo.run()
            if stay:
                demo.stay()
        except KeyboardInterrupt:
            return 130
        except (Failed, Timeout, AssertionError) as error:
            print(f"{farm.report()}\nscripts/demo: {error}", file=sys.stderr)
            return 1
        finally:
            demo.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
