"""`syncline lb check` tells a good balancer from one that pins POST, with real nginx and HAProxy in front of real nodes."""
import json
import urllib.parse

import e2e_case
from examples_test import Example
from farm.ports import free_port
from lb_farm import Application, WebServer, parts_of

NGINX = """
map $request_method $pool {{ POST pinned; default all; }}
upstream pinned {{ server {first}; }}
upstream all {{ {servers} }}
server {{ listen {port}; location / {{ proxy_pass http://$pool; {more} }} }}
"""


def in_turn(addresses):
    return " ".join(f"server {address} max_fails=0;" for address in addresses)


class LbCheck(e2e_case.ClusterTest):
    def setUp(self):
        super().setUp()
        self.running = []
        self.addCleanup(lambda: [each.stop() for each in reversed(self.running)])
        self.fronts, self.apps, options = [], [], []
        for node in self.farm.nodes:
            app, port = Application(node, waits=True), free_port()
            self.running.append(app)
            self.apps.append(f"127.0.0.1:{app.port}")
            others = [f"--server={other.name}=127.0.0.1:{9000 + other.number}" for other in self.farm.nodes if other is not node]
            printed = self.printed("nginx", f"--server={node.name}=127.0.0.1:{port}", f"--folder={node.folder}",
                                   "--app-backend", self.apps[-1], *others)
            self.serve("nginx", node.name, parts_of(printed, node.name))
            self.fronts.append(f"http://127.0.0.1:{port}/upload/")
            options.append(f"--server={node.name}=127.0.0.1:{port}")
        self.members = options

    def printed(self, kind, *options):
        return self.farm.nodes[0].json("lb", kind, "--uri", "/upload/", *options)

    def serve(self, kind, name, parts):
        server = WebServer(kind, self.farm.directory / "servers" / name, parts)
        self.running.append(server)
        server.start()

    def balancer(self, kind):
        port = free_port()
        self.serve(kind, "balancer-" + kind, parts_of(self.printed(kind, *self.members, "--listen", port)))
        return f"http://127.0.0.1:{port}/upload/"

    def check(self, url, *options, servers=None):
        named = [f"--server={server}" for server in (self.fronts if servers is None else servers)]
        return self.farm.syncline("lb", "check", url, *named, *options, timeout=60)

    def wait_for(self, url):
        e2e_case.wait_until(lambda: self.check(url, "--probes", "2").returncode == 0, lambda: f"{url} answers", self.deadline(15))

    def test_what_lb_printed_passes(self):
        for kind in ("nginx", "haproxy"):
            url = self.balancer(kind)
            self.wait_for(url)
            done = self.check(url)
            self.assertEqual(0, done.returncode, done.stdout + done.stderr)
            self.assertRegex(done.stdout, r"(?m)^ok +no method pinning: POST went to web1 \d+, web2 \d+, web3 \d+$")
            self.assertRegex(done.stdout, r"(?m)^ok +12 of 12 uploads were there when read back at once")
            self.assertNotIn("problem", done.stdout)
            self.assertNotIn("could not be removed", done.stdout)
            e2e_case.wait_until(lambda: not any(path.is_file() for node in self.farm.nodes for path in node.folder.iterdir()),
                                "nothing of it is left anywhere", self.deadline(15))
            self.say(f"{kind} as printed passes")

    def test_pinned_post_is_reported(self):
        port = free_port()
        text = NGINX.format(first=self.apps[0], servers=in_turn(self.apps), port=port,
                                   more="limit_except GET POST PUT { deny all; }")
        self.serve("nginx", "pinned", [{"file": "pinned.conf", "text": text}])
        url = f"http://127.0.0.1:{port}/upload/"
        e2e_case.wait_until(lambda: "2 uploads (POST) were taken" in self.check(url, "--probes", "2").stdout, "uploads are taken",
                            self.deadline(15))
        done = self.check(url, "--json")
        self.assertEqual(1, done.returncode, done.stdout + done.stderr)
        bad = [finding["text"] for finding in json.loads(done.stdout)["findings"] if finding["grade"] == "problem"]
        self.assertTrue(any("method pinning: every POST" in text and "web1 (12 of 12)" in text for text in bad), bad)
        put = self.check(url, "--method", "PUT", servers=[])
        self.assertIn("no method pinning: PUT went to web1", put.stdout)
        self.assertIn("12 probes could not be removed (DELETE): syncline-check-", put.stdout, "said, not hidden")

    def test_two_servers_in_turn_are_not_pinned(self):
        port = free_port()
        text = NGINX.format(first=self.apps[0], servers=in_turn(self.apps[:2]), port=port, more="")
        self.serve("nginx", "two", [{"file": "two.conf", "text": text.replace("POST pinned;", "")}])
        url = f"http://127.0.0.1:{port}/upload/"
        self.wait_for(url)
        self.assertRegex(self.check(url, servers=[]).stdout, r"no method pinning: POST went to web1 \d+, web2 \d+\n")

    def test_a_server_that_is_not_ready_and_asked_nevertheless(self):
        apps = [Application(node) for node in self.farm.nodes]
        self.running += apps
        port, servers = free_port(), in_turn(f"127.0.0.1:{app.port}" for app in apps)
        text = NGINX.format(first=self.apps[0], servers=servers, port=port, more="").replace("POST pinned;", "")
        self.serve("nginx", "careless", [{"file": "careless.conf", "text": text}])
        url = f"http://127.0.0.1:{port}/upload/"
        self.farm.nodes[2].kill9()
        e2e_case.wait_until(lambda: "web3 is not ready (502)" in self.check(url, "--timeout", "200ms", "--probes", "2").stdout,
                            "web3's web server knows that its node is gone", self.deadline(15))
        done = self.check(url, "--timeout", "500ms")
        self.assertEqual(1, done.returncode, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"(?m)^problem +missing health check: web3 is not ready \(502\), and the balancer sent it \d+ req")
        self.assertRegex(done.stdout, r"(?m)^problem +stale reads: web3 lacked \d+ of 12 uploads after 500 ms$")

    def test_a_form_to_a_php_handler(self):
        node, port = self.farm.nodes[0], free_port()
        with Example("upload.php", node.folder, f"http://127.0.0.1:{node.http_port}") as handler:
            others = [f"--server={other.name}=127.0.0.1:{9000 + other.number}" for other in self.farm.nodes[1:]]
            printed = self.printed("nginx", f"--server={node.name}=127.0.0.1:{port}", f"--folder={node.folder}",
                                   "--app-backend", f"127.0.0.1:{handler.port}", *others)
            self.serve("nginx", "php", parts_of(printed, node.name))
            url, how = f"http://127.0.0.1:{port}/upload/", ["--form", "file", "--upload-path", "/"]
            e2e_case.wait_until(lambda: self.check(url, *how, servers=[]).returncode == 0, "uploads are taken", self.deadline(15))
            done = self.check(url, *how)
            self.assertEqual(0, done.returncode, done.stdout + done.stderr)
            self.assertIn("12 of 12 uploads were there when read back at once", done.stdout)

    def test_bad_input(self):
        self.assert_refused(self.check(f"http://127.0.0.1:{free_port()}/", servers=[]), 1, "nobody answers")
        self.assert_refused(self.check("ftp://127.0.0.1/", servers=[]), 1, "http://HOST")
        self.assertEqual(2, self.check("http://127.0.0.1/", "--probes", "1").returncode)


if __name__ == "__main__":
    e2e_case.main()
