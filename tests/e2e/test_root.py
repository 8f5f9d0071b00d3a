"""The folder itself goes away, comes back, or is another directory: nothing is deleted by mistake."""

import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spoor
from spoor import write

FAILED = 1


class Root(spoor.Case):
    def setUp(self):
        super().setUp()
        self.s = self.make()
        self.away = self.s.folder + ".away"
        os.makedirs(os.path.join(self.s.folder, "a", "b"))
        for i in range(20):
            write(os.path.join(self.s.folder, "a", "f%d" % i), b"x" * i)
            os.symlink("to%d" % i, os.path.join(self.s.folder, "a", "b", "l%d" % i))
        self.s.start()
        self.s.check()
        self.last = self.s.last_seq()

    def kinds(self):
        return [row["kind"] for row in self.s.rows(self.last + 1)]

    def state(self):
        return self.s.status("folder")["state"]

    def lose(self):
        """Moves the folder away; a sync says that it cannot be, once the daemon has looked."""
        os.rename(self.s.folder, self.away)
        self.s.run("sync", "--timeout", "100s", code=FAILED)
        self.assertEqual(self.state(), "root-lost")

    def test_away_and_back(self):
        self.lose()
        self.s.run("sync", "--timeout", "100s", code=FAILED)
        write(os.path.join(self.away, "new"), b"made while away")
        os.rename(self.away, self.s.folder)
        self.s.check()
        self.assertEqual(self.kinds(), ["gap", "create", "gap"])
        write(os.path.join(self.s.folder, "a", "b", "later"), b"seen by a watch")
        self.s.check()

    def test_replaced_by_an_empty_directory(self):
        os.rename(self.s.folder, self.away)
        os.mkdir(self.s.folder)
        self.s.run("sync", "--timeout", "100s", code=FAILED)
        self.assertEqual(self.state(), "root-lost")
        self.assertEqual(self.kinds(), ["gap"])
        self.s.run("folder", "adopt")
        self.assertIn("nothing was changed", self.s.last_error)
        os.rmdir(self.s.folder)
        os.rename(self.away, self.s.folder)
        self.s.check()
        self.assertEqual(self.kinds(), ["gap", "gap"])

    def test_remounted_at_once(self):
        """Unmounted and mounted again before anybody looks: the root is right, its watches are gone."""
        if os.geteuid() != 0:
            self.skipTest("mounting takes root")
        self.s.stop()
        top = self.s.folder
        image = os.path.join(self.s.top, "image")
        with open(image, "wb") as out:
            out.truncate(16 << 20)
        made = subprocess.run(["mke2fs", "-q", "-t", "ext4", "-F", image], capture_output=True)
        if made.returncode != 0:
            self.skipTest("mke2fs: %s" % made.stderr.decode().strip())
        shutil.rmtree(top)
        os.mkdir(top)
        if subprocess.run(["mount", "-o", "loop", image, top], capture_output=True).returncode != 0:
            self.skipTest("no loop device")
        self.addCleanup(subprocess.run, ["umount", "-l", top], capture_output=True)
        os.rmdir(os.path.join(top, "lost+found"))
        os.mkdir(os.path.join(top, "d"))
        self.s.run("folder", "adopt", "--yes")
        self.s.start()
        self.s.check()
        self.s.daemon.process.send_signal(signal.SIGSTOP)
        subprocess.run(["umount", top], check=True)
        subprocess.run(["mount", "-o", "loop", image, top], check=True)
        write(os.path.join(top, "d", "unseen"), b"1")
        self.s.daemon.process.send_signal(signal.SIGCONT)
        self.s.check()
        write(os.path.join(top, "d", "seen"), b"2")
        self.s.check()
        self.s.stop()
        subprocess.run(["umount", top], check=True)

    def restore(self):
        """The folder as a backup gives it back: equal in all but identity."""
        shutil.copytree(self.away, self.s.folder, symlinks=True)

    def test_adopt_a_restored_folder(self):
        self.lose()
        self.restore()
        self.s.run("sync", "--timeout", "100s", code=FAILED)
        self.s.run("folder", "adopt", "docs")
        self.assertIn("0 differences", self.s.last_error)
        self.s.run("folder", "adopt", "docs", "--yes")
        self.s.check()
        self.assertEqual(self.kinds(), ["gap", "gap"])
        self.s.run("folder", "adopt", code=FAILED)
        self.assertIn("nothing to adopt", self.s.last_error)
        os.rename(os.path.join(self.s.folder, "a"), os.path.join(self.s.folder, "z"))
        self.s.check()
        self.assertEqual(self.kinds(), ["gap", "gap", "move"])

    def test_adopt_while_the_daemon_is_down(self):
        self.s.stop()
        os.rename(self.s.folder, self.away)
        self.restore()
        os.unlink(os.path.join(self.s.folder, "a", "f3"))
        self.s.run("folder", "adopt", "--yes")
        self.s.start()
        self.s.check()
        self.assertEqual(self.kinds(), ["delete"])

    def test_content_restored_in_place(self):
        self.s.stop()
        shutil.copytree(os.path.join(self.s.folder, "a"), self.away, symlinks=True)
        shutil.rmtree(os.path.join(self.s.folder, "a"))
        os.rename(self.away, os.path.join(self.s.folder, "a"))
        self.s.start()
        self.s.check()
        self.assertEqual(self.kinds(), [])


if __name__ == "__main__":
    spoor.main(__doc__)
