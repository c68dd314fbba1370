#!/usr/bin/env python3
"""The programs in examples/lua, in the runtime that HAWSER_LUA names: against nginx, curl, openssl, gnutls-cli, and by hand."""

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SOURCE = pathlib.Path(os.environ.get("HAWSER_SOURCE_ROOT", pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(SOURCE / "tests"))
sys.path.insert(0, str(SOURCE / "tests" / "examples"))
from peers_test import Nginx, end  # noqa: E402
from support import PATIENCE, Certificates, Server, answer_once, read_head, start_server, wait_until  # noqa: E402

RUNTIME = os.environ.get("HAWSER_LUA", "lua5.4")
PROGRAMS = SOURCE / "examples" / "lua"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def environment():
    """A sanitizer's runtime is for Lua, not for what runs this file."""
    made = dict(os.environ)
    if preload := made.pop("HAWSER_LUA_PRELOAD", ""):
        made["LD_PRELOAD"] = preload
    return made


def command(name, *arguments):
    return [RUNTIME, str(PROGRAMS / f"{name}.lua"), *map(str, arguments)]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.certs = Certificates()
        cls.addClassCleanup(cls.certs.scratch.cleanup)

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="hawser-lua-")
        self.addCleanup(scratch.cleanup)
        self.directory = pathlib.Path(scratch.name)

    def run_program(self, name, *arguments, **more):
        """Its status and what it said on stderr."""
        done = subprocess.run(command(name, *arguments), capture_output=True, text=True, timeout=PATIENCE, env=environment(), **more)
        self.check_report(done.stderr)
        return done.returncode, done.stderr

    def check_report(self, said):
        for word in ("Sanitizer", "runtime error", "stack traceback"):
            self.assertNotIn(word, said)

    def files(self):
        return {file.name: file.read_bytes() for file in self.directory.iterdir()}

    def start(self, name, *arguments):
        server, port = start_server(command(name, *arguments), env=environment())
        self.addCleanup(end, server)
        return server, port

    def stop(self, server):
        """Ends a server by SIGINT. What it has said on stderr."""
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=PATIENCE)
        self.check_report(said)
        self.assertEqual(server.returncode, 0, said)
        return said

    def connect(self, port, ca="ca.pem"):
        context = ssl.create_default_context(cafile=self.certs[ca])
        made = socket.create_connection(("127.0.0.1", port), PATIENCE)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made = context.wrap_socket(made, server_hostname="localhost", suppress_ragged_eofs=False)
        self.addCleanup(made.close)
        return made


