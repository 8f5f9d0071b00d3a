"""What makes a file the same file: never the device; and on file systems that number their files
anew from time to time, name, size and time (RULES 2)."""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fusefs
import spoor
from spoor import scaled, write


class Weak(spoor.Case):
    def grown(self, s):
        mutator = spoor.Mutator(s.folder, self.random)
        mutator.steps(scaled(200, 60))
        write(os.path.join(s.folder, "linked"))
        os.link(os.path.join(s.folder, "linked"), os.path.join(s.folder, "link"))
        for path in ("top", "top/a", "top/a/b", "top/a/b/c", "top/twin"):
            os.mkdir(os.path.join(s.folder, path))
            write(os.path.join(s.folder, path, "file"), path)
        s.start()
        s.check()
        self.assertEqual(s.status("folder")["identity"], "weak")
        self.assertIn("identity weak", s.run("status").decode())
        return mutator

    def expect(self, s, act, rows):
        """The rows of `act`, as (kind, path) sorted."""
        last = s.last_seq()
        act()
        s.check()
        self.assertEqual(sorted((row["kind"], row["path"]) for row in s.rows(last + 1)), rows)

    def renames(self, s):
        """They are what they are, wherever the numbers have lasted."""
        top = os.path.join(s.folder, "top")

        def here(*names):
            return [os.path.join(top, name) for name in names]

        self.expect(s, lambda: os.rename(*here("file", "renamed")), [("move", "top/renamed")])
        self.expect(s, lambda: os.rename(*here("a", "z")), [("move", "top/z")])
        self.expect(s, lambda: os.rename(*here("z/file", "twin/other")),
                    [("move", "top/twin/other")])
        self.expect(s, lambda: spoor.exchange(*here("z", "twin")), [("exchange", "top/twin")])
        spoor.exchange(*here("z", "twin"))
        for names in (("z", "a"), ("twin/other", "a/file"), ("renamed", "file")):
            os.rename(*here(*names))
        s.check()

    def remounted(self, s, remount):
        """With another number for everything: no row; then with changes, too."""
        mutator = self.grown(s)
        for end in (s.stop, s.kill9):
            last = s.last_seq()
            end()
            remount()
            s.start()
            s.check()
            self.assertEqual(s.rows(last + 1), [])
        self.renames(s)
        for _ in range(scaled(3, 1)):
            s.stop()
            mutator.steps(40)
            remount()
            mutator.steps(40)
            s.start()
            s.check()
        mutator.steps(100)
        s.check()

    def test_other_numbers_with_each_mount(self):
        s = self.make()
        self.remounted(s, fusefs.Fuse(self, s.folder, numbers="fresh").remount)

    def test_each_others_numbers(self):
        s = self.make()
        self.remounted(s, fusefs.Fuse(self, s.folder, numbers="reversed").remount)

    def test_remounted_under_the_daemon(self):
        s = self.make()
        fuse = fusefs.Fuse(self, s.folder, numbers="fresh")
        mutator = self.grown(s)
        last = s.last_seq()
        fuse.umount()
        s.run("sync", "--timeout", "10s", code=1)
        fuse.mount()
        s.check()
        self.assertEqual([row["kind"] for row in s.rows(last + 1)], ["gap", "gap"])
        mutator.steps(100)
        s.check()

    def test_other_numbers_at_any_time(self):
        """An inode that was forgotten has another number when it is seen again."""
        s = self.make()
        fuse = fusefs.Fuse(self, s.folder, numbers="fresh")
        mutator = self.grown(s)
        for turn in range(2, scaled(6, 3)):
            last = s.last_seq()
            fuse.tell(mounts=100 + turn)
            s.check()
            self.assertEqual(s.rows(last + 1), [])
            mutator.steps(30)
            fuse.tell(mounts=200 + turn)  # and with changes that nobody has looked at yet
            s.check()
        self.renames(s)

    def loop(self, s, kind, *make):
        """An image, mounted."""
        if os.geteuid() != 0:
            self.skipTest("mounting takes root")
        if shutil.which(make[0]) is None:
            self.skipTest("needs the program " + make[0])
        image = os.path.join(s.top, kind + ".image")
        with open(image, "wb") as out:
            out.truncate(32 << 20)
        subprocess.run([*make, image], check=True, stdout=subprocess.DEVNULL)
        return image

    def mount(self, image, at):
        os.makedirs(at, exist_ok=True)
        done = subprocess.run(["mount", "-o", "loop", image, at], check=False,
                              stderr=subprocess.PIPE)
        if done.returncode:
            self.skipTest("cannot mount: " + done.stderr.decode().strip())
        self.addCleanup(subprocess.run, ["umount", "-l", at], check=False,
                        stderr=subprocess.DEVNULL)

    def test_vfat(self):
        s = self.make()
        image = self.loop(s, "vfat", "mkfs.vfat")
        self.mount(image, s.folder)
        for i in range(60):
            directory = os.path.join(s.folder, "directory %d" % (i % 7))
            os.makedirs(directory, exist_ok=True)
            write(os.path.join(directory, "file %d" % i), "x" * i)
        s.start()
        s.check()
        self.assertEqual(s.status("folder")["identity"], "weak")
        last = s.last_seq()
        s.stop()
        subprocess.run(["umount", s.folder], check=True)
        self.mount(image, s.folder)
        os.listdir(os.path.join(s.folder, "directory 6"))  # numbers are given as files are met
        s.start()
        s.check()
        self.assertEqual(s.rows(last + 1), [])
        self.expect(s, lambda: os.rename(os.path.join(s.folder, "directory 1"),
                                         os.path.join(s.folder, "another")),
                    [("move", "another")])

    def test_another_device(self):
        """Two volumes mounted in another order: the device numbers are each other's."""
        s = self.make(folder_lines="ignore = lost+found/")
        other = os.path.join(s.top, "other")
        images = {s.folder: self.loop(s, "ext4", "mkfs.ext4", "-q"),
                  other: self.loop(s, "other", "mkfs.ext4", "-q")}
        for at in (s.folder, other):
            self.mount(images[at], at)
        spoor.Mutator(s.folder, self.random).steps(100)
        os.rmdir(os.path.join(s.folder, "lost+found"))
        s.start()
        s.check()
        self.assertEqual(s.status("folder")["identity"], "strong")
        device, last = os.stat(s.folder).st_dev, s.last_seq()
        s.stop()
        for at in (s.folder, other):
            subprocess.run(["umount", at], check=True)
        for at in (other, s.folder):
            self.mount(images[at], at)
        if os.stat(s.folder).st_dev == device:
            self.skipTest("the volume has its old device number")
        s.start()
        s.check()
        self.assertEqual(s.rows(last + 1), [])


if __name__ == "__main__":
    spoor.main(__doc__)
