"""The first start at which a gang has a place: the pool's step function first, then leaves, then nodes.

Invariant: no earlier slot of the window has a place for the gang; what is skipped is skipped because a bound (the
pool's or every leaf's least free count) proves that nothing fits there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sublet.allocation.calendar_slots import Rows, SlotTable
from sublet.allocation.calendar_values import Locality
from sublet.allocation.placement import Mask, place

_BLOCK = 64  # starts whose leaf bounds are computed at once


def earliest(
    table: SlotTable,
    nodes: int,
    length: int,
    first: int,
    last: int,
    locality: Locality = "any",
    usable: Mask | None = None,
) -> tuple[int, Rows] | None:
    """(slot, rows) of the first start in slots [first, last] for `nodes` over `length` slots, or None.

    `last + length` must not pass the table's end; `usable` bool (rows,) leaves other rows out.
    """
    starts = pool_starts(table.free[first : last + length], nodes, length)
    for low in range(0, len(starts), _BLOCK):
        some = starts[low : low + _BLOCK] + first
        if low or len(some) > 1:
            rows = place(table, nodes, int(some[0]), int(some[0]) + length, locality, usable)
            if rows is not None:
                return int(some[0]), rows
            some = _bounded(table, nodes, length, some[1:], locality)
        for start in some.tolist():
            rows = place(table, nodes, start, start + length, locality, usable)
            if rows is not None:
                return start, rows
    return None


def pool_starts(free: NDArray[np.int32], nodes: int, length: int) -> NDArray[np.intp]:
    """Offsets into `free` (slots,) from which `length` slots all have `nodes` free or more."""
    short = free < nodes
    if not short.any():
        return np.arange(len(free) - length + 1)
    before = np.zeros(len(free) + 1, dtype=np.int32)
    np.cumsum(short, out=before[1:])
    return np.flatnonzero(before[length:] == before[:-length])


def _bounded(
    table: SlotTable, nodes: int, length: int, starts: NDArray[np.intp], locality: Locality
) -> NDArray[np.intp]:
    """Those of `starts` at which a leaf (or pod, or the pool) may hold the gang, by its leaves' least free counts."""
    if not len(starts):
        return starts
    low = int(starts[0])
    least = table.leaf_free[low : int(starts[-1]) + length]
    span = 1
    while span * 2 <= length:  # least over 1, 2, 4 .. slots from each start
        least = np.minimum(least[:-span], least[span:])
        span *= 2
    if span < length:
        least = np.minimum(least[: len(least) - (length - span)], least[length - span :])
    if locality == "same-leaf":
        most = least.max(axis=1)
    else:
        per_pod = least.reshape(len(least), -1, table.pool.pod_leaves).sum(axis=2, dtype=np.int32)
        most = per_pod.max(axis=1) if locality == "same-pod" else per_pod.sum(axis=1)
    kept: NDArray[np.intp] = starts[most[starts - low] >= nodes]
    return kept
