"""The calendar's cache: who is free in which slot, three levels deep, in arrays.

    busy       uint64 (words, rows)     one bit per slot and row: 64 slots to a word
    leaf_free  uint8|uint16 (slots, leaves)  free nodes of each leaf
    free       int32 (slots,)           free nodes of the pool

Slots here are relative to `first_slot`, which is a multiple of 64, so that the horizon rolls by moving whole words.
A booking's start is rounded down and its end up: what is free here is free to the second.

Invariant: leaf_free == leaf_size - popcount of the leaf's rows, free == sum of leaf_free, padding is always busy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sublet.allocation.pool import Pool

Rows = NDArray[np.intp]
_BITS = 64
_FULL = np.uint64(0xFFFFFFFFFFFFFFFF)
_FROM = np.array([0xFFFFFFFFFFFFFFFF << bit & 0xFFFFFFFFFFFFFFFF for bit in range(_BITS)], dtype=np.uint64)
_UPTO = np.array([0xFFFFFFFFFFFFFFFF >> (_BITS - 1 - bit) for bit in range(_BITS)], dtype=np.uint64)
_CHUNK_CELLS = 1 << 25  # cells (slots x rows) that a rebuild holds at once


class SlotTable:
    """The three arrays over `slots` slots from `first_slot` on; see the module."""

    def __init__(self, pool: Pool, slots: int, first_slot: int = 0) -> None:
        assert first_slot % _BITS == 0
        self.pool = pool
        self.words = -(-slots // _BITS)
        self.slots = self.words * _BITS
        self.first_slot = first_slot
        kind = np.uint8 if pool.largest_leaf < 256 else np.uint16
        self.busy = np.zeros((self.words, pool.rows), dtype=np.uint64)
        self.busy[:, ~pool.real] = _FULL
        self.by_leaf = self.busy.reshape(self.words, pool.leaves, pool.width)
        self.leaf_free = np.empty((self.slots, pool.leaves), dtype=kind)
        self.leaf_free[:] = pool.leaf_size
        self.free = np.full(self.slots, len(pool.nodes), dtype=np.int32)

    def mark(self, rows: Rows, start: int, end: int) -> None:
        """Take `rows` in slots [start, end); they must be free there."""
        self._change(rows, start, end, taken=True)

    def clear(self, rows: Rows, start: int, end: int) -> None:
        """Give `rows` back in slots [start, end); they must be taken there."""
        self._change(rows, start, end, taken=False)

    def _change(self, rows: Rows, start: int, end: int, taken: bool) -> None:
        count, low, high = len(rows), int(rows[0]), int(rows[-1])
        some = slice(low, high + 1) if high - low == count - 1 else rows  # neighbours are the common case, and cheaper
        first, last = start >> 6, (end - 1) >> 6
        for word in range(first, last + 1):
            mask = _FROM[start & 63] if word == first else _FULL
            if word == last:
                mask = mask & _UPTO[(end - 1) & 63]
            line = self.busy[word]
            if taken:
                line[some] |= mask
            else:
                line[some] &= ~mask
        width = self.pool.width
        low, high = low // width, high // width
        if low == high:
            column = self.leaf_free[start:end, low]
            if taken:
                column -= count
            else:
                column += count
        else:
            leaves, counts = np.unique(rows // width, return_counts=True)
            change = counts.astype(self.leaf_free.dtype)
            block = self.leaf_free[start:end]
            if taken:
                block[:, leaves] -= change
            else:
                block[:, leaves] += change
        self.free[start:end] += -count if taken else count

    def idle(self, leaves: Rows | slice, start: int, end: int) -> NDArray[np.bool_]:
        """Which rows of these leaves are free throughout [start, end): bool (leaves, width)."""
        first, last = start >> 6, (end - 1) >> 6
        block = self.by_leaf[first : last + 1, leaves]
        if first == last:
            return _none(block[0] & (_FROM[start & 63] & _UPTO[(end - 1) & 63]))
        taken = block[0] & _FROM[start & 63]
        for middle in range(1, last - first):
            taken |= block[middle]
        taken |= block[-1] & _UPTO[(end - 1) & 63]
        return _none(taken)

    def idle_in_leaf(self, leaf: int, start: int, end: int) -> NDArray[np.bool_]:
        """Which rows of one leaf are free throughout [start, end): bool (width,)."""
        width = self.pool.width
        first, last = start >> 6, (end - 1) >> 6
        lines = slice(leaf * width, (leaf + 1) * width)
        if first == last:
            return _none(self.busy[first, lines] & (_FROM[start & 63] & _UPTO[(end - 1) & 63]))
        taken = self.busy[first, lines] & _FROM[start & 63]
        for middle in range(first + 1, last):
            taken |= self.busy[middle, lines]
        taken |= self.busy[last, lines] & _UPTO[(end - 1) & 63]
        return _none(taken)

    def free_throughout(self, rows: Rows, start: int, end: int) -> bool:
        """Whether all of `rows` are free in [start, end)."""
        first, last = start >> 6, (end - 1) >> 6
        block = self.busy[first : last + 1, rows]
        block[0] &= _FROM[start & 63]
        block[-1] &= _UPTO[(end - 1) & 63]
        return not block.any()

    def repaint(self, row: int, spans: list[tuple[int, int]]) -> None:
        """Let `row` be taken in these spans of slots, which may overlap, and free elsewhere."""
        line = np.ascontiguousarray(self.busy[:, row]).view(np.uint8)
        before = np.unpackbits(line, bitorder="little").astype(np.bool_)
        after = np.zeros(self.slots, dtype=np.bool_)
        for start, end in spans:
            after[start:end] = True
        self.busy[:, row] = np.packbits(after, bitorder="little").view("<u8")
        more = before.astype(np.int32) - after
        leaf = row // self.pool.width
        self.leaf_free[:, leaf] = self.leaf_free[:, leaf] + more
        self.free += more

    def roll(self, words: int) -> None:
        """Forget the first `words` words of slots and add as many free ones at the end."""
        keep = max(0, self.words - words)
        slots = keep * _BITS
        self.busy[:keep] = self.busy[self.words - keep :]
        self.busy[keep:] = np.where(self.pool.real, np.uint64(0), _FULL)
        self.leaf_free[:slots] = self.leaf_free[self.slots - slots :]
        self.leaf_free[slots:] = self.pool.leaf_size
        self.free[:slots] = self.free[self.slots - slots :]
        self.free[slots:] = len(self.pool.nodes)
        self.first_slot += words * _BITS

    def fill(self, rows: Rows, start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.intp]:
        """Make the table anew from (row, start, end) triples, slots clipped to the table, empty ones left out.

        Returns the rows in which two triples share a slot (which rounding can bring about).
        """
        width, slots = self.pool.width, self.slots
        by_row = np.argsort(rows, kind="stable")
        rows, start, end = rows[by_row], start[by_row], end[by_row]
        step = max(1, _CHUNK_CELLS // (slots * width)) * width
        shared: list[NDArray[np.intp]] = []
        for low in range(0, self.pool.rows, step):
            high = min(low + step, self.pool.rows)
            some = slice(*np.searchsorted(rows, (low, high)))
            count = high - low
            cover = np.zeros((slots + 1) * count, dtype=np.int8)
            np.add.at(cover, start[some] * count + (rows[some] - low), np.int8(1))
            np.add.at(cover, end[some] * count + (rows[some] - low), np.int8(-1))
            grid = cover.reshape(slots + 1, count)[:slots]
            np.cumsum(grid, axis=0, out=grid)
            shared.append(np.flatnonzero(grid.max(axis=0, initial=0) > 1) + low)
            taken = grid > 0
            bytes_ = np.packbits(taken, axis=0, bitorder="little").reshape(self.words, 8, count)
            self.busy[:, low:high] = bytes_.transpose(0, 2, 1).copy().view("<u8")[:, :, 0]
            eights = taken.view(np.uint64) * np.uint64(0x0101010101010101) >> np.uint64(56)  # 8 rows to a count
            per_leaf = eights.reshape(slots, count // width, width // 8).sum(axis=2, dtype=np.int32)
            leaves = slice(low // width, high // width)
            self.leaf_free[:, leaves] = self.pool.leaf_size[leaves] - per_leaf
        self.busy[:, ~self.pool.real] = _FULL
        self.free[:] = self.leaf_free.sum(axis=1, dtype=np.int32)
        return np.concatenate(shared)


def _none(bits: NDArray[np.uint64]) -> NDArray[np.bool_]:
    free: NDArray[np.bool_] = bits == 0
    return free
