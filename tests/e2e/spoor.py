"""The harness of the end-to-end tests: one folder, one daemon, one collector, all real.

Everything lives in one temporary directory. Nothing here sleeps but until(): the daemon's readiness
is a line on its standard error, quiet is `spoor sync`, an end is waitpid. The oracle is written here
again, in Python, so that `spoor verify` is itself under test.
"""

import argparse
import json
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

from mutator import Mutator, exchange, write  # noqa: F401 (tests take them from here)

CALL_LIMIT_S = 120  # no command may take longer
START_LIMIT_S = 60
STOP_LIMIT_S = 2.0  # daemon.h: DAEMON_STOP_MS
WAIT_LIMIT_S = 100

OPTIONS = argparse.Namespace(bin=None, seed=1, quick=False, keep=False, backend="auto")

CONFIG = """[daemon]
state_dir = {top}/state
log_level = {log_level}
[folder "docs"]
path = {folder}
settle = {settle}
max_delay = {max_delay}
backend = {backend}
{folder_lines}
[upload "main"]
url = {url}
batch_delay = 20ms
retry_min = {retry_min}
retry_max = {retry_max}
fold = {fold}
brake_count = {brake}
{upload_lines}
"""


def main(doc):
    """Runs the calling file's tests; its options are those of all end-to-end tests."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--bin", required=True, help="the spoor binary")
    parser.add_argument("--seed", type=int, default=1, help="of everything random")
    parser.add_argument("--quick", action="store_true", help="smaller trees, fewer rounds")
    parser.add_argument("--keep", action="store_true", help="keep the directories of failed tests")
    parser.add_argument("--backend", default="auto", help="the folder's backend")
    parser.add_argument("tests", nargs="*", help="names of tests, all by default")
    arguments = parser.parse_args()
    arguments.bin = os.path.abspath(arguments.bin)
    vars(OPTIONS).update(vars(arguments))
    unittest.main(module="__main__", argv=[sys.argv[0], "-v"] + arguments.tests)


def watched_by():
    """The back-end of local folders, as status says it."""
    return "inotify" if OPTIONS.backend == "auto" else OPTIONS.backend


def scaled(full, quick):
    return quick if OPTIONS.quick else full


def until(question, what):
    """Asks again until the answer is yes, and returns it. For what another process comes to by itself
    and no event tells of, such as a line of `status`."""
    end = time.monotonic() + WAIT_LIMIT_S
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError("in vain waited for: " + (what() if callable(what) else what))
        time.sleep(0.01)


class Line:
    """A process whose standard error is read to the end by a thread and kept."""

    def __init__(self, arguments, ready, **more):
        self.lines = []
        self.ready_line = None
        self.event = threading.Event()
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, **more)
        self.thread = threading.Thread(target=self._read, args=(ready,), daemon=True)
        self.thread.start()

    def _read(self, ready):
        for line in self.process.stderr:
            text = line.decode("utf-8", "replace").rstrip("\n")
            self.lines.append(text)
            if self.ready_line is None and ready in text:
                self.ready_line = text
                self.event.set()
        self.event.set()

    def wait_ready(self):
        self.event.wait(START_LIMIT_S)
        if self.ready_line is None:
            raise AssertionError("did not get ready: " + self.text())
        return self.ready_line

    def text(self):
        return "\n".join(self.lines[-60:])

    def wait_line(self, part, since=0):
        """Until a line has it: what was written is here only when our thread has read it."""
        until(lambda: any(part in line for line in self.lines[since:]),
              lambda: "'%s' in\n%s" % (part, self.text()))

    def end(self, how):
        """Sends a signal and waits; returns the exit status."""
        self.process.send_signal(how)
        status = self.process.wait(CALL_LIMIT_S)
        self.thread.join(CALL_LIMIT_S)
        self.process.stderr.close()
        return status


class Spoor:
    def __init__(self, settle="50ms", folder_lines="", upload_lines="", fold="on", brake=0, log_level="info",
                 user=None, backend=None, max_delay="1s", retry_min="20ms", retry_max="200ms"):
        self.top = tempfile.mkdtemp(prefix="spoor-e2e-")
        self.folder = os.path.join(self.top, "docs")
        self.store = os.path.join(self.top, "store")
        self.config = os.path.join(self.top, "spoor.conf")
        self.outside = os.path.join(self.top, "outside")
        self.user = user
        os.mkdir(self.folder)
        os.mkdir(self.outside)
        self.settings = dict(top=self.top, folder=self.folder, settle=settle, port=0, url=None,
                             max_delay=max_delay, retry_min=retry_min, retry_max=retry_max,
                             folder_lines=folder_lines, upload_lines=upload_lines, fold=fold,
                             brake=brake,
                             backend=backend or OPTIONS.backend, log_level=log_level)
        self.daemon = None
        self.server = None
        if user is not None:
            for path in (self.top, self.folder, self.outside):
                os.chown(path, user, user)

    # ---- commands ----

    def command(self, *arguments):
        return [OPTIONS.bin, arguments[0], "--config", self.config, *map(os.fsdecode,
                                                                         arguments[1:])]

    def as_user(self):
        return {} if self.user is None else dict(user=self.user, group=self.user, extra_groups=[])

    def run(self, *arguments, code=0, **more):
        """Runs a command, checks its exit code, returns what it wrote to standard output."""
        done = subprocess.run(self.command(*arguments), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=CALL_LIMIT_S, **self.as_user(), **more)
        self.last_error = done.stderr.decode("utf-8", "replace")
        if code is not None and done.returncode != code:
            raise AssertionError("spoor %s: exit %d instead of %d\n%s\n%s\n-- daemon --\n%s" % (
                " ".join(map(os.fsdecode, arguments)), done.returncode, code,
                done.stdout[:4000].decode("utf-8", "replace"), self.last_error[:4000],
                self.daemon.text() if self.daemon else "not running"))
        return done.stdout

    def objects(self, *arguments, **more):
        return [json.loads(line) for line in self.run(*arguments, "--json", **more).splitlines()]

    def status(self, record, **which):
        """The first line of `status` that is such a record, of that upload or folder."""
        return next(line for line in self.objects("status") if line["record"] == record and
                    all(line[key] == value for key, value in which.items()))

    def upload(self, **which):
        return self.status("upload", **which)

    def wait_upload(self, state, word="", status=None, **which):
        """Until the upload is in that state, its error has `word` in it, and the server has answered
        with that status, if one is named; returns the record."""
        def is_so():
            line = self.upload(**which)
            so = line["state"] == state and word.lower() in (line.get("error") or "").lower() and \
                status in (None, line.get("http_status"))
            return line if so else None
        return until(is_so, lambda: "%s %r %s: %s" % (state, word, status, self.upload(**which)))

    def sync(self, uploaded=False):
        if self.daemon:
            self.daemon.wait_ready()
        self.run("sync", "--timeout", "100s", *(["--uploaded"] if uploaded else []))

    def rows(self, since=1):
        return self.objects("log", "--since", str(since))

    def last_seq(self):
        rows = self.objects("log", "-n", "1")
        return rows[0]["seq"] if rows else 0

    def new_rows(self, act):
        """The rows that `act` causes."""
        self.sync()
        since = self.last_seq() + 1
        act()
        self.sync()
        return self.rows(since)

    # ---- life ----

    def write_config(self):
        with open(self.config, "w", encoding="utf-8") as out:
            url = self.settings["url"] or "http://127.0.0.1:%d" % self.settings["port"]
            out.write(CONFIG.format(**{**self.settings, "url": url}))

    def server_start(self, wrap=(), **more):
        self.server = Line([*wrap, OPTIONS.bin, "collect", "--listen",
                            "127.0.0.1:%d" % self.settings["port"], "--store", self.store],
                           "listening on", **self.as_user(), **more)
        line = self.server.wait_ready()
        self.settings["port"] = int(line.rsplit(":", 1)[1].split()[0])

    def server_kill(self):
        self.server.end(signal.SIGKILL)
        self.server = None

    def server_stop(self):
        status = self.server.end(signal.SIGTERM)
        self._judge(self.server, status)
        self.server = None

    def start(self, wait=True, wrap=(), **more):
        """Starts collector and daemon as far as they do not run."""
        if self.server is None:
            self.server_start()
        self.daemon_start(wait, wrap, **more)

    def daemon_start(self, wait=True, wrap=(), **more):
        self.write_config()
        self.daemon = Line([*wrap, *self.command("run")], " runs: ", **self.as_user(), **more)
        if wait:
            self.daemon.wait_ready()

    def kill9(self, also=()):
        """`also`: signals by which it may have ended before."""
        status = self.daemon.end(signal.SIGKILL)
        daemon, self.daemon = self.daemon, None
        if -status not in (signal.SIGKILL, *also):
            raise AssertionError("the daemon had ended by itself: %d\n%s" % (status, daemon.text()))

    def stop(self, how=signal.SIGTERM):
        self.daemon.wait_ready()  # before that a signal ends it as any program
        began = time.monotonic()
        status = self.daemon.end(how)
        took = time.monotonic() - began
        daemon, self.daemon = self.daemon, None
        self._judge(daemon, status)
        # Sanitizers make everything slower, and the check for leaks at the end is theirs.
        if took > (STOP_LIMIT_S if not OPTIONS.quick else 10 * STOP_LIMIT_S):
            raise AssertionError("the stop took %.1f s\n%s" % (took, daemon.text()))

    @staticmethod
    def _judge(line, status):
        text = "\n".join(line.lines)
        if status != 0 or "Sanitizer" in text or "runtime error:" in text:
            raise AssertionError("exit status %d\n%s" % (status, text[-8000:]))

    def close(self):
        """Ends what runs and removes everything. Faults of the end are raised."""
        try:
            if self.daemon:
                self.stop()
            if self.server:
                self.server_stop()
        finally:
            for line in (self.daemon, self.server):
                if line:
                    line.end(signal.SIGKILL)
            remove(self.top)

    # ---- checks ----

    def tree(self, *arguments):
        """The journal's tree in the oracle's form."""
        return {path_of(item): public(item) for item in self.objects("tree", *arguments)}

    def server_tree(self):
        if not self.store_files():
            return {}  # nothing was sent: the server has not heard of the journal
        with open(os.path.join(self.top, "state", "docs", "journal.id"), encoding="utf-8") as lines:
            return self.server_tree_of(dict(line.split() for line in lines)["id"])

    def server_tree_of(self, journal):
        url = "http://127.0.0.1:%d/v1/journals/%s/tree" % (self.settings["port"], journal)
        with urllib.request.urlopen(url, timeout=CALL_LIMIT_S) as answer:
            return {path_of(item): public(item) for item in map(json.loads, answer)}

    def store_files(self):
        return sorted(os.path.join(self.store, name) for name in os.listdir(self.store)
                      if name.endswith(".db"))

    def check(self, ignored=()):
        """Journal, disk and server hold the same tree, and each row arrived exactly once (or was
        folded away)."""
        self.sync(uploaded=True)
        disk = walk(self.folder)
        for path in ignored:
            disk.pop(path, None)
        same(self.tree(), disk, "journal", "disk")
        same(self.server_tree(), disk, "server", "disk")
        # I1: replaying the rows from the first one gives the tree table.
        same(self.tree("--at", str(self.last_seq())), disk, "replay", "disk")
        self.run("verify")
        self.run("verify", "--server")
        self.check_seqs()

    def check_seqs(self):
        last = self.last_seq()
        if not last:
            return
        files = self.store_files()
        assert len(files) == 1, files
        store = sqlite3.connect("file:%s?mode=ro" % files[0], uri=True)
        try:
            seqs = [seq for seq, in store.execute("SELECT seq FROM change ORDER BY seq")]
        finally:
            store.close()
        if self.settings["fold"] == "on":
            assert set(seqs) <= set(range(1, last + 1)), "the server holds rows of another journal"
        else:
            assert seqs == list(range(1, last + 1)), \
                "the server holds %d rows, the journal ends at %d" % (len(seqs), last)
        local = [row["seq"] for row in self.rows()]
        assert local == list(range(1, last + 1)), "the journal has a hole"


class Case(unittest.TestCase):
    """A test with one Spoor of its own, checked at its end; `seed` is printed when it fails."""

    def make(self, **settings):
        spoor = Spoor(**settings)

        def close():
            if OPTIONS.keep and self.has_failed():
                print("kept: " + spoor.top, file=sys.stderr)
                spoor.top = tempfile.mkdtemp(prefix="spoor-e2e-")
            spoor.close()

        self.addCleanup(close)
        return spoor

    def has_failed(self):
        return self._outcome is not None and not self._outcome.success

    def setUp(self):
        self.seed = OPTIONS.seed
        self.random = random.Random("%s %d" % (self.id(), self.seed))

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result else 0
        super().run(result)
        if result and len(result.failures) + len(result.errors) > before:
            print("again with: --seed %d %s.%s" % (
                OPTIONS.seed, type(self).__name__, self._testMethodName), file=sys.stderr)
        return result


# ---- the oracle ----


def walk(top):
    """The folder as it lies on the disk: path (bytes) -> (type, size, mtime, mode, target). By
    directory handles, so that no path is too long."""
    found = {}
    work = [(os.open(top, os.O_RDONLY | os.O_DIRECTORY), b"")]
    while work:
        fd, prefix = work.pop()
        try:
            for name in os.listdir(fd):
                name = os.fsencode(name)
                path = prefix + name
                status = os.lstat(name, dir_fd=fd)
                mode = "%04o" % stat.S_IMODE(status.st_mode)
                if stat.S_ISREG(status.st_mode):
                    found[path] = ("file", status.st_size, rfc3339(status.st_mtime_ns), mode, None)
                elif stat.S_ISDIR(status.st_mode):
                    found[path] = ("directory", None, None, mode, None)
                    work.append((os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW,
                                         dir_fd=fd), path + b"/"))
                elif stat.S_ISLNK(status.st_mode):
                    target = os.fsencode(os.readlink(name, dir_fd=fd))
                    found[path] = ("symlink", None, None, None, target)
                else:
                    found[path] = ("other", None, None, mode, None)
        finally:
            os.close(fd)
    return found


def rfc3339(ns):
    seconds, rest = divmod(ns, 10 ** 9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ".%09dZ" % rest


def from_json(item, key):
    import base64
    if key + "_b64" in item:
        return base64.b64decode(item[key + "_b64"], validate=True)
    return item[key].encode("utf-8") if key in item else None


def path_of(item):
    return from_json(item, "path")


def public(item):
    """A line of tree --json in the oracle's form. Absent numbers are zero (row.h)."""
    kind = item["type"]
    is_file = kind == "file"
    return (kind, item.get("size", 0) if is_file else None,
            item.get("mtime", rfc3339(0)) if is_file else None,
            None if kind == "symlink" else item.get("mode", "0000"),
            from_json(item, "target") if kind == "symlink" else None)


def same(x, y, x_name, y_name):
    if x == y:
        return
    lines = []
    for path in sorted(x.keys() | y.keys()):
        if x.get(path) != y.get(path):
            lines.append("%r: %s %s, %s %s" % (path, x_name, x.get(path), y_name, y.get(path)))
    raise AssertionError("%d differences\n%s" % (len(lines), "\n".join(lines[:40])))


# ---- the disk ----


def remove(top):
    """rm -rf, also of paths that no single call could name and of directories without rights."""
    if os.path.isdir(top):
        subprocess.run(["chmod", "-R", "u+rwx", top], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["rm", "-rf", top], check=True)
