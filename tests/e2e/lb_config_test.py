"""What `syncline lb` prints is what the programs take, and does what it promises: no method pinned, nobody sent to a server
that is not ready, and a site that stays up when none is."""
import http.client
import http.server
import shutil
import stat
import subprocess
import threading
import tomllib
import urllib.parse
import xml.etree.ElementTree

import e2e_case
from farm.ports import free_port
from lb_farm import Application, WebServer, parts_of

NAMES = ["plain.jpg", "with a space.jpg", "100%.jpg", "käse.jpg", "a+b&c=d.jpg", "sub/folder/x.jpg", "semi;colon.jpg"]


class StandIn(http.server.BaseHTTPRequestHandler):
    """A node that has files which this server lacks: what the app servers ask it is kept."""

    files, asked = {}, []

    def answer(self):
        path = urllib.parse.unquote(self.path.removeprefix("/v1/file/"))
        self.asked.append((self.command, path))
        body = b"ready" if self.path in ("/readyz", "/healthz") else self.files.get(path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body or b"")

    do_GET = do_HEAD = do_POST = do_PUT = answer

    def log_message(self, *_):
        pass


BALANCERS = ("nginx", "haproxy", "apache", "caddy")
APP_SERVERS = {"web1": "nginx", "web2": "apache", "web3": "caddy"}


def installed(kind):
    return kind != "caddy" or shutil.which("caddy") is not None  # not in every distribution


