"""fanotify on real file systems: where its mark is had, everything is seen, through names outside the
folder too; where it is refused (overlay, a Btrfs subvolume, FUSE), what watches instead, and why."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fault
from fault import spoor

import fusefs
import test_backend
from test_backend import backend


class Volumes(fault.Case):
    def on_volume(self, kind, mib, *make):
        """A folder and its neighbour on a volume; the state directory is elsewhere."""
        fault.need_root()
        s = self.make(backend="fanotify")
        self.at = os.path.join(s.top, "volume")
        self.volume(self.at, kind, mib, make)
        self.move(s, self.at)
        return s

    def move(self, s, at):
        s.folder = s.settings["folder"] = os.path.join(at, "docs")
        s.outside = os.path.join(at, "outside")
        os.mkdir(s.folder)
        os.mkdir(s.outside)

    def work(self, s):
        mutator = spoor.Mutator(s.folder, self.random)
        for _ in range(2):
            mutator.steps(80)
            s.check()
        s.kill9()
        mutator.steps(40)
        s.start()
        s.check()

    def marked(self, kind, mib, *make):
        s = self.on_volume(kind, mib, *make)
        test_backend.links_outside(self, s)
        if not spoor.OPTIONS.quick:
            self.work(s)

    def test_ext4(self):
        self.marked("ext4", 64)

    def test_xfs(self):
        self.marked("xfs", 320)

    def test_btrfs(self):
        self.marked("btrfs", 128)

    def test_tmpfs(self):
        self.marked("tmpfs", 32)

    def refused(self, s, instead):
        s.start()
        s.check()
        self.assertEqual(backend(s), instead)
        s.daemon.wait_line(instead)
        self.assertIn(instead, s.run("status").decode())
        self.work(s)
        self.assertEqual([row for row in s.rows() if "actor" in row], [])

    def test_overlay(self):
        s = self.on_volume("tmpfs", 32)
        at = os.path.join(s.top, "merged")
        for name in ("lower", "upper", "work"):
            os.mkdir(os.path.join(self.at, name))
        os.mkdir(at)
        options = "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work" % ((self.at,) * 3)
        if subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", at], check=False,
                          stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no overlay can be mounted")
        self.addCleanup(subprocess.run, ["umount", "--lazy", at], check=True)
        self.move(s, at)
        self.refused(s, "inotify (fanotify: the file system of '%s' cannot be marked: "
                     "Operation not supported)" % s.folder)

    def test_btrfs_subvolume(self):
        s = self.on_volume("btrfs", 128)
        at = os.path.join(self.at, "subvolume")
        subprocess.run(["btrfs", "subvolume", "create", at], check=True, stdout=subprocess.DEVNULL)
        self.move(s, at)
        self.refused(s, "inotify (fanotify: '%s' is a subvolume, which cannot be marked: "
                     "Invalid cross-device link)" % s.folder)

    def test_fuse(self):
        """Others write there without this kernel's knowledge: polled, as `auto` does."""
        s = self.make(backend="fanotify")
        fusefs.Fuse(self, s.folder)
        self.refused(s, "poll (network or FUSE file system)")


if __name__ == "__main__":
    fault.main(__doc__)
