"""Bits flip in the journal's files between two runs, the files are cut, and -wal or -shm vanish.
Each damage is harmless, or it is detected: said, and where the daemon meets it the file is moved
aside and a new epoch begins. Never is a wrong row shown as a right one, and never is the tree wrong
after a sync. The server, which knows the old epoch, then pauses and says so."""

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
        self.seen = dict(harmless=0, aside=0, told=0, refused=0)

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
        fault.wait_synced(s)
        s.run("verify")
        spoor.same(s.tree(), spoor.walk(s.folder), "journal", "disk")
        aside = [name for name in glob.glob(fault.journal(s) + ".corrupt-*")
                 if not name.endswith(("-wal", "-shm"))]
        rows, well = self.lines("log", "--json")
        if aside or rows and rows[0]["epoch"] != self.epoch:
            self.assertTrue(well, what)
            self.assertNotEqual(rows[-1]["epoch"], self.epoch, what)
            self.assertEqual([row["seq"] for row in rows], list(range(1, len(rows) + 1)), what)
            # An empty file is a new journal: nothing was there to be kept.
            self.assertTrue("moved aside" in "\n".join(s.daemon.lines) or not aside, what)
            spoor.same(s.tree("--at", str(len(rows))), spoor.walk(s.folder), "replay", "disk")
            # Until there is a resync the upload waits, and says why. With a new id the server sees
            # a new journal and takes it whole.
            if fault.try_sync(s, "--uploaded", "--timeout", "1s"):
                self.assertTrue(fault.upload_status(s)["error"], what)
            else:
                s.run("verify", "--server")
            self.seen["aside"] += 1
        elif not well:
            self.assertRegex(self.error("log", "--json"), "checksum|malformed|missing", what)
            self.seen["told"] += 1
        else:
            if rows[:len(self.good_rows)] == self.good_rows:
                s.check()
                self.seen["harmless"] += 1
            else:
                # The log's end went, and with it the last commits, as if they had never been: from
                # within nothing shows that. The server knows better and must not be followed by.
                code = fault.try_run(s, "sync", "--uploaded", "--timeout", "2s")
                self.assertNotEqual(code, 0, what)
                self.assertTrue(fault.upload_status(s)["error"], what)
                self.seen["refused"] += 1
        s.kill9()
        s.server_stop()

    def error(self, *arguments):
        return subprocess.run(self.s.command(*arguments), stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              check=False).stderr.decode()

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
