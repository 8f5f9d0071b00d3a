"""The disk fails below the journal: the n-th write or sync of its files gives EIO or ENOSPC, and
descriptors run out. The daemon says so, opens the journal again, verifies, scans, and has lost
nothing; it never takes a failing disk for a damaged file."""

import os
import resource
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fault
import spoor


class Io(fault.Case):
    def every(self, call, error, most=5, then=""):
        """`then` as in strace: "+" from the n-th on; those stop with a restart."""
        fault.need_strace()
        s = self.make(upload_lines="batch_rows = 10")
        mutator = spoor.Mutator(s.folder, self.random, limit=60)
        mutator.steps(20)
        s.start()
        s.check()
        s.stop()
        log = os.path.join(s.top, "strace.log")
        paths = [fault.journal(s), fault.journal(s, "-wal")]
        failed = told = last = 0
        for n in fault.numbers(most):
            last = n
            if os.path.exists(log):
                os.unlink(log)
            s.daemon_start(wait=False, wrap=fault.injection(
                call, "error=" + error, "%d%s" % (n, then), log, paths), env=fault.traced())
            s.daemon.wait_ready()
            mutator.steps(12)
            if then:
                fault.try_sync(s)
            else:
                fault.wait_synced(s, "--uploaded")
                s.check()
            fired = fault.injected(log)
            status = s.status("folder")
            text = "\n".join(s.daemon.lines)
            told += "trying again" in text
            if then and fired and "trying again" in text:
                # Rows that were written though their sync failed are there when the journal is
                # opened again: between two failures it may have caught up, and then wholly. Should
                # the next one come just now, it says so; it never tells a difference.
                if status["state"] == "watching":
                    if fault.try_run(s, "verify") != 0:
                        self.assertIn("disk I/O error", s.last_error)
                else:
                    self.assertTrue(status["error"], status)
            self.assertNotIn("was moved aside", text)
            s.stop()
            if then:
                s.start()
                s.check()
                s.stop()
            if not fired:
                break
            failed += 1
        self.assertGreater(failed, 0, "it never fired")
        self.report("%s %s%s: failed in %d runs, seen and told in %d, n up to %d" % (
            call, error, then, failed, told, last))
        self.assertEqual([name for name in os.listdir(os.path.dirname(fault.journal(s)))
                          if "corrupt" in name], [])

    def test_write_eio(self):
        self.every("pwrite64", "EIO")

    def test_write_full(self):
        self.every("pwrite64", "ENOSPC")

    def test_sync_eio(self):
        self.every("fdatasync", "EIO")

    def test_read_eio_for_good(self):
        """Not once: calls are counted by thread, and each scan has new threads."""
        self.every("pread64", "EIO", 4, then="+")

    def test_sync_eio_for_good(self):
        self.every("fdatasync", "EIO", 3, then="+")

    def test_write_eio_for_good(self):
        self.every("pwrite64", "EIO", 3, then="+")

    def test_no_descriptors(self):
        """RLIMIT_NOFILE at every value from one that is too small to one that is enough: what
        cannot be looked at for want of a descriptor is never taken for deleted."""
        s = self.make(upload_lines="batch_rows = 10")
        mutator = spoor.Mutator(s.folder, self.random, limit=120)
        mutator.steps(200)
        s.start()
        s.check()
        s.stop()
        path = "d"
        for i in range(12):
            os.mkdir(os.path.join(s.folder, path))
            spoor.write(os.path.join(s.folder, path, "f"), "x")
            path += "/d%d" % i
        refused = short = 0
        limits = list(range(8, 60)) if fault.ALL else list(range(12, 52, 4))
        for limit in limits:
            before = spoor.walk(s.folder)
            last = s.last_seq()
            s.daemon_start(wait=False, preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_NOFILE, (limit, 4096)))
            s.daemon.event.wait(spoor.START_LIMIT_S)
            if s.daemon.ready_line is None:
                self.assertNotEqual(s.daemon.process.wait(spoor.CALL_LIMIT_S), 0)
                text = s.daemon.text()
                self.assertIn("Too many open files", text)
                s.daemon.end(9)
                s.daemon = None
                refused += 1
                continue
            # Without a descriptor the daemon cannot even answer: no answer, not a wrong one.
            code = fault.try_run(s, "sync", "--timeout", "2s")
            self.assertEqual(spoor.walk(s.folder), before)
            rows = s.rows(last + 1)
            self.assertNotIn("delete", [row["kind"] for row in rows], "limit %d" % limit)
            if code or fault.try_run(s, "verify"):
                short += 1
            # What failed is tried again when there is room.
            resource.prlimit(s.daemon.process.pid, resource.RLIMIT_NOFILE, (4096, 4096))
            fault.wait_synced(s)
            spoor.until(lambda: fault.try_run(s, "verify") == 0, "verify: " + s.last_error)
            # A directory whose turn has not come again is not watched yet; a start makes it so.
            s.stop()
            mutator.steps(10)
            s.start()
            s.check()
            s.stop()
        self.report("descriptors: refused to start %d, short %d of %d" % (
            refused, short, len(limits)))
        s.start()
        s.check()


if __name__ == "__main__":
    fault.main(__doc__)
