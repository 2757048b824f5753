"""Web servers and balancers as `syncline lb` prints them: real programs in the foreground, each with a folder of its own.

The printed text is taken as it is; only what names places of this machine is filled in: include files, the cache's folder, and
the loopback ports of Apache and Caddy, of which one machine has only one pair.
"""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

import e2e_case
from farm.cluster import die_with_parent
from farm.ports import free_port

APACHE_MODULES = pathlib.Path("/usr/lib/apache2/modules")
_APACHE_WANTED = """mpm_event authz_core authz_host unixd alias rewrite headers mime proxy proxy_http proxy_balancer slotmem_shm
lbmethod_byrequests watchdog proxy_hcheck""".split()
_SPARE_PORTS = ("7480", "7481")  # on loopback, of Apache and Caddy
_NGINX_FRAME = """{user}daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/error.log warn;
events {{ worker_connections 4096; }}
http {{ log_format servers '$msec $request_method $uri $status $upstream_addr'; access_log {directory}/access.log servers; client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
{includes}
}}
"""


def program(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: run scripts/install-deps test")
    return found


class WebServer:
    """One of the programs with one set of printed parts: `check()` asks it what it thinks of them, `start()` runs it."""

    def __init__(self, kind, directory, parts, env=None):
        self.kind, self.directory, self.process = kind, directory, None
        self.env = {**os.environ, **(env or {}), "HOME": str(directory), "XDG_DATA_HOME": str(directory)}
        self.retired = []  # reloaded: they end with their last connection
        directory.mkdir(parents=True)
        self.spare = {port: str(free_port()) for port in _SPARE_PORTS}
        self._take(parts)

    def _take(self, parts):
        self.files = {}
        for part in parts:
            text = part["text"]
            for port, mine in self.spare.items():
                text = text.replace(f":{port}", f":{mine}")
            self.files[part["file"]] = text
        getattr(self, "_write_" + self.kind)()

    def _write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path

    def _write_nginx(self):
        includes = []
        for file, text in self.files.items():
            text = text.replace("/var/lib/nginx/syncline", str(self.directory / "cache"))
            text = text.replace("include snippets/", f"include {self.directory}/")
            text = text.replace("/etc/nginx/", f"{self.directory}/")
            path = self._write(pathlib.Path(file).name if "snippets" not in file else "syncline.conf.snippet", text)
            text = path.read_text().replace("/syncline.conf;", "/syncline.conf.snippet;")
            path.write_text(text)
            if "snippets" not in file:
                includes.append(f"include {path};")
        user = "user root; " if os.geteuid() == 0 else ""
        config = self._write("nginx.conf", _NGINX_FRAME.format(user=user, directory=self.directory, includes="\n".join(includes)))
        arguments = ["-p", self.directory, "-c", config, "-e", self.directory / "error.log"]
        self.command, self.checking = [program("nginx"), *arguments], [program("nginx"), "-t", *arguments]

    def _write_haproxy(self):
        (text,) = self.files.values()
        places = f"log stdout format raw local0\n    stats socket {self.directory / 's'} level admin expose-fd listeners"
        config = self._write("haproxy.cfg", text.replace("log /dev/log local0", places))
        self.command, self.checking = [program("haproxy"), "-db", "-f", config], [program("haproxy"), "-c", "-f", config]

    def _write_apache(self):
        lines = [f"ServerRoot {self.directory}", f"PidFile {self.directory}/pid", f"ErrorLog {self.directory}/error.log",
                 f"DefaultRuntimeDir {self.directory}", "ServerName localhost", "LogLevel warn",
                 "TypesConfig /etc/mime.types"]
        built_in = subprocess.run([program("apache2"), "-l"], capture_output=True, text=True).stdout
        lines += [f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so" for name in _APACHE_WANTED
                  if f"mod_{name}.c" not in built_in]
        for file, text in self.files.items():
            text = text.replace("Include conf-available/", f"Include {self.directory}/").replace("/etc/apache2/", f"{self.directory}/")
            path = self._write(pathlib.Path(file).name, text)
            if "sites-available" in file:
                lines.append(f"Include {path}")
        config = self._write("apache2.conf", "\n".join(lines) + "\n")
        self.command = [program("apache2"), "-f", config, "-DFOREGROUND"]
        self.checking = [program("apachectl"), "-f", config, "-t"]

    def _write_caddy(self):
        for file, text in self.files.items():
            self._write(pathlib.Path(file).name, text)
        config = self.directory / "Caddyfile"
        config.write_text("{\n\tadmin off\n}\n" + config.read_text())
        self.command = [program("caddy"), "run", "--adapter", "caddyfile", "--config", config]
        self.checking = [program("caddy"), "validate", "--adapter", "caddyfile", "--config", config]

    def check(self):
        """The program's own verdict on its configuration: (exit status, what it said)."""
        done = subprocess.run(self.checking, capture_output=True, text=True, env=self.env, timeout=30, cwd=self.directory)
        return done.returncode, done.stdout + done.stderr

    def listening(self, port):
        """A condition: somebody takes connections there."""
        def connects():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        return connects

    def reload(self, parts):
        """Other parts, as an administrator puts them in: no request is lost."""
        self._take(parts)
        if self.kind == "nginx":
            self.process.send_signal(signal.SIGHUP)
        elif self.kind == "haproxy":
            before = self.process
            self.start("-x", self.directory / "s", "-sf", str(before.pid))
            self.retired.append(before)
        else:
            raise NotImplementedError(self.kind)

    def start(self, *more):
        log = open(self.directory / "output.log", "ab")
        self.process = subprocess.Popen([*self.command, *more], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env,
                                        cwd=self.directory, start_new_session=True, preexec_fn=die_with_parent)
        log.close()

    def stop(self):
        for process in filter(None, [*self.retired, self.process]):
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def log(self):
        texts = []
        for name in ("output.log", "error.log"):
            if (self.directory / name).exists():
                texts.append(f"--- {self.directory / name}\n" + (self.directory / name).read_text(errors="replace")[-3000:])
        return "\n".join(texts)


class Application:
    """scripts/demo_app.py of one server."""

    def __init__(self, node, waits=False):
        self.node, self.port = node, free_port()
        waiting = ["--wait-at", f"http://127.0.0.1:{node.http_port}"] if waits else []
        self.process = subprocess.Popen(
            [sys.executable, "-B", e2e_case.ROOT / "scripts" / "demo_app.py", "--name", node.name, "--folder", node.folder,
             "--port", str(self.port), *waiting], start_new_session=True, preexec_fn=die_with_parent)

    def stop(self):
        self.process.kill()
        self.process.wait()


def parts_of(printed, node=None):
    """The parts of the balancer, or of one app server."""
    return [part for part in printed["parts"] if (node in part["nodes"] if node else not part["nodes"])]
