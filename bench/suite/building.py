"""What each library costs the build: a file that only includes it, and the whole source of its echo server."""

from __future__ import annotations

import json
import os
import pathlib
import random
import shlex

from . import results
from .contenders import Suite, label
from .paired import ratios, spread
from .processes import Failure, Process
from .results import Result

INCLUDES = {
    "floor": ("tls.h", "liburing.h", "coroutine"),
    "stream": ("hawser/tls/stream.hpp",),
    "umbrella": ("hawser/hawser.hpp",),
    "asio": ("asio.hpp", "asio/ssl.hpp"),
}
INCLUDE_LABELS = {
    "floor": "tls.h + liburing.h + coroutine",
    "stream": "hawser/tls/stream.hpp",
    "umbrella": "hawser/hawser.hpp",
    "asio": "asio.hpp + asio/ssl.hpp",
}
SOURCES = ("hawser", "floor", "asio", "blocking_libtls")


def user_seconds(command: list[str], directory: pathlib.Path, suite: Suite) -> float:
    """User time of a compiler with its children."""
    with Process(command, cpus=[suite.machine.measured_cpu], priority=suite.machine.server_priority, directory=directory,
                 name=shlex.join(command[:1])) as process:
        process.popen.stdin.close()  # type: ignore[union-attr]
        # No output is read while it runs: a compiler says nothing on stdout.
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except InterruptedError:
            raise KeyboardInterrupt from None
        process.popen.returncode = os.waitstatus_to_exitcode(status)
        if process.popen.returncode != 0:
            raise Failure(process.describe("does not compile it"))
    return usage.ru_utime


def commands(suite: Suite, build: pathlib.Path) -> dict[str, tuple[list[str], pathlib.Path]]:
    """How the build compiles each echo server, without its outputs."""
    try:
        entries = json.loads((build / "compile_commands.json").read_text())
    except (OSError, ValueError) as error:
        raise Failure(f"no commands of the build: {error}") from None
    found = {}
    for entry in entries:
        for who in SOURCES:
            # The variant without recycler compiles the same file.
            if entry["file"].endswith(f"/{who}_server.cpp") and who not in found:
                words = shlex.split(entry["command"])
                kept: list[str] = []
                skip = False
                for word in words:
                    if skip:
                        skip = False
                    elif word in ("-o", "-MQ", "-MF"):
                        skip = True
                    elif word != "-MD":
                        kept.append(word)
                found[who] = ([*kept, "-o", os.devnull], pathlib.Path(entry["directory"]))
    return found


def measure_turns(suite: Suite, what: dict[str, tuple[list[str], pathlib.Path]], turns: int, warm_up: int,
                  failed: dict[str, str]) -> dict[str, list[float]]:
    """Everything once a turn; what warms up, the page cache, does not count."""
    times: dict[str, list[float]] = {name: [] for name in what}
    shuffle = random.Random(1)
    order = list(what)
    for turn in range(warm_up + turns):
        shuffle.shuffle(order)
        for name in order:
            if name in failed:
                continue
            try:
                seconds = user_seconds(*what[name], suite)
            except Failure as failure:
                failed[name] = str(failure)
                continue
            if turn >= warm_up:
                times[name].append(seconds)
    return {name: values for name, values in times.items() if values}


def build_cost(suite: Suite, name: str, build: pathlib.Path | None, flags: list[str]) -> Result:
    turns = suite.cycles if suite.cycles is not None else (11 if suite.full else 5)
    result = results.new(name, "Build cost", "compilation", "User time of the compiler.")
    result["cycles"] = turns
    what = {}
    for key, headers in INCLUDES.items():
        file = suite.scratch / f"include_{key}.cpp"
        file.write_text("".join(f"#include <{header}>\n" for header in headers) + "int main() {}\n")
        what[key] = ([*suite.compiler, "-std=c++20", "-O0", *flags, "-c", str(file), "-o", os.devnull], suite.scratch)
    failed: dict[str, str] = {}
    times = measure_turns(suite, what, turns, 1, failed)
    result["failed"].update({INCLUDE_LABELS[key]: message for key, message in failed.items()})
    result["includes"] = {key: spread(values).as_json() for key, values in times.items()}
    for key in ("stream", "umbrella", "asio"):
        values = ratios(times.get(key, []), times.get("floor", []))
        if values:
            result["includes"][key]["over_floor"] = spread(values).as_json()
            if key != "asio":
                results.put(result, key, spread(values), "×")
    if build is None:
        result["notes"].append("The echo servers' sources were not compiled: the programs were built elsewhere.")
        return result
    try:
        sources = commands(suite, build)
    except Failure as failure:
        result["notes"].append(str(failure))
        return result
    failed = {}
    times = measure_turns(suite, sources, max(1, turns // 4), 0, failed)
    result["failed"].update({f"{label(key)}: server": message for key, message in failed.items()})
    result["sources"] = {key: spread(values).as_json() for key, values in times.items()}
    for key in result["sources"]:
        values = ratios(times.get("hawser", []), times[key])
        if values and key != "hawser":
            result["sources"][key]["hawser_over_it"] = spread(values).as_json()
    return result
