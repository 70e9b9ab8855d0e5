"""Which layouts and options a job may use on a machine: enumeration with hard pruning.

Invariant: every row uses exactly the machine's accelerators and obeys what the job states; enumeration never looks at
time or memory. A stated degree is taken as stated, even where the search would not propose it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sublet.estimate.inputs import Array, Layouts, Options
from sublet.workload.job import Layout, TrainingJob

SHARDINGS = ("ddp", "zero1", "zero2", "zero3", "hsdp")
_ZERO = {"ddp": (0.0, 0.0), "zero1": (1.0, 0.0), "zero2": (2.0, 0.0), "zero3": (3.0, 0.0), "hsdp": (3.0, 1.0)}
QUICK_SHARES = (0.25, 0.5, 0.75)  # recomputed part of the layers, between none and full
ALL_SHARES = tuple(i / 16 for i in range(1, 16))


@dataclass(frozen=True)
class OptionAxes:
    """The options of one question, one value list per axis, in the order of the grid's last four dimensions."""

    recompute: tuple[tuple[float, float], ...]  # (full share, selective)
    sharding: tuple[str, ...]
    sequence_parallel: tuple[float, ...]
    offload: tuple[float, ...]
    overlap_tp: tuple[float, ...]
    overlap_dp: tuple[float, ...]
    group: float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the six axes."""
        return tuple(
            len(axis)
            for axis in (
                self.recompute,
                self.sharding,
                self.sequence_parallel,
                self.offload,
                self.overlap_tp,
                self.overlap_dp,
            )
        )

    def arrays(self, dtype: type = np.float64) -> Options:
        """The grid as broadcastable arrays of six dimensions."""

        def along(axis: int, values: object) -> Array:
            return np.array(values, dtype=dtype).reshape((-1,) + (1,) * (5 - axis))

        zero, hsdp = zip(*(_ZERO[name] for name in self.sharding), strict=True)
        full, selective = zip(*self.recompute, strict=True)
        return Options(
            full_recompute=along(0, full),
            selective_recompute=along(0, selective),
            zero=along(1, zero),
            hsdp=along(1, hsdp),
            group=np.asarray(self.group, dtype=dtype),
            sequence_parallel=along(2, self.sequence_parallel),
            offload=along(3, self.offload),
            overlap_tp=along(4, self.overlap_tp),
            overlap_dp=along(5, self.overlap_dp),
        )

    def point(self, index: int) -> Options:
        """The combination at `index` of the flattened axes, as zero-dimensional arrays."""
        recompute, sharding, sequence, offload, tp, dp = (int(i) for i in np.unravel_index(index, self.shape))
        full, selective = self.recompute[recompute]
        zero, hsdp = _ZERO[self.sharding[sharding]]
        values = (full, selective, zero, hsdp, self.group, self.sequence_parallel[sequence], self.offload[offload])
        return Options(*(np.asarray(v) for v in (*values, self.overlap_tp[tp], self.overlap_dp[dp])))

    def sharding_at(self, index: int) -> str:
        """Name of the sharding of the combination at `index`."""
        return self.sharding[int(np.unravel_index(index, self.shape)[1])]


def divisors(number: int) -> list[int]:
    """All divisors, ascending."""
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return small + [number // d for d in reversed(small) if d * d != number]


def option_axes(stated: Layout, *, fused_attention: bool, exhaustive: bool, group: int = 0) -> OptionAxes:
    """The options that the job leaves open.

    A quick search asks for what usually wins; an exhaustive one takes recomputation in sixteenths of the layers, all
    shardings, offload of optimizer states, and each kind of overlap on and off.
    """
    named = {"none": (0.0, 0.0), "selective": (0.0, 1.0), "full": (1.0, 0.0)}
    if stated.recompute is not None:
        recompute: tuple[tuple[float, float], ...] = (named[stated.recompute],)
    else:
        partial = tuple((share, 0.0) for share in (ALL_SHARES if exhaustive else QUICK_SHARES))
        # a fused kernel makes selective recomputation the same as none
        middle = () if fused_attention and not exhaustive else (named["selective"],)
        recompute = (named["none"], *middle, *partial, named["full"])
    if stated.sharding is not None:
        sharding: tuple[str, ...] = (stated.sharding,)
    else:
        sharding = SHARDINGS if exhaustive else ("zero1", "zero3", "hsdp")
    sequence = (0.0, 1.0) if exhaustive else (1.0,)
    if stated.sequence_parallel is not None:
        sequence = (float(stated.sequence_parallel),)
    offload = (0.0, 1.0) if exhaustive else (0.0,)
    if stated.offload is not None:
        offload = (float(stated.offload),)
    overlap = (0.0, 1.0) if exhaustive else (1.0,)
    return OptionAxes(recompute, sharding, sequence, offload, overlap, overlap, float(group))


def _batch_splits(per_rank: float, stated: int | None, exhaustive: bool) -> list[int]:
    """Microbatch sizes for a data-parallel rank that has `per_rank` sequences a step."""
    if stated is not None:
        return [stated]
    whole = round(per_rank)
    if whole < 1 or abs(per_rank - whole) > 1e-9:
        return [1]
    sizes = divisors(whole)
    return sizes if exhaustive else [size for size in sizes if size <= 16]


def enumerate_layouts(
    job: TrainingJob, count: int, domain: int, *, exhaustive: bool = False, pipeline: bool = True
) -> Layouts:
    """All layouts of `job` on `count` accelerators with scale-up domains of `domain`; arrays of shape (n,).

    Pruned: tensor parallelism beyond the domain (64 in an exhaustive search) or not dividing the heads, pipelines that
    do not divide the layers, context shards under 2,048 tokens (256), expert groups that do not divide the experts,
    more ranks than sequences,
    interleaving of a number of microbatches that the pipeline does not divide.
    An empty result means that nothing obeys the job's stated layout.
    """
    model, stated = job.model, job.layout
    widest = 64 if exhaustive else max(min(domain, 16), 1)
    shortest = 256 if exhaustive else 2048
    tps = [d for d in divisors(model.heads) if d <= widest and (exhaustive or d & (d - 1) == 0)]
    tps = [stated.tp] if stated.tp else tps
    cps = [stated.cp] if stated.cp else [c for c in (1, 2, 4, 8, 16) if c == 1 or job.sequence // c >= shortest]
    if stated.pp:
        pps = [stated.pp]
    else:
        # tables may count as layers: 126 layers and two tables on 8 or 16 stages
        both = {*divisors(model.layers), *(p for p in divisors(model.layers + 2) if p & (p - 1) == 0)}
        pps = [p for p in sorted(both) if p <= 64 or exhaustive] if pipeline else [1]
    rows: list[tuple[int, int, int, int, int, int, int]] = []
    for tp in tps:
        for cp in cps:
            for pp in pps:
                if count % (tp * cp * pp):
                    continue
                dp = count // (tp * cp * pp)
                if (stated.dp and dp != stated.dp) or dp > job.global_batch:
                    continue
                splits = _batch_splits(job.global_batch / dp, stated.micro_batch, exhaustive)
                for ep in _expert_degrees(job, dp * cp, max(domain // (tp * cp), 1), exhaustive):
                    for vp in _virtual_stages(model.layers, pp, stated.vp, exhaustive):
                        # interleaving runs microbatches in groups of the pipeline's length
                        free = vp == 1 or stated.vp is not None
                        rows.extend(
                            (tp, cp, pp, vp, ep, dp, micro)
                            for micro in splits
                            if free or round(job.global_batch / dp / micro) % pp == 0
                        )
    table = np.array(rows, dtype=float).reshape(-1, 7)
    return Layouts(*table.T)


def _expert_degrees(job: TrainingJob, ranks: int, domain: int, exhaustive: bool) -> list[int]:
    experts = job.model.experts
    if experts is None:
        return [1]
    if job.layout.ep:
        return [job.layout.ep]
    degrees = [d for d in divisors(experts.count) if ranks % d == 0 and d <= 64]
    if exhaustive:
        return degrees
    inside = [d for d in degrees if d <= domain]  # none, as many as a scale-up domain holds, as many as there are
    return sorted({1, inside[-1], degrees[-1]})


def _virtual_stages(layers: int, pp: int, stated: int | None, exhaustive: bool) -> list[int]:
    if stated is not None:
        return [stated] if pp > 1 or stated == 1 else []
    if pp == 1:
        return [1]
    per_stage = layers / pp if layers % pp == 0 else (layers + 2) / pp
    if per_stage != int(per_stage):
        return [1]
    chunks = divisors(int(per_stage))
    return chunks if exhaustive else [v for v in chunks if v in (1, 2, 4, chunks[-1])]


def concatenate(parts: list[Layouts]) -> Layouts:
    """Layouts of several machines, one after another."""

    def joined(name: str) -> Array:
        return np.concatenate([getattr(part, name) for part in parts])

    return Layouts(*(joined(name) for name in ("tp", "cp", "pp", "vp", "ep", "dp", "micro")))
