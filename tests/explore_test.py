#!/usr/bin/env python3
"""A tenth of what scripts/explore runs: schedules of tasks, time-outs and faults, each drawn from a seed.

`explore_test.py --run PROGRAM ARGUMENT...` runs the explorer with these arguments.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

EXPLORE = os.environ.get("HAWSER_EXPLORE", "")


def explore(program, *arguments, **more):
    """Runs it with a certificate for localhost. Its key is RSA, whose signatures are all of one length: a seed replays exactly."""
    with tempfile.TemporaryDirectory(prefix="hawser-explore-") as directory:
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", f"{directory}/server.key", "-out", f"{directory}/server.pem"]
        subprocess.run(command, check=True, capture_output=True)
        environment = {**os.environ, "HAWSER_EXPLORE_CERTIFICATE": f"{directory}/server"}
        return subprocess.run([program, *arguments], env=environment, text=True, **more)


class Explore(unittest.TestCase):
    def passes(self, *arguments):
        done = explore(EXPLORE, *arguments, capture_output=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stdout[-4000:] + done.stderr[-4000:])
        print(done.stdout, end="")
        return done.stdout

    def counts(self, text, line):
        found = re.search(rf"^{line}: (.*)$", text, re.MULTILINE)
        self.assertIsNotNone(found, text)
        return [int(n) for n in re.findall(r"(\d+) (?!s;)\w", found[1])]

    def test_plain(self):
        counts = self.counts(self.passes("--plain", os.environ.get("HAWSER_EXPLORE_PLAIN", "10000")), "plain")
        # Each kind of outcome was met: an explorer that meets nothing explores nothing. Only handshakes cannot fail here.
        self.assertTrue(all(counts[:-1]), counts)

    def test_tls(self):
        counts = self.counts(self.passes("--tls", os.environ.get("HAWSER_EXPLORE_TLS", "200")), "TLS")
        self.assertTrue(all(counts), counts)

    def test_a_seed_replays(self):
        for more in ([], ["--over-tls"]):
            runs = [explore(EXPLORE, "--seed", "5", *more, capture_output=True, timeout=60) for _ in range(2)]
            self.assertEqual(runs[0].returncode, 0, runs[0].stderr[-4000:])
            self.assertGreater(len(runs[0].stderr.splitlines()), 20)
            self.assertEqual(runs[0].stderr, runs[1].stderr)

    def test_misuse_is_told(self):
        done = explore(EXPLORE, "--plain", "many", capture_output=True)
        self.assertEqual((done.returncode, done.stderr), (2, "explore: --plain takes a number\n"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        sys.exit(explore(*sys.argv[2:]).returncode)
    unittest.main()
