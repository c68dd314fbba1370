#!/usr/bin/env python3
"""examples/fetch against scripted servers: what it takes for a page, and what it says of everything else."""

import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import PATIENCE, Certificates, Server, answer_once, program, read_head, reset, wait_until  # noqa: E402

SUMMARY = re.compile(r"^fetched (\d+) pages, (\d+) bytes, \d+\.\d\d s, (\d+) failed$", re.MULTILINE)


class Fetch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.certs = Certificates()
        cls.addClassCleanup(cls.certs.scratch.cleanup)

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="hawser-fetch-")
        self.addCleanup(scratch.cleanup)
        self.directory = pathlib.Path(scratch.name)

    def fetch(self, *arguments, **more):
        """Gives the pages by file name, stderr, and the exit status."""
        trust = [] if "--cacert" in arguments else ["--cacert", self.certs["ca.pem"]]
        done = subprocess.run(
            [program("fetch"), *trust, "--output", str(self.directory), *arguments],
            capture_output=True, text=True, timeout=PATIENCE, **more,
        )
        self.assertNotIn("Sanitizer", done.stderr)
        self.assertNotIn("runtime error", done.stderr)
        return {file.name: file.read_bytes() for file in self.directory.iterdir()}, done.stderr, done.returncode

    def refused(self, arguments, *words):
        """A fetch that fails, says these words, and leaves no file."""
        pages, said, status = self.fetch(*arguments)
        self.assertEqual((pages, status), ({}, 1), said)
        for word in words:
            self.assertIn(word, said)
        self.assertEqual(SUMMARY.search(said).group(1, 3), ("0", "1"))

    def takes(self, text, body, notify=True):
        """One answer is taken for the page `body`, over http and https."""
        for context in (None, self.certs.context()):
            with self.subTest(tls=context is not None), Server(answer_once(text, notify), context) as server:
                scheme = "https" if context else "http"
                pages, said, status = self.fetch(f"{scheme}://localhost:{server.port}/page")
                self.assertEqual((pages, status), ({"page": body}, 0), said)

    def refuses(self, text, *words, notify=True):
        for context in (None, self.certs.context()):
            with self.subTest(tls=context is not None), Server(answer_once(text, notify), context) as server:
                scheme = "https" if context else "http"
                self.refused([f"{scheme}://localhost:{server.port}/page"], "localhost", *words)

    # What is a page.

    def test_content_length(self):
        self.takes(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello")
        self.takes(b"HTTP/1.1 200 OK\r\ncontent-LENGTH:5  \r\n\r\nhello and more", b"hello")
        self.takes(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"")
        # The length says where the end is, so nothing is missing.
        self.takes(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", notify=False)

    def test_chunked(self):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
        self.takes(head + b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\n\r\n", b"hello world")
        self.takes(head + b"0005\r\nhello\r\n0\r\nExpires: never\r\n\r\n", b"hello")
        self.takes(head + b"1A\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n", b"x" * 26)

    def test_until_close(self):
        self.takes(b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello")
        self.takes(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", b"hello")

    def test_interim_answers_are_skipped(self):
        self.takes(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                   b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok")

    def test_large_page(self):
        body = bytes(range(256)) * 40960
        self.takes(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body, body)

    # What is none.

    def test_body_cut_short(self):
        self.refuses(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", "45 bytes before the end of the body")
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for end in (b"", b"5", b"5\r\nhel", b"5\r\nhello", b"5\r\nhello\r\n", b"5\r\nhello\r\n0\r\n"):
            self.refuses(chunked + end, "ended the stream early")
        self.refuses(b"HTTP/1.1 200 OK\r\nContent-Len", "ended the stream early")
        self.refuses(b"", "ended the stream early")

    def test_tls_without_close_notify_is_truncated(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for text in (b"HTTP/1.0 200 OK\r\n\r\nhello", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"):
                with Server(answer_once(text, notify=False), self.certs.context(version=version)) as server:
                    self.refused([f"https://localhost:{server.port}/page"], "localhost", "truncated")

    def test_reset_in_mid_body(self):
        def script(connection):
            read_head(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello")
            time.sleep(0.2)
            reset(connection)

        for context in (None, self.certs.context()):
            with Server(script, context) as server:
                scheme = "https" if context else "http"
                self.refused([f"{scheme}://localhost:{server.port}/page"], "localhost", "reset by peer")

    def test_what_can_be_taken_in_two_ways_is_refused(self):
        ok = b"HTTP/1.1 200 OK\r\n"
        for fields in (b"Content-Length: 5\r\nContent-Length: 6\r\n", b"Content-Length: 5\r\nContent-Length: 5\r\n",
                       b"Content-Length: 5, 5\r\n", b"Content-Length: -5\r\n", b"Content-Length: +5\r\n",
                       b"Content-Length: 0x5\r\n", b"Content-Length: 99999999999999999999\r\n", b"Content-Length:\r\n"):
            self.refuses(ok + fields + b"\r\nhello", "Content-Length")
        self.refuses(ok + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding")
        self.refuses(ok + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding")
        for fields in (b"Name\r\n", b"Na me: x\r\n", b"Name : x\r\n", b": x\r\n", b"A: b\r\n folded\r\n", b"A: b\0c\r\n"):
            self.refuses(ok + fields + b"\r\nhello", "header field")

    def test_malformed_chunks(self):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for size in (b"", b"x", b"0x5", b"-5", b"+5", b" 5", b"5 5", b"5x", b"10000000000000000", b";a=b"):
            self.refuses(head + size + b"\r\nhello\r\n0\r\n\r\n", "chunk size")
        self.refuses(head + b"5\r\nhello!\r\n0\r\n\r\n", "longer than its size")
        self.refuses(head + b"5;" + b"a" * 10000 + b"\r\nhello\r\n0\r\n\r\n", "chunk size")
        self.refuses(head + b"0\r\n" + b"A: b\r\n" * 1000 + b"\r\n", "too many header fields")

    def test_limits(self):
        ok = b"HTTP/1.1 200 OK\r\n"
        self.refuses(ok + b"A: b\r\n" * 1000 + b"\r\n", "too many header fields")
        self.refuses(ok + b"A: " + b"b" * 100000 + b"\r\n\r\n", "too large")
        self.refuses(b"HTTP/1.1 100 Continue\r\n\r\n" * 10000, "too large")

    def test_what_is_no_http(self):
        for text in (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 99 x\r\n\r\n", b"HTTP/1.1 2000 x\r\n\r\n",
                     b"HTTP/1.1200 OK\r\n\r\n", b"\r\n\r\n"):
            self.refuses(text, "not HTTP/1.1")

    def test_statuses(self):
        self.refuses(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", "answered 404 Not Found")
        self.refuses(b"HTTP/1.1 204 No Content\r\n\r\n", "answered 204")
        self.refuses(b"HTTP/1.1 301 Moved\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", "301 Moved", "/other", "not followed")

    # Whom it talks to.

    def test_certificates_that_are_refused(self):
        script = answer_once(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        for name, word in (("wrong-name", "not present in server certificate"), ("expired", "certificate has expired"),
                           ("self-signed", "self")):
            with self.subTest(name), Server(script, self.certs.context(name)) as server:
                self.refused([f"https://localhost:{server.port}/"], "localhost", "127.0.0.1", word)
        with Server(script, self.certs.context()) as server:
            self.refused([f"https://localhost:{server.port}/", "--cacert", self.certs["other-ca.pem"]],
                         "localhost", "unable to get")

    def test_no_answer_at_all(self):
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        self.refused([f"https://localhost:{port}/"], "localhost", "refused")
        self.refused(["https://no-such-host.invalid/"], "no-such-host.invalid")

    def test_handshakes_that_fail(self):
        def garbage(connection):
            connection.recv(100)
            connection.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
            connection.recv(100)

        def resets(connection):
            connection.recv(100)
            reset(connection)

        with Server(garbage) as server:
            self.refused([f"https://localhost:{server.port}/"], "TLS handshake with localhost (127.0.0.1")
        with Server(resets) as server:
            self.refused([f"https://localhost:{server.port}/"], "TLS handshake with localhost (127.0.0.1", "reset by peer")
        with Server(lambda connection: connection.recv(1)) as server:
            self.refused([f"https://localhost:{server.port}/"], "TLS handshake with localhost (127.0.0.1")

    def test_silent_peers_are_left_in_time(self):
        silent = lambda connection: connection.recv(10000) and connection.recv(1)  # noqa: E731
        with Server(silent) as server:
            self.refused([f"http://localhost:{server.port}/", "--timeout", "0.5"], "localhost", "timed out")
            self.refused([f"https://localhost:{server.port}/", "--timeout", "0.5"], "localhost", "timed out")

    def test_resolve(self):
        script = answer_once(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        with Server(script, self.certs.context("wrong-name")) as server:
            pages, said, status = self.fetch(f"https://wrong.example.test:{server.port}/", "--resolve",
                                             f"wrong.example.test:{server.port}:127.0.0.1")
            self.assertEqual((pages, status), ({"index.html": b"hello"}, 0), said)
        for text in ("x", "x:y:127.0.0.1", "x:0:127.0.0.1", "x:1:name", ":1:127.0.0.1"):
            self.assertNotEqual(self.fetch("http://localhost/", "--resolve", text)[2], 0)

    # Many of them.

    def test_connections_are_kept_and_replaced(self):
        def script(connection):
            for left in (1, 0):  # two pages, then it goes without a word
                path = read_head(connection).split()[1]
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(path) + path)

        for context in (None, self.certs.context()):
            with Server(script, context) as server:
                scheme = "https" if context else "http"
                urls = [f"{scheme}://localhost:{server.port}/{number}" for number in range(10)]
                pages, said, status = self.fetch("--concurrency", "1", *urls)
                self.assertEqual(pages, {str(number): b"/%d" % number for number in range(10)}, said)
                self.assertEqual((status, server.accepted), (0, 5))

    def test_a_failure_does_not_touch_the_others(self):
        def script(connection):
            while True:
                path = read_head(connection).split()[1]
                if path == b"/3":
                    return
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        with Server(script) as server:
            urls = [f"http://localhost:{server.port}/{number}" for number in range(20)]
            for concurrency in ("1", "20"):
                pages, said, status = self.fetch("--concurrency", concurrency, *urls)
                self.assertEqual((len(pages), status), (19, 1), said)
                self.assertEqual(SUMMARY.search(said).groups(), ("19", "38", "1"))
                self.assertRegex(said, r"(?m)^\d+ of 20 pages")

    def test_list_of_urls(self):
        script = answer_once(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        with Server(script) as server:
            text = f"# pages\n\n http://localhost:{server.port}/a \r\nhttp://localhost:{server.port}/b"
            (self.directory / "list").write_text(text)
            pages, said, status = self.fetch("--input", str(self.directory / "list"))
            self.assertEqual((set(pages), status), ({"list", "a", "b"}, 0), said)
            self.assertEqual(self.fetch("--input", "-", input=text)[2], 0)
        for arguments in (["--input", "/does/not/exist"], []):
            self.assertNotEqual(self.fetch(*arguments)[2], 0)

    def test_names_of_files(self):
        script = answer_once(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        with Server(script) as server:
            base = f"http://localhost:{server.port}"
            (self.directory / "page").write_text("of an earlier day")
            pages, said, status = self.fetch(f"{base}/", f"{base}", f"{base}/a/page?x=/y", f"{base}/b/page#z", f"{base}/page.2")
            self.assertEqual(status, 0, said)
            self.assertEqual(set(pages), {"index.html", "index.html.2", "page", "page.2", "page.2.2"})
            self.assertEqual(set(pages.values()), {b"ok"})
            _, said, status = self.fetch(f"{base}/..", f"{base}/a/.", f"{base}/..?x")
            self.assertEqual(status, 1)
            self.assertEqual(said.count("names no file"), 3)
        self.assertEqual(list(self.directory.parent.glob("ok")), [])

    def test_urls_that_are_none(self):
        for url, word in (("localhost", "not a URL"), ("ftp://localhost/", "only http and https"), ("http:///x", "no host"),
                          ("http://localhost:0/", "port"), ("http://localhost:99999/", "port"), ("http://a:b@localhost/", "user name"),
                          ("http://[::1/", "bracket"), ("http://[x]/", "IPv6"), ("http://[::1]x/", "IPv6"), ("http://a b/", "percent-encoded"),
                          ("http://localhost/\r\nX: y", "percent-encoded"), ("http://loc\\alhost/", "character")):
            with self.subTest(url):
                self.refused([url], word)

    def test_interrupted(self):
        started = threading.Event()

        def script(connection):
            read_head(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhello")
            started.set()
            while True:
                connection.sendall(b"x")
                time.sleep(0.01)

        for context in (None, self.certs.context()):
            started.clear()
            with Server(script, context) as server:
                scheme = "https" if context else "http"
                urls = [f"{scheme}://localhost:{server.port}/{number}" for number in range(20)]
                running = subprocess.Popen([program("fetch"), "--cacert", self.certs["ca.pem"], "--output", str(self.directory), *urls],
                                           stderr=subprocess.PIPE, text=True)
                self.assertTrue(started.wait(PATIENCE))
                wait_until(lambda: any(self.directory.iterdir()), "a partial file is there")
                running.send_signal(signal.SIGINT)
                _, said = running.communicate(timeout=PATIENCE)
                self.assertEqual(running.returncode, 130, said)
                self.assertRegex(said, r"(?m)^fetched 0 pages, \d+ bytes, \d+\.\d\d s, 0 failed, interrupted with 20 to go$")
                self.assertNotIn("Sanitizer", said)
                self.assertEqual(list(self.directory.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
