"""The kernel's queue overflows: the loss is a row, a scan follows, nothing is wrong in the end."""

import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spoor


def max_queued(backend):
    with open("/proc/sys/fs/%s/max_queued_events" % backend, encoding="ascii") as text:
        return int(text.read())


class Overflow(spoor.Case):
    def overflow(self, s, backend, names):
        """More events than the queue holds while nobody can read it: each new file gives two by
        inotify; fanotify makes one of all that happens to a name."""
        s.daemon.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, s.daemon.process.pid, os.WSTOPPED | os.WNOWAIT)
        directory = os.path.join(s.folder, "many%d" % s.rounds)
        s.rounds += 1
        os.mkdir(directory)
        fd = os.open(s.folder, os.O_RDONLY)
        for i in range(max_queued(backend)):
            path = "n%d" % (i % names)
            if i < names:
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd))
            else:
                os.chmod(path, 0o600 + i // names, dir_fd=fd)
        os.close(fd)
        for name in ("a", "b"):
            spoor.write(os.path.join(directory, name), name)
        s.daemon.process.send_signal(signal.SIGCONT)

    def test_overflow(self):
        self.overflow_by("inotify", 5000)

    def test_overflow_by_fanotify(self):
        self.overflow_by("fanotify", max_queued("fanotify"))

    def overflow_by(self, backend, names):
        if max_queued(backend) > 1 << 20:
            self.skipTest("max_queued_events is %d: that many events take too long" %
                          max_queued(backend))
        s = self.make(backend=backend)
        s.rounds = 0
        os.mkdir(os.path.join(s.folder, "old"))
        for i in range(100):
            spoor.write(os.path.join(s.folder, "old", "f%d" % i), b"x")
        s.start()
        s.check()
        watched_by = s.status("folder")["backend"]
        if watched_by != backend:
            self.skipTest("watched by " + watched_by)
        last = s.last_seq()
        self.overflow(s, backend, names)
        for i in range(50):
            os.unlink(os.path.join(s.folder, "old", "f%d" % i))
        os.rename(os.path.join(s.folder, "old"), os.path.join(s.folder, "new"))
        s.check()
        gaps = [row for row in s.rows(last + 1) if row["kind"] == "gap"]
        self.assertEqual([row["state"] for row in gaps], ["open", "closed"])
        self.assertEqual(gaps[0]["reason"], "overflow")
        if backend == "inotify":  # two more, one soon after the other
            self.overflow(s, backend, names)
            self.overflow(s, backend, names)
            s.check()
        # Once more, and killed with the gap open.
        self.overflow(s, backend, names)
        s.kill9()
        s.start()
        s.check()
        states = [row["state"] for row in s.rows() if row["kind"] == "gap"]
        self.assertEqual(states, ["open", "closed"] * (len(states) // 2))


if __name__ == "__main__":
    spoor.main(__doc__)
