"""Rows that a server refuses: found by halving, set aside where it is a log, and sent once more when
somebody asks; a replica stops there and says at which row."""

import gzip
import http.server
import json
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spoor


class Server(http.server.ThreadingHTTPServer):
    """Takes rows unless `refuses` says no to one of them; each taken row once in `rows`."""

    daemon_threads = True

    def __init__(self, replica=False):
        super().__init__(("127.0.0.1", 0), Handler)
        self.replica = replica
        self.refuses = lambda row: False
        self.status = 422
        self.rows = []
        self.posts = 0
        self.cursor = None
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self):
        return "http://127.0.0.1:%d" % self.server_port


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, text="", headers=()):
        body = text.encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def cursor(self):
        return [("Spoor-Epoch", self.server.cursor[0]), ("Spoor-Acked", self.server.cursor[1]),
                ("Spoor-Sum", self.server.cursor[2])]

    def do_GET(self):
        if self.server.cursor is None:
            self.answer(404)
        else:
            self.answer(200, headers=self.cursor())

    def do_POST(self):
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        rows = [json.loads(line) for line in body.splitlines()]
        server.posts += 1
        for row in rows:
            if server.refuses(row):
                self.answer(server.status, "I do not like %s\nat all" % row["path"])
                return
        server.rows += rows
        server.cursor = tuple(self.headers[name] for name in
                              ("Spoor-Epoch", "Spoor-Last", "Spoor-Sum"))
        self.answer(200, headers=self.cursor() if server.replica else ())


class Quarantine(spoor.Case):
    def begin(self, replica=False):
        self.server = Server(replica)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        s = self.make(settle="5ms", fold="off",
                      upload_lines="" if replica else "format = ndjson\n")
        s.settings["url"] = self.server.url()
        s.daemon_start()
        s.sync()
        return s

    def write(self, s, *names):
        for name in names:
            with open(s.folder + "/" + name, "w"):
                pass
        s.sync()

    def wait(self, s, question, what):
        spoor.until(question, lambda: "%s: %s" % (what, s.upload()))

    def paths(self):
        """Of all rows that came, each once: a log is delivered at least once, and a file that is looked
        at in the instant of its making gets a second row."""
        return sorted({row["path"] for row in self.server.rows})

    def test_log_sets_aside(self):
        s = self.begin()
        self.server.refuses = lambda row: row["path"].startswith("bad")
        names = ["a%03d" % i for i in range(100)] + ["bad1"] + ["b%03d" % i for i in range(100)] + \
            ["bad2"]
        self.write(s, *names)
        s.sync(uploaded=True)
        good = sorted(name for name in names if not name.startswith("bad"))
        self.assertEqual(self.paths(), good)
        aside = s.objects("quarantine", "list")
        self.assertEqual([line["status"] for line in aside], [422, 422])
        self.assertEqual(sorted(json.loads(line["sent"])["path"] for line in aside),
                         ["bad1", "bad2"])
        self.assertTrue(all("I do not like bad" in line["answer"] for line in aside))
        self.assertIn(b"I do not like", s.run("quarantine", "list"))
        self.assertIn(b'"path":"bad', s.run("quarantine", "show", str(aside[0]["seq"])))
        # Once more, in vain; then with a server that takes it; the other is given up.
        s.run("quarantine", "retry", "all")
        self.wait(s, lambda: not any(line["retry"] for line in s.objects("quarantine", "list")),
                  "refused again")
        self.assertEqual(len(s.objects("quarantine", "list")), 2)
        self.server.refuses = lambda row: False
        s.run("quarantine", "retry", str(aside[0]["seq"]))
        self.wait(s, lambda: len(s.objects("quarantine", "list")) == 1, "one delivered")
        self.assertEqual(len(self.paths()), 201)
        s.run("quarantine", "drop", "all")
        self.wait(s, lambda: not s.objects("quarantine", "list"), "dropped")
        self.assertEqual(len(self.paths()), 201)
        s.run("quarantine", "show", "1", code=1)

    def test_log_that_refuses_everything(self):
        s = self.begin()
        self.server.refuses = lambda row: True
        self.server.status = 400
        self.write(s, *["f%02d" % i for i in range(40)])
        s.wait_upload("paused")
        self.assertLessEqual(len(s.objects("quarantine", "list")), 2)
        self.assertIn("refuses everything", s.upload()["error"])
        self.assertEqual(self.server.rows, [])
        # It was the server: once it is mended all goes out, what was set aside too.
        self.server.refuses = lambda row: False
        s.run("quarantine", "retry", "all")
        s.sync(uploaded=True)
        self.wait(s, lambda: not s.objects("quarantine", "list"), "delivered")
        self.assertEqual(len(self.paths()), 40)

    def test_retried_while_down(self):
        s = self.begin()
        self.server.refuses = lambda row: row["path"] == "bad"
        self.write(s, "bad", "good")
        s.sync(uploaded=True)
        s.stop()
        self.server.refuses = lambda row: False
        s.run("quarantine", "retry", "all")
        s.daemon_start()
        self.wait(s, lambda: not s.objects("quarantine", "list"), "delivered")
        self.assertEqual(self.paths(), ["bad", "good"])

    def test_replica_stops_at_the_row(self):
        s = self.begin(replica=True)
        self.server.refuses = lambda row: row["path"] == "bad"
        self.write(s, *["a%02d" % i for i in range(20)])
        s.sync(uploaded=True)
        self.write(s, *["b%02d" % i for i in range(20)], "bad", *["c%02d" % i for i in range(20)])
        error = s.wait_upload("paused", "'bad'")["error"]
        self.assertIn("I do not like bad", error)
        self.assertIn("spoor resync", error)
        seqs = [row["seq"] for row in self.server.rows]
        self.assertEqual(seqs, sorted(set(seqs)))
        bad = [row["seq"] for row in s.rows() if row["path"] == "bad"][0]
        self.assertEqual(seqs, list(range(1, bad)), "all before it, and nothing behind")
        self.assertEqual(s.objects("quarantine", "list"), [])
        self.server.refuses = lambda row: False
        s.run("quarantine", "retry", "all")
        s.sync(uploaded=True)
        self.assertEqual([row["seq"] for row in self.server.rows],
                         list(range(1, s.last_seq() + 1)))


class Resync(spoor.Case):
    def test_asked_for(self):
        s = self.make(settle="5ms")
        s.start()
        for i in range(50):
            with open("%s/f%d" % (s.folder, i), "w"):
                pass
        s.sync(uploaded=True)
        s.run("resync")
        s.run("resync", "nobody", code=1)
        self.arrived(s)
        # With the daemon down it is the next one's first deed, though the cursor would do.
        s.stop()
        s.run("resync")
        s.daemon_start()
        self.arrived(s)

    def arrived(self, s):
        s.sync(uploaded=True)
        self.assertTrue([line for line in s.daemon.lines if "the tree of 50 entries arrived" in line])
        spoor.same(s.server_tree(), spoor.walk(s.folder), "server", "disk")
        s.run("verify", "--server")


if __name__ == "__main__":
    spoor.main(__doc__)
