#!/usr/bin/env python3
"""Measures the daemon on a generated folder, each figure beside a bare crawl of the same folder taken
in the same run (bench_crawl: getdents64 and statx by two threads, nothing else).

    bench.py --bin build/release [--files N] [--changes N] [--dir DIRECTORY]

The folder has ten files a directory. Its pages are in memory: what is measured is the program, not
the disk's reads; the journal's commits do go to the disk. Nothing but the folder is watched, no
upload is configured. "to synced" ends when `spoor sync` returns, that is when everything on disk is
a committed row; it starts before the daemon's process does.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time


class Bench:
    def __init__(self, programs, base, files, changes):
        self.programs = pathlib.Path(programs).resolve()
        self.base = pathlib.Path(base)
        self.dirs = max(1, files // 10)
        self.changes = min(changes, self.dirs)
        self.folder = self.base / "folder"
        self.config = self.base / "spoor.conf"
        self.rows = []

    def run(self, program, *args):
        """Standard output of one of our programs; its failure ends the benchmark."""
        done = subprocess.run([self.programs / program, *map(str, args)], text=True,
                              stdout=subprocess.PIPE)
        if done.returncode:
            sys.exit("bench: %s %s: exit code %d" % (program, args[0], done.returncode))
        return done.stdout

    def spoor(self, command, *args):
        return self.run("spoor", command, "--config", self.config, *args)

    def crawl(self):
        """Seconds of the bare crawl: the best of five."""
        return min(float(self.run("bench_crawl", self.folder, 2).split()[0]) for _ in range(5))

    def start(self):
        """Seconds from nothing to a daemon that has journaled all there is."""
        begin = time.monotonic()
        self.spoor("start")
        self.spoor("sync", "--timeout", "600s")
        return time.monotonic() - begin

    def status(self, record):
        for line in self.spoor("status", "--json").splitlines():
            found = json.loads(line)
            if found["record"] == record:
                return found
        sys.exit("bench: status has no record '%s'" % record)

    def memory(self, when):
        """Resident memory of the daemon as the kernel counts it, now and at its peak, in MB."""
        pid = self.status("daemon")["pid"]
        fields = dict(line.split(":", 1) for line in open("/proc/%d/status" % pid))
        for name, key in (("resident, at rest", "VmRSS"), ("resident, at peak", "VmHWM")):
            self.note("%s, %s" % (name, when), "%.1f MB" % (int(fields[key].split()[0]) / 1000.0))

    def note(self, what, value, crawl=None, seconds=None):
        self.rows.append((what, value, "" if crawl is None else "%.3f s" % crawl,
                          "" if crawl is None else "%.1f x" % (seconds / crawl)))

    def timed(self, what, crawl, seconds):
        self.note(what, "%.3f s" % seconds, crawl, seconds)

    def measure(self):
        self.folder.mkdir()
        self.config.write_text("[daemon]\nstate_dir = %s\n[folder \"bench\"]\npath = %s\n"
                               % (self.base / "state", self.folder))
        print("making %d files in %d directories" % (self.dirs * 10, self.dirs), file=sys.stderr)
        self.run("bench_tree", "make", self.folder, self.dirs, 10, 64)

        crawl = self.crawl()
        self.timed("first index, to synced", crawl, self.start())
        self.memory("after the index")
        indexed = self.status("folder")["last_seq"]
        self.spoor("stop")

        crawl = self.crawl()
        self.timed("restart, nothing changed, to synced", crawl, self.start())
        if self.status("folder")["last_seq"] != indexed:
            sys.exit("bench: a scan of an unchanged folder wrote rows")
        self.spoor("stop")

        self.run("bench_tree", "change", self.folder, self.dirs, self.changes)
        crawl = self.crawl()
        self.timed("restart, %d changes while down, to synced" % self.changes, crawl, self.start())
        self.memory("after the restart")
        found = self.status("folder")["last_seq"] - indexed
        self.note("rows for these changes", str(found))
        self.spoor("verify")
        self.spoor("stop")
        size = sum(path.stat().st_size for path in (self.base / "state").rglob("*")
                   if path.is_file())
        self.note("journal on disk", "%.1f MB" % (size / 1e6))
        if found != self.changes:
            sys.exit("bench: %d changes gave %d rows" % (self.changes, found))

    def print_rows(self):
        head = ("%d files, %d directories" % (self.dirs * 10, self.dirs), "spoor", "bare crawl",
                "times")
        rows = [head] + self.rows
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        for row in rows:
            print("  ".join([row[0].ljust(widths[0])] +
                            [row[i].rjust(widths[i]) for i in (1, 2, 3)]).rstrip())

    def close(self):
        """Stops the daemon if it still runs: it is ours, found through our own state directory."""
        if self.config.exists():
            subprocess.run([self.programs / "spoor", "stop", "--config", self.config],
                           stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def main():
    parser = argparse.ArgumentParser(prog="bench", description="Measure spoor on a made folder.")
    parser.add_argument("--bin", required=True, help="directory of the built programs")
    parser.add_argument("--files", type=int, default=100000, help="default %(default)s")
    parser.add_argument("--changes", type=int, default=1000, help="default %(default)s")
    parser.add_argument("--dir", default="build", help="where the folder is made (%(default)s)")
    options = parser.parse_args()
    if options.files < 10 or options.changes < 1:
        parser.error("--files takes 10 or more, --changes 1 or more")
    base = tempfile.mkdtemp(prefix="bench-", dir=options.dir)
    bench = Bench(options.bin, os.path.abspath(base), options.files, options.changes)
    try:
        bench.measure()
        bench.print_rows()
    finally:
        bench.close()
        shutil.rmtree(base)


if __name__ == "__main__":
    main()
