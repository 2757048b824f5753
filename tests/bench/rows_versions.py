"""Two versions of real software: the npm package `typescript`, unpacked and as one tar file."""
import os
import subprocess
import time

import inputs
import judge
from rows import Goal, Row, costs, flush, publish, ratio_at_most, remove
from rows_files import arrival

PACKAGE, OLD, NEW = "typescript", "5.4.5", "5.5.4"


class PackageTree(Row):
    name = "npm-tree"
    contestants = ("syncline", "rsync -z", "syncthing", "unison")
    key = "wire"
    goals = (Goal("wire <= 0.5 x rsync -z", ratio_at_most("wire", "rsync -z", 0.5)),)

    def title(self):
        return f"npm {PACKAGE} {OLD} becomes {NEW}, unpacked, written by rsync in place of the application"

    def measure(self, bench, contestant, run):
        old, new = (bench.inputs.package(PACKAGE, version)[0] for version in (OLD, NEW))
        source, target = (folder / f"{self.name}-{run}" for folder in contestant.folders[:2])
        inputs.copy(old, contestant.staging / "tree")
        publish(contestant, contestant.staging / "tree", source.name)
        judge.wait_attributes(source, target, self.sizes.row_s)
        contestant.settle()
        flush()
        figures = {}
        with costs(contestant, figures):
            subprocess.run(["rsync", "-a", "--delete", f"{new}/", f"{source}/"], check=True)
            started = time.perf_counter()
            if not contestant.watches:
                contestant.sync()
            figures["s"] = judge.wait_attributes(source, target, self.sizes.row_s) - started
        judge.check_equal(new, source, target)
        remove(contestant, source.name, self.sizes.row_s)
        return figures


class PackageTar(Row):
    name = "npm-tar"
    contestants = PackageTree.contestants
    key = "wire"
    goals = PackageTree.goals

    def title(self):
        return f"npm {PACKAGE} {OLD} becomes {NEW}, as one tar file"

    def measure(self, bench, contestant, run):
        old, new = (bench.inputs.package(PACKAGE, version)[1] for version in (OLD, NEW))
        name = f"{self.name}-{run}.tar"
        staged = contestant.staging / name
        inputs.copy(old, staged)
        arrival(contestant, name, lambda: publish(contestant, staged, name), self.sizes.row_s)
        contestant.settle()
        inputs.copy(new, staged)
        os.utime(staged)  # the application wrote it now
        flush()
        figures = {}
        with costs(contestant, figures):
            figures["s"] = arrival(contestant, name, lambda: publish(contestant, staged, name), self.sizes.row_s)
        judge.check_equal(new, *(folder / name for folder in contestant.folders))
        remove(contestant, name, self.sizes.row_s)  # else the next run finds its bytes here
        return figures


ROWS = (PackageTree, PackageTar)
