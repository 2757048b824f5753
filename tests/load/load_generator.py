"""Uploads at a set rate, each read back at once and again later, all through one address. Runs on a thread of its own."""
import asyncio
import dataclasses
import random
import threading
import time

_IDLE_SECONDS = 5  # a connection unused for longer is not used again: the other side may have closed it
_IDLE_CONNECTIONS = 64
_TIMEOUT_SECONDS = 30
_POOL_BYTES = 1 << 20


@dataclasses.dataclass
class Upload:
    number: int
    name: str
    server: str  # who took it
    confirmed: bool  # 201: by the barrier, if there is one; else 202


@dataclasses.dataclass
class Failure:
    upload: Upload
    what: str  # 404, wrong, 5xx, other
    detail: str
    at: float  # since the start
    apart: bool = False


class Generator:
    """`apart(upload)` is asked at every failed read, on the generator's thread: does nobody who could be asked have it?"""

    def __init__(self, port, rate, seconds, size, apart, later_seconds=30):
        self.port, self.rate, self.seconds, self.size = port, rate, seconds, size
        self.apart, self.later_seconds = apart, later_seconds
        self.random = random.Random(port)
        self.pool = self.random.randbytes(_POOL_BYTES)
        self.connections = []
        self.uploads, self.failures, self.refused = [], [], []
        self.upload_seconds, self.read_seconds = [], []
        self.reads = self.late = 0
        self.started = time.monotonic()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def start(self):
        self.started = time.monotonic()
        self.thread.start()

    def body(self, number):
        """Another one for every number, and no work to make."""
        head = f"{number:016}".encode()
        at = number * 4099 % (_POOL_BYTES - self.size)
        return head + self.pool[at:at + self.size - len(head)]

    async def _run(self):
        tasks = set()
        for number in range(int(self.rate * self.seconds)):
            due = self.started + number / self.rate
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            self.late += wait < -1
            task = asyncio.create_task(self._upload(number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        while tasks:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        for _, writer, _ in self.connections:
            writer.close()

    async def _upload(self, number):
        name = f"u{number:07}.bin"
        status, headers, body, seconds = await self._request("POST", name, self.body(number))
        if status not in (201, 202):
            self.refused.append((round(time.monotonic() - self.started, 2), status, body[:80].decode(errors="replace")))
            return
        upload = Upload(number, name, headers.get("x-served-by", "?"), status == 201)
        self.uploads.append(upload)
        self.upload_seconds.append(seconds)
        await self.read(upload)
        await asyncio.sleep(self.random.uniform(0.5, self.later_seconds))
        await self.read(upload)

    async def read(self, upload):
        status, _, body, seconds = await self._request("GET", upload.name)
        self.reads += 1
        self.read_seconds.append(seconds)
        if status == 200 and body == self.body(upload.number):
            return
        what = "404" if status == 404 else "wrong" if status == 200 else "5xx" if 500 <= status < 600 else "other"
        detail = f"{status}, {len(body)} bytes, {seconds:.2f} s: {body[:60].decode(errors='replace')}" if status != 200 else f"{len(body)} bytes"
        self.failures.append(Failure(upload, what, detail, round(time.monotonic() - self.started, 2), self.apart(upload)))

    async def _request(self, method, name, body=b""):
        """(status, headers, body, seconds); status 0 with the reason as the body where there was no answer."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                answer = await self._exchange(method, name, body)
        except (OSError, asyncio.IncompleteReadError, ValueError, TimeoutError) as error:
            answer = 0, {}, f"{type(error).__name__}: {error}".encode()
        return *answer, time.monotonic() - began

    async def _exchange(self, method, name, body):
        for again in (True, False):
            reader, writer, fresh = await self._connection(method)
            head = f"{method} /upload/{name} HTTP/1.1\r\nHost: site\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            try:
                await writer.drain()
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            except (OSError, asyncio.IncompleteReadError) as error:
                writer.close()
                # A connection that was kept open may be closed by the other side as it is used: a browser tries again, too.
                if again and not fresh and not getattr(error, "partial", b""):
                    continue
                raise
            headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
            if "content-length" not in headers:
                writer.close()
                raise ValueError(f"no length in {lines}")
            try:
                answer = await reader.readexactly(int(headers["content-length"]))
            except asyncio.IncompleteReadError as error:
                writer.close()
                return int(lines[0].split()[1]), headers, error.partial
            if headers.get("connection", "").lower() == "close":
                writer.close()
            elif len(self.connections) < _IDLE_CONNECTIONS:
                self.connections.append((reader, writer, time.monotonic()))
            else:
                writer.close()
            return int(lines[0].split()[1]), headers, answer

    async def _connection(self, method):
        while self.connections and method == "GET":
            reader, writer, used = self.connections.pop()
            if time.monotonic() - used < _IDLE_SECONDS and not reader.at_eof():
                return reader, writer, False
            writer.close()
        return *await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20), True
