"""The command line: builds, measures, and writes the report."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import tempfile
import time

from . import build, machine, musts, plots, report, results, workloads
from .contenders import Suite
from .processes import ALL_CPUS, Failure, stop_all
from .results import Result

SOURCE = pathlib.Path(__file__).resolve().parents[2]


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures hawser against other ways to do the same, side by side in one run.",
                                     epilog="Ctrl-C ends everything that was started.")
    parser.add_argument("--full", action="store_true", help="longer, with more connections: up to half an hour")
    parser.add_argument("--only", metavar="WORKLOAD,...", default="", help="only these, or those whose names begin so; see --list")
    parser.add_argument("--cycles", type=int, metavar="N", help="how often each contender of a workload is visited (default: 41 where something is judged)")
    parser.add_argument("--output", type=pathlib.Path, metavar="DIR", help="where results go (default: build/bench-results)")
    parser.add_argument("--compiler", default="g++", metavar="CXX", help="compiler of all contenders (default: g++)")
    parser.add_argument("--libtls", type=pathlib.Path, metavar="PREFIX", help="another libtls, installed under this prefix")
    parser.add_argument("--asio", type=pathlib.Path, metavar="INCLUDE_DIR", help="another Asio: the directory that holds asio.hpp")
    parser.add_argument("--jobs", type=int, metavar="N", default=len(ALL_CPUS), help="how many compilers at once while building")
    parser.add_argument("--programs", type=pathlib.Path, metavar="DIR", help="measure programs built before, and build nothing")
    parser.add_argument("--list", action="store_true", help="name the workloads and end")
    parser.add_argument("--check", action="store_true", help="exit with status 1 if anything that must be reached is missed")
    parser.add_argument("--no-setup", action="store_true", help="do not install what is missing")
    args = parser.parse_args(arguments)
    if args.cycles is not None and args.cycles < 1:
        parser.error("--cycles must be at least 1")
    if args.jobs < 1:
        parser.error("--jobs must be at least 1")
    for path in (args.libtls, args.asio, args.programs):
        if path is not None and not path.is_dir():
            parser.error(f"{path} is not a directory")
    if args.asio is not None and not (args.asio / "asio.hpp").is_file():
        parser.error(f"there is no asio.hpp in {args.asio}")
    return args


def header_flags(environment: dict[str, str | None], asio: pathlib.Path | None) -> list[str]:
    """What a file needs to include hawser and what it stands on."""
    text = subprocess.run(["pkg-config", "--cflags", "libtls", "liburing", "libcares"], capture_output=True, text=True,
                          env={**os.environ, **{name: value for name, value in environment.items() if value}})
    if text.returncode != 0:
        raise Failure(f"pkg-config: {text.stderr.strip()}")
    return [*([f"-isystem{asio}"] if asio else []), f"-I{SOURCE / 'include'}", *shlex.split(text.stdout)]


def run_one(suite: Suite, one: workloads.Workload) -> Result:
    """A workload that cannot run at all is a skipped one, with the reason."""
    start = time.monotonic()
    try:
        result = one.run(suite, one.name)
    except Failure as failure:
        result = results.skip(results.new(one.name, one.name.replace("_", " "), "", ""), str(failure))
    result["seconds"] = round(time.monotonic() - start, 1)
    return result


def measure_all(suite: Suite, chosen: list[workloads.Workload]) -> dict[str, Result]:
    found: dict[str, Result] = {}
    for number, one in enumerate(chosen, 1):
        print(f"[{number}/{len(chosen)}] {one.name} ... ", end="", flush=True)
        result = run_one(suite, one)
        print(report.one_line(result), flush=True)
        for who, message in result["failed"].items():
            print(f"    {who}: {message}", flush=True)
        found[one.name] = result
    return found


def interrupted(number: int, _: object) -> None:
    raise KeyboardInterrupt(number)


def main(arguments: list[str]) -> int:
    args = parse(arguments)
    only = [word for word in args.only.split(",") if word]
    if args.list:
        for one in workloads.all_workloads(None, []):
            print(f"{one.name:20} {one.about}")
        return 0
    compiler = shlex.split(args.compiler)
    asio = args.asio.resolve() if args.asio else None
    libtls = args.libtls.resolve() if args.libtls else None
    environment = build.library_environment(libtls)
    flags = header_flags(environment, asio)
    directory = build.directory_for(SOURCE, args.compiler, libtls, asio)
    chosen, unknown = workloads.chosen(workloads.all_workloads(None if args.programs else directory, flags), only)
    if unknown:
        print(f"bench: no workload is called {' or '.join(unknown)}; see --list", file=sys.stderr)
        return 2
    output = args.output or SOURCE / "build" / directory.name.replace("bench", "bench-results", 1)
    output.mkdir(parents=True, exist_ok=True)

    here = machine.choose()
    if args.programs:
        programs = args.programs.resolve()
    else:
        print(f"building in {directory.relative_to(SOURCE)}", flush=True)
        programs = build.build(SOURCE, directory, args.compiler, environment, asio, args.jobs)
    about = {
        "machine": machine.describe(here),
        "versions": machine.versions(compiler, flags, environment),
        "flags": build.flags_of(programs.parent),
        "command": "scripts/bench " + shlex.join(arguments),
        "date": time.strftime("%Y-%m-%d"),
    }
    with tempfile.TemporaryDirectory(prefix="hawser-bench-") as scratch:
        suite = Suite(
            machine=here,
            programs=programs,
            certificates=build.make_certificates(SOURCE, pathlib.Path(scratch, "certificates")),
            scratch=pathlib.Path(scratch),
            source=SOURCE,
            compiler=compiler,
            full=args.full,
            cycles=args.cycles,
            environment=environment,
        )
        start = time.monotonic()
        machine.settle(here)
        try:
            found = measure_all(suite, chosen)
        finally:
            stop_all()
            machine.unsettle()
        about["seconds"] = round(time.monotonic() - start)
    verdicts = musts.judge(found)
    images, problem = plots.draw(found, verdicts, output)
    (output / "results.json").write_text(json.dumps(
        {**about, "musts": [one.as_json() for one in verdicts], "workloads": found, "no_plots": problem}, indent=1) + "\n")
    (output / "results.md").write_text(report.markdown(about, found, verdicts, images))
    if problem:
        print(f"no plots: {problem}")
    print(report.closing(verdicts))
    print(f"results are in {output}")
    return 1 if args.check and any(one.verdict == "missed" for one in verdicts) else 0


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt as interrupt:
        stop_all()
        print("\nbench: interrupted, everything is stopped", file=sys.stderr)
        sys.exit(128 + int(interrupt.args[0] if interrupt.args else signal.SIGINT))
    except Failure as failure:
        stop_all()
        print(f"bench: {failure}", file=sys.stderr)
        sys.exit(1)
