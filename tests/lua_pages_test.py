#!/usr/bin/env python3
"""Lua programs that fetch 500 pages at once from nginx, over http and https, and have every byte of them."""

import os
import pathlib
import random
import re
import resource
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("HAWSER_SOURCE_ROOT", pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(SOURCE / "tests"))
sys.path.insert(0, str(SOURCE / "tests" / "examples"))
from peers_test import accepts, end, free_ports, needs  # noqa: E402
from support import Certificates, wait_until  # noqa: E402

PAGES = 500
PATIENCE = 120
# Interpreters and where their hawser/core.so is: "lua5.4=DIR:luajit=DIR".
RUNTIMES = dict(each.split("=", 1) for each in os.environ.get("HAWSER_LUA", "").split(":") if each)
# A program of others that is run too where it exists: a function request(item) for the names of hawser.compat.
SEED = pathlib.Path(os.environ.get("HAWSER_SEED", SOURCE.parent / "shared" / "seed" / "request.lua"))

NGINX = """
worker_processes 1;
worker_rlimit_nofile 4096;
daemon off;
{user}
pid {home}/pid;
error_log {home}/error.log warn;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;
    uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;
    server {{
        listen 127.0.0.1:{http} backlog=1024;
        listen 127.0.0.1:{https} ssl backlog=1024;
        server_name localhost;
        ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
        root {site};
    }}
}}
"""


class Nginx:
    def __init__(self, certs, site):
        self.scratch = tempfile.TemporaryDirectory(prefix="hawser-pages-")
        self.home = pathlib.Path(self.scratch.name)
        self.ports = dict(zip(("http", "https"), free_ports(2)))
        config = self.home / "nginx.conf"
        # The pages are for this user only, whom nginx's workers would leave when that is root.
        config.write_text(NGINX.format(home=self.home, site=site, user="user root;" if os.getuid() == 0 else "",
                                       cert=certs["server.pem"], key=certs["server.key"], **self.ports))
        with open(self.home / "output", "w") as output:
            self.process = subprocess.Popen(["nginx", "-p", str(self.home), "-e", str(self.home / "error.log"), "-c", str(config)],
                                            stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            wait_until(lambda: self.process.poll() is not None or all(map(accepts, self.ports.values())), "nginx listens")
            if self.process.poll() is not None:
                raise AssertionError("nginx does not start: " + (self.home / "output").read_text())
        except BaseException:
            self.stop()
            raise

    def stop(self):
        end(self.process, 15)
        self.scratch.cleanup()


@needs("nginx")
@unittest.skipUnless(RUNTIMES, "needs HAWSER_LUA")
class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 8192 if hard == resource.RLIM_INFINITY else min(hard, 8192)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        cls.certs = Certificates()
        cls.addClassCleanup(cls.certs.scratch.cleanup)
        site = cls.certs.directory / "site"
        site.mkdir()
        chosen = random.Random(7)
        special = [0, 1, 2, 4095, 4096, 16383, 16384, 16385, 65536, 1 << 20, 3 << 20]
        sizes = [size for size in special for _ in range(2)]  # pages with even and odd numbers differ in their scheme
        sizes += [int(2 ** chosen.uniform(0, 19)) for _ in range(PAGES - len(sizes))]
        cls.bodies = [chosen.randbytes(size) for size in sizes]
        for number, body in enumerate(cls.bodies):
            (site / f"page{number}").write_bytes(body)
        cls.nginx = Nginx(cls.certs, site)
        cls.addClassCleanup(cls.nginx.stop)
        cls.schemes = ["https" if number % 2 else "http" for number in range(PAGES)]

    def fetch(self, runtime, *program):
        """Runs pages.lua in a directory of its own, and compares what it has written there."""
        with tempfile.TemporaryDirectory(prefix="hawser-pages-") as scratch:
            home = pathlib.Path(scratch)
            (home / "header").mkdir()
            (home / "body").mkdir()
            (home / "list").write_text("".join(f"{scheme}://localhost:{self.nginx.ports[scheme]}/page{n} h{n} b{n}\n"
                                               for n, scheme in enumerate(self.schemes)))
            environment = {**os.environ,
                           "LUA_PATH": f"{SOURCE}/lua/?.lua;;", "LUA_CPATH": f"{RUNTIMES[runtime]}/?.so",
                           "SSL_CERT_FILE": self.certs["ca.pem"]}
            environment.pop("SSL_CERT_DIR", None)
            if os.environ.get("HAWSER_LUA_PRELOAD"):
                environment["LD_PRELOAD"] = os.environ["HAWSER_LUA_PRELOAD"]
            done = subprocess.run([runtime, str(SOURCE / "tests" / "lua" / "pages.lua"), "list", *program], cwd=home, env=environment,
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
            # What hawser says of a bundle of authorities, and nothing else.
            said = "".join(line for line in done.stderr.splitlines(True) if not line.startswith("hawser: no hashed directory"))
            self.assertEqual((done.returncode, said[:2000], done.stdout[:2000]), (0, "", ""))
            self.assertEqual(len(list((home / "header").iterdir())), PAGES)
            self.assertEqual(len(list((home / "body").iterdir())), PAGES)
            for n, body in enumerate(self.bodies):
                with self.subTest(page=n, scheme=self.schemes[n], size=len(body)):
                    self.assertTrue((home / "body" / f"b{n}").read_bytes() == body, "another body")
                    self.check_header((home / "header" / f"h{n}").read_bytes(), len(body))

    def check_header(self, header, size):
        self.assertTrue(header.startswith(b"HTTP/1.1 200 OK\r\n"), header[:100])
        self.assertEqual(re.findall(rb"(?im)^Content-Length: (\d+)\r$", header), [b"%d" % size])
        # One blank line, at the end: nothing of the body.
        self.assertTrue(header.endswith(b"\r\n\r\n"), header[-100:])
        self.assertEqual(header.index(b"\r\n\r\n"), len(header) - 4)

    def test_pages(self):
        for runtime in RUNTIMES:
            with self.subTest(runtime):
                self.fetch(runtime)

    @unittest.skipUnless(SEED.exists(), f"needs {SEED}")
    def test_unchanged_request(self):
        for runtime in RUNTIMES:
            with self.subTest(runtime):
                self.fetch(runtime, str(SEED))


if __name__ == "__main__":
    unittest.main(verbosity=2)
