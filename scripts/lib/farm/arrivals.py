"""When a file becomes visible in a folder: the moment the kernel says so, not that of a poll."""
import ctypes
import os
import struct
import threading
import time

_MODIFY, _CLOSE_WRITE, _MOVED_TO, _CREATE = 0x2, 0x8, 0x80, 0x100
_libc = ctypes.CDLL(None, use_errno=True)


class Arrivals:
    """Watches one directory (not what is below). Times are those of time.perf_counter().

    A file is there when it was renamed into place or closed after writing; what is still written does not count.
    """

    def __init__(self, directory):
        self._fd = _libc.inotify_init1(os.O_CLOEXEC)
        self._watch = _libc.inotify_add_watch(self._fd, os.fsencode(directory), _CLOSE_WRITE | _MOVED_TO)
        if self._fd < 0 or self._watch < 0:
            raise OSError(ctypes.get_errno(), f"cannot watch {directory}")
        self._times = {}  # name -> time of the latest arrival
        self._changed = threading.Condition()
        self._closed = False
        threading.Thread(target=self._read, daemon=True).start()

    def close(self):
        self._closed = True
        _libc.inotify_rm_watch(self._fd, self._watch)  # the kernel says so to the reader, which then ends

    def _read(self):
        while True:
            data = os.read(self._fd, 65536)
            if self._closed:
                os.close(self._fd)
                return
            now = time.perf_counter()
            offset = 0
            with self._changed:
                while offset < len(data):
                    length = struct.unpack_from("iIII", data, offset)[3]
                    self._times[os.fsdecode(data[offset + 16 : offset + 16 + length].rstrip(b"\0"))] = now
                    offset += 16 + length
                self._changed.notify_all()

    def wait(self, name, timeout, after=0.0):
        """The time at which `name` arrived, later than `after`; None when it did not within `timeout` seconds."""
        with self._changed:
            if self._changed.wait_for(lambda: self._times.get(name, -1.0) > after, timeout):
                return self._times[name]
            return None


def percentile(values, percent):
    """Nearest rank; 0 for no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))] if ordered else 0.0
