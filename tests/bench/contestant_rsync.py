"""rsync by its daemon (in clear), rsync over openssh, and lsyncd, which runs the former when something changes."""
import concurrent.futures
import os
import pathlib
import pwd
import shutil
import subprocess

from contestant import START_S, Contestant, Failed, wait_until
from farm.ports import free_port

_DAEMON = """\
use chroot = no
reverse lookup = no
log file = {directory}/rsyncd-{number}.log
pid file = {directory}/rsyncd-{number}.pid
address = {address}
port = {port}
{identity}[target]
path = {folder}
read only = no
"""

_SSHD = """\
ListenAddress {address}
Port {port}
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/client_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
"""

_LSYNCD = """\
settings {{ nodaemon = true, statusFile = "{directory}/status", pidfile = "{directory}/lsyncd.pid" }}
sync {{ default.rsync, source = "{folder}/", target = "{target}", delay = 0, delete = true, rsync = {{ archive = true }} }}
"""


class Rsync(Contestant):
    """A daemon on each receiving host; the first host pushes its whole folder, as cron would, but at the right moment."""

    name = "rsync"
    watches = False
    options = ()

    def start(self):
        self.targets = []
        for number, (host, folder) in enumerate(zip(self.hosts[1:], self.folders[1:]), 2):
            port = free_port()
            identity = "uid = root\ngid = root\n" if os.geteuid() == 0 else ""
            config = self.directory / f"rsyncd-{number}.conf"
            config.write_text(_DAEMON.format(directory=self.directory, number=number, address=host.address, port=port,
                                             identity=identity, folder=folder))
            self.spawn(host, ["rsync", "--daemon", "--no-detach", f"--config={config}"])
            target = f"rsync://{host.address}:{port}/target/"
            wait_until(lambda: self.hosts[0].run(["rsync", target], 5).returncode == 0, "rsyncd answers", START_S)
            self.targets.append(target)

    def sync(self):
        self._push(self.folders[0])

    def _push(self, folder):
        def push(target):
            self.run(self.hosts[0], ["rsync", "-a", "--delete", *self.options, f"{folder}/", target])

        if len(self.targets) == 1:
            push(self.targets[0])
            return
        with concurrent.futures.ThreadPoolExecutor(len(self.targets)) as pool:
            list(pool.map(push, self.targets))


class RsyncCompressed(Rsync):
    name = "rsync -z"
    options = ("-z",)


class RsyncSsh(Rsync):
    """The same through sshd, as openssh ships it."""

    name = "rsync+ssh"

    def start(self):
        program = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/local/sbin")
        if program is None:
            raise Failed("sshd is not installed")
        if os.geteuid() == 0:
            pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # it insists
        for key in ("host_key", "client_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.directory / key], check=True)
        host, port = self.hosts[1], free_port()
        config = self.directory / "sshd_config"
        config.write_text(_SSHD.format(address=host.address, port=port, directory=self.directory))
        self.spawn(host, [program, "-D", "-e", "-f", config])
        shell = ["ssh", "-F", "/dev/null", "-i", str(self.directory / "client_key"), "-p", str(port), "-o", "BatchMode=yes",
                 "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        address = f"{pwd.getpwuid(os.geteuid()).pw_name}@{host.address}"
        wait_until(lambda: self.hosts[0].run([*shell, address, "true"], 10).returncode == 0, "sshd lets us in", START_S)
        self.options = ("-e", " ".join(shell))
        self.targets = [f"{address}:{self.folders[1]}/"]


class Lsyncd(Rsync):
    """lsyncd with its rsync layer and no delay, before the daemon of the other host."""

    name = "lsyncd"
    watches = True

    def start(self):
        super().start()
        config = self.directory / "lsyncd.lua"
        config.write_text(_LSYNCD.format(directory=self.directory, folder=self.folders[0], target=self.targets[0]))
        _, log = self.spawn(self.hosts[0], ["lsyncd", config])
        wait_until(lambda: "finished" in log.read_text(errors="replace"), "lsyncd has done its first run", 10 * START_S)

    def sync(self):
        pass
