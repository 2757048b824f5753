"""When a change has arrived, and whether what arrived is right."""
import concurrent.futures
import hashlib
import os
import pathlib
import time

from contestant import Failed
from farm import tree

_LEAST_S, _SHARE = 0.01, 4  # between two looks: that long at least, and some times as long as a look took


def _poll(condition, what, timeout):
    """The time (perf_counter) of the look that found it true. Looks take at most a fifth of a core."""
    deadline = time.perf_counter() + timeout
    while True:
        started = time.perf_counter()
        if condition():
            return time.perf_counter()
        ended = time.perf_counter()
        if ended > deadline:
            raise Failed(f"not within {timeout:.0f} s: {what}")
        time.sleep(max(_LEAST_S, _SHARE * (ended - started)))


def listing(top):
    """{relative directory: names in it}."""
    return {os.path.relpath(directory, top): frozenset(names) | frozenset(files) for directory, names, files in os.walk(top)}


def wait_listing(expected, target, timeout):
    """Until every name is in `target`. All contestants rename finished files into place: a name that is there is whole."""
    left = dict(expected)

    def complete():
        for directory, names in list(left.items()):
            try:
                if not names <= set(os.listdir(os.path.join(target, directory))):
                    return False
            except FileNotFoundError:
                return False
            del left[directory]
        return True

    return _poll(complete, f"{target} has all files", timeout)


def wait_gone(path, timeout):
    return _poll(lambda: not os.path.lexists(path), f"{path} is gone", timeout)


def wait_size(path, size, timeout):
    return _poll(lambda: os.path.getsize(path) == size, f"{path} has {size} bytes", timeout)


def wait_attributes(source, target, timeout):
    """Until names, sizes and times to the microsecond agree: for trees whose files are replaced."""
    def look(folder):
        return {path: (entry.stat(follow_symlinks=False).st_size, entry.stat(follow_symlinks=False).st_mtime_ns // 1000)
                for path, entry in tree.walk(folder) if entry.is_file(follow_symlinks=False)}

    expected = look(source)

    def equal():
        try:
            return look(target) == expected
        except FileNotFoundError:
            return False

    return _poll(equal, f"{target} has the sizes and times of {source}", timeout)


def _digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _digests(path):
    if os.path.isfile(path):
        return {"": _digest(path)}
    return {name: _digest(entry.path) for name, entry in tree.walk(path) if entry.is_file(follow_symlinks=False)}


def check_equal(*paths):
    """Raises Failed unless the files below all of them (or the files themselves) are the same, by SHA-256 of every byte."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first, *others = pool.map(_digests, paths)
    for path, other in zip(paths[1:], others):
        if other != first:
            wrong = sorted(name for name in first.keys() | other.keys() if first.get(name) != other.get(name))
            raise Failed(f"{path} differs from {paths[0]} in {len(wrong)} files, the first: {pathlib.Path(wrong[0])}")
