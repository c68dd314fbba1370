#!/usr/bin/env python3
"""The example programs and peers that nobody here wrote: nginx, openssl, curl, wrk, gnutls-cli, and some that misbehave."""

import contextlib
import hashlib
import os
import pathlib
import random
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
sys.path.insert(0, str(SOURCE / "tests" / "examples"))
from support import PATIENCE, Certificates, Server, answer_once, program, read_head, reset, wait_until  # noqa: E402

FULL = bool(os.environ.get("HAWSER_FULL"))  # the 1,000 pages of the issue; otherwise a quicker mix of the same sizes
PAGES = 1000 if FULL else 300
AT_ONCE = 200
LARGEST = 10 << 20
REPORT = re.compile(r"Sanitizer|runtime error:")
VERSIONS = {"tls13": "TLSv1.3", "tls12": "TLSv1.2"}

NGINX = """
worker_processes 1;
daemon off;
{user}
pid {home}/pid;
error_log {home}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    log_format what "$ssl_protocol $connection $status";
    access_log {home}/access.log what;
    client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;
    uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;
    root {site};
    {servers}
}}
"""
NGINX_SERVER = """
    server {{
        listen 127.0.0.1:{port} ssl;
        server_name localhost;
        ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols {protocols};
        location /slow/ {{ alias {site}/; limit_rate 20k; }}
    }}
"""


def needs(tool):
    return unittest.skipUnless(shutil.which(tool), f"needs {tool}")


