"""The ways of noticing changes other than inotify: the whole by fanotify and by poll, the rights
that fanotify needs and gives up, and what happens where it is refused."""

import contextlib
import glob
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spoor
from spoor import scaled, write

NOBODY = 65534
KEPT = 1 << 2 | 1 << 28  # CAP_DAC_READ_SEARCH, CAP_LEASE


def capabilities(pid, which="CapEff"):
    """Thread -> its capabilities (proc(5))."""
    found = {}
    for path in glob.glob("/proc/%d/task/*/status" % pid):
        with open(path, encoding="ascii") as lines:
            found[path] = next(int(line.split()[1], 16) for line in lines
                               if line.startswith(which + ":"))
    return found


def backend(s):
    return s.status("folder")["backend"]


def links_outside(case, s):
    """A write through a name outside the folder shows on every name inside, whether the link
    was there before the daemon or came later, and on none once there is none."""
    for name in ("old", "new"):
        write(os.path.join(s.folder, name), "1")
    os.mkdir(os.path.join(s.folder, "d"))
    os.link(os.path.join(s.folder, "old"), os.path.join(s.folder, "d", "second"))
    os.link(os.path.join(s.folder, "old"), os.path.join(s.outside, "old"))
    s.start()
    s.sync()
    if backend(s) != "fanotify":
        case.skipTest(backend(s))

    def changed(act):
        rows = s.new_rows(act)
        case.assertEqual([row.get("actor", {}).get("pid") for row in rows],
                         [os.getpid()] * len(rows))
        s.check()
        return sorted((row["kind"], row["path"]) for row in rows)

    both = [("modify", "d/second"), ("modify", "old")]
    outside = os.path.join(s.outside, "old")
    case.assertEqual(changed(lambda: write(outside, "22")), both)
    case.assertEqual(changed(lambda: os.truncate(outside, 1)), both)
    case.assertEqual(changed(lambda: os.chmod(outside, 0o600)),
                     [("attrib", "d/second"), ("attrib", "old")])
    later = os.path.join(s.outside, "later")
    case.assertEqual(changed(lambda: os.link(os.path.join(s.folder, "new"), later)), [])
    case.assertEqual(changed(lambda: write(later, "22")), [("modify", "new")])
    # Within one settle window, and the link is gone again.
    brief = os.path.join(s.folder, "brief")

    def link_write_unlink():
        os.link(os.path.join(s.folder, "new"), brief)
        write(brief, "333")
        os.unlink(brief)

    case.assertEqual(changed(link_write_unlink), [("modify", "new")])
    case.assertEqual(changed(lambda: os.unlink(later)), [])
    # A file that was moved in from outside is known from then on.
    moved = os.path.join(s.outside, "moved")
    write(moved, "1")
    os.link(moved, moved + "2")
    case.assertEqual(changed(lambda: os.rename(moved, os.path.join(s.folder, "moved"))),
                     [("create", "moved")])
    case.assertEqual(changed(lambda: write(moved + "2", "22")), [("modify", "moved")])
    os.unlink(os.path.join(s.folder, "moved"))
    s.sync()
    case.assertEqual(changed(lambda: write(moved + "2", "1")), [])


