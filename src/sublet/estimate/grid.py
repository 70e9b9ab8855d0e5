"""Evaluate layouts x options in chunks that stay in the processor's cache.

Invariant: rows whose cheapest option does not fit in memory are dropped before their time is computed; what remains is
exactly what evaluating every combination would give.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sublet.estimate.evaluate import microbatch_count, step_time
from sublet.estimate.inputs import Array, Layouts, MachineArrays, WorkloadArrays, cast, reshape, take
from sublet.estimate.layouts import OptionAxes
from sublet.estimate.memory import memory_bytes
from sublet.estimate.physics import Physics

CELLS = 65536  # layouts x options evaluated at once: float32 temporaries of a quarter of a megabyte


@dataclass(frozen=True)
class Block:
    """A chunk of the grid: `rows` (k,) index the layouts that may fit; times and bytes have shape (k, options)."""

    rows: Array
    step_s: Array
    bytes: Array
    smallest: Array  # (chunk,) least bytes of every layout of the chunk, fitting or not
    start: int


def blocks(
    work: WorkloadArrays,
    machine: MachineArrays,
    lay: Layouts,
    axes: OptionAxes,
    physics: Physics,
    *,
    limit: float = 1.0,
    cells: int = CELLS,
) -> Iterator[Block]:
    """The grid, chunk by chunk, in float32. `machine` holds scalars, or one row per layout.

    `limit`: share of the memory above which a layout is dropped. `cells` bounds what is evaluated at once.
    """
    options = axes.arrays(np.float32)
    small_work = cast(work, np.float32)
    small_machine = cast(machine, np.float32)
    small_lay = cast(lay, np.float32)
    per_row = np.ndim(machine.peak) > 0
    width = int(np.prod(axes.shape))
    chunk = max(cells // width, 16)
    wide = (-1,) + (1,) * len(axes.shape)
    for start in range(0, len(lay.tp), chunk):
        part = slice(start, start + chunk)
        rows = reshape(take(small_lay, part), wide)
        host = reshape(take(small_machine, part), wide) if per_row else small_machine
        size = len(rows.tp)
        total = memory_bytes(small_work, host, rows, options, microbatch_count(small_work, rows), physics).total
        total = np.broadcast_to(total, (size, *axes.shape)).reshape(size, width)
        smallest = total.min(axis=1)
        capacity = np.broadcast_to(np.ravel(host.memory_bytes), (size,)) * limit
        keep = np.flatnonzero(smallest <= capacity)
        if len(keep) < size:
            rows = take(rows, keep)
            host = take(host, keep) if per_row else host
            total = total[keep]
        if len(keep):
            step, _ = step_time(small_work, host, rows, options, physics)
            step = np.broadcast_to(step, (len(keep), *axes.shape)).reshape(len(keep), width)
        else:
            step = np.zeros((0, width), dtype=np.float32)
        yield Block(start + keep, step, total, smallest, start)
