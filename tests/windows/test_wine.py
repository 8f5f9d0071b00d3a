"""spoor.exe under Wine: the whole daemon against its own collector, by the command line alone.

    python3 tests/windows/test_wine.py --bin build/mingw/spoor.exe --wine cmake/wine.sh

Files are made, written, renamed, moved and deleted in the watched folder, the kernel's buffer
overflows, the daemon is killed and started again, and `verify` and `verify --server` must find no
difference.
"""

import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wine


class WholeDaemon(wine.Case):
    def work(self, round_number):
        deep = os.path.join(*[wine.LONG_NAME] * 3)  # above 260 characters
        for i in range(20):
            self.write(f"r{round_number}/d{i % 3}/f{i}", "x" * i)
        self.write(f"r{round_number}/gr\u00fc\u00df \u4e16\u754c", "names")
        self.write(os.path.join(deep, f"deep{round_number}"), "long paths")
        self.run_spoor("sync")
        self.write(f"r{round_number}/d0/f0", "modified")
        os.rename(self.path(f"r{round_number}/d0/f3"), self.path(f"r{round_number}/d0/renamed"))
        os.rename(self.path(f"r{round_number}/d1/f1"), self.path(f"r{round_number}/d2/moved"))
        os.unlink(self.path(f"r{round_number}/d2/f2"))
        os.rename(self.path(f"r{round_number}/d1"), self.path(f"moved{round_number}"))
        self.write(f"moved{round_number}/after", "in a directory that moved")
        shutil.rmtree(self.path(f"r{round_number}/d2"))

    def test_work_kill_restart(self):
        self.start_server()
        self.write("before", "there at the first scan")
        self.start_daemon()
        self.assert_whole()
        self.work(1)
        self.assert_whole()
        names = self.assert_good("tree")
        for name in ("before", "moved1/after", "r1/d0/renamed", "deep1"):
            self.assertIn(name, names)
        self.assertNotIn("r1/d2", names)
        self.daemon.end(signal.SIGKILL)
        self.work(2)
        os.unlink(self.path("before"))
        self.start_daemon()
        self.assert_whole()
        names = self.assert_good("tree")
        self.assertIn("moved2/after", names)
        self.assertNotIn("before", names)
        self.assert_good("status")

    def test_long_paths(self):
        """The folder and the state directory themselves lie deeper than 260 characters."""
        deep = os.path.join(self.top, *[wine.LONG_NAME] * 3)
        self.docs = os.path.join(deep, "docs")
        self.state = os.path.join(deep, "state")
        os.makedirs(self.docs)
        self.start_server()
        self.start_daemon()
        self.work(1)
        self.assert_whole()
        self.daemon.end(signal.SIGKILL)
        self.work(2)
        self.start_daemon()
        self.assert_whole()

    def storm(self):
        """Half a megabyte holds 1270 records of such names: one for each new file, or more."""
        for i in range(1500):
            self.write("storm/%0200d" % i, "x")
        for i in range(0, 1500, 2):
            os.unlink(self.path("storm/%0200d" % i))

    def test_overflow(self):
        """Nobody reads what the system tells, until its buffer is full and all of it is dropped."""
        self.start_server()
        self.write("old/f", "there at the first scan")
        self.write("old/g", "gone in the storm")
        self.start_daemon()
        self.assert_whole()
        last = self.objects("log", "-n", "1")[0]["seq"]
        self.daemon.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.daemon.process.pid, os.WSTOPPED | os.WNOWAIT)
        self.storm()
        os.rename(self.path("old"), self.path("new"))
        os.unlink(self.path("new/g"))
        self.daemon.process.send_signal(signal.SIGCONT)
        self.assert_whole()
        gaps = [row for row in self.objects("log", "--since", str(last + 1))
                if row["kind"] == "gap"]
        self.assertEqual([(row["state"], row.get("reason")) for row in gaps],
                         [("open", "overflow"), ("closed", None)])
        # What is told is heard again. (Not in new: Wine tells that by its old name for ever.)
        self.write("storm/after", "the overflow")
        self.assert_whole()

    def test_start_and_stop(self):
        self.start_server()
        self.write_config()
        # Under Wine a child always inherits the Unix pipes, whose end would be waited for.
        said_path = os.path.join(self.top, "said")
        with open(said_path, "wb") as said:
            done = subprocess.run(self.command("start", "--config", self.windows(self.config)),
                                  stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                  timeout=wine.LIMIT_S, check=False)
        self.addCleanup(self.run_spoor, "stop")
        with open(said_path, encoding="utf-8") as said:
            text = said.read()
        self.assertEqual(done.returncode, 0, text)
        self.assertIn("started", text)
        self.write("made", "by the daemon in the background")
        self.daemon = self.server  # whose log a failure shows
        self.assert_whole()
        code, _, said = self.run_spoor("start")
        self.assertEqual(code, 1, said)
        self.assertIn("runs already", said)
        code, _, said = self.run_spoor("stop")
        self.assertEqual(code, 0, said)
        self.assertIn("stopped", said)
        code, _, said = self.run_spoor("stop")
        self.assertIn("not running", said)

    def test_reload(self):
        self.start_server()
        self.start_daemon()
        self.write("a.tmp", "not ignored yet")
        self.assert_whole()
        self.upload_lines = "kinds = create\n"
        self.write_config()
        code, _, said = self.run_spoor("reload")
        self.assertEqual(code, 78, said)  # a replica gets all kinds
        self.assertIn("kinds", said)
        self.upload_lines = "fold = off\n"
        self.write_config()
        code, _, said = self.run_spoor("reload")
        self.assertEqual(code, 0, said)
        self.assertIn("in force", said)
        self.assertIsNotNone(self.daemon.wait_line("the new configuration runs"))
        self.write("b", "after")
        self.assert_whole()

    def test_stop_ends_run(self):
        self.start_server()
        self.start_daemon()
        code, _, said = self.run_spoor("stop")
        self.assertEqual(code, 0, said)
        self.assertEqual(self.daemon.wait(), 0, self.daemon.text())


if __name__ == "__main__":
    wine.main(__doc__)
