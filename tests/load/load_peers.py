"""The same site as it is without Syncline: rsync from cron once a minute, with every POST pinned to the first server, or Syncthing."""
import pathlib
import shutil
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts" / "lib"), str(ROOT / "tests" / "e2e"), str(ROOT / "tests" / "bench")]

import network  # noqa: E402  (the path is set above)
from contestant_rsync import Rsync  # noqa: E402
from contestant_syncthing import Syncthing  # noqa: E402
from farm.cluster import wait_until  # noqa: E402
from farm.ports import free_port  # noqa: E402
from lb_farm import Application, WebServer  # noqa: E402

_CRON_SECONDS = 60
_LIMITS = "client_max_body_size 0; proxy_http_version 1.1;"
_WEB = """server {{ listen {address}:{port}; {limits}
    location /upload/ {{ alias {folder}/; if ($request_method = POST) {{ proxy_pass http://127.0.0.1:{application}; }} }} }}
"""
_BALANCER = """upstream all {{ {all} }}
upstream one {{ {one} }}
map $request_method $pool {{ default all; POST {post}; }}
server {{ listen 127.0.0.1:{port}; {limits}
    location / {{ proxy_pass http://$pool; }} }}
"""


class _Place:
    """What an application needs to know of a server."""

    def __init__(self, name, folder):
        self.name, self.folder = name, folder


class PeerServer:
    def __init__(self, directory, number, folder):
        self.name, self.node = f"web{number}", _Place(f"web{number}", folder)
        self.address, self.port = f"127.0.0.{number}", free_port()
        self.application = Application(self.node)
        text = _WEB.format(address=self.address, port=self.port, limits=_LIMITS, folder=folder, application=self.application.port)
        self.web = WebServer("nginx", directory / "sites" / self.name, [{"file": "site.conf", "text": text}])
        self.web.start()

    def has(self, name, size):
        try:
            return (self.node.folder / name).stat().st_size == size
        except FileNotFoundError:
            return False

    def stop(self):
        self.web.stop()
        self.application.stop()


class PeerSite:
    """`kind` is rsync or syncthing; the rest as load_site.Site has it."""

    def __init__(self, kind, count=3, parent=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="syncline-load-", dir=parent))
        self.network = network.Loopback(count)
        self.sync = {"rsync": Rsync, "syncthing": Syncthing}[kind](self.network, self.directory / "sync")
        self.stopping = threading.Event()
        self.cron = threading.Thread(target=self._run_cron)
        self.sync.start()
        self.servers = [PeerServer(self.directory, n, folder) for n, folder in enumerate(self.sync.folders, 1)]
        self.port = free_port()
        places = [f"server {server.address}:{server.port};" for server in self.servers]
        text = _BALANCER.format(all=" ".join(places), one=places[0], post="one" if kind == "rsync" else "all", port=self.port, limits=_LIMITS)
        self.balancer = WebServer("nginx", self.directory / "balancer", [{"file": "site.conf", "text": text}])
        self.balancer.start()
        wait_until(self.balancer.listening(self.port), "the balancer listens", 15)
        for server in self.servers:
            wait_until(server.web.listening(server.application.port), f"{server.name}'s application listens", 15)
        self.cron.start()

    def _run_cron(self):
        while not self.sync.watches and not self.stopping.wait(_CRON_SECONDS):
            self.sync.sync()

    def wait_level(self, timeout):
        """All files are everywhere."""
        def level():
            first, *others = [{entry.name for entry in server.node.folder.iterdir() if not entry.name.startswith(".")} for server in self.servers]
            return all(first == other for other in others)

        try:
            wait_until(level, "the folders are equal", timeout, 1)
        except AssertionError as late:
            print(f"{late}: what is lacking is counted", file=sys.stderr, flush=True)

    def close(self, keep=False):
        del keep  # there is nothing to learn from it
        self.stopping.set()
        self.cron.join()
        for each in (self.balancer, *self.servers):
            each.stop()
        self.sync.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
