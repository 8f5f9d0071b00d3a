"""Whatever ends when: the daemon and the server are killed, the folder changes meanwhile, and in
the end the server holds the tree and each row once."""

import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spoor
from spoor import scaled


class Crash(spoor.Case):
    def setUp(self):
        super().setUp()
        # Unfolded, so that the server's rows can be counted.
        self.s = self.make(upload_lines="batch_rows = 200", fold="off")
        self.mutator = spoor.Mutator(self.s.folder, self.random)

    def work(self, most):
        """Nothing or much: so a kill hits start, scan, commit and upload alike."""
        self.mutator.steps(self.random.choice([0, 1, 10, most // 3, most]))

    def test_daemon_killed(self):
        s = self.s
        s.start()
        for _ in range(scaled(50, 8)):
            self.work(300)
            if self.random.random() < 0.5:
                s.sync()
                self.work(30)
            s.kill9()
            self.work(100)
            s.start(wait=self.random.random() < 0.7)
        s.daemon.wait_ready()
        s.check()
        gaps = [row for row in s.rows() if row["kind"] == "gap"]
        self.assertEqual(gaps, [], "a start writes no gap")

    def test_told_to_stop_at_any_moment(self):
        """In opening, first index, scan, round, batch or request: it ends well and soon, and leaves
        nothing undone that was promised. How much is done before decides on the moment."""
        s = self.s
        self.mutator.steps(300)
        s.server_start()
        ready = 0
        for _ in range(scaled(40, 10)):
            s.daemon_start(wait=False)
            if self.random.random() < 0.9:
                s.daemon.wait_ready()
            ready += s.daemon.ready_line is not None
            for _ in range(self.random.choice([0, 0, 1, 5, 20, 60])):
                self.mutator.steps(5)
            if self.random.random() < 0.3:
                s.sync()
            if s.daemon.ready_line is not None:
                s.stop(self.random.choice([signal.SIGTERM, signal.SIGINT]))
                continue
            status = s.daemon.end(signal.SIGTERM)  # not ready: ends as any program (daemon.c)
            self.assertIn(status, (0, -signal.SIGTERM), s.daemon.text())
            s.daemon = None
        self.assertGreater(ready, 5)
        s.start()
        s.check()
        self.assertEqual([row for row in s.rows() if row["kind"] == "gap"], [])

    def test_server_killed(self):
        s = self.s
        s.start()
        for _ in range(scaled(15, 5)):
            self.work(200)
            if self.random.random() < 0.5:
                s.sync(uploaded=True)
                self.work(200)
            s.server_kill()
            self.work(100)
            s.sync()  # the journal needs no server
            s.run("verify")
            s.server_start()
        s.check()

    def test_both_killed(self):
        s = self.s
        s.start()
        for _ in range(scaled(15, 5)):
            self.work(200)
            if self.random.random() < 0.5:
                s.sync()
            if self.random.random() < 0.5:
                s.server_kill()
            s.kill9()
            self.work(100)
            if s.server is None and self.random.random() < 0.5:
                s.daemon_start()
                self.work(50)
                s.server_start()
            else:
                s.start()
        s.check()

    def test_changes_while_down(self):
        s = self.s
        self.mutator.steps(500)  # the first index finds a tree
        s.start()
        s.check()
        for how in [signal.SIGTERM, signal.SIGINT] * scaled(3, 1):
            s.stop(how)
            before = spoor.walk(s.folder)
            if self.random.random() < 0.8:
                self.mutator.steps(self.random.randrange(300))
            changed = spoor.walk(s.folder) != before
            last = s.last_seq()  # the journal is readable without the daemon
            s.start()
            s.check()
            if not changed:
                self.assertEqual(s.last_seq(), last)

    def test_restart_writes_nothing(self):
        """A scan of an unchanged folder adds no row."""
        s = self.s
        self.mutator.steps(500)
        s.start()
        s.check()
        last = s.last_seq()
        for end in (s.stop, s.kill9, s.stop):
            end()
            s.start()
            s.sync()
            self.assertEqual(s.last_seq(), last)
        s.check()

    def test_rename_while_down(self):
        """What moved while nobody looked is a move all the same."""
        s = self.s
        directory = os.path.join(s.folder, "d")
        os.mkdir(directory)
        for i in range(100):
            spoor.write(os.path.join(directory, "f%d" % i), b"x" * i)
        s.start()
        s.check()
        last = s.last_seq()
        s.stop()
        os.rename(directory, os.path.join(s.folder, "e"))
        os.rename(os.path.join(s.folder, "e", "f7"), os.path.join(s.folder, "seven"))
        s.start()
        s.check()
        rows = s.rows(last + 1)
        self.assertEqual(sorted((row["kind"], row["path"]) for row in rows),
                         [("move", "e"), ("move", "seven")], rows)


if __name__ == "__main__":
    spoor.main(__doc__)
