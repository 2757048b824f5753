"""Syncthing with one second of patience (its least), static addresses, and nothing that would call outside."""
import json
import re
import urllib.error
import urllib.request

from contestant import START_S, Contestant, wait_until
from farm.ports import free_port

_KEY = "benchmark"  # of an interface that only loopback of a namespace, or this run's own scratch, can reach

_CONFIG = """\
<configuration version="36">
  <folder id="bench" label="bench" path="{folder}" type="sendreceive" rescanIntervalS="3600" fsWatcherEnabled="true"
          fsWatcherDelayS="1">{members}</folder>
  {devices}
  <gui enabled="true" tls="false"><address>127.0.0.1:{gui}</address><apikey>{key}</apikey></gui>
  <options>
    <listenAddress>tcp://{address}:{port}</listenAddress>
    <globalAnnounceEnabled>false</globalAnnounceEnabled>
    <localAnnounceEnabled>false</localAnnounceEnabled>
    <relaysEnabled>false</relaysEnabled>
    <natEnabled>false</natEnabled>
    <startBrowser>false</startBrowser>
    <urAccepted>-1</urAccepted>
    <crashReportingEnabled>false</crashReportingEnabled>
    <autoUpgradeIntervalH>0</autoUpgradeIntervalH>
    <setLowPriority>false</setLowPriority>
  </options>
</configuration>
"""


class Syncthing(Contestant):
    name = "syncthing"

    def start(self):
        self.ports = [free_port() for _ in self.hosts]
        self.guis = [free_port() for _ in self.hosts]
        self.homes = [folder.parent / "home" for folder in self.folders]
        ids = [self._identity(host, home) for host, home in zip(self.hosts, self.homes)]
        members = "".join(f'<device id="{i}"></device>' for i in ids)
        devices = "".join(f'<device id="{i}" name="{i[:7]}"><address>tcp://{host.address}:{port}</address></device>'
                          for i, host, port in zip(ids, self.hosts, self.ports))
        for n, host in enumerate(self.hosts):
            (self.homes[n] / "config.xml").write_text(_CONFIG.format(
                folder=self.folders[n], members=members, devices=devices, gui=self.guis[n], key=_KEY, address=host.address,
                port=self.ports[n]))
            (self.folders[n] / ".stfolder").mkdir(exist_ok=True)
            self.spawn(host, ["syncthing", "serve", f"--home={self.homes[n]}", "--no-browser", "--no-restart", "--no-upgrade"],
                       HOME=str(self.homes[n]))
        for n in range(len(self.hosts)):
            wait_until(lambda: self._is_ready(n), f"syncthing {n + 1} is connected and idle", 5 * START_S, interval=0.2)

    def _identity(self, host, home):
        output = self.run(host, ["syncthing", "generate", f"--home={home}", "--no-default-folder"], HOME=str(home))
        return re.search(r"([A-Z2-7]{7}(?:-[A-Z2-7]{7}){7})", output).group(1)

    def _get(self, n, path):
        request = urllib.request.Request(f"http://127.0.0.1:{self.guis[n]}/rest/{path}", headers={"X-API-Key": _KEY})
        try:
            with self.hosts[n].inside(), urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except (urllib.error.URLError, OSError, ValueError):
            return {}

    def _is_ready(self, n):
        connections = self._get(n, "system/connections").get("connections", {})
        folder = self._get(n, "db/status?folder=bench")
        return (sum(c["connected"] for c in connections.values()) == len(self.hosts) - 1 and folder.get("state") == "idle"
                and folder.get("needTotalItems") == 0)
