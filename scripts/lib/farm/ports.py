"""Free loopback ports that no other test of this machine takes meanwhile."""
import random
import socket

_RANGE = range(20000, 32000)  # below the kernel's ephemeral ports
_claims = []  # abstract sockets: a name of its own per port, released by the kernel with the process
_random = random.SystemRandom()


def _is_free(port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def _claim(port):
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(f"\0syncline-farm-port-{port}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


def free_port():
    """A port free for TCP and UDP on 127.0.0.1, claimed until this process ends."""
    for _ in range(1000):
        port = _random.choice(_RANGE)
        if _claim(port) and _is_free(port):
            return port
    raise RuntimeError("no free port between 20000 and 32000")


def prefer_port(port):
    """`port` if it is free, else any."""
    return port if _claim(port) and _is_free(port) else free_port()
