"""Visits contenders in turn, cycle by cycle, and keeps what each slice gave."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence

from .load import Sample
from .paired import Histogram, Spread, histogram_quantile, merge, ratios, spread
from .processes import Failure

Visit = Callable[[], Sample]


@dataclasses.dataclass
class Measured:
    """All samples by contender, one place a cycle; None where it had failed."""

    samples: dict[str, list[Sample | None]]
    failed: dict[str, str]

    def good(self, name: str) -> list[Sample]:
        return [one for one in self.samples.get(name, []) if one is not None]

    def cpu(self, name: str) -> list[float | None]:
        return [one.cpu_per_op if one else None for one in self.samples.get(name, [])]

    def rate(self, name: str) -> list[float | None]:
        return [one.ops_per_second if one else None for one in self.samples.get(name, [])]

    def ratio(self, over: str, under: str) -> Spread | None:
        """Of the CPU time for each operation, from the cycles that have both."""
        values = ratios(self.cpu(over), self.cpu(under))
        return spread(values) if values else None


def measure(
    visits: Mapping[str, Visit],
    cycles: int,
    seed: int = 1,
    failed: Callable[[str, Failure], Sequence[str]] | None = None,
    warm_up: int = 1,
) -> Measured:
    """Visits every contender once a cycle, in another order each time: whoever follows another finds its cache lines.

    One that fails is visited no more. `failed` cleans up after it, and may name others that are lost with it.
    """
    order = list(visits)
    samples: dict[str, list[Sample | None]] = {name: [] for name in order}
    messages: dict[str, str] = {}
    shuffle = random.Random(seed)
    for cycle in range(warm_up + cycles):
        shuffle.shuffle(order)
        for name in order:
            one: Sample | None = None
            if name not in messages:
                try:
                    one = visits[name]()
                except Failure as failure:
                    messages[name] = str(failure)
                    if failed:
                        for other in failed(name, failure):
                            messages.setdefault(other, f"lost when {name} failed")
            if cycle >= warm_up:
                samples[name].append(one)
        if len(messages) == len(order):
            break
    return Measured(samples, messages)


def summary(samples: Sequence[Sample]) -> dict[str, object]:
    """What the report says of one contender."""
    if not samples:
        return {}
    found: dict[str, object] = {
        "cpu_ns_per_op": spread(one.cpu_per_op for one in samples).as_json(),
        "ops_per_second": spread(one.ops_per_second for one in samples).as_json(),
        "ops": sum(one.ops for one in samples),
    }
    if any(one.bytes for one in samples):
        found["bytes_per_second"] = spread(one.bytes / one.wall_ns * 1e9 for one in samples).as_json()
    latency = quantiles(samples)
    if latency:
        found["latency_us"] = latency
    for key in {key for one in samples for key in one.extra}:
        found[key] = spread(one.extra[key] for one in samples if key in one.extra).as_json()
    errors = sum(one.errors for one in samples)
    if errors:
        found["errors"] = errors
    return found


def quantiles(samples: Sequence[Sample]) -> dict[str, float]:
    """In microseconds: from all histograms together, else the median of what each slice says."""
    histogram: Histogram = merge(one.latency for one in samples if one.latency)
    if histogram:
        wanted = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
        found = {name: histogram_quantile(histogram, share) for name, share in wanted.items()}
        return {name: value / 1000 for name, value in found.items() if value is not None}
    names = {name for one in samples for name in one.quantiles or {}}
    return {
        name: spread(one.quantiles[name] for one in samples if one.quantiles and name in one.quantiles).median
        for name in sorted(names)
    }
