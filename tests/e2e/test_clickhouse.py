"""docs/clickhouse.md, run as it stands: table, upload, queries and fleet against ClickHouse servers of
our own on loopback, behind something that loses answers and kills daemons."""

import collections
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
import unittest
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import receiver
import spoor
from test_network import free_port, write

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
UNPACKED = os.path.join(TOP, "build/tools/clickhouse")
PROGRAM = shutil.which("clickhouse-server", path=os.environ.get("PATH", "") + ":/usr/sbin") or \
    os.path.join(UNPACKED, "usr/sbin/clickhouse-server")
LIMIT_S = 60
PASSWORD = "open sesame"

CONFIG = """<yandex>
<logger><level>warning</level><log>{top}/log</log><errorlog>{top}/errors</errorlog></logger>
<listen_host>127.0.0.1</listen_host>
<http_port>{http}</http_port><tcp_port>{tcp}</tcp_port>
<path>{top}/data/</path><tmp_path>{top}/tmp/</tmp_path>
<mark_cache_size>16777216</mark_cache_size>
<users_config>{top}/users.xml</users_config>
<default_profile>default</default_profile><default_database>default</default_database>
{more}
</yandex>
"""

USERS = """<yandex>
<profiles><default><max_threads>2</max_threads></default></profiles>
<quotas><default></default></quotas>
<users>{users}</users>
</yandex>
"""

USER = "<{name}><password>{password}</password><networks><ip>127.0.0.1</ip></networks>" \
    "<profile>default</profile><quota>default</quota></{name}>"


def page():
    """The blocks of code below each heading of the page: language and text, in order."""
    with open(os.path.join(TOP, "docs/clickhouse.md"), encoding="utf-8") as source:
        parts = re.split(r"^## (.*)\n", source.read(), flags=re.MULTILINE)
    return {title: re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
            for title, text in zip(parts[1::2], parts[2::2])}


