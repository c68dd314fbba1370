"""The load generator, its commands, and what it answers; and the samples that everything measured becomes."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

from .machine import Machine
from .paired import Histogram
from .processes import Failure, Process, Timeout


@dataclasses.dataclass
class Sample:
    """One slice of one contender."""

    ops: float
    cpu_ns: int
    wall_ns: int
    bytes: int = 0
    errors: int = 0
    # With what came before the counting began: for counts that cannot tell the two apart.
    all_ops: float = 0.0
    latency: Histogram | None = None
    # Where the tool gives quantiles and no histogram: {"p50": microseconds, ...}.
    quantiles: dict[str, float] | None = None
    extra: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def cpu_per_op(self) -> float:
        return self.cpu_ns / self.ops

    @property
    def ops_per_second(self) -> float:
        return self.ops / self.wall_ns * 1e9 if self.wall_ns else 0.0


class LoadStuck(Failure):
    """The load generator itself does not answer; it has been ended, and with it all of its connections."""


class Load:
    def __init__(self, program: pathlib.Path, machine: Machine, cpu: int | None = None) -> None:
        self.process = Process(
            [program],
            cpus=[machine.load_cpu if cpu is None else cpu],
            priority=machine.load_priority,
            name="the load generator",
        )

    def start(self, command: str) -> None:
        try:
            self.process.send(command)
        except Failure as failure:
            raise LoadStuck(str(failure)) from failure

    def finish(self, command: str, seconds: float) -> dict[str, Any]:
        try:
            line = self.process.read_line(seconds)
        except Timeout as failure:
            self.process.stop(0.1)
            raise LoadStuck(f"no answer to `{command}` within {seconds:.0f} s") from failure
        except Failure as failure:
            self.process.stop(0.1)
            raise LoadStuck(str(failure)) from failure
        try:
            answer = json.loads(line)
        except ValueError:
            raise Failure(f"the load generator answered `{line}` to `{command}`") from None
        if "error" in answer:
            raise Failure(f"`{command}`: {answer['error']}")
        return answer

    def ask(self, command: str, seconds: float) -> dict[str, Any]:
        self.start(command)
        return self.finish(command, seconds)

    def open(self, name: str, port: int, pid: int, count: int, kind: str) -> None:
        answer = self.ask(f"open {name} {port} {pid} {count} {kind}", 30 + count * 0.02)
        if answer.get("failed") or answer.get("opened") != count:
            raise Failure(f"opened {answer.get('opened')} connections of {count}")

    def echo(self, name: str, milliseconds: int, size: int, active: int | None = None) -> Sample:
        command = f"echo {name} {milliseconds} {size}" + (f" {active}" if active is not None else "")
        return sample(self.ask(command, 20 + milliseconds / 100), strict=True)

    def bulk(self, name: str, size: int, block: int, ways: str, keep: bool = False) -> Sample:
        """Of so many bytes on each connection; the unit is one MiB. `keep` does without new connections for each transfer."""
        answer = self.ask(f"bulk {name} {size} {block} {ways}" + (" keep" if keep else ""), 60)
        measured = sample(answer, strict=True)
        measured.ops = measured.bytes / 2**20
        measured.all_ops = float(answer.get("all_bytes", measured.bytes)) / 2**20
        return measured

    def accept(self, name: str, port: int, pid: int, milliseconds: int, concurrency: int, kind: str) -> Sample:
        answer = self.ask(f"accept {name} {port} {pid} {milliseconds} {concurrency} {kind}", 20 + milliseconds / 100)
        measured = sample(answer, strict=False)
        measured.extra["resumed"] = float(answer.get("resumed", 0)) / measured.ops
        return measured

    def close(self, name: str) -> None:
        self.ask(f"close {name}", 30)

    def running(self) -> bool:
        return self.process.running()

    def stop(self) -> None:
        self.process.stop(1)


def sample(answer: dict[str, Any], strict: bool) -> Sample:
    """Checks what the load generator says. `strict`: a connection that breaks will be missing in all later slices."""
    try:
        measured = Sample(
            ops=float(answer["ops"]),
            cpu_ns=int(answer["cpu_ns"]),
            wall_ns=int(answer["wall_ns"]),
            bytes=int(answer.get("bytes", 0)),
            errors=int(answer.get("errors", 0)),
            all_ops=float(answer.get("all_ops", answer["ops"])),
            latency=[(int(bound), int(count)) for bound, count in answer.get("latency") or []],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise Failure(f"an answer of the load generator is not as agreed: {error!r} in {answer}") from None
    if measured.errors and (strict or measured.errors > 0.01 * measured.ops):
        what = answer.get("first_error")
        raise Failure(f"{measured.errors} connections failed" + (f": {what}" if what else ""))
    if measured.ops <= 0:
        raise Failure(f"nothing was done in {measured.wall_ns / 1e6:.0f} ms")
    return measured
