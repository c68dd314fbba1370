#!/usr/bin/env python3
"""The programs that users must be able to write: compiled in every way users have, and run. And what must not compile."""

import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = SOURCE / "tests" / "programs"
NAMES = [f"program{number}" for number in (1, 3, 4, 5, 6, 7, 8, 9, 10)] + ["proxy"]
COMPILERS = [name for name in ("g++", "clang++-19") if shutil.which(name)]
STANDARDS = ["c++20", "gnu++20"]
STRICT = ["-Wall", "-Wextra", "-Werror"]
FLAGS = ["-I", str(SOURCE / "include")]
# Of a build with sanitizers; users have none, but what they would find is an error here.
SANITIZE = shlex.split(os.environ.get("HAWSER_TEST_FLAGS", ""))
SLOW = 4 if SANITIZE else 1


def run(*command, **options):
    return subprocess.run(
        [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )


def pkg_config(what):
    return shlex.split(subprocess.check_output(["pkg-config", what, "libtls", "liburing", "libcares"], text=True)) + ["-pthread"]


class Scratch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="hawser-programs-")
        cls.addClassCleanup(scratch.cleanup)
        cls.scratch = pathlib.Path(scratch.name)


@unittest.skipIf(SANITIZE, "what compiles does not depend on how our own programs are built")
class Compiling(Scratch):
    def test_every_program_with_every_compiler_and_standard(self):
        """One file has all programs, each in a namespace, with the headers that clash with names before or after."""
        clashing = "#include <tls.h>\n#include <error.h>\n#include <unistd.h>\n"
        programs = {name: (PROGRAMS / f"{name}.cpp").read_text() for name in NAMES}
        headers, bodies = [], []
        for name, text in programs.items():
            headers += re.findall(r"^#include .*$", text, re.MULTILINE)
            bodies.append(f"namespace {name} {{\n" + re.sub(r"^#include .*$", "", text, flags=re.MULTILINE) + "}\n")
        headers = "\n".join(dict.fromkeys(headers)) + "\n"
        calls = "int main(int argc, char** argv) { return argc + program1::main(argc, argv); }\n"
        for order, text in {"before": clashing + headers, "after": headers + clashing}.items():
            file = self.scratch / f"{order}.cpp"
            file.write_text(text + "".join(bodies) + calls)
            for compiler in COMPILERS:
                for standard in STANDARDS:
                    with self.subTest(compiler=compiler, standard=standard, clashing=order):
                        done = run(compiler, f"-std={standard}", *STRICT, "-fsyntax-only", *FLAGS, file)
                        self.assertEqual(done.returncode, 0, done.stdout)


@unittest.skipIf(SANITIZE, "what is refused does not depend on how our own programs are built")
class Refused(unittest.TestCase):
    """What can never work is refused by the compiler, in words of ours; beside it stands what should be written."""

    def compile(self, compiler, file, *flags):
        # In C: g++ prints other quotation marks elsewhere.
        environment = {**os.environ, "LC_ALL": "C"}
        return run(compiler, "-std=c++20", *STRICT, "-fsyntax-only", *FLAGS, *flags, file, env=environment)

    def test_refused(self):
        files = sorted((PROGRAMS / "refused").glob("*.cpp"))
        self.assertGreater(len(files), 8)
        for file in files:
            words = re.search(r"^// because: (.*)$", file.read_text(), re.MULTILINE).group(1)
            only = re.search(r"^// refused by: (.*)$", file.read_text(), re.MULTILINE)
            for compiler in COMPILERS:
                with self.subTest(file=file.name, compiler=compiler):
                    done = self.compile(compiler, file)
                    if only and not self.is_gcc_before_13(compiler):
                        self.assertEqual(done.returncode, 0, done.stdout)
                        continue
                    self.assertNotEqual(done.returncode, 0, f"{file.name} compiles")
                    self.assertIn(words, done.stdout)
                    allowed = self.compile(compiler, file, "-DALLOWED")
                    self.assertEqual(allowed.returncode, 0, allowed.stdout)

    @staticmethod
    def is_gcc_before_13(compiler):
        defined = run(compiler, "-dM", "-E", "-x", "c++", "/dev/null").stdout
        version = int(re.search(r"#define __GNUC__ (\d+)", defined).group(1))
        return "__clang__" not in defined and version < 13


