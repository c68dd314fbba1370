#!/usr/bin/env python3
"""examples/echo_server and examples/tls_info."""

import contextlib
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import PATIENCE, Certificates, program, reset, start_server  # noqa: E402


class Others(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.certs = Certificates()
        cls.addClassCleanup(cls.certs.scratch.cleanup)
        cls.tls = ["--tls", "--cert", cls.certs["server.pem"], "--key", cls.certs["server.key"]]

    @contextlib.contextmanager
    def server(self, *arguments):
        """An echo server, and a way to connect to it. It has to stop cleanly at the end."""
        running, port = start_server([program("echo_server"), "--port", "0", *arguments])
        trust = ssl.create_default_context(cafile=self.certs["ca.pem"]) if "--tls" in arguments else None

        def connect(handshake=True):
            line = socket.create_connection(("127.0.0.1", port), PATIENCE)
            return trust.wrap_socket(line, server_hostname="localhost") if trust and handshake else line

        try:
            yield port, connect
        finally:
            running.send_signal(signal.SIGINT)
            _, said = running.communicate(timeout=PATIENCE)
            self.assertEqual(running.returncode, 0, said)
            self.assertNotIn("Sanitizer", said)

    def test_quit_shows_what_the_tasks_wait_for(self):
        for arguments in ([], self.tls):
            with self.subTest(arguments):
                running, port = start_server([program("echo_server"), "--port", "0", *arguments])
                self.addCleanup(running.kill)
                line = socket.create_connection(("127.0.0.1", port), PATIENCE)
                if arguments:
                    line = ssl.create_default_context(cafile=self.certs["ca.pem"]).wrap_socket(line, server_hostname="localhost")
                line.sendall(b"x")
                self.assertEqual(line.recv(1), b"x")
                running.send_signal(signal.SIGQUIT)
                wanted = [r" awaits with_scope, running: 2 at .*:\d+, \d+\.\d{3} s", r"accept on ",
                          rf"read from 127\.0\.0\.1:{line.getsockname()[1]} at .*echo_server\.cpp:\d+"]
                for said in running.stderr:
                    wanted = [one for one in wanted if not re.search(one, said)]
                    if not wanted:
                        break
                self.assertEqual(wanted, [])
                line.sendall(b"y")  # and it goes on
                self.assertEqual(line.recv(1), b"y")
                line.close()
                running.send_signal(signal.SIGINT)
                _, said = running.communicate(timeout=PATIENCE)
                self.assertEqual(running.returncode, 0, said)

    def test_echo(self):
        for arguments in ([], self.tls, ["--threads", "2"], [*self.tls, "--threads", "2"]):
            with self.subTest(arguments), self.server(*arguments) as (_, connect):
                reset(connect(handshake=False))
                idle = connect()  # stays until the server stops

                def ask(line, text):
                    for start in range(0, len(text), 50000):  # what the buffers in between hold
                        piece, got = text[start : start + 50000], b""
                        line.sendall(piece)
                        while len(got) < len(piece):
                            got += line.recv(65536)
                        self.assertEqual(got, piece)

                for number in range(20):
                    with connect() as line:
                        ask(line, bytes([number]) * (1 + number * 50000))
                ask(idle, b"still here")
                self.addCleanup(idle.close)

    def info(self, *arguments):
        done = subprocess.run([program("tls_info"), *arguments], capture_output=True, text=True, timeout=PATIENCE)
        return done.returncode, done.stdout, done.stderr

    def test_info(self):
        trust = ["--cacert", self.certs["ca.pem"]]
        with self.server(*self.tls) as (port, _):
            for option, version in (("--tls12", "TLSv1.2"), ("--tls13", "TLSv1.3")):
                status, said, errors = self.info("localhost", str(port), option, *trust)
                self.assertEqual((status, errors), (0, ""))
                for line in (rf"peer +localhost \((127\.0\.0\.1|\[::1\]):{port}\)", rf"protocol +{version}", "  subject +/CN=localhost",
                             "  issuer +/CN=hawser test intermediate", "  chain +2 cert", "  name +localhost is one", "  verified +yes"):
                    self.assertRegex(said, rf"(?m)^{line}")
            _, said, _ = self.info("127.0.0.1", str(port), "--chain", *trust)
            self.assertEqual(said.count("BEGIN CERTIFICATE"), 2)

            elsewhere = ["wrong.example.test", str(port), "--connect", "127.0.0.1"]
            status, said, errors = self.info(*elsewhere, *trust)
            self.assertEqual((status, said), (1, ""))
            self.assertIn("TLS handshake with wrong.example.test (127.0.0.1:", errors)
            self.assertIn("not present in server certificate", errors)
            self.assertEqual(self.info(*elsewhere, *trust, "--servername", "localhost")[0], 0)
            status, said, _ = self.info(*elsewhere, "--insecure")
            self.assertEqual(status, 0)
            self.assertRegex(said, "name +wrong.example.test is NOT one")
            self.assertRegex(said, "verified +NO")

            status, _, errors = self.info("localhost", str(port), "--cacert", self.certs["other-ca.pem"])
            self.assertEqual(status, 1)
            self.assertIn("unable to get", errors)


if __name__ == "__main__":
    unittest.main()
