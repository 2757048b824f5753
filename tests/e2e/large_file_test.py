"""One large file: it goes on where it stopped after kill -9, and one byte inserted at its head costs little on the wire."""
import hashlib
import os

import e2e_case

MIB = 1 << 20
SIZE = 300 * MIB
KILL_AFTER = 60 * MIB


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


class LargeFile(e2e_case.ClusterTest):
    nodes = 2

    def wait_same(self, name):
        first, second = self.farm.nodes
        expected = digest(first.folder / name)
        size = (first.folder / name).stat().st_size

        def arrived():
            path = second.folder / name
            return path.exists() and path.stat().st_size == size and digest(path) == expected

        e2e_case.wait_until(arrived, f"{name} is whole on {second.name}", self.deadline(60))

    def interrupt(self, name):
        """Kills the receiver in the middle. False when it was too fast for us."""
        second = self.farm.nodes[1]
        before = second.wire_bytes()[1]
        e2e_case.wait_until(lambda: second.wire_bytes()[1] - before > KILL_AFTER or (second.folder / name).exists(),
                            "a part has arrived", self.deadline(30), interval=0)
        second.kill9()
        return not (second.folder / name).exists()

    def test_resume_and_head_insert(self):
        first, second = self.farm.nodes
        for attempt in range(5):
            name = f"video{attempt}.mp4"
            with open(first.folder / name, "wb") as file:
                for _ in range(SIZE // MIB):
                    file.write(os.urandom(MIB))
            interrupted = self.interrupt(name)
            second.start()
            second.wait_ready(self.deadline(60))
            self.wait_same(name)
            if interrupted:
                break
        self.assertTrue(interrupted, "the transfer was never caught in the middle")
        received = second.wire_bytes()[1]
        self.say(f"resumed: {received / MIB:.1f} of {SIZE / MIB:.0f} MiB came after the restart")
        # At least half of what had come before the kill was not fetched again.
        self.assertLess(received, SIZE - KILL_AFTER / 2)
        self.wait_equal(30)
        self.head_insert(first, second, name)

    def head_insert(self, first, second, name):
        self.farm.wait_linked(self.deadline(30))
        before = sum(first.wire_bytes())
        data = (first.folder / name).read_bytes()
        (first.folder / name).write_bytes(b"!" + data)
        self.wait_same(name)
        cost = sum(first.wire_bytes()) - before
        self.say(f"one byte inserted at the head of {SIZE / MIB:.0f} MiB: {cost} bytes on the wire, both ways")
        self.assertLess(cost, 64 * 1024)


if __name__ == "__main__":
    e2e_case.main()
