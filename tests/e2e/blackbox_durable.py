"""A file that was synced and acknowledged by `wait --durable` survives kill -9 of any node."""
import os
import random

from farm import tree
from farm.cluster import wait_until

SIZES = (10, 5_000, 400_000)


def durable(farm, seed, turns, deadline):
    """Returns how many files were acknowledged; raises AssertionError when one is lost."""
    rng = random.Random(seed)
    acknowledged = {}
    for turn in range(turns):
        writer = rng.choice(farm.nodes)
        others = [node for node in farm.nodes if node is not writer]
        absent = rng.choice([None, *others])
        if absent:
            farm.isolate(absent)
        for number in range(3):
            name = f"upload{turn}-{number}"
            data = rng.randbytes(rng.choice(SIZES))
            with open(writer.folder / name, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            writer.command("wait", name, "--nodes", "majority", "--durable", "--timeout", "20s")
            acknowledged[name] = tree.digest(data)
        writer.kill9()  # what the majority has must come from the others
        if rng.random() < 0.5:
            for node in others:
                node.kill9()
            for node in others:
                node.start()
        if absent:
            farm.reunite(absent)
        for node in others:
            wait_until(lambda: acknowledged.items() <= tree.contents(node.folder).items(),
                       lambda: f"{node.name} has all that was acknowledged, lacks "
                               f"{sorted(acknowledged.keys() - tree.contents(node.folder).keys())}", deadline(30))
        writer.start()
        farm.wait_linked(deadline(30))
    farm.wait_equal(deadline(30))
    for node in farm.nodes:
        if tree.contents(node.folder) != acknowledged or node.conflicts():
            raise AssertionError(f"{node.name} has {tree.contents(node.folder)} and {node.conflicts()}, "
                                 f"acknowledged were {acknowledged}")
    return len(acknowledged)
