"""Which nodes: the tightest leaf that holds the gang, else the tightest pod by its emptiest leaves, else across pods.

A leaf's least free count over the window bounds from above how many of its nodes are free throughout, so only leaves
whose bound suffices are looked at node by node, tightest first.

Invariant: the rows returned are free throughout the window, as many as were asked for, in ascending order, and in one
leaf (or pod) where the locality says so; the same table gives the same rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sublet.allocation.calendar_slots import Rows, SlotTable
from sublet.allocation.calendar_values import Locality

Mask = NDArray[np.bool_]
Bound = NDArray[np.unsignedinteger]  # (leaves,)
_FIRST_LEAVES = 12  # leaves looked at in the first batch; nearly always one of them holds the gang
_FIRST_PODS = 3


def place(
    table: SlotTable, nodes: int, start: int, end: int, locality: Locality = "any", usable: Mask | None = None
) -> Rows | None:
    """Rows for a gang of `nodes` in slots [start, end), or None; `usable` bool (rows,) leaves the others out."""
    if np.minimum.reduce(table.free[start:end]) < nodes:
        return None
    bound = np.minimum.reduce(table.leaf_free[start:end], axis=0)
    if nodes <= table.pool.largest_leaf:
        found = _one_leaf(table, bound, nodes, start, end, usable)
        if found is not None:
            return found
    if locality == "same-leaf":
        return None
    if nodes <= table.pool.largest_pod:
        found = _one_pod(table, bound, nodes, start, end, usable)
        if found is not None:
            return found
    if locality == "same-pod":
        return None
    return _anywhere(table, bound, nodes, start, end, usable)


def _one_leaf(table: SlotTable, bound: Bound, nodes: int, start: int, end: int, usable: Mask | None) -> Rows | None:
    spare = bound - bound.dtype.type(nodes)  # unsigned: what is too small wraps to the top
    tightest = int(spare.argmin())
    if bound[tightest] < nodes:
        return None
    if usable is None:
        first = table.idle_in_leaf(tightest, start, end).nonzero()[0]
        if len(first) >= nodes:
            return first[:nodes] + tightest * table.pool.width
    candidates = int(np.count_nonzero(bound >= nodes))
    order = np.argsort(spare, kind="stable")
    low, high = 0, _FIRST_LEAVES
    while low < candidates:
        leaves = order[low : min(high, candidates)]
        idle = _idle(table, leaves, start, end, usable)
        counts = np.add.reduce(idle, axis=1)
        fits = counts >= nodes
        if fits.any():
            best = int(np.where(fits, counts, table.pool.width + 1).argmin())
            return _take(table, leaves[best : best + 1], idle[best : best + 1], nodes)
        low, high = high, candidates
    return None


def _one_pod(table: SlotTable, bound: Bound, nodes: int, start: int, end: int, usable: Mask | None) -> Rows | None:
    pool = table.pool
    totals = bound.reshape(-1, pool.pod_leaves).sum(axis=1, dtype=np.int64)
    order = np.argsort(totals, kind="stable")
    order = order[np.searchsorted(totals[order], nodes) :]
    low, high = 0, _FIRST_PODS
    while low < len(order):
        pods = order[low:high]
        leaves = (pods[:, None] * pool.pod_leaves + np.arange(pool.pod_leaves)).ravel()
        idle = _idle(table, leaves, start, end, usable)
        counts = np.add.reduce(idle, axis=1).reshape(len(pods), -1)
        held = counts.sum(axis=1)
        fits = held >= nodes
        if fits.any():
            best = int(np.where(fits, held, np.iinfo(np.int64).max).argmin())
            some = slice(best * pool.pod_leaves, (best + 1) * pool.pod_leaves)
            chosen = _fewest(counts[best], nodes)
            return _take(table, leaves[some][chosen], idle[some][chosen], nodes)
        low, high = high, len(order)
    return None


def _anywhere(table: SlotTable, bound: Bound, nodes: int, start: int, end: int, usable: Mask | None) -> Rows | None:
    if int(bound.sum(dtype=np.int64)) < nodes:
        return None
    idle = _idle(table, slice(None), start, end, usable)
    counts = np.add.reduce(idle, axis=1)
    if int(counts.sum()) < nodes:
        return None
    per_pod = counts.reshape(-1, table.pool.pod_leaves)
    pods = _fewest(per_pod.sum(axis=1), nodes)
    leaves: list[int] = []
    missing = nodes
    for pod in pods.tolist():
        chosen = _fewest(per_pod[pod], min(missing, int(per_pod[pod].sum())))
        leaves += (pod * table.pool.pod_leaves + chosen).tolist()
        missing -= int(per_pod[pod][chosen].sum())
    order = np.array(leaves, dtype=np.intp)
    return _take(table, order, idle[order], nodes)


def _fewest(counts: NDArray[np.int64], nodes: int) -> Rows:
    """Fewest groups that hold `nodes`: fullest first, and the smallest that suffices for the rest comes last."""
    order = np.argsort(-counts, kind="stable")
    held = np.cumsum(counts[order])
    last = int(np.searchsorted(held, nodes))
    rest = nodes - (int(held[last - 1]) if last else 0)
    enough = last + int(np.count_nonzero(counts[order[last:]] >= rest)) - 1
    return np.append(order[:last], order[enough])


def _take(table: SlotTable, leaves: Rows, idle: Mask, nodes: int) -> Rows:
    """The first `nodes` idle rows of these leaves, taken leaf by leaf in the given order, then sorted."""
    at, place_ = np.nonzero(idle)
    rows = leaves[at[:nodes]] * table.pool.width + place_[:nodes]
    if len(leaves) > 1:
        rows.sort()
    return rows


def _idle(table: SlotTable, leaves: Rows | slice, start: int, end: int, usable: Mask | None) -> Mask:
    idle = table.idle(leaves, start, end)
    if usable is not None:
        idle &= usable.reshape(-1, table.pool.width)[leaves]
    return idle