class Printed(e2e_case.ClusterTest):
    links_can_be_cut = True

    def setUp(self):
        super().setUp()
        self.running = []
        self.addCleanup(self.stop_all)

    def stop_all(self):
        failed = any(test is self for test, _ in self.result.failures + self.result.errors)
        for each in reversed(self.running):
            each.stop()
            if failed and isinstance(each, WebServer):
                print(each.log())

    def lb(self, balancer, *options):
        return self.farm.nodes[0].json("lb", balancer, "--uri", "/upload/", *options)

    def run_server(self, kind, name, parts):
        server = WebServer(kind, self.farm.directory / "servers" / name, parts)
        self.running.append(server)
        server.start()
        return server

    def app_servers(self, *more):
        """One of each kind, with the demo application behind it; the options that tell a balancer where they are."""
        options = []
        for node in self.farm.nodes:
            kind, port, app = APP_SERVERS[node.name], free_port(), Application(node)
            self.running.append(app)
            kind = kind if installed(kind) else "nginx"
            others = [f"--server={other.name}=127.0.0.1:{9000 + other.number}" for other in self.farm.nodes if other is not node]
            printed = self.lb("nginx", "--app-server", kind, "--app-backend", f"127.0.0.1:{app.port}",
                              f"--server={node.name}=127.0.0.1:{port}", f"--folder={node.folder}", *others, *more)
            self.run_server(kind, node.name, parts_of(printed, node.name))
            options.append(f"--server={node.name}=127.0.0.1:{port}")
        return options

    def test_what_programs_and_parsers_say(self):
        here = [f"--server=web{n}=127.0.0.1:{9100 + n}" for n in (1, 2, 3)]
        for number, options in enumerate(([], ["--explain", "--site", "www.example.org", "--app-backend", "127.0.0.1:8080"])):
            for kind in filter(installed, BALANCERS):
                printed = self.lb(kind, *here, *options, "--listen", "9180")
                self.assert_accepted(kind, f"{kind}{number}", parts_of(printed))
                if kind != "haproxy" and number:
                    self.assert_accepted(kind, f"{kind}-app{number}", parts_of(printed, "web1"))
            self.assert_traefik(self.lb("traefik", *here, *options), options)
            self.assert_iis(self.lb("iis", *here, *options), options)
        for text in (self.farm.nodes[0].command("lb", kind, *here) for kind in (*BALANCERS, "traefik", "iis")):
            for name in ("web1", "web2", "web3", "balancer"):
                self.assertIn(name, text)
            self.assertNotIn("replaces `", text)
        text = self.farm.nodes[0].command("lb", "haproxy", *here, "--explain")
        self.assertRegex(text, r"# replaces `use_backend app1 if METH_POST`.*\n    use_backend ready")

    def assert_accepted(self, kind, name, parts):
        status, said = WebServer(kind, self.farm.directory / "checked" / name, parts).check()
        self.assertEqual(0, status, f"{name}: {said}\n{parts}")

    def assert_traefik(self, printed, options):
        fixed, dynamic = (tomllib.loads(part["text"]) for part in parts_of(printed))
        self.assertEqual(":80", fixed["entryPoints"]["web"]["address"])
        services, router = dynamic["http"]["services"], dynamic["http"]["routers"]["syncline"]
        self.assertNotIn("Method", router["rule"])
        chain = [services[router["service"]]["failover"]]
        chain.append(services[chain[0]["fallback"]]["failover"])
        names = [chain[0]["service"], chain[1]["service"], chain[1]["fallback"]]
        self.assertEqual(["/syncline-readyz", "/syncline-healthz", None],
                         [services[name]["loadBalancer"].get("healthCheck", {}).get("path") for name in names])
        for name in names:
            self.assertEqual([f"http://127.0.0.1:910{n}" for n in (1, 2, 3)],
                             [server["url"] for server in services[name]["loadBalancer"]["servers"]])
        self.assertEqual("--site" in options, "www.example.org" in str(dynamic))

    def assert_iis(self, printed, options):
        """Well-formed, and no element or attribute that the documentation of ARR and URL Rewrite does not have."""
        known = {
            "configuration": set(), "webFarms": set(), "system.webServer": set(), "rewrite": set(), "globalRules": set(),
            "rules": set(), "webFarm": {"name", "enabled"}, "server": {"address", "enabled"},
            "applicationRequestRouting": {"httpPort"}, "protocol": {"preserveHostHeader"}, "affinity": {"useCookie"},
            "loadBalancing": {"algorithm"}, "healthCheck": {"url", "interval", "timeout"},
            "rule": {"name", "patternSyntax", "stopProcessing"}, "match": {"url"}, "conditions": {"logicalGrouping"},
            "add": {"input", "pattern", "matchType", "negate"},
            "action": {"type", "url", "statusCode", "statusReason", "statusDescription"},
        }
        balancer, app = (xml.etree.ElementTree.fromstring(part["text"]) for part in printed["parts"][:2])
        for element in (*balancer.iter(), *app.iter()):
            self.assertIn(element.tag, known)
            self.assertLessEqual(set(element.attrib), known[element.tag], element.tag)
        farm = balancer.find("webFarms/webFarm")
        self.assertEqual([("127.0.0.1", f"910{n}") for n in (1, 2, 3)],
                         [(s.get("address"), s.find("applicationRequestRouting").get("httpPort")) for s in farm.iter("server")])
        self.assertTrue(farm.find(".//healthCheck").get("url").endswith("/syncline-readyz"))
        self.assertEqual("http://syncline/{R:0}", balancer.find(".//globalRules/rule/action").get("url"))
        self.assertIn("/v1/file/{R:1}", app.find(".//rule[@name='syncline miss']/action").get("url"))
        whole = xml.etree.ElementTree.fromstring(
            "<all>" + self.farm.nodes[0].command("lb", "iis", *[f"--server=web{n}=h{n}" for n in (1, 2, 3)], "--explain") + "</all>")
        self.assertEqual(4 if len({part["for"] for part in printed["parts"]}) > 2 else 2, len(whole.findall("configuration")))

    def test_misses_are_the_nodes_business(self):
        node = http.server.ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
        threading.Thread(target=node.serve_forever, daemon=True).start()
        self.addCleanup(node.server_close)
        self.addCleanup(node.shutdown)
        StandIn.files = {name: f"bytes of {name}".encode() for name in NAMES}
        servers = self.app_servers("--http-port", str(node.server_port))
        for server, option in zip(self.farm.nodes, servers):
            self.ports = {"direct": int(option.rpartition(":")[2])}
            kind = APP_SERVERS[server.name]
            e2e_case.wait_until(lambda: self.takers("direct", "GET", 1) == {server.name}, f"{kind} serves", self.deadline(15))
            with self.subTest(kind):
                self.misses(server)
            self.say(f"{kind} asks its node for what it has not")

    def misses(self, server):
        (server.folder / "here.txt").write_text("from the disk")
        StandIn.asked.clear()
        self.assertEqual((200, b"from the disk"), self.request("direct", "GET", "/upload/here.txt")[::2])
        self.assertEqual(404, self.request("direct", "GET", "/upload/.syncline/folder")[0])
        self.assertEqual([], StandIn.asked, "what is here is served without the node")
        for name in NAMES:
            path = "/upload/" + urllib.parse.quote(name)
            self.assertEqual((200, StandIn.files[name]), self.request("direct", "GET", path)[::2], name)
            self.assertEqual((200, b""), self.request("direct", "HEAD", path)[::2], name)
        self.assertEqual([(method, name) for name in NAMES for method in ("GET", "HEAD")], StandIn.asked)
        self.assertEqual(404, self.request("direct", "GET", "/upload/nobody-has-it")[0])
        StandIn.asked.clear()
        self.assertEqual((201, server.name), self.request("direct", "POST", "/upload/new.txt", b"new")[:2])
        self.assertEqual("new", (server.folder / "new.txt").read_text())
        self.assertEqual(200, self.request("direct", "GET", "/syncline-readyz")[0])
        self.assertEqual([("GET", "/readyz")], StandIn.asked)

    def test_balancers_at_work(self):
        servers = self.app_servers()
        self.ports = {}
        for kind in filter(installed, BALANCERS):
            self.ports[kind] = free_port()
            self.run_server(kind, "balancer-" + kind, parts_of(self.lb(kind, *servers, "--listen", self.ports[kind])))
        first, second, third = self.farm.nodes
        everyone = {"web1", "web2", "web3"}
        for kind in self.ports:
            for method in ("GET", "POST"):
                e2e_case.wait_until(lambda: self.takers(kind, method, 9) == everyone,
                                    lambda: f"{kind} spreads {method}; it went to {self.takers(kind, method, 9)}", self.deadline(15))
            name = f"{kind} read back.txt".replace(" ", "%20")
            self.assertEqual(201, self.request(kind, "POST", f"/upload/{name}", b"x" * 70000)[0])
            first.command("wait", f"{kind} read back.txt")
            for _ in range(4):
                status, _, body = self.request(kind, "GET", f"/upload/{name}")
                self.assertEqual((200, 70000), (status, len(body)))
            self.assertEqual(404, self.request(kind, "GET", "/upload/.syncline/folder")[0])
        self.say("every balancer spreads every method")
        third.kill9()
        self.nobody_but({"web1", "web2"}, "the server whose node was killed")
        self.farm.isolate(first)
        e2e_case.wait_until(lambda: not first.ready() and not second.ready(), "no node is ready", self.deadline(30))
        self.served_by({"web1", "web2"}, "none is ready: those that are healthy")
        first.kill9()
        second.kill9()
        self.served_by(everyone, "no node at all: whoever answers")

    def request(self, kind, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[kind], timeout=20)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.getheader("X-Served-By"), answer.read()
        finally:
            connection.close()

    def takers(self, kind, method, count):
        """Who answered, by the application's own header; a failure is a name of its own."""
        seen = set()
        for number in range(count):
            path, body = ("/", None) if method == "GET" else (f"/upload/{kind}-{number}", b"body")
            try:
                status, server, _ = self.request(kind, method, path, body)
            except OSError as error:
                seen.add(str(error))
                continue
            seen.add(server if status in (200, 201) else f"status {status}")
        return seen

    def nobody_but(self, wanted, why):
        for kind in self.ports:
            for method in ("GET", "POST"):
                e2e_case.wait_until(lambda: self.takers(kind, method, 8) == wanted,
                                    lambda: f"{kind} leaves out {why}; {method} went to {self.takers(kind, method, 8)}",
                                    self.deadline(15))
        self.say(f"every balancer leaves out {why}")

    def served_by(self, wanted, why):
        for kind in self.ports:
            for method in ("GET", "POST"):
                e2e_case.wait_until(lambda: self.takers(kind, method, 6) <= wanted,
                                    lambda: f"{kind}: {why}; it answers {method}: {self.takers(kind, method, 6)}",
                                    self.deadline(15))
        self.say(f"every balancer serves: {why}")


