"""Which candidates need no estimate: those that another offer of the same chip beats before any time is computed.

Candidate B is beaten by A where both are the same accelerator, count, market and currency, A's price is no higher and
trusted no less, and A's fabric is no worse in any respect. A faster network never makes a run slower (a law that the
estimator is tested for), so B is neither on the Pareto set nor the best row of its accelerator and count; and where A
does not fit, B does not either.

Invariant: dropping what is returned here changes no view that shows one row per accelerator, count and market, but
that of two offers equal in time and cost the one on the better network stands for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sublet.catalog.shape import Fabric
from sublet.quote.candidates import Candidates, Group
from sublet.quote.columns import Bools, Columns, Floats, Ints, combined


def beaten(found: Candidates, columns: Columns, trust: Ints, *, budget: bool) -> Bools:
    """The candidates that some other candidate beats.

    `trust` has one entry per candidate. Without a `budget` a more trusted price beats a less trusted one whatever it
    is, since views order by trust first.
    """
    size = len(found.row)
    if size < 2:
        return np.zeros(size, dtype=np.bool_)
    kinds, kind_of_group = _kinds(found.groups)
    kind = kind_of_group[found.group]
    picked_price = columns.price[found.row]
    identity = columns.identity.codes[found.row]
    market = columns.market.codes[found.row]
    currency = columns.currency.codes[found.row]
    # one entry per (identity, market, currency, count) block, kind of fabric and trust: its lowest price
    block = combined(identity, market, currency, found.count)
    key = combined(block, kind, trust)
    _, first, member = np.unique(key, return_index=True, return_inverse=True)
    lowest = np.full(len(first), np.inf)
    np.minimum.at(lowest, member, picked_price)
    entry_block, entry_kind, entry_trust = block[first], kind[first], trust[first]

    order = np.argsort(entry_block, kind="stable")
    edges = np.flatnonzero(np.diff(entry_block[order])) + 1
    lost = np.zeros(len(first), dtype=np.bool_)
    for entries in np.split(order, edges):
        if len(entries) > 1:
            lost[entries] = _lost(kinds[entry_kind[entries]], lowest[entries], entry_trust[entries], budget)
    return lost[member]


def _lost(features: Floats, price: Floats, trust: Ints, budget: bool) -> Bools:
    """Of the entries of one block, those that another one beats; of equal ones none is."""
    no_worse = (features[:, None, :] >= features[None, :, :]).all(axis=2)  # [a, b]: a's fabric is no worse than b's
    no_dearer = price[:, None] <= price[None, :]
    firmer = trust[:, None] < trust[None, :]
    wins = no_worse & ((no_dearer & (trust[:, None] <= trust[None, :])) | (firmer & (not budget)))
    mutual = wins & wins.T
    return np.asarray((wins & ~mutual).any(axis=0))


def _kinds(groups: Sequence[Group]) -> tuple[Floats, Ints]:
    """The distinct fabrics as rows of features (larger is better), and the row of each group.

    A row has the features of every chip that a group may be; rows of different length are never in one block.
    """
    topologies: dict[str, int] = {}
    for group in groups:
        for fabric in group.fabrics:
            topologies.setdefault(fabric.topology, len(topologies))
    index: dict[tuple[float, ...], int] = {}
    rows: list[int] = []
    for group in groups:
        told = tuple(value for fabric in group.fabrics for value in _features(fabric, topologies))
        rows.append(index.setdefault(told, len(index)))
    width = max((len(told) for told in index), default=0)
    table = np.array([[*told, *([0.0] * (width - len(told)))] for told in index], dtype=np.float64)
    return table.reshape(len(index), width), np.array(rows, dtype=np.int64)


def _features(fabric: Fabric, topologies: Mapping[str, int]) -> tuple[float, ...]:
    """What of a fabric a run can gain by, larger is better.

    A chip that is alone has no links: any topology is as good as none. Where a link is slower than the network, a
    larger domain need not be better: such a fabric compares with its like alone.
    """
    alone = fabric.domain <= 1
    same_topology = [float(not alone and fabric.topology == name) for name in topologies]
    odd = 0.0 if alone or fabric.scale_up_bytes_per_s >= fabric.scale_out_bytes_per_s else float(fabric.domain)
    return (
        *same_topology,
        odd,
        -odd,
        float(fabric.domain),
        float(fabric.node),
        0.0 if alone else fabric.scale_up_bytes_per_s,
        -np.inf if alone else -fabric.scale_up_latency_s,
        fabric.scale_out_bytes_per_s / fabric.oversubscription,
        -fabric.scale_out_latency_s,
    )
