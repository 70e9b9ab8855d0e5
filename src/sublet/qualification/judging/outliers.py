"""Outliers within a node and over nodes: robust z of each metric's values, and metrics that a node lacks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import median

from sublet.qualification.judging.catalogue import finding, limit
from sublet.qualification.judging.context import Context
from sublet.qualification.judging.values import Finding
from sublet.qualification.reading.fleet_results import NodeResults

_FLOOR = 0.003  # of the median: equal parts differ by this much without a cause
_LOWER_IS_BETTER = re.compile(r"time|cost|overhead|latency|_lat\b|usec", re.IGNORECASE)
_STATUS = re.compile(r"return_code|error", re.IGNORECASE)


def robust_z(values: Sequence[float]) -> list[float]:
    """0.6745 (x - median) / MAD of each value, with a floor under the MAD. Iglewicz and Hoaglin 1993."""
    middle = median(values)
    spread = max(median([abs(value - middle) for value in values]), _FLOOR * abs(middle), 1e-12)
    return [0.6745 * (value - middle) / spread for value in values]


def low_ones(values: Mapping[str, float], *, lower_is_better: bool = False) -> dict[str, float]:
    """Parts that are robust outliers on the bad side, with their share of the median (above 1: how much slower)."""
    names = list(values)
    numbers = [values[name] for name in names]
    if len(numbers) < 3:
        return {}
    middle = median(numbers)
    if middle <= 0:
        return {}
    share, z = limit("perf.straggler", "share"), limit("perf.straggler", "z")
    found = {}
    for name, value, score in zip(names, numbers, robust_z(numbers), strict=True):
        ratio = value / middle
        bad = (score > z and ratio > 1 / share) if lower_is_better else (score < -z and ratio < share)
        if bad:
            found[name] = ratio
    return found


def judge(nodes: tuple[NodeResults, ...], context: Context) -> list[Finding]:
    """SuperBench's results over nodes."""
    if not nodes:
        return []
    found: list[Finding] = []
    every = list(dict.fromkeys(key for node in nodes for key in node.metrics))
    for node in nodes:
        lacking = [key for key in every if node.metrics.get(key) is None]
        failed = [key for key, value in node.metrics.items() if _STATUS.search(key) and value]
        if lacking or failed:
            why = f"; {', '.join(failed[:2])} says that the test failed" if failed else ""
            said = f"{node.node} lacks {len(lacking)} metrics of the others ({', '.join(lacking[:2])}){why}"
            found.append(finding("perf.missing", "fail", said, where=(node.node,)))
    if len(nodes) < 3:
        words = f"{len(nodes)} nodes are too few to tell an outlier"
        return [*found, finding("perf.straggler", "incomplete", words)]
    suspects: dict[str, list[tuple[str, float]]] = {}
    for key in every:
        if _STATUS.search(key):
            continue
        values = {node.node: value for node in nodes if (value := node.metrics.get(key)) is not None}
        for name, ratio in low_ones(values, lower_is_better=bool(_LOWER_IS_BETTER.search(key))).items():
            suspects.setdefault(name, []).append((key, ratio))
    for name, keys in suspects.items():
        key, ratio = max(keys, key=lambda each: abs(each[1] - 1))
        said = f"{name}: {key} is {ratio:.2g} times the median{f', and {len(keys) - 1} more' if len(keys) > 1 else ''}"
        found.append(finding("perf.straggler", "fail", said, where=(name,)))
    if not suspects:
        found.append(finding("perf.straggler", "pass", f"no outlier among {len(nodes)} nodes"))
    return found