class WithToken(e2e_case.ClusterTest):
    """A node that listens on every interface wants its token for files, from its own web server, too."""

    nodes = 0

    def test_the_web_server_shows_the_token(self):
        node = self.farm.new_node()
        node.found()
        config = node.home / "config.toml"
        config.write_text(config.read_text().replace(f'http = "127.0.0.1:{node.http_port}"', f'http = "0.0.0.0:{node.http_port}"'))
        node.start()
        node.wait_ready()
        self.assertEqual(401, node.http("/v1/status")[0])
        self.assertEqual([f"0.0.0.0:{node.http_port}"], [member["http"] for member in node.json("cluster", "members")["members"]])
        for kind in filter(installed, ("nginx", "apache", "caddy")):
            self.assertEqual(404, self.status_of_a_miss(node, kind, token=True), f"{kind}: the node says that it has no such file")
            if kind == "caddy":  # the others do not start without their token file
                self.assertIn(self.status_of_a_miss(node, kind, token=False), (401, 403))
            self.say(f"{kind} shows the token")

    def status_of_a_miss(self, node, kind, token):
        port = free_port()
        printed = node.json("lb", "nginx", "--app-server", kind, f"--server={node.name}=127.0.0.1:{port}",
                            "--app-backend", f"127.0.0.1:{free_port()}")
        parts = parts_of(printed, node.name)
        directory = self.farm.directory / f"{kind}-{token}"
        secret = (node.home / "http-token").read_text().splitlines()[-1] if token else "wrong"
        server = WebServer(kind, directory, parts, env={"SYNCLINE_HTTP_TOKEN": secret})
        # The command that the part's note gives, with this test's places in it.
        for command in [note.strip() for part in parts for note in part["notes"] if "umask" in note]:
            command = command.replace("/var/lib/syncline", str(node.home)).replace(f"/etc/{'apache2' if kind == 'apache' else kind}", str(directory))
            subprocess.run(["sh", "-c", command], check=True)
            self.assertEqual(0o600, stat.S_IMODE((directory / "syncline-token.conf").stat().st_mode))
        server.start()
        try:
            return e2e_case.wait_until(lambda: status_at(port, "/uploads/nothing.jpg"), f"{kind} answers", self.deadline(15))
        finally:
            server.stop()


