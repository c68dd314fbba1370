"""Many connections: the cost of an echo as they become more, and of few that talk among many that do not."""

from __future__ import annotations

import contextlib

from . import results
from .contenders import ASIO, FLOOR, HAWSER, Contender, Server, Suite, start_server
from .cycles import Measured, Visit, measure, summary
from .load import Load, Sample
from .paired import double_ratios, ratios, spread
from .processes import Failure
from .results import Result

# Descriptors that a process needs for itself.
SPARE = 500


class Camp:
    """One contender in several processes, with a load generator of its own: descriptors are limited for each process."""

    def __init__(self, suite: Suite, contender: Contender, kind: str) -> None:
        self.suite = suite
        self.contender = contender
        self.kind = kind
        self.servers: dict[str, Server] = {}
        self.load = Load(suite.program("load"), suite.machine)

    def server(self, name: str) -> Server:
        if name not in self.servers:
            self.servers[name] = start_server(self.suite, self.contender, f"{self.kind}-echo")
        return self.servers[name]

    def open(self, server: str, group: str, count: int) -> None:
        one = self.server(server)
        self.load.open(group, one.port, one.pid, count, self.kind)

    def visit(self, server: str, group: str, milliseconds: int) -> Visit:
        def one() -> Sample:
            try:
                return self.load.echo(group, milliseconds, 64)
            except Failure as failure:
                if not self.servers[server].running():
                    raise Failure(self.servers[server].process.describe("died")) from failure
                raise

        return one

    def stop(self) -> None:
        self.load.stop()
        for server in self.servers.values():
            server.stop()


def measure_camps(suite: Suite, result: Result, camps: dict[str, Camp], visits: dict[str, Visit], cycles: int) -> Measured:
    """Visits are named contender@what; a contender that fails is lost as a whole."""

    def lost(name: str, failure: Failure) -> list[str]:
        who = name.partition("@")[0]
        camps[who].stop()
        result["failed"][who] = str(failure)
        return [other for other in visits if other.partition("@")[0] == who]

    return measure(visits, cycles, failed=lost)


def fitting(suite: Suite, wanted: int, beside: int) -> int:
    """How many connections one process can hold beside others, in thousands."""
    return min(wanted, (suite.machine.descriptors - SPARE - beside) // 1000 * 1000)


def active_among_idle(suite: Suite, name: str) -> Result:
    active = 100
    wanted = 50_000
    idle = fitting(suite, wanted, 2 * active)
    result = results.new(name, f"TCP echo, {active} active connections among {idle:,} idle ones", "echo",
                         "CPU time for each echo, against a second process of the same contender with the active ones alone.")
    result["reference"] = "the same alone"
    result["idle"] = idle
    if idle < wanted:
        result["notes"].append(f"{idle:,} idle connections and not {wanted:,}: a process may have {suite.machine.descriptors:,} descriptors here.")
    camps: dict[str, Camp] = {}
    visits: dict[str, Visit] = {}
    with contextlib.ExitStack() as stack:
        for contender in (HAWSER, FLOOR, ASIO):
            who = contender.name
            try:
                camp = Camp(suite, contender, "tcp")
                stack.callback(camp.stop)
                camp.open("crowd", f"{who}-idle", idle)
                camp.open("crowd", f"{who}-crowd", active)
                camp.open("alone", f"{who}-alone", active)
            except Failure as failure:
                result["failed"][who] = str(failure)
                continue
            camps[who] = camp
            for what in ("crowd", "alone"):
                visits[f"{who}@{what}"] = camp.visit(what, f"{who}-{what}", suite.slice_ms)
        measured = measure_camps(suite, result, camps, visits, suite.cycles_for(judged=True))
    result["cycles"] = suite.cycles_for(judged=True)
    for who in camps:
        good = measured.good(f"{who}@crowd")
        if not good:
            continue
        result["contenders"][who] = {**summary(good), "alone": summary(measured.good(f"{who}@alone"))}
        values = ratios(measured.cpu(f"{who}@crowd"), measured.cpu(f"{who}@alone"))
        if values:
            result["ratios"][who] = {**spread(values).as_json(), "all": values}
    if "hawser" in result["ratios"]:
        result["measures"]["crowd_over_alone"] = {key: value for key, value in result["ratios"]["hawser"].items() if key != "all"}
    return result


def growth(suite: Suite, name: str, kind: str) -> Result:
    if kind == "tls":
        wanted = [10, 100, 1000, 8000]
        some: tuple[Contender, ...] = (HAWSER, FLOOR, ASIO) if suite.full else (HAWSER, FLOOR)
    else:
        wanted = [1, 10, 100, 1000, 10_000] + ([50_000, 100_000] if suite.full else [])
        some = (HAWSER, FLOOR, ASIO)
    result = results.new(name, f"{kind.upper()} echo as connections become more", "echo",
                         "Every connection has one message of 64 bytes on its way; all processes are alive at once.")
    points: list[int] = []
    for count in wanted:
        room = suite.machine.descriptors - SPARE - sum(points)
        if count > room:
            instead = room // 1000 * 1000
            more = instead > 1.5 * points[-1]
            result["notes"].append(f"{count:,} connections were not tried{f', but {instead:,} were' if more else ''}: "
                                   f"a process may have {suite.machine.descriptors:,} descriptors here.")
            points += [instead] if more else []
            break
        points.append(count)
    result["points"] = points

    camps: dict[str, Camp] = {}
    visits: dict[str, Visit] = {}
    cycles = suite.cycles_for(judged=kind == "tls")
    with contextlib.ExitStack() as stack:
        for contender in some:
            who = contender.name
            try:
                camp = Camp(suite, contender, kind)
                stack.callback(camp.stop)
                for count in points:
                    camp.open(str(count), f"{who}-{count}", count)
            except Failure as failure:
                result["failed"][who] = str(failure)
                continue
            camps[who] = camp
            for count in points:
                # Long enough for every connection to have several turns.
                visits[f"{who}@{count}"] = camp.visit(str(count), f"{who}-{count}", max(suite.slice_ms, count // 50))
        measured = measure_camps(suite, result, camps, visits, cycles)
    result["cycles"] = cycles
    result["reference"] = "100 connections" if 100 in points else None
    for who in camps:
        by_count = {count: summary(measured.good(f"{who}@{count}")) for count in points if measured.good(f"{who}@{count}")}
        result["contenders"][who] = {"points": by_count}
        result["ratios"][who] = {
            count: spread(values).as_json()
            for count in points
            if (values := ratios(measured.cpu(f"{who}@{count}"), measured.cpu(f"{who}@100")))
        }
        if who != "hawser":
            result.setdefault("against", {})[who] = {
                count: spread(values).as_json()
                for count in points
                if (values := ratios(measured.cpu(f"hawser@{count}"), measured.cpu(f"{who}@{count}")))
            }
    if kind == "tls" and "hawser" in camps and "floor" in camps and {100, 8000} <= set(points):
        values = double_ratios(*(measured.cpu(one) for one in ("hawser@8000", "hawser@100", "floor@8000", "floor@100")))
        if values:
            results.put(result, "growth_over_floor", spread(values), "×")
            result["measures"]["growth_over_floor"]["all"] = values
    return result

