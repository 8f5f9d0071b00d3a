"""The harness of the tests of the whole program under Wine: one folder, one daemon, one collector,
driven by the command line alone. The folder is worked on from the Linux side, where Wine shows the
whole of / as Z:. Nothing here sleeps: quiet is `spoor sync`, readiness a line on standard error.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import spoor

LIMIT_S = 120
LONG_NAME = "long-" + "x" * 120
OPTIONS = argparse.Namespace(bin=None, wine=None)

CONFIG = """[daemon]
state_dir = {state}
[folder "docs"]
path = {docs}
settle = 50ms
[upload "main"]
url = {url}
batch_delay = 20ms
retry_min = 20ms
retry_max = 200ms
brake_count = 0
{upload_lines}"""


class Running:
    """A process whose standard error is read to the end by a thread, until a line of it has `ready`."""

    def __init__(self, command, ready):
        self.lines = []
        self.more = threading.Condition()
        self.ended = False
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        self.ready = self.wait_line(ready)
        if self.ready is None:
            self.end(signal.SIGKILL)
            raise AssertionError("did not get ready:\n" + self.text())

    def read(self):
        for line in self.process.stderr:
            with self.more:
                self.lines.append(line.decode("utf-8", "replace").rstrip())
                self.more.notify_all()
        with self.more:
            self.ended = True
            self.more.notify_all()

    def wait_line(self, *words, after=0):
        """The first line from number `after` on that has all these words, whatever their case; None
        when there comes none."""
        def find():
            return next((line for line in self.lines[after:]
                         if all(word.lower() in line.lower() for word in words)), None)
        with self.more:
            self.more.wait_for(lambda: self.ended or find() is not None, LIMIT_S)
            return find()

    def text(self):
        return "\n".join(self.lines[-40:])

    def end(self, how):
        self.process.send_signal(how)
        return self.wait()

    def wait(self):
        status = self.process.wait(LIMIT_S)
        self.thread.join(LIMIT_S)
        self.process.stderr.close()
        return status


class Case(unittest.TestCase):
    def setUp(self):
        place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.top = tempfile.mkdtemp(prefix="spoor-wine-", dir=place)
        self.addCleanup(shutil.rmtree, self.top, True)
        self.docs = os.path.join(self.top, "docs")
        self.state = os.path.join(self.top, "state")
        self.config = os.path.join(self.top, "spoor.conf")
        os.mkdir(self.docs)
        self.url = None  # the collector's, unless another is set
        self.upload_lines = ""
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
        self.port = int(self.server.ready.rsplit(":", 1)[1])

    def write_config(self):
        with open(self.config, "w", encoding="utf-8") as out:
            out.write(CONFIG.format(state=self.windows(self.state), docs=self.windows(self.docs),
                                    url=self.url or "http://127.0.0.1:%d" % self.port,
                                    upload_lines=self.upload_lines))

    def start_daemon(self):
        self.write_config()
        self.daemon = Running(self.command("run", "--config", self.windows(self.config)),
                              "runs: 1 folder")

    def assert_good(self, verb, *arguments):
        code, out, said = self.run_spoor(verb, *arguments)
        self.assertEqual(code, 0, out + said + "\n" + self.daemon.text())
        return out

    def objects(self, verb, *arguments):
        return [json.loads(line) for line in self.assert_good(verb, "--json", *arguments).splitlines()]

    def assert_whole(self):
        """Journal and server hold what lies on the disk: so say the program, and the oracle."""
        self.assert_good("sync", "--uploaded", "--timeout", "60s")
        disk = {path: found[:2] for path, found in spoor.walk(self.docs).items()}
        for name, lines in (("journal", self.objects("tree")), ("server", self.server_tree())):
            tree = {spoor.path_of(item): spoor.public(item)[:2] for item in lines}
            spoor.same(tree, disk, name, "disk")
        self.assert_good("verify")
        self.assert_good("verify", "--server")

    def server_tree(self):
        with open(os.path.join(self.state, "docs", "journal.id"), encoding="utf-8") as lines:
            journal = dict(line.split() for line in lines)["id"]
        url = "http://127.0.0.1:%d/v1/journals/%s/tree" % (self.port, journal)
        with urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
            return [json.loads(line) for line in answer]

    def store_files(self):
        return [name for name in os.listdir(os.path.join(self.top, "store"))
                if name.endswith(".db")]

    def write(self, name, text):
        path = os.path.join(self.docs, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)

    def path(self, name):
        return os.path.join(self.docs, name)


def main(doc):
    """Runs the calling file's tests."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--bin", required=True, help="spoor.exe")
    parser.add_argument("--wine", required=True, help="cmake/wine.sh")
    parser.add_argument("tests", nargs="*", help="names of tests, all by default")
    arguments = parser.parse_args()
    OPTIONS.bin = os.path.abspath(arguments.bin)
    OPTIONS.wine = os.path.abspath(arguments.wine)
    unittest.main(module="__main__", argv=[sys.argv[0], "-v"] + arguments.tests)
