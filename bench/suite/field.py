"""The servers of one workload, alive at once, and the load generator that visits them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence

from .contenders import Contender, Server, Suite, start_server
from .cycles import Visit
from .load import Load, LoadStuck, Sample
from .processes import Failure


class Field:
    """Starts every contender it can; those that fail, now or later, are in `failed` with the reason."""

    def __init__(self, suite: Suite, mode: str, contenders: Iterable[Contender], cpus: Sequence[int] | None = None) -> None:
        self.suite = suite
        self.failed: dict[str, str] = {}
        self.servers: dict[str, Server] = {}
        self.load = Load(suite.program("load"), suite.machine)
        self._opened: dict[str, tuple[int, str]] = {}
        try:
            for contender in contenders:
                try:
                    self.servers[contender.name] = start_server(suite, contender, mode, cpus=cpus)
                except Failure as failure:
                    self.failed[contender.name] = str(failure)
        except BaseException:
            self.stop()
            raise

    def open(self, count: int, kind: str, names: Iterable[str] | None = None) -> None:
        """Opens this many connections to each."""
        for name in list(names or self.servers):
            try:
                self._open_one(name, count, kind)
            except Failure as failure:
                for other in self.lost(name, failure):
                    self.failed[other] = f"lost when {name} failed"
                self.failed[name] = str(failure)

    def _open_one(self, name: str, count: int, kind: str) -> None:
        server = self.servers[name]
        self.load.open(name, server.port, server.pid, count, kind)
        self._opened[name] = (count, kind)

    def visits(self, visit: Callable[[str, Server], Sample]) -> dict[str, Visit]:
        """What cycles.measure() wants, for all that live."""

        def make(name: str, server: Server) -> Visit:
            def one() -> Sample:
                try:
                    return visit(name, server)
                except LoadStuck:
                    raise
                except Failure as failure:
                    # The generator sees only that connections broke; the server may know why.
                    if not server.running():
                        raise Failure(server.process.describe("died")) from failure
                    raise

            return one

        return {name: make(name, server) for name, server in self.servers.items()}

    def lost(self, name: str, failure: Failure) -> list[str]:
        """Takes one out. If the generator hangs, a new one takes over; returns who could not be connected again."""
        self._opened.pop(name, None)
        if isinstance(failure, LoadStuck) or not self.load.running():
            self.load.stop()
            self.load = Load(self.suite.program("load"), self.suite.machine)
        else:
            with contextlib.suppress(Failure):
                self.load.close(name)
        if name in self.servers:
            self.servers.pop(name).stop()
        if not isinstance(failure, LoadStuck):
            return []
        gone = []
        for other, (count, kind) in list(self._opened.items()):
            try:
                self._open_one(other, count, kind)
            except Failure:
                self._opened.pop(other)
                self.servers.pop(other).stop()
                gone.append(other)
        return gone

    def stop(self) -> None:
        self.load.stop()
        for server in self.servers.values():
            server.stop()

    def __enter__(self) -> Field:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
