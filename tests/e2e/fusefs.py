"""A file system for tests that does as it is told: it hangs, fails, dies, numbers its files anew with
each mount, and finds names whatever their case or by their short form.

A process of its own keeps the files in memory and speaks the kernel's protocol on /dev/fuse
(fuse(4), linux/fuse.h), so that nothing need be installed; mounting takes root. It is told what to
do by lines on its standard input, and answers each with a line. `Fuse` is the side of the tests.
"""

import ctypes
import errno
import json
import os
import re
import select
import stat
import struct
import subprocess
import sys
import time
import unittest

LIBC = ctypes.CDLL(None, use_errno=True)
CALL_LIMIT_S = 60

IN_HEADER = struct.Struct("=IIQQIIIHH")
OUT_HEADER = struct.Struct("=IiQ")
ATTR = struct.Struct("=QQQQQQIIIIIIIIII")
ENTRY = struct.Struct("=QQQQII")
SETATTR = struct.Struct("=IIQQQQQQIIIIIIII")

OPS = {1: "lookup", 2: "forget", 3: "getattr", 4: "setattr", 5: "readlink", 6: "symlink",
       8: "mknod", 9: "mkdir", 10: "unlink", 11: "rmdir", 12: "rename", 13: "link", 14: "open",
       15: "read", 16: "write", 17: "statfs", 18: "release", 20: "fsync", 25: "flush", 26: "init",
       27: "opendir", 28: "readdir", 29: "releasedir", 30: "fsyncdir", 34: "access",
       35: "create", 36: "interrupt", 38: "destroy", 42: "batch_forget", 45: "rename2"}
SILENT = ("forget", "batch_forget", "interrupt")  # the kernel wants no answer
ROOT = 1
EXCHANGE = 2
REQUEST_MAX = (1 << 17) + 4096


class Node:
    def __init__(self, key, mode, target=None):
        self.key = key
        self.mode = mode
        self.links = 0
        self.data = bytearray()
        self.target = target
        self.kids = {}  # bytes -> key
        self.mtime = self.ctime = time.time_ns()


def short_name(name):
    """What FAT calls a name that is no 8.3: the first with such a beginning."""
    stem, dot, end = name.upper().rpartition(b".")
    stem, end = (stem, end) if dot else (end, b"")
    if len(stem) <= 8 and len(end) <= 3 and b" " not in name:
        return None
    return re.sub(rb"[ .]", b"", stem)[:6] + b"~1" + (b"." + end[:3] if end else b"")


