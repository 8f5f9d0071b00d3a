"""TLS, credentials, proxies and the rest of the connection, against nginx before the collector."""

import base64
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spoor
from authority import Authority, openssl, write

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") or \
    os.path.join(os.path.dirname(os.path.abspath(__file__)),
                 "../../build/tools/nginx/usr/sbin/nginx")
LIMIT_S = 60

NGINX_CONFIG = """
{user}
worker_processes 1;
daemon off;
pid {top}/nginx.pid;
error_log {top}/nginx.log notice;
events {{ worker_connections 64; }}
http {{
  access_log {top}/access.log;
  log_format short '$server_protocol $request_method $status';
  access_log {top}/short.log short;
  client_body_temp_path {top}/body; proxy_temp_path {top}/proxy; fastcgi_temp_path {top}/fastcgi;
  uwsgi_temp_path {top}/uwsgi; scgi_temp_path {top}/scgi;
  client_max_body_size 100m;
  {servers}
}}
"""

TLS_SERVER = """
  server {{
    listen {listen};
    ssl_certificate {top}/{certificate}.pem;
    ssl_certificate_key {top}/{certificate}.key;
    {lines}
    location / {{ proxy_pass http://127.0.0.1:{collector}; {location} }}
  }}
"""


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Proxy(threading.Thread):
    """An HTTP proxy on loopback that asks for a password and tunnels or forwards one connection
    at a time; `seen` has the first line of each request."""

    def __init__(self, credentials):
        super().__init__(daemon=True)
        self.expected = b"Basic " + base64.b64encode(credentials.encode())
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.seen = []
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = client.recv(65536)
                if not piece:
                    return
                head += piece
            line = head.split(b"\r\n", 1)[0].decode()
            self.seen.append(line)
            if b"proxy-authorization: " + self.expected.lower() not in head.lower():
                client.sendall(b"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic realm=x\r\n"
                               b"Content-Length: 0\r\nConnection: close\r\n\r\n")
                return
            host, port = line.split()[1].rsplit(":", 1)
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                self.relay(client, server)

    @staticmethod
    def relay(client, server):
        while True:
            ready, _, _ = select.select([client, server], [], [], LIMIT_S)
            for source in ready:
                try:
                    piece = source.recv(65536)
                except OSError:
                    return
                if not piece:
                    return
                (server if source is client else client).sendall(piece)
            if not ready:
                return

    def close(self):
        self.listener.close()


