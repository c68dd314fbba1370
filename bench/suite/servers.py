"""Echo, bulk and handshakes: the workloads in which the load generator visits servers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from . import contenders, results
from .contenders import Contender, Server, Suite, start_server
from .counting import count, counting_environment
from .cycles import measure
from .field import Field
from .load import Load, Sample
from .processes import Failure
from .results import Result

Slice = Callable[[Load, str, Server], Sample]


def size_text(size: int) -> str:
    return f"{size // 1024} KiB" if size >= 1024 else f"{size} B"


def count_each(suite: Suite, result: Result, mode: str, some: Sequence[Contender], opened: tuple[int, str] | None, visit: Slice,
               trace: bool) -> None:
    """The pass that is not timed: every contender by itself, in a process of its own."""
    for contender in some:
        if contender.name not in result["contenders"]:
            continue
        file = suite.scratch / f"allocations-{result['name']}-{contender.name}"
        preload = counting_environment(suite.programs, file)
        try:
            with contextlib.ExitStack() as stack:
                server = start_server(suite, contender, mode, environment=preload)
                stack.callback(server.stop)
                load = Load(suite.program("load"), suite.machine)
                stack.callback(load.stop)
                if opened:
                    load.open(contender.name, server.port, server.pid, *opened)
                result["contenders"][contender.name].update(count(
                    server.process,
                    server.pid,
                    lambda: visit(load, contender.name, server),
                    machine=suite.machine,
                    scratch=suite.scratch,
                    allocations=file if preload else None,
                    says_turns=contender.program.startswith("hawser_server"),
                    trace=trace,
                ))
        except Failure as failure:
            result["notes"].append(f"{contenders.label(contender.name)} could not be counted: {failure}")


def compare(suite: Suite, result: Result, mode: str, some: Sequence[Contender], opened: tuple[int, str] | None, visit: Slice,
            cycles: int, counted: bool, trace: bool = True, inverted: bool = False, reference: str = "hawser") -> Result:
    """All of `some` alive at once, visited in turn; then, if asked, counted."""
    with Field(suite, mode, some) as field:
        if opened:
            field.open(*opened)
        # Through the field each time: a generator that hung was replaced.
        visits = field.visits(lambda name, server: visit(field.load, name, server))
        measured = measure(visits, cycles, failed=field.lost)
        results.fail(result, field.failed)
        results.compare(result, measured, reference=reference, inverted=inverted)
    if counted:
        count_each(suite, result, mode, some, opened, visit, trace)
    return result


def echo(suite: Suite, name: str, kind: str, connections: int, size: int, judged: bool, counted: bool) -> Result:
    layer = kind.upper()
    plural = "s" if connections != 1 else ""
    title = f"{layer} echo, {size_text(size)}, {connections:,} connection{plural}"
    result = results.new(name, title, "echo")
    if connections == 1:
        result["about"] = "The server sleeps between two messages: most of this is the kernel waking it."
    some = contenders.TCP_SERVERS if kind == "tcp" else contenders.TLS_SERVERS
    milliseconds = suite.slice_ms * (2 if connections >= 1000 else 1)
    visit: Slice = lambda load, who, server: load.echo(who, milliseconds, size)
    return compare(suite, result, f"{kind}-echo", some, (connections, kind), visit, suite.cycles_for(judged), counted)


class Bulk:
    """A transfer whose size is fitted to each contender on its first visits, so that a slice lasts about as long for all."""

    def __init__(self, suite: Suite, block: int, ways: str) -> None:
        self.block = block
        self.ways = ways
        self.wanted_ns = suite.slice_ms * 1e6
        self.sizes: dict[str, int] = {}

    def __call__(self, load: Load, name: str, server: Server) -> Sample:
        if name not in self.sizes:
            size = 8 << 20
            # Twice: the first transfer of all also warms up.
            for _ in range(2):
                done = load.bulk(name, size, self.block, self.ways, keep=True)
                fitted = int(size * self.wanted_ns / max(done.wall_ns, 1))
                size = max(1 << 20, fitted - fitted % (1 << 20))
            self.sizes[name] = size
        return load.bulk(name, self.sizes[name], self.block, self.ways, keep=True)


def bulk(suite: Suite, name: str, block: int, ways: str, judged: bool, counted: bool) -> Result:
    title = f"TLS bulk, {size_text(block)} writes, {'both ways' if ways == 'both' else 'one way'}"
    result = results.new(name, title, "MiB", "One connection; whoever receives drops the ciphertext, so that the server is what is slow."
                         if ways == "one" else "One connection; every block comes back.")
    return compare(suite, result, "tls-bulk", contenders.TLS_SERVERS, (1, "tls"), Bulk(suite, block, ways),
                   suite.cycles_for(judged), counted)


def accept(suite: Suite, name: str, kind: str, judged: bool, counted: bool) -> Result:
    result = results.new(name, f"TLS accept, {kind} handshakes, 16 at once", "handshake",
                         "Connect, handshake, one echo of 64 bytes, close.")
    milliseconds = int(suite.slice_ms * 1.6)
    visit: Slice = lambda load, who, server: load.accept(who, server.port, server.pid, milliseconds, 16, kind)
    compare(suite, result, "tls-echo", contenders.TLS_SERVERS, None, visit, suite.cycles_for(judged), counted)
    if kind == "resumed":
        for who, figures in result["contenders"].items():
            share = figures.get("resumed", {}).get("median", 0.0)
            if share < 0.5:
                result["notes"].append(f"{contenders.label(who)} did not resume ({share:.0%} of its handshakes were resumed).")
    return result


def parts(suite: Suite, name: str) -> Result:
    """hawser against itself with one part off."""
    what = name.removeprefix("parts_")
    cycles = suite.cycles_for(judged=False)
    about = "What it costs without the part, when hawser as it is costs 1."
    if what == "tls_bulk":
        result = results.new(name, "hawser without its parts: TLS bulk, 16 KiB writes", "MiB", about)
        return compare(suite, result, "tls-bulk", contenders.PARTS, (1, "tls"), Bulk(suite, 16 << 10, "one"), cycles, False,
                       inverted=True)
    kind = what.removesuffix("_echo")
    result = results.new(name, f"hawser without its parts: {kind.upper()} echo, 64 connections", "echo", about)
    visit: Slice = lambda load, who, server: load.echo(who, suite.slice_ms, 64)
    return compare(suite, result, f"{kind}-echo", contenders.PARTS, (64, kind), visit, cycles, False, inverted=True)


def ring_storm(suite: Suite, name: str) -> Result:
    """Far fewer receive buffers than connections that have something to say."""
    result = results.new(name, "16 receive buffers for 1,000 connections, TCP echo", "echo",
                         "The same server with a ring of 2,048 buffers and with one of 16.")
    some = (
        Contender("ring_of_16", "hawser_server", ("--receive-buffers", "16")),
        Contender("ring_of_2048", "hawser_server", ("--receive-buffers", "2048")),
    )
    visit: Slice = lambda load, who, server: load.echo(who, 2 * suite.slice_ms, 64)
    return compare(suite, result, "tcp-echo", some, (1000, "tcp"), visit, suite.cycles_for(judged=True), False, reference="ring_of_16")
