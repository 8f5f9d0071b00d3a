"""What a look is worth, on the real thing: mounts that cover, changes that only the ctime tells, files
of several names, and names that rules hide (RULES 1, 8, 9 and 12)."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spoor
from spoor import write


class Rules(spoor.Case):
    def setUp(self):
        super().setUp()
        self.s = self.make()

    def at(self, *names):
        return os.path.join(self.s.folder, *names)

    def expect(self, act, rows, ignored=()):
        last = self.s.last_seq()
        act()
        self.s.check(ignored)
        found = [(row["kind"], row["path"]) for row in self.s.rows(last + 1)]
        self.assertEqual(sorted(found), sorted(rows))
        return self.s.rows(last + 1)

    def test_covered(self):
        """A mount over a directory raises no event; what it hides is frozen, not deleted."""
        if os.geteuid() != 0:
            self.skipTest("mounting takes root")
        s = self.s
        os.makedirs(self.at("d", "e"))
        write(self.at("d", "e", "f"))
        s.start()
        s.check()
        last = s.last_seq()
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.at("d")], check=False,
                          stderr=subprocess.PIPE).returncode:
            self.skipTest("cannot mount")
        self.addCleanup(subprocess.run, ["umount", "-l", self.at("d")], check=False,
                        stderr=subprocess.DEVNULL)
        write(self.at("d", "stranger"))
        write(self.at("beside"))
        s.sync()
        for again in (False, True):
            self.assertEqual([(row["kind"], row["path"]) for row in s.rows(last + 1)],
                             [("create", "beside")])
            if not again:  # a comparison finds it so, too
                s.stop()
                s.start()
                s.sync()
        status = self.s.status("folder")
        self.assertGreater(status["unknown_names"] + status["unreadable_dirs"], 0)
        self.assertIn("another file system is mounted there", status["trouble"])
        subprocess.run(["umount", self.at("d")], check=True)
        write(self.at("d", "e", "g"))
        s.check()
        self.assertNotIn("delete", [row["kind"] for row in s.rows(last + 1)])

    def test_ctime_alone(self):
        write(self.at("f"), b"one")
        os.mkdir(self.at("d"))
        os.utime(self.at("f"), ns=(10 ** 18, 10 ** 18))
        self.s.start()
        self.s.check()

        def same_size_and_times():
            with open(self.at("f"), "r+b") as out:
                out.write(b"two")
            os.utime(self.at("f"), ns=(10 ** 18, 10 ** 18))

        self.expect(same_size_and_times, [("modify", "f")])
        try:
            os.setxattr(self.at("f"), "user.test", b"x")
            os.setxattr(self.at("d"), "user.test", b"x")
        except OSError as error:
            self.skipTest("no extended attributes: %s" % error)
        self.s.check()
        self.assertEqual((self.s.rows()[-1]["kind"], self.s.rows()[-1]["path"]), ("attrib", "f"))
        # A rename changes the ctime by itself, and a child the times of its directory.
        self.expect(lambda: os.rename(self.at("f"), self.at("d", "f")), [("move", "d/f")])
        last = self.s.last_seq()
        self.s.stop()
        self.s.start()
        self.s.check()
        self.assertEqual(self.s.rows(last + 1), [])

    def test_hard_links(self):
        """A write through one name shows on all, also when it was made while nothing ran."""
        s = self.s
        os.mkdir(self.at("d"))
        write(self.at("a"), b"1")
        for name in ("b", "d/c"):
            os.link(self.at("a"), self.at(name))
        s.start()
        s.check()

        def all_of(kind):
            return [(kind, name) for name in ("a", "b", "d/c")]

        self.expect(lambda: write(self.at("d", "c"), b"22"), all_of("modify"))
        self.expect(lambda: os.chmod(self.at("a"), 0o600), all_of("attrib"))
        s.stop()
        last = s.last_seq()
        write(self.at("b"), b"333")
        s.start()
        s.check()
        self.assertEqual(sorted((row["kind"], row["path"]) for row in s.rows(last + 1)),
                         all_of("modify"))
        self.expect(lambda: os.rename(self.at("d"), self.at("e")), [("move", "e")])
        self.expect(lambda: os.unlink(self.at("a")), [("delete", "a")])

    def test_across_the_border(self):
        """Into what is ignored is a delete, out of it a create, whole where it is a directory."""
        write(self.at(".spoorignore"), "*.o\nbuild/\n")
        os.makedirs(self.at("src", "deep"))
        write(self.at("src", "deep", "x.c"))
        write(self.at("src", "deep", "x.o"))
        write(self.at("build"))  # a file: the rule is for directories
        self.s.start()
        hidden = [b"src/deep/x.o"]
        self.s.check(hidden)
        self.assertIn(b"build", self.s.tree())
        self.expect(lambda: os.unlink(self.at("build")), [("delete", "build")], hidden)
        self.expect(lambda: os.rename(self.at("src"), self.at("build")), [("delete", "src")],
                    [b"build", b"build/deep", b"build/deep/x.c", b"build/deep/x.o"])
        self.expect(lambda: os.rename(self.at("build"), self.at("out")),
                    [("create", "out"), ("create", "out/deep"), ("create", "out/deep/x.c")],
                    [b"out/deep/x.o"])
        self.expect(lambda: os.rename(self.at("out", "deep", "x.c"), self.at("out", "deep", "y.o")),
                    [("delete", "out/deep/x.c")], [b"out/deep/x.o", b"out/deep/y.o"])
        # A new rule: its own row first, then what leaves by it, and why.
        last = self.s.last_seq()
        write(self.at(".spoorignore"), "*.o\nout/\n")
        hidden = [b"out", b"out/deep", b"out/deep/x.o", b"out/deep/y.o"]
        self.s.check(hidden)
        self.assertEqual([(row["kind"], row["path"], row.get("ignored"))
                          for row in self.s.rows(last + 1)],
                         [("modify", ".spoorignore", None), ("delete", "out", True)])


if __name__ == "__main__":
    spoor.main(__doc__)
