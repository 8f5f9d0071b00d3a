"""SIGKILL at the n-th write, sync, send and receive of the daemon, for every n until none fires:
start, scan, commit, batch, acknowledgement, checkpoint and stop are all cut somewhere. After each
the next start finds a sound journal, and the server holds the tree and each row once."""

import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fault
import spoor


class Kill(fault.Case):
    def work(self, s, mutator):
        """A bounded piece of work up to the stop; returns whether the daemon was killed."""
        s.daemon.event.wait(spoor.START_LIMIT_S)
        if s.daemon.ready_line is not None:
            mutator.steps(12)
            fault.try_sync(s, "--uploaded")
            mutator.steps(3)
            fault.try_sync(s)
            s.daemon.process.send_signal(signal.SIGTERM)
        status = s.daemon.process.wait(spoor.CALL_LIMIT_S)
        s.daemon.end(signal.SIGKILL)  # of no process any more: closes what is open
        text = s.daemon.text()
        s.daemon = None
        self.assertIn(status, (0, -signal.SIGKILL), text)
        return status != 0

    def every(self, call, most=9):
        fault.need_strace()
        s = self.make(upload_lines="batch_rows = 10")
        mutator = spoor.Mutator(s.folder, self.random, limit=60)
        mutator.steps(20)
        s.server_start()
        killed = 0
        last = 0
        for n in fault.numbers(most):
            last = n
            s.daemon_start(wait=False, wrap=fault.injection(
                call, "signal=KILL", n, os.path.join(s.top, "strace.log")), env=fault.traced())
            fired = self.work(s, mutator)
            if not fired:
                break
            killed += 1
            s.start()
            s.check()
            s.stop()
        s.start()
        s.check()
        s.stop()
        self.assertGreater(killed, 0, "it never fired")
        self.report("%s: killed %d times, n up to %d" % (call, killed, last))

    def test_pwrite64(self):
        self.every("pwrite64")

    def test_write(self):
        self.every("write", 5)

    def test_fdatasync(self):
        self.every("fdatasync")

    def test_sendto(self):
        self.every("sendto", 7)

    def test_recvfrom(self):
        self.every("recvfrom", 7)

    def test_ftruncate(self):
        self.every("ftruncate", 4)

    def test_unlink(self):
        self.every("unlink", 3)


if __name__ == "__main__":
    fault.main(__doc__)
