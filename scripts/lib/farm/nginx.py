"""A real nginx in the foreground, with a folder of its own: as a balancer, or in front of one server's uploads."""
import os
import shutil
import subprocess

from .host import die_with_parent

_CONFIG = """\
{user}daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 512; }}
http {{
  access_log {directory}/access.log;
  client_max_body_size 0;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
{site}
}}
"""

_BALANCER = """\
  upstream farm {{
    # Round robin for every method: nothing pins a POST to one server.
{servers}
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://farm;
      proxy_http_version 1.1;
      # An upload is a PUT at heart (same name, same bytes): another server may take it when one does not answer.
      proxy_next_upstream error timeout non_idempotent;
      proxy_connect_timeout 2s;
    }}
  }}"""

# What is on this server's disk is sent from there; only what is not is asked of the node, which fetches it.
_FOLDER = """\
  server {{
    listen 127.0.0.1:{port};
    root {folder};
    location ^~ /.syncline {{ return 404; }}
    location / {{ try_files $uri @syncline; }}
    location @syncline {{
      rewrite ^(.*)$ /v1/file$1 break;
      proxy_pass http://127.0.0.1:{node_port};
      proxy_http_version 1.1;
      proxy_buffering off;
    }}
  }}"""


class _Process:
    """`start()` after the servers listen; `stop()` always."""

    def __init__(self, directory, site):
        directory.mkdir()
        self.directory = directory
        self.config = directory / "nginx.conf"
        user = "user root;\n" if os.geteuid() == 0 else ""  # the folder is ours alone
        self.config.write_text(_CONFIG.format(user=user, directory=directory, site=site))
        self.process = None

    def start(self):
        program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if program is None:
            raise FileNotFoundError("nginx is not installed: run scripts/install-deps")
        self.process = subprocess.Popen(
            [program, "-p", self.directory, "-c", self.config, "-e", self.directory / "error.log"],
            stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_parent)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()


class Nginx(_Process):
    """Spreads all methods over some servers in turn."""

    def __init__(self, directory, port, server_ports):
        # A server that did not answer is asked again a second later.
        servers = "\n".join(f"    server 127.0.0.1:{p} max_fails=1 fail_timeout=1s;" for p in server_ports)
        super().__init__(directory, _BALANCER.format(port=port, servers=servers))


class FolderNginx(_Process):
    """Serves a node's folder, and asks the node for what is missing there."""

    def __init__(self, directory, port, node):
        super().__init__(directory, _FOLDER.format(port=port, folder=node.folder, node_port=node.http_port))
