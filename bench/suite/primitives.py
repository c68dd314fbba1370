"""Spawning, awaiting, yielding, channels and sleeps: programs that measure themselves, run in turn."""

from __future__ import annotations

import json
from collections.abc import Mapping

from . import results
from .contenders import Suite
from .paired import spread
from .processes import Failure, run
from .results import Result

PROGRAMS = {"hawser": ("primitives", ""), "asio": ("asio_primitives", "")}
ROUNDS = 3


def rows(text: str) -> dict[str, float]:
    """The median of each row, in nanoseconds, by the row's name."""
    try:
        return {str(row["name"]): float(row["ns_median"]) for row in json.loads(text)["rows"]}
    except (ValueError, KeyError, TypeError):
        raise Failure(f"no rows in `{text.strip()[:200]}`") from None


def run_in_turn(suite: Suite, result: Result, programs: Mapping[str, tuple[str, str]], judged: str = "hawser") -> Result:
    """`programs`: each with the interpreter that runs it, or "". The rows of `judged` become measures."""
    runs = suite.cycles if suite.cycles is not None else (9 if suite.full else 3)
    result["about"] = f"CPU time by itself, nothing on a network: {runs} runs of {ROUNDS} rounds, programs in turn."
    values: dict[str, dict[str, list[float]]] = {}
    for _ in range(runs):
        for who, (program, runtime) in programs.items():
            if who in result["failed"]:
                continue
            try:
                command = [*suite.command(program, runtime), "--json", "--rounds", str(ROUNDS)]
                text = run(command, 180, cpus=[suite.machine.measured_cpu], priority=suite.machine.server_priority,
                           environment=suite.environment_of(runtime))
                for key, value in rows(text).items():
                    values.setdefault(who, {}).setdefault(key, []).append(value)
            except Failure as failure:
                result["failed"][who] = str(failure)
    for who, mine in values.items():
        result["contenders"][who] = {"rows": {key: spread(several).as_json() for key, several in mine.items()}}
    for key, several in values.get(judged, {}).items():
        results.put(result, key, spread(several), "ns")
    result["cycles"] = runs
    if not values:
        return results.skip(result, "; ".join(result["failed"].values()))
    return result


def primitives(suite: Suite, name: str) -> Result:
    return run_in_turn(suite, results.new(name, "Coroutine primitives and timers", "operation"), PROGRAMS)
