"""Figures of simulated clusters (lines of JSON) as tables in Markdown, and as one picture with a chart for each question."""
import argparse
import json
import pathlib
import sys

from charts import picture


def load(paths):
    points = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    return sorted(points, key=lambda p: (p["nodes"], p.get("records", 0), p.get("missed", 0), p.get("vector", 0)))


def number(value):
    if value >= 10_000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.1f}"


def table(title, heads, rows):
    lines = [f"**{title}**", "", "| " + " | ".join(heads) + " |", "|" + "---:|" * len(heads)]
    lines += ["| " + " | ".join(number(cell) if not isinstance(cell, str) else cell for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def records_bytes(traffic):
    return traffic["bytes"] - traffic["contents"]


def of_kind(traffic, kind):
    return traffic["kinds"].get(kind, [0, 0])[0]


def spread_table(points):
    rows = [[p["nodes"], p["ms"], p["rounds"], p["until_all"]["messages"], p["in_all"]["messages"],
             p["in_all"]["messages"] / p["nodes"], of_kind(p["in_all"], "announce"), p["in_all"]["contents"],
             records_bytes(p["in_all"])] for p in points]
    return table("One file of 4 KiB, written at one node",
                 ["nodes", "ms until all have it", "one-way trips", "messages until then", "messages in all", "of them a node",
                  "announcements", "bytes of contents", "other bytes"], rows)


def idle_table(points):
    rows = [[p["nodes"], p["records"], p["vector"], p["messages_peer"], p["bytes_peer"], p["bytes_node"]] for p in points]
    rows = [row for place, row in enumerate(rows) if row not in rows[:place]]
    return table("Nothing happens: sent in a minute",
                 ["nodes", "records", "actors", "messages to a peer", "bytes to a peer", "bytes of a node to all"], rows)


def death_table(points):
    rows = [[p["nodes"], p["ms"] if p["level"] else "never", p["in_all"]["messages"], p["in_all"]["messages"] / p["nodes"]] for p in points]
    return table("The writer dies when half of the others have its last file",
                 ["nodes", "ms until the other half has it", "messages in all", "of them a node"], rows)


def catch_up_table(points):
    rows = [[p["nodes"], p["records"], p["missed"], p["ms"] if p["level"] else "never", p["in_all"]["messages"],
             records_bytes(p["in_all"]), p["in_all"]["contents"]] for p in points]
    return table("A node comes back and catches up",
                 ["nodes", "records", "changes missed", "ms", "messages", "bytes but contents", "bytes of contents"], rows)


def start_table(points):
    rows = [[p["nodes"], p["vector"], p["ms"], p["in_all"]["messages"], records_bytes(p["in_all"]),
             records_bytes(p["in_all"]) / (p["nodes"] - 1)] for p in points]
    return table("A node starts anew, and writes one file",
                 ["nodes", "actors", "ms until ready", "messages", "bytes but contents", "of them a peer"], rows)


def charts(by):
    spread, idle, catch_up = by("spread"), [p for p in by("idle") if p["records"] == 1000 and p["vector"] == p["nodes"]], by("catch-up")
    missed = [p for p in catch_up if p["missed"] == 100]
    return [
        ("One change: messages", "nodes", {"in all": [(p["nodes"], p["in_all"]["messages"]) for p in spread],
                                           "n": [(p["nodes"], p["nodes"]) for p in spread],
                                           "n squared": [(p["nodes"], p["nodes"] ** 2) for p in spread]}),
        ("One change: milliseconds", "nodes", {"until all have it": [(p["nodes"], p["ms"]) for p in spread],
                                               "after the writer's death": [(p["nodes"], p["ms"]) for p in by("death") if p["level"]]}),
        ("Idle: bytes a minute", "nodes", {"to a peer": [(p["nodes"], p["bytes_peer"]) for p in idle],
                                           "of a node to all": [(p["nodes"], p["bytes_node"]) for p in idle]}),
        ("100 changes missed: cost", "records", {"bytes but contents": [(p["records"], records_bytes(p["in_all"])) for p in missed],
                                                 "bytes of contents": [(p["records"], p["in_all"]["contents"]) for p in missed],
                                                 "messages": [(p["records"], p["in_all"]["messages"]) for p in missed]}),
    ]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("points", nargs="+", type=pathlib.Path)
    arguments.add_argument("--plot", type=pathlib.Path)
    options = arguments.parse_args()
    points = load(options.points)

    def by(what):
        return [p for p in points if p["what"] == what]

    tables = [("spread", spread_table), ("death", death_table), ("idle", idle_table), ("catch-up", catch_up_table), ("start", start_table)]
    print("\n".join(show(by(what)) for what, show in tables if by(what)))
    if options.plot:
        options.plot.write_text(picture(charts(by)))
        print(f"plot: {options.plot}", file=sys.stderr)


if __name__ == "__main__":
    main()
