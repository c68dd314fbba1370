#!/usr/bin/env python3
"""Adds up what one run of the tests did, from Meson's log of it.

    summary.py LOG [--counts FILE]      one run; FILE gets the three numbers
    summary.py --add FILE...            several runs, from the files written before

Test cases of doctest programs, of Python's unittest and of TAP count one each, every other test of Meson's counts as one.
Closes with the line `N passed, N failed`; the exit status is 1 if anything failed or nothing ran.
"""

import argparse
import json
import pathlib
import re
import sys
from dataclasses import astuple, dataclass

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
DOCTEST = re.compile(
    r"^\[doctest\] test cases:\s*\d+ \|\s*(\d+) passed \|\s*(\d+) failed(?: \|\s*(\d+) skipped)?", re.MULTILINE
)
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n+(OK|FAILED)(?: \((.*)\))?$", re.MULTILINE)
TAP = re.compile(r"^(not )?ok \d+\b(?:.*(# SKIP))?", re.MULTILINE | re.IGNORECASE)
TAP_PLAN = re.compile(r"^1\.\.(\d+)$", re.MULTILINE)
GOOD = {"OK", "EXPECTEDFAIL"}


@dataclass
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other):
        return Counts(*(ours + theirs for ours, theirs in zip(astuple(self), astuple(other))))


def count_doctest(text):
    total = None
    for passed, failed, skipped in DOCTEST.findall(text):
        total = (total or Counts()) + Counts(int(passed), int(failed), int(skipped or 0))
    return total


def count_unittest(text):
    total = None
    for ran, _, details in UNITTEST.findall(text):
        kinds = {name: int(number) for name, number in re.findall(r"([a-z ]+)=(\d+)", details)}
        kinds = {name.strip(): number for name, number in kinds.items()}
        failed = sum(kinds.get(name, 0) for name in ("failures", "errors", "unexpected successes"))
        skipped = kinds.get("skipped", 0)
        # A failing subtest counts as a failure of its own, so there can be more of them than tests.
        passed = max(0, int(ran) - failed - skipped)
        total = (total or Counts()) + Counts(passed, failed, skipped)
    return total


def count_tap(text):
    plan = TAP_PLAN.search(text)
    if not plan:
        return None
    lines = TAP.findall(text)
    failed = sum(1 for bad, _ in lines if bad)
    skipped = sum(1 for bad, skip in lines if skip and not bad)
    # Cases that the plan promises and that said nothing have failed.
    failed += max(0, int(plan.group(1)) - len(lines))
    return Counts(len(lines) - sum(1 for bad, _ in lines if bad) - skipped, failed, skipped)


def owes_total(entry):
    """Whether the test prints a total at its end, so that one without it was cut short, whatever its status."""
    command = entry.get("command", [])
    return "--no-intro" in command or any(word.endswith(("_test.py", "_test.lua")) for word in command)


def count(entry):
    text = COLOUR.sub("", entry.get("stdout", "") + "\n" + entry.get("stderr", ""))
    result = entry["result"]
    inner = count_doctest(text) or count_unittest(text) or count_tap(text)
    if inner is None:
        if result == "SKIP":
            return Counts(skipped=1)
        return Counts(passed=1) if result in GOOD and not owes_total(entry) else Counts(failed=1)
    if result not in GOOD and result != "SKIP" and inner.failed == 0:
        # It broke outside its test cases: a crash, a time-out, a leak reported at the end.
        inner.failed = 1
    return inner


def read(log):
    return [json.loads(line) for line in log.read_text().splitlines() if line.strip()] if log.exists() else []


def report(counts):
    if counts.skipped:
        print(f"skipped: {counts.skipped}")
    if counts.passed + counts.failed == 0:
        print("no test ran")
    print(f"{counts.passed} passed, {counts.failed} failed")
    return 1 if counts.failed or counts.passed == 0 else 0


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", nargs="?", type=pathlib.Path)
    parser.add_argument("--counts", type=pathlib.Path)
    parser.add_argument("--add", nargs="+", type=pathlib.Path)
    args = parser.parse_args(arguments)
    if (args.log is None) == (args.add is None):
        parser.error("give either a log or --add")

    if args.add:
        total = Counts()
        for file in args.add:
            # A run that never got as far as writing its counts is a failure.
            total += Counts(*map(int, file.read_text().split())) if file.exists() else Counts(failed=1)
        return report(total)

    total = Counts()
    for entry in read(args.log):
        counts = count(entry)
        total += counts
        if counts.failed:
            print(f"failed: {entry['name']} ({entry['result'].lower()}, {counts.failed} of its cases)")
    status = report(total)
    if args.counts:
        args.counts.write_text(" ".join(map(str, astuple(total))) + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
