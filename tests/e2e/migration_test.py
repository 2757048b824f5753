"""The way from rsync, as MIGRATING.md and `syncline import` describe it, walked with a real rsync job beside real nodes."""
import json
import os
import re
import shlex
import subprocess

import e2e_case

COMMON = """-v -q -c -a -r -R -b --backup-dir=hunter2/old --suffix=.bak -u -l -L --copy-unsafe-links --safe-links -H -p -o -g -D -t
-S -n -W -x -B 700 -e 'sshpass -p hunter2 ssh' --rsync-path='echo hunter2|sudo -S rsync' -C --existing --delete --delete-excluded
--delete-after --ignore-errors --max-delete=100 --partial --force --numeric-ids --timeout=60 --progress
--password-file=/etc/rsync.password --exclude=*.tmp -zAXkKhi --bwlimit=1000 --no-motd --frobnicate=hunter2""".replace("hunter2/old", "/old")


def rsync(*arguments):
    return subprocess.run(["rsync", *map(str, arguments)], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})


class Import(e2e_case.ClusterTest):
    nodes = 0

    def conf(self, folder):
        path = self.farm.directory / "rsyncd.conf"
        path.write_text(f"uid = nobody\nhosts allow = 127.0.0.0/8 app3.example.org\n[uploads]\n  path = {folder}\n"
                        "  auth users = joe\n  secrets file = /etc/rsyncd.secrets\n  read only = yes\njoe:hunter2\n")
        return path

    def test_every_option_is_answered(self):
        line = " ".join(["RSYNC_PASSWORD=hunter2 rsync", *COMMON.split("\n"), "joe:hunter2@app1::uploads/ /cygdrive/c/uploads/"])
        arguments = ["import", self.conf("/srv/uploads"), "--client", line]
        text, printed = self.farm.syncline(*arguments), self.farm.syncline(*arguments, "--json")
        self.assertEqual((0, 0, ""), (text.returncode, printed.returncode, text.stderr + printed.stderr))
        self.assertNotIn("hunter2", text.stdout + printed.stdout)
        answers = {answer["option"]: answer for answer in json.loads(printed.stdout)["answers"]}
        for word in shlex.split(COMMON):
            letters = re.fullmatch(r"-([A-Za-z]+)", word)
            for option in ([f"-{letter}" for letter in letters[1]] if letters else [word.split("=")[0]] if word[0] == "-" else []):
                self.assertIn(option, answers)
                self.assertEqual(option == "--frobnicate", answers[option]["answer"] == "unknown", answers[option])
                self.assertIn(option, text.stdout)
        self.assertEqual("taken over", answers["--delete-after"]["answer"])

    def test_what_it_prints_can_be_run(self):
        node = self.farm.new_node()
        conf = self.conf(node.folder)
        printed = json.loads(self.farm.syncline("import", "-", "--json", input=conf.read_text()).stdout)
        (init,) = [command for command in printed["commands"] if command.startswith("syncline init ")]
        done = self.farm.syncline(*shlex.split(init)[1:], "--home", node.home)
        self.assertEqual(0, done.returncode, done.stderr)
        written = (node.home / "config.toml").read_text().splitlines()
        for line in printed["folders"][0]["config"].splitlines():
            if line and not line.startswith("name"):
                self.assertIn(line, written, "the same as init writes")

    def test_bad_input(self):
        self.assert_refused(self.farm.syncline("import", self.farm.directory / "nothing"), 1, "nothing", "no such file")
        self.assertEqual(2, self.farm.syncline("import").returncode)


class Migration(e2e_case.ClusterTest):
    nodes = 0

    def test_beside_the_running_job(self):
        app1, app2 = self.farm.new_node(), self.farm.new_node()
        for number in range(200):
            path = app1.folder / f"{number % 7}" / f"{number}.jpg"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(self.random.randbytes(2000))

        def job(*more):
            return rsync("-a", "--delete", "--exclude=/.syncline/", *more, f"{app1.folder}/", f"{app2.folder}/")

        def compare():
            return rsync("-anic", "--delete", "--no-owner", "--no-group", "--exclude=/.syncline/", f"{app1.folder}/",
                         f"{app2.folder}/").stdout.replace(".d..t...... ./\n", "")

        self.assertEqual(0, job().returncode)
        app1.found()
        app1.start()
        app1.wait_ready()
        app2.join(app1.invite())
        app2.start()
        self.farm.wait_linked(self.deadline(30))
        e2e_case.wait_until(lambda: not compare(), lambda: f"rsync -anic has nothing to say: {compare()}", self.deadline(30))
        for number in range(3):  # the job goes on, uploads go on at app1
            (app1.folder / f"new{number}.jpg").write_bytes(self.random.randbytes(2000))
            (app1.folder / "1" / f"{7 * number + 1}.jpg").unlink()
            self.assertEqual((0, ""), (job().returncode, job().stderr))
            self.assertTrue((app2.folder / ".syncline" / "folder").exists(), "the job keeps its hands off")
        e2e_case.wait_until(lambda: not compare(), lambda: f"rsync -anic has nothing to say: {compare()}", self.deadline(30))
        self.assertEqual([], app1.conflicts(), "what both brought is the same")
        (app2.folder / "upload-at-app2.jpg").write_bytes(b"unpinned")  # the job is disabled, the balancer switched
        app2.command("wait", "upload-at-app2.jpg")
        self.assertEqual(b"unpinned", (app1.folder / "upload-at-app2.jpg").read_bytes())
        for node in (app1, app2):
            self.assertEqual("ok", node.status()["folders"][0]["state"])


if __name__ == "__main__":
    e2e_case.main()
