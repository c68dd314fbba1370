"""Passes that are counted and not timed: system calls, turns of the loop, and whose allocations there are."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import signal
import struct
import time
from collections.abc import Callable, Iterator

from .load import Sample
from .machine import Machine
from .processes import Failure, Process

SLICES = 3
ALLOCATIONS = struct.Struct("=4Q")


def strace_works() -> str | None:
    """None, or why not."""
    try:
        with Process(["strace", "-o", os.devnull, "true"]) as process:
            process.read_all(10)
    except Failure as failure:
        return f"strace does not work here: {failure}"
    return None


def traced(pid: int) -> bool:
    """Whether each thread of a process has a tracer."""
    try:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            if re.search(r"TracerPid:\s*0$", (task / "status").read_text(), re.MULTILINE):
                return False
    except OSError:
        # A thread that ends while we look.
        return False
    return True


@contextlib.contextmanager
def counting_calls(pid: int, machine: Machine, scratch: pathlib.Path) -> Iterator[dict[str, int]]:
    """Attaches strace; the dictionary holds the counts after the block."""
    calls: dict[str, int] = {}
    log = scratch / f"strace-{pid}"
    command = ["strace", "-c", "-f", "-U", "calls,name", "-o", str(log), "-p", str(pid)]
    # On the contender's CPU, so that it does not fight with the generator, which spins.
    tracer = Process(command, cpus=[machine.measured_cpu], priority=machine.server_priority)
    try:
        deadline = time.monotonic() + 10
        while not traced(pid):
            if not tracer.running() or time.monotonic() > deadline:
                raise Failure(tracer.describe(f"did not attach to process {pid}"))
            time.sleep(0.02)
        yield calls
    finally:
        # On an interrupt it detaches and writes its table.
        tracer.stop(20, signal.SIGINT)
    try:
        text = log.read_text()
    except OSError as error:
        raise Failure(tracer.describe(f"wrote no table ({error.strerror})")) from error
    for line in text.splitlines():
        row = re.match(r"\s*(\d+)\s+(\w+)$", line)
        if row and row[2] != "total":
            calls[row[2]] = int(row[1])


def read_allocations(file: pathlib.Path) -> tuple[int, int, int, int]:
    """Calls and bytes of the program, calls and bytes of libraries."""
    try:
        return ALLOCATIONS.unpack(file.read_bytes())  # type: ignore[return-value]
    except (OSError, struct.error) as error:
        raise Failure(f"no counts of allocations in {file}: {error}") from None


def counting_environment(programs: pathlib.Path, file: pathlib.Path) -> dict[str, str]:
    library = programs / "libcount_allocations.so"
    return {"LD_PRELOAD": str(library), "HAWSER_COUNT_ALLOCATIONS": str(file)} if library.exists() else {}


def loop_counts(process: Process) -> dict[str, int]:
    """What a contender says of its event loop on SIGUSR1: {"turns": N, ...}; nothing if it says nothing."""
    process.send_signal(signal.SIGUSR1)
    try:
        answer = json.loads(process.read_line(2))
    except (Failure, ValueError):
        return {}
    return {key: value for key, value in answer.items() if isinstance(value, int)}


def operations(done: Sample) -> float:
    return done.all_ops or done.ops


def count(
    process: Process,
    pid: int,
    visit: Callable[[], Sample],
    *,
    machine: Machine,
    scratch: pathlib.Path,
    allocations: pathlib.Path | None,
    says_turns: bool,
    trace: bool,
) -> dict[str, object]:
    """Some slices to warm up, as many for the allocations, one under strace."""
    found: dict[str, object] = {}
    # Pools grow until they have seen the most that happens at once.
    for _ in range(SLICES):
        visit()
    if allocations is not None:
        before = read_allocations(allocations)
        ops = sum(operations(visit()) for _ in range(SLICES))
        grown = [b - a for a, b in zip(before, read_allocations(allocations))]
        found["allocations_per_op"] = {
            "program": grown[0] / ops,
            "program_bytes": grown[1] / ops,
            "libraries": grown[2] / ops,
            "libraries_bytes": grown[3] / ops,
        }
    if not trace:
        return found
    turns_before = loop_counts(process) if says_turns else {}
    with counting_calls(pid, machine, scratch) as calls:
        ops = operations(visit())
    turns_after = loop_counts(process) if turns_before else {}
    # strace itself interrupts what a process waits in when it attaches.
    calls.pop("restart_syscall", None)
    by_name = sorted(calls.items(), key=lambda item: -item[1])
    found["syscalls_per_op"] = {
        "total": sum(calls.values()) / ops,
        "by_name": {name: number / ops for name, number in by_name[:6]},
    }
    grown_counts = {key: turns_after[key] - turns_before[key] for key in turns_after if key in turns_before}
    if grown_counts:
        found["loop_per_op"] = {key: value / ops for key, value in grown_counts.items()}
    if grown_counts.get("turns"):
        found["enters_per_turn"] = calls.get("io_uring_enter", 0) / grown_counts["turns"]
        # What says the turns is a system call or two itself, and so is what ended the slice.
        found["enters_beyond_turns"] = calls.get("io_uring_enter", 0) - grown_counts["turns"]
    return found