def free_ports(count):
    with contextlib.ExitStack() as taken:
        sockets = [taken.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def accepts(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def end(process, number=signal.SIGKILL):
    """Ends one process, if it is still there, and closes its pipes."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


class Nginx:
    """nginx with a directory to serve, at a port for each of `servers`: name to (certificate, protocols)."""

    def __init__(self, certs, site, servers):
        self.scratch = tempfile.TemporaryDirectory(prefix="hawser-nginx-")
        self.home = pathlib.Path(self.scratch.name)
        try:
            for attempt in range(5):
                if self.start(certs, site, servers):
                    return
            raise AssertionError("nginx does not start: " + (self.home / "output").read_text())
        except BaseException:
            self.scratch.cleanup()
            raise

    def start(self, certs, site, servers):
        self.ports = dict(zip(servers, free_ports(len(servers))))
        blocks = [NGINX_SERVER.format(port=self.ports[name], cert=certs[f"{cert}.pem"], key=certs[f"{cert}.key"], site=site, protocols=protocols)
                  for name, (cert, protocols) in servers.items()]
        config = self.home / "nginx.conf"
        # The certificates and pages are for this user only, whom nginx's workers would leave when that is root.
        config.write_text(NGINX.format(home=self.home, site=site, user="user root;" if os.getuid() == 0 else "", servers="".join(blocks)))
        with open(self.home / "output", "w") as output:
            self.process = subprocess.Popen(["nginx", "-p", str(self.home), "-e", str(self.home / "error.log"), "-c", str(config)],
                                            stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_until(lambda: self.process.poll() is not None or all(map(accepts, self.ports.values())), "nginx listens")
        return self.process.poll() is None

    def stop(self):
        end(self.process, signal.SIGTERM)
        self.scratch.cleanup()

    def forget_log(self):
        os.truncate(self.home / "access.log", 0)

    def log(self):
        return [line.split() for line in (self.home / "access.log").read_text().splitlines()]


class Relay(Server):
    """Hands a client through to a local port and cuts it off, by FIN or RST, after `count` bytes from there."""

    def __init__(self, port, count, cut):
        self.behind, self.count, self.cut = port, count, cut
        super().__init__(self.relay)

    def relay(self, client):
        with socket.create_connection(("127.0.0.1", self.behind), PATIENCE) as there:
            def forward():
                with contextlib.suppress(OSError):
                    while piece := client.recv(65536):
                        there.sendall(piece)

            forwarder = threading.Thread(target=forward)
            forwarder.start()
            left = self.count
            while left and (piece := there.recv(min(left, 65536))):
                client.sendall(piece)
                left -= len(piece)
            time.sleep(0.05)  # a reset overtakes what the client has not read
            if self.cut == "RST":
                client.shutdown(socket.SHUT_RD)  # frees the forwarder; a close alone would wait for it
                reset(client)
            else:
                client.shutdown(socket.SHUT_RDWR)
            forwarder.join(PATIENCE)


class Peers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.certs = Certificates()
        cls.addClassCleanup(cls.certs.scratch.cleanup)
        cls.trust = ["--cacert", cls.certs["ca.pem"]]
        cls.pair = ["--cert", cls.certs["server.pem"], "--key", cls.certs["server.key"]]
        cls.site = cls.certs.directory / "site"
        cls.site.mkdir()
        chosen = random.Random(11)
        sizes = [1024, LARGEST, 16383, 16384, 16385, 65536, 262144]  # both ends, and around TLS records and buffers
        # Full: every magnitude as often as any other. Otherwise the small ones more often.
        sizes += [int(1024 * 10240 ** chosen.random() ** (1 if FULL else 3)) for _ in range(PAGES - len(sizes))]
        cls.digests = {}
        for number, size in enumerate(sizes):
            body = chosen.randbytes(size)
            (cls.site / f"page{number}").write_bytes(body)
            cls.digests[f"page{number}"] = hashlib.sha256(body).hexdigest()
        if shutil.which("nginx"):
            servers = {"tls13": ("server", "TLSv1.3"), "tls12": ("server", "TLSv1.2")}
            servers |= {cert: (cert, "TLSv1.2 TLSv1.3") for cert in ("wrong-name", "expired", "self-signed")}
            cls.nginx = Nginx(cls.certs, cls.site, servers)
            cls.addClassCleanup(cls.nginx.stop)

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="hawser-peers-")
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)
        self.output = self.scratch / "output"
        self.output.mkdir()
        # Where the programs leave what they need for a while; nothing of it may stay.
        self.temporary = self.scratch / "tmp"
        self.temporary.mkdir()
        self.environment = {**os.environ, "TMPDIR": str(self.temporary)}

    # Starting our programs, and what holds for each of their runs.

    def clean(self, said):
        self.assertIsNone(REPORT.search(said), said)

    def fetch(self, *arguments, urls=()):
        """Exit status and stderr; the files are in self.output."""
        for old in self.output.iterdir():
            old.unlink()
        if urls:
            arguments = (*arguments, "--input", "-")
        trust = [] if "--cacert" in arguments else self.trust
        done = subprocess.run([program("fetch"), *trust, "--output", str(self.output), *arguments], input="\n".join(urls),
                              capture_output=True, text=True, timeout=PATIENCE * (5 if FULL else 1))
        self.clean(done.stderr)
        return done.returncode, done.stderr

    def check_pages(self, names):
        self.assertEqual({each.name for each in self.output.iterdir()}, set(names))
        wrong = [name for name in names if hashlib.sha256((self.output / name).read_bytes()).hexdigest() != self.digests[name]]
        self.assertEqual(wrong, [])

    def refused(self, url, *patterns, arguments=()):
        """A fetch that fails, says why, and leaves no file, complete or not."""
        status, said = self.fetch(*arguments, url)
        self.assertEqual(status, 1, said)
        told = re.findall(rf"(?m)^fetch: {re.escape(url)}: (.*)$", said)
        self.assertEqual(len(told), 1, said)
        for pattern in patterns:
            self.assertRegex(told[0], pattern)
        self.assertEqual(list(self.output.iterdir()), [])

    @contextlib.contextmanager
    def server(self, name, *arguments, stopped_by=signal.SIGTERM):
        """One of our servers, and its port. It is stopped at the end, and has to leave with status 0 and no trace."""
        log = self.temporary.parent / "server.log"
        process = None
        try:
            with open(log, "w") as errors:
                process = subprocess.Popen([program(name), "--port", "0", *arguments], stdout=subprocess.PIPE, stderr=errors,
                                           text=True, env=self.environment)
            lines = iter(process.stdout.readline, "")
            line = next((line for line in lines if line.startswith("listening on ")), None)
            self.assertIsNotNone(line, log.read_text())
            yield int(line.rsplit(":", 1)[1])
            process.send_signal(stopped_by)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.fail(f"{name} does not stop")
            said = log.read_text()
            self.assertEqual(process.returncode, 0, said)
            self.clean(said)
            self.assertEqual(list(self.temporary.iterdir()), [])
        finally:
            if process:
                end(process)

    def https_server(self, **more):
        return self.server("https_server", str(self.site), *self.pair, **more)

    def start(self, *command):
        """A program in the background, which does not outlive the test."""
        process = subprocess.Popen([*map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(end, process)
        return process

    # 1. fetch, from servers that nobody here wrote.

    @needs("nginx")
    def test_fetch_from_nginx(self):
        for server, version in VERSIONS.items():
            with self.subTest(version):
                self.nginx.forget_log()
                urls = [f"https://localhost:{self.nginx.ports[server]}/{name}" for name in self.digests]
                status, said = self.fetch("--concurrency", str(AT_ONCE), "--timeout", str(PATIENCE), urls=urls)
                self.assertEqual(status, 0, said)
                self.assertIn(f"fetched {PAGES} pages", said)
                self.check_pages(self.digests)
                # nginx writes its line after the page.
                wait_until(lambda: len(self.nginx.log()) >= PAGES, "nginx has logged each page")
                log = self.nginx.log()
                self.assertEqual({(line[0], line[2]) for line in log}, {(version, "200")})
                self.assertEqual(len(log), PAGES)
                self.assertEqual(len({line[1] for line in log}), AT_ONCE)  # one connection for each that is in progress

    @needs("openssl")
    def test_fetch_from_openssl(self):
        names = list(self.digests)[:20]
        for option, version in (("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")):
            with self.subTest(version):
                process = subprocess.Popen(["openssl", "s_server", "-WWW", option, "-accept", "127.0.0.1:0", "-cert", self.certs["server.pem"],
                                            "-cert_chain", self.certs["server.pem"], "-key", self.certs["server.key"]],
                                           cwd=self.site, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                self.addCleanup(end, process)
                line = next((line for line in iter(process.stdout.readline, "") if line.startswith("ACCEPT ")), "")
                self.assertRegex(line, r":\d+$")
                reader = threading.Thread(target=process.stdout.read)  # it reports each client
                reader.start()
                urls = [f"https://localhost:{line.rsplit(':', 1)[1].strip()}/{name}" for name in names]
                status, said = self.fetch("--concurrency", "1", urls=urls)
                self.assertEqual(status, 0, said)
                self.check_pages(names)
                process.kill()
                reader.join(PATIENCE)

    # 2. https_server, asked by clients that nobody here wrote.

    @needs("curl")
    def test_curl(self):
        names = list(self.digests)[:8]
        with self.https_server() as port:
            def curl(*arguments):
                done = subprocess.run(["curl", "-sS", "--http1.1", "--max-time", str(PATIENCE), *self.trust, *arguments], capture_output=True)
                self.assertEqual(done.returncode, 0, done.stderr)
                return done.stdout.decode("latin-1")

            base = f"https://localhost:{port}"
            for version in (["--tlsv1.3"], ["--tls-max", "1.2"]):
                for old in self.output.iterdir():
                    old.unlink()
                pages = [word for name in names for word in ("-o", str(self.output / name), f"{base}/{name}")]
                said = curl(*version, "-w", "%{http_code} %{http_version} %{num_connects} %{ssl_verify_result}\n", *pages)
                # One connection for all of them.
                self.assertEqual(said.splitlines(), ["200 1.1 1 0"] + ["200 1.1 0 0"] * (len(names) - 1))
                self.check_pages(names)
            head = curl("-I", f"{base}/page1")
            self.assertTrue(head.startswith("HTTP/1.1 200 "))
            self.assertIn(f"\r\nContent-Length: {LARGEST}\r\n", head)
            self.assertTrue(head.endswith("\r\n\r\n"))
            # A page that is not there does not cost the connection.
            said = curl("-o", "/dev/null", f"{base}/none", "-o", "/dev/null", f"{base}/page0", "-w", "%{http_code} %{num_connects}\n")
            self.assertEqual(said.splitlines(), ["404 1", "200 0"])

    @needs("wrk")
    def test_wrk(self):
        with self.https_server() as port:
            done = subprocess.run(["wrk", "-t1", "-c50", "-d1s", f"https://localhost:{port}/page0"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertRegex(done.stdout, r"(?m)^ *[1-9]\d* requests in")
        self.assertNotIn("Socket errors", done.stdout)
        self.assertNotIn("Non-2xx", done.stdout)

    @needs("openssl")
    def test_s_client(self):
        with self.https_server() as port:
            for option, version in (("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")):
                done = subprocess.run(["openssl", "s_client", option, "-connect", f"127.0.0.1:{port}", "-CAfile", self.certs["ca.pem"],
                                       "-verify_return_error", "-verify_hostname", "localhost", "-ign_eof"],
                                      input=b"GET /page4 HTTP/1.0\r\n\r\n", capture_output=True, timeout=PATIENCE)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn((self.site / "page4").read_bytes(), done.stdout)
                self.assertRegex(done.stdout, rf"New, {version}, Cipher is ".encode())
                self.assertIn(b"Verify return code: 0 (ok)", done.stdout)

    @needs("gnutls-cli")
    def test_gnutls(self):
        with self.https_server() as port:
            for version in ("1.3", "1.2"):
                asking = self.start("gnutls-cli", "--x509cafile", self.certs["ca.pem"], "--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{version}",
                                    "-p", port, "localhost")
                asking.stdin.write(b"GET /page4 HTTP/1.0\r\n\r\n")
                asking.stdin.flush()  # and not its end, at which gnutls-cli would leave
                said = asking.stdout.read()
                self.assertIn((self.site / "page4").read_bytes(), said)
                self.assertIn(b"Status: The certificate is trusted", said)
                self.assertIn(f"Description: (TLS{version}".encode(), said)
                self.assertIn(b"Peer has closed the GnuTLS connection", said)

    # 3. Peers that are refused, or that fail. An error names the host, its address and the cause.

    @needs("nginx")
    def test_certificates_that_are_refused(self):
        for cert, cause in (("wrong-name", "name `localhost' not present in server certificate"), ("expired", "certificate has expired"),
                            ("self-signed", "self.signed certificate")):
            with self.subTest(cert):
                port = self.nginx.ports[cert]
                self.refused(f"https://localhost:{port}/page0", rf"TLS handshake with localhost \(127\.0\.0\.1:{port}\)", cause)
        port = self.nginx.ports["tls13"]
        self.refused(f"https://localhost:{port}/page0", rf"TLS handshake with localhost \(127\.0\.0\.1:{port}\)", "unable to get .*issuer certificate",
                     arguments=["--cacert", self.certs["other-ca.pem"]])

    def test_nobody_there(self):
        [port] = free_ports(1)
        self.refused(f"https://localhost:{port}/page0", rf"connect to localhost \((127\.0\.0\.1|\[::1\]):{port}\)", "refused")
        # What a name server that cannot be reached has to say is another cause.
        self.refused("https://nosuch.invalid/page0", "nosuch.invalid", "no such host|name resolution failed|timed out")

    def test_handshakes_that_fail(self):
        def garbage(connection):
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nThis is no TLS port.")
            connection.recv(1000)

        def resets(connection):
            connection.recv(1000)
            reset(connection)

        def silent(connection):
            while connection.recv(1000):
                pass

        for script, cause in ((garbage, "wrong version number"), (resets, "reset by peer")):
            with self.subTest(script.__name__), Server(script) as server:
                self.refused(f"https://localhost:{server.port}/page0", rf"TLS handshake with localhost \(127\.0\.0\.1:{server.port}\)", cause)
        with Server(silent) as server:
            self.refused(f"https://localhost:{server.port}/page0", "timed out", arguments=["--timeout", "1"])
            # tls_info has a deadline for the handshake itself, and says so.
            done = subprocess.run([program("tls_info"), "localhost", str(server.port), *self.trust, "--timeout", "1"],
                                  capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.clean(done.stderr)
            self.assertRegex(done.stderr, rf"TLS handshake with localhost \(127\.0\.0\.1:{server.port}\): timed out")

    @needs("nginx")
    def test_cut_off_anywhere(self):
        """A real handshake and page, cut after so many bytes. Nothing short of the whole is a page."""
        for server in VERSIONS:
            for count in (0, 1, 5, 100, 1000, 20000, LARGEST // 2):
                # The first flight of these servers is larger than 1000 bytes and smaller than 20000.
                for cut, cause in (("RST", "reset by peer"), ("FIN", "truncated" if count > 1000 else "closed the connection during the TLS handshake")):
                    with self.subTest(server=server, count=count, cut=cut), Relay(self.nginx.ports[server], count, cut) as relay:
                        self.refused(f"https://localhost:{relay.port}/page1", rf"localhost \(127\.0\.0\.1:{relay.port}\)", cause)

    def test_reset_in_mid_body(self):
        def script(connection):
            read_head(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
            time.sleep(0.1)
            reset(connection)

        for scheme, context in (("http", None), ("https", self.certs.context())):
            with self.subTest(scheme), Server(script, context) as server:
                self.refused(f"{scheme}://localhost:{server.port}/page", rf"localhost \(127\.0\.0\.1:{server.port}\)", "reset by peer")

    def test_no_close_notify(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for size in (5, 1000000):
                text = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * size
                with self.subTest(version=version, size=size), Server(answer_once(text, notify=False), self.certs.context(version=version)) as server:
                    self.refused(f"https://localhost:{server.port}/page", rf"localhost \(127\.0\.0\.1:{server.port}\)", "truncated")
                # The same page from a peer that takes its leave.
                with self.subTest(version=version, size=size, notify=True), Server(answer_once(text), self.certs.context(version=version)) as server:
                    status, said = self.fetch(f"https://localhost:{server.port}/page")
                    self.assertEqual(status, 0, said)
                    self.assertEqual((self.output / "page").stat().st_size, size)

    @needs("nginx")
    def test_bad_peers_among_good_ones(self):
        names = [name for name in self.digests if name != "page1"][:100]
        good = [f"https://localhost:{self.nginx.ports['tls13']}/{name}" for name in names]
        [nobody] = free_ports(1)
        with Relay(self.nginx.ports["tls12"], 100000, "RST") as broken, Server(lambda connection: reset(connection)) as gone:
            bad = [f"https://localhost:{port}/page1" for port in (nobody, broken.port, gone.port, self.nginx.ports["expired"])]
            urls = good + bad * 5
            random.Random(3).shuffle(urls)
            status, said = self.fetch("--concurrency", str(AT_ONCE), urls=urls)
        self.assertEqual(status, 1, said)
        self.assertRegex(said, r"(?m)^fetched 100 pages, .* 20 failed$")
        self.check_pages(names)

    # 4. Stopped in the middle.

    def interrupt(self, number, urls, begun, what):
        running = subprocess.Popen([program("fetch"), *self.trust, "--concurrency", str(AT_ONCE), "--output", str(self.output), *urls],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment)
        try:
            wait_until(begun, what)
            running.send_signal(number)
            _, said = running.communicate(timeout=PATIENCE)
        finally:
            end(running)
        self.assertEqual(running.returncode, 130, said)
        self.assertIn("interrupted", said)
        self.clean(said)
        # Pages that were complete may be there, parts of pages not.
        self.check_pages([each.name for each in self.output.iterdir()])
        self.assertEqual(list(self.temporary.iterdir()), [])

    @needs("nginx")
    def test_fetch_interrupted(self):
        for number, server in ((signal.SIGINT, "tls13"), (signal.SIGTERM, "tls12")):
            with self.subTest(number.name):
                for old in self.output.iterdir():
                    old.unlink()
                urls = [f"https://localhost:{self.nginx.ports[server]}/slow/{name}" for name in self.digests]
                self.interrupt(number, urls, lambda: len(list(self.output.iterdir())) >= 100, "100 pages have begun")

    def test_fetch_interrupted_in_handshakes(self):
        with Server(lambda connection: connection.recv(10000) and connection.recv(1)) as server:
            urls = [f"https://localhost:{server.port}/page{number}" for number in range(100)]
            self.interrupt(signal.SIGINT, urls, lambda: server.accepted == 100, "100 handshakes have begun")

    @needs("wrk")
    def test_https_server_stopped_under_load(self):
        for number, certificate in ((signal.SIGINT, self.pair), (signal.SIGTERM, [])):
            # Without a certificate it makes one, in a directory that must not stay.
            with self.subTest(number.name), self.server("https_server", str(self.site), *certificate, stopped_by=number) as port:
                loads = [self.start("wrk", "-t1", f"-c{clients}", f"-d{PATIENCE}s", f"https://localhost:{port}/{page}")
                         for clients, page in ((50, "page0"), (10, "page1"))]
                silent = socket.create_connection(("127.0.0.1", port), PATIENCE)
                self.addCleanup(silent.close)
                time.sleep(0.7)
            for load in loads:
                self.assertIsNone(load.poll())  # it was there until the end
                end(load)

    def test_echo_server_stopped_under_load(self):
        tls = ["--tls", *self.pair]
        for number, arguments in ((signal.SIGINT, []), (signal.SIGTERM, []), (signal.SIGINT, tls), (signal.SIGTERM, [*tls, "--threads", "2"])):
            trust = ssl.create_default_context(cafile=self.certs["ca.pem"]) if arguments else None
            rounds = [0] * 20

            def client(index, port):
                with contextlib.suppress(OSError), contextlib.ExitStack() as closes:
                    line = closes.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
                    if trust:
                        line = closes.enter_context(trust.wrap_socket(line, server_hostname="localhost"))
                    while True:
                        line.sendall(b"x" * 10000)
                        left = 10000
                        while left:
                            piece = line.recv(left)
                            if not piece:
                                return
                            left -= len(piece)
                        rounds[index] += 1

            with self.subTest(number.name, arguments=arguments):
                with self.server("echo_server", *arguments, stopped_by=number) as port:
                    clients = [threading.Thread(target=client, args=(index, port)) for index in range(len(rounds))]
                    for each in clients:
                        each.start()
                    wait_until(lambda: min(rounds) >= 10, "each client has its echo")
                for each in clients:
                    each.join(PATIENCE)
                    self.assertFalse(each.is_alive())

    # 5. tls_info.

    def check_info(self, port, version):
        done = subprocess.run([program("tls_info"), "localhost", str(port), *self.trust, "--tls12" if version == "TLSv1.2" else "--tls13"],
                              capture_output=True, text=True, timeout=PATIENCE)
        self.clean(done.stderr)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for line in (rf"protocol +{re.escape(version)}$", r"cipher +\S*(AES|CHACHA20)\S* \((128|256) bits\)$",
                     "  subject +/CN=localhost$", "  verified +yes$"):
            self.assertRegex(done.stdout, f"(?m)^{line}")

    def test_info_of_https_server(self):
        with self.https_server() as port:
            for version in VERSIONS.values():
                self.check_info(port, version)

    @needs("nginx")
    def test_info_of_nginx(self):
        for server, version in VERSIONS.items():
            self.check_info(self.nginx.ports[server], version)

    # 6. Clients that say nothing.

    @needs("curl")
    def test_silent_clients(self):
        with self.https_server() as port, contextlib.ExitStack() as silent:
            clients = [silent.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE)) for _ in range(300)]
            done = subprocess.run(["curl", "-sS", "--max-time", str(PATIENCE), *self.trust, f"https://localhost:{port}/page1"], capture_output=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(hashlib.sha256(done.stdout).hexdigest(), self.digests["page1"])
            for client in clients:  # none of them was cut off to make room
                client.setblocking(False)
                self.assertRaises(BlockingIOError, client.recv, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
