"""Two threads of hawser against one: throughput, where there are cores for it."""

from __future__ import annotations

import contextlib

from . import results
from .contenders import Contender, Server, Suite, start_server
from .cycles import Measured, Visit, measure, summary
from .load import Load, Sample
from .paired import merge, ratios, spread
from .processes import ALL_CPUS, Failure
from .results import Result

GENERATORS = 2


def both(loads: list[Load], command: str, seconds: float, server: Server) -> Sample:
    """The same command to all generators at once; the server's CPU time is in the answer of each, so it is taken here."""
    before = server.cpu_ns()
    for load in loads:
        load.start(command)
    answers = [load.finish(command, seconds) for load in loads]
    errors = sum(int(answer.get("errors", 0)) for answer in answers)
    ops = sum(float(answer["ops"]) for answer in answers)
    if ops <= 0 or errors > 0.01 * ops:
        raise Failure(f"`{command}`: {ops:.0f} done, {errors} failed")
    rates = sum(float(answer["ops"]) / float(answer["wall_ns"]) for answer in answers)
    return Sample(ops=ops, cpu_ns=server.cpu_ns() - before, wall_ns=int(ops / rates),
                  latency=merge(answer.get("latency") or [] for answer in answers))


def threads(suite: Suite, name: str) -> Result:
    result = results.new(name, "hawser with two threads against one: throughput", "operation",
                         f"{GENERATORS} load generators; 64 connections of TLS echo, and full handshakes 16 at once, from each.")
    machine = suite.machine
    enough = len(ALL_CPUS) >= 2 + GENERATORS and len(machine.other_cpus) >= GENERATORS
    if enough:
        server_cpus = [machine.measured_cpu, machine.other_cpus[-1]]
        load_cpus = [machine.load_cpu, machine.other_cpus[0]]
    else:
        server_cpus = [machine.measured_cpu, machine.load_cpu]
        load_cpus = [machine.load_cpu] * GENERATORS
        result["notes"].append(
            f"Not judged: {len(ALL_CPUS)} CPUs do not allow it. Two threads of the server and a generator that spins need at least "
            f"{2 + GENERATORS}; here the second thread and the generators share one CPU, so the figures say only that it works.")
    result["judged"] = enough
    milliseconds = 4 * suite.slice_ms
    cycles = suite.cycles if suite.cycles is not None else (21 if enough else 5)
    result["cycles"] = cycles
    with contextlib.ExitStack() as stack:
        loads = []
        for cpu in load_cpus:
            loads.append(Load(suite.program("load"), machine, cpu))
            stack.callback(loads[-1].stop)
        if not enough:
            # Generators that spin in real time would starve the thread that shares their CPU.
            for load in loads:
                load.process.be_ordinary()
        servers: dict[str, Server] = {}
        visits: dict[str, Visit] = {}
        for count in (1, 2):
            who = f"{count}_thread" + ("s" if count > 1 else "")
            try:
                contender = Contender(who, "hawser_server", ("--threads", str(count)))
                server = start_server(suite, contender, "tls-echo", cpus=server_cpus[:count])
                stack.callback(server.stop)
                if not enough:
                    server.process.be_ordinary()
                for load in loads:
                    load.open(who, server.port, server.pid, 64, "tls")
            except Failure as failure:
                result["failed"][who] = str(failure)
                continue
            servers[who] = server
            visits[f"echo@{who}"] = lambda who=who: both(loads, f"echo {who} {milliseconds} 64", 30, servers[who])
            visits[f"accept@{who}"] = lambda who=who: both(
                loads, f"accept {who} {servers[who].port} {servers[who].pid} {milliseconds} 16 full", 30, servers[who])
        measured = measure(visits, cycles)
    fill(result, measured, enough)
    return result


def fill(result: Result, measured: Measured, enough: bool) -> None:
    result["failed"].update(measured.failed)
    for name in measured.samples:
        good = measured.good(name)
        if good:
            result["contenders"][name] = summary(good)
    for work in ("echo", "accept"):
        values = ratios(measured.rate(f"{work}@2_threads"), measured.rate(f"{work}@1_thread"))
        if values:
            result["ratios"][work] = {**spread(values).as_json(), "all": values}
            if enough:
                results.put(result, f"{work}_speedup", spread(values), "×")
