"""What cannot be looked at or watched: it is said, nothing is deleted for it, nothing crashes."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spoor
from spoor import write

NOBODY = 65534
WATCHES = 40

# /proc/sys/user limits what the users of a namespace have together (namespaces(7)), so that the
# machine's own limit is left alone.
NAMESPACE = ["unshare", "--user", "--map-root-user", "sh", "-c",
             "echo %d > /proc/sys/user/max_inotify_watches && exec \"$@\"" % WATCHES, "sh"]


class Unreadable(spoor.Case):
    def setUp(self):
        super().setUp()
        # root reads everything.
        self.s = self.make(user=NOBODY if os.geteuid() == 0 else None)
        if os.geteuid() == 0:
            reach = subprocess.run(["test", "-x", spoor.OPTIONS.bin], user=NOBODY, group=NOBODY,
                                   extra_groups=[], check=False)
            if reach.returncode:
                self.skipTest("another user cannot run %s" % spoor.OPTIONS.bin)

    def test_directory(self):
        s = self.s
        secret = os.path.join(s.folder, "secret")
        os.mkdir(secret)
        for i in range(20):
            write(os.path.join(secret, "f%d" % i), "x")
        write(os.path.join(s.folder, "open"), "x")
        self.give(s.folder)
        s.start()
        s.check()
        before = s.last_seq()
        os.chmod(secret, 0)
        s.sync()
        if os.geteuid() == 0:
            write(os.path.join(secret, "unseen"), "x")
        s.sync()
        rows = s.rows(before + 1)
        self.assertEqual([(row["kind"], row["path"]) for row in rows], [("attrib", "secret")])
        # A restart finds it so: still nothing is deleted, and it is said.
        s.stop()
        s.start()
        s.sync()
        self.assertEqual([row["kind"] for row in s.rows(before + 1)], ["attrib"])
        status = s.status("folder")
        self.assertGreater(status["unreadable_dirs"] + status["unknown_names"], 0)
        self.assertIn("secret", status["trouble"])
        text = s.run("verify", code=1).decode()
        self.assertIn("secret: cannot look: Permission denied", text)
        s.run("sync", "--uploaded", "--timeout", "60s")
        s.run("verify", "--server")
        os.chmod(secret, 0o755)
        self.give(s.folder)
        s.check()
        self.assertNotIn("delete", [row["kind"] for row in s.rows(before + 1)])

    def test_from_the_start(self):
        """Unreadable when first seen: its content comes when it may be read."""
        s = self.s
        secret = os.path.join(s.folder, "secret")
        os.mkdir(secret)
        write(os.path.join(secret, "f"), "x")
        self.give(s.folder)
        os.chmod(secret, 0)
        s.start()
        s.sync()
        self.assertEqual(sorted(s.tree()), [b"secret"])
        os.chmod(secret, 0o755)
        s.check()
        self.assertEqual(sorted(s.tree()), [b"secret", b"secret/f"])

    def give(self, top):
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "%d:%d" % (NOBODY, NOBODY), top], check=True)


class WatchLimit(spoor.Case):
    def setUp(self):
        super().setUp()
        if spoor.watched_by() == "poll":
            self.skipTest("a poll has no watches to run out of")
        probe = subprocess.run(NAMESPACE + ["true"], stderr=subprocess.PIPE, check=False)
        if probe.returncode:
            self.skipTest("no user namespace can be had: " + probe.stderr.decode().strip())

    def test_more_directories_than_watches(self):
        s = self.make(folder_lines="poll_interval = 1s")
        for i in range(2 * WATCHES):
            os.makedirs(os.path.join(s.folder, "d%d" % i, "e"))
            write(os.path.join(s.folder, "d%d" % i, "e", "f"), "x")
        s.start(wrap=NAMESPACE)
        s.check()
        status = s.status("folder")
        self.assertGreater(status["unwatched_dirs"], WATCHES)
        self.assertLessEqual(status["watches"], WATCHES)
        self.assertIn("max_user_watches", "\n".join(s.daemon.lines) + status.get("error", "") +
                      status.get("trouble", ""))
        # A barrier holds for what is not watched too.
        for i in range(2 * WATCHES):
            write(os.path.join(s.folder, "d%d" % i, "e", "f"), "another")
            write(os.path.join(s.folder, "d%d" % i, "e", "g"), "new")
        s.check()
        # Without one it is found by the poll; a follower tells when.
        since = str(s.last_seq() + 1)  # the rows may be there before the follower is
        follower = subprocess.Popen(s.command("log", "--follow", "--since", since, "--names"),
                                    stdout=subprocess.PIPE)
        try:
            for i in range(2 * WATCHES):
                write(os.path.join(s.folder, "d%d" % i, "e", "h"), "new")
            seen = {follower.stdout.readline() for _ in range(2 * WATCHES)}
            self.assertIn(b"d1/e/h\n", seen)
        finally:
            follower.kill()
            follower.wait()
            follower.stdout.close()
        for i in range(2 * WATCHES):
            os.rename(os.path.join(s.folder, "d%d" % i, "e"),
                      os.path.join(s.folder, "d%d" % i, "moved"))
        s.check()


class RootLost(spoor.Case):
    def test_root_moved_away_and_back(self):
        """The folder is not there: nothing is deleted, and it is said."""
        s = self.make()
        os.mkdir(os.path.join(s.folder, "d"))
        write(os.path.join(s.folder, "d", "f"), "x")
        s.start()
        s.check()
        last = s.last_seq()
        away = os.path.join(s.outside, "docs")
        os.rename(s.folder, away)
        s.run("sync", "--timeout", "10s", code=1)
        self.assertEqual([row for row in s.rows(last + 1) if row["kind"] != "gap"], [])
        self.assertNotEqual(s.status("folder")["state"], "watching")
        write(os.path.join(away, "d", "g"), "new")
        os.rename(away, s.folder)
        s.stop()
        s.start()
        s.check()
        self.assertNotIn("delete", [row["kind"] for row in s.rows(last + 1)])

    def test_started_without_it(self):
        """Another directory stands in its place at a start: an unplugged disk's mount point."""
        s = self.make()
        write(os.path.join(s.folder, "f"), "x")
        s.start()
        s.check()
        s.stop()
        away = os.path.join(s.outside, "docs")
        os.rename(s.folder, away)
        os.mkdir(s.folder)
        s.start()
        s.run("sync", "--timeout", "10s", code=1)
        self.assertEqual(sorted(s.tree()), [b"f"])
        s.stop()
        os.rmdir(s.folder)
        os.rename(away, s.folder)
        s.start()
        s.check()


if __name__ == "__main__":
    spoor.main(__doc__)
