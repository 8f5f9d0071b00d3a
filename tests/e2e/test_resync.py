"""Servers that lost what they had, and journals that are not what they were: each time rows from
further back, or the whole tree, bring the server to where the journal stands again, by itself, and
until then the server goes on showing the tree it has."""

import os
import shutil
import sqlite3

import spoor


class Resync(spoor.Case):
    def begin(self, rounds=60, **settings):
        settings.setdefault("upload_lines", "batch_rows = 20")
        s = self.s = self.make(**settings)
        self.mutator = spoor.Mutator(s.folder, self.random, limit=100)
        self.mutator.steps(rounds)
        s.start()
        s.sync(uploaded=True)
        return s

    # ---- what is looked at ----

    def path(self, *parts):
        return os.path.join(self.s.top, *parts)

    def journal_id(self, state="state"):
        with open(self.path(state, "docs", "journal.id"), encoding="utf-8") as lines:
            return dict(line.split() for line in lines)["id"]

    def store(self, state="state"):
        """The server's file of our journal, to read."""
        return sqlite3.connect("file:%s?mode=ro" % self.path("store", self.journal_id(state) + ".db"),
                               uri=True)

    def snapshots(self, state="state"):
        """Generation of the last snapshot the server took, 0 none."""
        store = self.store(state)
        try:
            return store.execute("SELECT gen FROM cursor").fetchone()[0]
        finally:
            store.close()

    def same(self, s=None):
        """After quiet: tree = disk, replica = tree, each proved by another hand."""
        s = s or self.s
        s.sync(uploaded=True)
        s.run("verify")
        s.run("verify", "--server")
        disk = spoor.walk(s.folder)
        spoor.same(s.tree(), disk, "journal", "disk")
        spoor.same(s.server_tree(), disk, "server", "disk")
        upload = s.upload()
        self.assertNotIn("error", {key for key, value in upload.items() if value})

    def goes_on(self, s=None):
        """And rows follow as usual."""
        for _ in range(2):
            self.mutator.steps(15)
            self.same(s)

    # ---- what is done ----

    def down(self):
        self.s.stop()
        self.s.server_stop()

    def save(self, *names):
        for name in names:
            shutil.copytree(self.path(name), self.path("saved-" + name),
                            ignore=shutil.ignore_patterns("*.sock"))

    def restore(self, name):
        shutil.rmtree(self.path(name))
        shutil.copytree(self.path("saved-" + name), self.path(name))

    def ruin(self):
        """Nothing of the journal can be read any more, nor of the log that a stop may leave."""
        for suffix in ("", "-wal"):
            path = self.path("state", "docs", "journal.db" + suffix)
            if os.path.exists(path):
                with open(path, "r+b") as file:
                    file.write(self.random.randbytes(os.path.getsize(path)))

    def purge(self):
        """Forgets every row that is acknowledged: with retention = 0 a start does it."""
        s = self.s
        s.stop()
        s.daemon_start()
        self.same()
        s.stop()
        self.assertGreater(self.floor(), 0)

    def floor(self):
        database = sqlite3.connect("file:%s?mode=ro" % self.path("state", "docs", "journal.db"),
                                   uri=True)
        try:
            return database.execute("SELECT floor_seq FROM meta").fetchone()[0]
        finally:
            database.close()

    def test_more_rows_than_the_journal_holds(self):
        """The server is away for longer than the journal can wait for it."""
        s = self.begin(folder_lines="rows_max = 30")
        before = self.snapshots()
        s.server_stop()
        self.mutator.steps(120)
        s.sync()
        s.stop()
        s.daemon_start()  # which purges
        s.sync()
        self.assertEqual(len(s.rows()), 30)
        self.assertEqual(self.floor(), s.last_seq() - 30)
        s.server_start()
        self.same()
        self.assertGreater(self.snapshots(), before)
        s.daemon.wait_line("are not kept any more")
        self.goes_on()

    # ---- the server lost something ----

    def test_server_lost_everything(self):
        s = self.begin()
        s.server_stop()
        shutil.rmtree(s.store)
        s.server_start()
        self.mutator.steps(10)
        self.same()
        s.check_seqs()  # row 1 was kept: all rows came again, each once
        self.assertEqual(self.snapshots(), 0)
        s.daemon.wait_line("it has lost all")
        self.goes_on()

    def test_server_lost_everything_while_nothing_happens(self):
        """A start asks the server, also when there is nothing to be sent."""
        s = self.begin()
        self.down()
        shutil.rmtree(s.store)
        s.start()
        self.same()
        s.check_seqs()

    def test_server_lost_everything_and_rows_are_purged(self):
        s = self.begin(folder_lines="retention = 0s")
        self.purge()
        s.server_stop()
        shutil.rmtree(s.store)
        s.start()
        self.same()
        self.assertGreater(self.snapshots(), 0)
        self.goes_on()

    def test_server_restored(self):
        s = self.begin()
        self.down()
        self.save("store")
        s.start()
        self.mutator.steps(40)
        s.sync(uploaded=True)
        s.server_stop()
        self.restore("store")
        s.server_start()
        self.mutator.steps(10)
        self.same()
        s.check_seqs()
        self.assertEqual(self.snapshots(), 0)
        s.daemon.wait_line("the server has lost")
        self.goes_on()

    def test_server_restored_and_rows_are_purged(self):
        s = self.begin(folder_lines="retention = 0s")
        self.down()
        self.save("store")
        s.start()
        self.mutator.steps(40)
        s.sync(uploaded=True)
        self.purge()
        s.server_stop()
        self.restore("store")
        s.start()
        self.same()
        self.assertGreater(self.snapshots(), 0)
        self.goes_on()
        # And once more, from a store that knows an older snapshot.
        self.down()
        self.restore("store")
        s.start()
        self.same()

    def test_a_new_upload_comes_after_rows_were_purged(self):
        s = self.begin(folder_lines="retention = 0s")
        self.purge()
        s.server_stop()
        shutil.rmtree(s.store)
        s.settings["upload_lines"] += "\n[upload \"second\"]\nurl = http://127.0.0.1:%d/\n" \
            "retry_min = 20ms\nretry_max = 200ms\nformat = ndjson\nack = status" % \
            s.settings["port"]
        s.start()  # the collector answers the log's posts by 404: it must not disturb the replica
        spoor.same(s.tree(), spoor.walk(s.folder), "journal", "disk")
        self.wait_server()
        self.assertGreater(self.snapshots(), 0)

    def wait_server(self):
        """`sync --uploaded` would wait for the log, too."""
        for _ in range(400):
            try:
                self.s.run("verify", "--server")
                return
            except AssertionError:
                self.s.sync()
        self.s.run("verify", "--server")

    # ---- the journal is another ----

    def test_a_journal_beyond_repair(self):
        s = self.begin()
        self.down()
        self.ruin()
        self.mutator.steps(20)
        s.server_start()
        old = s.server_tree_of(self.journal_id())
        s.daemon_start()
        self.same()
        self.assertGreater(self.snapshots(), 0)
        self.assertNotEqual(old, spoor.walk(s.folder))
        self.goes_on()

    def test_journal_restored_from_a_backup(self):
        """The server is ahead on the same chain: never a wrong replay, but another epoch."""
        s = self.begin()
        self.down()
        self.save("state")
        s.start()
        self.mutator.steps(30)
        s.sync(uploaded=True)
        self.down()
        epoch, name = self.epoch(), self.journal_id()
        self.restore("state")
        self.mutator.steps(30)
        s.start()
        self.same()
        self.assertGreater(self.epoch(), epoch)
        self.assertEqual(self.journal_id(), name)
        s.daemon.wait_line("begins epoch")
        self.assertGreater(self.snapshots(), 0)
        self.goes_on()
        self.assertEqual(len(s.store_files()), 1)

    def epoch(self):
        database = sqlite3.connect("file:%s?mode=ro" % self.path("state", "docs", "journal.db"),
                                   uri=True)
        try:
            return database.execute("SELECT epoch FROM meta").fetchone()[0]
        finally:
            database.close()

    def test_journal_restored_from_before_its_epoch(self):
        """Somebody of our name has a newer history: we cannot know whether he lives, and leave him
        the name."""
        s = self.begin()
        self.down()
        self.save("state")
        self.ruin()
        s.start()
        self.same()
        self.down()
        name = self.journal_id()
        self.restore("state")
        self.mutator.steps(10)
        s.start()
        self.same()
        self.assertNotEqual(self.journal_id(), name)
        s.daemon.wait_line("has a new id")
        self.goes_on()

    def test_two_state_directories_on_one_machine(self):
        """A copied state directory, both daemons alive: one gets another epoch, the other another
        name, and then there is peace."""
        s = self.begin()
        self.down()
        self.save("state")
        s.start()
        twin = self.make()
        shutil.rmtree(twin.folder)
        twin.folder = s.folder
        twin.store = s.store
        twin.server = s.server
        twin.settings.update(folder=s.folder, port=s.settings["port"],
                             upload_lines="batch_rows = 20")
        self.addCleanup(lambda: setattr(twin, "server", None))
        shutil.copytree(self.path("saved-state"), os.path.join(twin.top, "state"))
        self.mutator.steps(20)
        s.sync(uploaded=True)
        twin.daemon_start()
        try:
            for _ in range(4):
                self.mutator.steps(10)
                for one in (s, twin):
                    one.sync(uploaded=True)
            for one in (s, twin):
                one.run("verify")
                one.run("verify", "--server")
            lines = s.daemon.lines + twin.daemon.lines
            sent = [line for line in lines if "the tree is sent whole" in line]
            self.assertEqual(len([line for line in lines if "has a new id" in line]), 1, lines)
            self.assertEqual(len([line for line in lines if "begins epoch" in line]), 1, lines)
            self.assertLessEqual(len(sent), 2, "ping-pong: %s" % sent)
            self.assertEqual(len(s.store_files()), 2)
        finally:
            twin.stop()
            twin.server = None


if __name__ == "__main__":
    spoor.main(__doc__)
