"""Unison, one run for a change, with its own protocol in clear: Debian's package has no file monitor for `-repeat watch`."""
import time

from contestant import START_S, Contestant, Failed
from farm.ports import free_port


class Unison(Contestant):
    name = "unison"
    watches = False

    def start(self):
        self.port = free_port()
        self.spawn(self.hosts[1], ["unison", "-socket", self.port], **self._home(1))
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.sync()
                return
            except Failed:  # nobody listens yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _home(self, n):
        return {"UNISON": str(self.folders[n].parent / "unison"), "HOME": str(self.folders[n].parent)}

    def sync(self):
        remote = f"socket://{self.hosts[1].address}:{self.port}/{self.folders[1]}"
        self.run(self.hosts[0], ["unison", self.folders[0], remote, "-ui", "text", "-batch", "-silent", "-times", "-log=false",
                                 "-confirmbigdel=false"], **self._home(0))
