"""Delivery through a network that loses, doubles, delays and reorders, by seed: a third of the answers
is lost after the server has committed. Each row arrives once and in order all the same.

SPOOR_CHAOS_BATCHES in the environment says through how many batches (10000 take some minutes).
"""

import collections
import os
import random
import threading
import time

import middle
import spoor

BATCHES = int(os.environ.get("SPOOR_CHAOS_BATCHES", "0"))
LATE_S = 0.02  # of what arrives after its sender has given it up
CURSORS_KEPT = 5

PORTAL = b"<html><body>Please agree to our terms</body></html>"


class Chaos:
    """A script for the middle. Percents are of posts; of what is asked by GET half as much fails."""

    # What becomes of a post, and in how many of a hundred.
    DEEDS = (
        ("answer_lost", 15),        # committed; closed without a word
        ("answer_reset", 10),       # committed; RST
        ("answer_torn", 5),         # committed; half an answer
        ("request_lost", 5),        # not committed; closed
        ("request_reset", 4),       # not committed; RST
        ("request_late", 4),        # given up by the client, then committed: races with its next try
        ("request_twice", 4),       # committed twice, the second answer returned
        ("older_again", 5),         # an older request turns up once more before this one
        ("answer_slow", 3),
        ("portal", 2),              # 200 of somebody else
        ("busy", 3),
    )

    def __init__(self, rng):
        self.random = rng
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.older = []
        self.cursors = []
        self.late = []

    def __call__(self, connection, request):
        with self.lock:
            deed = self.pick(request)
            self.counts[deed] += 1
        getattr(self, deed)(connection, request)

    def pick(self, request):
        if request.method != "POST":
            draw = self.random.randrange(100)
            return "request_reset" if draw < 10 else "answer_lost" if draw < 20 else \
                "stale_cursor" if draw < 23 else "passed"
        draw = self.random.randrange(100)
        for deed, percent in self.DEEDS:
            draw -= percent
            if draw < 0:
                return deed
        return "passed"

    def ask(self, connection, request):
        status, headers, body = connection.middle.ask(request)
        data = middle.answer(status, headers, body)
        with self.lock:
            if request.method == "POST":
                self.older = (self.older + [request])[-50:]
            elif status == 200:
                self.cursors = (self.cursors + [data])[-CURSORS_KEPT:]
        return data

    # ---- deeds ----

    def passed(self, connection, request):
        connection.send(self.ask(connection, request))

    def answer_lost(self, connection, request):
        self.ask(connection, request)
        connection.close()

    def answer_reset(self, connection, request):
        self.ask(connection, request)
        connection.reset()

    def answer_torn(self, connection, request):
        data = self.ask(connection, request)
        with self.lock:
            cut = self.random.randrange(1, len(data))
        connection.send(data[:cut])
        connection.close()

    def request_lost(self, connection, request):
        connection.close()

    def request_reset(self, connection, request):
        connection.reset()

    def request_late(self, connection, request):
        with self.lock:
            wait_s = self.random.random() * LATE_S
        timer = threading.Timer(wait_s, connection.middle.ask, [request])
        timer.start()
        with self.lock:
            self.late = [one for one in self.late if one.is_alive()] + [timer]
        connection.close()

    def request_twice(self, connection, request):
        self.ask(connection, request)
        self.passed(connection, request)

    def older_again(self, connection, request):
        with self.lock:
            older = self.random.choice(self.older) if self.older else None
        if older:
            connection.middle.ask(older)
        self.passed(connection, request)

    def answer_slow(self, connection, request):
        data = self.ask(connection, request)
        for at in range(0, len(data), 40):
            connection.send(data[at:at + 40])
            time.sleep(0.001)  # the slowness itself

    def portal(self, connection, request):
        connection.send(middle.answer(200, [("Content-Type", "text/html")], PORTAL))

    def busy(self, connection, request):
        connection.send(middle.answer(503, [("Connection", "close")], b"busy"))
        connection.close()

    def stale_cursor(self, connection, request):
        """As a cache in between would answer."""
        with self.lock:
            data = self.random.choice(self.cursors) if self.cursors else None
        if data is None:
            self.passed(connection, request)
        else:
            connection.send(data)

    def settle(self):
        for timer in self.late:
            timer.join()


class ChaosTest(spoor.Case):
    def test_every_row_once_and_in_order(self):
        wanted = BATCHES or spoor.scaled(400, 80)
        rows = self.random.randrange(1, 4)
        s = self.make(settle="5ms", fold="off", retry_min="1ms", retry_max="5ms",
                      upload_lines="batch_rows = %d" % rows)
        s.server_start()
        chaos = Chaos(random.Random("%d" % self.random.getrandbits(64)))
        between = middle.Middle(s.settings["port"], chaos)
        self.addCleanup(between.close)
        s.settings["url"] = between.url()
        s.daemon_start()
        mutator = spoor.Mutator(s.folder, self.random, limit=150)
        began = time.monotonic()
        fresh = 0
        while fresh < wanted:
            mutator.steps(min(200, wanted))
            s.sync(uploaded=True)
            fresh, again = between.check_order()
        took = time.monotonic() - began
        between.script = None
        chaos.settle()
        s.check()
        fresh, again = between.check_order()
        self.assertEqual(s.upload()["acked"], s.last_seq())
        for deed, percent in Chaos.DEEDS:
            if wanted * percent >= 2000:
                self.assertGreater(chaos.counts[deed], 0, deed)
        print("%d batches of %d rows at most applied once in %.0f s, %d came again; %s" % (
            fresh, rows, took, again,
            ", ".join("%s %d" % item for item in sorted(chaos.counts.items()))), flush=True)


if __name__ == "__main__":
    spoor.main(__doc__)
