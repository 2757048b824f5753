"""Long lines and several receivers."""
from inputs import MIB
from rows import Goal, Row, at_least, at_most
from rows_files import File, put_big
from rows_limits import stream

GIGABIT, RTT_MS = 1000, 40


class Wan(Row):
    """A line of ours between two namespaces (wan_line.cpp): 1 Gbit/s, 40 ms there and back, a buffer of 20 ms."""

    name = "wan"
    stage = "wan"
    loss_percent = 0.0
    contestants = ("machine", "syncline", "rsync", "rsync+ssh")
    key = "line_percent"
    goals = (Goal(">= 80 % of the line", at_least("line_percent", 80)),)

    def title(self):
        loss = f"{self.loss_percent:g} % loss" if self.loss_percent else "no loss"
        return f"{self.sizes.big_bytes // MIB:,} MiB over {GIGABIT} Mbit/s, {RTT_MS} ms RTT, {loss}"

    def measure(self, bench, contestant, run):
        if contestant.name == "machine":  # TCP from memory with all the buffer it wants: whether the line carries its rate
            seconds = stream(*contestant.hosts, self.sizes.big_bytes, 64 * MIB)
            return {"s": seconds, "line_percent": self.sizes.big_bytes * 8e-9 / seconds * 100}
        return put_big(bench, contestant, f"{self.name}-{run}", self.sizes)


class WanLoss(Wan):
    name = "wan-loss"
    stage = "wan-loss"
    loss_percent = 0.1


class FanOut(Row):
    name = "fan-out"
    stage = "fan"
    beside = File.stage
    contestants = ("syncline", "rsync", "syncthing")
    goals = (Goal("uplink <= 1.5 copies", at_most("copies", 1.5)),
             Goal("time <= 1.4 x that of one peer", at_most("times", 1.4)))

    def title(self):
        return f"one file of {self.sizes.big_bytes // MIB:,} MiB to four peers (rsync: four pushes at once)"

    def measure(self, bench, contestant, run):
        pair = bench.contestant(contestant.name, self.beside)
        alone = put_big(bench, pair, f"pair-{run}", self.sizes)["s"]
        before = contestant.network.uplink()
        figures = put_big(bench, contestant, run, self.sizes)
        figures["copies"] = (contestant.network.uplink() - before) / self.sizes.big_bytes
        figures["times"] = figures["s"] / alone
        return figures


ROWS = (Wan, WanLoss, FanOut)
