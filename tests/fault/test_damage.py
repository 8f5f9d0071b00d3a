"""Bits flip in the journal's files between two runs, the files are cut, and -wal or -shm vanish.
Each damage is harmless, or it is detected: said, and the file is moved aside and a new epoch begins
as soon as anybody meets it, or, where the log's end went, a new epoch goes on from what is left.
Never is a wrong row shown as a right one, and always, after quiet, journal and server hold the tree:
the server by a snapshot, which `verify --server` proves."""

import glob
import json
import os
import shutil
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fault
import spoor


class Damage(fault.Case):
    def setUp(self):
        super().setUp()
        s = self.s = self.make(upload_lines="batch_rows = 50")
        self.mutator = spoor.Mutator(s.folder, self.random, limit=120)
        self.mutator.steps(300)
        s.start()
        s.check()
        self.mutator.steps(60)
        s.sync(uploaded=True)
        s.kill9()  # the log stays as it was
        self.good_rows = s.rows()
        self.epoch = self.good_rows[-1]["epoch"]
        self.states = os.path.join(s.outside, "state")
        self.stores = os.path.join(s.outside, "store")
        s.server_stop()
        self.copy(fault.state_dir(s), self.states)
        self.copy(s.store, self.stores)
        self.seen = dict(harmless=0, aside=0, rolled_back=0, told=0)

    @staticmethod
    def copy(source, target):
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.sock"))

    def restore(self):
        s = self.s
        shutil.rmtree(fault.state_dir(s))
        shutil.rmtree(s.store)
        self.copy(self.states, fault.state_dir(s))
        self.copy(self.stores, s.store)

    def lines(self, *arguments):
        """What a command printed before it ended, and whether it ended well."""
        done = subprocess.run(self.s.command(*arguments), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=spoor.CALL_LIMIT_S, check=False)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        self.assertTrue(done.returncode == 0 or done.stderr, "failed without a word")
        return [json.loads(line) for line in done.stdout.splitlines()], done.returncode == 0

    def settled(self, what):
        """After quiet: tree = disk, replica = tree, and nobody complains."""
        s = self.s
        fault.wait_synced(s, "--uploaded")
        spoor.until(lambda: fault.try_run(s, "verify", "--server") == 0,
                    "the server to be brought up to date: %s" % what)
        s.run("verify")
        disk = spoor.walk(s.folder)
        spoor.same(s.tree(), disk, "journal", "disk")
        spoor.same(s.server_tree(), disk, "server", "disk")

    def judge(self, what):
        """Runs daemon and server on what is there now."""
        s = self.s
        # The readers first, while no daemon has opened it: every row they show is the right one.
        shown, _ = self.lines("log", "--json")
        for row in shown:
            self.assertEqual(row, self.good_rows[row["seq"] - 1], what)
        s.start(wait=False)
        s.daemon.event.wait(spoor.START_LIMIT_S)
        self.assertIsNotNone(s.daemon.ready_line, "%s: %s" % (what, s.daemon.text()))
        self.mutator.steps(5)
        self.settled(what)
        rows, well = self.lines("log", "--json")
        if not well:
            # Damage in rows that nobody had to read: whoever reads them tells the daemon.
            self.seen["told"] += 1
            spoor.until(lambda: self.lines("log", "--json")[1], "a new journal: %s" % what)
            self.settled(what)
            rows, well = self.lines("log", "--json")
        self.assertTrue(well, what)
        said = "\n".join(s.daemon.lines)
        aside = [name for name in glob.glob(fault.journal(s) + ".corrupt-*")
                 if not name.endswith(("-wal", "-shm"))]
        if aside or rows and rows[0]["epoch"] != self.epoch:
            self.assertNotEqual(rows[-1]["epoch"], self.epoch, what)
            # An empty file is a new journal: nothing was there to be kept.
            self.assertTrue("moved aside" in said or not aside, what)
            self.seen["aside"] += 1
        elif rows[:len(self.good_rows)] == self.good_rows:
            s.check_seqs()
            self.seen["harmless"] += 1
        else:
            # The log's end went, and with it the last commits: what came instead is of a new epoch.
            self.assertIn("last commits are gone", said, what)
            for row in rows:
                self.assertTrue(row["epoch"] != self.epoch or
                                row == self.good_rows[row["seq"] - 1], what)
            self.assertNotEqual(rows[-1]["epoch"], self.epoch, what)
            self.seen["rolled_back"] += 1
        self.assertEqual([row["seq"] for row in rows], list(range(1, len(rows) + 1)), what)
        spoor.same(s.tree("--at", str(len(rows))), spoor.walk(s.folder), "replay", "disk")
        self.mutator.steps(5)
        self.settled(what)
        s.kill9()
        s.server_stop()

    def each(self, damages):
        for what, damage in damages:
            with self.subTest(what):
                self.restore()
                damage()
                try:
                    self.judge(what)
                finally:
                    for line in (self.s.daemon, self.s.server):
                        if line:
                            line.end(9)
                    self.s.daemon = self.s.server = None
        self.report("%s" % self.seen)

    def flip(self, suffix):
        path = fault.journal(self.s, suffix)
        size = os.path.getsize(path)
        for _ in range(fault.rounds(10, 600)):
            at = self.random.randrange(size)
            bit = self.random.randrange(8)

            def damage(at=at, bit=bit):
                with open(path, "r+b") as file:
                    file.seek(at)
                    byte = file.read(1)[0]
                    file.seek(at)
                    file.write(bytes([byte ^ 1 << bit]))
            yield "bit %d of byte %d of journal.db%s" % (bit, at, suffix), damage

    def checkpointed(self):
        """All in the database, nothing in the log."""
        s = self.s
        s.start()
        s.stop()
        s.server_stop()
        # The upload's reader may have been the last to close, and it does not write.
        database = sqlite3.connect(fault.journal(s))
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        shutil.rmtree(self.states)
        self.copy(fault.state_dir(s), self.states)

    def test_flips_in_the_database(self):
        self.checkpointed()
        self.each(self.flip(""))

    def test_flips_in_the_log(self):
        self.each(self.flip("-wal"))

    def cut(self, suffix):
        path = fault.journal(self.s, suffix)
        size = os.path.getsize(path)
        sizes = [0, 1, 100, 4096, size // 2, size - 4096, size - 1]
        sizes += [self.random.randrange(size) for _ in range(fault.rounds(3, 60))]
        for at in sizes:
            yield "journal.db%s cut at %d of %d" % (suffix, at, size), \
                lambda at=at: os.truncate(path, at)

    def test_cuts_of_the_database(self):
        self.checkpointed()
        self.each(self.cut(""))

    def test_cuts_of_the_log(self):
        self.each(self.cut("-wal"))

    def test_a_wrong_row(self):
        """A file that SQLite holds sound, with one row that is another than was written."""
        s = self.s
        self.restore()
        database = sqlite3.connect(fault.journal(s))
        with database:
            database.execute("UPDATE change SET time = time + 1 WHERE seq = 5")
        database.close()
        for command in (["log"], ["log", "--json"], ["show", "5"], ["tree", "--at", "9"]):
            s.run(*command, code=1)
            self.assertIn("row 5 does not fit its checksum", s.last_error)
        s.run("log", "--since", "6")
        s.run("tree")

    def test_files_gone(self):
        def gone(*suffixes):
            for suffix in suffixes:
                os.unlink(fault.journal(self.s, suffix))

        def garbage(suffix):
            with open(fault.journal(self.s, suffix), "r+b") as file:
                file.write(self.random.randbytes(os.path.getsize(fault.journal(self.s, suffix))))

        def id_cut():
            os.truncate(os.path.join(os.path.dirname(fault.journal(self.s)), "journal.id"), 10)
        self.each([("-shm gone", lambda: gone("-shm")),
                   ("-wal gone", lambda: gone("-wal")),
                   ("-wal and -shm gone", lambda: gone("-wal", "-shm")),
                   ("garbage in -shm", lambda: garbage("-shm")),
                   ("garbage in -wal", lambda: garbage("-wal")),
                   ("garbage in journal.db", lambda: garbage("")),
                   ("journal.id cut", id_cut)])


if __name__ == "__main__":
    fault.main(__doc__)
