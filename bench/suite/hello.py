"""The HTTPS hello that each contender answers by hand, under wrk."""

from __future__ import annotations

import contextlib
import re

from . import results
from .contenders import ASIO, BLOCKING_LIBTLS, FLOOR, HAWSER, NGINX, Server, Suite, start_server
from .cycles import Visit, measure
from .load import Sample
from .processes import Failure, Process
from .results import Result

UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7}


def microseconds(text: str) -> float:
    found = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    if not found:
        raise Failure(f"wrk printed a time of `{text}`")
    return float(found[1]) * UNITS[found[2]]


def parse(text: str) -> Sample:
    """What wrk prints; the CPU time is the caller's to add."""
    requests = re.search(r"(\d+) requests in ([\d.]+(?:us|ms|s|m)), ([\d.]+)(B|KB|MB|GB) read", text)
    if not requests:
        raise Failure(f"wrk printed no result: {text.strip()[-300:]}")
    errors = re.search(r"Socket errors: (.*)", text) or re.search(r"(Non-2xx or 3xx responses: .*)", text)
    if errors:
        raise Failure(f"wrk met errors: {errors[1]}")
    if int(requests[1]) == 0:
        raise Failure("wrk got no answer")
    quantiles = {}
    for share, name in (("50%", "p50"), ("99%", "p99"), ("99.9%", "p99.9")):
        found = re.search(rf"^\s*{re.escape(share)}\s+(\S+)\s*$", text, re.MULTILINE)
        if found:
            quantiles[name] = microseconds(found[1])
    return Sample(ops=float(requests[1]), cpu_ns=0, wall_ns=int(microseconds(requests[2]) * 1000), quantiles=quantiles)


def visit(suite: Suite, server: Server, seconds: int) -> Sample:
    command = ["wrk", "-t1", "-c64", f"-d{seconds}s", "--latency", f"https://127.0.0.1:{server.port}/"]
    before = server.cpu_ns()
    with Process(command, cpus=[suite.machine.load_cpu], priority=suite.machine.load_priority) as wrk:
        text = wrk.read_all(seconds + 20)
    done = parse(text)
    done.cpu_ns = server.cpu_ns() - before
    return done


def hello(suite: Suite, name: str) -> Result:
    result = results.new(name, "HTTPS hello under wrk, 64 connections", "request",
                         "Each slice of wrk opens its 64 connections anew; their handshakes are in the figures of all alike.")
    seconds = 2 if suite.full else 1
    cycles = suite.cycles if suite.cycles is not None else (15 if suite.full else 4)
    servers: dict[str, Server] = {}
    with contextlib.ExitStack() as stack:
        for contender in (HAWSER, FLOOR, ASIO, BLOCKING_LIBTLS, NGINX):
            try:
                servers[contender.name] = start_server(suite, contender, "tls-hello")
                stack.callback(servers[contender.name].stop)
            except Failure as failure:
                result["failed"][contender.name] = str(failure)

        def make(server: Server) -> Visit:
            def one() -> Sample:
                try:
                    return visit(suite, server, seconds)
                except Failure as failure:
                    if not server.running():
                        raise Failure(server.process.describe("died")) from failure
                    raise

            return one

        measured = measure({who: make(server) for who, server in servers.items()}, cycles, warm_up=0,
                           failed=lambda who, _: servers[who].stop() or [])
        results.compare(result, measured)
    return result
