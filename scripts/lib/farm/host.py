"""Where a program of the farm runs: on this machine's loopback, or in a network namespace of its own."""
import contextlib
import ctypes
import os
import signal
import subprocess

_PR_SET_PDEATHSIG = 1
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """For preexec_fn: the child is killed when the *thread* that started it ends. Start nodes from the main thread."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _enter(namespace_fd):
    if _libc.setns(namespace_fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter the network namespace")


class Host:
    """The machine itself: every server of the farm has the same address and ports of its own."""

    address = "127.0.0.1"

    def popen(self, arguments, **options):
        """A process in a session of its own, with nothing to read, that ends with this program."""
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(arguments, start_new_session=True, preexec_fn=self._become, **options)

    def run(self, arguments, timeout, **options):
        """A command's end, as subprocess.run has it with text output."""
        return subprocess.run(arguments, timeout=timeout, capture_output=True, text=True, errors="surrogateescape",
                              preexec_fn=self._become, **options)

    def inside(self):
        """A context in which sockets that this thread makes, and /proc/thread-self/net, are those of the host."""
        return contextlib.nullcontext()

    def _become(self):
        die_with_parent()


class NamespaceHost(Host):
    """A named network namespace (`ip netns add`) that has one interface, eth0, and a loopback that is up."""

    def __init__(self, namespace, address):
        self.namespace = namespace
        self.address = address
        self._fd = os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC)

    def _become(self):
        super()._become()
        _enter(self._fd)

    @contextlib.contextmanager
    def inside(self):
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(self._fd)
            try:
                yield
            finally:
                _enter(own)
        finally:
            os.close(own)

    def close(self):
        os.close(self._fd)


LOOPBACK = Host()
