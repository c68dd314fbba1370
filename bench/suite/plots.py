"""Charts as SVG and PNG: one for each comparison, an overview, memory, growth."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from .contenders import label
from .musts import Verdict
from .report import duration, order
from .results import Result

OURS = "#14558f"
OTHERS = "#b4bcc6"
INK = "#2b2f36"
FAINT = "#8a929c"
COLOURS = {
    "hawser": OURS,
    "floor": "#6b7280",
    "asio": "#c8702a",
    "blocking": "#7b4f9d",
    "blocking_libtls": "#7b4f9d",
    "blocking_openssl": "#b79ac8",
    "curl": "#2f8a63",
    "nginx": "#9aa33c",
}
# Beyond this a bar says nothing more by its length.
LONGEST = 4.0

STYLE = {
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "white",
    "svg.hashsalt": "hawser",
}


def draw(found: Mapping[str, Result], verdicts: Sequence[Verdict], directory: pathlib.Path) -> tuple[dict[str, str], str | None]:
    """Draws what there is; gives the SVG's name for each chart, or why there are none."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError as error:
        return {}, f"{error}; Debian's package is python3-matplotlib"
    drawn: dict[str, str] = {}

    def save(name: str, chart: Any) -> None:
        for ending in ("svg", "png"):
            metadata = {"Date": None} if ending == "svg" else None
            chart.savefig(directory / f"{name}.{ending}", dpi=150, bbox_inches="tight", pad_inches=0.15, metadata=metadata)
        plt.close(chart)
        drawn[name] = f"{name}.svg"

    with plt.rc_context(STYLE):
        for name, result in found.items():
            if "skipped" in result or not result["contenders"]:
                continue
            if name == "idle":
                save(name, memory(plt, result))
            elif name.startswith("growth_"):
                if any(figures["points"] for figures in result["contenders"].values()):
                    save(name, growth(plt, result))
            elif result.get("reference") in result["contenders"] and result["ratios"]:
                save(name, comparison(plt, result))
        whole = overview(plt, found, verdicts)
        if whole is not None:
            save("overview", whole)
    return drawn, None


