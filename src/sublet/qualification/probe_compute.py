"""How fast the node multiplies and moves numbers: dense matrix products and the triad, on random data.

A rate is the median of repeats; the spread beside it is (p90 - p10) / median, for a rate that jumps is not a rate.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIZE = 1024  # of the square matrices: large against the cost of a call, small against any slice
_REPEATS = 25
_SHORT = 512  # of the products by which sharing is seen: each takes a millisecond or two, so some run undisturbed
_TRIAD_BYTES = 64 << 20  # per array: beyond the caches of most processors
_TRIAD_STREAMS = 5  # arrays read or written by the two passes of a = b + s * c; write-allocate traffic is not counted


def gemm_fp32(budget_s: float) -> Mapping[str, Any]:
    """FLOP/s of a single precision product."""
    return _gemm(np.dtype(np.float32), budget_s)


def gemm_fp64(budget_s: float) -> Mapping[str, Any]:
    """FLOP/s of a double precision product."""
    return _gemm(np.dtype(np.float64), budget_s)


def _gemm(kind: np.dtype[Any], budget_s: float) -> Mapping[str, Any]:
    generator = np.random.default_rng(0)
    left, right = (generator.standard_normal((_SIZE, _SIZE)).astype(kind) for _ in range(2))
    out = np.empty_like(left)
    seconds = _timed(lambda: np.matmul(left, right, out=out), budget_s)
    flop = 2.0 * _SIZE**3
    return {
        "flops": flop / float(np.median(seconds)),
        "best_flops": flop / min(seconds),
        "spread": _spread(seconds),
        "repeats": len(seconds),
        "size": _SIZE,
        "relative_error": _residual(left, right, out, generator),
    }


def _residual(left: NDArray[Any], right: NDArray[Any], out: NDArray[Any], generator: np.random.Generator) -> float:
    """|(AB)x - A(Bx)| over |A||B||x|, in double precision: a wrong product shows, at a fraction of its cost."""
    x = generator.standard_normal(right.shape[1])
    wide = [matrix.astype(np.float64) for matrix in (left, right, out)]
    difference = wide[2] @ x - wide[0] @ (wide[1] @ x)
    scale = np.linalg.norm(wide[0]) * np.linalg.norm(wide[1]) * np.linalg.norm(x)
    return float(np.linalg.norm(difference) / scale)


def triad(budget_s: float) -> Mapping[str, Any]:
    """Bytes/s of a = b + s * c over arrays larger than the caches, all cores one after another (numpy has one)."""
    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    size = _TRIAD_BYTES if limit == resource.RLIM_INFINITY else min(_TRIAD_BYTES, limit // 8)
    count = max(1, int(size) // 8)
    generator = np.random.default_rng(0)
    block = generator.standard_normal(1 << 16)  # drawing all of it would take longer than the measure
    b = np.resize(block, count)
    c = np.resize(block[::-1], count)
    a = np.empty_like(b)

    def run() -> None:
        np.multiply(c, 3.0, out=a)
        np.add(a, b, out=a)

    seconds = _timed(run, budget_s)
    moved = _TRIAD_STREAMS * a.nbytes
    return {
        "bytes_per_s": moved / float(np.median(seconds)),
        "best_bytes_per_s": moved / min(seconds),
        "spread": _spread(seconds),
        "repeats": len(seconds),
        "array_bytes": a.nbytes,
        "intact": bool(np.array_equal(a, b + 3.0 * c)),
    }


def sharing(budget_s: float) -> Mapping[str, Any]:
    """How much of its cores the node gets: the mean rate of many short products over the best of them (1: all).

    A product of a millisecond or two fits between two turns of other processes, so the best is the rate of cores that
    nobody shares; the mean over all of them is what a long job gets now. With it the system's load averages (runnable
    processes over 1 and 5 minutes, per core), None where it does not say.
    """
    generator = np.random.default_rng(0)
    left, right = (generator.standard_normal((_SHORT, _SHORT)).astype(np.float32) for _ in range(2))
    out = np.empty_like(left)
    seconds = _timed(lambda: np.matmul(left, right, out=out), budget_s, most=1_000_000)
    machine = os.cpu_count() or 1
    try:
        one, five, _ = (load / machine for load in os.getloadavg())
    except OSError:
        one = five = None  # type: ignore[assignment]
    flop = 2.0 * _SHORT**3
    return {
        "share": min(1.0, min(seconds) / float(np.mean(seconds))),
        "best_flops": flop / min(seconds),
        "repeats": len(seconds),
        "load_1": one,
        "load_5": five,
        "part_of_machine": len(os.sched_getaffinity(0)) / machine,
    }


def _timed(run: Callable[[], object], budget_s: float, most: int = _REPEATS) -> list[float]:
    """Seconds of each repeat, after one that warms up: at least five, then as many as the budget allows."""
    run()
    seconds: list[float] = []
    end = time.perf_counter() + budget_s
    while len(seconds) < 5 or (len(seconds) < most and time.perf_counter() < end):
        at = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - at)
    return seconds


def _spread(seconds: list[float]) -> float:
    low, high = np.percentile(seconds, [10, 90])
    return float((high - low) / np.median(seconds))
