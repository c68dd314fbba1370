"""hawser from Lua: what a read or a write there costs beyond the C++ one, and beside other libraries of Lua."""

from __future__ import annotations

from . import contenders, primitives, results, servers
from .contenders import LUA_SERVERS, Suite
from .paired import differences, spread
from .processes import Failure, run
from .results import Result

RUNTIMES = {"hawser_lua": "Lua 5.4", "hawser_luajit": "LuaJIT"}
AGAINST = {"hawser_cpp_flushing": "C++ with a send for each write", "hawser_cpp": "C++ that gathers writes"}

PRIMITIVES = {
    "hawser_lua": ("hawser_primitives.lua", "lua5.4"),
    "hawser_luajit": ("hawser_primitives.lua", "luajit"),
    "cqueues": ("cqueues_primitives.lua", "lua5.4"),
    "cqueues_luajit": ("cqueues_primitives.lua", "luajit"),
    "copas": ("copas_primitives.lua", "lua5.4"),
    "copas_luajit": ("copas_primitives.lua", "luajit"),
}


def added(runtime: str, against: str) -> str:
    """The key in `measures` of what a read or a write costs more."""
    return f"a read or a write: added by {RUNTIMES[runtime]} to {AGAINST[against]}"


def put_added(result: Result) -> None:
    """Half of what an echo costs more: it is a read and a write."""
    def cpu(name: str) -> list[float | None]:
        return result["contenders"].get(name, {}).get("raw", {}).get("cpu_ns_per_op", [])

    for runtime in RUNTIMES:
        for against in AGAINST:
            values = [difference / 2 for difference in differences(cpu(runtime), cpu(against))]
            if values:
                results.put(result, added(runtime, against), spread(values), "ns")
            else:
                missing = [contenders.label(name) for name in (runtime, against) if not any(cpu(name))]
                result["notes"].append(f"Not known: {added(runtime, against)} ({' and '.join(missing)} failed).")


def versions() -> str:
    """Of the others, as the system's packages have them."""
    try:
        text = run(["dpkg-query", "-W", "-f", "${Package} ${Version}\\n", "lua-cqueues", "lua-luaossl", "lua-copas", "lua-sec"], 10)
    except Failure:
        return "Versions of the other libraries: not known."
    return f"Packages: {', '.join(text.splitlines())}."


def echo(suite: Suite, name: str, kind: str) -> Result:
    result = results.new(name, f"Lua: {kind.upper()} echo, 64 B, 64 connections", "echo",
                         "Lua's write() ends when the kernel has the bytes, as it does in the C++ server with a send for each write. "
                         "TLS by LibreTLS (hawser), luaossl (cqueues), LuaSec (copas).")
    visit: servers.Slice = lambda load, who, server: load.echo(who, suite.slice_ms, 64)
    servers.compare(suite, result, f"{kind}-echo", LUA_SERVERS, (64, kind), visit, suite.cycles_for(judged=True), False,
                    reference="hawser_lua")
    put_added(result)
    result["notes"].append(versions())
    return result


def measure_primitives(suite: Suite, name: str) -> Result:
    result = results.new(name, "Lua: tasks by themselves", "operation")
    primitives.run_in_turn(suite, result, {**PRIMITIVES, "hawser_cpp": ("primitives", "")}, judged="hawser_lua")
    # Of the C++ program what there is in Lua too.
    rows = {key for who in PRIMITIVES for key in result["contenders"].get(who, {}).get("rows", {})}
    ours = result["contenders"].get("hawser_cpp")
    if rows and ours:
        ours["rows"] = {key: one for key, one in ours["rows"].items() if key in rows}
    return result
