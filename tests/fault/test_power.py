"""Power loss by FS_IOC_SHUTDOWN on ext4 and xfs in a loop device: of the journal's volume in a
storm of commits, where what the server was sent must be there afterwards, and of the watched
volume, which may roll back to older content that the next scan then journals."""

import os
import signal
import sqlite3
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fault
import spoor


class Storm:
    """Somebody works on the folder until told to stop; an error of the folder's disk ends it."""

    def __init__(self, mutator):
        self.mutator = mutator
        self.stop = threading.Event()
        self.begun = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.stop.is_set():
                self.mutator.steps(5)
                self.begun.set()
        except OSError:
            pass  # the disk has gone
        finally:
            self.begun.set()

    def end(self):
        self.stop.set()
        self.thread.join()


class Power(fault.Case):
    def journal_volume(self, kind, mib):
        # A row is acknowledged within milliseconds of its commit: nothing is left to luck.
        s = self.make(settle="0ms", upload_lines="batch_rows = 20")
        volume = self.volume(fault.state_dir(s), kind, mib)
        mutator = spoor.Mutator(s.folder, self.random, limit=150)
        mutator.steps(50)
        count = fault.rounds(6, 40)
        for _ in range(count):
            s.start()
            storm = Storm(mutator)
            try:
                storm.begun.wait()
                for _ in range(self.random.randrange(1, 4)):
                    s.sync(uploaded=self.random.random() < 0.5)
                synced = s.last_seq()
                volume.power_loss()
            finally:
                storm.end()
            # The log's index is mapped: on a file system that is no more, reading it is SIGBUS.
            s.kill9(also=[signal.SIGBUS])
            volume.remount()
            held = s.last_seq()
            self.assertGreaterEqual(held, synced, "a row that sync had waited for is gone")
            acked = self.server_seq(s)
            self.assertGreaterEqual(held, acked, "the server holds a row that the journal lost")
            s.start()
            s.check()
            s.stop()
        self.report("%s: %d losses of power" % (kind, count))

    @staticmethod
    def server_seq(s):
        store = sqlite3.connect("file:%s?mode=ro" % s.store_files()[0], uri=True)
        try:
            return store.execute("SELECT coalesce(max(seq),0) FROM change").fetchone()[0]
        finally:
            store.close()

    def test_journal_ext4(self):
        self.journal_volume("ext4", 64)

    def test_journal_xfs(self):
        self.journal_volume("xfs", 320)

    def watched_volume(self, kind, mib):
        s = self.make(upload_lines="batch_rows = 50", folder_lines="ignore = lost+found/")
        volume = self.volume(s.folder, kind, mib)
        rng = self.random
        count = fault.rounds(5, 40)
        rolled_back = 0
        for i in range(count):
            top = os.path.join(s.folder, "round%d" % i)
            os.mkdir(top)
            mutator = spoor.Mutator(top, rng, limit=150)
            mutator.steps(80)
            if self.random.random() < 0.5:
                os.sync()
            s.start()
            s.sync(uploaded=self.random.random() < 0.5)
            mutator.steps(80)
            s.sync()
            last = s.tree()
            volume.power_loss()
            # The daemon sees a disk that fails: nothing is deleted for that.
            fault.try_sync(s)
            s.kill9()
            self.assertEqual(s.tree(), last)
            volume.remount()
            found = spoor.walk(s.folder)
            found.pop(b"lost+found", None)
            rolled_back += found != last
            s.start()
            s.check(ignored=[b"lost+found"] if os.path.exists(
                os.path.join(s.folder, "lost+found")) else [])
            s.stop()
        self.report("%s: %d losses of power, content rolled back in %d" % (
            kind, count, rolled_back))
        self.assertGreater(rolled_back, 0, "nothing was ever lost: no power loss was simulated")

    def test_watched_ext4(self):
        self.watched_volume("ext4", 64)

    def test_watched_xfs(self):
        self.watched_volume("xfs", 320)


if __name__ == "__main__":
    fault.main(__doc__)
