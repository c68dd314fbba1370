"""What an idle TLS connection holds, and whether it is given back."""

from __future__ import annotations

import contextlib
import pathlib
import re
import time

from . import contenders, results
from .contenders import Contender, Server, Suite, start_server
from .load import Load
from .processes import Failure
from .results import Result

TRANSFER = 1 << 20


def resident_kib(pid: int) -> int:
    """Resident memory of a process: exact where the kernel adds it up, else its running count."""
    for file, pattern in (("smaps_rollup", r"^Rss:\s+(\d+) kB"), ("status", r"^VmRSS:\s+(\d+) kB")):
        try:
            found = re.search(pattern, pathlib.Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE)
        except OSError:
            continue
        if found:
            return int(found[1])
    raise Failure(f"cannot read the memory of process {pid}")


def settled_kib(server: Server, seconds: float) -> int:
    """Its memory once it has not changed for a while; connections end on their own time."""
    deadline = time.monotonic() + seconds
    last = resident_kib(server.pid)
    same = 0
    while same < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
        now = resident_kib(server.pid)
        same = same + 1 if now == last else 0
        last = now
    return last


def one_contender(suite: Suite, contender: Contender, connections: int) -> dict[str, object]:
    """Each stage in KiB: a fresh process is measured after one connection, which loads what a library loads once."""
    found: dict[str, object] = {}
    for mode, use in (("tls-echo", "echo"), ("tls-bulk", "transfer")):
        with contextlib.ExitStack() as stack:
            server = start_server(suite, contender, mode)
            stack.callback(server.stop)
            load = Load(suite.program("load"), suite.machine)
            stack.callback(load.stop)

            def touch(count: int) -> None:
                load.open(contender.name, server.port, server.pid, count, "tls")
                if use == "echo":
                    done = load.echo(contender.name, max(200, count // 4), 64)
                    if done.ops < count:
                        raise Failure(f"only {done.ops:.0f} echoes for {count} connections")
                else:
                    # The connections stay open after it.
                    load.bulk(contender.name, TRANSFER, 16 << 10, "one")

            fresh = settled_kib(server, 2)
            touch(1)
            load.close(contender.name)
            start = settled_kib(server, 3)
            touch(connections)
            held = settled_kib(server, 3)
            load.close(contender.name)
            after = settled_kib(server, 5)
            found[f"after_{use}"] = {
                "fresh_kib": fresh,
                "start_kib": start,
                "held_kib": held,
                "kib_per_connection": (held - start) / connections,
                "closed_kib": after,
                "closed_over_start": after / start,
            }
            if use == "echo":
                # Whether what was not given back serves the next ones.
                touch(connections)
                load.close(contender.name)
                found["after_echo"]["closed_again_kib"] = settled_kib(server, 5)  # type: ignore[index]
    return found


def idle(suite: Suite, name: str) -> Result:
    connections = 5000 if suite.full else 1000
    connections = min(connections, suite.machine.descriptors - 200)
    result = results.new(name, f"Idle TLS connections, {connections:,}", "connection",
                         "Resident memory (RSS) of the server, over what it had after a first connection had come and gone.")
    result["connections"] = connections
    for contender in contenders.TLS_SERVERS:
        try:
            figures = one_contender(suite, contender, connections)
        except Failure as failure:
            result["failed"][contender.name] = str(failure)
            continue
        result["contenders"][contender.name] = figures
        if contender.name == "hawser":
            echo = figures["after_echo"]
            for key, unit in (("kib_per_connection", "KiB"), ("closed_over_start", "×")):
                results.put(result, key, echo[key], unit)  # type: ignore[index]
    return result