class Backend(spoor.Case):
    def backend(self, s):
        return backend(s)

    def started(self, backend, user=None, **more):
        s = self.make(backend=backend, user=user, **more)
        os.mkdir(os.path.join(s.folder, "early"))
        write(os.path.join(s.folder, "early", "file"), "early")
        s.start()
        s.sync()
        return s

    def fanotify(self):
        s = self.started("fanotify")
        if self.backend(s) != "fanotify":
            self.skipTest(self.backend(s))
        return s

    def work(self, s, rounds, steps):
        mutator = spoor.Mutator(s.folder, self.random)
        for _ in range(rounds):
            mutator.steps(steps)
            s.check()
        s.kill9()
        mutator.steps(steps)
        s.start()
        s.check()
        self.assertEqual([row for row in s.rows() if row["kind"] == "gap"], [])

    def test_fanotify(self):
        self.work(self.fanotify(), scaled(6, 3), 150)

    def test_fanotify_gives_up_its_rights(self):
        s = self.fanotify()
        for which in ("CapEff", "CapPrm"):
            rights = capabilities(s.daemon.process.pid, which)
            self.assertGreater(len(rights), 2)
            self.assertEqual({value & ~KEPT for value in rights.values()}, {0})
        # What others own can be journaled all the same.
        private = os.path.join(s.folder, "private")
        os.mkdir(private, 0o700)
        write(os.path.join(private, "file"), "secret")
        for path in (os.path.join(private, "file"), private):
            os.chmod(path, 0o700)
            os.chown(path, NOBODY, NOBODY)
        s.check()

    def test_directory_by_itself(self):
        """The mode of a directory, which fanotify tells without its name; moved meanwhile, too."""
        s = self.fanotify()
        early = os.path.join(s.folder, "early")
        rows = s.new_rows(lambda: os.chmod(early, 0o700))
        self.assertEqual([(row["kind"], row["path"], row["mode"]) for row in rows],
                         [("attrib", "early", "0700")])

        def act():
            os.chmod(early, 0o711)
            os.rename(early, early + "2")

        act()
        s.check()
        self.assertEqual(s.tree()[b"early2"][3], "0711")

    def test_links_outside(self):
        links_outside(self, self.make(backend="fanotify"))

    def test_root_that_comes_later(self):
        """The right to mark it is gone by then: inotify, and why; a restart gives fanotify."""
        self.fanotify().stop()  # it is to be had here
        s = self.make(backend="fanotify")
        os.rmdir(s.folder)
        s.start()
        for which in ("CapEff", "CapPrm"):
            rights = capabilities(s.daemon.process.pid, which)
            self.assertEqual({value & ~KEPT for value in rights.values()}, {0})
        later = "inotify (fanotify: '%s' is not there yet; restart spoor when it is)" % s.folder
        self.assertEqual(self.backend(s), later)
        s.daemon.wait_line(later)
        os.mkdir(s.folder)
        write(os.path.join(s.folder, "a"), "1")
        s.check()
        rows = s.new_rows(lambda: write(os.path.join(s.folder, "a"), "22"))
        self.assertEqual([(row["path"], row.get("actor")) for row in rows], [("a", None)])
        self.assertEqual(self.backend(s), later)
        self.assertIn(later, s.run("status").decode())
        s.stop()
        s.start()
        s.sync()
        self.assertEqual(self.backend(s), "fanotify")
        self.work(s, 1, 50)

    def test_outside_is_not_journaled(self):
        s = self.fanotify()

        def act():
            for i in range(50):
                write(os.path.join(s.outside, "f%d" % i), "x")

        self.assertEqual(s.new_rows(act), [])

    def test_actor(self):
        """Who did it, in every place where rows are told; by a confined daemon without rights."""
        s = self.fanotify()
        self.assertRegex(s.daemon.text(), "sandbox: (Landlock|this kernel gives no Landlock)")
        with open("/proc/self/comm", encoding="utf-8") as comm:
            me = {"pid": os.getpid(), "program": comm.read().rstrip("\n")}
        early, other = os.path.join(s.folder, "early"), os.path.join(s.folder, "other")

        def act():
            write(os.path.join(early, "file"), "more")
            os.mkdir(other)
            write(os.path.join(other, "new"), "x")
            os.rename(os.path.join(early, "file"), os.path.join(other, "file"))
            os.unlink(os.path.join(other, "new"))

        rows = s.new_rows(lambda: write(os.path.join(early, "file"), "more"))
        self.assertEqual([row.get("actor") for row in rows], [me])
        rows = s.new_rows(act)
        self.assertGreaterEqual(len(rows), 2)
        self.assertEqual([row for row in rows if row.get("actor") != me], [])
        last = rows[-1]["seq"]
        by = "%s (%d)" % (me["program"], me["pid"])
        self.assertIn("  by " + by, s.run("log", "-n", "1").decode())
        self.assertRegex(s.run("show", str(last)).decode(), r"actor +%s\n" % re.escape(by))
        s.sync(uploaded=True)
        self.assertEqual([row["actor"] for row in self.stored(s, last)], [me])
        # What was done while nobody listened has no actor, nor has what was there before.
        s.stop()
        write(os.path.join(other, "unseen"), "x")
        s.start()
        s.sync()
        self.assertEqual([(row["path"], row.get("actor")) for row in s.rows(last + 1)],
                         [("other/unseen", None)])
        self.assertNotIn("actor", s.rows()[0])
        s.check()

    def stored(self, s, since):
        """Rows as the server keeps them."""
        found = []
        for path in s.store_files():
            with contextlib.closing(sqlite3.connect(path)) as db:
                found += [json.loads(row[0]) for row in
                          db.execute("SELECT json FROM change WHERE seq>=?", (since,))]
        return found

    def test_actor_that_ended(self):
        """Of a process that is gone its number is told, and its name if it could be asked."""
        s = self.fanotify()
        path = os.path.join(s.folder, "touched")

        def act():
            child = subprocess.Popen(["touch", path])
            child.wait()
            self.child = child.pid

        rows = s.new_rows(act)
        self.assertEqual(len(rows), 1)
        self.assertEqual(rows[0]["actor"]["pid"], self.child)
        self.assertIn(rows[0]["actor"].get("program"), (None, "touch"))

        def work():  # the last one of a settle window
            with subprocess.Popen(["sh", "-c", "echo 1 >%s; read go" % path],
                                  stdin=subprocess.PIPE) as shell:
                s.sync()
                self.child = shell.pid

        rows = s.new_rows(work)
        self.assertEqual([row["actor"] for row in rows], [{"pid": self.child, "program": "sh"}])

    def test_no_actor_without_rights(self):
        s = self.started("inotify")
        rows = s.new_rows(lambda: write(os.path.join(s.folder, "a"), "x"))
        self.assertEqual([row.get("actor") for row in rows], [None])
        self.assertNotIn(" by ", s.run("log").decode())

    def test_refused(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to become somebody else")
        s = self.started("fanotify", user=NOBODY)
        self.assertRegex(self.backend(s), r"^inotify \(fanotify: not permitted")
        self.assertIn("inotify (fanotify: not permitted", s.run("status").decode())
        s.daemon.wait_line("inotify (fanotify: not permitted")

    def test_inotify_keeps_its_rights(self):
        s = self.started("inotify")
        with open("/proc/self/status", encoding="ascii") as lines:
            ours = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
        self.assertEqual(set(capabilities(s.daemon.process.pid).values()), {ours})

    def test_poll(self):
        s = self.started("poll")
        self.assertEqual(self.backend(s), "poll")
        text = s.run("status").decode()
        self.assertIn("watching by poll", text)
        self.assertNotIn("watch limit", text)  # nothing is wrong
        self.work(s, scaled(4, 2), 100)
        self.assertNotIn("warn", s.daemon.text())

    def test_poll_by_its_interval(self):
        """Without anybody asking: a row after poll_interval."""
        s = self.started("poll", folder_lines="poll_interval = 1s")
        last = s.last_seq()
        write(os.path.join(s.folder, "late"), "x")
        follow = subprocess.Popen(
            s.command("log", "--follow", "--names", "--since", str(last + 1)),
            stdout=subprocess.PIPE)
        limit = threading.Timer(spoor.CALL_LIMIT_S, follow.kill)
        limit.start()
        name = follow.stdout.readline()
        limit.cancel()
        follow.kill()
        follow.wait()
        follow.stdout.close()
        self.assertEqual(name, b"late\n")
        s.check()


if __name__ == "__main__":
    spoor.main(__doc__)
