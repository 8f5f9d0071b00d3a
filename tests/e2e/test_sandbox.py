"""The confinement of the running daemon, from outside: its process attributes, the modes of all it
makes, what a reload may and may not widen, where its temporary files go, that it cannot be led into
the watched folder, and where its secrets do not turn up. What a confined process cannot do is tried
from inside in tests/unit/test_sandbox.c."""

import json
import os
import signal
import stat
import subprocess
import unittest

import spoor
from spoor import write


def status_field(pid, name):
    with open("/proc/%d/status" % pid) as lines:
        for line in lines:
            if line.startswith(name + ":"):
                return line.split()[1]
    return None


class Sandbox(spoor.Case):
    def setUp(self):
        super().setUp()
        self.s = self.make()

    def reload(self):
        """SIGHUP; when this returns it has been dealt with: requests are answered after signals."""
        self.s.daemon.process.send_signal(signal.SIGHUP)
        self.s.run("status", "--json")

    def logged(self, text):
        return any(text in line for line in self.s.daemon.lines)

    def confined(self):
        """Whether this kernel confined it by paths; the daemon says so once at start."""
        return self.logged("Landlock ") and not self.logged("gives no Landlock")

    def status_word(self):
        return json.loads(self.s.run("status", "--json").splitlines()[0])["sandbox"]

    def test_attributes(self):
        s = self.s
        s.start()
        pid = s.daemon.process.pid
        self.assertEqual(status_field(pid, "NoNewPrivs"), "1")
        with open("/proc/%d/limits" % pid) as lines:
            core = [line for line in lines if line.startswith("Max core file size")][0]
        self.assertEqual(core.split()[4:6], ["0", "0"])
        # proc(5): the files of a process that must not be dumped belong to root.
        self.assertEqual(os.stat("/proc/%d/environ" % pid).st_uid, 0)
        self.assertEqual(self.status_word(), "landlock" if self.confined() else "none")
        s.check()

    def test_off(self):
        """Switched off; and the journal is the same one either way: what tells a copied one, the
        machine's own id, is in reach of both."""
        s = self.s
        s.start()
        s.check()
        s.stop()
        s.settings["log_level"] = "info\nsandbox = no"
        s.start()
        self.assertEqual(status_field(s.daemon.process.pid, "NoNewPrivs"), "0")
        s.daemon.wait_line("sandbox: off")
        self.assertEqual(self.status_word(), "off")
        self.assertIn(b"sandbox off", s.run("status"))
        self.assertFalse(self.logged("another machine"))
        s.settings["log_level"] = "info"
        s.write_config()
        s.run("reload", code=1)
        self.assertIn("the old configuration stays: ", s.last_error)
        self.assertIn("sandbox is another now", s.last_error)
        s.daemon.wait_line("sandbox is another now")
        s.check()

    def test_private_files(self):
        """Whatever the umask: directories 0700, files 0600, the socket too."""
        s = self.s
        old = os.umask(0)
        try:
            write(os.path.join(s.folder, "f"), "x")
            s.start()
            s.check()
        finally:
            os.umask(old)
        found = 0
        for top in (os.path.join(s.top, "state"), s.store):
            for place, dirs, files in os.walk(top):
                for name in [os.path.join(place, name) for name in dirs + files] + [place]:
                    mode = os.lstat(name).st_mode
                    want = 0o700 if stat.S_ISDIR(mode) else 0o600
                    self.assertEqual(stat.S_IMODE(mode), want, name)
                    found += 1
        self.assertGreater(found, 8)

    @unittest.skipUnless(os.geteuid() == 0, "only root can give a directory away")
    def test_state_of_somebody_else(self):
        s = self.s
        s.server_start()
        s.write_config()
        state = os.path.join(s.top, "state")
        os.mkdir(state, 0o700)
        os.chown(state, 65534, 65534)
        s.run("run", code=1)
        self.assertIn(state, s.last_error)
        os.chown(state, 0, 0)
        os.chmod(state, 0o777)
        s.run("run", code=1)
        self.assertIn(state, s.last_error)
        os.chmod(state, 0o700)

    def test_reload_within(self):
        """A folder inside the one that is watched, then one elsewhere, which takes a restart."""
        s = self.s
        s.start()
        if not self.confined():
            self.skipTest("this kernel has no Landlock")
        before = s.config
        with open(before) as text:
            plain = text.read()
        os.mkdir(os.path.join(s.top, "docs", "sub"))
        other = os.path.join(os.path.dirname(s.top), os.path.basename(s.top) + "-other")
        os.mkdir(other)
        self.addCleanup(spoor.remove, other)
        s.check()
        s.settings["folder_lines"] = "[folder \"more\"]\npath = %s" % other
        s.write_config()
        self.reload()
        s.daemon.wait_line("that takes a stop and a start")
        with open(before, "w") as out:
            out.write(plain)
        write(os.path.join(s.folder, "f"), "1")
        s.check()
        # Replaced by renaming, as editors do.
        with open(before + ".new", "w") as out:
            out.write(plain.replace("max_delay = 1s", "max_delay = 2s"))
        os.rename(before + ".new", before)
        self.reload()
        s.daemon.wait_line("the new configuration runs")
        write(os.path.join(s.folder, "f"), "2")
        s.check()

    def test_log_rotation(self):
        s = self.s
        log = os.path.join(s.top, "log", "spoor.log")
        os.mkdir(os.path.dirname(log))
        s.settings["log_level"] = "info\nlog_file = " + log
        s.server_start()
        s.write_config()
        s.run("start")
        try:
            os.rename(log, log + ".1")
            with open(os.path.join(s.top, "state", "lock")) as text:
                pid = int(text.read().split()[0])
            os.kill(pid, signal.SIGHUP)
            s.run("sync")
            self.assertTrue(os.path.exists(log))
        finally:
            s.run("stop")
        with open(log) as text:
            self.assertIn("stopped", text.read())

    def test_led_into_the_folder(self):
        """Asked to write into the watched folder: the log's directory has become a link to it when
        the log is opened anew. Confined it cannot; unconfined it does."""
        for sandbox in ("yes", "no"):
            with self.subTest(sandbox=sandbox):
                s = self.s = self.make()
                place = os.path.join(s.top, "log")
                os.mkdir(place)
                s.settings["log_level"] = "info\nsandbox = %s\nlog_file = %s" % (
                    sandbox, os.path.join(place, "spoor.log"))
                s.server_start()
                s.write_config()
                s.run("start")
                try:
                    with open(os.path.join(place, "spoor.log")) as text:
                        confined = sandbox == "yes" and "gives no Landlock" not in text.read()
                    os.rename(place, place + ".old")
                    os.symlink(s.folder, place)
                    with open(os.path.join(s.top, "state", "lock")) as text:
                        os.kill(int(text.read().split()[0]), signal.SIGHUP)
                    s.run("sync")
                    self.assertEqual(os.listdir(s.folder), [] if confined else ["spoor.log"])
                finally:
                    s.run("stop")
                if sandbox == "yes" and not confined:
                    self.skipTest("this kernel has no Landlock")

    def test_links_in_the_state_directory(self):
        """A link where the lock should be is refused, one where the socket should be goes; what
        they point to is left alone."""
        s = self.s
        victim = os.path.join(s.outside, "victim")
        write(victim, "content")
        s.server_start()
        s.write_config()
        state = os.path.join(s.top, "state")
        os.mkdir(state, 0o700)
        os.symlink(victim, os.path.join(state, "lock"))
        s.run("run", code=1)
        self.assertIn("lock", s.last_error)
        os.unlink(os.path.join(state, "lock"))
        os.symlink(victim, os.path.join(state, "control.sock"))
        s.start()
        self.assertTrue(stat.S_ISSOCK(os.lstat(os.path.join(state, "control.sock")).st_mode))
        s.check()
        with open(victim) as text:
            self.assertEqual(text.read(), "content")

    def test_token_stays_secret(self):
        """The token is sent to the server; it is in no log, no argument, no variable, and no file
        that was not there before."""
        s = self.s
        token = "secret-%016x" % self.random.getrandbits(64)
        for name, content in (("token", token), ("wrong", token[::-1])):
            write(os.path.join(s.top, name), content + "\n")
            os.chmod(os.path.join(s.top, name), 0o600)
        port = subprocess.Popen(
            [spoor.OPTIONS.bin, "collect", "--listen", "127.0.0.1:0", "--store", s.store,
             "--token-file", os.path.join(s.top, "token")], stderr=subprocess.PIPE)
        said = [port.stderr.readline()]
        try:
            s.settings["port"] = int(said[0].rsplit(b":", 1)[1].split()[0])
            s.settings["log_level"] = "debug"
            for name in ("wrong", "token"):
                s.settings["upload_lines"] = "token_file = " + os.path.join(s.top, name)
                s.daemon_start()
                write(os.path.join(s.folder, name), "x")
                s.run("sync", *(["--uploaded"] if name == "token" else []))
                shown = s.run("status") + s.run("status", "--json") + s.run("config", "show")
                for field in ("cmdline", "environ"):
                    with open("/proc/%d/%s" % (s.daemon.process.pid, field), "rb") as text:
                        shown += text.read()
                shown += "\n".join(s.daemon.lines).encode()
                for secret in (token, token[::-1]):
                    self.assertNotIn(secret.encode(), shown)
                s.stop()
        finally:
            port.terminate()
            said.append(port.communicate()[1])
            self.assertEqual(port.returncode, 0)
        self.assertNotIn(token.encode(), b"".join(said))
        for place, _, files in os.walk(s.top):
            for name in files:
                path = os.path.join(place, name)
                if os.path.isfile(path) and name not in ("token", "wrong"):
                    with open(path, "rb") as content:
                        read = content.read()
                    for secret in (token, token[::-1]):
                        self.assertNotIn(secret.encode(), read, path)

    def test_large_sort(self):
        """The index of the first load sorts in files of its own, in the state directory."""
        s = self.s
        count = spoor.scaled(60000, 20000)
        for i in range(0, count, 500):
            place = os.path.join(s.folder, "d%04d" % (i // 500))
            os.mkdir(place)
            first = os.path.join(place, "f" + "x" * 100)
            write(first, "x")
            for k in range(1, 500):
                os.link(first, os.path.join(place, "%03d" % k + "x" * 100))
        s.start()
        s.sync()
        s.run("verify")


if __name__ == "__main__":
    spoor.main(__doc__)