class CommandLines(Case):
    def test_what_is_wrong_is_said(self):
        needed = {"fetch": ["http://localhost/"], "download": ["http://localhost/"],
                  "chat_server": ["--cert", self.certs["server.pem"], "--key", self.certs["server.key"]],
                  "reverse_proxy": ["--backend", "tcp://127.0.0.1:1"]}
        for name, arguments in needed.items():
            for wrong, word in (["--bogus"], "no option --bogus"), (["-x"], "no option -x"), ([*arguments, "--port", "x"], "--port"), ([], "needed|no URL"):
                with self.subTest(name, wrong=wrong):
                    status, said = self.run_program(name, *wrong)
                    self.assertEqual(status, 2, said)
                    self.assertRegex(said, word)
                    self.assertIn(f"usage: {name}.lua", said)
            done = subprocess.run(command(name, "--help"), capture_output=True, text=True, timeout=PATIENCE, env=environment())
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertTrue(done.stdout.startswith(f"usage: {name}.lua"), done.stdout)

    def test_numbers_and_values(self):
        for arguments, word in ((["--concurrency", "0"], "from 1"), (["--concurrency", "1.5"], "whole number"), (["--timeout", "soon"], "number"),
                                (["--input"], "needs a value"), (["--input", "/nowhere/list"], "No such file"), (["--cacert", "/nowhere/ca"], "ca")):
            status, said = self.run_program("download", *arguments, *([] if arguments == ["--input"] else ["http://localhost/"]), cwd=self.directory)
            self.assertEqual(status, 2, said)
            self.assertIn(word, said)

    def test_a_server_that_cannot_listen(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            for name, arguments in {"chat_server": ["--cert", self.certs["server.pem"], "--key", self.certs["server.key"]],
                                    "reverse_proxy": ["--backend", "tcp://127.0.0.1:1"]}.items():
                status, said = self.run_program(name, *arguments, "--port", port)
                self.assertEqual(status, 1, said)
                self.assertIn("in use", said)
        status, said = self.run_program("chat_server", "--cert", self.certs["server.pem"], "--key", self.certs["client.key"])
        self.assertEqual(status, 1, said)


class Pages(Case):
    """fetch.lua and download.lua, by turns where they promise the same."""

    def body(self, name, page="page"):
        """The file that one page came into, or None."""
        found = self.files()
        if name == "download":
            self.assertFalse([each for each in found if each.endswith(".part")])
            return found.get(page)
        whole = [each for each in found if each.endswith(".body")]
        return found[whole[0]] if whole else None

    def one(self, text, notify=True, context=None, arguments=()):
        """One answer for each of the programs: a list of name, status, stderr, the page, and all files."""
        results = []
        for name in ("fetch", "download"):
            shutil.rmtree(self.directory)
            more = ["--retries", "0"] if name == "download" else []
            scheme = "https" if context else "http"
            with Server(answer_once(text, notify), context) as server:
                status, said = self.run_program(name, "--cacert", self.certs["ca.pem"], "--output", self.directory, *more, *arguments,
                                                f"{scheme}://localhost:{server.port}/page")
            results.append((name, status, f"{name}, {scheme}, {text[:100]}: {said}", self.body(name), self.files()))
        return results

    def takes(self, text, body, notify=True):
        for context in (None, self.certs.context()):
            for _, status, said, got, _ in self.one(text, notify, context):
                self.assertEqual((status, got), (0, body), said)

    def refuses(self, text, *words, notify=True, contexts=None):
        for context in contexts or (None, self.certs.context()):
            for _, status, said, got, _ in self.one(text, notify, context):
                self.assertEqual((status, got), (1, None), said)
                for word in words:
                    self.assertIn(word, said)

    def test_bodies(self):
        self.takes(OK + b"Content-Length: 5\r\n\r\nhello", b"hello")
        self.takes(b"HTTP/1.1 200\r\ncontent-LENGTH:5 \r\n\r\nhello and more", b"hello")
        self.takes(OK + b"Content-Length: 5\r\n\r\nhello", b"hello", notify=False)
        self.takes(OK + b"Content-Length: 0\r\n\r\n", b"")
        self.takes(b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello")
        self.takes(b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok", b"ok")
        self.takes(CHUNKED + b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nExpires: never\r\n\r\n", b"hello world")
        large = bytes(range(256)) * 4096
        self.takes(CHUNKED + b"%x\r\n" % len(large) + large + b"\r\n0\r\n\r\n", large)

    def test_cut_short(self):
        self.refuses(OK + b"Content-Length: 50\r\n\r\nhello", "45 bytes before the end of the body")
        for part in (b"", b"5", b"5\r\nhel", b"5\r\nhello", b"5\r\nhello\r\n", b"5\r\nhello\r\n0\r\n"):
            self.refuses(CHUNKED + part, "ended the stream")
        self.refuses(OK[:10], "header")
        self.refuses(b"", "before its answer was complete")
        # Without a length, only a close_notify tells the end.
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.refuses(b"HTTP/1.0 200 OK\r\n\r\nhello", "in the body", notify=False, contexts=[self.certs.context(version=version)])

    def test_a_part_is_kept_by_fetch_as_such(self):
        for name, status, _, _, files in self.one(OK + b"Content-Length: 50\r\n\r\nhello"):
            parts = {each: text for each, text in files.items() if each.endswith(".part")}
            self.assertEqual(list(parts.values()), [b"hello"] if name == "fetch" else [])
            self.assertEqual(status, 1)

    def test_malformed(self):
        plain = [None]
        self.refuses(b"no HTTP\r\n\r\n", "no HTTP/1.1", contexts=plain)
        self.refuses(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "Content-Length", contexts=plain)
        self.refuses(OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "both", contexts=plain)
        self.refuses(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "gzip, chunked", contexts=plain)
        self.refuses(OK + b"Na me: x\r\n\r\n", "no header field", contexts=plain)
        for size in (b"x", b"-5", b"5x", b"", b"10000000000000000"):
            self.refuses(CHUNKED + size + b"\r\nhello\r\n0\r\n\r\n", "chunk size", contexts=plain)
        self.refuses(CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n", "longer than its size", contexts=plain)
        self.refuses(CHUNKED + b"5;" + b"a" * 10000 + b"\r\nhello", "limit", contexts=plain)

    def test_other_answers(self):
        moved = b"HTTP/1.1 301 Moved Permanently\r\nLocation: http://elsewhere/\r\nContent-Length: 4\r\n\r\ngone"
        for name, status, said, got, _ in self.one(moved):
            self.assertEqual((status, got), (1, b"gone" if name == "fetch" else None))
            self.assertIn("301 Moved Permanently: it has moved to http://elsewhere/", said)

    def test_whom_it_talks_to(self):
        answer = OK + b"Content-Length: 5\r\n\r\nhello"
        self.refuses(answer, "verif", contexts=[self.certs.context("self-signed")])
        self.refuses(answer, "expired", contexts=[self.certs.context("expired")])
        self.refuses(answer, "name", contexts=[self.certs.context("wrong-name")])
        for _, status, said, got, _ in self.one(answer, context=self.certs.context(), arguments=["--cacert", self.certs["other-ca.pem"]]):
            self.assertEqual((status, got), (1, None))
            self.assertIn("certificate verification failed", said)

    def test_nobody_there(self):
        port = free_port()
        for name in ("fetch", "download"):
            status, said = self.run_program(name, "--output", self.directory, f"http://127.0.0.1:{port}/page", "ftp://x/", "http://u:p@localhost/")
            self.assertEqual((status, self.files()), (1, {}))
            self.assertIn("Connection refused", said)
            self.assertIn("ftp", said)
            self.assertIn("passwords", said)
            self.assertIn(" 3 failed", said)

    def test_timeout(self):
        done = threading.Event()
        self.addCleanup(done.set)
        with Server(lambda connection: done.wait(PATIENCE)) as server:
            for name in ("fetch", "download"):
                more = ["--retries", "0"] if name == "download" else []
                status, said = self.run_program(name, "--timeout", "0.2", "--output", self.directory, *more, f"http://127.0.0.1:{server.port}/page")
                self.assertEqual(status, 1)
                self.assertIn("more than 0.2 seconds", said)
            done.set()

    def test_download_tries_again(self):
        answers = [b"", b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", OK + b"Content-Length: 5\r\n\r\nhello"]

        def script(connection):
            read_head(connection)
            connection.sendall(answers.pop(0))

        with Server(script) as server:
            url = f"http://127.0.0.1:{server.port}/page"
            status, said = self.run_program("download", "--output", self.directory, url)
            self.assertEqual((status, self.files(), server.accepted), (0, {"page": b"hello"}, 3), said)
            answers.append(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            status, said = self.run_program("download", "--output", self.directory, url)
            self.assertEqual((status, server.accepted), (1, 4), said)

    def test_concurrency_is_limited(self):
        lock, state = threading.Lock(), {"now": 0, "most": 0}

        def script(connection):
            with lock:
                state["now"] += 1
                state["most"] = max(state["most"], state["now"])
            read_head(connection)
            time.sleep(0.02)
            with lock:
                state["now"] -= 1
            connection.sendall(OK + b"Content-Length: 1\r\n\r\nx")

        for name in ("fetch", "download"):
            with Server(script) as server:
                state.update(now=0, most=0)
                urls = [f"http://127.0.0.1:{server.port}/{i}" for i in range(20)]
                status, said = self.run_program(name, "--concurrency", "3", "--output", self.directory, *urls)
                self.assertEqual(status, 0, said)
                self.assertIn(" 20 ", said)
                self.assertLessEqual(state["most"], 3)
                self.assertGreater(state["most"], 1)

    def test_names(self):
        with Server(answer_once(OK + b"Content-Length: 1\r\n\r\nx")) as server:
            base = f"http://127.0.0.1:{server.port}"
            urls = self.directory / "urls"
            output = self.directory / "a'b" / "deep"
            urls.write_text(f"# a comment\n\n  {base}/\n{base}/d/page?x=1\r\n{base}/page\n{base}/a%20b\n{base}/%2e%2e%2fx\n")
            status, said = self.run_program("download", "--input", urls, "--output", output)
            self.assertEqual((status, sorted(each.name for each in output.iterdir())), (1, ["a b", "index.html", "page", "page.2"]), said)
            self.assertIn("names no file", said)
            with open(urls) as given:
                status, said = self.run_program("fetch", "--input", "-", "--output", output / "f", stdin=given)
            host = f"127.0.0.1_{server.port}"
            self.assertEqual((status, sorted(each.name for each in (output / "f").glob("*.body"))),
                             (0, sorted(f"{host}{tail}.body" for tail in ("", "_d_page", "_page", "_a_20b", "__2e_2e_2fx"))), said)

    def test_progress(self):
        with Server(answer_once(OK + b"Content-Length: 1\r\n\r\nx")) as server:
            urls = [f"http://127.0.0.1:{server.port}/{i}" for i in range(20)]
            _, said = self.run_program("download", "--output", self.directory, *urls)
            self.assertEqual(len(re.findall(r"^\d+ of 20 files, [\d.]+ MiB, [\d.]+ MiB/s$", said, re.MULTILINE)), 10, said)
            self.assertNotIn("\r", said)

        asked, go = threading.Semaphore(0), threading.Event()
        self.addCleanup(go.set)

        def script(connection):
            read_head(connection)
            asked.release()
            go.wait(PATIENCE)
            connection.sendall(OK + b"Content-Length: 1\r\n\r\nx")

        with Server(script) as server:
            near, far = os.openpty()
            process = subprocess.Popen(command("download", "--output", self.directory, f"http://127.0.0.1:{server.port}/x"),
                                       stderr=far, env=environment())
            os.close(far)
            self.addCleanup(end, process)
            asked.acquire(timeout=PATIENCE)
            seen = os.read(near, 4096)  # the line moves while the server is silent
            go.set()
            with contextlib.suppress(OSError):
                while piece := os.read(near, 4096):
                    seen += piece
            os.close(near)
            self.assertEqual(process.wait(PATIENCE), 0)
            self.assertIn(b"\r0 of 1 files", seen)
            self.assertIn(b"downloaded 1 files, 1 bytes", seen)

    def test_interrupted(self):
        asked, go = threading.Semaphore(0), threading.Event()
        self.addCleanup(go.set)

        def script(connection):
            read_head(connection)
            connection.sendall(OK + b"Content-Length: 5\r\n\r\nhel")
            asked.release()
            go.wait(PATIENCE)

        # On a terminal, where a timer makes Lua look for signals.
        with Server(script) as server:
            near, far = os.openpty()
            urls = [f"http://127.0.0.1:{server.port}/{name}" for name in "xy"]
            process = subprocess.Popen(command("download", "--output", self.directory, *urls), stderr=far, env=environment())
            os.close(far)
            self.addCleanup(end, process)
            for _ in urls:
                asked.acquire(timeout=PATIENCE)
            process.send_signal(signal.SIGINT)
            seen = b""
            with contextlib.suppress(OSError):
                while piece := os.read(near, 4096):
                    seen += piece
            os.close(near)
            self.assertEqual(process.wait(PATIENCE), 130, seen)
            self.assertIn(b"interrupted with 2 to go", seen)
            self.assertEqual(self.files(), {})
            go.set()


class WithNginx(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not shutil.which("nginx"):
            raise unittest.SkipTest("needs nginx")
        cls.site = cls.certs.directory / "site"
        cls.site.mkdir()
        cls.contents = {f"page-{i}": os.urandom(1 + i * i * 400) for i in range(40)}
        for name, content in cls.contents.items():
            (cls.site / name).write_bytes(content)
        cls.nginx = Nginx(cls.certs, cls.site, {"tls13": ("server", "TLSv1.3"), "tls12": ("server", "TLSv1.2"), "expired": ("expired", "TLSv1.3")})
        cls.addClassCleanup(cls.nginx.stop)

    def urls(self, port):
        urls = self.directory / "urls"
        urls.write_text("".join(f"https://localhost:{port}/{name}\n" for name in self.contents))
        return urls

    def test_download(self):
        for version in ("tls13", "tls12"):
            output = self.directory / version
            status, said = self.run_program("download", "--cacert", self.certs["ca.pem"], "--output", output, "--input", self.urls(self.nginx.ports[version]))
            self.assertEqual(status, 0, said)
            self.assertEqual({each.name: each.read_bytes() for each in output.iterdir()}, self.contents)

    def test_fetch(self):
        output = self.directory / "out"
        port = self.nginx.ports["tls13"]
        status, said = self.run_program("fetch", "--cacert", self.certs["ca.pem"], "--output", output, "--input", self.urls(port))
        self.assertEqual(status, 0, said)
        for name, content in self.contents.items():
            self.assertEqual((output / f"localhost_{port}_{name}.body").read_bytes(), content)
            self.assertTrue((output / f"localhost_{port}_{name}.header").read_bytes().startswith(OK))
        status, said = self.run_program("fetch", "--cacert", self.certs["ca.pem"], "--output", output, f"https://localhost:{port}/nothing")
        self.assertEqual(status, 1)
        self.assertIn("404 Not Found", said)

    def curl(self, port, name, scheme="https", *arguments):
        done = subprocess.run(["curl", "-s", "--max-time", str(PATIENCE), "--cacert", self.certs["ca.pem"], *arguments,
                               f"{scheme}://localhost:{port}/{name}"], capture_output=True)
        return done.returncode, done.stdout

    def test_curl_through_the_proxy(self):
        page = "page-39"
        tls = ["--cert", self.certs["server.pem"], "--key", self.certs["server.key"]]
        back = f"127.0.0.1:{self.nginx.ports['tls13']}"
        for what, arguments, scheme in (("TLS in front and behind", [*tls, "--cacert", self.certs["ca.pem"], "--backend", f"tls://{back}"], "https"),
                                        ("TLS behind", ["--cacert", self.certs["ca.pem"], "--backend", f"tls://{back}"], "http"),
                                        ("TLS handed through", ["--backend", f"tcp://{back}"], "https")):
            with self.subTest(what):
                server, port = self.start("reverse_proxy", "--backend", f"tcp://127.0.0.1:{free_port()}", *arguments)
                # Whichever is the turn's first, the refused one is passed over.
                for _ in range(2):
                    self.assertEqual(self.curl(port, page, scheme), (0, self.contents[page]))
                self.assertIn("Connection refused", self.stop(server))

    def test_back_ends_that_are_not_trusted(self):
        back = f"tls://127.0.0.1:{self.nginx.ports['expired']}"
        server, port = self.start("reverse_proxy", "--cacert", self.certs["ca.pem"], "--backend", back)
        status, got = self.curl(port, "page-3", "http")
        self.assertNotEqual(status, 0)
        self.assertEqual(got, b"")
        self.assertIn("expired", self.stop(server))


class Proxy(Case):
    def proxy(self, back, *arguments):
        return self.start("reverse_proxy", "--backend", f"tcp://127.0.0.1:{back.port}", *arguments)

    def test_half_close(self):
        def script(connection):
            digest = hashlib.sha256()
            while piece := connection.recv(65536):
                digest.update(piece)
            connection.sendall(digest.hexdigest().encode())

        sent = os.urandom(3 << 20)
        with Server(script) as back:
            server, port = self.proxy(back)
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as line:
                line.sendall(sent)
                line.shutdown(socket.SHUT_WR)
                got = b""
                while piece := line.recv(65536):
                    got += piece
            self.assertEqual(got.decode(), hashlib.sha256(sent).hexdigest())
            self.stop(server)

    def test_what_is_cut_stays_cut(self):
        def script(connection):
            connection.recv(1)
            connection.sendall(b"a part")

        with Server(script, self.certs.context()) as back:  # without a close_notify
            server, port = self.start("reverse_proxy", "--cacert", self.certs["ca.pem"], "--backend", f"tls://127.0.0.1:{back.port}",
                                      "--cert", self.certs["server.pem"], "--key", self.certs["server.key"])
            line = self.connect(port)
            line.sendall(b"x")
            self.assertEqual(line.recv(100), b"a part")
            self.assertRaises((ssl.SSLEOFError, ConnectionResetError), line.recv, 100)
            self.assertIn("127.0.0.1", self.stop(server))

    def test_idle(self):
        with Server(lambda connection: connection.recv(1)) as back:
            server, port = self.proxy(back, "--idle-timeout", "0.2")
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as line, contextlib.suppress(ConnectionResetError):
                self.assertEqual(line.recv(1), b"")
            self.assertIn("nothing came for 0.2 seconds", self.stop(server))

    def test_more_connections_than_allowed_wait(self):
        with Server(lambda connection: connection.sendall(connection.recv(1))) as back:
            server, port = self.proxy(back, "--max-connections", "1")
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as first, socket.create_connection(("127.0.0.1", port), PATIENCE) as second:
                second.sendall(b"2")
                wait_until(lambda: back.accepted == 1, "the first is handed through")
                first.sendall(b"1")
                self.assertEqual((first.recv(10), first.recv(10)), (b"1", b""))
                first.close()
                self.assertEqual(second.recv(10), b"2")
            self.assertEqual(back.accepted, 2)
            self.stop(server)

    def test_no_back_end(self):
        server, port = self.start("reverse_proxy", "--backend", f"tcp://127.0.0.1:{free_port()}", "--backend", f"tcp://127.0.0.1:{free_port()}")
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as line, contextlib.suppress(ConnectionResetError):
            self.assertEqual(line.recv(1), b"")
        self.assertEqual(self.stop(server).count("Connection refused"), 2)

    def test_a_handshake_that_fails(self):
        server, port = self.start("reverse_proxy", "--backend", "tcp://127.0.0.1:1", "--cert", self.certs["server.pem"], "--key", self.certs["server.key"])
        self.assertRaises(ssl.SSLError, self.connect, port, "other-ca.pem")
        self.assertIn("127.0.0.1", self.stop(server))


class Client:
    """A chat client by Python's ssl."""

    def __init__(self, line, name=None):
        self.line = line
        self.file = line.makefile("r")
        assert self.read() == "* your name?"
        if name:
            self.say(name)
            assert self.read() == f"* welcome, {name}"

    def say(self, text):
        self.line.sendall((text + "\n").encode())

    def read(self):
        return self.file.readline().rstrip("\n")


class Chat(Case):
    def chat(self, *arguments):
        return self.start("chat_server", "--cert", self.certs["server.pem"], "--key", self.certs["server.key"], *arguments)

    def join(self, port, name=None):
        return Client(self.connect(port), name)

    def test_a_talk(self):
        server, port = self.chat()
        ann = self.join(port, "ann")
        bob = self.join(port)
        for name, answer in (("ann", "* that name is taken"), ("a b", "* up to 20 letters"), ("x" * 21, "* up to 20 letters"), ("bob", "* welcome, bob")):
            bob.say(name)
            self.assertTrue(bob.read().startswith(answer))
        self.assertEqual(ann.read(), "* bob is here")
        ann.say("hello\tthere")
        self.assertEqual(bob.read(), "ann: hello?there")
        ann.say("/who")
        self.assertEqual(ann.read(), "* here: ann bob")
        ann.say("/nonsense")
        self.assertEqual(ann.read(), "* there are /who and /quit")
        bob.say("/quit")
        self.assertEqual((bob.read(), bob.read()), ("* goodbye", ""))
        self.assertEqual(ann.read(), "* bob left")
        # A line without an end is no way to fill the server's memory.
        ann.line.sendall(b"x" * 5000)
        with contextlib.suppress(ssl.SSLError, OSError):
            self.assertEqual(ann.read(), "")
        self.assertNotIn("failed", self.stop(server))

    def test_a_stop_is_a_proper_end(self):
        server, port = self.chat()
        ann = self.join(port, "ann")
        self.stop(server)
        self.assertEqual(ann.read(), "")  # by a close_notify: an end without is an SSLEOFError

    def test_a_slow_client_is_dropped_and_blocks_nobody(self):
        server, port = self.chat("--queue", "4")
        ann, slow, bob = self.join(port, "ann"), self.join(port, "slow"), self.join(port, "bob")
        self.assertEqual((ann.read(), ann.read()), ("* slow is here", "* bob is here"))
        text = "x" * 1000
        for _ in range(40000):
            bob.say(text)
            got = ann.read()
            if got != f"bob: {text}":
                break
        self.assertEqual(got, "* slow fell behind")
        bob.say("/who")
        while (got := bob.read()) != "* here: ann bob":
            self.assertEqual(got, "* slow fell behind")
        # What it is sent ends without a proper end.
        with self.assertRaises((ssl.SSLError, ConnectionResetError)):
            while slow.line.recv(65536):
                pass
        self.stop(server)

    def test_openssl_and_gnutls(self):
        server, port = self.chat()
        ann = self.join(port, "ann")
        tools = {"openssl": ["openssl", "s_client", "-quiet", "-verify_return_error", "-CAfile", self.certs["ca.pem"], "-servername", "localhost",
                             "-connect", f"127.0.0.1:{port}"],
                 "gnutls-cli": ["gnutls-cli", "--logfile=/dev/null", "--x509cafile", self.certs["ca.pem"], "-p", str(port), "localhost"]}
        for tool, arguments in tools.items():
            if not shutil.which(tool):
                continue
            with self.subTest(tool):
                name = tool[:3]
                process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                self.addCleanup(end, process)
                process.stdin.write(f"{name}\n")
                process.stdin.flush()
                self.assertEqual(ann.read(), f"* {name} is here")
                ann.say("hello")
                process.stdin.write("hi\n")
                process.stdin.flush()
                self.assertEqual(ann.read(), f"{name}: hi")
                process.stdin.write("/quit\n")
                process.stdin.flush()
                out = process.stdout.read()
                for line in ("* your name?", f"* welcome, {name}", "ann: hello", "* goodbye"):
                    self.assertIn(line, out)
                self.assertEqual(ann.read(), f"* {name} left")
        self.stop(server)

    def test_who_does_not_trust_it_stays_out(self):
        server, port = self.chat()
        self.assertRaises(ssl.SSLCertVerificationError, self.connect, port, "other-ca.pem")
        ann = self.join(port, "ann")
        ann.say("/who")
        self.assertEqual(ann.read(), "* here: ann")
        self.stop(server)


if __name__ == "__main__":
    unittest.main()
