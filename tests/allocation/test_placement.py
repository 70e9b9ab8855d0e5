"""Where a gang is put: tightest leaf, then tightest pod by its emptiest leaves, then across pods."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.allocation.calendar_slots import SlotTable
from sublet.allocation.placement import place
from sublet.allocation.pool import even_pool

POOL = even_pool(64, leaf=8, pod=32)


def put(*arguments) -> Any:
    """`place`, for tests that know whether there is a place."""
    return place(*arguments)


def table_with(taken: dict[int, int]) -> SlotTable:
    """A table of one word in which the first `taken[leaf]` rows of a leaf are taken throughout."""
    table = SlotTable(POOL, 64)
    for leaf, count in taken.items():
        table.mark(np.arange(count) + leaf * POOL.width, 0, 64)
    return table


def leaves(rows) -> list[int]:
    return sorted({int(row) // POOL.width for row in rows})


def test_the_tightest_leaf_that_holds_it():
    table = table_with({1: 3, 4: 5, 6: 6})
    assert leaves(put(table, 3, 0, 10)) == [4]
    assert leaves(put(table, 4, 0, 10)) == [1]
    assert leaves(put(table, 8, 0, 10)) == [0]


def test_a_leaf_whose_free_nodes_change_is_seen_through():
    table = SlotTable(POOL, 64)
    for leaf in range(8):  # four free at each hour, never the same ones
        table.mark(np.arange(4) + leaf * 8, 0, 5)
        table.mark(np.arange(4, 8) + leaf * 8, 5, 10)
    assert put(table, 1, 0, 10) is None
    assert len(put(table, 4, 5, 10)) == 4


def test_the_tightest_pod_and_its_emptiest_leaves():
    table = table_with({0: 4, 5: 8, 6: 2})
    rows = put(table, 16, 0, 10)
    assert leaves(rows) == [4, 7]  # the second pod is tighter; its two whole leaves do
    assert leaves(put(table, 22, 0, 10)) == [4, 6, 7]


def test_across_pods_only_where_the_locality_allows():
    table = table_with({0: 1, 4: 1})
    assert put(table, 32, 0, 10, "same-pod") is None
    assert put(table, 9, 0, 10, "same-leaf") is None
    assert len(put(table, 40, 0, 10)) == 40
    assert put(table, 63, 0, 10) is None


def test_unusable_rows_are_left_out():
    usable = np.zeros(POOL.rows, dtype=bool)
    usable[40:50] = True
    rows = put(SlotTable(POOL, 64), 10, 0, 64, "any", usable)
    assert rows.tolist() == list(range(40, 50))
    assert put(SlotTable(POOL, 64), 9, 0, 64, "same-leaf", usable) is None


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.integers(0, 7), st.integers(1, 8)),
    st.integers(1, 64),
    st.sampled_from(["same-leaf", "same-pod", "any"]),
)
def test_rows_are_free_as_many_and_together(taken, nodes, locality):
    table = table_with(taken)
    free = np.array([8 - taken.get(leaf, 0) for leaf in range(8)])
    most = {"same-leaf": free.max(), "same-pod": free.reshape(2, 4).sum(axis=1).max(), "any": free.sum()}[locality]
    rows = put(table, nodes, 3, 61, locality)
    assert (rows is not None) == (nodes <= most)
    if rows is not None:
        assert len(set(rows.tolist())) == nodes
        assert rows.tolist() == sorted(rows.tolist())
        assert table.free_throughout(rows, 3, 61)
        assert len(leaves(rows)) == 1 or nodes > free.max()
        assert locality != "same-pod" or len({leaf // 4 for leaf in leaves(rows)}) == 1
