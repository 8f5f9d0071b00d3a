"""A folder whose file system does not answer, or answers with errors: it holds up itself alone, is
named, loses nothing, and goes on when it is back (RULES 1 and 25)."""

import errno
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fusefs
import spoor
from spoor import write

EVERYTHING = ["lookup", "getattr", "opendir", "readdir", "open", "read", "statfs", "access"]
HUNG_S = 3  # folder.h: FOLDER_HUNG_MS
FORCE_S = 10  # daemon.h: DAEMON_FORCE_MS


class Two(spoor.Case):
    """One folder on the test's file system, one beside it."""

    def setUp(self):
        super().setUp()
        self.far = None
        self.s = s = self.make()
        self.far = os.path.join(s.top, "far")
        self.fuse = fusefs.Fuse(self, self.far)
        s.settings["upload_lines"] = "folders = docs\n[folder \"far\"]\npath = %s\n" \
            "settle = 20ms\npoll_interval = 1s\n" % self.far
        os.makedirs(os.path.join(self.far, "a", "b"))
        for i in range(20):
            write(os.path.join(self.far, "a", "f%d" % i), "x" * i)
        write(os.path.join(self.far, "a", "b", "deep"))
        self.addCleanup(self.fuse.tell, hang=[], failing={})

    def status(self, name):
        return self.s.status("folder", folder=name)

    def rows(self, name, since):
        return self.s.objects("log", "--folder", name, "--since", str(since))

    def last(self, name):
        rows = self.s.objects("log", "--folder", name, "-n", "1")
        return rows[0]["seq"] if rows else 0

    def check(self):
        """Both trees are as their disks are."""
        self.s.sync()
        for name, path in (("docs", self.s.folder), ("far", self.far)):
            tree = {spoor.path_of(item): spoor.public(item)
                    for item in self.s.objects("tree", "--folder", name)}
            spoor.same(tree, spoor.walk(path), "journal", "disk")
        self.s.run("verify")

    def other_goes_on(self):
        """The folder beside it is journaled and delivered, and the daemon answers."""
        s = self.s
        name = "n%d" % self.last("docs")
        began = time.monotonic()
        write(os.path.join(s.folder, name), name)
        s.run("sync", "--folder", "docs", "--uploaded", "--timeout", "30s")
        self.assertEqual(self.rows("docs", self.last("docs"))[0]["path"], name)
        self.assertLess(time.monotonic() - began, 20)

    def wait_hung(self):
        spoor.until(lambda: self.status("far").get("hung_ms", 0) > 0, "the folder to be called hung")

    def hang(self, ops=tuple(EVERYTHING)):
        """Hangs, and waits until that is seen."""
        self.fuse.tell(hang=list(ops))
        self.wait_hung()


