#!/usr/bin/env python3
"""docs/defaults.md is true: its values are the code's, no constant is missing, and the tests that it names exist."""

import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent
PAGE = SOURCE / "docs" / "defaults.md"
CXX = shlex.split(os.environ.get("CXX", "g++"))

PROGRAM = """
#include <hawser/hawser.hpp>
#include <iostream>
using namespace hawser;
namespace hw = hawser;
void show(const char* name, bool yes) { std::cout << name << '=' << (yes ? "on" : "off") << '\\n'; }
void show(const char* name, duration d) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
    std::cout << name << '=' << (ms % 1000 ? ms : ms / 1000) << (ms % 1000 ? " ms" : " s") << '\\n';
}
template <std::integral T> void show(const char* name, T n) {
    const auto v = static_cast<unsigned long>(n);
    if (v && v % (1ul << 20) == 0) std::cout << name << '=' << (v >> 20) << " MiB\\n";
    else if (v >= 16384 && v % 1024 == 0) std::cout << name << '=' << (v >> 10) << " KiB\\n";
    else std::cout << name << '=' << v << '\\n';
}
int main() {
"""


def rows():
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 5 and cells[0] not in ("What", "---"):
            yield cells


class Defaults(unittest.TestCase):
    def test_values_are_those_of_the_code(self):
        named = {name.strip("`"): value for _, value, name, _, _ in rows() if name}
        self.assertGreater(len(named), 20)
        with tempfile.TemporaryDirectory() as scratch:
            source, program = pathlib.Path(scratch, "defaults.cpp"), pathlib.Path(scratch, "defaults")
            # The qualified spelling: tls alone is ambiguous with struct tls.
            shows = [f'    show("{name}", hw::{name});\n' for name in named]
            source.write_text(PROGRAM + "".join(shows) + "}\n")
            libraries = shlex.split(subprocess.check_output(["pkg-config", "--cflags", "--libs", "libtls", "liburing", "libcares"], text=True))
            command = [*CXX, "-std=c++20", "-I", SOURCE / "include", source, "-o", program, *libraries, "-pthread"]
            subprocess.run(command, check=True)
            said = dict(line.rsplit("=", 1) for line in subprocess.check_output([program], text=True).splitlines())
        self.assertEqual(said, named)

    def test_no_constant_is_missing(self):
        header = (SOURCE / "include/hawser/base/defaults.hpp").read_text()
        constants = re.findall(r"inline constexpr [\w:]+ (\w+) =", header)
        self.assertGreater(len(constants), 10)
        page = PAGE.read_text()
        self.assertEqual([name for name in constants if f"`defaults::{name}`" not in page], [])

    def test_the_tests_exist(self):
        for what, _, _, changed_by, test in rows():
            with self.subTest(row=what):
                self.assertTrue(changed_by)
                file, name = test.split(": ", 1)
                text = (SOURCE / "tests" / file).read_text()
                self.assertIn(f'TEST_CASE("{name}")', text)


if __name__ == "__main__":
    unittest.main()
