#!/usr/bin/env python3
"""The certificates of scripts/make-certs are what the other tests take them for, as openssl sees them."""

import pathlib
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent


class Certificates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="hawser-certs-")
        cls.addClassCleanup(scratch.cleanup)
        cls.directory = pathlib.Path(scratch.name)
        subprocess.run([SOURCE / "scripts" / "make-certs", cls.directory], check=True)

    def verify(self, name, *options, ca="ca.pem"):
        """None if openssl accepts it, else what openssl says."""
        file = self.directory / name
        done = subprocess.run(
            ["openssl", "verify", "-no-CAfile", "-no-CApath", "-trusted", self.directory / ca, "-untrusted", file,
             *options, file],
            capture_output=True, text=True,
        )
        return None if done.returncode == 0 else done.stdout + done.stderr

    def test_server_is_good_for_its_names(self):
        server = ["-purpose", "sslserver"]
        self.assertIsNone(self.verify("server.pem", *server, "-verify_hostname", "localhost"))
        for address in ("127.0.0.1", "::1"):
            self.assertIsNone(self.verify("server.pem", *server, "-verify_ip", address))

    def test_client_is_good(self):
        self.assertIsNone(self.verify("client.pem", "-purpose", "sslclient"))

    def test_the_others_are_refused_for_their_own_reason(self):
        self.assertIn("certificate has expired", self.verify("expired.pem", "-verify_hostname", "localhost"))
        self.assertIn("ostname mismatch", self.verify("wrong-name.pem", "-verify_hostname", "localhost"))
        self.assertIsNone(self.verify("wrong-name.pem", "-verify_hostname", "wrong.example.test"))
        self.assertIn("self", self.verify("self-signed.pem", "-verify_hostname", "localhost"))
        self.assertIn("unable to get", self.verify("server.pem", ca="other-ca.pem"))

    def test_keys_belong_to_their_certificates_and_are_private(self):
        def public(*command):
            return subprocess.run(["openssl", *command], check=True, capture_output=True).stdout

        for name in ("ca", "server", "client", "expired", "wrong-name", "self-signed"):
            pem, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
            self.assertEqual(public("x509", "-in", pem, "-noout", "-pubkey"), public("pkey", "-in", key, "-pubout"))
            self.assertEqual(key.stat().st_mode & 0o077, 0)

    def test_again_in_the_same_directory(self):
        subprocess.run([SOURCE / "scripts" / "make-certs", self.directory], check=True)
        self.assertIsNone(self.verify("server.pem"))


if __name__ == "__main__":
    unittest.main()
