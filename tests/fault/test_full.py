"""A full disk under the journal: a small tmpfs, and ext4 with blocks of 1 KiB, on which a mapped
-shm with holes would end the program by SIGBUS. The daemon says that it is full, gives up its
reserve, keeps running, and catches up by itself when there is space again."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fault
import spoor


class Full(fault.Case):
    def journal(self, kind, mib, make=()):
        s = self.make(upload_lines="batch_rows = 50")
        volume = self.volume(fault.state_dir(s), kind, mib, make)
        mutator = spoor.Mutator(s.folder, self.random, limit=150)
        mutator.steps(100)
        s.start()
        s.check()
        return s, volume, mutator

    def reserve(self, s):
        return os.path.exists(os.path.join(fault.state_dir(s), "docs", "journal.reserve"))

    def exhaust(self, s, volume, mutator):
        """Until the journal cannot grow: also the log's free frames are used up then."""
        def stuck():
            volume.fill()
            mutator.steps(800)
            return fault.try_sync(s) != 0
        spoor.until(stuck, "a full disk to be noticed")

    def full_and_back(self, kind, mib, make=()):
        s, volume, mutator = self.journal(kind, mib, make)
        self.assertTrue(self.reserve(s))
        for turn in range(fault.rounds(2, 10)):
            before = s.rows()
            self.exhaust(s, volume, mutator)
            said = "\n".join(s.daemon.lines)
            self.assertIn("free space on its disk", said)
            status = s.status("folder")
            self.assertNotEqual(status["state"], "watching")
            self.assertIn("free space", status["error"])
            if "1024" not in make:  # there a reader may be refused: see reserve.h
                self.assertEqual(s.rows()[:len(before)], before)
            if turn % 2:  # killed, and started on the full disk
                s.kill9()
                s.start()
                mutator.steps(20)
                fault.try_sync(s)
            volume.empty()
            fault.wait_synced(s, "--uploaded")
            s.check()
            mutator.steps(5)
            s.check()
            self.assertTrue(self.reserve(s), "the reserve is made again, without a restart")
        self.report("%s: %d times full and back" % (kind, fault.rounds(2, 10)))

    def test_tmpfs(self):
        self.full_and_back("tmpfs", 6)

    def test_ext4_small_blocks(self):
        self.full_and_back("ext4", 12, ["-b", "1024"])

    def test_ext4(self):
        self.full_and_back("ext4", 16, ["-b", "4096"])

    def test_start_when_full(self):
        """The -shm of a WAL database is mapped: a hole in it that a full disk cannot fill is SIGBUS,
        which blocks of 1 KiB show."""
        s, volume, mutator = self.journal("ext4", 12, ["-b", "1024"])
        for kill in (True, False) * fault.rounds(1, 5):
            (s.kill9 if kill else s.stop)()
            volume.fill()
            mutator.steps(30)
            s.start()
            fault.try_sync(s)
            self.assertIsNone(s.daemon.process.poll(), s.daemon.text())
            # A reader may need room for the -shm; it says so, and does not die of it.
            for command in (["verify"], ["log", "-n", "3"]):
                code = fault.try_run(s, *command)
                self.assertIn(code, (0, 1, 3), s.last_error)
                self.assertTrue(code != 1 or "space" in s.last_error, s.last_error)
            volume.empty()
            fault.wait_synced(s, "--uploaded")
            s.check()

    def test_acknowledge_when_full(self):
        """What the server took while the disk was full is not sent twice for ever: the reserve
        lets acknowledgements commit, or the first one after space is back does."""
        s, volume, mutator = self.journal("tmpfs", 6)
        s.server_kill()
        mutator.steps(200)
        s.sync()
        volume.fill()
        s.server_start()
        mutator.steps(10)
        fault.try_sync(s, "--uploaded")
        volume.empty()
        fault.wait_synced(s, "--uploaded")
        s.check()

    def test_watched_disk_full(self):
        """The watched disk being full is no concern of the daemon's."""
        s = self.make()
        volume = self.volume(s.folder, "tmpfs", 2)
        s.start()
        for i in range(20):
            spoor.write(os.path.join(s.folder, "f%d" % i), b"x" * 100 * i)
        volume.fill()
        s.check()
        volume.empty()
        s.check()


if __name__ == "__main__":
    fault.main(__doc__)
