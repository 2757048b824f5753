"""What is in a folder, and whether two folders are equal in the eyes of rsync and diff."""
import hashlib
import os
import stat
import subprocess

OWN_DIRECTORY = ".syncline"


def walk(folder):
    """Yields (relative path, os.DirEntry) of everything below, except the node's own directory at the top."""
    pending = [""]
    while pending:
        relative = pending.pop()
        try:
            entries = list(os.scandir(os.path.join(folder, relative)))
        except FileNotFoundError:  # removed while we looked
            continue
        for entry in entries:
            path = os.path.join(relative, entry.name)
            if path == OWN_DIRECTORY:
                continue
            yield path, entry
            if entry.is_dir(follow_symlinks=False):
                pending.append(path)


def snapshot(folder):
    """{path: (type and mode, size, mtime in ns, symlink target)} without reading contents."""
    result = {}
    for path, entry in walk(folder):
        try:
            info = entry.stat(follow_symlinks=False)
            target = os.readlink(entry.path) if stat.S_ISLNK(info.st_mode) else None
        except FileNotFoundError:
            continue
        size = info.st_size if stat.S_ISREG(info.st_mode) else 0
        # Permissions of a symlink mean nothing; its time is synced.
        result[path] = (info.st_mode, size, info.st_mtime_ns, target)
    return result


def digest(data):
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def contents(folder):
    """{path: digest of the bytes} of the regular files."""
    result = {}
    for path, entry in walk(folder):
        if entry.is_file(follow_symlinks=False):
            with open(entry.path, "rb") as file:
                result[path] = digest(file.read())
    return result


def differences(first, second):
    """What rsync would do to make `second` like `first`, and what diff says: empty when the folders are equal.

    Owner and group are left out: they are not synced. The time of the top directory itself is left out too: it is no entry
    of the tree, and making the node's own directory in it sets it.
    """
    rsync = subprocess.run(
        ["rsync", "-anic", "--no-owner", "--no-group", "--delete", "--exclude=/" + OWN_DIRECTORY, f"{first}/", f"{second}/"],
        capture_output=True, text=True, errors="surrogateescape", env={**os.environ, "LC_ALL": "C"},
    )
    lines = [line for line in rsync.stdout.splitlines() + rsync.stderr.splitlines() if line != ".d..t...... ./"]
    diff = subprocess.run(
        ["diff", "-r", "-q", "--no-dereference", "-x", OWN_DIRECTORY, str(first), str(second)],
        capture_output=True, text=True, errors="surrogateescape",
    )
    return lines + diff.stdout.splitlines() + diff.stderr.splitlines()