@unittest.skipUnless(os.access(NGINX, os.X_OK), "nginx is not there")
class Network(spoor.Case):
    def setUp(self):
        super().setUp()
        self.s = self.make()
        self.s.server_start()
        self.top = self.s.top
        self.ca = Authority(self.top)
        self.ca.issue("good")
        self.nginx = None
        for variable in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            for name in (variable, variable.upper()):
                os.environ.pop(name, None)

    def tearDown(self):
        if self.nginx:
            self.nginx.send_signal(signal.SIGTERM)
            self.nginx.wait(LIMIT_S)
        super().tearDown()

    def serve(self, certificate="good", lines="", location="", listen=None):
        """nginx with one server; returns its https url."""
        port = free_port()
        server = TLS_SERVER.format(top=self.top, certificate=certificate, lines=lines,
                                   location=location, collector=self.s.settings["port"],
                                   listen=listen or "127.0.0.1:%d ssl http2" % port)
        write(self.top + "/nginx.conf", NGINX_CONFIG.format(
            top=self.top, servers=server, user="user root;" if os.geteuid() == 0 else ""))
        self.nginx = subprocess.Popen([NGINX, "-p", self.top, "-e", self.top + "/nginx.log", "-c",
                                       self.top + "/nginx.conf"], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if listen is None:
            spoor.until(lambda: listens(port), "nginx to listen")
        return "https://localhost:%d" % port

    def begin(self, url, lines):
        self.s.settings["url"] = url
        self.s.settings["upload_lines"] = lines
        self.s.start()
        write(self.s.folder + "/file", "content")
        self.s.sync()

    def ca_line(self, name="ca"):
        return "ca_file = %s/%s.pem\n" % (self.top, name)

    def delivered(self):
        self.s.check()

    def refused(self, word):
        """The upload says why, in which `word` stands, and the collector got nothing."""
        spoor.until(lambda: word.lower() in (self.s.upload().get("error") or "").lower(),
                    lambda: "%r: %s" % (word, self.s.upload()))
        self.assertEqual(self.posts("200"), [])
        self.assertEqual(self.s.store_files(), [])

    def posts(self, status=None):
        if not os.path.exists(self.top + "/short.log"):
            return []
        with open(self.top + "/short.log") as log:
            lines = [line.split() for line in log]
        return [line for line in lines if line[1] == "POST" and status in (None, line[2])]

    # ---- TLS ----

    def test_own_authority_and_http2(self):
        self.begin(self.serve(), self.ca_line())
        self.delivered()
        self.assertEqual({line[0] for line in self.posts()}, {"HTTP/2.0"})

    def test_unknown_authority(self):
        self.begin(self.serve(), self.ca_line("other-ca"))
        self.refused("certificate")

    def test_system_authorities_do_not_know_it(self):
        self.begin(self.serve(), "")
        self.refused("certificate")

    def test_wrong_host(self):
        self.ca.issue("elsewhere", host="elsewhere.example")
        self.begin(self.serve("elsewhere"), self.ca_line())
        self.refused("host name")

    def test_expired(self):
        self.ca.issue("old", days="-1")
        self.begin(self.serve("old"), self.ca_line())
        self.refused("expired")

    def test_client_certificate(self):
        self.ca.issue("client")
        url = self.serve(lines="ssl_client_certificate %s/ca.pem; ssl_verify_client on;"
                         % self.top)
        self.begin(url, self.ca_line() + "client_cert = %s/client.pem\nclient_key = %s/client.key\n"
                   % (self.top, self.top))
        self.delivered()

    def test_client_certificate_missing(self):
        url = self.serve(lines="ssl_client_certificate %s/ca.pem; ssl_verify_client on;"
                         % self.top)
        self.begin(url, self.ca_line())
        self.refused("certificate")

    def test_pinned_key(self):
        self.begin(self.serve(), self.ca_line() + "pinned_key = %s\n" % self.ca.pin("good"))
        self.delivered()

    def test_another_key_than_the_pinned(self):
        self.begin(self.serve(), self.ca_line() + "pinned_key = %s\n" % self.ca.pin("ca"))
        self.refused("pinned")

    # ---- credentials ----

    def test_basic_authentication(self):
        hashed = openssl("passwd", "-apr1", "open sesame").decode().strip()
        write(self.top + "/users", "ann:%s\n" % hashed)
        write(self.top + "/password", "open sesame\n", 0o600)
        url = self.serve(location="auth_basic x; auth_basic_user_file %s/users;" % self.top)
        self.begin(url, self.ca_line() + "user = ann\npassword_file = %s/password\n" % self.top)
        self.delivered()
        # A password that changes at both ends needs no restart.
        hashed = openssl("passwd", "-apr1", "another one").decode().strip()
        write(self.top + "/users", "ann:%s\n" % hashed)
        write(self.s.folder + "/second", "x")
        self.s.sync()
        spoor.until(lambda: self.s.upload().get("http_status") == 401, lambda: str(self.s.upload()))
        write(self.top + "/password", "another one\n", 0o600)
        self.delivered()
        self.assertNotIn("sesame", self.s.daemon.text())
        self.assertNotIn("another one", self.s.daemon.text())

    # ---- the way ----

    def test_proxy_with_password(self):
        proxy = Proxy("ann:open sesame")
        self.addCleanup(proxy.close)
        write(self.top + "/proxy-password", "open sesame", 0o600)
        self.begin(self.serve(), self.ca_line() + "proxy = http://127.0.0.1:%d\nproxy_user = ann\n"
                   "proxy_password_file = %s/proxy-password\n" % (proxy.port, self.top))
        self.delivered()
        self.assertTrue(all(line.startswith("CONNECT localhost:") for line in proxy.seen))
        self.assertTrue(proxy.seen)

    def test_proxy_refuses(self):
        proxy = Proxy("ann:open sesame")
        self.addCleanup(proxy.close)
        self.begin(self.serve(), self.ca_line() + "proxy = http://127.0.0.1:%d\n" % proxy.port)
        self.refused("407")

    def test_no_proxy(self):
        proxy = Proxy("ann:open sesame")
        self.addCleanup(proxy.close)
        self.begin(self.serve(), self.ca_line() +
                   "proxy = http://127.0.0.1:%d\nno_proxy = localhost\n" % proxy.port)
        self.delivered()
        self.assertEqual(proxy.seen, [])

    def test_unix_socket(self):
        path = self.top + "/nginx.sock"
        self.serve(listen="unix:%s ssl" % path)
        self.begin("https://localhost", self.ca_line() + "unix_socket = %s\n" % path)
        self.delivered()

    def redirecting(self, redirect, place):
        url = self.serve(lines="location ~ ^/old(/.*)$ { return 308 %s$1; }" % place)
        self.begin(url + "/old", self.ca_line() + "redirect = %s\n" % redirect)

    def test_redirect_to_the_same_host(self):
        self.redirecting("same-host", "https://localhost:$server_port")
        self.delivered()
        self.assertTrue(self.posts("308"))

    def test_redirect_elsewhere(self):
        self.redirecting("same-host", "https://127.0.0.1:$server_port")
        self.refused("308")

    def test_redirect_is_off(self):
        self.redirecting("off", "https://localhost:$server_port")
        self.refused("308")

    def test_active_hours(self):
        now = time.localtime()
        span = "%02d:00-%02d:00" % ((now.tm_hour + 2) % 24, (now.tm_hour + 3) % 24)
        self.begin(self.serve(), self.ca_line() + "active_hours = %s\n" % span)
        self.s.run("sync", "--uploaded", "--timeout", "500ms", code=4)
        self.assertEqual(self.s.upload()["state"], "waiting")
        self.assertEqual(self.posts(), [])
        self.s.stop()
        span = "%02d:00-%02d:00" % ((now.tm_hour - 1) % 24, (now.tm_hour + 2) % 24)
        self.s.settings["upload_lines"] = self.ca_line() + "active_hours = %s\n" % span
        self.s.daemon_start()
        self.delivered()

    def test_bandwidth(self):
        for i in range(3000):
            write("%s/a rather long name, so that there is something to send %04d %s"
                  % (self.s.folder, i, base64.b32encode(os.urandom(60)).decode()), "")
        began = time.monotonic()
        self.begin(self.serve(), self.ca_line() + "bandwidth = 128KiB\ncompression = 0\n")
        self.delivered()
        sent = self.s.upload()["sent_bytes"]
        self.assertGreater(sent, 512 << 10)
        self.assertGreater(time.monotonic() - began, 0.7 * sent / (128 << 10))


if __name__ == "__main__":
    spoor.main(__doc__)
