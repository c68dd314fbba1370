#!/usr/bin/env python3
"""Prints the headers below an include directory, one a line, as a program includes them."""

import pathlib
import sys

root = pathlib.Path(sys.argv[1])
print("\n".join(sorted(str(header.relative_to(root)) for header in (root / "hawser").rglob("*.hpp"))))
