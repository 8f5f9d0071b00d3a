"""While the server is away rows fold: what it gets afterwards is what they come to, once."""

import json
import os
import sqlite3
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spoor
from spoor import scaled


class Fold(spoor.Case):
    def outage(self, s):
        """A file written many times, each write journaled; one that comes and goes; a directory
        that does, with a file in it; a file that is made and written; one that moves around."""
        os.mkdir(s.folder + "/keep")
        for name in ("log", "keep/moves"):
            with open("%s/%s" % (s.folder, name), "w"):
                pass
        s.sync(uploaded=True)
        s.server_kill()
        at = "keep/moves"
        for i in range(scaled(150, 40)):
            with open(s.folder + "/log", "a") as out:
                out.write("line %d\n" % i)
            if i % 10 == 0:
                with open(s.folder + "/gone", "w") as out:
                    out.write(str(i))
                os.mkdir(s.folder + "/dir")
                with open(s.folder + "/dir/in", "w") as out:
                    out.write(str(i))
                os.rename("%s/%s" % (s.folder, at), "%s/moves-%d" % (s.folder, i))
                at = "moves-%d" % i
                s.sync()
                os.unlink(s.folder + "/gone")
                os.unlink(s.folder + "/dir/in")
                s.sync()
                os.rmdir(s.folder + "/dir")
            if i % 7 == 0:
                with open(s.folder + "/new", "a") as out:
                    out.write("x")
            s.sync()
        self.assertGreater(s.last_seq(), scaled(230, 60))
        s.server_start()
        s.check()

    def server_rows(self, s):
        store = sqlite3.connect("file:%s?mode=ro" % s.store_files()[0], uri=True)
        try:
            return [json.loads(text) for text, in
                    store.execute("SELECT json FROM change ORDER BY epoch, seq")]
        finally:
            store.close()

    def test_outage_is_folded(self):
        s = self.make(settle="5ms")
        s.start()
        self.outage(s)
        rows = self.server_rows(s)
        paths = [row["path"] for row in rows if "path" in row]
        # The batch that was formed when the server had just gone is sent as it was formed: so a
        # name that came and went may have come in one batch and gone in the next, once.
        self.assertLessEqual(paths.count("log"), 3)
        self.assertLessEqual(paths.count("new"), 2)
        for path in ("gone", "dir", "dir/in"):
            self.assertLessEqual(paths.count(path), 2, path)
        self.assertLess(len(rows), 40)

    def test_each_row_when_folding_is_off(self):
        s = self.make(settle="5ms", fold="off")
        s.start()
        self.outage(s)
        self.assertEqual(len(self.server_rows(s)), s.last_seq())


if __name__ == "__main__":
    spoor.main(__doc__)
