"""A server of HTTP/1.1 on loopback that stands between the daemon and the collector and behaves as a
script says: it may pass a request on, answer itself, or end the connection at any moment.

It reads each request wholly before the script sees it. What it passes on it passes on one at a time,
and it keeps what the collector made of it: `applied` tells whether rows arrived once and in order.
"""

import http.client
import socket
import struct
import threading

LIMIT_S = 60
HEAD_MAX = 1 << 16


class Closed(Exception):
    """The connection is to end here."""


class Request:
    """One request of one connection. `turn` counts the requests of the connection, from 0."""

    def __init__(self, line, headers, connection, turn):
        self.method, self.path = line.split()[:2]
        self.headers = headers  # name in lower case -> value
        self.connection = connection
        self.turn = turn
        self.body = b""

    def number(self, name):
        text = self.headers.get(name)
        return int(text) if text is not None else None

    def range(self):
        return self.number("spoor-first"), self.number("spoor-last")


def answer(status, headers=(), body=b"", reason="x"):
    """The bytes of an answer."""
    lines = ["HTTP/1.1 %d %s" % (status, reason)]
    lines += ["%s: %s" % item for item in headers]
    if status >= 200 and not any(name.lower() in ("content-length", "transfer-encoding")
                                 for name, _ in headers):
        lines.append("Content-Length: %d" % len(body))
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Connection:
    """What a script does with the client's end."""

    def __init__(self, middle, client, number):
        self.middle = middle
        self.client = client
        self.number = number
        self.kept = b""  # read and not yet used

    def send(self, data):
        self.client.sendall(data)

    def close(self):
        raise Closed

    def reset(self):
        """Ends by RST instead of FIN."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Closed

    def read_request(self, turn):
        while b"\r\n\r\n" not in self.kept:
            self._more()
            if len(self.kept) > HEAD_MAX:
                raise Closed
        head, self.kept = self.kept.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip()
                   for name, value in (line.split(":", 1) for line in lines[1:])}
        request = Request(lines[0], headers, self.number, turn)
        early = self.middle.early
        if early is not None:
            early(self, request)
        length = int(headers.get("content-length", "0"))
        while len(self.kept) < length:
            self._more()
        request.body, self.kept = self.kept[:length], self.kept[length:]
        return request

    def _more(self):
        piece = self.client.recv(1 << 16)
        if not piece:
            raise Closed
        self.kept += piece


class Middle:
    """`script(connection, request)` answers one request; without one all is passed on."""

    def __init__(self, collector_port, script=None):
        self.collector_port = collector_port
        self.script = script
        self.early = None    # called when a request's head is there and not yet its body
        self.requests = []   # all, in the order they were read
        self.applied = []    # of posts the collector confirmed: (first, last, acked before, after)
        self.acked = 0       # what the collector said last
        self.faults = []     # of our own
        self.order = threading.Lock()
        self.changed = threading.Condition()
        self.upstream = None
        self.connections = set()
        self.number = 0
        self.port = 0
        self.listener = None
        self.open()

    def url(self):
        return "http://127.0.0.1:%d" % self.port

    # ---- life ----

    def open(self):
        """Listens, after a close at the same port."""
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def close(self):
        """Refuses connections from now on and ends those that are there."""
        self.listener.shutdown(socket.SHUT_RDWR)  # close alone would not end accept(2)
        self.listener.close()
        with self.changed:
            clients = list(self.connections)
            upstream, self.upstream = self.upstream, None
        if upstream:
            upstream.close()
        for client in clients:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended by itself

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.changed:
                self.number += 1
                number = self.number
                self.connections.add(client)
            threading.Thread(target=self._serve, args=(client, number), daemon=True).start()

    def _serve(self, client, number):
        connection = Connection(self, client, number)
        turn = 0
        try:
            with client:
                while True:
                    request = connection.read_request(turn)
                    turn += 1
                    with self.changed:
                        self.requests.append(request)
                        script = self.script
                        self.changed.notify_all()
                    (script or forward)(connection, request)
        except (Closed, OSError):
            pass  # either end may go at any time
        except Exception as fault:  # pylint: disable=broad-except
            self.faults.append(fault)
            raise
        finally:
            with self.changed:
                self.connections.discard(client)

    # ---- towards the collector ----

    def ask(self, request):
        """Passes a request on; returns (status, headers, body)."""
        with self.order:
            for attempt in range(2):
                if self.upstream is None:
                    self.upstream = http.client.HTTPConnection("127.0.0.1", self.collector_port,
                                                               timeout=LIMIT_S)
                    self.upstream.connect()
                    self.upstream.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    # One packet, as a body after its head waits for the other side's delayed ACK.
                    self.upstream.request(request.method, request.path, request.body or None,
                                          request.headers)
                    response = self.upstream.getresponse()
                    body = response.read()
                    break
                except (http.client.HTTPException, OSError):
                    self.upstream.close()
                    self.upstream = None
                    if attempt:
                        raise
            headers = [item for item in response.getheaders()
                       if item[0].lower() not in ("connection", "content-length", "date")]
            if request.method == "POST" and response.status == 200:
                before, self.acked = self.acked, int(response.headers["Spoor-Acked"])
                self.applied.append((*request.range(), before, self.acked))
            return response.status, headers, body

    # ---- what is looked at ----

    def wait(self, question, what):
        with self.changed:
            if not self.changed.wait_for(question, LIMIT_S):
                raise AssertionError("not in time: " + what)

    def posts(self):
        return [request for request in self.requests if request.method == "POST"]

    def check_order(self):
        """Each row arrived once and in order: what moved the collector on followed what was there,
        and nothing else moved it. Returns how many batches were applied, and how many came again."""
        if self.faults:
            raise self.faults[0]
        stands, fresh, again = 0, 0, 0
        for first, last, before, after in self.applied:
            assert before == stands, (before, stands)
            if after == before:
                assert last <= before, "confirmed and not applied: %d..%d" % (first, last)
                again += 1
            else:
                assert (first, last) == (before + 1, after), (first, last, before, after)
                fresh += 1
            stands = after
        return fresh, again


def forward(connection, request):
    connection.send(answer(*connection.middle.ask(request)))
