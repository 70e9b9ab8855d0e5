"""Which machines to ask the estimator about: offers grouped by chip, fabric and count.

Many offers are the same machine at another price or in another place; the estimator is asked once for each machine.
Invariant: every living offer ends either with at least one (machine, count) or with a reason in the fate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sublet.catalog.accelerator import Accelerator
from sublet.catalog.shape import Fabric, Shape
from sublet.estimate.result import Machine
from sublet.quote.columns import Bools, Columns, Ints, combined
from sublet.quote.facts import Facts
from sublet.quote.fate import Fate
from sublet.workload.flops import job_flop_per_token
from sublet.workload.job import Constraints, TrainingJob
from sublet.workload.parameters import count as parameters

# The ladder of counts that is tried where the job names none. It only decides what is asked, never what is answered.
LADDER_STEPS = 4  # powers of two per kind of offer
LADDER_SLOWEST_DAYS = 120.0  # fewer accelerators would take longer than this, at the share of peak below
LADDER_FASTEST_DAYS = 2.0  # more accelerators would finish sooner than this
LADDER_SHARE_OF_PEAK = 0.4
LADDER_LEANEST_BYTES = {"lora": 1.0}  # per parameter, all accelerators together, below which nothing has ever fitted
LADDER_LEANEST_BYTES_TRAINING = 6.0
LADDER_LARGEST = 16384  # accelerators; nobody rents more by the hour


@dataclass(frozen=True)
class Group:
    """Offers that are the same thing but for price, place and market: one provider's shape of one chip."""

    provider: str
    identity: tuple[str, ...]
    shape: Shape | None
    node: int  # accelerators in the smallest unit sold
    fabrics: tuple[Fabric, ...]  # of each name in `identity`
    counts: tuple[int, ...]  # what may be ordered of it for this job, ascending


@dataclass(frozen=True)
class Candidates:
    """Living offers x counts: arrays of one entry per candidate, and the distinct machines behind them.

    Candidate i is `count[i]` accelerators of the offer in table row `row[i]`; the machines that it may be (one, or one
    for every name that an ambiguous offer may have) are `machines[m] for m in options[option[i]]`.
    """

    groups: tuple[Group, ...]
    machines: tuple[Machine, ...]
    options: tuple[tuple[int, ...], ...]
    row: Ints
    group: Ints
    count: Ints
    option: Ints


