"""What the fault tests share: volumes that can lose power or run full, system calls that fail or
kill, and the numbers n of "at the n-th call".

Everything else is the harness of the end-to-end tests (../e2e/spoor.py). By default n is sampled
and the rounds are few; with SPOOR_FAULT_ALL=1 in the environment every n is taken until none
fires, and the rounds are many.
"""

import fcntl
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import spoor  # noqa: E402

ALL = os.environ.get("SPOOR_FAULT_ALL", "") not in ("", "0")
N_MAX = 100000  # no workload here has as many calls

FS_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32): ext4.h, xfs_fs.h
SHUTDOWN_NO_LOG_FLUSH = 2


def rounds(sampled, all_of_them):
    """How often something random is done."""
    if ALL:
        return all_of_them
    return max(1, sampled // 3) if spoor.OPTIONS.quick else sampled


def numbers(most):
    """1, 2, 3, ...; without SPOOR_FAULT_ALL some `most` of them with growing steps."""
    step = 1.0
    n = 1.0
    taken = 0
    most = max(3, most // 3) if spoor.OPTIONS.quick else most
    while n < N_MAX and (ALL or taken < most):
        yield int(n)
        taken += 1
        if not ALL and taken >= 4:
            step *= 1.5
        n += step


def need_root():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root")


def need_tool(name):
    if shutil.which(name) is None:
        raise unittest.SkipTest("needs the program " + name)


def need_strace():
    need_tool("strace")
    probe = subprocess.run(["strace", "-D", "-f", "-o", "/dev/null", "true"], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if probe.returncode:
        raise unittest.SkipTest("strace cannot trace: " + probe.stderr.decode().strip()[-200:])


class Volume:
    """A file system in a file, mounted; or a tmpfs when `kind` is that."""

    def __init__(self, at, kind, mib, make=()):
        need_root()
        self.at = at
        self.kind = kind
        self.mounted = False
        self.image = None
        os.makedirs(at, exist_ok=True)
        if kind == "tmpfs":
            self.mount("-t", "tmpfs", "-o", "size=%dk,mode=0700" % (mib * 1024), "tmpfs")
            return
        need_tool("mkfs." + kind)
        fd, self.image = tempfile.mkstemp(prefix="spoor-volume-")
        os.truncate(fd, mib << 20)
        os.close(fd)
        subprocess.run(["mkfs." + kind, "-q", *make, self.image], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.mount("-o", "loop", self.image)
        except unittest.SkipTest:
            os.unlink(self.image)
            raise
        os.chmod(at, 0o700)

    def mount(self, *arguments):
        self.arguments = arguments
        done = subprocess.run(["mount", *arguments, self.at], check=False, stderr=subprocess.PIPE)
        if done.returncode:
            raise unittest.SkipTest("cannot mount %s: %s" % (self.kind,
                                                             done.stderr.decode().strip()))
        self.mounted = True

    def power_loss(self):
        """What is not on the disk yet is gone, and nothing more gets there."""
        fd = os.open(self.at, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, FS_IOC_SHUTDOWN, struct.pack("I", SHUTDOWN_NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def umount(self):
        subprocess.run(["umount", self.at], check=True)
        self.mounted = False

    def remount(self):
        self.umount()
        self.mount(*self.arguments)

    def fill(self, name="ballast"):
        """Takes the last byte."""
        with open(os.path.join(self.at, name), "ab", buffering=0) as out:
            for size in (1 << 16, 1 << 10, 64, 1):
                while True:
                    try:
                        out.write(bytes(size))
                    except OSError:
                        break

    def empty(self, name="ballast"):
        os.unlink(os.path.join(self.at, name))

    def close(self):
        if self.mounted:
            subprocess.run(["umount", "--lazy", self.at], check=True)
            self.mounted = False
        if self.image:
            os.unlink(self.image)


class Case(spoor.Case):
    def volume(self, at, kind, mib, make=()):
        """Unmounted before the directory around it is removed."""
        volume = Volume(at, kind, mib, make)
        self.volumes.append(volume)
        return volume

    def make(self, **settings):
        """As in e2e; the daemon may be dead already when the test ends."""
        s = super().make(**settings)
        self.volumes = []

        def end():
            try:
                if s.daemon and s.daemon.process.poll() is None and not self.has_failed():
                    s.stop()
            finally:
                if s.daemon:
                    s.daemon.end(signal.SIGKILL)
                    s.daemon = None
                for volume in self.volumes:
                    volume.close()

        self.addCleanup(end)  # runs before the one of e2e
        return s

    def report(self, text):
        print("    " + text, file=sys.stderr)


def state_dir(s):
    return os.path.join(s.top, "state")


def journal(s, suffix=""):
    return os.path.join(state_dir(s), "docs", "journal.db" + suffix)


def try_run(s, *arguments):
    """Runs a command that may fail; returns its exit code."""
    done = subprocess.run(s.command(*arguments), stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          timeout=spoor.CALL_LIMIT_S, check=False)
    s.last_error = done.stderr.decode("utf-8", "replace")
    return done.returncode


def try_sync(s, *more):
    return try_run(s, "sync", "--timeout", "60s", *more)


def wait_synced(s, *more):
    """Until it has recovered by itself."""
    spoor.until(lambda: try_sync(s, *more) == 0, "a sync: " + getattr(s, "last_error", ""))


def injection(call, what, n, log, paths=()):
    """A command before the daemon's: the n-th such call of a thread fails or kills. The tracer is
    a grandchild (-D), so that the process started is the daemon itself."""
    command = ["strace", "-D", "-f", "-q", "-o", log, "-e", "trace=" + call,
               "-e", "inject=%s:%s:when=%s" % (call, what, n)]
    for path in paths:
        command += ["-P", path]
    return command


def traced():
    """The environment under strace: the leak checker stops the program by ptrace itself."""
    options = os.environ.get("ASAN_OPTIONS", "")
    return dict(os.environ, ASAN_OPTIONS=options + ":detect_leaks=0")


def injected(log):
    try:
        with open(log, encoding="utf-8", errors="replace") as text:
            return text.read().count("(INJECTED)")
    except FileNotFoundError:
        return 0


main = spoor.main
