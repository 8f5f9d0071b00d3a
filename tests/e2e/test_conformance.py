"""The conformance script against `spoor collect`, and against the same with one thing made wrong, which
it must notice."""

import base64
import hashlib
import json
import os
import subprocess
import sys

import middle
import spoor

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "conformance")
TOKEN = "a-token-that-nobody-knows"


def conformance(*arguments):
    done = subprocess.run([sys.executable, "-B", SCRIPT, *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          timeout=spoor.CALL_LIMIT_S)
    return done.returncode, done.stdout.decode()


class Conformance(spoor.Case):
    def setUp(self):
        super().setUp()
        self.s = self.make()

    def url(self):
        return "http://127.0.0.1:%d" % self.s.settings["port"]

    def test_collector(self):
        self.s.server_start()
        code, said = conformance(self.url())
        self.assertEqual(code, 0, said)
        self.assertIn("\nall is met\n", said)
        self.assertEqual(said.count("\n-  "), 1, said)  # no token

    def test_collector_with_token(self):
        path = os.path.join(self.s.top, "token")
        spoor.write(path, TOKEN)
        os.chmod(path, 0o600)
        self.s.server = spoor.Line(
            [spoor.OPTIONS.bin, "collect", "--listen", "127.0.0.1:0", "--store", self.s.store,
             "--token-file", path], "listening on")
        self.s.settings["port"] = int(
            self.s.server.wait_ready().rsplit(":", 1)[1].split()[0])
        code, said = conformance(self.url(), "token", "--token-file", path)
        self.assertEqual((code, said.splitlines()[0][:6]), (0, "ok    "), said)
        code, said = conformance(self.url(), "first batch is applied")
        self.assertEqual(code, 1, said)
        self.assertIn("401", said)

    def test_nobody_there(self):
        self.s.server_start()
        self.s.server_stop()
        code, said = conformance(self.url(), "first batch is applied")
        self.assertEqual(code, 2, said)

    # ---- servers with one fault ----

    def notices(self, words, script):
        if self.s.server is None:
            self.s.server_start()
        between = middle.Middle(self.s.settings["port"], script)
        try:
            code, said = conformance(between.url(), words)
        finally:
            between.close()
        self.assertEqual(code, 1, said)
        self.assertTrue(said.startswith("FAILS "), said)

    @staticmethod
    def with_answers(change):
        """A script that passes all on and changes the answers."""
        def script(connection, request):
            connection.send(middle.answer(*change(request, *connection.middle.ask(request))))
        return script

    def test_without_sums(self):
        self.notices("cursor says", self.with_answers(lambda request, status, headers, body: (
            status, [item for item in headers if item[0] != "Spoor-Sum"], body)))

    def test_confirms_conflicts(self):
        self.notices("what does not follow", self.with_answers(
            lambda request, status, headers, body: (200 if status == 409 else status, headers, body)))

    def test_confirms_less(self):
        def change(request, status, headers, body):
            return status, [(name, "0" if name == "Spoor-Acked" else value)
                            for name, value in headers], body
        self.notices("first batch is applied", self.with_answers(change))

    def test_knows_no_duplicates(self):
        seen = set()

        def change(request, status, headers, body):
            again = request.method == "POST" and request.body in seen
            seen.add(request.body)
            return 409 if again else status, headers, body
        self.notices("what came before", self.with_answers(change))

    def test_looks_at_no_digest(self):
        def script(connection, request):
            if request.method == "POST":
                request.headers["content-digest"] = "sha-256=:%s:" % base64.b64encode(
                    hashlib.sha256(request.body).digest()).decode()
            middle.forward(connection, request)
        self.notices("wrong digest", script)

    def test_applies_what_it_can(self):
        """A batch with a bad row is taken without it."""
        def script(connection, request):
            status, headers, body = connection.middle.ask(request)
            if status == 422:
                request.body = b""
                request.headers["content-length"] = "0"
                request.headers["content-digest"] = "sha-256=:%s:" % base64.b64encode(
                    hashlib.sha256(b"").digest()).decode()
                connection.middle.ask(request)
            connection.send(middle.answer(status, headers, body))
        self.notices("cannot be applied", script)

    def test_shows_another_tree(self):
        def change(request, status, headers, body):
            if request.path.endswith("/tree") and status == 200:
                lines = [json.loads(line) for line in body.splitlines()]
                lines[-1]["mode"] = "0777"
                body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
            return status, headers, body
        self.notices("every kind of row", self.with_answers(change))

    def test_shows_a_tree_that_is_built(self):
        shown = {}

        def change(request, status, headers, body):
            """Every later tree than the first is another."""
            if request.path.endswith("/tree") and status == 200:
                if request.path in shown:
                    body = b""
                shown[request.path] = True
            return status, headers, body
        self.notices("takes the tree's place", self.with_answers(change))


if __name__ == "__main__":
    spoor.main(__doc__)
