"""What the watched disk does while nobody looks, or just then: changes of the same size with the
old times, names whose inode number was used again, files that are written while they are looked
at, and a queue that overflows during the very scan that makes up for a loss."""

import errno
import os
import random
import signal
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fault
import spoor


def max_queued():
    with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as text:
        return int(text.read())


class Down(fault.Case):
    def same_size_and_times(self, s):
        """ctime cannot be set, and tells."""
        path = os.path.join(s.folder, "f")
        spoor.write(path, b"one")
        os.utime(path, ns=(10 ** 18, 10 ** 18))
        s.start()
        s.check()
        for end in (s.stop, s.kill9):
            last = s.last_seq()
            end()
            with open(path, "r+b") as out:
                out.write(self.random.randbytes(3))
            os.utime(path, ns=(10 ** 18, 10 ** 18))
            s.start()
            s.check()
            self.assertEqual([(row["kind"], row["path"]) for row in s.rows(last + 1)],
                             [("modify", "f")])

    def test_same_size_and_times(self):
        self.same_size_and_times(self.make())

    def test_same_size_and_times_ext4(self):
        s = self.make(folder_lines="ignore = lost+found/")
        self.volume(s.folder, "ext4", 16, ["-E", "root_owner=0:0"])
        os.rmdir(os.path.join(s.folder, "lost+found"))
        self.same_size_and_times(s)

    def reuse(self, s, again, same_name):
        """The number of a deleted file under another name, or under the same."""
        old = os.path.join(s.folder, "old")
        new = old if same_name else os.path.join(s.folder, "new")
        spoor.write(old, b"abc")
        os.utime(old, ns=(10 ** 18, 10 ** 18))
        if s.daemon is None:
            s.start()
        s.check()
        last = s.last_seq()
        if again:
            s.stop()
        number = os.stat(old).st_ino
        os.unlink(old)
        tries = []
        for i in range(64):
            spoor.write(new, b"abc")
            if os.stat(new).st_ino == number:
                break
            os.rename(new, os.path.join(s.outside_volume, "t%d" % i))
            tries.append(os.path.join(s.outside_volume, "t%d" % i))
        else:
            self.skipTest("this file system does not use inode numbers again soon")
        os.utime(new, ns=(10 ** 18, 10 ** 18))
        for path in tries:
            os.unlink(path)
        if again:
            s.start()
        s.check()
        kinds = [(row["kind"], row["path"]) for row in s.rows(last + 1)]
        self.assertNotIn("move", [kind for kind, _ in kinds], "another file is no move")
        if again and not same_name:
            self.assertEqual(sorted(kinds), [("create", "new"), ("delete", "old")])
        if again and same_name:
            self.assertEqual(kinds, [("modify", "old")])
        os.unlink(new)
        s.check()

    def test_inode_number_used_again(self):
        s = self.make(settle="0ms")
        volume = os.path.join(s.top, "volume")
        self.volume(volume, "ext4", 32)
        s.folder = s.settings["folder"] = os.path.join(volume, "docs")
        s.outside_volume = os.path.join(volume, "outside")
        os.mkdir(s.folder)
        os.mkdir(s.outside_volume)
        for again in (True, False):
            for same_name in (False, True):
                with self.subTest("down %s, same name %s" % (again, same_name)):
                    self.reuse(s, again, same_name)

    def test_anything_while_down(self):
        s = self.make()
        mutator = spoor.Mutator(s.folder, self.random, limit=200)
        mutator.steps(100)
        for _ in range(fault.rounds(8, 200)):
            s.start()
            mutator.steps(self.random.randrange(60))
            if self.random.random() < 0.5:
                s.sync()
            self.random.choice([s.kill9, s.stop])()
            for path in list(mutator.files)[:40]:
                status = os.lstat(mutator.at(path))
                if self.random.random() < 0.3 and not os.path.islink(mutator.at(path)):
                    with open(mutator.at(path), "r+b") as out:
                        out.write(self.random.randbytes(status.st_size))
                    os.utime(mutator.at(path), ns=(status.st_atime_ns, status.st_mtime_ns))
            mutator.steps(self.random.randrange(100))
            s.start()
            s.check()
            s.stop()


