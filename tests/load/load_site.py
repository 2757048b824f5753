"""A web site of some servers behind a balancer, configured as `syncline lb` prints it, and what can happen to a server of it."""
import datetime
import os
import pathlib
import re
import shutil
import signal
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts" / "lib"), str(ROOT / "tests" / "e2e")]

from farm.cluster import Cluster, wait_until  # noqa: E402  (the path is set above)
from farm.ports import free_port  # noqa: E402
from lb_farm import Application, WebServer, parts_of  # noqa: E402

URI = "/upload/"
_MISS, _NO_MISS = "try_files $uri @syncline;", "try_files $uri =404;"


class Server:
    """One server of the site: its node, the application and the web server in front of it. It has a loopback address of its own."""

    def __init__(self, site, node):
        self.site, self.node, self.name = site, node, node.name
        self.address, self.port = f"127.0.0.{node.number}", free_port()
        self.application = self.web = None
        self.times = 0

    def place(self):
        return f"--server={self.name}={self.address}:{self.port}"

    def configure(self):
        """Before its node runs for the first time."""
        config = self.node.home / "config.toml"
        text, count = re.subn(r'(?m)^agent = .*$', f'agent = "{self.address}:{self.site.agent_port}"', config.read_text())
        if count != 1:
            raise AssertionError(f"{config} has no line `agent = ...`")
        config.write_text(text)

    def start_web(self):
        """The application and the web server, as a node of the cluster tells how."""
        self.times += 1
        self.application = Application(self.node, waits=self.site.mode != "miss")
        others = [other.place() for other in self.site.servers if other is not self]
        teller = next(server.node for server in self.site.servers if server.node.running())
        printed = teller.json("lb", "nginx", "--uri", URI, "--app-backend", f"127.0.0.1:{self.application.port}",
                              "--folder", self.node.folder, "--http-port", self.node.http_port, self.place(), *others)
        parts = parts_of(printed, self.name)
        if self.site.mode == "barrier":
            found = sum(_MISS in part["text"] for part in parts)
            if found != 1:
                raise AssertionError(f"{found} parts say {_MISS}")
            for part in parts:
                part["text"] = part["text"].replace(_MISS, _NO_MISS)
        self.web = WebServer("nginx", self.site.farm.directory / "sites" / f"{self.name}-{self.times}", parts)
        self.web.start()

    def kill(self):
        """All of it at once, as when the machine goes down; what was written stays."""
        processes = (self.node.process, self.web.process, self.application.process)
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)  # each leads its own: a web server's workers would outlive their master
        for process in processes:
            process.wait()

    def start_again(self):
        self.node.start()
        self.start_web()

    def stop(self):
        for each in (self.web, self.application):
            if each:
                each.stop()

    def has(self, name, size):
        path = self.node.folder / name
        try:
            return path.stat().st_size == size
        except FileNotFoundError:
            return False


