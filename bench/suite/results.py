"""What a workload hands to the report, and the helpers that make it from samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .cycles import Measured, summary
from .paired import Spread, ratios, spread

Result = dict[str, Any]


def new(name: str, title: str, operation: str, about: str = "") -> Result:
    """An empty result. `operation` is what one unit of the figures is: an echo, a handshake, a MiB."""
    return {
        "name": name,
        "title": title,
        "operation": operation,
        "about": about,
        "contenders": {},
        "ratios": {},
        "measures": {},
        "failed": {},
        "notes": [],
    }


def compare(result: Result, measured: Measured, reference: str = "hawser", inverted: bool = False) -> Result:
    """Fills in every contender and the ratio of CPU time per operation, reference/other of each cycle.

    `inverted` turns the ratios over: what the others cost when the reference costs 1.
    """
    result["reference"] = reference
    result["inverted"] = inverted
    result["cycles"] = max((len(samples) for samples in measured.samples.values()), default=0)
    result["failed"].update(measured.failed)
    for name in measured.samples:
        good = measured.good(name)
        if not good:
            continue
        result["contenders"][name] = summary(good)
        result["contenders"][name]["raw"] = {
            "cpu_ns_per_op": measured.cpu(name),
            "ops_per_second": measured.rate(name),
        }
        if name == reference:
            continue
        over, under = (name, reference) if inverted else (reference, name)
        values = ratios(measured.cpu(over), measured.cpu(under))
        if values:
            result["ratios"][name] = {**spread(values).as_json(), "all": values}
    return result


def put(result: Result, key: str, value: Spread | float, unit: str = "") -> None:
    """A figure that is judged or shown by itself."""
    if not isinstance(value, Spread):
        value = Spread(value, value, value, value, value, 1)
    result["measures"][key] = {**value.as_json(), "unit": unit}


def skip(result: Result, reason: str) -> Result:
    result["skipped"] = reason
    return result


def fail(result: Result, failed: Mapping[str, str]) -> None:
    for name, message in failed.items():
        result["failed"].setdefault(name, message)
