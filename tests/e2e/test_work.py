"""Real work on a watched folder: what git, tar, cp, editors and people do, and its rows."""

import mmap
import os
import shutil
import socket
import subprocess
import sys
import tarfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spoor
from spoor import scaled, write


def git(folder, *arguments):
    environment = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null",
                       GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@example.org",
                       GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@example.org")
    subprocess.run(["git", "-c", "gc.auto=0", "-c", "init.defaultBranch=main", *arguments],
                   cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE, timeout=spoor.CALL_LIMIT_S)


class Programs(spoor.Case):
    def test_git(self):
        """Branches with thousands of files, checked out back and forth."""
        if shutil.which("git") is None:
            self.skipTest("git is not installed")
        s = self.make()
        s.start()
        repository = os.path.join(s.folder, "repo")
        os.mkdir(repository)
        git(repository, "init")
        count = scaled(3000, 400)

        def path(i):
            return os.path.join(repository, "dir%d" % (i % 60), "sub%d" % (i % 7), "f%d.txt" % i)

        def put(i, text):
            os.makedirs(os.path.dirname(path(i)), exist_ok=True)
            write(path(i), text)

        for i in range(count):
            put(i, "file %d\n" % i)
        git(repository, "add", "-A")
        git(repository, "commit", "-m", "main")
        git(repository, "checkout", "-b", "changed")
        for i in range(0, count, 3):
            put(i, "changed %d\n" % i)
        for i in range(1, count, 3):
            os.unlink(path(i))
        for i in range(count, count + count // 3):
            put(i, "new %d\n" % i)
        git(repository, "add", "-A")
        git(repository, "commit", "-m", "changed")
        git(repository, "checkout", "-b", "moved", "main")
        git(repository, "mv", "dir1", "renamed")
        os.unlink(path(2))
        os.makedirs(path(2))  # a file becomes a directory
        write(os.path.join(path(2), "inside"))
        shutil.rmtree(os.path.join(repository, "dir3"))
        write(os.path.join(repository, "dir3"), "a directory becomes a file")
        git(repository, "add", "-A")
        git(repository, "commit", "-m", "moved")
        s.check()
        branches = ["main", "changed", "moved", "changed", "main", "moved"]
        for branch in branches[:scaled(len(branches), 4)]:
            git(repository, "checkout", branch)
            s.sync()
            s.run("verify")
        s.check()
        shutil.rmtree(repository)
        s.check()

    def test_archive(self):
        """An archive is unpacked and removed again; cp -r of the same."""
        s = self.make()
        s.start()
        archive = os.path.join(s.outside, "tree.tar")
        count = scaled(3000, 400)
        source = os.path.join(s.outside, "tree")
        for i in range(count):
            directory = os.path.join(source, "d%d" % (i % 50), "e%d" % (i % 9))
            os.makedirs(directory, exist_ok=True)
            write(os.path.join(directory, "f%d" % i), b"x" * (i % 4096))
            os.utime(os.path.join(directory, "f%d" % i), ns=(1, 1_000_000_007 * (i + 1)))
        os.symlink("d0", os.path.join(source, "link"))
        with tarfile.open(archive, "w") as out:
            out.add(source, "tree")
        subprocess.run(["tar", "-xf", archive], cwd=s.folder, check=True)
        s.check()
        shutil.rmtree(os.path.join(s.folder, "tree"))
        s.check()
        self.assertEqual(s.tree(), {})
        subprocess.run(["cp", "-r", source, os.path.join(s.folder, "copy")], check=True)
        subprocess.run(["cp", "-a", source, os.path.join(s.folder, "kept")], check=True)
        s.check()
        subprocess.run(["rm", "-rf", os.path.join(s.folder, "copy")], check=True)
        s.check()

    def test_directories_with_files_at_once(self):
        """mkdir -p a/b/c with files in each at once: the race that watches lose."""
        s = self.make(settle="0")
        s.start()
        for i in range(scaled(300, 60)):
            directory = os.path.join(s.folder, "p%d" % i, "a", "b", "c")
            os.makedirs(directory)
            for depth in range(4):
                write(os.path.join(directory, *[".."] * depth, "f%d" % depth), b"%d" % i)
        s.check()

    def test_mutations(self):
        """Random work by seed, compared now and then."""
        for settle in ("50ms", "0"):
            with self.subTest(settle=settle):
                s = self.make(settle=settle)
                s.start()
                mutator = spoor.Mutator(s.folder, self.random)
                for _ in range(scaled(12, 4)):
                    mutator.steps(self.random.randrange(scaled(500, 200)))
                    s.check()


class Rows(spoor.Case):
    """How many rows of which kind a deed gives."""

    def setUp(self):
        super().setUp()
        self.s = self.make(settle="200ms")
        self.s.start()

    def at(self, *parts):
        return os.path.join(self.s.folder, *parts)

    def only(self, rows, **wanted):
        self.assertEqual(len(rows), 1, rows)
        self.assertEqual({key: rows[0].get(key) for key in wanted}, wanted, rows)
        return rows[0]

    def test_editor_save(self):
        (made,) = self.s.new_rows(lambda: write(self.at("f"), "one"))

        def save():
            with open(self.at(".f.swp"), "wb") as out:
                out.write(b"two, longer")
                out.flush()
                os.fsync(out.fileno())
            os.rename(self.at(".f.swp"), self.at("f"))

        self.only(self.s.new_rows(save), kind="modify", path="f", size=11, id=made["id"])
        self.s.check()

    def test_append_many_times_is_one_row(self):
        write(self.at("f"), b"")

        def append():
            for _ in range(1000):
                with open(self.at("f"), "ab") as out:
                    out.write(b"x")

        rows = self.s.new_rows(append)
        self.assertEqual({row["kind"] for row in rows}, {"modify"})
        self.assertEqual(rows[-1]["size"], 1000)
        self.assertLess(len(rows), 20)
        self.s.check()

    def test_create_and_delete_is_nothing(self):
        def act():
            write(self.at("f"))
            os.unlink(self.at("f"))

        self.assertEqual(self.s.new_rows(act), [])
        self.s.check()

    def test_move_of_a_large_directory(self):
        count = scaled(10000, 2000)
        for i in range(count):
            directory = self.at("big", "d%d" % (i % 20))
            if i < 20:
                os.makedirs(directory)
            write(os.path.join(directory, "f%d" % i), b"")
        rows = self.s.new_rows(lambda: os.rename(self.at("big"), self.at("moved")))
        row = self.only(rows, kind="move", type="directory", path="moved", entries=count + 20)
        self.assertEqual(row["from"], "big")
        # What was inside is watched under its new name.
        rows = self.s.new_rows(lambda: write(self.at("moved", "d3", "new"), "x"))
        self.only(rows, kind="create", path="moved/d3/new")
        # Removing takes longer than the settle time: some rows, each for all below it.
        rows = self.s.new_rows(lambda: shutil.rmtree(self.at("moved")))
        self.assertEqual({row["kind"] for row in rows}, {"delete"})
        self.assertEqual(rows[-1]["path"], "moved")
        self.assertEqual(sum(1 + row.get("entries", 0) for row in rows), count + 22)
        self.assertLess(len(rows), count // 10)
        self.s.check()

    def test_move_out_and_in(self):
        outside = os.path.join(self.s.outside, "d")
        os.mkdir(self.at("d"))
        write(self.at("d", "x"))
        write(self.at("d", "y"))
        rows = self.s.new_rows(lambda: os.rename(self.at("d"), outside))
        self.only(rows, kind="delete", path="d", entries=2)
        write(os.path.join(outside, "z"))
        self.assertEqual(self.s.new_rows(lambda: os.unlink(os.path.join(outside, "x"))), [])
        rows = self.s.new_rows(lambda: os.rename(outside, self.at("e")))
        self.assertEqual([(row["kind"], row["path"]) for row in rows],
                         [("create", "e"), ("create", "e/y"), ("create", "e/z")])
        self.s.sync()

        def away_and_back():
            os.rename(self.at("e"), outside)
            os.unlink(os.path.join(outside, "y"))
            os.rename(outside, self.at("e"))

        rows = self.s.new_rows(away_and_back)
        self.only(rows, kind="delete", path="e/y")
        self.s.check()

    def test_exchange(self):
        write(self.at("a"), "A")
        write(self.at("b"), "BB")
        os.makedirs(self.at("d", "in-d"))
        os.makedirs(self.at("e", "in-e"))
        rows = self.s.new_rows(lambda: spoor.exchange(self.at("a"), self.at("b")))
        row = self.only(rows, kind="exchange", type="file")
        self.assertEqual({row["path"], row["from"]}, {"a", "b"})
        rows = self.s.new_rows(lambda: spoor.exchange(self.at("d"), self.at("e")))
        row = self.only(rows, kind="exchange", type="directory")
        self.assertEqual({row["path"], row["from"]}, {"d", "e"})
        rows = self.s.new_rows(lambda: write(self.at("d", "in-e", "f")))
        self.only(rows, kind="create", path="d/in-e/f")
        self.s.check()

    def test_mmap(self):
        write(self.at("f"), b"a" * 8192)

        def act():
            with open(self.at("f"), "r+b") as file:
                with mmap.mmap(file.fileno(), 8192) as memory:
                    memory[4096:4100] = b"bbbb"
                    memory.flush()

        self.only(self.s.new_rows(act), kind="modify", path="f", size=8192)
        self.s.check()

    def test_partial_until_closed(self):
        """A look at a file that a writer has open says so; the row after the close completes it."""
        if spoor.watched_by() == "poll":
            self.skipTest("a poll hears of no writer")
        file = open(self.at("f"), "wb", buffering=0)  # journaled by the sync in new_rows()
        self.addCleanup(file.close)
        rows = self.s.new_rows(lambda: file.write(b"one"))
        self.only(rows, kind="modify", path="f", size=3, partial=True)
        rows = self.s.new_rows(lambda: file.write(b"two"))
        self.only(rows, kind="modify", path="f", size=6, partial=True)
        rows = self.s.new_rows(file.close)
        self.only(rows, kind="modify", path="f", size=6, partial=None)
        # truncate(2) tells of a write and never of a close: the system says that nobody writes.
        rows = self.s.new_rows(lambda: os.truncate(self.at("f"), 2))
        self.only(rows, kind="modify", path="f", size=2, partial=None)
        self.s.check()

    def test_chmod(self):
        write(self.at("f"))
        os.mkdir(self.at("d"))
        rows = self.s.new_rows(lambda: os.chmod(self.at("f"), 0o600))
        self.only(rows, kind="attrib", path="f", mode="0600")
        rows = self.s.new_rows(lambda: os.chmod(self.at("d"), 0o2711))
        self.only(rows, kind="attrib", path="d", mode="2711")
        self.s.check()

    def test_renames(self):
        write(self.at("a"), "A")
        write(self.at("b"), "B")
        os.mkdir(self.at("d"))
        made = {row["path"]: row["id"] for row in self.s.new_rows(lambda: None) or self.s.rows()}

        def chain():
            os.rename(self.at("a"), self.at("t"))
            os.rename(self.at("t"), self.at("d", "c"))

        row = self.only(self.s.new_rows(chain), kind="move", path="d/c", id=made["a"])
        self.assertEqual(row["from"], "a")
        rows = self.s.new_rows(lambda: os.rename(self.at("d", "c"), self.at("b")))
        self.only(rows, kind="move", path="b", id=made["a"])
        self.s.check()

    def test_links_and_others(self):
        os.symlink("nowhere", self.at("link"))
        os.symlink("/etc", self.at("etc"))  # is not followed
        write(self.at("a"), "1")
        os.mkfifo(self.at("fifo"))
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.at("socket"))
        self.s.check()
        tree = self.s.tree()
        self.assertEqual(tree[b"fifo"][0], "other")
        self.assertEqual(tree[b"socket"][0], "other")
        self.assertEqual(tree[b"etc"], ("symlink", None, None, None, b"/etc"))

        def retarget():
            os.symlink("somewhere", self.at("new"))
            os.rename(self.at("new"), self.at("link"))

        self.only(self.s.new_rows(retarget), kind="modify", path="link", target="somewhere")
        rows = self.s.new_rows(lambda: os.link(self.at("a"), self.at("b")))
        self.only([row for row in rows if row["kind"] == "create"], type="file", path="b", size=1)
        # Each name is an entry, and a write through one of them reaches both.
        rows = self.s.new_rows(lambda: write(self.at("a"), "22"))
        self.assertEqual(sorted((row["kind"], row["path"]) for row in rows),
                         [("modify", "a"), ("modify", "b")])
        self.s.check()
        os.unlink(self.at("a"))
        os.unlink(self.at("fifo"))
        self.s.check()

    def test_names(self):
        """Any bytes are a name."""
        top = os.fsencode(self.s.folder)
        names = [b"\xff\xfe", b"new\nline", b"tab\tquote\"'\\", b"\x1b[2J", b" ", b"-rf",
                 b"a" * 255, b"\xc3\xa4" * 127, b"\x01\x7f", b"~", b"#", b"\xed\xa0\x80",
                 b"*.tmp", b"...", "\u202eabc".encode(), b"{}", b"%s%n"]
        for name in names:
            write(os.path.join(top, name), name)
            os.mkdir(os.path.join(top, b"d" + name[:254]))
            write(os.path.join(top, b"d" + name[:254], name), name)
            os.symlink(name, os.path.join(top, b"l" + name[:254]))
        self.s.check()
        listed = self.s.run("tree", "-0").split(b"\0")
        self.assertEqual(listed.pop(), b"")
        self.assertEqual(set(listed), set(spoor.walk(self.s.folder)))
        logged = set(self.s.run("log", "--names", "-0").split(b"\0"))
        self.assertEqual(logged - {b""}, set(listed))
        for command in ("tree", "log"):
            shown = self.s.run(command)
            self.assertFalse([c for c in shown if c < 32 and c != 10 or c == 127])
        for name in names:
            os.rename(os.path.join(top, name), os.path.join(top, b"d" + name[:254], b"moved"))
        self.s.check()

    def test_deep(self):
        """Deeper than any path can say: PATH_MAX is no limit of a tree."""
        name = "n" * 200
        levels = 40
        fd = os.open(self.s.folder, os.O_RDONLY)
        fds = [fd]
        for _ in range(levels):
            os.mkdir(name, dir_fd=fd)
            fd = os.open(name, os.O_RDONLY, dir_fd=fd)
            fds.append(fd)
        os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd))
        self.s.check()
        deepest = "/".join([name] * levels)
        self.assertIn((deepest + "/leaf").encode(), self.s.tree())

        def append():
            leaf = os.open("leaf", os.O_WRONLY, dir_fd=fd)
            os.write(leaf, b"x")
            os.close(leaf)

        self.only(self.s.new_rows(append), kind="modify", path=deepest + "/leaf", size=1)
        for each in fds:
            os.close(each)
        rows = self.s.new_rows(lambda: os.rename(self.at(name), self.at("m")))
        self.only(rows, kind="move", path="m", entries=levels)
        self.s.check()

    def test_ignore(self):
        os.mkdir(self.at("d"))
        write(self.at("d", "a.o"))
        write(self.at("d", "a.c"))
        self.s.check()
        rows = self.s.new_rows(lambda: write(self.at(".spoorignore"), "*.o\n"))
        self.assertEqual([(row["kind"], row["path"], row.get("ignored")) for row in rows],
                         [("create", ".spoorignore", None), ("delete", "d/a.o", True)])
        self.assertEqual(self.s.new_rows(lambda: write(self.at("d", "b.o"))), [])
        self.s.check(ignored=[b"d/a.o", b"d/b.o"])
        rows = self.s.new_rows(lambda: os.unlink(self.at(".spoorignore")))
        self.assertEqual(sorted((row["kind"], row["path"]) for row in rows),
                         [("create", "d/a.o"), ("create", "d/b.o"), ("delete", ".spoorignore")])
        self.s.check()


if __name__ == "__main__":
    spoor.main(__doc__)