class Site:
    """`count` servers with all files equal, and a balancer that spreads every method over them."""

    def __init__(self, binaries, balancer, mode, count=3, links_can_be_cut=False, parent=None):
        """Links that can be cut pass through a relay, which takes its share of the processor."""
        self.kind, self.mode = balancer, mode
        self.farm = Cluster(binaries, links_can_be_cut=links_can_be_cut, prefix="syncline-load-", parent=parent)
        self.port, self.agent_port = free_port(), free_port()
        self.servers = []
        self.balancer = None
        for _ in range(count):
            self.add_member()
            self.servers[-1].node.start()
            self.servers[0].node.wait_ready()
        self.farm.wait_linked()
        for server in self.servers:
            server.start_web()
        self.balancer = WebServer(balancer, self.farm.directory / "balancer", self._parts())
        self.balancer.start()
        wait_until(self.balancer.listening(self.port), "the balancer listens", 15)
        for server in self.servers:
            for port in (server.port, server.application.port):
                wait_until(server.web.listening(port), f"{server.name}'s web server and application listen", 15)

    def add_member(self):
        """A server that is a member, and does not run yet."""
        server = Server(self, self.farm.new_node())
        if self.servers:
            server.node.join(self.servers[0].node.invite())
        else:
            server.node.found()
        server.configure()
        self.servers.append(server)
        return server

    def _parts(self):
        agent = ["--agent-port", self.agent_port] if self.kind == "haproxy" else []
        return parts_of(self.servers[0].node.json("lb", self.kind, "--uri", URI, "--listen", self.port, *agent,
                                                  *(server.place() for server in self.servers)))

    def reload_balancer(self):
        """With the members as they are now."""
        self.balancer.reload(self._parts())

    def requests_to(self, server):
        """The times, in seconds since the epoch, at which the balancer's log has requests that went to this server."""
        text = (self.balancer.directory / ("access.log" if self.kind == "nginx" else "output.log")).read_text(errors="replace")
        if self.kind == "nginx":
            return [float(line.split()[0]) for line in text.splitlines() if f"{server.address}:{server.port}" in line]
        times = re.findall(rf"\[([^\]]+)\] site \w+/{server.name} ", text)
        return [datetime.datetime.strptime(at, "%d/%b/%Y:%H:%M:%S.%f").timestamp() for at in times]

    def wait_level(self, timeout):
        """Every node that runs is ready and has nothing on its way."""
        def level():
            for server in self.servers:
                if server.node.running() and (not server.node.ready() or server.node.status()["totals"]["pending"]):
                    return False
            return True

        wait_until(level, lambda: "the nodes are level: " + str([s.node.http("/readyz") for s in self.servers]), timeout, 0.2)

    def close(self, keep=False):
        for each in (self.balancer, *self.servers):
            if each:
                each.stop()
        self.farm.close(keep_files=keep)


class Disturbance:
    """What happens in the midst of a run: `begin()` after its first third, `end()` halfway. Both on the main thread."""

    def __init__(self, site):
        self.site = site
        self.server = site.servers[-1]
        self.began = None

    def begin(self):
        pass

    def end(self):
        pass

    def names(self):
        """The servers whose uploads nobody else may have while it lasts."""
        return {self.server.name} if self.began else set()

    def report(self):
        return {}


class Nothing(Disturbance):
    """To no server of a site that has none of our nodes."""

    def __init__(self):
        self.site = self.server = self.began = None


class Kill(Disturbance):
    def begin(self):
        self.began = time.time()
        self.server.kill()

    def end(self):
        self.server.start_again()


class KillNode(Disturbance):
    """The node alone: its application goes on taking uploads until the balancer has noticed."""

    def begin(self):
        self.began = time.time()
        self.server.node.kill9()

    def end(self):
        self.server.node.start()


class KillEmpty(Kill):
    """It comes back with new disks, and joins once more, when an administrator has evicted what it was."""

    def end(self):
        node = self.server.node
        self.site.servers[0].node.command("cluster", "evict", node.name)
        shutil.rmtree(node.home)
        shutil.rmtree(node.folder)
        node.folder.mkdir()
        node.join(self.site.servers[0].node.invite())
        self.server.configure()
        self.server.start_again()


class Cut(Disturbance):
    def begin(self):
        self.began = time.time()
        self.site.farm.isolate(self.server.node)

    def end(self):
        self.site.farm.reunite(self.server.node)


class Join(Disturbance):
    """One more server, known to the balancer from the moment on at which it begins to fetch what the others have; to HAProxy, which takes a server
    that is new to it for ready until it has asked, once it is ready."""

    def begin(self):
        self.server = self.site.add_member()
        self.server.start_web()
        if self.site.kind != "haproxy":
            self.site.reload_balancer()
        self.started = time.time()
        self.server.node.start()
        # Poll for the moment at which it says so itself: the balancer may know no earlier.
        wait_until(self.server.node.ready, lambda: f"the newcomer is ready: {self.server.node.http('/readyz')}", 600, interval=0.005)
        self.ready = time.time()
        if self.site.kind == "haproxy":
            self.site.reload_balancer()

    def report(self):
        requests = self.site.requests_to(self.server)
        return {"newcomer_ready_after_s": round(self.ready - self.started, 2),
                "newcomer_requests_before": sum(at < self.ready for at in requests),
                "newcomer_requests_after": sum(at >= self.ready for at in requests)}


DISTURBANCES = {"none": Disturbance, "kill": Kill, "kill-node": KillNode, "kill-empty": KillEmpty, "cut": Cut, "join": Join}
