"""`spoor service` on Linux: the unit file for systemd, and that the rights it leaves are enough. What
systemd itself makes of it is only checked where systemd-analyze is."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spoor
from spoor import write

HERE = os.path.dirname(os.path.abspath(__file__))
COMMITTED = os.path.join(HERE, "..", "..", "docs", "spoor.service")
FAILED, USAGE = 1, 2


def service(*arguments, code=0):
    done = subprocess.run([spoor.OPTIONS.bin, "service", *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=spoor.CALL_LIMIT_S, check=False)
    if done.returncode != code:
        raise AssertionError("exit %d instead of %d: %r" % (done.returncode, code, done.stderr))
    return done.stdout.decode() + done.stderr.decode()


class Unit(spoor.Case):
    def test_is_the_one_in_docs(self):
        unit = service("unit")
        program = os.path.realpath(spoor.OPTIONS.bin)
        self.assertIn('ExecStart="%s" run --config "/etc/spoor/spoor.conf"\n' % program, unit)
        with open(COMMITTED, encoding="utf-8") as committed:
            self.assertEqual(unit.replace('"%s"' % program, '"/usr/local/bin/spoor"'),
                             committed.read())

    def test_quoted(self):
        self.assertIn('--config "/a b\\"%%$$\\\\\\x09c"\n', service("unit", "--config", '/a b"%$\\\tc'))

    def test_other_verbs(self):
        for verb, way in (("install", "systemctl enable"), ("uninstall", "disable"),
                          ("start", "systemctl start"), ("stop", "systemctl stop"),
                          ("run", "spoor run")):
            self.assertIn(way, service(verb, code=FAILED))
        self.assertIn("unit", service("begin", code=USAGE))

    def test_systemd_takes_it(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("there is no systemd-analyze")
        with tempfile.TemporaryDirectory() as place:
            path = os.path.join(place, "spoor.service")
            write(path, service("unit"))
            done = subprocess.run(["systemd-analyze", "verify", path], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=spoor.CALL_LIMIT_S, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, b""))

    def test_rights_are_enough(self):
        """By fanotify, in a folder that belongs to somebody else and that nobody else may read."""
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            self.skipTest("this takes root and setpriv")
        rights = re.search(r"^CapabilityBoundingSet=(.*)$", service("unit"), re.M).group(1).split()
        s = self.make()
        s.settings["backend"] = "fanotify"
        os.chmod(s.folder, 0o700)
        os.chown(s.folder, 65534, 65534)
        s.start()
        s.sync()
        if s.status("folder")["backend"] != "fanotify":  # with all rights that there are here
            self.skipTest(s.status("folder")["backend"])
        s.stop()
        bounds = "-all," + ",".join("+" + right[len("CAP_"):].lower() for right in rights)
        s.start(wrap=["setpriv", "--no-new-privs", "--bounding-set", bounds])
        write(os.path.join(s.folder, "x"), "x")
        s.sync()
        self.assertEqual(s.status("folder")["backend"], "fanotify")
        s.check()


if __name__ == "__main__":
    spoor.main(__doc__)
