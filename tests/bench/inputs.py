"""What is written into the folders: made once a run, the same for all contestants, never the same twice."""
import os
import pathlib
import random
import shutil
import subprocess

KIB, MIB = 1 << 10, 1 << 20
PAGE = 4 * KIB
SMALL_MEAN = 122 * MIB // 10_000  # of a file of the tree of small ones
PER_DIRECTORY = 100


class Inputs:
    """Below `directory`; every maker returns a path and makes what is not there yet."""

    def __init__(self, directory, cache):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True)
        self.cache = pathlib.Path(cache)  # survives the run: what was fetched

    def small_files(self, count, run, mean=SMALL_MEAN):
        """Files of 0.2 to 1.8 times the mean, incompressible as photographs are, a hundred in a directory."""
        top = self.directory / f"small-{count}-{mean}-{run}"
        if top.exists():
            return top
        source = random.Random(f"{count} {mean} {run}")
        for first in range(0, count, PER_DIRECTORY):
            folder = top / f"{first // PER_DIRECTORY:05d}"
            folder.mkdir(parents=True)
            for number in range(first, min(first + PER_DIRECTORY, count)):
                write(folder / f"{number}.bin", source.randbytes(int(source.uniform(0.2, 1.8) * mean)))
        return top

    def equal_files(self, count, size, run):
        top = self.directory / f"equal-{count}-{size}-{run}"
        if not top.exists():
            top.mkdir()
            source = random.Random(f"equal {count} {size} {run}")
            for number in range(count):
                write(top / f"{number}.bin", source.randbytes(size))
        return top

    def big_file(self, size, run):
        path = self.directory / f"big-{size}-{run}"
        if not path.exists():
            source = random.Random(f"big {size} {run}")
            with open(path, "wb") as file:
                for _ in range(size // MIB):
                    file.write(source.randbytes(MIB))
        return path

    def package(self, name, version):
        """(unpacked tree, tar file) of an npm package, fetched by npm into the cache."""
        packed = self.cache / f"{name}-{version}.tgz"
        if not packed.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            subprocess.run(["npm", "pack", "--silent", f"{name}@{version}", "--pack-destination", self.cache], check=True,
                           capture_output=True, text=True, timeout=120)
        tree = self.directory / f"{name}-{version}"
        tar = self.directory / f"{name}-{version}.tar"
        if not tree.exists():
            tree.mkdir()
            subprocess.run(["tar", "-xzf", packed, "-C", tree, "--no-same-owner"], check=True)
            subprocess.run(["tar", "-cf", tar, "--sort=name", "-C", tree, "."], check=True)
        return tree, tar

    def forget(self, run):
        """What was made for this run alone."""
        for path in self.directory.iterdir():
            if path.name.endswith(f"-{run}"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def write(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(fd, data)
    os.close(fd)


def copy(source, target):
    subprocess.run(["cp", "-a", source, target], check=True)


def insert_at_head(old, new):
    """`new` is one byte, then the bytes of `old`."""
    with open(new, "wb") as target, open(old, "rb") as source:
        target.write(b"!")
        shutil.copyfileobj(source, target, 8 * MIB)
    return 1


def append(path, seed, size=MIB):
    """Writes in place. Returns the bytes that changed."""
    with open(path, "ab") as file:
        file.write(random.Random(f"append {seed}").randbytes(size))
    return size


def rewrite_pages(path, seed, percent=1):
    source = random.Random(f"pages {seed}")
    pages = os.path.getsize(path) // PAGE
    changed = source.sample(range(pages), max(1, pages * percent // 100))
    with open(path, "r+b") as file:
        for page in changed:
            file.seek(page * PAGE)
            file.write(source.randbytes(PAGE))
    return len(changed) * PAGE
