#!/usr/bin/env python3
"""Tests of summary.py: nothing that failed may be missing from the closing line."""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest

import summary
from summary import Counts

DOCTEST = "[doctest] test cases:  7 |  5 passed | 2 failed | 1 skipped\n[doctest] assertions: 90 | 88 passed | 2 failed |\n"


def entry(result="OK", stdout="", stderr=""):
    return {"name": "some", "result": result, "stdout": stdout, "stderr": stderr}


class Count(unittest.TestCase):
    def test_doctest_cases(self):
        self.assertEqual(summary.count(entry("FAIL", DOCTEST)), Counts(5, 2, 1))

    def test_doctest_in_colour(self):
        text = "\x1b[0;36m[doctest] \x1b[0mtest cases: \x1b[0m3 | \x1b[0;32m3 passed\x1b[0m | 0 failed | 0 skipped"
        self.assertEqual(summary.count(entry("OK", text)), Counts(3, 0, 0))

    def test_a_crash_outside_the_cases_is_a_failure(self):
        text = "[doctest] test cases: 3 | 3 passed | 0 failed | 0 skipped\n"
        for result in ("FAIL", "TIMEOUT", "ERROR", "INTERRUPT"):
            self.assertEqual(summary.count(entry(result, text)), Counts(3, 1, 0))

    def test_a_program_that_ends_before_its_total_is_a_failure(self):
        for command in (["base_test", "--no-intro"], ["python3", "tests/layers_test.py"]):
            self.assertEqual(summary.count({**entry("OK"), "command": command}), Counts(0, 1, 0))

    def test_unittest_cases(self):
        self.assertEqual(summary.count(entry("OK", stderr="...\nRan 3 tests in 0.1s\n\nOK\n")), Counts(3, 0, 0))
        self.assertEqual(summary.count(entry("OK", stderr="Ran 1 test in 1.0s\n\nOK (skipped=1)\n")), Counts(0, 0, 1))
        text = "Ran 9 tests in 2.0s\n\nFAILED (failures=1, errors=2, skipped=1, unexpected successes=1)\n"
        self.assertEqual(summary.count(entry("FAIL", stderr=text)), Counts(4, 4, 1))

    def test_unittest_that_could_not_start(self):
        text = "Ran 0 tests in 0.0s\n\nFAILED (errors=1)\n"
        self.assertEqual(summary.count(entry("FAIL", stderr=text)), Counts(0, 1, 0))

    def test_other_tests_count_as_one(self):
        self.assertEqual(summary.count(entry("OK")), Counts(1, 0, 0))
        self.assertEqual(summary.count(entry("SKIP")), Counts(0, 0, 1))
        for result in ("FAIL", "TIMEOUT", "ERROR", "UNEXPECTEDPASS", "INTERRUPT"):
            self.assertEqual(summary.count(entry(result)), Counts(0, 1, 0))


class Run(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="hawser-summary-")
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def run_summary(self, *arguments):
        with contextlib.redirect_stdout(io.StringIO()) as output:
            status = summary.main([str(argument) for argument in arguments])
        return status, output.getvalue().splitlines()

    def log(self, *entries):
        file = self.scratch / "testlog.json"
        file.write_text("".join(json.dumps(one) + "\n" for one in entries))
        return file

    def test_closes_with_the_total(self):
        counts = self.scratch / "counts"
        status, lines = self.run_summary(self.log(entry(), entry("FAIL", DOCTEST)), "--counts", counts)
        self.assertEqual((status, lines[-1]), (1, "6 passed, 2 failed"))
        self.assertEqual(counts.read_text(), "6 2 1\n")

    def test_succeeds_only_if_something_ran(self):
        self.assertEqual(self.run_summary(self.log(entry())), (0, ["1 passed, 0 failed"]))
        for log in (self.log(), self.log(entry("SKIP")), self.scratch / "none"):
            status, lines = self.run_summary(log)
            self.assertEqual((status, lines[-1]), (1, "0 passed, 0 failed"))

    def test_adds_runs(self):
        first, second = self.scratch / "first", self.scratch / "second"
        first.write_text("5 0 1\n")
        second.write_text("7 0 0\n")
        status, lines = self.run_summary("--add", first, second)
        self.assertEqual((status, lines[-1]), (0, "12 passed, 0 failed"))
        status, lines = self.run_summary("--add", first, self.scratch / "never-written")
        self.assertEqual((status, lines[-1]), (1, "5 passed, 1 failed"))


if __name__ == "__main__":
    unittest.main()
