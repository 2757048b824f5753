"""The hosts of one contestant and the wire between them: network namespaces where we may make them, else loopback.

Each contestant gets a network of its own, so the counters of the interfaces are its bytes and nobody else's.
"""
import itertools
import os
import pathlib
import re
import subprocess

from farm.host import Host, NamespaceHost

_serial = itertools.count(1)
_IP = next((p for p in ("/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip") if os.access(p, os.X_OK)), None)


def _ip(*words):
    subprocess.run([_IP, *map(str, words)], check=True, capture_output=True, text=True)


def may_have_namespaces():
    """Whether this process may make network namespaces joined by veth pairs: tried, not guessed."""
    if os.geteuid() != 0 or _IP is None:
        return False
    try:
        Namespaces(2).close()
        return True
    except (OSError, subprocess.CalledProcessError):
        return False


def sweep():
    """Removes the namespaces of runs that were killed."""
    if os.geteuid() != 0 or _IP is None or not os.path.isdir("/run/netns"):
        return
    for name in os.listdir("/run/netns"):
        if (found := re.match(r"syncline-bench-(\d+)-", name)) and not os.path.exists(f"/proc/{found.group(1)}"):
            subprocess.run([_IP, "netns", "del", name], capture_output=True)


class Loopback:
    """All hosts are this machine. The counters are those of `lo`: other programs' bytes are in them, too."""

    kind = "loopback"

    def __init__(self, count):
        self.hosts = [Host() for _ in range(count)]

    def wire(self):
        return _counters("lo", "/proc/net/dev")[1]  # what lo sends it also receives

    def uplink(self):
        return self.wire()

    def close(self):
        pass


class Namespaces:
    """Hosts with one interface each: a veth pair for two of them, a bridge in a namespace of its own for more."""

    kind = "namespaces"

    def __init__(self, count):
        self._names = []
        self.hosts = []
        try:
            self._add_hosts(count)
            self._join_hosts()
            for host in self.hosts:
                self._bring_up(host)
        except BaseException:
            self.close()
            raise

    def _add_namespace(self, role):
        name = f"syncline-bench-{os.getpid()}-{next(_serial)}-{role}"
        _ip("netns", "add", name)
        self._names.append(name)
        _ip("-n", name, "link", "set", "lo", "up")
        return name

    def _add_hosts(self, count):
        for number in range(1, count + 1):
            host = NamespaceHost(self._add_namespace(f"h{number}"), f"10.77.0.{number}")
            self.hosts.append(host)
            with host.inside():  # no neighbour solicitations among the bytes that are counted
                pathlib.Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")

    def _join_hosts(self):
        if len(self.hosts) == 2:
            first, second = self.hosts
            self._join("eth0", first.namespace, second.namespace)
            return
        bridge = self._add_namespace("bridge")
        _ip("-n", bridge, "link", "add", "br0", "type", "bridge")
        _ip("-n", bridge, "link", "set", "br0", "up")
        for number, host in enumerate(self.hosts, 1):
            self._join(f"port{number}", bridge, host.namespace)
            _ip("-n", bridge, "link", "set", f"port{number}", "master", "br0", "up")

    @staticmethod
    def _join(name, namespace, other):
        """A veth pair: `name` in the one namespace, eth0 in the other."""
        _ip("link", "add", name, "netns", namespace, "type", "veth", "peer", "name", "eth0", "netns", other)

    def _bring_up(self, host):
        _ip("-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", "eth0")
        _ip("-n", host.namespace, "link", "set", "eth0", "up")

    def _of_first(self):
        with self.hosts[0].inside():
            return _counters("eth0", "/proc/thread-self/net/dev")

    def wire(self):
        """Bytes that passed the first host's interface so far, both ways."""
        return sum(self._of_first())

    def uplink(self):
        """Those that it sent."""
        return self._of_first()[1]

    def set_link(self, up):
        """Pulls the first host's plug, or puts it back."""
        _ip("-n", self.hosts[0].namespace, "link", "set", "eth0", "up" if up else "down")

    def close(self):
        for host in self.hosts:
            host.close()
        for name in self._names:
            subprocess.run([_IP, "netns", "del", name], capture_output=True)
        self._names = []


class Wan(Namespaces):
    """Two hosts with a TUN device each; a process of ours carries the packets between them."""

    def __init__(self, program, mbit, rtt_ms, loss_percent, queue_ms=20):
        self._line = None
        self._arguments = [program, str(mbit), str(rtt_ms), str(loss_percent), str(queue_ms)]
        super().__init__(2)

    def _join_hosts(self):
        self._line = subprocess.Popen([*self._arguments, *(f"/run/netns/{h.namespace}" for h in self.hosts)],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self._line.stdout.readline() != "ready\n":
            raise OSError("the line could not be set up: its reason is above")

    def close(self):
        if self._line:
            self._line.stdin.close()  # it ends with its input
            self._line.wait(10)
        super().close()


def _counters(interface, table):
    """(received, sent) bytes."""
    for line in pathlib.Path(table).read_text().splitlines():
        name, _, figures = line.partition(":")
        if name.strip() == interface:
            fields = figures.split()
            return int(fields[0]), int(fields[8])
    raise OSError(f"no interface {interface} in {table}")
