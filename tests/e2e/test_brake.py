"""The mass-delete brake: whatever empties the folder, at most brake_count entries leave the server
until somebody lets it go."""

import os
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spoor
from spoor import scaled

COUNT = 50


class Brake(spoor.Case):
    def fill(self, s, top, directories=20, files=30):
        for d in range(directories):
            os.makedirs("%s/%s/d%d" % (s.folder, top, d))
            for f in range(files):
                with open("%s/%s/d%d/f%d" % (s.folder, top, d, f), "w"):
                    pass

    def begin(self, percent=0):
        s = self.make(settle="5ms", brake=COUNT, upload_lines="brake_percent = %d" % percent)
        s.start()
        self.fill(s, "photos")
        with open(s.folder + "/letter", "w"):
            pass
        s.sync(uploaded=True)
        self.full = len(s.server_tree())
        return s

    def wait_held(self, s):
        s.wait_upload("held", "spoor hold release")

    def check_kept(self, s):
        self.assertGreaterEqual(len(s.server_tree()), self.full - COUNT)

    def test_rm_rf_is_held_until_released(self):
        s = self.begin()
        shutil.rmtree(s.folder + "/photos")
        s.sync()
        self.wait_held(s)
        self.check_kept(s)
        held = s.objects("hold", "list")
        self.assertEqual([(line["folder"], line["upload"]) for line in held], [("docs", "main")])
        self.assertGreater(held[0]["entries"], COUNT)
        self.assertIn(b"delete", s.run("hold", "list"))
        s.run("sync", "--uploaded", "--timeout", "300ms", code=4)
        # A restart does not forget it, and later changes wait behind it.
        s.stop()
        s.daemon_start()
        with open(s.folder + "/later", "w"):
            pass
        s.sync()
        self.wait_held(s)
        self.check_kept(s)
        s.run("hold", "release")
        s.check()
        self.assertEqual(s.objects("hold", "list"), [])

    def test_emptied_slowly(self):
        """Deleted file by file in many commits: the window counts."""
        s = self.begin()
        for d in range(20):
            for f in range(30):
                os.unlink("%s/photos/d%d/f%d" % (s.folder, d, f))
            s.sync()
        self.wait_held(s)
        self.check_kept(s)
        s.run("hold", "release", "main")
        s.check()

    def test_released_while_the_daemon_is_down(self):
        s = self.begin()
        shutil.rmtree(s.folder + "/photos")
        s.sync()
        self.wait_held(s)
        s.stop()
        self.assertEqual(len(s.objects("hold", "list")), 1)
        s.run("hold", "release")
        self.assertEqual(s.objects("hold", "list"), [])
        s.daemon_start()
        s.check()

    def test_deleted_while_down_and_restored(self):
        s = self.begin()
        s.stop()
        os.rename(s.folder + "/photos", s.outside + "/photos")
        s.daemon_start()
        s.sync()
        self.wait_held(s)
        self.check_kept(s)
        os.rename(s.outside + "/photos", s.folder + "/photos")
        s.sync()
        self.check_kept(s)
        s.run("hold", "release")
        s.check()

    def test_resync_is_held_too(self):
        """The journal is lost, and so is most of the folder: the new one would empty the server."""
        s = self.begin()
        s.stop()
        shutil.rmtree(s.folder + "/photos")
        for name in os.listdir(s.top + "/state/docs"):
            if name.startswith("journal.db"):
                os.unlink(s.top + "/state/docs/" + name)
        s.daemon_start()
        s.sync()
        self.wait_held(s)
        self.check_kept(s)
        self.assertIn(b"would delete", s.run("hold", "list"))
        s.run("hold", "release")
        s.sync(uploaded=True)
        spoor.same(s.server_tree(), spoor.walk(s.folder), "server", "disk")
        s.run("verify", "--server")
        self.assertEqual(s.objects("hold", "list"), [])

    def test_few_deletes_go(self):
        s = self.begin()
        for f in range(30):
            os.unlink("%s/photos/d0/f%d" % (s.folder, f))
        s.check()
        self.assertEqual(s.upload()["state"], "idle")

    def test_many_deletes_of_a_large_folder_go(self):
        """More than brake_count, but few of what is there."""
        s = self.begin(percent=25)
        for f in range(3):
            shutil.rmtree("%s/photos/d%d" % (s.folder, f))
        s.check()
        self.assertEqual(s.upload()["state"], "idle")

    def test_what_came_and_went_does_not_count(self):
        # The first of it may be in the batch that was formed when the server had just gone.
        s = self.begin(percent=25)
        s.server_kill()
        for _ in range(scaled(4, 2)):
            self.fill(s, "build", 5, 20)
            s.sync()
            shutil.rmtree(s.folder + "/build")
            s.sync()
        s.server_start()
        s.check()

    @unittest.skipUnless(os.geteuid() == 0, "needs root to mount")
    def test_unmounted(self):
        s = self.make(settle="5ms", brake=COUNT, upload_lines="brake_percent = 0")
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", s.folder], check=True)
        try:
            s.start()
            self.fill(s, "photos")
            s.sync(uploaded=True)
            self.full = len(s.server_tree())
            subprocess.run(["umount", s.folder], check=True)
            s.run("sync", "--timeout", "2s", code=None)
            self.assertEqual(len(s.server_tree()), self.full)
        finally:
            subprocess.run(["umount", s.folder], check=False, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    spoor.main(__doc__)
