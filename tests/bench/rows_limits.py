"""What this machine can do at all, so that the other rows can be read."""
import os
import socket
import subprocess
import threading
import time

from contestant import Contestant
from inputs import MIB
from rows import Row, flush

STREAM_BYTES = 1024 * MIB
_SNDBUFFORCE, _RCVBUFFORCE = 32, 33


class Machine(Contestant):
    """The two hosts with nothing running on them."""

    name = "machine"

    def start(self):
        pass


class Limits(Row):
    name = "limits"
    contestants = ("machine",)
    key = "cp_tree_s"

    def title(self):
        mib = self.sizes.big_bytes // MIB
        return f"cp -a of the small files and of {mib:,} MiB, memory, a bare TCP stream between the hosts"

    def measure(self, bench, contestant, run):
        figures = {}
        tree = bench.inputs.small_files(self.sizes.small_files, run)
        big = bench.inputs.big_file(self.sizes.big_bytes, run)
        flush()
        figures["cp_tree_s"] = seconds_of(["cp", "-a", tree, contestant.folders[0] / f"tree-{run}"])
        figures["cp_mib_s"] = self.sizes.big_bytes / MIB / seconds_of(["cp", "-a", big, contestant.folders[0] / f"big-{run}"])
        figures["memory_mib_s"] = memory_rate()
        figures["tcp_mib_s"] = STREAM_BYTES / MIB / stream(*contestant.hosts[:2])
        for name in (f"tree-{run}", f"big-{run}"):
            subprocess.run(["rm", "-r", contestant.folders[0] / name], check=True)
        return figures


def seconds_of(arguments):
    started = time.perf_counter()
    subprocess.run(arguments, check=True)
    return time.perf_counter() - started


def memory_rate():
    """MiB/s of copying from one large buffer to another, in one thread."""
    source, target = bytearray(os.urandom(MIB) * 256), bytearray(256 * MIB)
    started = time.perf_counter()
    target[:] = source
    return 256 / (time.perf_counter() - started)


def stream(sender, receiver, size=STREAM_BYTES, buffer_bytes=None):
    """Seconds for so much from one host to the other through TCP, from memory to memory."""
    with receiver.inside():
        listener = socket.create_server((receiver.address, 0))
    with sender.inside():
        connection = socket.socket()
    if buffer_bytes:  # before connecting, for the window's scale; beyond the limit, as root may
        listener.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, buffer_bytes)
        connection.setsockopt(socket.SOL_SOCKET, _SNDBUFFORCE, buffer_bytes)

    def take():
        connection, _ = listener.accept()
        buffer = bytearray(MIB)
        while connection.recv_into(buffer):
            pass
        connection.sendall(b"!")
        connection.close()

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    connection.connect(listener.getsockname())
    piece = bytes(MIB)
    started = time.perf_counter()
    for _ in range(size // MIB):
        connection.sendall(piece)
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1)
    seconds = time.perf_counter() - started
    connection.close(), listener.close(), thread.join()
    return seconds


ROWS = (Limits,)
