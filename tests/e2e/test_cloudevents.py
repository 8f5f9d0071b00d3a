"""Batches of CloudEvents, read by the CloudEvents project's own SDK for JavaScript: each event is valid,
has an id of its own, and its data is the row."""

import json
import os
import shutil
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spoor

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = os.path.join(HERE, "cloudevents/receive.mjs")
MODULES = os.path.abspath(os.path.join(HERE, "../../build/tools/cloudevents/node_modules"))
NODE = shutil.which("node")


@unittest.skipUnless(NODE, "node is not there")
@unittest.skipUnless(os.path.isdir(MODULES + "/cloudevents"), "the CloudEvents SDK is not there")
class Events(spoor.Case):
    def begin(self, **settings):
        self.s = self.make(settle="5ms", fold="off", **settings)
        self.output = os.path.join(self.s.top, "events")
        self.node = spoor.Line([NODE, SCRIPT, MODULES, self.output], "listening on")
        self.addCleanup(lambda: self.node.end(signal.SIGTERM))
        port = int(self.node.wait_ready().split()[-1])
        self.log = '\n[upload "log"]\nurl = http://127.0.0.1:%d/\nformat = cloudevents\n' \
            "batch_delay = 5ms\nretry_min = 10ms\nretry_max = 100ms\nbatch_rows = 40\n" % port

    def events(self):
        """By source and id, each once; what came again is what had come."""
        found = {}
        count = 0
        with open(self.output, encoding="utf-8") as lines:
            for event in map(json.loads, lines):
                key = (event["source"], event["id"])
                self.assertEqual(found.setdefault(key, event), event)
                count += 1
        self.assertEqual(self.node.lines[1:], [], "refused by the SDK")
        return list(found.values()), count

    def test_rows(self):
        self.begin()
        self.s.settings["upload_lines"] = self.log
        self.s.start()
        mutator = spoor.Mutator(self.s.folder, self.random)
        for _ in range(spoor.scaled(15, 4)):
            mutator.steps(20)
            spoor.write(os.path.join(os.fsencode(self.s.folder), b"not \xff UTF-8"))
            self.s.sync()
        self.s.sync(uploaded=True)
        with open(os.path.join(self.s.top, "state/docs/journal.id"), encoding="utf-8") as lines:
            journal = dict(line.split() for line in lines)["id"]
        events, count = self.events()
        self.assertGreater(count, len(events), "some came twice")
        rows = {row["seq"]: row for row in self.s.rows()}
        self.assertEqual({event["data"]["seq"]: event["data"] for event in events}, rows)
        self.assertEqual(len(events), len(rows))
        for event in events:
            row = event["data"]
            self.assertEqual(event["specversion"], "1.0")
            self.assertEqual(event["id"], "%d-%d" % (row["epoch"], row["seq"]))
            self.assertEqual(event["source"], "urn:spoor:" + journal)
            self.assertEqual(event["type"], "spoor." + row["kind"])
            self.assertEqual(event["time"], row["time"])
            self.assertEqual(event["datacontenttype"], "application/json")
            self.assertEqual(event.get("subject"), row.get("path"))
        self.assertTrue(any("path_b64" in event["data"] for event in events))

    def test_a_tree_in_place_of_rows(self):
        """Ids of a tree's entries are none of a row's."""
        self.begin(folder_lines="retention = 0s")
        self.s.start()
        for i in range(100):
            spoor.write("%s/f%03d" % (self.s.folder, i))
        self.s.sync(uploaded=True)
        self.s.stop()
        self.s.daemon_start()  # a start forgets what is acknowledged and old enough
        self.s.sync(uploaded=True)
        self.s.stop()
        self.s.settings["upload_lines"] = self.log
        self.s.daemon_start()
        self.s.sync(uploaded=True)
        spoor.write(self.s.folder + "/f050", "more")
        self.s.sync(uploaded=True)
        events, _ = self.events()
        tree = [event for event in events if "snapshot" in event["data"]]
        self.assertEqual(sorted(event["subject"] for event in tree),
                         ["f%03d" % i for i in range(100)])
        for event in tree:
            row = event["data"]
            self.assertEqual(event["id"], "%d-%d-%d" % (row["epoch"], row["snapshot"], row["id"]))
        rest = [event["subject"] for event in events if "snapshot" not in event["data"]]
        self.assertEqual(set(rest), {"f050"})


if __name__ == "__main__":
    spoor.main(__doc__)