class Hung(Two):
    def hung_in(self, ops):
        s = self.s
        s.start()
        self.check()
        last = self.last("far")
        self.hang(ops)
        self.assertGreaterEqual(self.status("far")["hung_ms"], 1000 * HUNG_S)
        self.assertNotIn("hung_ms", self.status("docs"))
        self.assertIn("has not answered", s.run("status", "--folder", "far").decode())
        self.other_goes_on()
        s.run("sync", "--folder", "far", "--timeout", "1s", code=4)
        self.other_goes_on()
        self.fuse.tell(hang=[])
        self.check()
        self.assertNotIn("hung_ms", self.status("far"))
        self.assertEqual([row["kind"] for row in self.rows("far", last + 1)], [])
        os.rename(os.path.join(self.far, "a"), os.path.join(self.far, "z"))
        write(os.path.join(self.far, "z", "new"))
        self.check()

    def one_of_many(self):
        if spoor.OPTIONS.quick:
            self.skipTest("its like is run; all without --quick")

    def test_in_stat(self):
        self.one_of_many()
        self.hung_in(["lookup", "getattr"])

    def test_in_readdir(self):
        self.one_of_many()
        self.hung_in(["readdir"])

    def test_in_everything(self):
        self.hung_in(EVERYTHING)

    def test_at_the_start(self):
        """It hangs when the daemon starts, in the comparison or before."""
        s = self.s
        s.start()
        self.check()
        for ops in (["readdir"], EVERYTHING):
            with self.subTest(ops):
                last = self.last("far")
                s.stop()
                self.fuse.tell(hang=ops)
                s.start()
                self.wait_hung()
                self.other_goes_on()
                self.fuse.tell(hang=[])
                self.check()
                self.assertEqual(self.rows("far", last + 1), [])

    def end(self, how):
        """A stop that cannot wait for what hangs."""
        s = self.s
        s.start()
        self.check()
        self.hang()
        write(os.path.join(s.folder, "late"), "late")
        s.run("sync", "--folder", "docs", "--uploaded", "--timeout", "30s")
        began = time.monotonic()
        how()
        s.run("stop")  # returns when the lock is free
        self.assertLess(time.monotonic() - began, FORCE_S)
        old, s.daemon = s.daemon, None
        last = self.last("docs"), self.last("far")
        # The kernel keeps the old process until its call returns; another can be started.
        s.start()
        self.other_goes_on()
        self.fuse.tell(hang=[])
        old.process.wait(spoor.CALL_LIMIT_S)
        old.thread.join()
        old.process.stderr.close()
        self.assertIn("left behind", old.text())
        for word in ("AddressSanitizer", "LeakSanitizer", "data race", "runtime error"):
            self.assertNotIn(word, old.text())  # a thread is left behind, and told by TSan
        self.check()
        self.assertEqual((self.last("docs"), self.last("far")), (last[0] + 1, last[1]))

    def test_stop(self):
        self.end(lambda: self.s.run("stop"))

    def test_terminate(self):
        self.one_of_many()
        self.end(lambda: self.s.daemon.process.send_signal(signal.SIGTERM))

    def test_reload(self):
        """A reload would wait for the folder: it is refused, and the old configuration stays."""
        s = self.s
        s.start()
        self.check()
        self.hang()
        s.settings["settle"] = "70ms"
        s.write_config()
        s.daemon.process.send_signal(signal.SIGHUP)
        spoor.until(lambda: any("reload" in line and "far" in line for line in s.daemon.lines),
                    "the reload to be refused")
        self.other_goes_on()
        self.fuse.tell(hang=[])
        self.check()
        s.daemon.process.send_signal(signal.SIGHUP)
        s.daemon.wait_line("the new configuration runs")
        self.check()


    def test_upload(self):
        """One upload for both: rows of the folder that hangs wait, the other's go on."""
        s = self.s
        s.settings["upload_lines"] = s.settings["upload_lines"].replace("docs", "docs far", 1)
        s.start()
        self.check()
        s.run("sync", "--uploaded", "--timeout", "60s")
        s.server_kill()
        write(os.path.join(self.far, "pending"))
        write(os.path.join(s.folder, "pending"))
        s.sync()
        self.hang()
        s.server_start()
        self.other_goes_on()
        self.fuse.tell(hang=[])
        s.run("sync", "--uploaded", "--timeout", "60s")
        self.check()


class Failing(Two):
    def freezes(self, fail, heal, rows=(), told=lambda status: True):
        """While it fails no row is written, and it is said; nothing is deleted, ever."""
        s = self.s
        s.start()
        self.check()
        last = self.last("far")
        fail()
        s.run("sync", "--folder", "far", "--timeout", "3s", code=self.code)
        self.other_goes_on()
        self.assertNotIn("delete", [row["kind"] for row in self.rows("far", last + 1)])
        seen = []

        def is_told():  # not in the moment in which a name is looked at once more
            seen[:] = [self.status("far"), s.run("status", "--folder", "far").decode()]
            return told(seen[0])

        spoor.until(is_told, lambda: "status says %s" % seen)
        status, text = seen
        heal()
        self.check()
        self.assertEqual([row["kind"] for row in self.rows("far", last + 1)], list(rows))
        return status, text

    def test_dead(self):
        """ENOTCONN of everything: the server of the file system has died."""
        self.code = 1

        def heal():
            subprocess.run(["umount", "-l", self.far], check=True)
            self.fuse.mount()

        status, text = self.freezes(self.fuse.die, heal, ["gap", "gap"])
        self.assertEqual(status["state"], "root-lost")
        self.assertIn("not connected", text)

    def test_dead_at_the_start(self):
        s = self.s
        s.start()
        self.check()
        last = self.last("far")
        s.stop()
        self.fuse.die()
        s.start()
        self.other_goes_on()
        self.assertEqual(self.status("far")["state"], "root-lost")
        subprocess.run(["umount", "-l", self.far], check=True)
        self.fuse.mount()
        self.check()
        self.assertEqual(self.rows("far", last + 1), [])

    def unknown(self, failing, path):
        """One name or directory gives no answer: the rest goes on."""
        self.code = 0
        status, text = self.freezes(lambda: self.fuse.tell(failing=failing),
                                    lambda: self.fuse.tell(failing={}), told=lambda status:
                                    status["unknown_names"] + status["unreadable_dirs"] > 0)
        self.assertEqual(status["state"], "watching")
        # Of a directory its name or its listing is told, whichever failed last.
        self.assertIn("cannot look at '" + path, status["trouble"])
        self.assertIn("cannot look at '" + path, text)

    def test_name(self):
        for code in (errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EACCES):
            with self.subTest(errno.errorcode[code]):
                self.unknown({"lookup f7": code}, "a/f7")
                self.s.stop()

    def test_directory(self):
        self.unknown({"lookup b": errno.EIO}, "a/b")

    def test_listing(self):
        self.unknown({"readdir": errno.EIO}, "")


if __name__ == "__main__":
    spoor.main(__doc__)
