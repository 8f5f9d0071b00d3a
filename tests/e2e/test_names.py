"""Names that are found under other bytes than the directory holds: whatever their case, or by their
8.3 form (RULES 7). The journal has them as the directory does."""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fusefs
import spoor
from spoor import scaled, write


class Names(spoor.Case):
    def mount(self, s, *make, options="loop"):
        """A volume made by this command, mounted as the folder."""
        if os.geteuid() != 0:
            self.skipTest("mounting takes root")
        if shutil.which(make[0]) is None:
            self.skipTest("needs the program " + make[0])
        image = os.path.join(s.top, "image")
        with open(image, "wb") as out:
            out.truncate(32 << 20)
        made = subprocess.run([*make, image], check=False, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE)
        if made.returncode:
            self.skipTest("%s: %s" % (make[0], made.stderr.decode().strip()))
        done = subprocess.run(["mount", "-o", options, image, s.folder], check=False,
                              stderr=subprocess.PIPE)
        if done.returncode:
            self.skipTest("cannot mount: " + done.stderr.decode().strip())
        self.addCleanup(subprocess.run, ["umount", "-l", s.folder], check=False,
                        stderr=subprocess.DEVNULL)

    def expect(self, s, act, rows):
        last = s.last_seq()
        act()
        s.check()
        self.assertEqual([(row["kind"], row["path"]) for row in s.rows(last + 1)], rows)

    def at(self, s, *names):
        return [os.path.join(s.folder, name) for name in names]

    def other_case(self, s):
        """`s` runs on a folder that finds names whatever their case."""
        def change_case(old, new):
            through = self.at(s, "in between")[0]
            os.rename(*[self.at(s, old)[0], through])
            os.rename(through, self.at(s, new)[0])

        os.mkdir(self.at(s, "Dir")[0])
        for name in ("Foo", "bar", "Dir/Inside"):
            write(self.at(s, name)[0], name)
        s.check()
        self.expect(s, lambda: change_case("Foo", "foo"), [("move", "foo")])
        self.expect(s, lambda: write(self.at(s, "FOO")[0], "by another name"),
                    [("modify", "foo")])
        self.expect(s, lambda: change_case("Dir", "DIR"), [("move", "DIR")])
        self.expect(s, lambda: write(self.at(s, "dir/new")[0], "x"), [("create", "DIR/new")])
        self.expect(s, lambda: os.rename(*self.at(s, "BAR", "dir/other")),
                    [("move", "DIR/other")])
        self.expect(s, lambda: os.unlink(self.at(s, "fOO")[0]), [("delete", "foo")])
        s.stop()
        change_case("DIR/Inside", "DIR/inside")
        last = s.last_seq()
        s.start()
        s.check()
        self.assertEqual([(row["kind"], row["path"]) for row in s.rows(last + 1)],
                         [("move", "DIR/inside")])
        for turn in range(scaled(40, 20)):
            name = self.random.choice(("one", "ONE", "Two", "two", "dir/One", "DIR/tWO"))
            path = self.at(s, name)[0]
            deed = self.random.randrange(4)
            if deed == 0 and os.path.exists(path):
                os.unlink(path)
            elif deed == 1 and os.path.exists(path):
                change_case(name, self.random.choice((name.upper(), name.lower())))
            else:
                write(path, "%d" % turn)
            if turn % 10 == 0:
                s.check()
        s.check()

    def short_names(self, s):
        write(self.at(s, "A long name.text")[0])
        s.check()
        short = next((name for name in ("ALONGN~1.TEX", "ALONGN~1.TXT")
                      if os.path.exists(self.at(s, name)[0])), None)
        if short is None:
            self.skipTest("there are no short names")
        self.expect(s, lambda: write(self.at(s, short)[0], "more"),
                    [("modify", "A long name.text")])
        self.expect(s, lambda: os.rename(*self.at(s, short, "short")), [("move", "short")])
        write(self.at(s, "A long name.text")[0])
        s.check()
        self.expect(s, lambda: os.unlink(self.at(s, short)[0]), [("delete", "A long name.text")])

    def test_fuse(self):
        for backend in ("inotify", "poll"):
            with self.subTest(backend):
                s = self.make(backend=backend)
                fusefs.Fuse(self, s.folder, folds=True)
                s.start()
                s.check()
                self.other_case(s)
                self.short_names(s)

    def test_vfat(self):
        s = self.make()
        self.mount(s, "mkfs.vfat")
        s.start()
        s.check()
        self.other_case(s)
        self.short_names(s)

    def test_casefold(self):
        s = self.make(folder_lines="ignore = lost+found/")
        self.mount(s, "mkfs.ext4", "-q", "-O", "casefold", "-E", "encoding=utf8")
        os.rmdir(self.at(s, "lost+found")[0])
        done = subprocess.run(["chattr", "+F", s.folder], check=False, stderr=subprocess.PIPE)
        if done.returncode:
            self.skipTest("chattr: " + done.stderr.decode().strip())
        s.start()
        s.check()
        self.other_case(s)

    def test_ordinary(self):
        """Where case counts another case is another name."""
        s = self.make()
        s.start()
        write(self.at(s, "a")[0], "a")
        s.check()
        self.expect(s, lambda: os.rename(*self.at(s, "a", "A")), [("move", "A")])
        self.expect(s, lambda: write(self.at(s, "a")[0], "two"), [("create", "a")])
        os.mkdir(self.at(s, "d")[0])
        s.check()
        self.expect(s, lambda: os.rename(*self.at(s, "d", "D")), [("move", "D")])


if __name__ == "__main__":
    spoor.main(__doc__)
