"""Who writes the journal and who reads it: one thread of the daemon writes, whatever asks for it;
a stranger's open transaction is told before it fills the disk; and a first index that was killed
leaves a journal that finds renames all the same."""

import os
import re
import shutil
import sqlite3
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fault
import spoor

WAL_LOUD_BYTES = 32 << 20  # folder.h: FOLDER_WAL_LOUD_BYTES
FIRST_COMMIT = 10000  # folder_private.h: FOLDER_COMMIT_EDITS


class Writer(fault.Case):
    def test_one_thread_writes(self):
        """First index, rounds, batches, acknowledgements: all by one thread (RULES 32)."""
        fault.need_strace()
        s = self.make(upload_lines="batch_rows = 10")
        mutator = spoor.Mutator(s.folder, self.random, limit=60)
        mutator.steps(30)
        s.start()
        s.check()
        s.stop()  # the files are there: strace follows those that exist
        log = os.path.join(s.top, "strace.log")
        s.daemon_start(wrap=["strace", "-D", "-f", "-q", "-o", log, "-e",
                             "trace=pwrite64,fdatasync,fsync,ftruncate",
                             "-P", fault.journal(s), "-P", fault.journal(s, "-wal")],
                       env=fault.traced())
        for _ in range(5):
            mutator.steps(20)
            s.check()
        s.stop()
        with open(log, encoding="utf-8", errors="replace") as text:
            writers = re.findall(r"^(\d+) +pwrite64\(", text.read(), re.MULTILINE)
        self.assertGreater(len(writers), 20)
        self.assertEqual(len(set(writers)), 1, "threads that write: %s" % set(writers))


class Reader(fault.Case):
    def touch(self, s, names, turn):
        """One name of each page of the tree table: much log for few rows."""
        for name in names[::16]:
            os.utime(os.path.join(s.folder, name), ns=(10 ** 18, 10 ** 18 + turn))

    def test_transaction_left_open(self):
        """A read transaction keeps the log from being cut: said in log and status, and over when
        it ends; nothing is lost by it (RULES 33)."""
        s = self.make()
        names = ["%05d" % i + "x" * 100 for i in range(8000)]
        for name in names:
            os.mknod(os.path.join(s.folder, name))
        s.start()
        s.check()
        stranger = sqlite3.connect("file:%s?mode=ro" % fault.journal(s), uri=True,
                                   isolation_level=None)
        self.addCleanup(stranger.close)
        stranger.execute("BEGIN")
        stranger.execute("SELECT count(*) FROM change").fetchone()
        turn = 0
        while s.status("folder")["wal_bytes"] <= WAL_LOUD_BYTES:
            turn += 1
            self.assertLess(turn, 200, "the log does not grow")
            self.touch(s, names, turn)
            s.sync()
        s.daemon.wait_line("keeps a transaction open")
        self.assertIn("the journal's log has grown to", s.run("status").decode())
        s.check()
        stranger.execute("ROLLBACK")
        for turn in (-1, -2, -3):  # a checkpoint of all of it, then the log begins anew
            self.touch(s, names, turn)
            s.sync()
        self.assertLess(s.status("folder")["wal_bytes"], WAL_LOUD_BYTES)
        self.assertNotIn("has grown", s.run("status").decode())
        s.check()


class FirstIndex(fault.Case):
    def test_killed(self):
        """Part of the first index is committed when the daemon dies: the next start completes it,
        and what was moved meanwhile is a move, whichever half it was in (RULES 31)."""
        fault.need_strace()
        s = self.make()
        for i in range(12):
            os.mkdir(os.path.join(s.folder, "d%02d" % i))
            for j in range(FIRST_COMMIT // 10):
                os.mknod(os.path.join(s.folder, "d%02d" % i, "f%d" % j))
        s.server_start()
        partial = 0
        for n in range(10, 30):
            shutil.rmtree(fault.state_dir(s), ignore_errors=True)  # there is none at first
            s.daemon_start(wait=False, wrap=fault.injection(
                "fdatasync", "signal=KILL", n, os.path.join(s.top, "strace.log")),
                env=fault.traced())
            s.daemon.process.wait(spoor.CALL_LIMIT_S)
            s.daemon.end(9)  # of no process any more: closes what is open
            s.daemon = None
            if not os.path.exists(fault.journal(s)) or fault.try_run(s, "log", "-n", "1"):
                continue
            rows = s.last_seq()
            if 0 < rows < 12 * (1 + FIRST_COMMIT // 10):
                partial = rows
                break
        self.assertGreater(partial, 0, "no kill left half an index")
        os.rename(os.path.join(s.folder, "d00", "f0"), os.path.join(s.folder, "moved-early"))
        os.rename(os.path.join(s.folder, "d11", "f0"), os.path.join(s.folder, "moved-late"))
        s.start()
        s.check()
        rows = s.rows(partial + 1)
        self.assertNotIn("delete", [row["kind"] for row in rows])
        self.assertEqual([row["path"] for row in rows if row["kind"] == "move"], ["moved-early"])
        self.assertTrue(s.status("folder")["indexed"])
        database = sqlite3.connect("file:%s?mode=ro" % fault.journal(s), uri=True)
        self.addCleanup(database.close)
        plan = database.execute("EXPLAIN QUERY PLAN SELECT * FROM entry WHERE ino=1").fetchall()
        self.assertIn("USING INDEX", str(plan), "files are found by their identity")
        rows = s.new_rows(lambda: os.rename(os.path.join(s.folder, "d11", "f1"),
                                            os.path.join(s.folder, "moved-now")))
        self.assertEqual([(row["kind"], row["path"]) for row in rows], [("move", "moved-now")])
        self.report("killed with %d rows of the first index" % partial)


if __name__ == "__main__":
    fault.main(__doc__)
