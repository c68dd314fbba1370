"""HTTPS clients against nginx, which has the load generator's place; the clients are what is measured."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence

from . import contenders, results, trust
from .contenders import NGINX, Suite, start_server
from .counting import count, counting_environment
from .cycles import Visit, measure
from .load import Sample
from .processes import Failure, Process
from .results import Result

CONCURRENCY = 64

# As most programs set libcurl up it looks into the system's directory too, and parses its authorities for each connection.
VARIANTS = {"curl_no_capath": ("curl", "--no-capath")}


class Client:
    """One client program, told how many requests to make."""

    def __init__(self, suite: Suite, name: str, port: int, options: Sequence[str], wrapper: Sequence[str],
                 environment: Mapping[str, str | None] | None = None) -> None:
        program, *more = VARIANTS.get(name, (name,))
        self.process = Process(
            [*wrapper, suite.program(f"{program}_client"), "--port", str(port), "--concurrency", str(CONCURRENCY), *options, *more],
            cpus=[suite.machine.measured_cpu],
            priority=suite.machine.server_priority,
            environment={**suite.environment, **(environment or {})},
            name=f"{name}_client",
        )
        self.count = 8

    def go(self, requests: int) -> Sample:
        self.process.send(str(requests))
        line = self.process.read_line(60)
        try:
            answer = json.loads(line)
            done = Sample(
                ops=float(answer["requests"]),
                cpu_ns=int(answer["cpu_ns"]),
                wall_ns=int(answer["wall_ns"]),
                quantiles={"p50": float(answer["p50_us"]), "p99": float(answer["p99_us"]), "p99.9": float(answer["p999_us"])},
            )
        except (ValueError, KeyError, TypeError):
            raise Failure(f"{self.process.name} answered `{line}`") from None
        if done.ops != requests:
            raise Failure(f"{self.process.name} made {done.ops:.0f} requests of {requests}")
        return done

    def calibrate(self, wanted_ns: float, least: int) -> None:
        """Finds how many requests last about so long; the first goes also open what stays open."""
        requests = max(8, least)
        self.go(requests)
        for _ in range(6):
            done = self.go(requests)
            fitted = max(4, least, int(requests * wanted_ns / max(done.wall_ns, 1)))
            if fitted < 2 * requests:
                break
            # A short go says little of a long one.
            requests = min(fitted, 8 * requests)
        self.count = fitted

    def visit(self) -> Sample:
        return self.go(self.count)

    def stop(self) -> None:
        self.process.stop(2)


def https(suite: Suite, name: str, *, path: str, size: int, keep_alive: bool, system_trust: bool, judged: bool,
          counted: bool, trace: bool = True) -> Result:
    body = f"{size // 1024} KiB"
    title = f"HTTPS client, keep-alive, {body}" if keep_alive else \
        f"HTTPS client, a new connection each, {'system trust store' if system_trust else 'private CA'}"
    result = results.new(name, title, "request", f"{CONCURRENCY} requests at once to nginx; pages of {body}.")
    options = ["--host", "localhost", "--path", path, "--size", str(size)]
    wrapper: list[str] = []
    if keep_alive:
        options.append("--keep-alive")
    if system_trust:
        try:
            store = trust.make_store(suite.certificates / "ca.pem", suite.scratch)
        except Failure as failure:
            return results.skip(result, str(failure))
        reason = trust.refused(store)
        if reason:
            return results.skip(result, reason)
        wrapper = trust.inside(store)
        options.append("--system-trust")
        result["notes"].append(f"The system trusts {trust.size_of_bundle()} authorities; the test's own was added in a private mount namespace.")
    else:
        options += ["--ca", str(suite.certificates / "ca.pem")]

    least = 2 * CONCURRENCY if keep_alive else 0
    clients: dict[str, Client] = {}
    with contextlib.ExitStack() as stack:
        nginx = start_server(suite, NGINX, "", cpus=[suite.machine.load_cpu])
        stack.callback(nginx.stop)
        for who in (*contenders.CLIENTS, *(() if keep_alive or system_trust else VARIANTS)):
            try:
                clients[who] = Client(suite, who, nginx.port, options, wrapper)
                stack.callback(clients[who].stop)
                clients[who].calibrate(1.8e6 * suite.slice_ms, least)
            except Failure as failure:
                if who in clients:
                    clients.pop(who).stop()
                result["failed"][who] = str(failure)

        def lost(who: str, _: Failure) -> list[str]:
            clients.pop(who).stop()
            return []

        visits: dict[str, Visit] = {who: client.visit for who, client in clients.items()}
        measured = measure(visits, suite.cycles_for(judged), failed=lost)
        results.compare(result, measured)
        for who, client in clients.items():
            result["contenders"][who]["requests_per_slice"] = client.count
            client.stop()
        if counted:
            for who in list(clients):
                count_one(suite, result, who, nginx.port, options, wrapper, least, trace)
    return result


def count_one(suite: Suite, result: Result, who: str, port: int, options: Sequence[str], wrapper: Sequence[str], least: int,
              trace: bool) -> None:
    file = suite.scratch / f"allocations-{result['name']}-{who}"
    # Only the client may be counted, not the shell that prepares its namespace.
    preload = {} if wrapper else counting_environment(suite.programs, file)
    try:
        with contextlib.ExitStack() as stack:
            client = Client(suite, who, port, options, wrapper, preload)
            stack.callback(client.stop)
            client.count = max(CONCURRENCY, least)
            result["contenders"][who].update(count(
                client.process,
                client.process.pid,
                client.visit,
                machine=suite.machine,
                scratch=suite.scratch,
                allocations=file if preload else None,
                says_turns=False,
                trace=trace,
            ))
    except Failure as failure:
        result["notes"].append(f"{contenders.label(who)} could not be counted: {failure}")