def build(
    columns: Columns, rows: Ints, fate: Fate, job: TrainingJob, chips: Mapping[str, Accelerator], facts: Facts
) -> Candidates:
    """Group `rows` (living offers) into machines, refusing in `fate` what cannot be ordered in any allowed count."""
    picked = columns.take(rows)
    key = combined(picked.provider, picked.shape, picked.identity, picked.unit, picked.by_one.astype(np.int64))
    _, samples, member = np.unique(key, return_index=True, return_inverse=True)
    flop = job_flop_per_token(job) * job.tokens
    groups = tuple(_group(picked, sample, job, flop, chips, facts) for sample in samples.tolist())
    machines, options, option_of = _machines(groups, chips)

    # offers x counts of their group, without a loop over offers: entry e of the flat lists is one count of one group
    lengths = np.array([len(group.counts) for group in groups], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    flat_counts = np.array([count for group in groups for count in group.counts], dtype=np.int64)
    per_row = lengths[member]
    position = np.repeat(np.arange(len(rows)), per_row)
    within = np.arange(len(position)) - np.repeat(np.cumsum(per_row) - per_row, per_row)
    entry = starts[member][position] + within
    counts = flat_counts[entry]
    enough = counts >= picked.minimum[position]
    _refuse(columns, rows, fate, job, groups, member, position[enough])
    position, entry = position[enough], entry[enough]
    return Candidates(
        groups=groups,
        machines=machines,
        options=options,
        row=rows[position],
        group=member[position],
        count=flat_counts[entry],
        option=option_of[entry],
    )


def kept(found: Candidates, keep: Bools) -> Candidates:
    """The candidates of a mask, with the machines that they need and no others."""
    options_used, option = np.unique(found.option[keep], return_inverse=True)
    options = [found.options[index] for index in options_used.tolist()]
    used = sorted({machine for machines in options for machine in machines})
    position = {machine: index for index, machine in enumerate(used)}
    return Candidates(
        groups=found.groups,
        machines=tuple(found.machines[index] for index in used),
        options=tuple(tuple(position[machine] for machine in machines) for machines in options),
        row=found.row[keep],
        group=found.group[keep],
        count=found.count[keep],
        option=option,
    )


def _machines(
    groups: Sequence[Group], chips: Mapping[str, Accelerator]
) -> tuple[tuple[Machine, ...], tuple[tuple[int, ...], ...], Ints]:
    """The distinct machines, the distinct sets of them that an offer may be, and the set of each group's each count."""
    machines: list[Machine] = []
    machine_index: dict[tuple[object, ...], int] = {}
    option_index: dict[tuple[int, ...], int] = {}
    option_of: list[int] = []
    for group in groups:
        for count in group.counts:
            chosen: list[int] = []
            for name, fabric in zip(group.identity, group.fabrics, strict=True):
                same = (name, _physics(fabric), count)
                if same not in machine_index:
                    machine_index[same] = len(machines)
                    machines.append(Machine(chips[name], fabric, count))
                chosen.append(machine_index[same])
            option_of.append(option_index.setdefault(tuple(dict.fromkeys(chosen)), len(option_index)))
    return tuple(machines), tuple(option_index), np.array(option_of, dtype=np.int64)


def counts_for(
    job: TrainingJob, flop: float, chip: Accelerator, node: int, largest: int | None, *, slices: bool
) -> tuple[int, ...]:
    """How many accelerators to try of an offer that is sold in units of `node`, ascending; () where none is allowed.

    The job's own counts where it names them, else a ladder of whole units: powers of two, from the count that needs
    120 days at 40 % of peak (or the deadline) and could hold the model at all, to the one that needs 2 days; four at
    most, never more than `largest`. `flop` is that of the whole run.
    A TPU slice is one unit; several slices are tried only where the largest slice alone is too slow.
    """
    constraints = job.constraints
    ceiling = min(x for x in (largest, constraints.max_count, LADDER_LARGEST) if x is not None)
    floor = max(node, constraints.min_count or 1)
    if constraints.counts:
        return tuple(sorted({c for c in constraints.counts if c % node == 0 and (largest is None or c <= largest)}))
    peak = chip.peak(job.precision) or max(chip.peak_flops.values(), default=0.0)
    if peak <= 0:
        return ()
    chip_days = flop / (peak * LADDER_SHARE_OF_PEAK) / 86400.0
    slowest = LADDER_SLOWEST_DAYS
    if constraints.deadline_s is not None:
        slowest = min(slowest, 1.5 * constraints.deadline_s / 86400.0)
    fastest = min(LADDER_FASTEST_DAYS, slowest / 2)
    leanest = LADDER_LEANEST_BYTES.get(job.task, LADDER_LEANEST_BYTES_TRAINING) * parameters(job.model).total
    low = _next_step(max(chip_days / slowest, leanest / chip.memory_bytes, floor), node)
    high = max(low, _next_step(chip_days / fastest, node))
    ladder = [node << step for step in range(_exponent(low, node), _exponent(high, node) + 1)]
    ladder = [count for count in ladder if floor <= count <= ceiling]
    if not ladder:  # the job needs more than can be had, or less than one unit: the nearest that can be had
        top = node << (max(ceiling // node, 1).bit_length() - 1)
        ladder = [top] if floor <= top <= ceiling else []
    if slices:
        return tuple(ladder[:1]) if ladder else ()
    return tuple(ladder[:LADDER_STEPS])


def _next_step(count: float, node: int) -> int:
    """The smallest node x 2^k that is at least `count`."""
    return node << max(0, math.ceil(math.log2(max(count / node, 1.0))))


def _exponent(count: int, node: int) -> int:
    """k where count is node x 2^k."""
    return (count // node).bit_length() - 1


def _group(
    picked: Columns, sample: int, job: TrainingJob, flop: float, chips: Mapping[str, Accelerator], facts: Facts
) -> Group:
    provider, name = picked.provider[sample], picked.shape[sample]
    identity, node = picked.identity[sample], int(picked.unit[sample])
    shape = facts.shape(provider, name) if name else None
    per_node = shape.count if shape else None if picked.by_one[sample] else node
    own = shape if shape is not None and shape.accelerator in identity else None
    fabrics = tuple(facts.fabric(chips[chip], own, per_node, provider) for chip in identity)
    largest = shape.max_nodes * shape.count if shape and shape.max_nodes else None
    # the slowest candidate decides how many are worth trying
    weakest = min(identity, key=lambda chip: (chips[chip].peak(job.precision) or 0.0, chip))
    torus = node > 1 and any(fabric.topology.startswith("torus") for fabric in fabrics)
    counts = counts_for(job, flop, chips[weakest], node, largest, slices=torus)
    return Group(provider, identity, shape, node, fabrics, counts)


def _physics(fabric: Fabric) -> tuple[object, ...]:
    """What of a fabric the estimator can see: two fabrics that differ only in their prose are one."""
    return (
        fabric.topology,
        fabric.domain,
        fabric.node,
        fabric.scale_up_bytes_per_s,
        fabric.scale_out_bytes_per_s,
        fabric.scale_up_latency_s,
        fabric.scale_out_latency_s,
        fabric.oversubscription,
        bool(fabric.assumption),
    )


def _refuse(
    columns: Columns,
    rows: Ints,
    fate: Fate,
    job: TrainingJob,
    groups: Sequence[Group],
    member: Ints,
    served_positions: Ints,
) -> None:
    """Name the offers that no allowed count can be ordered of."""
    for index, group in enumerate(groups):
        if not group.counts:
            mask = np.zeros(len(columns), dtype=np.bool_)
            mask[rows[member == index]] = True
            fate.reject(mask, "count", count_refusal(job.constraints, group))
    served = np.zeros(len(rows), dtype=np.bool_)
    served[served_positions] = True
    unserved = rows[~served]
    for minimum in np.unique(columns.minimum[unserved]).tolist():
        mask = np.zeros(len(columns), dtype=np.bool_)
        mask[unserved[columns.minimum[unserved] == minimum]] = True
        fate.reject(mask, "minimum-size", f"minimum size: sold from {minimum:,} accelerators")


def count_refusal(constraints: Constraints, group: Group) -> str:
    """One sentence: why none of the counts asked for can be had of this offer."""
    unit = f"{group.node:,} accelerator{'s' if group.node > 1 else ''}"
    most = f", at most {group.shape.max_nodes * group.shape.count:,}" if group.shape and group.shape.max_nodes else ""
    if constraints.counts:
        asked = ", ".join(f"{count:,}" for count in constraints.counts)
        return f"count: not offered (asked: {asked}; sold in units of {unit}{most})"
    low, high = constraints.min_count or 1, constraints.max_count
    asked = f"{low:,} to {high:,}" if high else f"at least {low:,}"
    return f"count: not offered (asked: {asked}; sold in units of {unit}{most})"