class Server:
    def __init__(self, at):
        self.at = at
        self.fd = -1
        self.nodes = {ROOT: Node(ROOT, stat.S_IFDIR | 0o755)}
        self.next_key = ROOT + 1
        self.mounts = 0
        self.numbers = "keep"  # or "fresh": others with each mount; "reversed": each other's
        self.folds = False
        self.hanging = set()
        self.failing = {}  # operation, or operation and name -> errno
        self.kept = []  # requests that hang

    # ---- names and numbers ----

    def number(self, key):
        if key == ROOT or self.numbers == "keep":
            return key
        if self.numbers == "reversed" and self.mounts % 2 == 0:
            return self.next_key + ROOT - key
        return key + self.mounts * 100000 if self.numbers == "fresh" else key

    def stored(self, node, name):
        """The name under which the directory holds what is asked for, or None."""
        if name in node.kids or not self.folds:
            return name if name in node.kids else None
        for held in node.kids:
            if held.lower() == name.lower() or short_name(held) == name.upper():
                return held
        return None

    def kid(self, node, name):
        held = self.stored(node, name)
        if held is None:
            raise OSError(errno.ENOENT, "")
        return self.nodes[node.kids[held]]

    def add(self, parent, name, mode, target=None):
        if self.stored(parent, name) is not None:
            raise OSError(errno.EEXIST, "")
        node = Node(self.next_key, mode, target)
        self.next_key += 1
        self.nodes[node.key] = node
        self.put(parent, name, node)
        return node

    @staticmethod
    def put(parent, name, node):
        parent.kids[name] = node.key
        node.links += 1
        node.ctime = parent.ctime = parent.mtime = time.time_ns()

    @staticmethod
    def take(parent, held, node):
        del parent.kids[held]
        node.links -= 1
        node.ctime = parent.ctime = parent.mtime = time.time_ns()

    # ---- answers ----

    def attr(self, node):
        size = len(node.target or b"") if node.target is not None else len(node.data)
        seconds, rest = divmod(node.mtime, 10 ** 9)
        changed, changed_rest = divmod(node.ctime, 10 ** 9)
        links = 2 if stat.S_ISDIR(node.mode) else max(node.links, 1)
        return ATTR.pack(self.number(node.key), size, (size + 511) // 512, seconds, seconds,
                         changed, rest, rest, changed_rest, node.mode, links, 0, 0, 0, 4096, 0)

    def entry(self, node):
        return ENTRY.pack(node.key, 0, 0, 0, 0, 0) + self.attr(node)

    def attr_out(self, node):
        return struct.pack("=QII", 0, 0, 0) + self.attr(node)

    def do_init(self, node, body):
        major, minor, readahead = struct.unpack_from("=III", body)
        return struct.pack("=IIIIHHIIHHIIH22x", 7, min(minor, 31), readahead, 0, 12, 9, 1 << 16, 1,
                           0, 0, 0, 0, 0)

    def do_lookup(self, node, body):
        return self.entry(self.kid(node, body.rstrip(b"\0")))

    def do_getattr(self, node, body):
        return self.attr_out(node)

    def do_setattr(self, node, body):
        valid, _, _, size, _, _, mtime, _, _, rest, _, mode, _, _, _, _ = SETATTR.unpack_from(body)
        node.ctime = time.time_ns()
        if valid & 1:
            node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(mode)
        if valid & 8:
            del node.data[size:]
            node.data.extend(bytes(size - len(node.data)))
            node.mtime = node.ctime
        if valid & 32:
            node.mtime = node.ctime if valid & 256 else mtime * 10 ** 9 + rest
        return self.attr_out(node)

    def do_readlink(self, node, body):
        return node.target

    def do_symlink(self, node, body):
        name, target = body.split(b"\0")[:2]
        return self.entry(self.add(node, name, stat.S_IFLNK | 0o777, target))

    def do_mknod(self, node, body):
        mode, _, umask = struct.unpack_from("=III", body)
        return self.entry(self.add(node, body[16:].rstrip(b"\0"), mode & ~umask))

    def do_mkdir(self, node, body):
        mode, umask = struct.unpack_from("=II", body)
        return self.entry(self.add(node, body[8:].rstrip(b"\0"), stat.S_IFDIR | mode & ~umask))

    def do_create(self, node, body):
        _, mode, umask = struct.unpack_from("=III", body)
        made = self.add(node, body[16:].rstrip(b"\0"), mode & ~umask)
        return self.entry(made) + struct.pack("=QII", made.key, 0, 0)

    def do_unlink(self, node, body):
        name = body.rstrip(b"\0")
        gone = self.kid(node, name)
        if gone.kids:
            raise OSError(errno.ENOTEMPTY, "")
        self.take(node, self.stored(node, name), gone)
        return b""

    do_rmdir = do_unlink

    def do_link(self, node, body):
        old = self.nodes[struct.unpack_from("=Q", body)[0]]
        self.put(node, body[8:].rstrip(b"\0"), old)
        return self.entry(old)

    def rename(self, node, target, flags, old, new):
        moved, held = self.kid(node, old), self.stored(node, old)
        there = self.stored(target, new)
        other = self.nodes[target.kids[there]] if there is not None else None
        if other is not None and other is not moved:
            if other.kids and not flags & EXCHANGE:
                raise OSError(errno.ENOTEMPTY, "")
            self.take(target, there, other)
        self.take(node, held, moved)
        self.put(target, new, moved)
        if flags & EXCHANGE:
            self.put(node, held, other)
        return b""

    def do_rename(self, node, body):
        target = self.nodes[struct.unpack_from("=Q", body)[0]]
        return self.rename(node, target, 0, *body[8:].split(b"\0")[:2])

    def do_rename2(self, node, body):
        target, flags = struct.unpack_from("=QI", body)
        return self.rename(node, self.nodes[target], flags, *body[16:].split(b"\0")[:2])

    def do_open(self, node, body):
        return struct.pack("=QII", node.key, 0, 0)

    do_opendir = do_open

    def do_read(self, node, body):
        _, offset, size = struct.unpack_from("=QQI", body)
        return bytes(node.data[offset:offset + size])

    def do_write(self, node, body):
        _, offset, size = struct.unpack_from("=QQI", body)
        node.data.extend(bytes(max(0, offset - len(node.data))))
        node.data[offset:offset + size] = body[40:40 + size]
        node.mtime = node.ctime = time.time_ns()
        return struct.pack("=II", size, 0)

    def do_readdir(self, node, body):
        _, offset, size = struct.unpack_from("=QQI", body)
        out = bytearray()
        for at, (name, key) in enumerate(list(node.kids.items())[offset:], offset + 1):
            kind = stat.S_IFMT(self.nodes[key].mode) >> 12
            line = struct.pack("=QQII", self.number(key), at, len(name), kind) + name
            line += bytes(-len(line) % 8)
            if len(out) + len(line) > size:
                break
            out += line
        return bytes(out)

    def do_statfs(self, node, body):
        return struct.pack("=QQQQQIII28x", 1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 4096, 255,
                           4096)

    def do_nothing(self, node, body):
        return b""

    do_release = do_releasedir = do_flush = do_fsync = do_fsyncdir = do_nothing
    do_access = do_destroy = do_nothing

    # ---- requests ----

    def serve(self, request):
        size, code, unique, key = IN_HEADER.unpack_from(request)[:4]
        op = OPS.get(code, "?")
        body = request[IN_HEADER.size:size]
        if op in SILENT:
            return
        if op in self.hanging:
            self.kept.append(request)
            return
        fault = self.failing.get(op) or \
            self.failing.get(op + " " + os.fsdecode(body.split(b"\0")[0]))
        answer = b""
        try:
            if fault:
                raise OSError(fault, "")
            answer = getattr(self, "do_" + op.replace("?", "unknown"))(self.nodes.get(key), body)
            fault = 0
        except OSError as error:
            fault = error.errno
        except AttributeError:
            fault = errno.ENOSYS
        try:
            os.write(self.fd, OUT_HEADER.pack(OUT_HEADER.size + len(answer), -fault, unique) +
                     answer)
        except OSError as error:
            if error.errno != errno.ENOENT:  # interrupted meanwhile: nobody waits any more
                raise

    def tell(self, order):
        """One line of the tests."""
        for key, value in order.items():
            if key == "mount":
                self.mounts += 1
                self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
                options = "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % self.fd
                if LIBC.mount(b"test", os.fsencode(self.at), b"fuse", 0, options.encode()):
                    code = ctypes.get_errno()
                    self.die()
                    return os.strerror(code)
            elif key == "die":
                self.die()
            elif key == "hang":
                self.hanging = set(value)
                kept, self.kept = self.kept, []
                for request in kept:
                    self.serve(request)
            else:
                setattr(self, key, value)
        return "done"

    def die(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1
        self.kept = []

    def run(self):
        for _ in iter(int, 1):
            ready = select.select([sys.stdin.fileno()] + [self.fd] * (self.fd >= 0), [], [])[0]
            if self.fd in ready:
                try:
                    self.serve(os.read(self.fd, REQUEST_MAX))
                except OSError as error:
                    if error.errno == errno.ENODEV:  # unmounted
                        self.die()
                    elif error.errno not in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                        raise
            if sys.stdin.fileno() in ready:
                line = sys.stdin.readline()
                if not line:
                    return
                print(self.tell(json.loads(line)), flush=True)


class Fuse:
    """A mounted one. `tell(hang=["getattr"])` makes such requests wait until `tell(hang=[])`;
    `tell(failing={"lookup name": errno})` makes them fail; see Server for what else there is."""

    def __init__(self, case, at, **settings):
        if os.geteuid() != 0:
            raise unittest.SkipTest("mounting takes root")
        if not os.path.exists("/dev/fuse"):
            raise unittest.SkipTest("the kernel has no FUSE")
        self.at = at
        os.makedirs(at, exist_ok=True)
        self.process = subprocess.Popen([sys.executable, "-B", os.path.abspath(__file__), at],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        case.addCleanup(self.close)
        self.tell(**settings)
        self.mount()

    def tell(self, **order):
        print(json.dumps(order), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().strip()
        if answer != "done":
            raise unittest.SkipTest("fuse: " + answer)

    def mount(self):
        self.tell(mount=True)

    def umount(self):
        subprocess.run(["umount", self.at], check=True, timeout=CALL_LIMIT_S)

    def remount(self):
        self.umount()
        self.mount()

    def die(self):
        """As a server that crashed: everything fails with ENOTCONN until it is mounted again."""
        self.tell(die=True)

    def close(self):
        self.process.stdin.close()
        self.process.wait(CALL_LIMIT_S)
        self.process.stdout.close()
        subprocess.run(["umount", "-l", self.at], check=False, stderr=subprocess.DEVNULL,
                       timeout=CALL_LIMIT_S)


if __name__ == "__main__":
    Server(sys.argv[1]).run()
