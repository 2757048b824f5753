"""What applications may see of one folder on several nodes: the model that a run of the real binaries must agree with.

In the manner of Hughes, Pierce, Arts and Norell, "Mysteries of Dropbox" (ICST 2016). A run is a row of writes and deletions of a
few paths on some nodes. Each is one atomic step of the application, which tells exactly what it replaced: that makes every event
a child of the event it replaced ("overwrites" below includes all ancestors). The model is this:

 1. A read on node N gives the value of some event of that path that N has not been seen to have left behind: an event is behind N
    once N has shown, or an application there has made, one that overwrites it, and once N has shown it and then another. So no
    value comes back, and nothing is read that nobody wrote.
 2. After STABILIZE (links up, nodes up, no writes) all nodes show one and the same event for every path. It is a head: an event
    that nothing overwrites.
 3. They list the same open conflicts: all other heads, byte for byte, deletions aside (these lose no bytes). An overwritten value may
    be listed too: that it was overwritten is not known where the version that did it was itself overwritten before it was told, or
    where a node died by kill -9 in the midst of an apply. The bytes of such an entry may be gone.

Absence has no bytes to tell whose deletion it is. A read or a replacement of nothing is taken for any deletion that is possible,
and decides nothing.
"""
import itertools


class Event:
    """One write (its value) or deletion (value None) of a path."""

    def __init__(self, number, path, node, value, parent):
        self.number, self.path, self.node, self.value = number, path, node, value
        self.parent = parent  # the event that it replaced; None: nothing, or nobody knows whose nothing
        self.children = []
        if parent is not None:
            parent.children.append(self)

    def ancestors(self):
        event = self.parent
        while event is not None:
            yield event
            event = event.parent

    def __repr__(self):
        what = "deletes" if self.value is None else f"writes #{self.value}"
        over = "nothing" if self.parent is None else repr(self.parent.value)
        return f"[{self.number}: {self.node} {what} over {over}]"


class Model:
    """Of one folder. Values are numbers that no two writes share."""

    def __init__(self):
        self.numbers = itertools.count()
        self.events = {}  # path -> [Event]
        self.behind = {}  # (node, path) -> events that this node does not show any more
        self.shown = {}  # (node, path) -> the event seen there last
        self.faults = []
        self.needless = 0  # the most overwritten values that were listed for one path

    def possible(self, node, path, value):
        """The events that a read of this value on the node may mean."""
        behind = self.behind.setdefault((node, path), set())
        return [event for event in self.events.get(path, []) if event.value == value and event not in behind]

    def read(self, node, path, value):
        """What the node shows. Returns the event, None where that cannot be told."""
        events = self.possible(node, path, value)
        if value is None:
            return None
        if not events:
            known = [event for event in self.events.get(path, []) if event.value == value]
            what = f"again {known[0]}" if known else f"#{value}, which nobody wrote there"
            self.faults.append(f"{node} shows at {path} {what}; last seen there: {self.shown.get((node, path))}")
            return known[0] if known else None
        self.show(node, path, events[0])
        return events[0]

    def show(self, node, path, event):
        behind = self.behind.setdefault((node, path), set())
        behind.update(event.ancestors())
        last = self.shown.get((node, path))
        if last is not None and last is not event:
            behind.add(last)
        self.shown[node, path] = event

    def write(self, node, path, value, replaced):
        """`value` None: a deletion. `replaced`: the value that was there, None for nothing."""
        parent = self.read(node, path, replaced)
        if value is None and replaced is None:
            return
        event = Event(next(self.numbers), path, node, value, parent)
        self.events.setdefault(path, []).append(event)
        self.show(node, path, event)

    def heads(self, path):
        return [event for event in self.events.get(path, []) if not event.children]

    def stable_faults(self, values, conflicts):
        """Why this cannot be the end: `values` {path: value or None}, `conflicts` {path: set of values}, on some node."""
        faults = []
        for path in self.events:
            heads = self.heads(path)
            live = values.get(path)
            if live not in [head.value for head in heads]:
                faults.append(f"{path} shows {live}, which is no head: {heads}")
            wanted = {head.value for head in heads} - {live, None}
            listed = conflicts.get(path, set())
            if not wanted <= listed:
                faults.append(f"{path} shows {live}; lost: {sorted(wanted - listed)} of {heads}")
            extra = listed - wanted
            written = {event.value for event in self.events[path]}
            if not extra <= written:
                faults.append(f"{path} shows {live}; listed is what nobody wrote: {extra - written}")
            self.needless = max(self.needless, len(extra))
        for path in conflicts.keys() - self.events.keys():
            faults.append(f"a conflict at {path}, where nobody wrote")
        return faults

    def stabilized(self, nodes, values):
        """From now on every node has left everything behind but this."""
        for path, value in values.items():
            heads = [event for event in self.heads(path) if event.value == value]
            for node in nodes:
                behind = self.behind.setdefault((node, path), set())
                behind.update(event for event in self.events[path] if event not in heads)
                if value is not None:
                    self.shown[node, path] = heads[0]
