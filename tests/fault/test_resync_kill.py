"""SIGKILL of either side at the n-th call while a snapshot is on its way: it resumes or begins again,
the server shows the old tree until the switch and the new one after it, never anything between, and
in the end it holds the tree."""

import collections
import os
import shutil
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fault
import spoor


class Resync(fault.Case):
    def setUp(self):
        """A server that holds an old tree, and a journal that was begun anew since."""
        super().setUp()
        fault.need_strace()
        s = self.s = self.make(upload_lines="batch_rows = 4\ncompression = 0")
        mutator = spoor.Mutator(s.folder, self.random, limit=60)
        mutator.steps(40)
        s.start()
        s.sync(uploaded=True)
        self.old = s.server_tree()
        self.journal = os.path.basename(s.store_files()[0])[:-3]
        s.stop()
        s.server_stop()
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(fault.journal(s, suffix)):
                os.unlink(fault.journal(s, suffix))
        mutator.steps(20)
        self.new = spoor.walk(s.folder)
        self.saved = [(path, os.path.join(s.outside, name))
                      for name, path in (("state", fault.state_dir(s)), ("store", s.store))]
        for path, copy in self.saved:
            shutil.copytree(path, copy, ignore=shutil.ignore_patterns("*.sock"))
        self.switched = dict(before=0, after=0)

    def restore(self):
        for path, copy in self.saved:
            shutil.rmtree(path)
            shutil.copytree(copy, path)

    def look(self, what):
        """What the server shows at this moment."""
        shown = self.s.server_tree_of(self.journal)
        if shown == self.new:
            self.switched["after"] += 1
        else:
            spoor.same(shown, self.old, "server", "the old tree, " + what)
            self.switched["before"] += 1

    def complete(self, what):
        s = self.s
        fault.wait_synced(s, "--uploaded")
        spoor.until(lambda: fault.try_run(s, "verify", "--server") == 0, what)
        spoor.same(s.server_tree_of(self.journal), self.new, "server", "disk, " + what)
        s.stop()
        s.server_stop()

    def numbers(self, call, run):
        """Spread over all calls of the thread that makes most: `run` is done once to count them."""
        log = os.path.join(self.s.top, "strace.log")
        run(60000)  # strace counts up to 65535
        with open(log, encoding="utf-8", errors="replace") as text:
            calls = collections.Counter(line.split()[0] for line in text if call + "(" in line)
        count = max(calls.values(), default=0)
        self.assertGreater(count, 2, call)
        wanted = fault.rounds(4, count)
        return [max(1, count * (i + 1) // (wanted + 1)) for i in range(wanted)]

    def wrap(self, call, n):
        return dict(wrap=fault.injection(call, "signal=KILL", n,
                                         os.path.join(self.s.top, "strace.log")),
                    env=fault.traced())

    def daemon(self, call):
        s = self.s

        def run(n):
            self.restore()
            s.server_start()
            s.daemon_start(wait=False, **self.wrap(call, n))
            s.daemon.event.wait(spoor.START_LIMIT_S)
            fired = s.daemon.ready_line is None or fault.try_run(
                s, "sync", "--uploaded", "--timeout", "60s") != 0
            if fired:
                self.assertEqual(s.daemon.process.wait(spoor.CALL_LIMIT_S), -signal.SIGKILL)
            s.daemon.end(signal.SIGKILL)
            s.daemon = None
            self.look("%s %d" % (call, n))
            s.daemon_start()
            self.complete("%s %d" % (call, n))
            return fired

        killed = sum(run(n) for n in self.numbers(call, run))
        self.report("daemon, %s: killed %d times, switched %s" % (call, killed, self.switched))
        self.assertGreater(killed, 0, "it never fired")

    def test_daemon_pwrite64(self):
        self.daemon("pwrite64")

    def test_daemon_sendto(self):
        self.daemon("sendto")

    def test_daemon_recvfrom(self):
        self.daemon("recvfrom")

    def server(self, call):
        s = self.s

        def run(n):
            self.restore()
            s.settings["port"] = 0
            try:
                s.server_start(**self.wrap(call, n))
            except AssertionError:  # killed before it listened
                s.server.end(signal.SIGKILL)
                s.server = None
                s.server_start()
            s.daemon_start()
            fired = fault.try_run(s, "sync", "--uploaded", "--timeout", "3s") != 0
            s.server.end(signal.SIGKILL)
            s.server = None
            s.server_start()  # at the same port: the daemon goes on by itself
            self.look("server, %s %d" % (call, n))
            self.complete("server, %s %d" % (call, n))
            return fired

        killed = sum(run(n) for n in self.numbers(call, run))
        self.report("server, %s: killed %d times, switched %s" % (call, killed, self.switched))
        self.assertGreater(killed, 0, "it never fired")

    def test_server_pwrite64(self):
        self.server("pwrite64")

    def test_server_fdatasync(self):
        self.server("fdatasync")


if __name__ == "__main__":
    fault.main(__doc__)
