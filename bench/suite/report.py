"""The report in Markdown: the machine, what must be true, then a table for each workload."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .building import INCLUDE_LABELS
from .contenders import label
from .musts import Verdict
from .results import Result


PLURALS = {"echo": "echoes", "MiB": "MiB"}


def number(value: float) -> str:
    """Three digits that mean something."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 0.01 else f"{value:.4f}"


def duration(ns: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{number(ns / size)} {unit}"
    return f"{number(ns)} ns"


def figure(value: float, unit: str) -> str:
    if unit == "ns":
        return duration(value)
    if unit == "×":
        return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"
    return number(value) + (f" {unit}" if unit else "")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns that say nothing are left out; all but the first are numbers."""
    rows = [list(row) for row in rows]
    kept = [n for n in range(len(head)) if n == 0 or any(row[n] for row in rows)]
    lines = ["| " + " | ".join(head[n] for n in kept) + " |", "|" + "|".join("---" if n == 0 else "---:" for n in kept) + "|"]
    lines += ["| " + " | ".join(row[n] for n in kept) + " |" for row in rows]
    return "\n".join(lines)


def interval(figures: Mapping[str, Any] | None) -> str:
    if not figures:
        return ""
    return f"{figure(figures['median'], '×')} ({figure(figures['low'], '×')}–{figure(figures['high'], '×')})"


def order(names: Iterable[str]) -> list[str]:
    """hawser first, the others as they come."""
    return sorted(names, key=lambda name: name != "hawser")


def one_line(result: Result) -> str:
    """What is said while it runs."""
    if "skipped" in result:
        return f"skipped: {result['skipped']}"
    shown = [f"{label(who)} {figure(one['median'], '×')}" for who, one in result["ratios"].items() if "median" in one]
    if not shown and result["measures"]:
        shown = [f"{key} {figure(one['median'], one['unit'])}" for key, one in list(result["measures"].items())[:4]]
    return f"{result.get('seconds', 0):.0f} s; " + ", ".join(shown)


def verdict_text(one: Verdict) -> str:
    """What a verdict is called in the table."""
    if one.verdict == "unknown":
        return f"not measured: {one.reason.splitlines()[0]}"
    by = figure(one.by, one.must.unit)
    aim = ", and the aim" if one.aimed else ""
    return {
        "met": "met" + aim,
        "within": f"met within the tolerance (by {by} over)",
        "missed": f"**missed by {by}**",
        "open": f"not judged: {one.reason}",
        "aim": "aim reached" if one.aimed else "aim not reached",
    }[one.verdict]


def musts_table(verdicts: Sequence[Verdict]) -> str:
    rows = []
    for one in verdicts:
        sign = "≥" if one.must.at_least else "≤"
        measured = figure(one.value, one.must.unit) if one.value is not None else ""
        spread = ""
        if one.low is not None and one.high is not None and one.low != one.high:
            spread = f"{figure(one.low, one.must.unit)}–{figure(one.high, one.must.unit)}"
        limit = f"{sign} {figure(one.must.limit, one.must.unit)}" if one.must.limit is not None else ""
        rows.append([one.must.work, one.must.what, limit, f"{sign} {figure(one.must.aim, one.must.unit)}", measured, spread,
                     str(one.count) if one.count > 1 else "", verdict_text(one)])
    text = table(["work", "figure", "must", "aim", "measured", "95 % interval", "cycles", "verdict"], rows)
    # Words, not numbers.
    lines = text.splitlines()
    marks = lines[1].split("|")
    marks[2], marks[-2] = "---", "---"
    return "\n".join([lines[0], "|".join(marks), *lines[2:]])


def closing(verdicts: Sequence[Verdict]) -> str:
    count = {kind: sum(one.verdict == kind for one in verdicts) for kind in ("met", "within", "missed", "open", "unknown")}
    text = f"{count['met']} met, {count['within']} met within the tolerance, {count['missed']} missed"
    text += f", {count['open']} not judged (too few cycles)" if count["open"] else ""
    text += f", {count['unknown']} not measured" if count["unknown"] else ""
    return text


def share(figures: Mapping[str, Any], key: str, divide: float = 1) -> str:
    value = figures.get(key)
    return "" if not value else number(value["median"] / divide)


def contender_row(who: str, figures: Mapping[str, Any], result: Result) -> list[str]:
    cpu = figures["cpu_ns_per_op"]
    latency = figures.get("latency_us", {})
    calls = figures.get("syscalls_per_op", {})
    allocations = figures.get("allocations_per_op", {})
    return [
        label(who),
        duration(cpu["median"]),
        f"{duration(cpu['q1'])}–{duration(cpu['q3'])}",
        interval(result["ratios"].get(who)) if who != result.get("reference") else "1",
        share(figures, "ops_per_second"),
        *(duration(latency[name] * 1000) if name in latency else "" for name in ("p50", "p99", "p99.9")),
        number(calls["total"]) if calls else "",
        number(allocations["program"]) if allocations else "",
        number(allocations["libraries"]) if allocations else "",
        figure(figures["enters_per_turn"], "×") if "enters_per_turn" in figures else "",
        number(figures["loop_per_op"]["resumptions"]) if "resumptions" in figures.get("loop_per_op", {}) else "",
    ]


def measures(result: Result) -> str:
    """Figures by themselves."""
    rows = [[key, figure(one["median"], one["unit"]), f"{figure(one['low'], one['unit'])}–{figure(one['high'], one['unit'])}"]
            for key, one in result["measures"].items()]
    return table(["", "median", "95 % interval"], rows)


def comparison(result: Result) -> str:
    unit = result["operation"]
    reference = label(result.get("reference", "hawser"))
    against = f"it / {reference}" if result.get("inverted") else f"{reference} / it"
    head = ["", f"CPU per {unit}", "quartiles", against, f"{PLURALS.get(unit, unit + 's')}/s",
            "p50", "p99", "p99.9", "system calls", "own allocations", "libraries' allocations", "enters per turn", "resumptions"]
    names = order(name for name in result["contenders"] if "cpu_ns_per_op" in result["contenders"][name])
    text = table(head, [contender_row(name, result["contenders"][name], result) for name in names])
    return "\n\n".join([text, *([measures(result)] if result["measures"] else [])])


def idle(result: Result) -> str:
    rows = []
    for who in order(result["contenders"]):
        echo, transfer = (result["contenders"][who][f"after_{use}"] for use in ("echo", "transfer"))
        rows.append([
            label(who),
            f"{echo['kib_per_connection']:.1f} KiB",
            f"{transfer['kib_per_connection']:.1f} KiB",
            f"{echo['start_kib'] / 1024:.1f} MiB",
            f"{echo['held_kib'] / 1024:.1f} MiB",
            f"{echo['closed_kib'] / 1024:.1f} MiB",
            f"{echo['closed_over_start']:.2f}",
            f"{echo['closed_again_kib'] / 1024:.1f} MiB",
        ])
    return table(["", "each, after an echo", "each, after 1 MiB", "start", "all open", "all closed", "over the start", "opened and closed once more"], rows)


def growth(result: Result) -> str:
    points = [str(point) for point in result["points"]]
    rows = []
    for who in order(result["contenders"]):
        by_count = {str(count): figures for count, figures in result["contenders"][who]["points"].items()}
        rows.append([label(who), *(duration(by_count[point]["cpu_ns_per_op"]["median"]) if point in by_count else "" for point in points)])
    for who in order(result["ratios"]):
        ratios = {str(count): figures for count, figures in result["ratios"][who].items()}
        rows.append([f"{label(who)}, over its own 100", *(interval(ratios.get(point)) for point in points)])
    for who, against in result.get("against", {}).items():
        ratios = {str(count): figures for count, figures in against.items()}
        rows.append([f"hawser / {label(who)}", *(interval(ratios.get(point)) for point in points)])
    return table(["CPU per echo, connections:", *(f"{int(point):,}" for point in points)], rows)


def crowd(result: Result) -> str:
    rows = [
        [label(who), duration(figures["cpu_ns_per_op"]["median"]),
         duration(figures["alone"]["cpu_ns_per_op"]["median"]) if figures["alone"] else "", interval(result["ratios"].get(who))]
        for who, figures in result["contenders"].items()
    ]
    return table(["", "CPU per echo in the crowd", "alone", "crowd / alone"], rows)


def primitives(result: Result) -> str:
    names = order(result["contenders"])
    rows = {name: result["contenders"][name]["rows"] for name in names}
    every = list(dict.fromkeys(key for name in names for key in rows[name]))
    return table(["CPU each", *map(label, names)],
                 [[key, *(duration(rows[name][key]["median"]) if key in rows[name] else "" for name in names)] for key in every])


def build_cost(result: Result) -> str:
    parts = [table(["include, -O0", "seconds", "over the first"], [
        [f"`{INCLUDE_LABELS[key]}`", f"{one['median']:.2f}", interval(one.get("over_floor"))] for key, one in result["includes"].items()])]
    if result.get("sources"):
        parts.append(table(["echo server's source, as built", "seconds", "hawser's / it"], [
            [label(key), f"{one['median']:.2f}", interval(one.get("hawser_over_it"))] for key, one in result["sources"].items()]))
    return "\n\n".join(parts)


def threads(result: Result) -> str:
    rows = [[name.replace("@", ", ").replace("_", " "), share(figures, "ops_per_second"), duration(figures["cpu_ns_per_op"]["median"])]
            for name, figures in result["contenders"].items()]
    text = table(["", "per second", "CPU each"], rows)
    speedups = [f"{work} {interval(one)}" for work, one in result["ratios"].items()]
    return text + (f"\n\nThroughput of two threads over one: {', '.join(speedups)}." if speedups else "")


SPECIAL = {
    "idle": idle,
    "growth_tls": growth,
    "growth_tcp": growth,
    "active_among_idle": crowd,
    "primitives": primitives,
    "lua_primitives": primitives,
    "build_cost": build_cost,
    "threads": threads,
}


def workload(result: Result, images: Mapping[str, str]) -> str:
    parts = [f"## {result['title']}"]
    if "skipped" in result:
        return "\n\n".join([*parts, f"Skipped: {result['skipped']}"])
    cycles = result.get("cycles")
    about = [result["about"], f"{cycles} cycles." if cycles else ""]
    parts.append(" ".join(text for text in about if text))
    if result["contenders"] or result.get("includes"):
        parts.append(SPECIAL.get(result["name"], comparison)(result))
    if result["name"] in images:
        parts.append(f"![{result['title']}]({images[result['name']]})")
    remarks = [f"- {label(who)} failed: {message.splitlines()[0] if message else ''}" for who, message in result["failed"].items()]
    remarks += [f"- {note}" for note in result["notes"]]
    if remarks:
        parts.append("\n".join(remarks))
    return "\n\n".join(part for part in parts if part)


def minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"


def machine_lines(about: Mapping[str, Any]) -> list[str]:
    machine = about["machine"]
    versions = about["versions"]
    kind = " of a virtual machine" if machine["virtual machine"] else ""
    lines = [
        f"{machine['processor']}, {machine['cpus']} CPUs{kind}, {machine['memory_gib']} GiB; Linux {machine['kernel']}, {machine['system']}; "
        f"{machine['congestion_control']}.",
        "; ".join(f"{name} {version}" for name, version in versions.items()) + f". Flags: `{about['flags']}`.",
        f"What is measured runs on CPU {machine['measured_cpu']}, the load generator on CPU {machine['load_cpu']}; scheduling: {machine['scheduling']}; "
        f"{machine['descriptors']:,} descriptors for each process. Load average at the start: {machine['load_average']:.2f}.",
    ]
    lines += machine["notes"]
    lines.append(f"Measured on {about['date']} with `{about['command'].strip()}` in {minutes(about['seconds'])}.")
    return lines


HOW_TO_READ = """\
All contenders of a workload are alive at once and visited in turn, in slices of 50 to 200 ms and in another order each cycle. CPU
time is user and system time of the process that is measured. Each cycle gives a ratio; a ratio in the tables is the median of
these, and in brackets the 95 % confidence interval of that median. Ratios below 1 say that hawser takes less. Absolute figures
depend on how busy the host is and are comparable within one table only. Counts per operation come from separate passes."""


def markdown(about: Mapping[str, Any], found: Mapping[str, Result], verdicts: Sequence[Verdict], images: Mapping[str, str]) -> str:
    parts = ["# hawser, measured", "\n".join(f"- {line}" for line in machine_lines(about)), HOW_TO_READ]
    if "overview" in images:
        parts.append(f"![Overview]({images['overview']})")
    parts += ["## What must be true", musts_table(verdicts), closing(verdicts) + "."]
    parts += [workload(result, images) for result in found.values()]
    return "\n\n".join(parts) + "\n"