class TwoFolders(e2e_case.ClusterTest):
    """Each folder has a prefix of its own; what its directory lacks, the node serves by the folder's name."""

    nodes = 0

    def test_every_folder_is_served(self):
        node = self.farm.new_node()
        node.found()
        node.start()
        media, empty = (self.farm.directory / name for name in ("media", "empty"))
        media.mkdir(), empty.mkdir()
        (node.folder / "a.txt").write_text("first")
        node.wait_ready()
        node.json("folder", "add", media, "--name", "media")
        (media / "a b.txt").write_text("second")
        node.wait_ready()
        e2e_case.wait_until(lambda: node.status()["totals"]["files"] == 2, "both files are noticed", self.deadline(15))
        for kind in filter(installed, ("nginx", "apache", "caddy")):
            port = free_port()
            printed = node.json("lb", "nginx", "--app-server", kind, f"--server={node.name}=127.0.0.1:{port}",
                                "--app-backend", f"127.0.0.1:{free_port()}", "--folder", f"media={empty}", "--uri", "media=/m/")
            server = WebServer(kind, self.farm.directory / kind, parts_of(printed, node.name))
            server.start()
            try:
                e2e_case.wait_until(lambda: status_at(port, "/uploads/a.txt"), f"{kind} answers", self.deadline(15))
                for path, wanted in (("/uploads/a.txt", (200, b"first")), ("/m/a%20b.txt", (200, b"second"))):
                    self.assertEqual(wanted, answer_at(port, path), f"{kind}: {path}")
                for path in ("/uploads/nothing", "/m/nothing", "/m/.syncline/marker", "/uploads/.syncline/marker"):
                    self.assertEqual(404, status_at(port, path), f"{kind}: {path}")
            finally:
                server.stop()
            self.say(f"{kind} serves both folders")


def answer_at(port, path):
    """The status and the body of a GET; None where nobody listens yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return None
    finally:
        connection.close()


def status_at(port, path):
    answer = answer_at(port, path)
    return answer and answer[0]


if __name__ == "__main__":
    e2e_case.main()
