"""The real daemon against a server that misbehaves on script, before or instead of the collector: it
refuses, resets, breaks off, drips, hangs, answers with every status, or says what is not so. After each
every row has arrived once and in order, and the replica is the tree."""

import email.utils
import re
import time

import middle
import spoor

RETRY_MAX_S = 1.5
PORTAL = b"<html><head><title>Airport</title></head><body>Please <b>agree</b> to our terms</body></html>"
AGAIN = {408, 409, 425, 429} | set(range(500, 600)) - {501}


class Answers(spoor.Case):
    def begin(self, retry_max="2ms", lines="", **settings):
        self.s = self.make(settle="5ms", fold="off", retry_min="1ms", retry_max=retry_max,
                           upload_lines="timeout = 1s\nbatch_rows = 1000\n" + lines, **settings)
        self.s.server_start()
        self.middle = middle.Middle(self.s.settings["port"])
        self.addCleanup(self.middle.close)
        self.s.settings["url"] = self.middle.url()
        self.s.daemon_start()
        self.made = 0
        self.change()
        self.s.sync(uploaded=True)

    def change(self, count=1):
        for _ in range(count):
            self.made += 1
            spoor.write("%s/file %d" % (self.s.folder, self.made))

    def play(self, *deeds, get=False):
        """The next posts (or handshakes) meet one deed each; then all is passed on. Returns an object
        whose `done` is when the last was played."""
        plan = list(deeds)
        method = "GET" if get else "POST"

        def script(connection, request):
            if request.method == method and plan:
                plan.pop(0)(connection, request)
            else:
                middle.forward(connection, request)

        self.middle.script = script
        return plan

    def through(self, *deeds, get=False):
        """A change meets the deeds and arrives all the same. Returns the daemon's requests."""
        start = len(self.middle.requests)
        plan = self.play(*deeds, get=get)
        if get:  # a failure makes the next step begin with a handshake
            first = [True]
            inner = self.middle.script

            def script(connection, request):
                if request.method == "POST" and first:
                    first.pop()
                    connection.send(middle.answer(503))
                else:
                    inner(connection, request)

            self.middle.script = script
        self.change()
        self.s.sync(uploaded=True)
        requests = self.middle.requests[start:]
        self.assertEqual(plan, [], "not all was met")
        self.arrived()
        return requests

    def arrived(self):
        self.middle.check_order()
        if not spoor.OPTIONS.quick:
            self.s.run("verify", "--server")

    def tearDown(self):
        if hasattr(self, "middle") and not self.has_failed():
            self.middle.script = None
            self.s.check()
            self.middle.check_order()
        super().tearDown()

    def seen(self, word, state, status=None):
        """`status` comes to say it, and between two tries that state and no other."""
        def said():
            upload = self.s.upload()
            return upload if word in (upload.get("error") or "") and upload["state"] != "sending" and \
                status in (None, upload.get("http_status")) else None

        upload = spoor.until(said, lambda: "%r: %s" % (word, self.s.upload()))
        self.assertEqual(upload["state"], state, upload)
        return upload

    # ---- connections ----

    def test_refused_connection(self):
        self.begin()
        self.middle.close()
        self.change()
        self.seen("connect", "backoff")
        self.middle.open()
        self.s.sync(uploaded=True)
        self.arrived()

    def test_connections_that_end(self):
        self.begin()
        half = middle.answer(200, [("Spoor-Acked", 10 ** 6), ("Content-Length", 20)], b"half")

        def early(deed):
            """The connection ends while the body is on its way."""
            def act(connection, request):
                if request.method == "POST":
                    self.middle.early = None
                    getattr(connection, deed)()
            return act

        def committed(*pieces, end="close", cut=None):
            def act(connection, request):
                data = b"".join(pieces) or middle.answer(*self.middle.ask(request))[:cut]
                if pieces:
                    self.middle.ask(request)
                connection.send(data)
                getattr(connection, end)()
            return act

        for deed in ("close", "reset"):
            for get in (False, True):
                self.through(lambda connection, _, deed=deed: getattr(connection, deed)(), get=get)
            self.through(committed(b"", end=deed))
            self.middle.early = early(deed)
            self.through()
            self.assertIsNone(self.middle.early)
        # Half an answer: in its first line, in its headers, behind the one that confirms, in its body.
        self.through(committed(cut=5))
        self.through(committed(cut=12))
        self.through(committed(cut=60))
        self.through(committed(b"HTTP/1.1 200 OK\r\nSpoor-Acked: 1000000\r\n"))
        self.through(committed(half))
        self.through(lambda connection, _: (connection.send(half), connection.close()))
        self.through(committed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"))
        self.through(committed(b"\0\1\2 what is this\r\n\r\n"))
        self.through(committed(b"HTTP/1.1 100 Continue\r\n\r\n"))

    def test_slow_answers(self):
        self.begin()

        def drip(connection, request):
            for byte in middle.answer(*self.middle.ask(request)):
                connection.send(bytes([byte]))
                time.sleep(0.001)  # the drip

        def hang(connection, request):
            connection.client.recv(1)  # nothing comes but the end, when the daemon has had enough

        def stuck(connection, request):
            connection.send(middle.answer(*self.middle.ask(request))[:40])
            connection.client.recv(1)

        posts = len(self.middle.posts())
        self.through(drip)
        self.assertEqual(len(self.middle.posts()), posts + 1)  # slow is not failed
        since = len(self.s.daemon.lines)
        self.through(hang, stuck)
        self.s.daemon.wait_line("no answer in time", since)

    def test_resent_by_the_library(self):
        """A connection that was kept and ends before the first byte of an answer: libcurl sends the
        request once more by itself. The server had applied it."""
        self.begin()
        warned = self.s.daemon.text().count("next try")

        def lost(connection, request):
            self.assertGreater(request.turn, 0, "no kept connection")
            self.middle.ask(request)
            connection.close()

        for _ in range(3):
            new = self.through(lost)
            self.assertEqual([request.method for request in new], ["POST", "POST"])  # no handshake
            self.assertEqual(new[0].body, new[1].body)
            self.assertEqual(new[0].headers, new[1].headers)
            self.assertNotEqual(new[0].connection, new[1].connection)
        self.assertEqual(self.s.daemon.text().count("next try"), warned)  # the daemon knows nothing
        self.assertEqual(self.middle.check_order()[1], 3)

    # ---- statuses ----

    @staticmethod
    def status(status, headers=(), body=b""):
        empty = status in (204, 304)
        return lambda connection, _: connection.send(
            middle.answer(status, headers, b"" if empty else body))

    def said(self, since):
        """Of each status that the log names from there on: whether it pauses."""
        told = {}
        for line in self.s.daemon.lines[since:]:
            found = re.search(r"(?:answered |\()(\d{3})\b", line)
            if found and "next try" in line:
                told[int(found[1])] = "paused, next try" in line
        return told

    def test_every_status_of_a_post(self):
        """One row: what it refuses of a replica cannot be halved."""
        self.begin()
        statuses = range(200, 600, 1 if not spoor.OPTIONS.quick else 7)
        since, posts = len(self.s.daemon.lines), len(self.middle.posts())
        self.through(*[self.status(status) for status in statuses])
        sent = self.middle.posts()[posts:]
        self.assertEqual(len(sent), len(statuses) + 1)
        self.assertEqual(len({request.body for request in sent}), 1)  # the same bytes again
        self.assertEqual(len({tuple(request.headers.items()) for request in sent}), 1)
        told = self.said(since)
        unnamed = set(range(200, 300)) | {409, 412}  # the reason is said instead
        self.assertEqual(set(told), set(statuses) - unnamed)
        for status, paused in told.items():
            self.assertEqual(paused, status not in AGAIN, status)

    def test_every_status_of_a_handshake(self):
        self.begin()
        statuses = range(200, 600, 1 if not spoor.OPTIONS.quick else 7)
        since = len(self.s.daemon.lines)
        # 404 is "I hold nothing", after which all rows are sent again.
        self.through(*[self.status(status) for status in statuses if status != 404], get=True)
        told = self.said(since)
        # 503 is what leads to the handshake.
        self.assertEqual(set(told), (set(statuses) - set(range(200, 300)) - {404}) | {503})
        for status, paused in told.items():
            self.assertEqual(paused, status not in AGAIN, status)
        self.through(self.status(404), get=True)
        self.s.daemon.wait_line("it has lost all", since)

    def test_what_status_says(self):
        self.begin(retry_max="100ms")
        expected = (
            (200, "backoff", "confirms nothing"), (204, "backoff", "confirms nothing"),
            (301, "paused", "301"), (400, "paused", "refused by the server (400)"),
            (401, "paused", "401"), (403, "paused", "403"), (404, "paused", "404"),
            (407, "paused", "407"), (408, "backoff", "408"),
            (409, "backoff", "names no cursor"), (412, "paused", "names no cursor"),
            (413, "paused", "too large for the server (413)"),
            (422, "paused", "spoor quarantine retry"), (425, "backoff", "425"),
            (429, "backoff", "429"), (500, "backoff", "500"), (501, "paused", "501"),
            (502, "backoff", "502"), (503, "backoff", "503"), (507, "backoff", "507"))
        for status, state, word in expected[::spoor.scaled(1, 3)]:
            deed = self.status(status, body=b"what the server says")

            def script(connection, request, deed=deed):
                (deed if request.method == "POST" else middle.forward)(connection, request)

            self.middle.script = script
            self.change()
            upload = self.seen(word, state, status)
            if status >= 400:
                self.assertIn("what the server says", upload["error"])
            self.middle.script = None
            self.s.sync(uploaded=True)
            self.arrived()
            self.assertFalse(self.s.upload().get("error"))

    def test_retry_after(self):
        self.begin(retry_max="%dms" % (RETRY_MAX_S * 1000))

        def date(seconds):
            return email.utils.formatdate(time.time() + seconds, usegmt=True)

        short = RETRY_MAX_S - 0.2  # what is no time must not become the longest
        cases = (
            (429, lambda: "1", 1, None),
            (503, lambda: date(2), 0.9, None),         # whole seconds
            (503, lambda: date(-3600), 0, short),      # in the past
            (429, lambda: "0", 0, short),
            (429, lambda: "soon", 0, short),
            (429, lambda: "-5", 0, short),
            (503, lambda: "999999999999", RETRY_MAX_S, None),
            (429, lambda: date(400 * 86400), RETRY_MAX_S, None),
            (500, lambda: "1", 1, None))
        for status, text, least, most in cases[::spoor.scaled(1, 2)]:
            at = []

            def deed(connection, request, status=status, text=text, at=at):
                at.append(time.monotonic())
                connection.send(middle.answer(status, [("Retry-After", text())]))

            start = len(self.middle.requests)
            self.play(deed)
            self.change()
            self.middle.wait(lambda: len(self.middle.requests) > start + 1, "the next try")
            took = time.monotonic() - at[0]
            self.assertGreaterEqual(took, least - 0.05, (status, text()))
            if most:
                self.assertLess(took, most, (status, text()))
            self.s.sync(uploaded=True)
            self.assertLess(time.monotonic() - at[0], RETRY_MAX_S + 10, (status, text()))
            self.arrived()

    def test_too_large(self):
        self.begin(lines="compression = 0\n")
        limit = 2500

        def script(connection, request):
            if len(request.body) > limit:
                connection.send(middle.answer(413, body=b"too much"))
            else:
                middle.forward(connection, request)

        self.middle.script = script
        self.change(200)
        self.s.sync(uploaded=True)
        self.arrived()
        self.assertTrue(any(len(request.body) > limit for request in self.middle.posts()))

    # ---- what is not so ----

    def test_false_confirmations(self):
        self.begin()

        def lie(committed, **changed):
            """The collector's answer with other headers, None: without."""
            def act(connection, request):
                if committed:
                    status, headers, body = self.middle.ask(request)
                else:
                    status, body = 200, b"{}"
                    headers = [("Spoor-Acked", request.headers["spoor-last"]),
                               ("Spoor-Epoch", request.headers["spoor-epoch"]),
                               ("Spoor-Sum", request.headers["spoor-sum"])]
                told = {name: value for name, value in headers}
                for name, value in changed.items():
                    told["Spoor-" + name] = value(told["Spoor-" + name]) if callable(value) else value
                connection.send(middle.answer(status, [item for item in told.items()
                                                       if item[1] is not None], body))
            return act

        lies = (dict(Acked=None), dict(Acked="0"), dict(Acked=lambda seq: int(seq) - 1),
                dict(Acked=""), dict(Acked="many"), dict(Acked="-1"), dict(Acked="1e9"),
                dict(Acked="99999999999999999999"), dict(Epoch="1"),
                dict(Epoch=lambda epoch: int(epoch) + 1), dict(Sum="0000000000000000"))
        for changed in lies[::spoor.scaled(1, 3)]:
            for committed in (True, False):
                posts = len(self.middle.posts())
                self.through(lie(committed, **changed))
                again = 0 if committed else 1  # the handshake finds what was applied
                self.assertEqual(len(self.middle.posts()), posts + 1 + again, changed)

    def test_others_answer(self):
        """A captive portal, a page in between, hints before the answer."""
        self.begin()
        html = [("Content-Type", "text/html")]
        portal = middle.answer(200, html, PORTAL)
        hints = b"HTTP/1.1 103 Early Hints\r\nSpoor-Acked: 1000000\r\n\r\n"
        trailer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" \
                  b"Spoor-Acked: 1000000\r\n\r\n"
        continued = b"HTTP/1.1 100 Continue\r\n\r\n"
        for data in (portal, hints + middle.answer(503), hints + portal, trailer,
                     middle.answer(302, [("Location", "http://127.0.0.1:9/portal")])):
            for get in (False, True):
                self.through(lambda connection, _, data=data: connection.send(data), get=get)
        for data in (continued, hints, continued * 3):
            posts = len(self.middle.posts())
            self.through(lambda connection, request, data=data: connection.send(
                data + middle.answer(*self.middle.ask(request))))
            self.assertEqual(len(self.middle.posts()), posts + 1)

    def test_confirms_what_it_has_not(self):
        """It says that it has the rows, and has not: the next batch does not follow, and the cursor
        tells from where on they are to be sent again."""
        self.begin()

        def lie(connection, request):
            connection.send(middle.answer(200, [("Spoor-Acked", request.headers["spoor-last"])]))

        self.play(lie, lie)
        self.change()
        self.s.sync(uploaded=True)
        self.change()
        self.s.sync(uploaded=True)
        self.change()
        self.s.sync(uploaded=True)
        self.arrived()

    def test_redirects(self):
        self.begin(retry_max="50ms", lines="redirect = same-host\n")
        elsewhere = middle.Middle(self.s.settings["port"])
        self.addCleanup(elsewhere.close)

        def to(status, place):
            return lambda connection, request: connection.send(middle.answer(
                status, [("Location", place(request.path))]))

        for status in (307, 308):
            posts = len(self.middle.posts())
            self.through(to(status, lambda path: path))  # a place of the same host
            self.assertEqual(len(self.middle.posts()), posts + 2)
            self.through(to(status, lambda path: elsewhere.url() + path))
        for status in (301, 302, 303, 305, 306):
            self.through(to(status, lambda path: path))
        for place in ("", "nonsense:", "http://", "//[", "\x7f"):
            self.through(to(308, lambda path, place=place: place))
        # In a circle: followed three times, then it pauses.
        self.middle.script = lambda connection, request: to(308, lambda path: path)(
            connection, request)
        self.change()
        self.seen("308", "paused")
        self.middle.script = None
        self.s.sync(uploaded=True)
        self.arrived()
        self.assertEqual(elsewhere.requests, [])


if __name__ == "__main__":
    spoor.main(__doc__)
