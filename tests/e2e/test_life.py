"""The life of the daemon in the background: start and stop, what keeps it from starting, folders that
come later, a reload, signals."""

import fcntl
import os
import re
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spoor
from spoor import write

FAILED = 1
CONFIG = 78


class Life(spoor.Case):
    def setUp(self):
        super().setUp()
        self.s = self.make()

    def test_start_and_stop(self):
        s = self.s
        s.server_start()
        s.write_config()
        s.run("stop")  # none runs: no failure
        pid = self.start()
        write(os.path.join(s.folder, "a"), "1")
        s.check()
        s.run("start", code=FAILED)
        self.assertIn(str(pid), s.last_error)
        s.run("run", code=FAILED)
        self.assertIn(str(pid), s.last_error)
        began = time.monotonic()
        s.run("stop")
        self.assertLess(time.monotonic() - began, 2 if not spoor.OPTIONS.quick else 20)
        self.assertIn("not running", s.run("status").decode())
        s.run("stop")
        pid = self.start()
        os.kill(pid, signal.SIGKILL)
        self.wait_unlocked()
        pid = self.start()
        s.check()
        s.run("stop")
        log = os.path.join(s.top, "state", "spoor.log")
        self.assertEqual(os.stat(log).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(os.path.join(s.top, "state")).st_mode & 0o777, 0o700)

    @staticmethod
    def kill(pid):
        try:
            with open("/proc/%d/comm" % pid, encoding="ascii") as name:
                if name.read().strip() == "spoor":
                    os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, FileNotFoundError):
            pass

    def wait_unlocked(self):
        """The killed daemon is nobody's child here: its end is seen by its lock."""
        with open(os.path.join(self.s.top, "state", "lock"), "r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)

    def start(self):
        """In the background; ended with the test whatever happens."""
        self.s.run("start")
        pid = int(re.search(r"process (\d+)", self.s.last_error).group(1))
        self.addCleanup(self.kill, pid)
        return pid

    def test_failing_start(self):
        s = self.s
        s.settings["port"] = 9
        s.write_config()
        state = os.path.join(s.top, "state")
        write(state, "a file in the way")
        s.run("start", code=CONFIG)
        self.assertIn(state, s.last_error)
        os.unlink(state)
        os.mkdir(state, 0o700)
        write(os.path.join(state, "docs"), "another, which the daemon meets")
        s.run("start", code=FAILED)
        self.assertIn(os.path.join(state, "docs"), s.last_error)
        os.unlink(os.path.join(state, "docs"))
        write(os.path.join(state, "control.sock"), "in the way")
        self.start()  # what is left of a socket is no obstacle
        s.run("stop")

    def test_folder_comes_later(self):
        """A folder that is not there at the start is waited for."""
        s = self.s
        os.rmdir(s.folder)
        s.start()
        os.mkdir(s.folder)
        write(os.path.join(s.folder, "f"), "x")
        s.stop()
        s.start()
        s.check()
        self.assertEqual(sorted(s.tree()), [b"f"])

    def test_reload(self):
        s = self.s
        s.start()
        write(os.path.join(s.folder, "a.tmp"), "1")
        s.check()
        s.settings["folder_lines"] = "ignore = *.tmp"
        s.write_config()
        s.run("reload")
        s.check(ignored=[b"a.tmp"])
        row = s.rows()[-1]
        self.assertEqual((row["kind"], row["path"], row.get("ignored")), ("delete", "a.tmp", True))
        s.settings["folder_lines"] = "ingore = *.tmp"
        s.write_config()
        s.daemon.process.send_signal(signal.SIGHUP)
        # Requests are answered after signals: now the file has been read. Commands read it too.
        s.settings["folder_lines"] = "ignore = *.tmp"
        good = s.config + ".good"
        s.config, bad = good, s.config
        s.write_config()
        s.sync()
        os.rename(good, bad)
        s.config = bad
        s.check(ignored=[b"a.tmp"])
        s.daemon.wait_line("ingore")
        s.stop()
        s.run("reload", code=1)
        self.assertIn("no daemon runs", s.last_error)

    def test_signals(self):
        s = self.s
        for how in (signal.SIGTERM, signal.SIGINT):
            s.start()
            for i in range(200):
                write(os.path.join(s.folder, "f%d" % i), str(how))
            s.stop(how)
        s.start(wait=False)
        s.daemon.wait_ready()
        s.check()

    def test_stop_while_the_server_hangs(self):
        """A server that takes the request and never answers does not hold up the stop."""
        s = self.s
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        s.settings["port"] = listener.getsockname()[1]
        s.daemon_start()
        write(os.path.join(s.folder, "a"), "1")
        s.sync()
        connection, _ = listener.accept()
        self.addCleanup(connection.close)
        connection.recv(1)
        s.stop()


if __name__ == "__main__":
    spoor.main(__doc__)
