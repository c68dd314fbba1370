"""What hawser must reach, and how a run compares with that."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from . import lua
from .contenders import label
from .results import Result

# Paired ratios repeat to a few hundredths: by less than this nothing is missed, and from fewer cycles nothing is judged.
TOLERANCE = 0.03
CYCLES = 40


@dataclasses.dataclass(frozen=True)
class Must:
    work: str
    workload: str
    # ("ratio", contender), ("measure", key) or ("counted", key, key...) in hawser's figures of the workload.
    figure: tuple[str, ...]
    # None: there is only an aim.
    limit: float | None
    aim: float
    what: str
    unit: str = "×"
    tolerance: float = 0.0
    cycles: int = 1
    at_least: bool = False


@dataclasses.dataclass(frozen=True)
class Verdict:
    must: Must
    # met, within (the tolerance), missed, open (too few cycles), unknown (not measured), aim (no must)
    verdict: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    count: int = 0
    by: float = 0.0
    reason: str = ""
    aimed: bool = False

    def as_json(self) -> dict[str, object]:
        found = dataclasses.asdict(self)
        found.update(found.pop("must"))
        return found


def ratio(work: str, workload: str, against: str, limit: float | None, aim: float | None = None) -> Must:
    return Must(work, workload, ("ratio", against), limit, limit if aim is None else aim,  # type: ignore[arg-type]
                f"CPU time against {label(against)}",
                tolerance=TOLERANCE, cycles=CYCLES)


def all_musts() -> list[Must]:
    found = []
    for count in ("64", "1000"):
        work = f"TCP echo, {int(count):,} connections"
        found += [ratio(work, f"tcp_echo_{count}", "asio", 0.95, 0.90), ratio(work, f"tcp_echo_{count}", "floor", 1.05)]
    for count in ("64", "1000"):
        work = f"TLS echo 64 B, {int(count):,} connections"
        name = f"tls_echo_{count}"
        found += [ratio(work, name, "blocking_libtls", 0.66, 0.62), ratio(work, name, "asio", 0.82, 0.77), ratio(work, name, "floor", 1.05)]
    for size, libtls, asio in (("16k", (0.75, 0.68), (0.70, 0.60)), ("256k", (0.75, 0.70), (0.66, 0.60))):
        work = f"TLS bulk, {size[:-1]} KiB writes"
        name = f"tls_bulk_{size}"
        found += [ratio(work, name, "blocking_libtls", *libtls), ratio(work, name, "asio", *asio), ratio(work, name, "floor", 1.05)]
    work = "TLS accept, full handshake"
    found += [ratio(work, "tls_accept_full", "blocking_libtls", 0.87, 0.82), ratio(work, "tls_accept_full", "floor", 1.05)]
    work = "HTTPS client, new connection, private CA"
    found += [ratio(work, "https_new_private", "blocking_libtls", 0.88), ratio(work, "https_new_private", "curl", 0.92),
              ratio(work, "https_new_private", "floor", None, 1.03)]
    work = "HTTPS client, new connection, system trust"
    found += [ratio(work, "https_new_system", "blocking_libtls", 0.08, 0.04), ratio(work, "https_new_system", "curl", None, 1.0)]
    work = "HTTPS client, keep-alive 1 KiB"
    found += [ratio(work, "https_keep_1k", "blocking_libtls", 1.0, 0.90), ratio(work, "https_keep_1k", "curl", 0.65, 0.55)]
    found += [
        Must("Idle TLS connection, server", "idle", ("measure", "kib_per_connection"), 26, 25, "memory after handshake and an echo", "KiB"),
        Must("Idle TLS connection, server", "idle", ("measure", "closed_over_start"), 1.25, 1.25, "memory after all were closed, over the start"),
        Must("100 active among many idle", "active_among_idle", ("measure", "crowd_over_alone"), 1.15, 1.05, "CPU time against 100 alone",
             tolerance=TOLERANCE, cycles=CYCLES),
        Must("Growth, 100 to 8,000 TLS connections", "growth_tls", ("measure", "growth_over_floor"), 1.10, 1.03,
             "CPU time's growth over the bare loop's", tolerance=TOLERANCE, cycles=CYCLES),
    ]
    for row, limit, aim in (("spawn and finish", 40, 20), ("await a child", 20, 10), ("yield, 1 task", 20, 8), ("sleep, 100,000 at once", 5000, 3500)):
        found.append(Must("Primitives", "primitives", ("measure", row), limit, aim, row, "ns"))
    for workload, work in (("tcp_echo_64", "TCP echo"), ("tls_echo_64", "TLS echo 64 B"), ("tls_bulk_16k", "TLS bulk, 16 KiB writes")):
        # A handful in a slice of thousands is not in the steady state's account.
        found.append(Must(work, workload, ("counted", "allocations_per_op", "program"), 0, 0, "our allocations for each operation", "",
                          tolerance=0.005))
        # Whatever asks for the turns, and attaching strace, are calls too.
        found.append(Must(work, workload, ("counted", "enters_per_turn"), 1, 1, "io_uring_enter for each turn", "", tolerance=0.01))
    found.append(dataclasses.replace(ratio("16 receive buffers for 1,000 connections", "ring_storm", "ring_of_2048", 1.15, 1.08),
                                     what="CPU time against a ring that suffices"))
    for work in ("echo", "accept"):
        found.append(Must("2 threads against 1", "threads", ("measure", f"{work}_speedup"), 1.7, 1.9, f"throughput, {work}", at_least=True,
                          tolerance=TOLERANCE))
    for kind in ("tcp", "tls"):
        found.append(Must(f"Lua 5.4: {kind.upper()} echo, 64 connections", f"lua_{kind}_echo", ("measure", lua.added("hawser_lua", "hawser_cpp_flushing")), 500, 250,
                          "CPU time that a read or a write adds to the C++ one", "ns", cycles=CYCLES))
    for key, limit, aim, what in (("stream", 2.5, 2.0, "<hawser/tls/stream.hpp>"), ("umbrella", 3.0, 2.5, "<hawser/hawser.hpp>")):
        found.append(Must("Include cost, -O0", "build_cost", ("measure", key), limit, aim, f"`{what}` over tls.h + liburing.h + coroutine"))
    return found


def find(must: Must, result: Result) -> Mapping[str, Any] | float | None:
    kind, *path = must.figure
    if kind == "ratio":
        return result["ratios"].get(path[0])
    if kind == "measure":
        return result["measures"].get(path[0])
    figure: Any = result["contenders"].get("hawser", {})
    for key in path:
        figure = figure.get(key) if isinstance(figure, dict) else None
    return figure


def judge_one(must: Must, results: Mapping[str, Result]) -> Verdict:
    result = results.get(must.workload)
    if result is None:
        return Verdict(must, "unknown", reason="not run")
    figure = find(must, result)
    if figure is None:
        failed = result["failed"].get("hawser") or (result["failed"].get(must.figure[1]) if must.figure[0] == "ratio" else None)
        notes = result["notes"][0] if result["notes"] else ""
        return Verdict(must, "unknown", reason=str(result.get("skipped") or failed or notes or "no figure"))
    if not isinstance(figure, Mapping):
        figure = {"median": figure, "low": figure, "high": figure, "count": 1}
    value = float(figure["median"])
    aimed = value >= must.aim if must.at_least else value <= must.aim
    by = 0.0
    if must.limit is not None:
        by = max(0.0, must.limit - value if must.at_least else value - must.limit)
    if must.limit is None:
        verdict = "aim"
    elif figure["count"] < must.cycles:
        verdict = "open"
    elif by == 0:
        verdict = "met"
    else:
        verdict = "within" if by <= must.tolerance else "missed"
    return Verdict(must, verdict, value, figure["low"], figure["high"], figure["count"], by, aimed=aimed,
                   reason=f"{figure['count']} cycles of {must.cycles}" if verdict == "open" else "")


def judge(results: Mapping[str, Result]) -> list[Verdict]:
    return [judge_one(must, results) for must in all_musts()]