class ClickHouse:
    """A server in a directory of its own."""

    def __init__(self, top, more="", ports=None):
        self.http, self.tcp = ports or (free_port(), free_port())
        os.mkdir(top)
        self.log = top + "/errors"
        write(top + "/config.xml", CONFIG.format(top=top, http=self.http, tcp=self.tcp, more=more))
        write(top + "/users.xml", USERS.format(users="".join((
            USER.format(name="default", password=""),
            USER.format(name="spoor", password=PASSWORD)))))
        environment = dict(os.environ)
        if PROGRAM.startswith(UNPACKED):
            environment["LD_LIBRARY_PATH"] = os.pathsep.join(
                (UNPACKED + "/usr/lib/" + name for name in os.listdir(UNPACKED + "/usr/lib")))
        self.process = subprocess.Popen(
            [PROGRAM, "--config-file=" + top + "/config.xml"], cwd=top, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        limit = time.monotonic() + LIMIT_S
        while not self.listens():
            if self.process.poll() is not None or time.monotonic() > limit:
                self.close()
                raise AssertionError("ClickHouse did not start: " + self.errors())
            time.sleep(0.05)  # nothing tells when it listens

    def errors(self):
        if not os.path.exists(self.log):
            return ""
        with open(self.log, errors="replace") as log:
            return log.read()[-4000:]

    def listens(self):
        try:
            return self.ask("SELECT 1") == [["1"]]
        except ConnectionError:
            return False

    def ask(self, query):
        """The lines of the answer, parted at tabs."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=LIMIT_S)
        try:
            connection.request("POST", "/", query.encode())
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != 200:
            raise AssertionError("%s\n%s" % (query, text))
        return [line.split("\t") for line in text.splitlines()]

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(LIMIT_S)


@unittest.skipUnless(os.access(PROGRAM, os.X_OK), "clickhouse-server is not there")
class Engine(spoor.Case):
    def setUp(self):
        super().setUp()
        self.page = page()
        self.s = self.make(settle="5ms", fold="off")
        self.password = os.path.join(self.s.top, "password")
        write(self.password, PASSWORD + "\n", 0o600)
        self.verdicts = iter(())  # what is done with an answer: forwarded when there is none

    # ---- what the page says ----

    def block(self, title, language, index=0):
        return [text for of, text in self.page[title] if of == language][index]

    def server(self, name="clickhouse", **more):
        one = ClickHouse(os.path.join(self.s.top, name), **more)
        self.addCleanup(one.close)
        return one

    def upload_by(self, title, index=0, more=""):
        """The page's section, its server replaced by our way to it."""
        text = self.block(title, "ini", index)
        self.assertIn("http://127.0.0.1:8123/", text)
        text = text.replace("http://127.0.0.1:8123/", self.way.url("/")) \
            .replace("/etc/spoor/clickhouse.password", self.password)
        text = re.sub(r"batch_delay = .*\n", "", text)
        self.s.settings["upload_lines"] = text + "batch_delay = 5ms\nretry_min = 10ms\n" \
            "retry_max = 100ms\nbatch_rows = 50\n" + more

    def forward_to(self, server):
        """A way to the server that may lose its answers."""
        def forward(request):
            connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=LIMIT_S)
            try:
                connection.request("POST", request.path, request.packed, dict(request.headers))
                answer = connection.getresponse()
                self.last_answer = answer.read().decode("utf-8", "replace")
            finally:
                connection.close()
            request.status = answer.status
            return next(self.verdicts, answer.status)

        self.way = receiver.Receiver(forward)
        self.addCleanup(self.way.close)

    # ---- what is there ----

    COLUMNS = ("epoch", "snapshot", "seq", "size", "id", "other", "entries", "partial", "replaced",
               "ignored", "kind", "type", "folder", "path", "path_b64", "from", "from_b64",
               "target", "target_b64", "mtime", "mode", "state", "reason")

    def assert_has(self, server, table="spoor", folder="docs"):
        """The table holds the journal's rows, every column of each, once."""
        wanted = []
        for row in self.s.objects("log", "--folder", folder, "--since", "1"):
            numbers = [int(row.get(name, 0)) for name in self.COLUMNS[:10]]
            texts = [row.get(name, "") for name in self.COLUMNS[10:]]
            wanted.append(numbers + texts + [row["time"][:19].replace("T", " ")])
        got = []
        names = ", ".join("`%s`" % name for name in self.COLUMNS)
        for line, in server.ask("SELECT %s, toString(time, 'UTC') AS at FROM %s FINAL WHERE folder "
                                "= '%s' ORDER BY journal, epoch, snapshot, seq FORMAT JSONEachRow"
                                % (names, table, folder)):
            row = json.loads(line)
            got.append([int(row[name]) for name in self.COLUMNS[:10]] +
                       [row[name] for name in self.COLUMNS[10:]] + [row["at"]])
        self.assertEqual(got, wanted)
        return len(wanted)

    def some_lost(self):
        """The first answer and three of ten others."""
        yield receiver.DROP
        while True:
            yield receiver.DROP if self.random.random() < 0.3 else 200

    def count(self, server, table="spoor"):
        return int(server.ask("SELECT count() FROM " + table)[0][0])

    # ---- tests ----

    def test_answers_are_lost(self):
        server = self.server()
        server.ask(self.block("The table", "sql"))
        self.forward_to(server)
        self.upload_by("The upload")
        self.verdicts = self.some_lost()
        self.s.start()
        mutator = spoor.Mutator(self.s.folder, self.random)
        for _ in range(spoor.scaled(20, 5)):
            mutator.steps(20)
            spoor.write(os.path.join(os.fsencode(self.s.folder), b"not \xff UTF-8"))
            self.s.sync()
        self.s.sync(uploaded=True)
        self.assertEqual({request.status for request in self.way.requests}, {200})
        self.assertEqual({request.headers["Content-Encoding"] for request in self.way.requests},
                         {"gzip"})
        twice = len(self.way.requests) - len({request.packed for request in self.way.requests})
        self.assertGreater(twice, 0)
        total = self.assert_has(server)
        whole = server.ask(self.block("Asking", "sql", 2))
        self.assertEqual([line[2:] for line in whole], [["1", str(total), "1"]])
        limit = time.monotonic() + LIMIT_S
        while self.count(server) != total and time.monotonic() < limit:
            server.ask("OPTIMIZE TABLE spoor FINAL")  # does nothing while another merge runs
        self.assertEqual(self.count(server), total, "made one for good by a merge")
        # The page's questions.
        rows = self.s.rows()
        deleted = [row for row in rows if row["kind"] == "delete"]
        answer = server.ask(self.block("Asking", "sql", 0))
        self.assertEqual(len(answer), min(20, len(deleted)))
        written = collections.Counter(row["path"] for row in rows if row["kind"] == "modify" and
                                      "path" in row)
        answer = server.ask(self.block("Asking", "sql", 1) + " FORMAT JSONEachRow")
        times = [(row["path"], int(row["times"]))
                 for row in map(json.loads, (line for line, in answer)) if row["path"]]
        self.assertEqual({path: count for path, count in times},
                         {path: written[path] for path, _ in times})
        self.assertEqual(times[0][1], max(written.values()))

    def test_killed_before_the_answer(self):
        """The server has the batch, the daemon does not know it."""
        server = self.server()
        server.ask(self.block("The table", "sql"))
        self.forward_to(server)
        self.upload_by("The upload")
        self.s.start()
        for round in range(spoor.scaled(5, 2)):
            self.s.sync(uploaded=True)
            self.verdicts = iter((None,))
            count = len(self.way.requests)
            for i in range(30):
                spoor.write("%s/%d-%d" % (self.s.folder, round, i))
            self.assertTrue(self.way.wait(lambda way: len(way.requests) > count))
            spoor.until(lambda: self.count(server), "the rows of the request that came")
            self.s.kill9()
            self.way.let_go()
            self.s.daemon_start()
        self.s.sync(uploaded=True)
        twice = len(self.way.requests) - len({request.packed for request in self.way.requests})
        self.assertGreater(twice, 0)
        self.assert_has(server)

    def test_no_table_yet(self):
        server = self.server()
        self.forward_to(server)
        self.upload_by("The upload")
        self.s.start()
        spoor.write(self.s.folder + "/file")
        self.s.wait_upload("paused", status=404, upload="clickhouse")
        server.ask(self.block("The table", "sql"))
        self.s.sync(uploaded=True)
        self.assert_has(server)

    def test_token(self):
        server = self.server()
        server.ask(self.block("The table", "sql"))
        known = server.ask("SELECT count() FROM system.settings WHERE name = "
                           "'insert_deduplication_token'") == [["1"]]
        self.forward_to(server)
        self.upload_by("The upload", 1)
        self.s.start()
        spoor.write(self.s.folder + "/file")
        if known:
            self.s.sync(uploaded=True)
            self.assert_has(server)
        else:
            self.s.wait_upload("paused", status=404, upload="clickhouse")
            self.assertIn("Unknown setting insert_deduplication_token", self.last_answer)
        request = self.way.requests[0]
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
        row = request.rows()[0]
        self.assertEqual(query["insert_deduplication_token"], ["%s-%d-%s-%s" % (
            row["journal"], row["epoch"], request.headers["Spoor-First"],
            request.headers["Spoor-Last"])])

    def test_fleet(self):
        """Two servers; a journal's rows are on one of them, also those that came twice."""
        ports = [(free_port(), free_port()) for _ in range(2)]
        shards = self.block("A fleet", "xml")
        for number, (_, tcp) in enumerate(ports, 1):
            place = "<host>clickhouse-%d.example.org</host><port>9000</port>" % number
            self.assertIn(place, shards)
            shards = shards.replace(place, "<host>127.0.0.1</host><port>%d</port>" % tcp)
        servers = [self.server("clickhouse-%d" % number, more=shards, ports=port)
                   for number, port in enumerate(ports, 1)]
        for server in servers:
            server.ask(self.block("The table", "sql"))
            server.ask(self.block("A fleet", "sql", 0))
        self.forward_to(servers[0])
        self.upload_by("A fleet")
        self.verdicts = self.some_lost()
        folders = ["docs"] + ["more%d" % i for i in range(9)]
        for name in folders[1:]:
            os.mkdir(os.path.join(self.s.top, name))
            self.s.settings["folder_lines"] += '[folder "%s"]\npath = %s/%s\nsettle = 5ms\n' % (
                name, self.s.top, name)
        self.s.start()
        for name in folders:
            for i in range(20):
                spoor.write("%s/%s/f%d" % (self.s.top, name, i))
        self.s.sync(uploaded=True)
        for name in folders:
            self.assert_has(servers[1], "spoor_all", name)
        held = [{journal for journal, in server.ask("SELECT DISTINCT journal FROM spoor")}
                for server in servers]
        self.assertEqual(len(held[0] | held[1]), len(folders))
        self.assertEqual(held[0] & held[1], set())
        # By chance of ids: all ten on one server once in 512 runs.
        answer = servers[1].ask(self.block("A fleet", "sql", 1))
        self.assertEqual({folder for folder, _, _ in answer}, set(folders))

    def test_every_block_is_run(self):
        """The tests above take what the page has: neither more nor less than this."""
        self.assertEqual({title: [language for language, _ in blocks]
                          for title, blocks in self.page.items() if blocks},
                         {"The table": ["sql"], "The upload": ["ini", "ini"],
                          "Asking": ["sql", "sql", "sql"],
                          "A fleet": ["xml", "sql", "ini", "sql"]})


if __name__ == "__main__":
    spoor.main(__doc__)
