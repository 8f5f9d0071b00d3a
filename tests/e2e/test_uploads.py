"""Several uploads beside each other: each with its own url, folders, kinds, format, credentials and
cursor; what is wrong with one is nothing to the others."""

import base64
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import receiver
import spoor

SECTION = """
[upload "{name}"]
url = {url}
format = {format}
batch_delay = 5ms
retry_min = 20ms
retry_max = 200ms
{lines}
"""


def touch(folder, *names):
    for name in names:
        with open(os.path.join(folder, name), "w"):
            pass


class Uploads(spoor.Case):
    def setUp(self):
        super().setUp()
        self.s = self.make(settle="5ms", fold="off")
        self.pictures = os.path.join(self.s.top, "pictures")
        os.mkdir(self.pictures)
        self.s.settings["folder_lines"] = \
            '[folder "pictures"]\npath = %s\nsettle = 5ms\n' % self.pictures
        self.sections = []

    def receiver(self, *arguments):
        one = receiver.Receiver(*arguments)
        self.addCleanup(one.close)
        return one

    def secret(self, name, text):
        path = os.path.join(self.s.top, name)
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as out:
            out.write(text)
        return path

    def add(self, name, url, lines="", format="ndjson"):
        """One more section behind that of the collector."""
        self.sections.append(SECTION.format(name=name, url=url, lines=lines, format=format))
        self.s.settings["upload_lines"] = "".join(self.sections)

    def rows(self, folder="docs"):
        return self.s.objects("log", "--folder", folder, "--since", "1")

    def assert_holds(self, one, rows, kinds=None):
        """All these rows, in order, of each folder the ranges one after the other; what came twice
        told by its number."""
        wanted = [(row["folder"], row["seq"], row["kind"]) for row in rows
                  if kinds is None or row["kind"] in kinds]
        got = [(row["folder"], row["seq"], row["kind"]) for row in one.rows()]
        self.assertEqual(sorted(set(got)), sorted(wanted))
        for folder in {row["folder"] for row in rows}:
            seqs = [seq for of, seq, _ in dict.fromkeys(got) if of == folder]
            self.assertEqual(seqs, sorted(seqs))

    def ranges(self, one):
        return [(int(request.headers["Spoor-First"]), int(request.headers["Spoor-Last"]))
                for request in one.taken]

    # ---- beside each other ----

    def test_each_for_itself(self):
        token = self.secret("token", "sesame")
        password = self.secret("password", "open it")
        by_token, by_password = self.receiver(), self.receiver()
        self.add("a", by_token.url("/{journal}/{epoch}?rows={first}-{last}"),
                 "folders = docs\nkinds = create, delete\ntoken_file = %s\n" % token)
        self.add("b", by_password.url("/events"), "folders = pictures\nuser = ann\n"
                 "password_file = %s\ncompression = 0\n" % password, format="cloudevents")
        self.s.start()
        touch(self.s.folder, "one", "two")
        touch(self.pictures, "three")
        self.s.sync()
        with open(self.s.folder + "/one", "w") as out:
            out.write("more")
        self.s.sync()
        os.unlink(self.s.folder + "/two")
        self.s.sync(uploaded=True)
        self.assert_holds(by_token, self.rows("docs"), ("create", "delete"))
        self.assert_holds(by_password, self.rows("pictures"))
        self.assertEqual({request.headers["Authorization"] for request in by_token.requests},
                         {"Bearer sesame"})
        basic = "Basic " + base64.b64encode(b"ann:open it").decode()
        self.assertEqual({request.headers["Authorization"] for request in by_password.requests},
                         {basic})
        for request in by_token.requests:
            row = request.rows()[0]
            self.assertEqual(request.path, "/%s/%d?rows=%s-%s" % (
                row["journal"], row["epoch"], request.headers["Spoor-First"],
                request.headers["Spoor-Last"]))
        # The replica has both folders, whole.
        for folder in ("docs", "pictures"):
            self.s.run("verify", "--folder", folder)
            self.s.run("verify", "--server", "--folder", folder)
        # Each has a cursor of its own: nothing comes again after a restart.
        before = len(by_token.requests), len(by_password.requests)
        self.s.stop()
        self.s.daemon_start()
        self.s.sync(uploaded=True)
        self.assertEqual((len(by_token.requests), len(by_password.requests)), before)

    def test_one_that_is_down_delays_no_other(self):
        """One keeps silent within a request, one refuses connections, one answers 503, one wants
        another token: what happens meanwhile reaches the others all the same."""
        silent = self.receiver(lambda request: None)
        unwell = self.receiver(lambda request: 503)
        stranger = self.receiver(lambda request: 401)
        healthy = self.receiver()
        absent = self.receiver()
        absent.close()
        self.add("silent", silent.url(), "timeout = 1h\n")
        self.add("absent", absent.url())
        self.add("unwell", unwell.url())
        self.add("stranger", stranger.url())
        self.add("healthy", healthy.url())
        self.s.start()
        touch(self.s.folder, "first")
        self.assertTrue(silent.wait(lambda one: one.requests), "the silent one was asked")
        for round in range(20):
            touch(self.s.folder, "f%d" % round)
            touch(self.pictures, "p%d" % round)
            self.s.sync()
            rows = self.rows("docs") + self.rows("pictures")
            wanted = {(row["folder"], row["seq"]) for row in rows}
            self.assertTrue(healthy.wait(
                lambda one: wanted <= {(row["folder"], row["seq"]) for row in one.rows()}),
                "round %d" % round)
        for folder in ("docs", "pictures"):  # the collector, too
            while self.s.upload(upload="main", folder=folder)["pending"]:
                self.s.sync()
            self.s.run("verify", "--server", "--folder", folder)
        self.assertEqual(len(silent.requests), 1)
        self.assertEqual(silent.taken + unwell.taken + stranger.taken, [])
        self.assertEqual(self.s.upload(upload="stranger")["state"], "paused")
        self.assertEqual(self.s.upload(upload="stranger")["http_status"], 401)
        # A stop does not wait for the silent one, and all get what they missed.
        self.s.stop()
        for one in (silent, unwell, stranger):
            one.answer = lambda request: 200
            one.let_go()
        self.sections = [section.replace(absent.url(), healthy.url())
                         for section in self.sections]
        self.s.settings["upload_lines"] = "".join(self.sections)
        self.s.daemon_start()
        self.s.sync(uploaded=True)
        rows = self.rows("docs") + self.rows("pictures")
        for one in (silent, unwell, stranger, healthy):
            self.assert_holds(one, rows)

    # ---- some kinds ----

    def test_what_is_not_wanted_makes_no_request(self):
        log = self.receiver()
        self.add("log", log.url(), "folders = docs\nkinds = delete\n")
        self.s.start()
        names = ["f%03d" % i for i in range(200)]
        touch(self.s.folder, *names)
        self.s.sync(uploaded=True)
        self.assertEqual(log.requests, [])
        self.assertEqual(self.s.upload(upload="log")["acked"], self.s.objects(
            "log", "--folder", "docs", "-n", "1")[0]["seq"])
        for name in names[:100]:
            os.unlink(os.path.join(self.s.folder, name))
        touch(self.s.folder, "another")
        self.s.sync(uploaded=True)
        self.assert_holds(log, self.rows(), ("delete",))
        self.assertEqual(len(log.rows()), 100)
        for (_, last), (first, _) in zip(self.ranges(log), self.ranges(log)[1:]):
            self.assertGreater(first, last)
        # Another choice holds from the next row on, also for a batch that is refused row by row.
        self.s.stop()
        self.sections[0] = self.sections[0].replace("kinds = delete", "kinds = delete modify")
        self.s.settings["upload_lines"] = self.sections[0]
        log.answer = lambda request: 422 if any(row["path"] == "f150" for row in request.rows()) \
            else 200
        count = len(log.rows())
        self.s.daemon_start()
        for name in names[120:180]:
            with open(os.path.join(self.s.folder, name), "w") as out:
                out.write("x")
        touch(self.s.folder, "yet another")
        self.s.sync(uploaded=True)
        modified = [row["path"] for row in log.rows()[count:]]
        self.assertEqual(sorted(set(modified)), sorted(set(names[120:180]) - {"f150"}))
        aside = self.s.objects("quarantine", "list")
        self.assertEqual([line["seq"] for line in aside], [row["seq"] for row in self.rows()
                                                           if row["path"] == "f150" and
                                                           row["kind"] == "modify"])

    def test_without_creates_there_is_no_tree(self):
        """Rows that are gone before the log came: the tree is told in rows of kind create."""
        self.s.settings["folder_lines"] = "retention = 0s\n" + self.s.settings["folder_lines"]
        self.s.start()
        touch(self.s.folder, *["f%d" % i for i in range(20)])
        self.s.sync(uploaded=True)
        self.s.stop()
        self.s.daemon_start()  # a start forgets what is acknowledged and old enough
        self.s.sync(uploaded=True)
        self.s.stop()
        picky, whole = self.receiver(), self.receiver()
        self.add("picky", picky.url(), "folders = docs\nkinds = modify, delete\n")
        self.add("whole", whole.url(), "folders = docs\nkinds = create\n")
        self.s.daemon_start()
        self.s.sync(uploaded=True)
        self.assertEqual(picky.requests, [])
        self.assertEqual(sorted(row["path"] for row in whole.rows() if row.get("snapshot")),
                         sorted("f%d" % i for i in range(20)))
        os.unlink(self.s.folder + "/f7")
        self.s.sync(uploaded=True)
        self.assertEqual([(row["kind"], row["path"]) for row in picky.rows()], [("delete", "f7")])
        self.assertEqual({row["kind"] for row in whole.rows()}, {"create"})

    def test_creates_given_up_while_a_tree_is_sent(self):
        self.s.settings["folder_lines"] = "retention = 0s\n" + self.s.settings["folder_lines"]
        self.s.start()
        touch(self.s.folder, *["f%d" % i for i in range(20)])
        self.s.sync(uploaded=True)
        self.s.stop()
        self.s.daemon_start()
        self.s.sync(uploaded=True)
        self.s.stop()
        log = self.receiver(lambda request: 503)
        self.add("log", log.url(), "folders = docs\n")
        self.s.daemon_start()
        self.assertTrue(log.wait(lambda one: one.requests))
        self.assertTrue(log.requests[0].rows()[0]["snapshot"])
        self.s.stop()
        log.answer = lambda request: 200
        self.sections[0] = self.sections[0].replace("folders = docs", "kinds = delete")
        self.s.settings["upload_lines"] = self.sections[0]
        self.s.daemon_start()
        os.unlink(self.s.folder + "/f7")
        self.s.sync(uploaded=True)
        self.assertEqual([(row["kind"], row["path"]) for row in log.rows()], [("delete", "f7")])

    def test_not_for_a_replica(self):
        self.s.settings["upload_lines"] = "kinds = create\n"
        self.s.write_config()
        self.s.run("config", "check", code=78)
        self.assertIn("a replica (format = spoor) needs every row", self.s.last_error)


if __name__ == "__main__":
    spoor.main(__doc__)
