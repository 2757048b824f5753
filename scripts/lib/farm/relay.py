"""Links that can be cut: every node is advertised at a relay's port, and the relay drops what passes a cut pair.

The relay is a process of its own, told what to do by lines on its standard input; it ends with that input. It passes
coalesced datagrams on as they come (UDP_GRO in, UDP_SEGMENT out), so that one Python process keeps up with several nodes.
"""
import errno
import json
import selectors
import socket
import struct
import subprocess
import sys

_UDP_SEGMENT, _UDP_GRO = 103, 104
_HOST = "127.0.0.1"
_BURST = 64  # datagrams taken from one socket before the others get their turn


def _udp_socket():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, 8 << 20)
    for force in (33, 32):  # SO_RCVBUFFORCE, SO_SNDBUFFORCE: beyond the limit, where we may
        try:
            sock.setsockopt(socket.SOL_SOCKET, force, 8 << 20)
        except OSError:
            pass
    try:
        sock.setsockopt(socket.IPPROTO_UDP, _UDP_GRO, 1)
    except OSError:
        pass
    return sock


def _receive(sock):
    data, ancillary, _, address = sock.recvmsg(65535, 64)
    segment = 0
    for level, kind, value in ancillary:
        if level == socket.IPPROTO_UDP and kind == _UDP_GRO:
            segment = struct.unpack("i", value[:4])[0]
    return data, segment, address


def _send(sock, data, segment, address):
    ancillary = []
    if segment and segment < len(data):
        ancillary = [(socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("H", segment))]
    try:
        sock.sendmsg([data], ancillary, 0, *([address] if address else []))
    except OSError as error:
        # A full buffer or a dead node loses datagrams, as a network does.
        if error.errno not in (errno.EAGAIN, errno.ECONNREFUSED, errno.ENOBUFS, errno.EPERM, errno.EINVAL):
            raise


class _Server:
    """The relay's process."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.node_by_port = {}  # the port a node really binds -> its number
        self.sessions = {}  # (node, source address) -> socket towards the node
        self.cut = set()  # frozenset of two node numbers
        self.bytes = 0
        self.dropped_bytes = 0
        self.input = b""

    def add(self, node, front_port, real_port):
        self.node_by_port[real_port] = node
        front = _udp_socket()
        front.bind((_HOST, front_port))
        self.selector.register(front, selectors.EVENT_READ, lambda: self.from_outside(front, node, real_port))

    def passes(self, node, address, size):
        if frozenset((node, self.node_by_port.get(address[1], -1))) in self.cut:
            self.dropped_bytes += size
            return False
        self.bytes += size
        return True

    def from_outside(self, front, node, real_port):
        for _ in range(_BURST):
            try:
                data, segment, address = _receive(front)
            except BlockingIOError:
                return
            if not self.passes(node, address, len(data)):
                continue
            session = self.sessions.get((node, address))
            if session is None:
                session = self.open_session(front, node, real_port, address)
            _send(session, data, segment, None)

    def open_session(self, front, node, real_port, address):
        session = _udp_socket()
        session.connect((_HOST, real_port))
        self.sessions[(node, address)] = session
        self.selector.register(session, selectors.EVENT_READ, lambda: self.from_node(session, front, node, address))
        return session

    def from_node(self, session, front, node, address):
        for _ in range(_BURST):
            try:
                data, segment, _ = _receive(session)
            except BlockingIOError:
                return
            except ConnectionRefusedError:  # the node is down
                continue
            if self.passes(node, address, len(data)):
                _send(front, data, segment, address)

    def command(self, line):
        word, *numbers = line.split()
        numbers = [int(number) for number in numbers]
        if word == "add":
            self.add(*numbers)
        elif word == "cut":
            self.cut.add(frozenset(numbers))
        elif word == "heal":
            self.cut.discard(frozenset(numbers))
        print(json.dumps({"bytes": self.bytes, "dropped_bytes": self.dropped_bytes}), flush=True)

    def from_input(self):
        data = sys.stdin.buffer.raw.read(65536)
        if not data:
            sys.exit(0)
        self.input += data
        *lines, self.input = self.input.split(b"\n")
        for line in lines:
            self.command(line.decode())

    def run(self):
        self.selector.register(sys.stdin.buffer.raw, selectors.EVENT_READ, self.from_input)
        while True:
            for key, _ in self.selector.select():
                key.data()


class Relay:
    """Handle of a relay process."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def _tell(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("the relay ended")
        return json.loads(answer)

    def add(self, node, front_port, real_port):
        """Datagrams to `front_port` reach `real_port`, where the node with this number listens."""
        self._tell("add", node, front_port, real_port)

    def cut(self, first, second):
        self._tell("cut", first, second)

    def heal(self, first, second):
        self._tell("heal", first, second)

    def stats(self):
        """{"bytes": passed so far, "dropped_bytes": ...}: UDP payloads of all links."""
        return self._tell("stats")

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


if __name__ == "__main__":
    _Server().run()
