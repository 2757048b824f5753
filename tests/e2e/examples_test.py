"""The upload handlers in scripts/examples do what their README says: answer when every server has the file, and keep it in
whatever case."""
import contextlib
import http.client
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading

import e2e_case
from farm.cluster import die_with_parent
from farm.ports import free_port

EXAMPLES = e2e_case.ROOT / "scripts" / "examples"
BYTES = bytes(range(256)) * 300


def form(name, data):
    boundary = "----a-boundary"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode() + data + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


class Example:
    """One of the handlers, running. It is tried as its README says."""

    def __init__(self, file, folder, node_url):
        self.file, self.port = EXAMPLES / file, free_port()
        command = {"upload.php": ["php", "-S", f"127.0.0.1:{self.port}", self.file],
                   "upload.py": [sys.executable, "-B", self.file, str(self.port)],
                   "upload.js": [shutil.which("nodejs") or "node", self.file, str(self.port)]}[file]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        env={**os.environ, "UPLOAD_FOLDER": str(folder), "SYNCLINE_URL": node_url},
                                        start_new_session=True, preexec_fn=die_with_parent)

    def __enter__(self):
        e2e_case.wait_until(self.listens, f"{self.file.name} listens", 20)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.output = self.process.communicate()[0].decode(errors="replace")

    def listens(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.file.name} ended: {self.process.communicate()[0]}")
        with contextlib.closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def upload(self, name, data=BYTES):
        body, kind = form(name, data) if self.file.suffix == ".php" else (data, "application/octet-stream")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", "/" if self.file.suffix == ".php" else f"/{name}", body, {"Content-Type": kind})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()


class StandIn(http.server.BaseHTTPRequestHandler):
    """A node that answers what the path was asked for: wait504.bin is answered 504."""

    asked = []

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, request))
        status = int(request["path"][4:7])
        body = json.dumps({"ok": False, "have": ["web1"], "lacking": ["web2"], "absent": []}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Examples(e2e_case.ClusterTest):
    def test_each(self):
        for file in ("upload.php", "upload.py", "upload.js"):
            with self.subTest(file):
                self.answers_when_everybody_has_it(file)
                self.keeps_the_file_whatever_the_node_says(file)
                self.say(f"{file} does what its README says")

    def answers_when_everybody_has_it(self, file):
        first, *others = self.farm.nodes
        with Example(file, first.folder, f"http://127.0.0.1:{first.http_port}") as example:
            for number in range(3):
                name = f"{file}-{number}.bin"
                self.assertEqual(201, example.upload(name))
                for node in others:
                    self.assertEqual(BYTES, (node.folder / name).read_bytes(), "there when the user has the answer")
            self.assertEqual(400, example.upload(".hidden"))

    def keeps_the_file_whatever_the_node_says(self, file):
        folder = self.farm.directory / f"alone-{file}"
        folder.mkdir()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with Example(file, folder, f"http://127.0.0.1:{server.server_port}") as example:
                for said, wanted in ((200, 201), (504, 202), (503, 202), (404, 500)):
                    self.assertEqual(wanted, example.upload(f"wait{said}.bin"), said)
                    self.assertEqual(BYTES, (folder / f"wait{said}.bin").read_bytes())
            self.assertIn("web2", example.output, "the log names who lacks it")
        finally:
            server.shutdown()
            server.server_close()
        path, request = StandIn.asked[-1]
        self.assertEqual(("/v1/wait", "wait404.bin", "all"), (path, request["path"], request["nodes"]))
        with Example(file, folder, f"http://127.0.0.1:{free_port()}") as example:
            self.assertEqual(202, example.upload("nobody.bin"))
        self.assertEqual(BYTES, (folder / "nobody.bin").read_bytes())


if __name__ == "__main__":
    e2e_case.main()
