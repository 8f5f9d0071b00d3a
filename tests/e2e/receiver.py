"""An HTTP endpoint for logs that behaves as it is told: takes what is posted, refuses it, or keeps
silent. What it was sent is kept, and whoever waits for something is woken by each request."""

import gzip
import http.server
import json
import threading

LIMIT_S = 60
DROP = object()  # an answer: the connection ends without one


class Request:
    def __init__(self, handler, body):
        self.path = handler.path
        self.headers = handler.headers
        self.packed = body
        self.body = gzip.decompress(body) if handler.headers.get("Content-Encoding") == "gzip" \
            else body

    def rows(self):
        if self.headers["Content-Type"] == "application/x-ndjson":
            return [json.loads(line) for line in self.body.splitlines()]
        return [event["data"] for event in json.loads(self.body)]


class Receiver(http.server.ThreadingHTTPServer):
    """`answer` says what becomes of a request: a status, DROP, or None to hang until let_go()."""

    daemon_threads = True

    def __init__(self, answer=lambda request: 204):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.requests = []  # all that came
        self.taken = []     # what was answered by a 2xx
        self.changed = threading.Condition()
        self.free = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # who asked has gone: tests kill clients

    def url(self, path="/"):
        return "http://127.0.0.1:%d%s" % (self.server_port, path)

    def let_go(self):
        self.free.set()

    def close(self):
        self.free.set()
        self.shutdown()
        self.server_close()

    def note(self, where, request):
        with self.changed:
            where.append(request)
            self.changed.notify_all()

    def wait(self, question):
        """Until `question` of what came is true; asked after each request."""
        with self.changed:
            return self.changed.wait_for(lambda: question(self), LIMIT_S)

    def rows(self):
        with self.changed:
            return [row for request in self.taken for row in request.rows()]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        server = self.server
        request = Request(self, self.rfile.read(int(self.headers["Content-Length"])))
        server.note(server.requests, request)
        status = server.answer(request)
        if status is None:
            server.free.wait(LIMIT_S)
            status = 503
        if status is DROP:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if status < 300:
            server.note(server.taken, request)
