#!/usr/bin/env python3
"""What including hawser costs a program's build.

Compiles one file that includes only <hawser/hawser.hpp> and one that includes what it stands on (tls.h, liburing.h,
<coroutine>), in turns, and prints the ratio of the medians of the compiler's user time.
"""

import argparse
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile

SOURCES = {
    "floor": "#include <tls.h>\n#include <liburing.h>\n#include <coroutine>\nint main() {}\n",
    "umbrella": "#include <hawser/hawser.hpp>\nint main() {}\n",
}


def pkg_config_flags():
    command = ["pkg-config", "--cflags", "libtls", "liburing", "libcares"]
    return shlex.split(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def user_seconds(command):
    """User time of one command, its children (cc1plus) included."""
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"include_cost: {shlex.join(command)} failed with status {process.returncode}")
    return usage.ru_utime


def measure(compiler, include, runs):
    flags = ["-std=c++20", "-O0", f"-I{include}", *pkg_config_flags()]
    times = {name: [] for name in SOURCES}
    with tempfile.TemporaryDirectory(prefix="hawser-include-cost-") as scratch:
        files = {}
        for name, text in SOURCES.items():
            files[name] = pathlib.Path(scratch, name + ".cpp")
            files[name].write_text(text)
        # The first round only warms the page cache. Turns, so that a slow moment of the machine hits both.
        for turn in range(runs + 1):
            for name, file in files.items():
                seconds = user_seconds([*shlex.split(compiler), *flags, "-c", str(file), "-o", os.devnull])
                if turn > 0:
                    times[name].append(seconds)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--include", default=pathlib.Path(__file__).resolve().parent.parent / "include")
    parser.add_argument("--runs", type=int, default=5, help="timed compilations of each file")
    parser.add_argument("--limit", type=float, help="exit with status 1 if the ratio is above this")
    args = parser.parse_args()
    if args.runs < 1:
        parser.error("--runs must be at least 1")

    times = measure(args.compiler, args.include, args.runs)
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(f"{name:9} median {medians[name]:.3f} s  (min {min(values):.3f}, max {max(values):.3f}, {len(values)} runs)")
    ratio = medians["umbrella"] / medians["floor"]
    print(f"ratio     {ratio:.2f}" + (f"  (limit {args.limit:.2f})" if args.limit else ""))
    return 1 if args.limit and ratio > args.limit else 0


if __name__ == "__main__":
    sys.exit(main())
