#!/usr/bin/env python3
"""An upload handler that answers when every server has the file. See README.md beside this file."""
import http.server
import json
import os
import re
import sys
import urllib.error
import urllib.request

FOLDER = os.environ.get("UPLOAD_FOLDER", "/srv/uploads")
NODE = os.environ.get("SYNCLINE_URL", "http://127.0.0.1:7441")
NAME = re.compile(r"\w[\w.-]{0,120}")
MAX_BYTES = 1 << 30


def wait_for_all(path, timeout_ms=2000):
    """The status for the user: 201 everywhere, 202 stored here and on its way, 500 not in the folder."""
    body = json.dumps({"path": path, "nodes": "all", "timeout_ms": timeout_ms}).encode()
    request = urllib.request.Request(NODE + "/v1/wait", body, {"Content-Type": "application/json"})
    try:
        urllib.request.urlopen(request, timeout=timeout_ms / 1000 + 1).close()
        return 201
    except urllib.error.HTTPError as error:  # the body of a 504 says who lacks it
        print(f"upload {path}: syncline says {error.code} {error.read().decode(errors='replace').strip()}", file=sys.stderr)
        return 500 if error.code == 404 else 202
    except OSError as error:
        print(f"upload {path}: syncline does not answer: {error}", file=sys.stderr)
        return 202


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        name, length = self.path.lstrip("/"), self.headers.get("Content-Length", "")
        if not NAME.fullmatch(name) or not length.isdigit() or int(length) > MAX_BYTES:
            self.send_error(400)
            return
        with open(os.path.join(FOLDER, name), "wb") as file:  # the other servers see it once it is closed
            file.write(self.rfile.read(int(length)))
        self.send_response(wait_for_all(name))
        self.end_headers()
        self.wfile.write(b"stored\n")

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
