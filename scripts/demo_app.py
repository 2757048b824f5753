#!/usr/bin/env python3
"""A small upload application as it runs on each server of a web farm. It knows nothing of Syncline: it writes and reads files.

    demo_app.py --name web1 --folder /srv/uploads --port 8001 [--wait-at http://127.0.0.1:7441]

POST or PUT /upload/NAME stores the body under NAME, GET|HEAD /upload/NAME serves it, DELETE removes it, GET / lists what is
there. Every answer says in X-Served-By which server gave it. With --wait-at an upload is answered when every server has it, or
after two seconds (201 or 202); scripts/examples has this for other languages. Loopback only.
"""
import argparse
import html
import http.server
import json
import os
import re
import shutil
import urllib.parse
import urllib.request

MAX_UPLOAD_BYTES = 1 << 30
NAME = re.compile(r"[\w][\w .,()+-]{0,120}")
PIECE_BYTES = 64 * 1024


class Application(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = name = wait_at = None  # set once, in main()

    def path_of_request(self):
        """The file that the URL names, or None: no separators, no leading dot."""
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        prefix, _, name = path.rpartition("/")
        return os.path.join(self.folder, name) if prefix == "/upload" and NAME.fullmatch(name) else None

    def reply(self, code, body=b"", content_type="text/plain; charset=utf-8", length=None):
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("X-Served-By", self.name)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self):
        path = self.path_of_request()
        length = self.headers.get("Content-Length", "")
        if path is None or not length.isdigit() or int(length) > MAX_UPLOAD_BYTES:
            self.close_connection = True  # the body was not read
            self.reply(400, b"POST /upload/NAME with a Content-Length\n")
            return
        # Straight into its final place, piece by piece, as move_uploaded_file() does from another file system. Whoever reads
        # it on this server meanwhile sees a part; the other servers see nothing until it is closed.
        left = int(length)
        with open(path, "wb") as file:
            while left:
                piece = self.rfile.read(min(left, PIECE_BYTES))
                if not piece:
                    raise ConnectionError("the client went away")
                file.write(piece)
                left -= len(piece)
        self.reply(201 if self.wait_at is None or self.everybody_has(os.path.basename(path)) else 202, b"stored\n")

    do_PUT = do_POST

    def everybody_has(self, name):
        body = json.dumps({"path": name, "nodes": "all", "timeout_ms": 2000}).encode()
        request = urllib.request.Request(self.wait_at + "/v1/wait", body, {"Content-Type": "application/json"})
        try:
            urllib.request.urlopen(request, timeout=3).close()
            return True
        except OSError:  # 504, or nobody answers: it is stored here all the same
            return False

    def do_DELETE(self):
        try:
            os.remove(self.path_of_request() or "")
        except OSError:
            self.reply(404, b"no such upload\n")
            return
        self.reply(200, b"removed\n")

    def do_GET(self):
        if self.path == "/":
            self.reply(200, self.listing(), "text/html; charset=utf-8")
            return
        path = self.path_of_request()
        try:
            file = open(path or "", "rb")
        except OSError:
            self.reply(404, b"no such upload\n")
            return
        with file:
            self.reply(200, b"", "application/octet-stream", os.fstat(file.fileno()).st_size)
            if self.command != "HEAD":
                shutil.copyfileobj(file, self.wfile, PIECE_BYTES)

    do_HEAD = do_GET

    def listing(self):
        names = sorted(name for name in os.listdir(self.folder) if NAME.fullmatch(name))
        rows = "".join(f'<li><a href="/upload/{urllib.parse.quote(n)}">{html.escape(n)}</a>' for n in names)
        return f"<!doctype html><title>{self.name}</title><h1>{len(names)} uploads, seen by {self.name}</h1><ul>{rows}".encode()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--wait-at", metavar="URL")
    arguments = parser.parse_args()
    Application.folder, Application.name, Application.wait_at = arguments.folder, arguments.name, arguments.wait_at
    try:
        Server(("127.0.0.1", arguments.port), Application).serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
