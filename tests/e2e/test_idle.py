"""Nothing happens: nothing wakes. In 10 s no thread of the daemon is switched to."""

import glob
import os
import select
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spoor

IDLE_S = 10


def switches(pid):
    """Thread -> how often it was given the processor because it had waited (proc(5))."""
    found = {}
    for path in glob.glob("/proc/%d/task/*/status" % pid):
        with open(path, encoding="ascii") as lines:
            for line in lines:
                if line.startswith("voluntary_ctxt_switches:"):
                    found[path] = int(line.split()[1])
    return found


class Idle(spoor.Case):
    def test_no_wake_up(self):
        if spoor.watched_by() != "inotify":
            self.skipTest("fanotify hears of the whole file system, poll has its interval")
        s = self.make()
        mutator = spoor.Mutator(s.folder, self.random)
        mutator.steps(300)
        s.start()
        mutator.steps(300)
        s.check()
        pid = s.daemon.process.pid
        # The last acknowledgement's own work ends: quiet is when a second passes without a
        # switch. This is the thing measured, so a clock is what must be waited for.
        before = switches(pid)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            select.select([], [], [], 1)
            now = switches(pid)
            if now == before:
                break
            before = now
        self.assertGreater(len(before), 2)
        select.select([], [], [], IDLE_S)
        self.assertEqual(switches(pid), before)
        s.check()


if __name__ == "__main__":
    spoor.main(__doc__)
