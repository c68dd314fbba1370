#!/usr/bin/env python3
"""Steady state costs no allocation of ours and at most one io_uring_enter(2) per turn of the loop."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.environ['STEADY_STATE']
SOURCE = os.environ['HAWSER_SOURCE_ROOT']


class SteadyState(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.certificates = tempfile.TemporaryDirectory()
        subprocess.run([SOURCE + '/scripts/make-certs', cls.certificates.name], check=True, stdout=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        cls.certificates.cleanup()

    def run_echo(self, messages, *before):
        done = subprocess.run([*before, PROGRAM, self.certificates.name, str(messages)], check=True, timeout=60,
                              capture_output=True, text=True)
        found = re.search(r'(\d+) messages, (\d+) allocations, (\d+) turns', done.stdout)
        self.assertTrue(found, done.stdout + done.stderr)
        return [int(n) for n in found.groups()]

    def count_calls(self, messages):
        """The turns of the loop, and how often each system call was made."""
        with tempfile.NamedTemporaryFile('r') as log:
            _, _, turns = self.run_echo(messages, 'strace', '-f', '-c', '-U', 'calls,name', '-o', log.name)
            calls = {}
            for line in log.read().splitlines():
                row = re.match(r'\s*(\d+)\s+(\w+)$', line)
                if row and row[2] != 'total':
                    calls[row[2]] = int(row[1])
        return turns, calls

    def test_no_allocation_of_ours_per_message(self):
        messages, allocations, _ = self.run_echo(5000)
        self.assertEqual(messages, 5000)
        self.assertEqual(allocations, 0)

    def test_one_enter_per_turn_and_no_other_call(self):
        if not shutil.which('strace') or subprocess.run(['strace', '-o', '/dev/null', 'true'], capture_output=True).returncode:
            self.skipTest('strace does not work here')
        few_turns, few = self.count_calls(500)
        many_turns, many = self.count_calls(3500)
        turns = many_turns - few_turns
        self.assertGreater(turns, 0)
        enters = many.pop('io_uring_enter') - few.pop('io_uring_enter')
        self.assertGreater(enters, 0)
        self.assertLessEqual(enters, turns + 5)
        # OpenSSL asks for its process id now and then; nothing else may grow with the number of messages.
        for name in set(few) | set(many):
            if name != 'getpid':
                self.assertLess(many.get(name, 0) - few.get(name, 0), 50, name)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1], verbosity=2)
