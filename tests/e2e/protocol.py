"""A client of the wire protocol (upload/PROTOCOL.md), for the script that asks servers whether they
conform. Written from that page alone; it shares no code with the client or the server.
"""

import base64
import calendar
import gzip
import hashlib
import http.client
import json
import os
import re
import struct
import threading
import time
import urllib.parse

LIMIT_S = 120
WORD = (1 << 64) - 1
ZERO_TIME = "1970-01-01T00:00:00.000000000Z"
TREE_KEY = b"spoor tree sum\0\0"


class Unmet(Exception):
    """A demand is not met."""


class Absent(Exception):
    """The server may leave this out, and does."""


def demand(true, what, *more):
    if not true:
        raise Unmet(what % more if more else what)


# ---- the sum over a tree ----


def siphash(key, data):
    """SipHash-2-4."""
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
         k1 ^ 0x7465646279746573]

    def turn(x, bits):
        return ((x << bits) | (x >> (64 - bits))) & WORD

    def rounds(count):
        for _ in range(count):
            v[0] = (v[0] + v[1]) & WORD
            v[1] = turn(v[1], 13) ^ v[0]
            v[0] = turn(v[0], 32)
            v[2] = (v[2] + v[3]) & WORD
            v[3] = turn(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & WORD
            v[3] = turn(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & WORD
            v[1] = turn(v[1], 17) ^ v[2]
            v[2] = turn(v[2], 32)

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 255])
    for word, in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 255
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def nanoseconds(text):
    whole, rest = text[:-1].split(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * 10 ** 9 + int(rest)


def tree_sum(tree):
    """`tree`: path (bytes) -> entry."""
    total = 0
    for path, entry in tree.items():
        above, _, name = path.rpartition(b"/")
        target = entry.get("target", b"")
        words = (entry["id"], tree[above]["id"] if above else 0,
                 {"file": 1, "directory": 2, "symlink": 3, "other": 4}[entry["type"]],
                 entry.get("size", 0), nanoseconds(entry.get("mtime", ZERO_TIME)),
                 int(entry.get("mode", "0"), 8), siphash(TREE_KEY, name),
                 siphash(TREE_KEY, target) if target else 0)
        total += siphash(TREE_KEY, b"".join(struct.pack("<Q", word & WORD) for word in words))
    return total & WORD


# ---- speaking ----


class Server:
    def __init__(self, url, token):
        self.url = urllib.parse.urlsplit(url.rstrip("/"))
        self.token = token
        self.local = threading.local()  # a connection a thread, kept

    def connect(self):
        kind = http.client.HTTPSConnection if self.url.scheme == "https" else \
            http.client.HTTPConnection
        return kind(self.url.hostname, self.url.port, timeout=LIMIT_S)

    def ask(self, method, path, headers=(), body=None, token=None):
        """Returns the answer; its body is in `.text`."""
        headers = dict(headers)
        token = self.token if token is None else token
        if token:
            headers["Authorization"] = "Bearer " + token
        if method == "POST":
            headers["Content-Length"] = str(len(body or b""))
        for attempt in range(2):
            try:
                if getattr(self.local, "kept", None) is None:
                    self.local.kept = self.connect()
                return self.once(method, self.url.path + path, headers, body)
            except (http.client.HTTPException, ConnectionError):
                self.local.kept.close()  # a kept connection may have ended meanwhile
                self.local.kept = None
                if attempt:
                    raise
        raise AssertionError("not reached")

    def once(self, method, path, headers, body):
        kept = self.local.kept
        try:
            kept.request(method, path, body, headers)
        except BrokenPipeError:
            pass  # it answered before it had read all
        answer = kept.getresponse()
        answer.text = answer.read()
        if answer.will_close:
            kept.close()
            self.local.kept = None
        return answer


def put(item, key, value):
    """A name: plain when it is UTF-8, otherwise in base64."""
    try:
        item[key] = value.decode("utf-8")
    except UnicodeDecodeError:
        item[key + "_b64"] = base64.b64encode(value).decode()


def take(item, key):
    if key + "_b64" in item:
        return base64.b64decode(item[key + "_b64"], validate=True)
    return item[key].encode("utf-8") if key in item else None


def lines_of(rows):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def digest_of(body):
    return "sha-256=:%s:" % base64.b64encode(hashlib.sha256(body).digest()).decode()


def sum_text(value):
    return "%016x" % value


class Journal:
    """A client with one journal: what it sends, and the tree that this amounts to."""

    def __init__(self, server):
        self.server = server
        self.id = "conformance-" + os.urandom(8).hex()
        self.path = "/v1/journals/" + self.id
        self.epoch = int(time.time() * 1000)
        self.sums = {0: self.fresh_sum()}  # row -> sum, where a batch begins or ends
        self.seq = 0       # of the last row made
        self.sent = 0      # of the last row the server has
        self.tree = {}
        self.gen = 0

    @staticmethod
    def fresh_sum():
        return int.from_bytes(os.urandom(8), "big")

    # ---- rows ----

    def row(self, kind, path=None, **more):
        self.seq += 1
        row = {"seq": self.seq, "epoch": self.epoch, "time": "2026-11-23T08:00:00.456Z",
               "kind": kind, "folder": "docs"}
        if path is not None:
            put(row, "path", path)
        for key, value in more.items():
            if isinstance(value, bytes):
                put(row, key, value)
            else:
                row[key] = value
        return row

    def create(self, path, kind="file", **attrs):
        if kind == "file":
            attrs = {"size": 7, "mtime": "2026-11-23T07:59:59.000000001Z", "mode": "0644", **attrs}
        elif kind == "symlink":
            attrs = {"target": b"where/it/points", **attrs}
        else:
            attrs = {"mode": "0755", **attrs}
        row = self.row("create", path, type=kind, **attrs)
        row["id"] = row["seq"]
        self.tree[path] = {"type": kind, "id": row["id"], **attrs}
        return row

    def change(self, kind, path, **attrs):
        entry = self.tree[path]
        row = self.row(kind, path, type=entry["type"], id=entry["id"], **attrs)
        entry.update({key: value for key, value in attrs.items()
                      if key in ("size", "mtime", "mode", "target")})
        return row

    def below(self, path):
        return [name for name in self.tree if name == path or name.startswith(path + b"/")]

    def take_out(self, path):
        return {name[len(path):]: self.tree.pop(name) for name in self.below(path)}

    def put_in(self, path, what):
        self.tree.update({path + rest: entry for rest, entry in what.items()})

    def move(self, old, new, **more):
        entry = self.tree[old]
        what = self.take_out(old)
        if new in self.tree:
            more["other"] = self.tree.pop(new)["id"]
        if entry["type"] == "directory":
            more["entries"] = len(what) - 1
        self.put_in(new, what)
        return self.row("move", new, type=entry["type"], id=entry["id"], **{"from": old}, **more)

    def exchange(self, old, new):
        entry, other = self.tree[old], self.tree[new]
        one, two = self.take_out(old), self.take_out(new)
        self.put_in(new, one)
        self.put_in(old, two)
        return self.row("exchange", new, type=entry["type"], id=entry["id"], other=other["id"],
                        **{"from": old})

    def delete(self, path, **more):
        entry = self.tree[path]
        what = self.take_out(path)
        if entry["type"] == "directory":
            more["entries"] = len(what) - 1
        return self.row("delete", path, type=entry["type"], id=entry["id"], **more)

    # ---- requests ----

    def common(self, body, packed=False):
        headers = {"Content-Type": "application/x-ndjson", "Content-Digest": digest_of(body),
                   "Spoor-Journal": self.id, "Spoor-Folder": "docs",
                   "Spoor-Epoch": str(self.epoch)}
        if packed:
            headers["Content-Encoding"] = "gzip"
        return headers

    def batch(self, rows, first=None, last=None, packed=False, tree=False, **changed):
        """(headers, body) of a batch. `changed`: headers by name with _ for -; None: left out."""
        first = self.sent + 1 if first is None else first
        last = self.seq if last is None else last
        body = rows if isinstance(rows, bytes) else lines_of(rows)
        if packed:
            body = gzip.compress(body, 1)
        self.sums.setdefault(last, self.fresh_sum())
        headers = {**self.common(body, packed), "Spoor-First": str(first), "Spoor-Last": str(last),
                   "Idempotency-Key": '"%s-%d-%d-%d"' % (self.id, self.epoch, first, last),
                   "Spoor-Prev": sum_text(self.sums.get(first - 1, 0)),
                   "Spoor-Sum": sum_text(self.sums[last])}
        if tree:
            headers["Spoor-Tree"] = sum_text(tree_sum(self.tree))
        for name, value in changed.items():
            headers[name.replace("_", "-")] = value
        return {name: value for name, value in headers.items() if value is not None}, body

    def post(self, batch, what="/changes"):
        return self.server.ask("POST", self.path + what, *batch)

    def deliver(self, rows, **more):
        """A batch that must be taken."""
        answer = self.post(self.batch(rows, **more))
        demand(answer.status == 200, "a batch that follows was answered %d: %r", answer.status,
               answer.text[:200])
        self.sent = self.seq if more.get("last") is None else more["last"]
        self.stands(answer)
        return answer

    def stands(self, answer):
        """The answer's headers tell where the client stands."""
        found = tuple(answer.headers[name] for name in ("Spoor-Epoch", "Spoor-Acked", "Spoor-Sum",
                                                        "Spoor-Generation"))
        wanted = (str(self.epoch), str(self.sent), sum_text(self.sums[self.sent]), str(self.gen))
        demand(found == wanted, "the cursor is %s instead of %s", found, wanted)

    def cursor(self):
        return self.server.ask("GET", self.path + "/cursor")

    def refused(self, status, batch, what="/changes"):
        """It is answered so, and nothing is changed."""
        answer = self.post(batch, what)
        demand(answer.status == status, "answered %d instead of %d: %r", answer.status, status,
               answer.text[:200])
        if status == 409:
            self.stands(answer)
        self.unchanged()
        return answer

    def unchanged(self):
        answer = self.cursor()
        demand(answer.status == 200, "the cursor was answered %d", answer.status)
        self.stands(answer)

    def shown(self):
        """The server's tree; the order of its lines is looked at as well."""
        answer = self.server.ask("GET", self.path + "/tree")
        demand(answer.status == 200, "the tree was answered %d", answer.status)
        for line in answer.text.split(b"\n"):
            demand(not re.search(rb"[\0-\x1f\x7f]|\xc2[\x80-\x9f]", line),
                   "a control character in %r", line)
        paths, tree = [], {}
        for item in map(json.loads, answer.text.splitlines()):
            path = take(item, "path")
            kind = item["type"]
            entry = {"id": item["id"], "type": kind}
            if kind == "file":
                entry["size"], entry["mtime"] = item.get("size", 0), item.get("mtime", ZERO_TIME)
            if kind == "symlink":
                entry["target"] = take(item, "target")
            else:
                entry["mode"] = item.get("mode", "0000")
            paths.append(path.split(b"/"))
            tree[path] = entry
        demand(paths == sorted(paths), "the lines of the tree are not depth first by name")
        return tree

    def same(self, wanted=None):
        wanted = self.tree if wanted is None else wanted
        shown = self.shown()
        differences = [path for path in sorted(wanted.keys() | shown.keys())
                       if wanted.get(path) != shown.get(path)]
        demand(not differences, "the tree differs at %r: sent %s, shown %s",
               differences[:1], wanted.get(differences[0]) if differences else None,
               shown.get(differences[0]) if differences else None)

    # ---- snapshots ----

    def part(self, gen, number, rows):
        rows = [{**row, "snapshot": gen} for row in rows]
        body = lines_of(rows)
        return (self.common(body), body), "/snapshots/%d/parts/%d" % (gen, number)

    def commit(self, gen, parts, tree, **changed):
        headers = {"Spoor-Journal": self.id, "Spoor-Folder": "docs",
                   "Spoor-Epoch": str(self.epoch), "Spoor-Last": str(self.seq),
                   "Spoor-Sum": sum_text(self.sums.setdefault(self.seq, self.fresh_sum())),
                   "Spoor-Parts": str(parts), "Spoor-Count": str(len(tree)),
                   "Spoor-Tree": sum_text(tree_sum(tree))}
        headers.update({name.replace("_", "-"): value for name, value in changed.items()})
        return (headers, None), "/snapshots/%d/commit" % gen

    def taken(self, request, gen):
        answer = self.post(*request)
        demand(answer.status == 200, "answered %d: %r", answer.status, answer.text[:200])
        demand(answer.headers["Spoor-Generation"] == str(gen), "Spoor-Generation is %s",
               answer.headers["Spoor-Generation"])
        return answer
