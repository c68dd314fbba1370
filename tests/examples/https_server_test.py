#!/usr/bin/env python3
"""examples/https_server, asked by curl, by openssl s_client, by gnutls-cli, by wrk, and by hand."""

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
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import PATIENCE, Certificates, program, start_server  # noqa: E402


class HttpsServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.certs = Certificates()
        cls.addClassCleanup(cls.certs.scratch.cleanup)
        site = cls.certs.directory / "site"
        (site / "sub").mkdir(parents=True)
        (site / "nothing").mkdir()
        (site / "page.html").write_text("a page")
        (site / "a b").write_text("a blank")
        (site / "sub" / "index.html").write_text("an index")
        (site / "empty").touch()
        (site / ".hidden").write_text("a secret")
        (site / "large").write_bytes(bytes(range(256)) * 40960)
        (site / "inside").symlink_to("page.html")
        (site / "outside").symlink_to("/etc/passwd")
        (cls.certs.directory / "beside").write_text("a secret")
        os.mkfifo(site / "pipe")
        cls.site = site
        cls.server, cls.port = start_server(
            [program("https_server"), str(site), "--port", "0", "--cert", cls.certs["server.pem"], "--key", cls.certs["server.key"],
             "--threads", "2"])
        cls.addClassCleanup(cls.stop)

    @classmethod
    def stop(cls):
        cls.server.send_signal(signal.SIGTERM)
        _, said = cls.server.communicate(timeout=PATIENCE)
        assert cls.server.returncode == 0 and not said, (cls.server.returncode, said)

    def curl(self, path, *arguments):
        """Status and body."""
        done = subprocess.run(["curl", "-s", "--path-as-is", "--max-time", str(PATIENCE), "--cacert", self.certs["ca.pem"],
                               "-w", "\n%{http_code}", *arguments, f"https://localhost:{self.port}{path}"], capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        body, status = done.stdout.rsplit(b"\n", 1)
        return int(status), body

    def connect(self):
        context = ssl.create_default_context(cafile=self.certs["ca.pem"])
        return context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), PATIENCE), server_hostname="localhost")

    def by_hand(self, request):
        """All that comes until the server's close_notify."""
        with self.connect() as line:
            line.sendall(request)
            answer = b""
            while piece := line.recv(65536):
                answer += piece
            return answer

    def status_of(self, request):
        answer = self.by_hand(request)
        return int(re.match(rb"HTTP/1\.1 (\d+) ", answer).group(1))

    def test_files(self):
        self.assertEqual(self.curl("/page.html"), (200, b"a page"))
        self.assertEqual(self.curl("/page.html?x=1"), (200, b"a page"))
        self.assertEqual(self.curl("/a%20b"), (200, b"a blank"))
        self.assertEqual(self.curl("/sub/"), (200, b"an index"))
        self.assertEqual(self.curl("/empty"), (200, b""))
        self.assertEqual(self.curl("/inside"), (200, b"a page"))
        self.assertEqual(self.curl("/large"), (200, (self.site / "large").read_bytes()))
        self.assertEqual(self.curl("/sub", "-L"), (200, b"an index"))

    def test_what_is_not_served(self):
        for path, status in (("/none", 404), ("/none/page.html", 404), ("/page.html/x", 404), ("/nothing/", 404), ("/" + "x" * 300, 404),
                             ("/.hidden", 404), ("/%2ehidden", 404), ("/outside", 403), ("/pipe", 403), ("//sub", 404),
                             ("/../beside", 404), ("/%2e%2e/beside", 404), ("/sub/..%2f..%2fbeside", 404), ("/..", 404), ("/sub/.", 404),
                             ("/%", 400), ("/%4", 400), ("/%zz", 400), ("/page.html%00", 400)):
            with self.subTest(path):
                self.assertEqual(self.curl(path)[0], status)

    def test_head(self):
        status, body = self.curl("/page.html", "-I")
        self.assertEqual(status, 200)
        self.assertIn(b"Content-Length: 6\r\n", body)
        self.assertIn(b"Content-Type: text/html; charset=utf-8\r\n", body)
        self.assertEqual(self.curl("/none", "-I")[0], 404)

    def test_not_modified(self):
        modified = re.search(rb"Last-Modified: (.*)\r\n", self.curl("/page.html", "-I")[1]).group(1).decode()
        self.assertEqual(self.curl("/page.html", "-H", f"If-Modified-Since: {modified}"), (304, b""))
        self.assertEqual(self.curl("/page.html", "-H", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT")[0], 200)

    def test_other_methods_and_their_bodies(self):
        body = b"GET /page.html HTTP/1.1\r\nHost: x\r\n\r\n"  # must not be taken for a request
        posts = (b"POST /page.html HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
                 + b"PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
                 + b"GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = self.by_hand(posts)
        self.assertEqual(re.findall(rb"HTTP/1\.1 (\d+)", answer), [b"405", b"405", b"404"])
        self.assertEqual(answer.count(b"Allow: GET, HEAD"), 2)
        large = self.certs.directory / "large-body"
        large.write_bytes(b"x" * 1000000)
        self.assertEqual(self.curl("/page.html", "--data-binary", f"@{large}", "-H", "Expect:")[0], 413)
        self.assertEqual(self.curl("/page.html", "--data-binary", f"@{large}", "-H", "Expect: 100-continue")[0], 405)

    def test_pipelined(self):
        requests = [b"GET /page.html HTTP/1.1\r\nHost: x\r\n\r\n"] * 100
        answer = self.by_hand(b"\r\n".join(requests) + b"HEAD /page.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertEqual(answer.count(b"HTTP/1.1 200 OK"), 101)
        self.assertEqual(answer.count(b"a page"), 100)

    def test_http_1_0(self):
        self.assertTrue(self.by_hand(b"GET /page.html HTTP/1.0\r\n\r\n").endswith(b"Connection: close\r\n\r\na page"))
        kept = self.by_hand(b"GET /page.html HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" b"GET /page.html HTTP/1.0\r\n\r\n")
        self.assertEqual(kept.count(b"a page"), 2)

    def test_absolute_target(self):
        self.assertEqual(self.status_of(b"GET https://localhost/page.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 200)

    def test_bad_requests(self):
        get = b"GET / HTTP/1.1\r\nHost: x\r\n"
        for request, status in (
            (b"GET /\r\n\r\n", 400), (b"GET / HTTP/2.0\r\n\r\n", 505), (b"GET  / HTTP/1.1\r\n\r\n", 400), (b"GE T / HTTP/1.1\r\n\r\n", 400),
            (b"\x16\x03\x01\r\n\r\n", 400), (b"GET / HTTP/1.1\r\n\r\n", 400), (get + b"Host: y\r\n\r\n", 400), (get + b"A : b\r\n\r\n", 400),
            (get + b"A: b\r\n c\r\n\r\n", 400), (get + b"A: \0\r\n\r\n", 400), (get + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
            (get + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400), (get + b"Transfer-Encoding: gzip\r\n\r\n", 501),
            (get + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 400), (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
            (get + b"A: b\r\n" * 1000 + b"\r\n", 431), (get + b"A: " + b"b" * 70000 + b"\r\n\r\n", 431),
            (b"GET page.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        ):
            with self.subTest(request[:60]):
                self.assertEqual(self.status_of(request), status)

    def test_a_broken_client_is_alone(self):
        socket.create_connection(("127.0.0.1", self.port)).close()
        garbage = socket.create_connection(("127.0.0.1", self.port))
        garbage.sendall(b"GET / HTTP/1.0\r\n\r\n")
        silent = socket.create_connection(("127.0.0.1", self.port))
        half = self.connect()
        half.sendall(b"GET / HT")
        self.assertEqual(self.curl("/page.html"), (200, b"a page"))
        for one in (garbage, silent, half):
            one.close()

    @unittest.skipUnless(shutil.which("openssl"), "needs openssl")
    def test_openssl(self):
        for version in ("-tls1_2", "-tls1_3"):
            done = subprocess.run(["openssl", "s_client", version, "-quiet", "-connect", f"127.0.0.1:{self.port}", "-CAfile", self.certs["ca.pem"],
                                   "-verify_return_error", "-verify_hostname", "localhost", "-ign_eof"],
                                  input=b"GET /large HTTP/1.0\r\n\r\n", capture_output=True, timeout=PATIENCE)
            self.assertTrue(done.stdout.endswith((self.site / "large").read_bytes()), done.stderr)

    @unittest.skipUnless(shutil.which("gnutls-cli"), "needs gnutls-cli")
    def test_gnutls(self):
        asking = subprocess.Popen(["gnutls-cli", "--x509cafile", self.certs["ca.pem"], "-p", str(self.port), "localhost"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        asking.stdin.write(b"GET /page.html HTTP/1.0\r\n\r\n")
        asking.stdin.flush()
        said = asking.stdout.read()
        asking.stdin.close()
        asking.wait(PATIENCE)
        asking.stdout.close()
        self.assertIn(b"a page", said)
        self.assertIn(b"Peer has closed the GnuTLS connection", said)

    @unittest.skipUnless(shutil.which("wrk"), "needs wrk")
    def test_wrk(self):
        done = subprocess.run(["wrk", "-t1", "-c50", "-d1s", f"https://localhost:{self.port}/page.html"], capture_output=True, text=True)
        self.assertRegex(done.stdout, r"(?m)^ *[1-9]\d* requests in")
        self.assertNotIn("Socket errors", done.stdout)
        self.assertNotIn("Non-2xx", done.stdout)


class Life(unittest.TestCase):
    """Starting and stopping."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="hawser-server-")
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)
        (self.scratch / "site").mkdir()
        (self.scratch / "site" / "large").write_bytes(b"x" * 10000000)
        self.environment = {**os.environ, "TMPDIR": scratch.name}

    def test_its_own_certificate(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            server, port = start_server([program("https_server"), str(self.scratch / "site"), "--port", "0"], env=self.environment)
            cert = re.search(r"--cacert (\S+)", "".join(server.lines)).group(1)
            self.assertFalse((pathlib.Path(cert).parent / "key.pem").exists())
            for host in ("localhost", "127.0.0.1", "[::1]"):
                done = subprocess.run(["curl", "-sS", "-o", "/dev/null", "--cacert", cert, f"https://{host}:{port}/large"], capture_output=True)
                self.assertEqual(done.returncode, 0, done.stderr)
            server.send_signal(number)
            _, said = server.communicate(timeout=PATIENCE)
            self.assertEqual((server.returncode, said), (0, ""))
            self.assertEqual([each.name for each in self.scratch.iterdir()], ["site"])

    def test_stopped_in_the_middle(self):
        server, port = start_server([program("https_server"), str(self.scratch / "site"), "--port", "0"], env=self.environment)
        context = ssl.create_default_context(cafile=re.search(r"--cacert (\S+)", "".join(server.lines)).group(1))
        idle, busy = (context.wrap_socket(socket.create_connection(("127.0.0.1", port), PATIENCE), server_hostname="localhost") for _ in "12")
        with idle, busy, socket.create_connection(("127.0.0.1", port)):
            busy.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            got = len(busy.recv(100))
            server.send_signal(signal.SIGINT)
            self.assertEqual(idle.recv(1), b"")  # close_notify, at once
            while piece := busy.recv(65536):  # what was begun is finished
                got += len(piece)
            self.assertGreater(got, 10000000)
        _, said = server.communicate(timeout=PATIENCE)
        self.assertEqual((server.returncode, said), (0, ""))

    def fails(self, *arguments, **more):
        done = subprocess.run([program("https_server"), *arguments], capture_output=True, text=True, timeout=PATIENCE, **more)
        self.assertNotEqual(done.returncode, 0)
        return done.stdout + done.stderr

    def test_what_it_cannot_do(self):
        site = str(self.scratch / "site")
        self.assertIn("--cert and --key", self.fails(site, "--port", "0", env={**self.environment, "PATH": "/does/not/exist"}))
        self.assertIn("/does/not/exist", self.fails("/does/not/exist"))
        self.assertIn("/does/not/exist", self.fails(site, "--cert", "/does/not/exist", "--key", "/does/not/exist"))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.assertIn("in use", self.fails(site, "--address", "127.0.0.1", "--port", str(taken.getsockname()[1]), env=self.environment))
        self.assertEqual([each.name for each in self.scratch.iterdir()], ["site"])


if __name__ == "__main__":
    unittest.main()
