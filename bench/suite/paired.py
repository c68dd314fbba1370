"""Statistics of paired measurements: medians, their confidence intervals, ratios and differences per cycle, latency histograms."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence


@dataclasses.dataclass(frozen=True)
class Spread:
    """A median, the quartiles, and a confidence interval of the median that assumes nothing about the distribution."""

    median: float
    q1: float
    q3: float
    low: float
    high: float
    count: int

    def as_json(self) -> dict[str, float | int]:
        return dataclasses.asdict(self)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of the sorted values lie, between two of them if need be."""
    if not ordered:
        raise ValueError("no values")
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def median_ranks(count: int, confidence: float = 0.95) -> tuple[int, int]:
    """The ranks, from 0, of two sorted values that enclose the median with at least this confidence.

    How many of `count` values lie below the true median is binomial with one half, whatever their distribution. Too few
    values cannot give that confidence: then they are the least and the greatest.
    """
    if count < 1:
        raise ValueError("no values")
    tail = (1 - confidence) / 2
    below = 0.0
    rank = 0
    for k in range(count):
        below += math.comb(count, k) / 2**count
        if below > tail:
            break
        rank = k
    return rank, count - 1 - rank


def spread(values: Iterable[float], confidence: float = 0.95) -> Spread:
    ordered = sorted(values)
    low, high = median_ranks(len(ordered), confidence)
    return Spread(
        median=statistics.median(ordered),
        q1=quantile(ordered, 0.25),
        q3=quantile(ordered, 0.75),
        low=ordered[low],
        high=ordered[high],
        count=len(ordered),
    )


def ratios(over: Sequence[float | None], under: Sequence[float | None]) -> list[float]:
    """over/under of each cycle that has both."""
    return [a / b for a, b in zip(over, under) if a is not None and b is not None and b > 0]


def differences(of: Sequence[float | None], less: Sequence[float | None]) -> list[float]:
    """of - less of each cycle that has both."""
    return [a - b for a, b in zip(of, less) if a is not None and b is not None]


def double_ratios(*series: Sequence[float | None]) -> list[float]:
    """(a/b)/(c/d) of each cycle that has all four: how much more a grew over b than c over d."""
    return [a / b / (c / d) for a, b, c, d in zip(*series) if None not in (a, b, c, d) and min(b, c, d) > 0]


Histogram = list[tuple[int, int]]


def merge(histograms: Iterable[Iterable[Sequence[int]]]) -> Histogram:
    """Adds histograms of (upper bound, count)."""
    total: dict[int, int] = {}
    for histogram in histograms:
        for bound, count in histogram:
            total[bound] = total.get(bound, 0) + count
    return sorted(total.items())


def histogram_quantile(histogram: Histogram, share: float) -> float | None:
    """The upper bound of the bucket in which the value of this rank lies."""
    total = sum(count for _, count in histogram)
    if total == 0:
        return None
    wanted = max(1, math.ceil(share * total))
    seen = 0
    for bound, count in histogram:
        seen += count
        if seen >= wanted:
            return float(bound)
    return float(histogram[-1][0])
