"""Where rows play: the hosts, the wire and what the folders hold before the start."""
import shutil

import network
from contestant import Failed
from contestant_rsync import Lsyncd, Rsync, RsyncCompressed, RsyncSsh
from contestant_syncline import Syncline
from contestant_syncthing import Syncthing
from contestant_unison import Unison
from inputs import KIB
from rows_barrier import Barrier
from rows_limits import Machine
from rows_links import GIGABIT, RTT_MS, FanOut, Wan, WanLoss

CONTESTANTS = {c.name: c for c in (Syncline, Rsync, RsyncCompressed, RsyncSsh, Lsyncd, Syncthing, Unison, Machine)}
FAN_HOSTS = 5
MILLION_MEAN = 64


class Stages:
    """The running contestants, by name and stage; those of one stage at a time, and of the pair for a row that asks."""

    def __init__(self, binaries, inputs, sizes, scratch, namespaces):
        self.binaries = binaries
        self.inputs = inputs
        self.sizes = sizes
        self.scratch = scratch
        self.namespaces = namespaces
        self._running = {}
        self._number = 0

    def contestant(self, name, stage):
        """Started, if it was not."""
        found = self._running.get((name, stage))
        return found or self._start(name, stage)

    def _start(self, name, stage):
        make = CONTESTANTS[name]
        wire = self._network(stage)
        self._number += 1
        directory = self.scratch / f"{self._number}-{stage}-{name.replace(' ', '')}"
        options = {"binaries": self.binaries} if make is Syncline else {}
        try:
            contestant = make(wire, directory, self._fill(stage), **options)
        except BaseException:
            wire.close()
            raise
        self._running[name, stage] = contestant
        contestant.start()
        contestant.settle()
        return contestant

    def _network(self, stage):
        if stage in (Wan.stage, WanLoss.stage):
            if not self.namespaces:
                raise Failed("needs network namespaces: run as root")
            loss = WanLoss.loss_percent if stage == WanLoss.stage else Wan.loss_percent
            return network.Wan(self.binaries / "wan_line", GIGABIT, RTT_MS, loss)
        count = {FanOut.stage: FAN_HOSTS, Barrier.stage: 3, "million-farm": 1 + self.sizes.idle_peers}.get(stage, 2)
        return network.Namespaces(count) if self.namespaces else network.Loopback(count)

    def _fill(self, stage):
        if stage == "resident":
            return self.inputs.small_files(self.sizes.resident_files, "resident", KIB)
        if stage in ("million", "million-farm"):
            return self.inputs.small_files(self.sizes.million, "million", MILLION_MEAN)
        return None

    def running(self, name, stage):
        return self._running.get((name, stage))

    def stop(self, keep=lambda name, stage: False):
        """All but those to keep. What they wrote goes with them."""
        for name, stage in list(self._running):
            if not keep(name, stage):
                self.drop(name, stage)

    def drop(self, name, stage):
        contestant = self._running.pop((name, stage), None)
        if contestant is None:
            return
        try:
            contestant.stop()
        finally:
            contestant.network.close()
            shutil.rmtree(contestant.directory, ignore_errors=True)