class Running(Scratch):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        made = run(SOURCE / "scripts" / "make-certs", cls.scratch / "certs")
        assert made.returncode == 0, made.stdout
        cls.certs = cls.scratch / "certs"
        cls.programs = {}
        # Both compilers and both standards take part.
        waiting = []
        for index, name in enumerate(NAMES):
            compiler, standard = COMPILERS[index % len(COMPILERS)], STANDARDS[index % len(STANDARDS)]
            cls.programs[name] = cls.scratch / name
            # g++ warns of more when it optimises.
            optimise = ["-O2"] if compiler == "g++" and not SANITIZE else []
            waiting.append([compiler, f"-std={standard}", *STRICT, *optimise, *SANITIZE, *FLAGS, *pkg_config("--cflags"), str(PROGRAMS / f"{name}.cpp"),
                            "-o", str(cls.programs[name]), *pkg_config("--libs")])
        failures = []

        def work():
            while waiting:
                command = waiting.pop()
                done = run(*command)
                if done.returncode != 0:
                    failures.append(shlex.join(command) + "\n" + done.stdout)

        workers = [threading.Thread(target=work) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert not failures, "\n".join(failures)

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="run-", dir=self.scratch)
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.install("server")
        self.environment = {**os.environ, "SSL_CERT_FILE": str(self.certs / "ca.pem")}

    def install(self, name):
        """Makes the certificate `name` the server's, as renewal tools do: new files, moved to their place."""
        for suffix, target in (("key", "key.pem"), ("pem", "cert.pem")):
            shutil.copy(self.certs / f"{name}.{suffix}", self.directory / "new")
            os.replace(self.directory / "new", self.directory / target)

    def start(self, name, *arguments):
        """A server program; gives it and its port, which it prints."""
        server = subprocess.Popen(
            [self.programs[name], *map(str, arguments)], cwd=self.directory, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

        def end():
            if server.poll() is None:
                server.kill()
            server.communicate()

        self.addCleanup(end)
        if arguments:
            port = arguments[0]
            self.wait_for(port, server)
        else:
            port = int(server.stdout.readline())
        return server, port

    def echo_server(self, threads=2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        return self.start("program3", port, threads)

    def wait_for(self, port, server):
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                if server.poll() is not None:
                    self.fail(f"the server ended: {server.stderr.read()}")
                self.assertLess(time.monotonic(), until, "the server does not listen")
                time.sleep(0.01)

    def stop(self, server, number=signal.SIGTERM, seconds=3):
        """A clean stop: soon, with exit status 0 and nothing to complain about."""
        self.assertIsNone(server.poll(), "the server ended by itself")
        server.send_signal(number)
        try:
            _, errors = server.communicate(timeout=seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.fail("the server did not stop")
        self.assertEqual((server.returncode, errors), (0, ""))

    def client(self, name, *arguments, status=0):
        done = run(self.programs[name], *arguments, cwd=self.directory, env=self.environment, timeout=30 * SLOW)
        self.assertEqual(done.returncode, status, done.stdout)
        return done.stdout

    def connect(self, port, version=None):
        context = ssl.create_default_context(cafile=self.certs / "ca.pem")
        if version:
            context.minimum_version = context.maximum_version = version
        raw = socket.create_connection(("127.0.0.1", port), timeout=10)
        line = context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False)
        self.addCleanup(line.close)
        return line

    def ask(self, line, text):
        line.sendall(text)
        got = b""
        while len(got) < len(text):
            more = line.recv(65536)
            self.assertTrue(more, f"the end after {len(got)} bytes")
            got += more
        self.assertEqual(got, text)

    def test_1_fetches_pages(self):
        self.assertEqual(self.client("program1"), "")
        # Without a web server on port 443: the first failure ends it, printed with host and cause.
        words = self.client("program1", "127.0.0.1", "127.0.0.1", status=1)
        self.assertIn("error: connect to 127.0.0.1 (127.0.0.1:443)", words)

    def test_3_echoes_on_two_threads(self):
        server, port = self.echo_server(threads=2)
        lines = [self.connect(port, version) for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3) for _ in range(6)]
        for number, line in enumerate(lines):
            self.ask(line, b"%d hello " % number * 5000)
        threads = os.listdir(f"/proc/{server.pid}/task")
        self.assertEqual(len(threads), 2)
        # serve() closes what the handler leaves: a close_notify, not only a FIN.
        lines[0].unwrap().close()
        lines[1].shutdown(socket.SHUT_WR)
        self.stop(server)

    def test_3_a_broken_client_ends_only_its_own_connection(self):
        server, port = self.echo_server(threads=1)
        good = self.connect(port)
        self.ask(good, b"before")
        # no TLS at all
        with socket.create_connection(("127.0.0.1", port)) as noise:
            noise.sendall(b"GET / HTTP/1.0\r\n\r\n")
            noise.settimeout(5)
            while noise.recv(1000):
                pass
        # a reset in the handshake, and in the middle of a connection
        for established in (False, True):
            broken = self.connect(port) if established else socket.create_connection(("127.0.0.1", port))
            broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            broken.sendall(b"\x16\x03\x01")
            broken.close()
        # a client that does not trust the server
        with self.assertRaises(ssl.SSLError):
            ssl.create_default_context().wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost")
        # a record that was damaged on its way: below TLS, as nobody else can write there
        damaged = self.connect(port)
        os.write(damaged.fileno(), b"\x17\x03\x03\x00\x20" + b"x" * 32)
        with self.assertRaises((ssl.SSLError, ConnectionResetError)):
            damaged.recv(10)
        # the end without close_notify
        cut = self.connect(port)
        self.ask(cut, b"cut")
        cut.close()
        self.ask(good, b"after")
        self.ask(self.connect(port), b"a new one")
        self.stop(server)

    def test_3_stops_while_idle_and_while_shaking_hands(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            server, port = self.echo_server()
            idle = self.connect(port)
            self.ask(idle, b"x")
            silent = socket.create_connection(("127.0.0.1", port))
            self.addCleanup(silent.close)
            self.stop(server, number)
            self.assertEqual(idle.recv(10), b"")  # a proper end: ragged ones would raise

    def test_3_says_what_is_wrong(self):
        (self.directory / "cert.pem").unlink()
        words = self.client("program3", "1", "1", status=1)
        self.assertIn('"cert.pem"', words)
        self.assertIn("No such file", words)

    def test_4_deadlines(self):
        server, port = self.echo_server()
        self.assertEqual(
            self.client("program4", "localhost", port).splitlines(),
            [
                "thrown: timed out 1",
                "result: timed out",
                "in time: late",
                "both: one two",
                "race: 1 winner 0",
                "later: loser, asked again",
            ],
        )
        self.stop(server)

    def test_5_full_duplex(self):
        server, port = self.echo_server()
        self.assertEqual(self.client("program5", "localhost", port), "16000000 the same\n")
        self.stop(server)

    def test_6_tls_inside_tls(self):
        origin, origin_port = self.echo_server()
        proxy, proxy_port = self.start("proxy")
        self.assertRegex(
            self.client("program6", "localhost", proxy_port, "localhost", origin_port),
            r"^through the tunnel /CN=localhost TLSv1\.3\n$",
        )
        self.stop(proxy)
        self.stop(origin)

    def test_6_the_inner_name_is_verified_too(self):
        proxy, proxy_port = self.start("proxy")
        self.install("wrong-name")
        origin, origin_port = self.echo_server()
        words = self.client("program6", "localhost", proxy_port, "localhost", origin_port, status=1)
        self.assertIn("error: TLS handshake with localhost", words)
        self.assertIn("name", words)
        self.stop(proxy)
        self.stop(origin)

    def test_7_what_is_known_of_the_peer(self):
        server, port = self.echo_server()
        said = dict(line.split(" ", 1) for line in self.client("program7", "localhost", port).splitlines())
        openssl = run("openssl", "x509", "-in", self.certs / "server.pem", "-noout", "-fingerprint", "-sha256", "-dates").stdout
        hash = re.search(r"Fingerprint=(.*)", openssl).group(1).replace(":", "").lower()
        dates = [ssl.cert_time_to_seconds(date) for date in re.findall(r"not\w+=(.*)", openssl)]
        self.assertEqual(said["subject"], "/CN=localhost")
        self.assertEqual(said["issuer"], "/CN=hawser test intermediate")
        self.assertEqual(said["hash"].lower(), "sha256:" + hash)
        self.assertEqual([int(said["not_before"]), int(said["not_after"])], dates)
        self.assertGreater(int(said["chain"]), 500)
        self.assertEqual((said["localhost"], said["example.org"]), ("1", "0"))
        self.assertEqual((said["version"], said["alpn"], said["servername"], said["resumed"]), ("TLSv1.3", "''", "'localhost'", "0"))
        self.assertIn("AES", said["cipher"])
        self.assertGreaterEqual(int(said["strength"]), 128)
        self.assertEqual(said["ocsp"], "0 1 1 0 0 0 '' ''")
        self.stop(server)

    def test_8_reload(self):
        def subject(line):
            return dict(item[0] for item in line.getpeercert()["subject"])["commonName"]

        server, port = self.start("program8")
        old = self.connect(port)
        self.ask(old, b"old")
        first = old.getpeercert(binary_form=True)
        self.assertEqual(subject(old), "localhost")
        self.install("client")  # another certificate of the same authority
        self.assertEqual(server.stdout.readline(), "reloaded\n")
        context = ssl.create_default_context(cafile=self.certs / "ca.pem")
        context.check_hostname = False
        raw = socket.create_connection(("127.0.0.1", port), timeout=10)
        new = context.wrap_socket(raw, server_hostname="localhost")
        self.addCleanup(new.close)
        self.assertEqual(subject(new), "test client")
        self.ask(new, b"new")
        # The old connection goes on, also through a renewal of its keys.
        self.ask(old, b"still here" * 10000)
        self.assertEqual(old.getpeercert(binary_form=True), first)
        self.stop(server)

    def test_9_by_hand(self):
        server, port = self.start("program9")
        silent = socket.create_connection(("127.0.0.1", port))
        self.addCleanup(silent.close)
        for _ in range(3):
            line = self.connect(port)
            started = time.monotonic()
            self.assertEqual(line.recv(100), b"hello\n")
            self.assertEqual(line.recv(100), b"")
            line.unwrap().close()
            self.assertLess(time.monotonic() - started, 1.5 * SLOW)
        self.stop(server)

    def test_10_tests_of_a_protocol(self):
        # Every seed says the same, to the millisecond.
        self.assertEqual(
            self.client("program10").splitlines(),
            [
                "good: the answer is 42 (0 ms)",
                "slow: the answer is 42 (5000 ms)",
                "cut: the answer is 42 (0 ms)",
                "cut earlier: the answer (0 ms)",
                "reset: read from far (192.0.2.2:1): Connection reset by peer (2000 ms)",
                "silent: timed out (62000 ms)",
            ],
        )


if __name__ == "__main__":
    unittest.main()