def times(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def costs(result: Result) -> dict[str, tuple[float, float, float]]:
    """What each costs when the reference costs 1: median, low, high."""
    found = {}
    for who, ratio in result["ratios"].items():
        three = (ratio["median"], ratio["low"], ratio["high"])
        found[who] = three if result.get("inverted") else (1 / three[0], 1 / three[2], 1 / three[1])
    return found


def comparison(plt: Any, result: Result) -> Any:
    """Bars of the CPU time when the reference's is 1, shortest first, with the interval of the paired ratio."""
    reference = result.get("reference", "hawser")
    cost = costs(result)
    cost[reference] = (1.0, 1.0, 1.0)
    names = sorted((name for name in result["contenders"] if name in cost), key=lambda name: -cost[name][0])
    longest = min(LONGEST, max(high for _, _, high in cost.values()))
    figure, axes = plt.subplots(figsize=(7.6, 0.42 * len(names) + 1.25))
    for row, name in enumerate(names):
        median, low, high = cost[name]
        shown = min(median, longest)
        axes.barh(row, shown, height=0.62, color=OURS if name == reference else OTHERS, zorder=2)
        if median <= longest and name != reference:
            axes.plot([low, min(high, longest * 1.02)], [row, row], color=INK, linewidth=1.2, solid_capstyle="butt", zorder=3)
        if median > longest:
            axes.text(shown * 0.985, row, "▸", ha="right", va="center", color="white", zorder=4)
        cpu = duration(result["contenders"][name]["cpu_ns_per_op"]["median"])
        end = max(shown, min(high, longest))
        # Where the line at 1 would cross the figures it is interrupted.
        clear = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        axes.text(end + longest * 0.015, row, f"{times(median)}", va="center", fontweight="bold", color=OURS if name == reference else INK,
                  bbox=clear, zorder=5)
        axes.text(end + longest * 0.105, row, cpu, va="center", color=FAINT, fontsize=9, bbox=clear, zorder=5)
    axes.axvline(1.0, color=INK, linewidth=0.8, zorder=1, linestyle=(0, (4, 3)))
    axes.set_yticks(range(len(names)), [label(name) for name in names])
    for text, name in zip(axes.get_yticklabels(), names):
        if name == reference:
            text.set_fontweight("bold")
            text.set_color(OURS)
    axes.set_xlim(0, longest * 1.24)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks([])
    axes.set_title(result["title"], pad=20)
    axes.text(0, 1.0, f"CPU time per {result['operation']}, {label(reference)} = 1; line: 95 % interval", transform=axes.transAxes, color=FAINT,
              fontsize=9, va="bottom")
    return figure


def overview(plt: Any, found: Mapping[str, Result], verdicts: Sequence[Verdict]) -> Any | None:
    """hawser's CPU time over everybody else's, all workloads on one scale; what must be reached as a tick."""
    rows = [result for result in found.values()
            if result["ratios"] and result.get("reference") == "hawser" and not result.get("inverted")]
    if not rows:
        return None
    limits = {(one.must.workload, one.must.figure[1]): one.must.limit for one in verdicts if one.must.figure[0] == "ratio"}
    highest = max(ratio["high"] for result in rows for ratio in result["ratios"].values())
    widest = min(2.4, max(1.3, highest * 1.04))
    figure, axes = plt.subplots(figsize=(9.2, 0.47 * len(rows) + 1.6))
    seen: list[str] = []
    for number, result in enumerate(rows):
        y = len(rows) - 1 - number
        axes.axhline(y, color="#eceff2", linewidth=1, zorder=0)
        names = list(result["ratios"])
        for place, who in enumerate(names):
            ratio = result["ratios"][who]
            colour = COLOURS.get(who, FAINT)
            seen += [who] if who not in seen else []
            # A little apart, so that none hides another.
            height = y + (place - (len(names) - 1) / 2) * 0.13
            if ratio["median"] > widest:
                axes.text(widest, height, f"{times(ratio['median'])} ▸", color=colour, ha="right", va="center", fontsize=8)
                continue
            axes.plot([ratio["low"], min(widest, ratio["high"])], [height, height], color=colour, linewidth=1.6, alpha=0.55, zorder=2)
            axes.plot(ratio["median"], height, "o", color=colour, markersize=5.5, zorder=3)
            limit = limits.get((result["name"], who))
            if limit is not None and limit <= widest:
                axes.plot([limit, limit], [height - 0.1, height + 0.1], color=colour, linewidth=1.6, zorder=2)
    axes.axvline(1.0, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.set_xlim(0, widest)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_yticks([len(rows) - 1 - n for n in range(len(rows))], [result["title"] for result in rows])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("hawser's CPU time over theirs: left of 1 hawser takes less\ndot: median, line: 95 % interval, tick: what must be reached")
    axes.xaxis.label.set_color(FAINT)
    axes.xaxis.label.set_fontsize(9)
    axes.set_title("CPU time per operation, hawser against each", pad=26)
    x = 0.0
    for who in order(seen):
        words = label(who)
        if COLOURS.get("blocking") == COLOURS.get(who) and {"blocking", "blocking_libtls"} <= set(seen):
            if who == "blocking":
                continue
            words += " (TCP: threads)"
        text = axes.annotate(f"● {words}", (x, 1), xycoords="axes fraction", xytext=(0, 6), textcoords="offset points",
                             color=COLOURS.get(who, FAINT), fontsize=9)
        box = text.get_window_extent(figure.canvas.get_renderer())
        x += box.width / axes.get_window_extent().width + 0.025
    return figure


def memory(plt: Any, result: Result) -> Any:
    """KiB for each idle connection: after an echo, and after a transfer."""
    names = sorted(result["contenders"], key=lambda name: -result["contenders"][name]["after_echo"]["kib_per_connection"])
    figure, axes = plt.subplots(figsize=(7.6, 0.72 * len(names) + 1.25))
    longest = max(result["contenders"][name][f"after_{use}"]["kib_per_connection"] for name in names for use in ("echo", "transfer"))
    for row, name in enumerate(names):
        for use, offset, strength in (("echo", 0.19, 1.0), ("transfer", -0.19, 0.5)):
            value = result["contenders"][name][f"after_{use}"]["kib_per_connection"]
            axes.barh(row + offset, value, height=0.34, color=OURS if name == "hawser" else OTHERS, alpha=strength, zorder=2)
            what = "after one echo" if use == "echo" else "after 1 MiB"
            axes.text(value + longest * 0.012, row + offset, f"{value:.1f} KiB", va="center", fontsize=9,
                      fontweight="bold" if use == "echo" else "normal", color=OURS if name == "hawser" else INK)
            axes.text(value + longest * 0.17, row + offset, what, va="center", fontsize=8, color=FAINT)
    axes.set_yticks(range(len(names)), [label(name) for name in names])
    for text, name in zip(axes.get_yticklabels(), names):
        if name == "hawser":
            text.set_fontweight("bold")
            text.set_color(OURS)
    axes.set_xlim(0, longest * 1.38)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_title(result["title"], pad=20)
    axes.text(0, 1.0, "Server's memory for each connection", transform=axes.transAxes, color=FAINT, fontsize=9, va="bottom")
    return figure


def growth(plt: Any, result: Result) -> Any:
    """CPU time for each echo over the number of connections, with quartiles."""
    figure, axes = plt.subplots(figsize=(7.6, 4.2))
    ends = []
    highest = 0.0
    for who in order(result["contenders"]):
        points = sorted((int(count), figures["cpu_ns_per_op"]) for count, figures in result["contenders"][who]["points"].items())
        if not points:
            continue
        counts = [count for count, _ in points]
        colour = COLOURS.get(who, FAINT)
        medians = [cpu["median"] / 1000 for _, cpu in points]
        highest = max(highest, *(cpu["q3"] / 1000 for _, cpu in points))
        axes.fill_between(counts, [cpu["q1"] / 1000 for _, cpu in points], [cpu["q3"] / 1000 for _, cpu in points], color=colour, alpha=0.12,
                          linewidth=0)
        axes.plot(counts, medians, "-o", color=colour, linewidth=2.4 if who == "hawser" else 1.6, markersize=4.5,
                  zorder=4 if who == "hawser" else 3)
        ends.append((medians[-1], counts[-1], who, colour))
    axes.set_xscale("log")
    axes.set_ylim(0, highest * 1.08)
    axes.set_xticks(result["points"], [f"{point:,}" for point in result["points"]])
    axes.minorticks_off()
    axes.yaxis.grid(True, color="#eceff2")
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("connections, each with a message on its way")
    axes.set_title(result["title"], pad=20)
    axes.text(0, 1.0, "CPU time per echo, µs; shaded: quartiles", transform=axes.transAxes, color=FAINT, fontsize=9, va="bottom")
    lowest = 0.0
    for value, count, who, colour in sorted(ends):
        # Labels at the lines' ends, moved up where they would touch.
        lowest = max(value, lowest)
        axes.annotate(label(who), (count, lowest), xytext=(8, 0), textcoords="offset points", va="center", color=colour,
                      fontweight="bold" if who == "hawser" else "normal", annotation_clip=False)
        lowest += highest * 0.055
    return figure
