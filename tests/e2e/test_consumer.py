"""Named readers beside uploads: every row once, whatever ends them; what purging does to them."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spoor
from spoor import scaled

LIMIT_S = 60


class Consumer(spoor.Case):
    def begin(self, **settings):
        s = self.make(settle="5ms", **settings)
        s.start()
        s.sync()
        return s

    def fill(self, s, count, prefix="f"):
        for i in range(count):
            with open("%s/%s%05d" % (s.folder, prefix, i), "w"):
                pass

    def read(self, s, *options, name="me"):
        return [json.loads(line) for line in s.run("consumer", "read", name, *options).splitlines()]

    def seqs(self, lines):
        return [line["seq"] for line in lines]

    def listed(self, s, name="me"):
        return [item for item in s.objects("consumer", "list") if item["consumer"] == name][0]

    def follow(self, s, *options):
        """A reader of its own process, whose lines are gathered as they come."""
        process = subprocess.Popen(s.command("consumer", "read", "me", "--follow", *options),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        lines = []

        def gather():
            for line in process.stdout:
                lines.append(line)

        thread = threading.Thread(target=gather)
        thread.start()

        def end():
            process.kill()
            process.wait(LIMIT_S)
            thread.join(LIMIT_S)
            process.stdout.close()
            process.stderr.close()
            return [json.loads(line) for line in lines if line.endswith(b"\n")]

        return end, lines

    def everything(self, s):
        """What every reader must see, with the daemon up or down."""
        last = s.last_seq()
        self.assertEqual(self.read(s), s.rows())
        self.assertEqual(self.read(s), s.rows())  # nothing has moved
        s.run("consumer", "ack", "me", str(last - 3))
        self.assertEqual(self.seqs(self.read(s)), [last - 2, last - 1, last])
        s.run("consumer", "ack", "me", str(last - 4), code=1)
        self.assertIn("cannot acknowledge", s.last_error)
        s.run("consumer", "ack", "me", str(last + 1), code=1)
        self.assertEqual(self.seqs(self.read(s, "--ack")), [last - 2, last - 1, last])
        self.assertEqual(self.read(s, "--ack"), [])
        item = self.listed(s)
        self.assertEqual((item["kind"], item["acked"], item["pending"]), ("reader", last, 0))
        self.assertIn("heard_time", item)
        s.run("consumer", "remove", "me")
        s.run("consumer", "remove", "me", code=1)
        s.run("consumer", "read", "me", code=1)
        self.assertIn("consumer add me", s.last_error)

    def test_daemon_up(self):
        s = self.begin()
        s.run("consumer", "add", "me")
        self.fill(s, 10)
        s.sync()
        self.everything(s)

    def test_daemon_down(self):
        s = self.begin()
        self.fill(s, 10)
        s.sync()
        s.stop()
        s.run("consumer", "add", "me")
        self.everything(s)
        s.run("consumer", "add", "me")
        s.daemon_start()
        s.sync()
        self.assertEqual(self.listed(s)["acked"], 0)  # a start does not forget it
        self.everything(s)

    def test_status_and_log_show_it(self):
        s = self.begin()
        s.run("consumer", "add", "me")
        self.fill(s, 3)
        s.sync(uploaded=True)
        record = s.status("reader")
        last = s.last_seq()  # three, and what was seen in the instant of its making once more
        self.assertEqual((record["consumer"], record["acked"], record["pending"]), ("me", 0, last))
        self.assertRegex(s.run("status").decode(),
                         r"me +reader · acknowledged 0 · %d pending · heard" % last)
        self.assertRegex(s.run("consumer", "list").decode(), r"(?m)^me +reader of docs  ack")
        self.assertEqual(s.run("pending"), b"")  # of uploads alone

    def test_killed_again_and_again(self):
        """kill -9 at any moment: what was not acknowledged comes again, what was never does."""
        s = self.begin()
        s.run("consumer", "add", "me")
        seen = []
        for round_number in range(scaled(12, 4)):
            self.fill(s, 150, "r%d-" % round_number)
            acked = self.listed(s)["acked"]
            end, lines = self.follow(s, "--ack")
            wanted = self.random.randrange(1, 140)
            spoor.until(lambda: len(lines) >= wanted, lambda: "the reader gave %d lines" % len(lines))
            time.sleep(self.random.random() * 0.05)  # a random moment is the test
            got = self.seqs(end())
            self.assertEqual(got, list(range(acked + 1, acked + 1 + len(got))))
            s.sync()  # what the killed one had asked for may be on its way yet
            after = self.listed(s)["acked"]
            self.assertGreaterEqual(after, acked)
            self.assertLessEqual(after, got[-1])  # what was written alone is acknowledged
            seen += [seq for seq in got if seq <= after]
            if round_number % 3 == 1:  # it is the same with the daemon down
                s.kill9()
                lines = self.read(s, "--ack")
                self.assertEqual(self.seqs(lines), list(range(after + 1, s.last_seq() + 1)))
                seen += self.seqs(lines)
                s.daemon_start()
            s.sync()
        seen += self.seqs(self.read(s, "--ack"))
        self.assertEqual(seen, list(range(1, s.last_seq() + 1)))

    def test_follows_through_a_restart(self):
        s = self.begin()
        s.run("consumer", "add", "me")
        end, lines = self.follow(s, "--ack")
        for part in "abc":
            self.fill(s, 5, part)
            s.sync()
            spoor.until(lambda: len(lines) == s.last_seq(), "the reader to have all rows")
            s.stop()
            s.daemon_start()
            s.sync()
        spoor.until(lambda: self.listed(s)["pending"] == 0, "all to be acknowledged")
        self.assertEqual(self.seqs(end()), list(range(1, s.last_seq() + 1)))

    def test_pipe_whose_reader_goes_away(self):
        s = self.begin()
        s.run("consumer", "add", "me")
        self.fill(s, scaled(3000, 1000))
        s.sync()
        process = subprocess.Popen(s.command("consumer", "read", "me", "--ack"),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(json.loads(process.stdout.readline())["seq"], 1)
        process.stdout.close()  # long before all was written: a pipe holds 64 KiB
        self.assertEqual(process.wait(LIMIT_S), 1)
        process.stderr.close()
        self.assertEqual(self.listed(s)["acked"], 0)
        self.assertEqual(self.seqs(self.read(s, "--ack")), list(range(1, s.last_seq() + 1)))

    def purged(self, expiry):
        """A journal that keeps nothing but for readers; the purge runs at a start."""
        s = self.begin(folder_lines="retention = 0s\nconsumer_expiry = " + expiry)
        s.run("consumer", "add", "me")
        self.fill(s, 5)
        s.sync(uploaded=True)
        s.stop()
        s.daemon_start()
        self.fill(s, 1, "later")
        s.sync(uploaded=True)
        return s

    def test_purge_waits_for_a_reader(self):
        s = self.purged("forever")
        self.assertEqual(self.seqs(self.read(s)), list(range(1, s.last_seq() + 1)))

    def test_expired_reader_is_told_of_the_gap(self):
        s = self.purged("0s")
        last = s.last_seq()
        item = self.listed(s)
        self.assertEqual(item["acked"], 0)
        self.assertGreaterEqual(item["lost"], 5)
        self.assertIn(b"purged", s.run("consumer", "list"))
        gap, *rows = self.read(s, "--ack")
        self.assertEqual({key: gap[key] for key in ("kind", "state", "reason", "folder", "first", "last")},
                         {"kind": "gap", "state": "open", "reason": "purged", "folder": "docs",
                          "first": 1, "last": item["lost"]})
        self.assertEqual(self.seqs(rows), list(range(item["lost"] + 1, last + 1)))
        self.assertEqual(self.read(s, "--ack"), [])
        self.assertEqual(self.listed(s)["lost"], 0)

    def test_names_collide(self):
        s = self.begin()
        s.run("consumer", "add", "main", code=1)
        self.assertIn("an upload of that name", s.last_error)
        s.run("consumer", "remove", "main", code=1)
        s.run("consumer", "ack", "main", "0", code=1)
        s.run("consumer", "add", "a b", code=1)
        s.run("consumer", "add", "me")
        s.run("consumer", "add", "me", code=1)
        s.run("consumer", "read", "main", code=1)
        # An upload that is given a reader's name later takes nothing from it.
        s.stop()
        self.fill(s, 3)
        s.write_config()
        with open(s.config, encoding="utf-8") as lines:
            text = lines.read().replace('[upload "main"]', '[upload "me"]')
        with open(s.config, "w", encoding="utf-8") as out:
            out.write(text)
        s.write_config = lambda: None
        s.daemon_start()
        s.sync()
        spoor.until(lambda: "name" in s.upload().get("error", ""), lambda: str(s.upload()))
        self.assertEqual(self.seqs(self.read(s, "--ack")), list(range(1, s.last_seq() + 1)))
        s.run("consumer", "remove", "me")
        s.check()

    def test_outlives_a_damaged_journal(self):
        s = self.begin()
        s.run("consumer", "add", "me")
        self.fill(s, 5)
        s.sync()
        before = self.read(s, "--ack")
        s.stop()
        path = s.top + "/state/docs/journal.db"
        base = sqlite3.connect(path)
        page, = base.execute("SELECT rootpage FROM sqlite_schema WHERE name='entry'").fetchone()
        base.close()
        with open(path, "r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(b"\xff" * 4096)
        s.daemon_start()
        s.sync()
        gap, *rows = self.read(s, "--ack")
        self.assertEqual((gap["kind"], gap["reason"]), ("gap", "new-epoch"))
        self.assertGreater(gap["epoch"], before[0]["epoch"])
        self.assertEqual(rows, s.rows())
        self.assertEqual(self.read(s, "--ack"), [])

    def test_usage(self):
        s = self.begin()
        for words in (["frob"], ["add"], ["read"], ["ack", "me"], ["list", "me"],
                      ["add", "me", "--ack"], ["list", "--follow"]):
            s.run("consumer", *words, code=2)
        s.run("consumer", "ack", "me", "x", code=1)


if __name__ == "__main__":
    spoor.main(__doc__)
