"""spoor.exe under Wine: the whole daemon against its own collector, by the command line alone.

    python3 tests/windows/test_wine.py --bin build/mingw/spoor.exe --wine cmake/wine.sh

Files are made, written, renamed, moved and deleted in the watched folder, the daemon is killed and
started again, and `verify` and `verify --server` must find no difference. Nothing here sleeps:
quiet is `spoor sync --uploaded`, readiness a line on standard error.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

LIMIT_S = 120
LONG_NAME = "long-" + "x" * 120
OPTIONS = argparse.Namespace(bin=None, wine=None)

CONFIG = """[daemon]
state_dir = {top}/state
[folder "docs"]
path = {top}/docs
settle = 50ms
[upload "main"]
url = {url}
batch_delay = 20ms
retry_min = 20ms
retry_max = 200ms
brake_count = 0
"""


class Running:
    """A process whose standard error is read to the end by a thread."""

    def __init__(self, command, ready):
        self.lines = []
        self.ready = None
        self.seen = threading.Event()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.thread = threading.Thread(target=self.read, args=(ready,), daemon=True)
        self.thread.start()
        self.seen.wait(LIMIT_S)
        if self.ready is None:
            self.end(signal.SIGKILL)
            raise AssertionError("did not get ready:\n" + "\n".join(self.lines))

    def read(self, ready):
        for line in self.process.stderr:
            text = line.decode("utf-8", "replace").rstrip()
            self.lines.append(text)
            if self.ready is None and ready in text:
                self.ready = text
                self.seen.set()
        self.seen.set()

    def end(self, how):
        self.process.send_signal(how)
        return self.wait()

    def wait(self):
        status = self.process.wait(LIMIT_S)
        self.thread.join(LIMIT_S)
        self.process.stderr.close()
        return status


class WholeDaemon(unittest.TestCase):
    def setUp(self):
        place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.top = tempfile.mkdtemp(prefix="spoor-wine-", dir=place)
        self.addCleanup(shutil.rmtree, self.top, True)
        self.docs = os.path.join(self.top, "docs")
        self.config = os.path.join(self.top, "spoor.conf")
        os.mkdir(self.docs)
        self.daemon = self.server = None
        self.addCleanup(self.kill_all)

    def kill_all(self):
        for running in (self.daemon, self.server):
            if running and running.process.poll() is None:
                running.end(signal.SIGKILL)

    @staticmethod
    def windows(path):
        return "Z:" + path  # where Wine shows the whole of /

    def command(self, *arguments):
        return [OPTIONS.wine, OPTIONS.bin, *arguments]

    def run_spoor(self, verb, *arguments):
        done = subprocess.run(
            self.command(verb, "--config", self.windows(self.config), *arguments),
            stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=False)
        return done.returncode, done.stdout.decode("utf-8", "replace"), \
            done.stderr.decode("utf-8", "replace")

    def start_server(self):
        self.server = Running(
            self.command("collect", "--listen", "127.0.0.1:0", "--store",
                         self.windows(os.path.join(self.top, "store"))), "listening on")
        port = self.server.ready.rsplit(":", 1)[1]
        with open(self.config, "w", encoding="utf-8") as out:
            out.write(CONFIG.format(top=self.windows(self.top),
                                    url="http://127.0.0.1:" + port))

    def start_daemon(self):
        self.daemon = Running(self.command("run", "--config", self.windows(self.config)),
                              "runs: 1 folder")

    def assert_good(self, verb, *arguments):
        code, out, said = self.run_spoor(verb, *arguments)
        self.assertEqual(code, 0, out + said + "\n" + "\n".join(self.daemon.lines[-40:]))
        return out

    def assert_whole(self):
        self.assert_good("sync", "--uploaded", "--timeout", "60s")
        self.assert_good("verify")
        self.assert_good("verify", "--server")

    def tree_names(self):
        lines = self.assert_good("tree", "-0").split("\0")
        return {line for line in lines if line}

    def write(self, name, text):
        path = os.path.join(self.docs, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)

    def path(self, name):
        return os.path.join(self.docs, name)

    def work(self, round_number):
        deep = os.path.join(*[LONG_NAME] * 3)  # above 260 characters
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

    def test_start_and_stop(self):
        self.start_server()
        # Under Wine a child always inherits the Unix pipes, whose end would be waited for.
        said_path = os.path.join(self.top, "said")
        with open(said_path, "wb") as said:
            done = subprocess.run(self.command("start", "--config", self.windows(self.config)),
                                  stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                  timeout=LIMIT_S, check=False)
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

    def test_stop_ends_run(self):
        self.start_server()
        self.start_daemon()
        code, _, said = self.run_spoor("stop")
        self.assertEqual(code, 0, said)
        self.assertEqual(self.daemon.wait(), 0, "\n".join(self.daemon.lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True, help="spoor.exe")
    parser.add_argument("--wine", required=True, help="cmake/wine.sh")
    parser.add_argument("tests", nargs="*", help="names of tests, all by default")
    arguments = parser.parse_args()
    OPTIONS.bin = os.path.abspath(arguments.bin)
    OPTIONS.wine = os.path.abspath(arguments.wine)
    unittest.main(module="__main__", argv=[sys.argv[0], "-v"] + arguments.tests)


if __name__ == "__main__":
    main()