class Meanwhile(fault.Case):
    def test_written_while_looked_at(self):
        """Files are rewritten, cut and replaced without a pause while rounds look at them."""
        s = self.make(settle="0ms")
        names = [os.path.join(s.folder, "f%d" % i) for i in range(8)]
        for name in names:
            spoor.write(name)
        s.start()
        stop = threading.Event()
        faults = []

        def work(seed):
            rng = random.Random("%s %d" % (self.seed, seed))
            try:
                while not stop.is_set():
                    name = rng.choice(names)
                    deed = rng.randrange(4)
                    if deed == 0:
                        spoor.write(name + ".%d" % seed, rng.randbytes(rng.randrange(5000)))
                        os.rename(name + ".%d" % seed, name)
                    elif deed == 1:
                        os.truncate(name, rng.randrange(9000))
                    else:
                        with open(name, "r+b") as out:
                            for _ in range(4):
                                out.seek(rng.randrange(4000))
                                out.write(rng.randbytes(100))
                                out.flush()
            except OSError as error:
                faults.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(fault.rounds(12, 100)):
                s.sync()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(faults, [])
        s.check()
        s.stop()
        s.start()
        last = s.last_seq()
        s.check()
        self.assertEqual(s.last_seq(), last, "the scan finds what was missed")

    def move_on_end(self, s, stop, seed, faults):
        """Directories are made deep at once, and go out, in, over each other and into each other."""
        rng = random.Random("%s %d" % (self.seed, seed))

        def any_dir(top):
            """One below it."""
            path = rng.choice(sorted(entry.path for entry in os.scandir(top)
                                     if entry.is_dir()) or [os.path.join(top, "none")])
            while rng.random() < 0.6:
                below = sorted(entry.path for entry in os.scandir(path) if entry.is_dir())
                if not below:
                    break
                path = rng.choice(below)
            return path

        i = 0
        while not stop.is_set():
            i += 1
            name = "%d-%d" % (seed, i)
            try:
                deed = rng.choice([0, 0, 1, 2, 2, 3, 4] if i < 300 else [1, 2, 3, 4])
                if deed == 0:
                    os.makedirs(os.path.join(any_dir(s.folder), name, "a", "b", "c"))
                elif deed == 1:
                    os.rename(any_dir(s.folder), os.path.join(s.outside, name))
                elif deed == 2:
                    back = rng.choice(os.listdir(s.outside) or ["none"])
                    os.rename(os.path.join(s.outside, back), os.path.join(s.folder, name))
                elif deed == 3:
                    spoor.write(os.path.join(any_dir(s.folder), name))
                else:
                    spoor.exchange(any_dir(s.folder), any_dir(s.folder))
            except OSError as error:
                # It went meanwhile, is there already, or one lies in the other.
                if error.errno not in (errno.ENOENT, errno.EINVAL, errno.EEXIST, errno.ENOTEMPTY):
                    faults.append(error)
                    return

    def test_directories_move_while_crawled(self):
        """While a first index and scans are under way directories come, go and trade places: in
        the end all is right, and there is one watch for each directory, none for what left."""
        s = self.make(settle="0ms")
        for i in range(spoor.scaled(150, 50)):
            os.makedirs(os.path.join(s.folder, "d%d" % (i % 10), "e%d" % i, "f"))
        for turn in range(fault.rounds(3, 60)):
            stop = threading.Event()
            faults = []
            threads = [threading.Thread(target=self.move_on_end, args=(s, stop, seed, faults))
                       for seed in (2 * turn, 2 * turn + 1)]
            for thread in threads:
                thread.start()
            try:
                s.start()
                for _ in range(3):
                    s.sync()
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            self.assertEqual(faults, [])
            s.check()
            status = s.status("folder")
            if status["backend"] == "inotify":
                # The folder itself has one, too.
                self.assertEqual(status["watches"], status["directories"] + 1)
            self.random.choice([s.stop, s.kill9])()
        s.start()
        s.check()

    def overflow(self, s, fd, turn):
        for i in range(max_queued()):
            path = "n%d" % (i % 2000)
            if i < 2000:
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd))
            else:
                os.chmod(path, 0o600 + (i // 2000 + turn) % 64, dir_fd=fd)

    def test_overflow_during_the_recovery_scan(self):
        if max_queued() > 1 << 17:
            self.skipTest("max_queued_events is %d: that many events take too long" % max_queued())
        s = self.make()
        for i in range(spoor.scaled(400, 100)):
            top = os.path.join(s.folder, "d%d" % i)
            os.mkdir(top)
            for j in range(25):
                spoor.write(os.path.join(top, "f%d" % j))
        s.start()
        s.check()
        fd = os.open(s.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.storm(s, fd)
        finally:
            os.close(fd)
        s.check()
        gaps = [row["state"] for row in s.rows() if row["kind"] == "gap"]
        self.assertGreater(len(gaps), 0)
        self.assertEqual(gaps, ["open", "closed"] * (len(gaps) // 2))

    def storm(self, s, fd):
        for turn in range(fault.rounds(3, 20)):
            for _ in range(2):  # the second while the scan for the first is on, or due
                seen = s.last_seq()
                s.daemon.process.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, s.daemon.process.pid, os.WSTOPPED | os.WNOWAIT)
                self.overflow(s, fd, turn)
                old = os.path.join(s.folder, "d%d" % turn)
                if os.path.exists(old):
                    os.rename(old, os.path.join(s.folder, "moved%d" % turn))
                s.daemon.process.send_signal(signal.SIGCONT)
                # The gap's opening row is committed just before its scan; it may be closed again by
                # the time we ask.
                spoor.until(lambda: s.status("folder")["gap_open"] or
                            "gap" in [row["kind"] for row in s.rows(seen + 1)], "the gap to open")
            if turn == 1:  # and with the gap open the daemon dies
                s.kill9()
                s.start()


if __name__ == "__main__":
    fault.main(__doc__)
