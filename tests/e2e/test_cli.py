"""The command line: every command, its JSON, its exit codes, faults of the configuration."""

import json
import os
import pty
import re
import select
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spoor
from spoor import write

FAILED, USAGE, DIFFERS, TIMEOUT, CONFIG = 1, 2, 3, 4, 78


def bare(*arguments, code=0, **more):
    """Runs spoor without a configuration of ours."""
    done = subprocess.run([spoor.OPTIONS.bin, *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=spoor.CALL_LIMIT_S, **more)
    if done.returncode != code:
        raise AssertionError("spoor %s: exit %d instead of %d\n%r\n%r" % (
            " ".join(arguments), done.returncode, code, done.stdout, done.stderr))
    return done.stdout.decode(), done.stderr.decode()


class Follower:
    """`spoor log --follow` behind a pipe or a terminal."""

    def __init__(self, s, *arguments, terminal=False):
        if terminal:
            self.fd, output = pty.openpty()
        else:
            self.fd, output = os.pipe()
        environment = dict(os.environ, TERM="xterm")
        environment.pop("NO_COLOR", None)
        self.process = subprocess.Popen(s.command("log", "--follow", *arguments),
                                        stdin=subprocess.DEVNULL, stdout=output,
                                        stderr=subprocess.PIPE, env=environment)
        os.close(output)
        self.text = ""

    def wait_for(self, pattern):
        """Reads on until the pattern is there."""
        deadline = time.monotonic() + 60
        while not re.search(pattern, self.text):
            ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(self.fd, 65536) if ready else b""
            if not piece:
                raise AssertionError("%r did not come:\n%s" % (pattern, self.text))
            self.text += piece.decode("utf-8", "replace")
        return self.text

    def end(self):
        os.close(self.fd)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()


class Commands(spoor.Case):
    def setUp(self):
        super().setUp()
        self.s = self.make()

    def at(self, *parts):
        return os.path.join(self.s.folder, *parts)

    def fill(self):
        """A journal of known rows."""
        s = self.s
        s.start()
        write(self.at("a.txt"), "one")
        s.sync()
        os.mkdir(self.at("d"))
        write(self.at("d", "b"), "two!")
        s.sync()
        os.rename(self.at("a.txt"), self.at("d", "c.txt"))
        s.sync()
        os.symlink("c.txt", self.at("d", "link"))
        s.check()

    def test_log(self):
        s = self.s
        self.fill()
        rows = s.rows()
        self.assertEqual([(row["kind"], row["path"]) for row in rows],
                         [("create", "a.txt"), ("create", "d"), ("create", "d/b"),
                          ("move", "d/c.txt"), ("create", "d/link")])
        for row in rows:
            self.assertEqual(row["folder"], "docs")
            self.assertRegex(row["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(rows[3]["from"], "a.txt")
        self.assertEqual(rows[3]["id"], rows[0]["id"])
        text = s.run("log").decode().splitlines()
        self.assertEqual(len(text), 5)
        self.assertIn("a.txt -> d/c.txt", text[3])
        self.assertIn("links to c.txt", text[4])
        self.assertNotIn("\033", "".join(text))

        def seqs(*arguments):
            return [row["seq"] for row in s.objects("log", *arguments)]

        self.assertEqual(seqs("-n", "2"), [4, 5])
        self.assertEqual(seqs("-n", "2", "--reverse"), [5, 4])
        self.assertEqual(seqs("-n", "0"), [])
        self.assertEqual(seqs("-n", "99"), [1, 2, 3, 4, 5])
        self.assertEqual(seqs("--since", "2", "--until", "4"), [2, 3, 4])
        self.assertEqual(seqs("--since", "2", "--until", "4", "-n", "1"), [4])
        self.assertEqual(seqs("--since", "9"), [])
        self.assertEqual(seqs("--since", "1h"), [1, 2, 3, 4, 5])
        self.assertEqual(seqs("--until", "1h"), [])
        self.assertEqual(seqs("--since", rows[4]["time"])[-1], 5)
        self.assertEqual(seqs("--until", rows[0]["time"])[0], 1)
        self.assertEqual(seqs("--until", "2001-01-01"), [])
        self.assertEqual(seqs("a.txt"), [1, 4])  # either end of a move
        self.assertEqual(seqs("d"), [2, 3, 4, 5])
        self.assertEqual(seqs("d", "-n", "2"), [4, 5])
        self.assertEqual(seqs(self.at("d", "b")), [3])
        self.assertEqual(seqs("./d/b/"), [3])
        self.assertEqual(seqs("d/"), [2, 3, 4, 5])
        self.assertEqual(seqs("nothing"), [])
        self.assertEqual(s.run("log", "--names", "d/link"), b"d/link\n")
        self.assertEqual(s.run("log", "--names", "-0", "-n", "2"), b"d/c.txt\0d/link\0")
        s.run("log", "--since", "yesterday", code=FAILED)
        self.assertIn("yesterday", s.last_error)
        s.run("log", "../x", code=FAILED)
        s.run("log", "/etc", code=FAILED)
        s.run("log", "-0", code=USAGE)
        s.run("log", "--follow", "--reverse", code=USAGE)
        s.run("log", "--names", "--json", code=USAGE)
        head = subprocess.run(["sh", "-c", '"$0" "$@" | head -n 1', *s.command("log")], check=True,
                              stdout=subprocess.PIPE)
        self.assertEqual(head.stdout.count(b"\n"), 1)

    def test_follow(self):
        s = self.s
        s.start()
        write(self.at("old"), "1")
        s.sync()
        for terminal in (False, True):
            follower = Follower(s, terminal=terminal)
            try:
                follower.wait_for("create.* f .*old")
                name = "new-%s" % terminal
                write(self.at(name), "22")
                text = follower.wait_for(name)
                self.assertEqual("\033[32mcreate" in text, terminal)
                s.sync(uploaded=True)
                follower.wait_for("main acknowledged up to %d" % s.last_seq())
                s.kill9()  # it goes on when the daemon is back
                write(self.at(name + "-later"), "333")
                s.start()
                s.sync()
                text = follower.wait_for(name + "-later")
                self.assertEqual(len(re.findall("old", text)), 1)
                s.stop()
                s.start()
                write(self.at(name + "-again"), "333")
                s.sync()
                follower.wait_for(name + "-again")
            finally:
                follower.end()
        follower = Follower(s, "--json", "-n", "1")
        try:
            follower.wait_for("\n")  # it has begun: what comes from now on it must see
            write(self.at("json"), "")
            text = follower.wait_for('"path":"json"')
            self.assertEqual(json.loads(text.splitlines()[1])["path"], "json")
            # Nobody reads any more: it ends by itself.
            os.close(follower.fd)
            follower.fd = os.open("/dev/null", os.O_RDONLY)
            follower.process.wait(spoor.CALL_LIMIT_S)
        finally:
            follower.end()

    def test_show(self):
        s = self.s
        self.fill()
        (row,) = s.objects("show", "4")
        self.assertEqual((row["seq"], row["kind"], row["from"]), (4, "move", "a.txt"))
        text = s.run("show", "4").decode()
        for wanted in (r"seq +4\n", r"kind +move\n", r"path +d/c\.txt\n", r"from +a\.txt\n",
                       r"size +3 bytes\n", r"consumers +main: acknowledged\n"):
            self.assertRegex(text, wanted)
        s.run("show", "99", code=FAILED)
        self.assertIn("not there yet", s.last_error)
        for wrong in (["show"], ["show", "x"], ["show", "0"], ["show", "1", "2"]):
            s.run(*wrong, code=USAGE)

    def test_tree(self):
        s = self.s
        self.fill()
        self.assertEqual(sorted(s.tree()), [b"d", b"d/b", b"d/c.txt", b"d/link"])
        self.assertEqual(sorted(s.tree("--at", "1")), [b"a.txt"])
        self.assertEqual(sorted(s.tree("--at", "3")), [b"a.txt", b"d", b"d/b"])
        self.assertEqual(s.tree("--at", "5"), s.tree())
        self.assertEqual(s.tree("--at", "0"), {})
        self.assertEqual(s.tree("--at", "2001-01-01"), {})
        self.assertEqual(sorted(s.tree("d/b")), [b"d/b"])
        self.assertEqual(len(s.tree("d")), 4)
        self.assertEqual(s.run("tree", "-0", "d"), b"d\0d/b\0d/c.txt\0d/link\0")
        text = s.run("tree").decode()
        self.assertRegex(text, r"(?m)^drwx.* d/$")
        self.assertRegex(text, r"(?m)^-rw.* 4 \S+Z d/b$")
        self.assertRegex(text, r"(?m) d/link -> c\.txt$")
        s.run("tree", "nothing", code=FAILED)
        s.run("tree", "--at", "99", code=FAILED)
        s.run("tree", "-0", "--json", code=USAGE)

    def test_pending(self):
        s = self.s
        self.fill()
        self.assertEqual(s.run("pending"), b"")
        self.assertIn("nothing waits", s.last_error)
        s.server_kill()
        write(self.at("x"), "x")
        write(self.at("y"), "y")
        s.sync()
        self.assertEqual([row["seq"] for row in s.objects("pending")], [6, 7])
        self.assertEqual([row["seq"] for row in s.objects("pending", "-n", "1")], [6])
        text = s.run("pending").decode()
        self.assertEqual(len(text.splitlines()), 2)
        self.assertIn("waits for main", text)
        self.assertIn("2 rows wait (main 2", s.last_error)
        s.run("sync", "--uploaded", "--timeout", "300ms", code=TIMEOUT)
        self.assertIn("main", s.last_error)
        s.server_start()
        s.check()
        self.assertEqual(s.run("pending"), b"")

    def test_progress_on_a_terminal(self):
        s = self.s
        s.start()
        s.server_kill()
        for name in "abc":
            write(self.at(name), name)
        s.sync()
        terminal, output = pty.openpty()
        waiting = subprocess.Popen(s.command("sync", "--uploaded"), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=output,
                                   env=dict(os.environ, TERM="xterm"))
        os.close(output)
        drawn = b""
        while b" rows" not in drawn:  # nothing is acknowledged: it goes on drawing
            self.assertTrue(select.select([terminal], [], [], 60)[0], "nothing is drawn")
            drawn += os.read(terminal, 4096)
        self.assertRegex(drawn.decode(), r"\r\x1b\[K\[\.{30}\]   0 %  0 of 3 rows")
        s.server_start()
        self.assertIn(b"journaled and acknowledged", waiting.communicate(timeout=60)[0])
        self.assertEqual(waiting.returncode, 0)
        try:
            while drawn:
                last, drawn = drawn, os.read(terminal, 4096)
        except OSError:
            pass  # EIO: its other end is closed
        self.assertTrue(last.endswith(b"\x1b[K") or drawn.endswith(b"\x1b[K"))  # the line is clear
        os.close(terminal)
        # A file or a pipe gets none.
        s.server_kill()
        write(self.at("x"), "x")
        s.run("sync", "--uploaded", "--timeout", "1200ms", code=TIMEOUT)
        self.assertNotIn(" of 4 rows", s.last_error)

    def test_status(self):
        s = self.s
        self.fill()

        def status():
            found = {}
            for item in s.objects("status"):
                found[item["record"]] = item
            return found["daemon"], found["folder"], found["upload"]

        daemon, folder, upload = status()
        self.assertEqual((daemon["running"], daemon["pid"]), (True, s.daemon.process.pid))
        self.assertEqual((folder["state"], folder["backend"]), ("watching", spoor.watched_by()))
        self.assertEqual((folder["entries"], folder["last_seq"], folder["watches"]),
                         (4, 5, 0 if spoor.watched_by() == "poll" else 2))
        self.assertEqual((upload["acked"], upload["pending"]), (5, 0))
        self.assertGreater(upload["rows_per_s"], 0)
        self.assertEqual(upload["http_status"], 200)
        answered = upload["answered_time"]
        self.assertRegex(s.run("status").decode(), r"rows/(s|min) · answered 200 .* ago")
        self.assertIn("running (process %d" % s.daemon.process.pid, s.run("status").decode())
        s.server_kill()
        write(self.at("x"), "x")
        s.run("sync", "--uploaded", "--timeout", "1s", code=TIMEOUT)
        upload = status()[2]
        self.assertEqual((upload["acked"], upload["pending"]), (5, 1))
        self.assertTrue(upload["error"])
        self.assertIn("oldest_pending_ms", upload)
        self.assertEqual(upload["answered_time"], answered)  # no server, no answer
        self.assertGreater(upload["failures"], 0)
        self.assertIn("1 pending", s.run("status").decode())
        s.stop()
        daemon, folder, upload = status()
        self.assertFalse(daemon["running"])
        self.assertEqual((folder["last_seq"], upload["pending"]), (6, 1))
        self.assertIn("not running", s.run("status").decode())
        s.run("sync", code=FAILED)
        self.assertIn("start", s.last_error)

    def test_verify(self):
        s = self.s
        self.fill()
        s.stop()
        write(self.at("d", "b"), "another")
        os.unlink(self.at("d", "c.txt"))
        os.mkdir(self.at("new"))
        write(self.at("new", "inside"))
        os.chmod(self.at("d"), 0o700)
        found = s.objects("verify", code=DIFFERS)
        self.assertEqual(sorted((item["path"], item["difference"]) for item in found),
                         [("d", "mode"), ("d/b", "mtime"), ("d/b", "size"),
                          ("d/c.txt", "only-in-journal"), ("new", "not-in-journal")])
        text = s.run("verify", code=DIFFERS).decode()
        self.assertEqual(len(text.splitlines()), 5)
        self.assertIn("d/b: size: journal 4, disk 7\n", text)
        self.assertIn("5 differences", s.last_error)
        s.run("verify", "--server")
        s.start()
        s.check()
        # A server that holds something else is found out, at the row it stands at.
        s.server_stop()
        store = sqlite3.connect(s.store_files()[0])
        self.assertEqual(store.execute("UPDATE node SET size=99 WHERE name=CAST('b' AS BLOB)")
                         .rowcount, 1)
        store.commit()
        store.close()
        s.server_start()
        (item,) = s.objects("verify", "--server", code=DIFFERS)
        self.assertEqual((item["path"], item["difference"], item["journal"], item["server"]),
                         ("d/b", "size", 7, 99))
        s.server_kill()
        s.run("verify", "--server", code=FAILED)
        write(self.at("more"), "x")
        s.sync()
        s.server_start()

    def test_verify_server_behind(self):
        """The journal has gone on: the tree of then is compared."""
        s = self.s
        self.fill()
        s.server_kill()
        write(self.at("d", "b"), "another")
        os.rename(self.at("d"), self.at("e"))
        s.sync()
        s.stop()
        s.server_start()
        s.run("verify", "--server")
        self.assertIn("at row 5", s.last_error)
        s.start()
        s.check()

    def test_sqlite_shell(self):
        """The views for people, while the daemon runs."""
        s = self.s
        self.fill()
        path = os.path.join(s.top, "state", "docs", "journal.db")
        shell = sqlite3.connect("file:%s?mode=ro" % path, uri=True)
        try:
            rows = shell.execute("SELECT seq, kind, path FROM v_changes ORDER BY seq").fetchall()
            self.assertEqual(rows[3], (4, "move", "d/c.txt"))
            self.assertEqual(shell.execute("SELECT count(*) FROM v_tree").fetchone(), (4,))
            for view in ("v_pending", "v_consumers", "v_gaps"):
                shell.execute("SELECT * FROM " + view).fetchall()
        finally:
            shell.close()
        write(self.at("x"), "x")
        s.check()

    def test_config(self):
        s = self.s
        s.write_config()
        s.settings["port"] = 9
        s.write_config()
        self.assertIn("ok", s.run("config", "check").decode())
        shown = s.objects("config", "show")
        self.assertIn({"section": "folder", "name": "docs", "key": "settle"},
                      [{key: item[key] for key in ("section", "name", "key")} for item in shown])
        self.assertIn("settle", s.run("config", "show").decode())
        self.assertIn(s.config, s.run("config", "paths").decode())
        example = s.run("config", "example").decode()
        self.assertIn("[folder", example)
        path = os.path.join(s.top, "example.conf")
        # The example shows every key; with its sample folder there it is a configuration.
        with open(s.config, encoding="utf-8") as text:
            good = text.read()
        for line, text in (("settel = 1s", "settle"), ("settle = 5", "settle"),
                           ("path", "path"), ("[folder", "folder"), ("[fodler \"x\"]", "folder")):
            broken = good.replace("max_delay = 1s", line)
            write(path, broken)
            number = broken.splitlines().index(line) + 1
            _, said = bare("config", "check", "--config", path, code=CONFIG)
            self.assertIn("%s:%d:" % (path, number), said)
            self.assertIn(text, said)
            bare("run", "--config", path, code=CONFIG)
            bare("start", "--config", path, code=CONFIG)
        bare("config", "check", "--config", os.path.join(s.top, "none"), code=CONFIG)
        inside = good.replace("/state\n", "/docs/state\n")
        write(path, inside)
        bare("config", "check", "--config", path, code=CONFIG)
        bare("run", "--config", path, code=CONFIG)
        home = dict(os.environ, HOME=s.outside, XDG_CONFIG_HOME=os.path.join(s.outside, "x"))
        if not os.path.exists("/etc/spoor/spoor.conf"):
            bare("config", "check", code=CONFIG, env=home)
        os.makedirs(os.path.join(s.outside, "x", "spoor"))
        write(os.path.join(s.outside, "x", "spoor", "spoor.conf"), good)
        bare("config", "check", env=home)

    def test_usage(self):
        for arguments, text in ((["lgo"], "log"), (["log", "--revrse"], "reverse"),
                                (["log", "-n"], "n"), (["log", "-n", "x"], "n"), ([], "help"),
                                (["show", "--follow", "1"], "follow"), (["log", "a", "b"], "")):
            _, said = bare(*arguments, code=USAGE)
            self.assertIn(text, said)
        for arguments in (["help"], ["--help"], ["help", "log"], ["log", "--help"]):
            self.assertIn("log", bare(*arguments)[0])
        self.assertRegex(bare("version")[0], r"^spoor \d")
        self.assertIn("sqlite", bare("version", "--json")[0].lower())
        json.loads(bare("version", "--json")[0])
        with open("/dev/full", "wb") as full:
            done = subprocess.run([spoor.OPTIONS.bin, "help"], stdout=full,
                                  stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, FAILED)

    def test_several_folders(self):
        s = self.s
        other = os.path.join(s.top, "other")
        os.mkdir(other)
        s.settings["upload_lines"] = "folders = docs\n[folder \"other\"]\npath = %s\n" % other
        s.start()
        write(self.at("x"), "x")
        write(os.path.join(other, "y"), "yy")
        s.sync()
        s.run("log", code=USAGE)
        self.assertIn("other", s.last_error)
        s.run("tree", "--folder", "othr", code=USAGE)
        self.assertIn("other", s.last_error)
        self.assertEqual([row["path"] for row in s.objects("log", "--folder", "other")], ["y"])
        self.assertEqual([row["path"] for row in s.objects("log", "--folder", "docs")], ["x"])
        s.run("verify")
        self.assertEqual(len(s.last_error.splitlines()), 2)
        # From one folder to the other: two journals, two rows.
        os.rename(self.at("x"), os.path.join(other, "x"))
        s.sync()
        kinds = [s.objects("log", "--folder", name)[-1]["kind"] for name in ("docs", "other")]
        self.assertEqual(kinds, ["delete", "create"])
        s.run("sync", "--uploaded", "--timeout", "60s")
        s.run("verify", "--server", "--folder", "docs")
        s.run("verify", "--server", "--folder", "other", code=FAILED)


if __name__ == "__main__":
    spoor.main(__doc__)
