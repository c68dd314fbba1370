"""The machine: which CPUs are used for what, whether real time is allowed, how many descriptors; and all versions."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import pathlib
import platform
import re
import resource
import subprocess
from collections.abc import Sequence

from .processes import ALL_CPUS, Failure, run

# Above what runs by default, so that a woken server need not wait for the slice of somebody else's compiler.
SERVER_PRIORITY = 10
LOAD_PRIORITY = 10
# The harness must be able to end a load generator that spins.
OWN_PRIORITY = 20


@dataclasses.dataclass
class Machine:
    measured_cpu: int
    load_cpu: int
    other_cpus: list[int]
    real_time: bool
    descriptors: int
    notes: list[str]

    @property
    def server_priority(self) -> int | None:
        return SERVER_PRIORITY if self.real_time else None

    @property
    def load_priority(self) -> int | None:
        return LOAD_PRIORITY if self.real_time else None


def siblings(cpu: int) -> set[int]:
    """The CPUs that share a core with this one."""
    try:
        text = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return {cpu}
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def real_time_allowed() -> bool:
    pid = os.fork()
    if pid == 0:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(SERVER_PRIORITY))
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def raise_descriptor_limit() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (262_144, 131_072, 65_536):
        if hard != resource.RLIM_INFINITY and wanted > hard:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
                return wanted
            except (OSError, ValueError):
                continue
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def choose() -> Machine:
    notes = []
    measured = ALL_CPUS[0]
    others = [cpu for cpu in ALL_CPUS if cpu != measured]
    apart = [cpu for cpu in others if cpu not in siblings(measured)]
    load = (apart or others or [measured])[0]
    if not others:
        notes.append("There is one CPU only: contenders and load generator share it, latencies and throughput mean little.")
    elif not apart:
        notes.append(f"CPU {measured} and CPU {load} share a core.")
    real_time = real_time_allowed()
    if not real_time:
        notes.append("SCHED_FIFO is not permitted: whatever else runs here disturbs the figures more than it should.")
    rest = [cpu for cpu in (apart or others) if cpu != load and cpu not in siblings(load)]
    return Machine(measured, load, rest, real_time, raise_descriptor_limit(), notes)


def settle(machine: Machine) -> None:
    """Puts the harness itself onto the load generator's CPU, where it runs only while nothing is measured."""
    os.sched_setaffinity(0, [machine.load_cpu])
    if machine.real_time:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(OWN_PRIORITY))


def unsettle() -> None:
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.sched_setaffinity(0, ALL_CPUS)


def read(path: str) -> str:
    try:
        return pathlib.Path(path).read_text().strip()
    except OSError:
        return ""


def first_line(command: Sequence[str]) -> str:
    """What a program says of its version, on whichever stream."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "not found"
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else "unknown"


def macro(compiler: Sequence[str], header: str, name: str, flags: Sequence[str]) -> str:
    """What the preprocessor puts for a macro of a header."""
    source = f"#include <{header}>\nhawser_wants {name}\n"
    command = [*compiler, *flags, "-std=c++20", "-E", "-P", "-x", "c++", "-"]
    try:
        done = subprocess.run(command, input=source, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    found = re.search(r"hawser_wants (.*)", done.stdout)
    return found[1].strip() if found and found[1].strip() != name else "unknown"


def package_version(name: str, environment: dict[str, str | None] | None = None) -> str:
    try:
        return run(["pkg-config", "--modversion", name], 10, environment=environment or {}).strip()
    except Failure:
        return "not found"


def asio_version(text: str) -> str:
    """102201 is 1.22.1."""
    if not text.isdigit():
        return text
    number = int(text)
    return f"{number // 100000}.{number // 100 % 1000}.{number % 100}"


def versions(compiler: Sequence[str], flags: Sequence[str], environment: dict[str, str | None]) -> dict[str, str]:
    libtls = package_version("libtls", environment)
    libressl = macro(compiler, "openssl/opensslv.h", "LIBRESSL_VERSION_TEXT", flags)
    return {
        "compiler": first_line([*compiler, "--version"]),
        "libtls": f"{libtls} ({'LibreSSL' if libressl != 'unknown' else 'LibreTLS'})",
        "OpenSSL": first_line(["openssl", "version"]).split(" (")[0].removeprefix("OpenSSL "),
        "liburing": package_version("liburing", environment),
        "Asio": asio_version(macro(compiler, "asio/version.hpp", "ASIO_VERSION", flags)),
        "libcurl": package_version("libcurl"),
        "Lua": first_line(["lua5.4", "-v"]).split(" Copyright")[0].removeprefix("Lua ").strip(),
        "LuaJIT": first_line(["luajit", "-v"]).split(" -- ")[0].removeprefix("LuaJIT "),
        "nginx": first_line(["nginx", "-v"]).removeprefix("nginx version: nginx/"),
        "wrk": first_line(["wrk", "-v"]).split(" Copyright")[0].removeprefix("wrk ").removeprefix("debian/").split(" [")[0],
    }


def describe(machine: Machine) -> dict[str, object]:
    model = re.search(r"model name\s*:\s*(.*)", read("/proc/cpuinfo"))
    memory = re.search(r"MemTotal:\s*(\d+)", read("/proc/meminfo"))
    virtual = "hypervisor" in read("/proc/cpuinfo")
    return {
        "processor": model[1] if model else platform.processor(),
        "cpus": len(ALL_CPUS),
        "virtual machine": virtual,
        "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else None,
        "kernel": platform.release(),
        "system": re.sub(r'^PRETTY_NAME="?([^"]*)"?$', r"\1", next(
            (line for line in read("/etc/os-release").splitlines() if line.startswith("PRETTY_NAME")), "unknown")),
        "congestion_control": read("/proc/sys/net/ipv4/tcp_congestion_control"),
        "measured_cpu": machine.measured_cpu,
        "load_cpu": machine.load_cpu,
        "share_a_core": machine.load_cpu in siblings(machine.measured_cpu),
        "scheduling": f"SCHED_FIFO {SERVER_PRIORITY}" if machine.real_time else "default",
        "descriptors": machine.descriptors,
        "load_average": os.getloadavg()[0],
        "notes": machine.notes,
    }
