"""What `spoor sync` promises: all that happened before it is journaled when it returns, however
long the settle time and whoever has a file open; and it does not wait for what happens after it."""

import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spoor
from spoor import write


class Sync(spoor.Case):
    def test_past_settle_and_gate(self):
        """Names that would rest for an hour, one of them with a writer."""
        s = self.make(settle="1h", max_delay="2h")
        s.start()
        s.sync()
        file = open(os.path.join(s.folder, "open"), "wb", buffering=0)
        self.addCleanup(file.close)
        file.write(b"one")
        os.makedirs(os.path.join(s.folder, "d", "e"))
        write(os.path.join(s.folder, "d", "e", "f"), "x")
        self.assertEqual(s.rows(), [], "the settle time does not hold back")
        s.check()
        rows = {row["path"]: row for row in s.rows()}
        self.assertEqual(sorted(rows), ["d", "d/e", "d/e/f", "open"])
        self.assertTrue(rows["open"]["partial"])
        self.assertNotIn("partial", rows["d/e/f"])

    def test_not_what_comes_later(self):
        """Somebody never stops; each sync returns, and with what was there before it."""
        s = self.make(settle="20ms")
        s.start()
        stop = threading.Event()

        def work():
            i = 0
            while not stop.is_set():
                write(os.path.join(s.folder, "busy%d" % (i % 50)), b"%d" % i)
                i += 1

        thread = threading.Thread(target=work)
        thread.start()
        try:
            for i in range(spoor.scaled(20, 8)):
                write(os.path.join(s.folder, "mine%d" % i), "x")
                s.sync()
                self.assertIn(b"mine%d" % i, s.tree())
        finally:
            stop.set()
            thread.join()
        s.check()

    def test_many_at_once(self):
        s = self.make(settle="1s")
        s.start()
        for i in range(8):
            write(os.path.join(s.folder, "f%d" % i), "x")
        faults = []

        def one():
            try:
                s.sync(uploaded=True)
            except AssertionError as error:
                faults.append(error)

        threads = [threading.Thread(target=one) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(faults, [])
        self.assertEqual(len(s.tree()), 8)
        s.check()

    def test_without_its_cookie(self):
        """The directory where sync makes its file is gone: each sync compares the whole folder
        instead, which promises as much, and the log says so. The next start makes it anew."""
        s = self.make(settle="1h", max_delay="2h")
        s.start()
        s.check()
        barrier = os.path.join(s.top, "state", "docs", "barrier")
        os.rmdir(barrier)
        for name in ("a", "b"):
            os.mkdir(os.path.join(s.folder, name))
            write(os.path.join(s.folder, name, "file"), "x")
            s.check()
        s.daemon.wait_line("sync compares the whole folder instead")
        self.assertEqual({row["kind"] for row in s.rows()}, {"create"})
        s.stop()
        s.start()
        self.assertTrue(os.path.isdir(barrier))
        s.check()


class Moved(spoor.Case):
    def test_many_files_moved_while_down(self):
        """More files than a scan keeps the names of in one directory go to another: each is a move,
        none is deleted, though the scan only marks both directories (RULES 3)."""
        s = self.make()
        count = spoor.scaled(3000, 1500)
        for name in ("from", "to"):
            os.mkdir(os.path.join(s.folder, name))
        for i in range(count):
            os.mknod(os.path.join(s.folder, "from", "f%d" % i))
        s.start()
        s.check()
        last = s.last_seq()
        s.stop()
        for i in range(count):
            os.rename(os.path.join(s.folder, "from", "f%d" % i),
                      os.path.join(s.folder, "to", "g%d" % i))
        s.start()
        s.check()
        rows = s.rows(last + 1)
        self.assertEqual({row["kind"] for row in rows}, {"move"})
        self.assertEqual(len(rows), count)

    def test_log_rotation(self):
        """A chain of renames, as log rotation makes it: what is rotated keeps its
        identity, however few of its names are due (RULES 24)."""
        s = self.make(settle="300ms")
        path = os.path.join(s.folder, "log")
        write(path, "0")
        for i in range(1, 5):
            write("%s.%d" % (path, i), "%d" % i)
        s.start()
        s.check()
        ids = {row["path"]: row["id"] for row in s.rows()}
        last = s.last_seq()

        def rotate():
            os.unlink(path + ".4")
            for i in (3, 2, 1):
                os.rename("%s.%d" % (path, i), "%s.%d" % (path, i + 1))
            os.rename(path, path + ".1")
            write(path, "new")

        rotate()
        s.check()
        rows = {row["path"]: row for row in s.rows(last + 1)}
        for i in range(1, 5):
            name = "log.%d" % i
            self.assertEqual(rows[name]["kind"], "move")
            self.assertEqual(rows[name]["id"], ids["log.%d" % (i - 1) if i > 1 else "log"])


if __name__ == "__main__":
    spoor.main(__doc__)
