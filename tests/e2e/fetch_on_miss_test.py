"""GET /v1/file: an upload that any member has taken is there for a reader of any other, at once."""
import hashlib
import http.client
import os
import time
import urllib.parse

import e2e_case
from farm import nginx, ports

MIB = 1 << 20
LARGE = 200 * MIB
NAMES = ("plain.jpg", "two words.png", "100%.txt", "a+b.css", "größe.pdf", "q?u#e.js", "deep/er/still/x.json")


def ask(port, path, method="GET", headers=None, timeout=30):
    """(status, headers, body) of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, urllib.parse.quote(path), headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def answers(port):
    try:
        return ask(port, "/.syncline")[0] == 404
    except ConnectionRefusedError:
        return False


class FetchOnMiss(e2e_case.ClusterTest):
    many_files = True  # or rather 600 MB, to be removed again

    def get(self, node, path, **options):
        """As a balancer does it: what is unavailable now is asked for again when the answer says so."""
        deadline = time.monotonic() + self.deadline(30)
        while True:
            status, headers, body = ask(node.http_port, "/v1/file/" + path, **options)
            if status != 503 or time.monotonic() > deadline:
                return status, headers, body
            self.unavailable += 1
            time.sleep(float(headers["Retry-After"]))

    def setUp(self):
        super().setUp()
        self.unavailable = 0

    def counted(self, result):
        """Requests of this result at all nodes."""
        total = 0
        for node in self.farm.nodes:
            line = f'syncline_file_requests_total{{result="{result}"}} '
            total += sum(int(found[len(line):]) for found in node.http("/metrics")[1].splitlines() if found.startswith(line))
        return total

    def upload(self, node, path, data, in_place):
        target = node.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if in_place:
            target.write_bytes(data)
            return
        part = target.with_name(target.name + ".part")
        part.write_bytes(data)
        part.rename(target)

    def test_uploads_read_elsewhere_at_once(self):
        wrong, slowest = [], 0.0
        for i in range(400):
            writer, reader = self.farm.nodes[i % 3], self.farm.nodes[(i + 1 + i // 3 % 2) % 3]
            path = f"d{i // 40}/{i}-{NAMES[i % len(NAMES)]}"
            data = os.urandom(self.random.choice((0, 1, 3000, 65536, 300_000)))
            self.upload(writer, path, data, in_place=i % 2 == 0)
            began = time.monotonic()
            status, _, body = self.get(reader, path)
            slowest = max(slowest, time.monotonic() - began)
            if status != 200 or body != data:
                wrong.append((path, status, len(body), len(data)))
        self.assertEqual([], wrong)
        fetched = self.counted("fetched")
        self.say(f"400 uploads read elsewhere at once: {fetched} fetched, {self.counted('served')} there already, "
                 f"{self.unavailable} put off, slowest {slowest * 1000:.0f} ms")
        self.assertGreater(fetched, 0)
        self.assertEqual(0, self.counted("missed"))
        self.replaced()
        self.wait_equal(30)

    def replaced(self):
        """A new version of a known file: the reader gets a whole one, and the tag is the same wherever it is read."""
        first, second, third = self.farm.nodes
        for text in (b"one" * 1000, b"two" * 1000):
            self.upload(first, "page.html", text, in_place=False)
            first.command("wait", "page.html")
            for node in self.farm.nodes:
                status, headers, body = self.get(node, "page.html")
                self.assertEqual((200, text, "text/html"), (status, body, headers["Content-Type"]))

        def tags():
            found = {self.get(node, "page.html")[1]["ETag"] for node in self.farm.nodes}
            return not any(tag.startswith("W/") for tag in found) and found

        tags = e2e_case.wait_until(tags, "the tag is that of the content", self.deadline(10))
        self.assertEqual(1, len(tags), tags)
        tag = tags.pop()
        self.assertEqual(304, self.get(second, "page.html", headers={"If-None-Match": tag})[0])
        status, headers, body = self.get(third, "page.html", headers={"Range": "bytes=3-5", "If-Range": tag})
        self.assertEqual((206, b"two", "bytes 3-5/3000"), (status, body, headers["Content-Range"]))
        status, headers, body = self.get(third, "page.html", method="HEAD")
        self.assertEqual((200, b"", "3000"), (status, body, headers["Content-Length"]))

    def test_large_file(self):
        first, second, _ = self.farm.nodes
        block = os.urandom(MIB)
        expected = hashlib.blake2b()
        with open(first.folder / "video.part", "wb") as file:
            for i in range(LARGE // MIB):
                piece = i.to_bytes(8, "big") + block[8:]
                file.write(piece)
                expected.update(piece)
        os.rename(first.folder / "video.part", first.folder / "video.mp4")
        began = time.monotonic()
        status, headers, body = self.get(second, "video.mp4")
        self.assertEqual((200, "video/mp4", str(LARGE)), (status, headers["Content-Type"], headers["Content-Length"]))
        self.assertEqual(expected.hexdigest(), hashlib.blake2b(body).hexdigest())
        self.say(f"{LARGE // MIB} MiB fetched by the request in {time.monotonic() - began:.1f} s, {self.unavailable} times put off")
        memory = [line for line in open(f"/proc/{second.process.pid}/status") if line.startswith("VmRSS")]
        self.say(f"the reader's node after it: {memory[0].split()[1]} kB")

    def test_who_could_not_be_asked(self):
        first, _, third = self.farm.nodes
        (first.folder / "dir").mkdir()
        self.assertEqual(404, ask(first.http_port, "/v1/file/nothing")[0])
        self.assertEqual(404, ask(first.http_port, "/v1/file/dir")[0])
        (third.folder / "only-there").write_bytes(b"x")
        third.kill9()  # perhaps before anybody has heard of it
        for path in ("/v1/file/nothing", "/v1/file/nothing-else"):
            status, headers, body = ask(first.http_port, path)
            self.assertEqual((503, "1"), (status, headers["Retry-After"]), body)
            self.assertIn(b"web3", body)
        (first.folder / "here").write_bytes(b"served without asking")
        self.assertEqual((200, b"served without asking"), ask(first.http_port, "/v1/file/here")[::2])
        self.say("a member is dead: 503")
        third.start()
        status, _, body = self.get(first, "only-there")
        self.assertEqual((200, b"x"), (status, body))
        self.say(f"it is back: 200, after having been put off {self.unavailable} times")
        self.farm.wait_linked(self.deadline(30))
        self.assertEqual(404, self.get(first, "nothing")[0])

    def test_nginx_in_front_of_a_folder(self):
        first, second, _ = self.farm.nodes
        port = ports.free_port()
        front = nginx.FolderNginx(self.farm.directory / "nginx", port, second)
        front.start()
        self.addCleanup(front.stop)
        e2e_case.wait_until(lambda: answers(port), "nginx listens", self.deadline(10))
        wrong = []
        for i in range(200):
            path, data = f"n{i // 20}/{i} {NAMES[i % len(NAMES)]}", os.urandom(20_000)
            self.upload(first, path, data, in_place=True)
            status, _, body = ask(port, "/" + path)
            if (status, body) != (200, data):
                wrong.append((path, status, len(body)))
        self.assertEqual([], wrong)
        self.say(f"200 uploads read through nginx at once: {self.counted('fetched')} fetched")
        for path in ("/nothing", "/n1", "/n1/", "/.syncline/folder", "/.syncline/", "/n1/%2e%2e/x"):
            self.assertEqual(404, ask(port, path)[0], path)


if __name__ == "__main__":
    e2e_case.main()
