"""All workloads by name, in the order in which they run."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable

from . import building, clients, crowds, hello, lua, memory, primitives, servers, threads
from .contenders import Suite
from .results import Result


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    about: str
    run: Callable[[Suite, str], Result]


def echo(kind: str, connections: int, size: int, judged: bool, counted: bool) -> Callable[[Suite, str], Result]:
    return lambda suite, name: servers.echo(suite, name, kind, connections, size, judged, counted)


def bulk(block: int, ways: str, judged: bool, counted: bool) -> Callable[[Suite, str], Result]:
    return lambda suite, name: servers.bulk(suite, name, block, ways, judged, counted)


def accept(kind: str, judged: bool, counted: bool) -> Callable[[Suite, str], Result]:
    return lambda suite, name: servers.accept(suite, name, kind, judged, counted)


def https(path: str, size: int, keep_alive: bool, system_trust: bool, judged: bool, counted: bool) -> Callable[[Suite, str], Result]:
    return lambda suite, name: clients.https(
        suite, name, path=path, size=size, keep_alive=keep_alive, system_trust=system_trust, judged=judged, counted=counted)


def all_workloads(build: pathlib.Path | None, flags: list[str]) -> list[Workload]:
    """`build` is the build directory, if the sources can be compiled again, with `flags` for our headers."""
    return [
        Workload("tcp_echo_1", "TCP echo of 64 bytes over 1 connection", echo("tcp", 1, 64, False, False)),
        Workload("tcp_echo_64", "over 64", echo("tcp", 64, 64, True, True)),
        Workload("tcp_echo_1000", "over 1,000", echo("tcp", 1000, 64, True, False)),
        Workload("tls_echo_1", "TLS echo of 64 bytes over 1 connection", echo("tls", 1, 64, False, False)),
        Workload("tls_echo_64", "over 64", echo("tls", 64, 64, True, True)),
        Workload("tls_echo_1000", "over 1,000", echo("tls", 1000, 64, True, False)),
        Workload("tls_echo_1k", "TLS echo of 1 KiB over 64", echo("tls", 64, 1024, False, False)),
        Workload("tls_bulk_16k", "TLS bulk in writes of 16 KiB", bulk(16 << 10, "one", True, True)),
        Workload("tls_bulk_16k_both", "both ways", bulk(16 << 10, "both", False, False)),
        Workload("tls_bulk_256k", "in writes of 256 KiB", bulk(256 << 10, "one", True, True)),
        Workload("tls_bulk_256k_both", "both ways", bulk(256 << 10, "both", False, False)),
        Workload("tls_accept_full", "TLS handshakes, 16 at once", accept("full", True, True)),
        Workload("tls_accept_resumed", "resumed", accept("resumed", False, False)),
        Workload("https_new_private", "HTTPS client against nginx, new connections, private CA", https("/1k", 1024, False, False, True, True)),
        Workload("https_new_system", "system trust store", https("/1k", 1024, False, True, True, False)),
        Workload("https_keep_1k", "keep-alive, 1 KiB", https("/1k", 1024, True, False, True, True)),
        Workload("https_keep_100k", "keep-alive, 100 KiB", https("/100k", 102_400, True, False, False, False)),
        Workload("hello", "HTTPS hello by hand under wrk", hello.hello),
        Workload("idle", "memory of idle TLS connections", memory.idle),
        Workload("active_among_idle", "100 active TCP connections among many idle ones", crowds.active_among_idle),
        Workload("growth_tls", "TLS echo as connections become more", lambda suite, name: crowds.growth(suite, name, "tls")),
        Workload("growth_tcp", "TCP echo as connections become more", lambda suite, name: crowds.growth(suite, name, "tcp")),
        Workload("ring_storm", "16 receive buffers for 1,000 connections", servers.ring_storm),
        Workload("threads", "hawser with 2 threads against 1", threads.threads),
        Workload("parts_tcp_echo", "hawser with single parts off: TCP echo", servers.parts),
        Workload("parts_tls_echo", "TLS echo", servers.parts),
        Workload("parts_tls_bulk", "TLS bulk", servers.parts),
        Workload("primitives", "spawn, await, yield, channel, sleep", primitives.primitives),
        Workload("lua_tcp_echo", "from Lua, beside C++, cqueues and copas: TCP echo over 64 connections", lambda suite, name: lua.echo(suite, name, "tcp")),
        Workload("lua_tls_echo", "TLS echo", lambda suite, name: lua.echo(suite, name, "tls")),
        Workload("lua_primitives", "spawn, yield, sleep, channel", lua.measure_primitives),
        Workload("build_cost", "compile time of headers and of echo servers", lambda suite, name: building.build_cost(suite, name, build, flags)),
    ]


def chosen(workloads: list[Workload], only: list[str]) -> tuple[list[Workload], list[str]]:
    """Those that are named, or whose names begin with a word that names none; and the words that fit nothing."""
    names = {one.name for one in workloads}

    def fits(word: str, name: str) -> bool:
        return name == word if word in names else name.startswith(word)

    fitting = [one for one in workloads if not only or any(fits(word, one.name) for word in only)]
    return fitting, [word for word in only if not any(fits(word, name) for name in names)]
