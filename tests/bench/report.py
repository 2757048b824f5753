"""The figures of a run: medians, ratios within a run, and the table of them as text or Markdown."""
import statistics

from inputs import KIB, MIB


def seconds(value):
    return f"{value * 1000:.0f} ms" if value < 0.1 else f"{value:.2f} s"


def size(value):
    if abs(value) < 10 * KIB:
        return f"{value:,.0f} B"
    return f"{value / KIB:,.0f} KiB" if abs(value) < MIB else f"{value / MIB:,.1f} MiB"


# key: (label, how to print it, whether more is better), in the order of the table
FIGURES = {
    "s": ("time", seconds, False),
    "p50_ms": ("p50", lambda v: f"{v:.2f} ms", False),
    "p99_ms": ("p99", lambda v: f"{v:.2f} ms", False),
    "durable_p50_ms": ("durable p50", lambda v: f"{v:.2f} ms", False),
    "mib_s": ("rate", lambda v: f"{v:.0f} MiB/s", True),
    "first_s": ("1 % on the wire after", seconds, False),
    "last_s": ("99 % after", seconds, False),
    "line_percent": ("of 1 Gbit/s", lambda v: f"{v:.0f} %", True),
    "written_s": ("writing alone", seconds, False),
    "after_s": ("after the last byte", seconds, False),
    "cpu_percent": ("CPU", lambda v: f"{v:.3f} %", False),
    "peer_bytes_s": ("wire a peer", lambda v: f"{v:.0f} B/s", False),
    "redial_s": ("link again after", seconds, False),
    "scan_s": ("scan done after", seconds, False),
    "files_s": ("scan", lambda v: f"{v:,.0f} files/s", True),
    "times": ("time of one peer", lambda v: f"x {v:.2f}", False),
    "copies": ("uplink", lambda v: f"{v:.2f} copies", False),
    "cpu": ("CPU", lambda v: f"{v:.2f} s", False),
    "cpu_ms_each": ("CPU each", lambda v: f"{v:.1f} ms", False),
    "wire": ("wire", size, False),
    "wire_each": ("wire each", size, False),
    "wire_over": ("wire over the goal", size, False),
    "rss": ("RSS", lambda v: f"{v / MIB:.0f} MiB", False),
    "samples": ("samples", lambda v: f"{v:.0f}", True),
    "cp_tree_s": ("cp of the tree", seconds, False),
    "cp_mib_s": ("cp of the file", lambda v: f"{v:,.0f} MiB/s", True),
    "memory_mib_s": ("memory", lambda v: f"{v:,.0f} MiB/s", True),
    "tcp_mib_s": ("TCP", lambda v: f"{v:,.0f} MiB/s", True),
    "took_s": ("measuring took", seconds, False),
}
_HIDDEN = {"wire_over", "took_s"}  # the one is judged by a goal beside the wire itself; the other is for results.json


class Results:
    """Of one row: figures by contestant and run, and why one has none."""

    def __init__(self, row):
        self.row = row
        self.runs = {}  # contestant -> {run: figures}
        self.reasons = {}

    def add(self, contestant, run, figures):
        self.runs.setdefault(contestant, {})[run] = figures

    def fail(self, contestant, reason):
        self.reasons[contestant] = reason

    def values(self, contestant, key):
        found = (figures.get(key) for figures in self.runs.get(contestant, {}).values())
        return [value for value in found if value is not None]

    def median(self, contestant, key):
        values = self.values(contestant, key)
        return statistics.median(values) if values else None

    def ratio(self, key, peer, ours="syncline"):
        """The median of ours divided by the peer's of the same run."""
        mine, theirs = self.runs.get(ours, {}), self.runs.get(peer, {})
        ratios = [mine[run][key] / theirs[run][key] for run in mine.keys() & theirs.keys()
                  if theirs[run].get(key) and key in mine[run]]
        return statistics.median(ratios) if ratios else None

    def figures_of(self, contestant):
        """[(label, text)] of the medians; the span of the first where there were several runs."""
        out = []
        for key, (label, show, _) in FIGURES.items():
            values = self.values(contestant, key)
            if not values or key in _HIDDEN:
                continue
            text = show(statistics.median(values))
            if len(values) > 1 and key == self.row.key:
                text += f" ({show(min(values))} to {show(max(values))})"
            out.append((label, text))
        return out

    def goals(self):
        """[(text, True, False or None)]"""
        return [(goal.text, goal.met(self)) for goal in self.row.goals]

    def lines(self):
        """[(contestant, figures or reason, ratio to it)]"""
        for contestant in self.row.contestants:
            if contestant in self.runs:
                figures = ", ".join(f"{label} {text}" for label, text in self.figures_of(contestant))
                if contestant in self.reasons:
                    figures += f"; then {self.reasons[contestant]}"
                ratio = self.ratio(self.row.key, contestant) if contestant != "syncline" else None
                yield contestant, figures, "" if ratio is None else f"x {ratio:.3g}"
            elif contestant in self.reasons:
                yield contestant, self.reasons[contestant], ""


def _verdict(met):
    return {True: "met", False: "MISSED", None: "not measured"}[met]


def text_of(results):
    lines = [f"{results.row.name}: {results.row.title()}"]
    for contestant, figures, ratio in results.lines():
        beside = f"   [syncline / {contestant}: {ratio}]" if ratio else ""
        lines.append(f"  {contestant:<10} {figures}{beside}")
    lines += [f"  goal       {text}: {_verdict(met)}" for text, met in results.goals()]
    return "\n".join(lines) + "\n"


def markdown_of(all_results):
    lines = ["| work | contestant | figures | Syncline / it |", "|---|---|---|---|"]
    for results in all_results:
        title = f"**{results.row.name}**: {results.row.title()}"
        for contestant, figures, ratio in results.lines():
            lines.append(f"| {title} | {contestant} | {figures} | {ratio} |")
            title = ""
        for text, met in results.goals():
            lines.append(f"| | goal | {text}: {_verdict(met)} | |")
    return "\n".join(lines)


def as_data(all_results):
    """For results.json."""
    return [{"row": r.row.name, "title": r.row.title(), "key": r.row.key, "figures": r.runs, "failed": r.reasons,
             "goals": [{"goal": text, "met": met} for text, met in r.goals()]} for r in all_results]
