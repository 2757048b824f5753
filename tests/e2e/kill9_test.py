"""Any node dies by kill -9 at any time while applications go on writing: nothing is lost, nothing strays."""
import os
import threading

import e2e_case
from farm import tree

KILLS = 8
SIZES = (0, 1, 700, 5_000, 40_000, 300_000, 2_000_000)


class Application(threading.Thread):
    """Writes, replaces, renames and deletes in a directory of its own, so that the last state is known exactly.

    It runs on while its node is dead: a node finds what happened meanwhile when it starts.
    """

    def __init__(self, node, rng):
        super().__init__(name=node.name)
        self.folder = node.folder
        self.directory = f"app{node.number}"
        self.random = rng
        self.expected = {}  # path -> digest
        self.known = {None: "nothing"}  # digest -> what it was, for messages
        self.stopping = threading.Event()
        self.operations = 0
        self.error = None

    def run(self):
        try:
            while not self.stopping.wait(self.random.uniform(0, 0.02)):
                self.step()
                self.operations += 1
        except OSError as error:  # the test fails with it; a thread's exception would only be printed
            self.error = error

    def step(self):
        choice = self.random.random()
        if choice < 0.6 or not self.expected:
            self.write(f"{self.directory}/{self.random.randrange(12)}/{self.random.randrange(200)}")
        elif choice < 0.7:
            self.write(self.random.choice(list(self.expected)), by_rename=True)
        elif choice < 0.8:
            self.append(self.random.choice(list(self.expected)))
        elif choice < 0.9:
            self.rename(self.random.choice(list(self.expected)))
        else:
            path = self.random.choice(list(self.expected))
            os.unlink(self.folder / path)
            del self.expected[path]

    def write(self, path, by_rename=False):
        data = self.random.randbytes(self.random.choice(SIZES))
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        target = self.folder / (path + ".new" if by_rename else path)
        target.write_bytes(data)
        if by_rename:
            os.rename(target, self.folder / path)
        self.remember(path, data)

    def append(self, path):
        with open(self.folder / path, "ab") as file:
            file.write(self.random.randbytes(1000))
        self.remember(path, (self.folder / path).read_bytes())

    def remember(self, path, data):
        self.expected[path] = tree.digest(data)
        self.known[self.expected[path]] = f"operation {self.operations} on {path} ({len(data)} bytes)"

    def rename(self, path):
        target = f"{self.directory}/renamed/{self.random.randrange(50)}"
        (self.folder / target).parent.mkdir(parents=True, exist_ok=True)
        os.rename(self.folder / path, self.folder / target)
        self.expected[target] = self.expected.pop(path)


class Kill9(e2e_case.ClusterTest):
    many_files = True

    def test_nothing_is_lost_and_nothing_strays(self):
        applications = [Application(node, type(self.random)(self.random.random())) for node in self.farm.nodes]
        for application in applications:
            application.start()
        try:
            self.kill_at_random(applications)
        finally:
            for application in applications:
                application.stopping.set()
            for application in applications:
                application.join()
        self.assertEqual([None] * 3, [application.error for application in applications])

        expected = {path: digest for a in applications for path, digest in a.expected.items()}
        self.say(f"{KILLS} kills, {sum(a.operations for a in applications)} operations, {len(expected)} files in the end")
        self.wait_equal(60)
        known = {digest: what for a in applications for digest, what in a.known.items()}
        for node in self.farm.nodes:
            self.assert_contents(expected, node, known)
            self.assertEqual([], node.conflicts(), "every path has one writer")

    def kill_at_random(self, applications):
        for _ in range(KILLS):
            victim = self.random.choice(self.farm.nodes)
            goal = sum(a.operations for a in applications) + self.random.randrange(10, 120)

            def written():
                return sum(a.operations for a in applications) >= goal or any(a.error for a in applications)

            e2e_case.wait_until(written, "the applications write", self.deadline(30), interval=0.001)
            victim.kill9()
            if self.random.random() < 0.5:  # at times another one dies before this one is back
                other = self.random.choice([node for node in self.farm.nodes if node is not victim])
                other.kill9()
                other.start()
            victim.start()
        self.farm.wait_linked(self.deadline(30))


if __name__ == "__main__":
    e2e_case.main()
