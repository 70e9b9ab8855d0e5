"""The degrees of parallelism and the split of the batch that a measured row states, completed by arithmetic.

Invariant: what is returned can be run: known degrees divide the count of chips, ranks share the batch evenly, and a
microbatch divides a rank's share. Stated numbers that cannot be are dropped, in this order: data parallelism, all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from sublet.estimate.rows import Row, reading


@dataclass(frozen=True)
class Degrees:
    """None: not stated and not to be had from the rest."""

    tp: int | None
    pp: int | None
    cp: int | None
    dp: int | None
    micro: int | None = None  # sequences per microbatch and data-parallel rank
    accumulation: int | None = None  # microbatches per step and rank

    @property
    def known(self) -> int:
        """Product of the degrees that are known."""
        product = 1
        for degree in (self.tp, self.pp, self.cp, self.dp):
            product *= degree or 1
        return product


_OPEN = Degrees(None, None, None, None)


def degrees_of(
    row: Row, *, count: int, global_batch: int, family: str, sharding: str | None, lora: bool
) -> tuple[Degrees, tuple[str, ...]]:
    """The degrees of a job of `global_batch` sequences per step on `count` chips, and what had to be presumed."""
    said: list[str] = []
    degrees = _lora_ranks(row, _stated(row, family, sharding, lora, said), count, global_batch, lora, said)
    whole = None not in (degrees.tp, degrees.pp, degrees.cp, degrees.dp)
    if count % degrees.known or (whole and degrees.known != count):
        said.append(f"dp {degrees.dp} and the other degrees do not make {count} chips: dp taken from the rest")
        degrees = replace(degrees, dp=None)
    degrees = _completed(degrees, count)
    wrong = _impossible(degrees, count, global_batch)
    if wrong:
        said.append(f"{wrong}: all degrees left to the search")
        degrees = _OPEN
    return _split(row, degrees, count, global_batch, family, said), tuple(said)


def _stated(row: Row, family: str, sharding: str | None, lora: bool, said: list[str]) -> Degrees:
    """What the row states, and what goes without saying: JAX names its axes, sharded ranks alone are no other axis."""
    tp, pp, cp, dp = (row.whole(name) for name in ("tp", "pp", "cp", "dp"))
    if family == "JAX":
        pp, cp = pp or 1, cp or 1
        if tp is None and re.search(r"fsdp", row.text("sharding"), re.IGNORECASE):
            tp = 1
    elif sharding in ("zero2", "zero3", "hsdp") and (tp, pp, cp) == (None, None, None):
        tp = pp = cp = 1
        said.append("no model parallelism presumed: the row states sharded data parallelism alone")
    if lora:
        pp = pp or 1
    return Degrees(tp, pp, cp, dp)


def _lora_ranks(row: Row, degrees: Degrees, count: int, global_batch: int, lora: bool, said: list[str]) -> Degrees:
    """LoRA submissions log the accumulation alone: with the usual microbatch it tells how many ranks there are."""
    accumulation = row.whole("grad_accum")
    if not lora or accumulation is None or degrees.dp is not None or row.positive("micro_batch") is not None:
        return degrees
    micro = int(reading()["lora"]["micro_batch"])
    ranks, rest = divmod(global_batch, accumulation * micro)
    if rest or not ranks or count % ranks:
        return degrees
    said.append(f"micro batch of {micro} presumed, as in the LoRA submissions that state it")
    return replace(degrees, dp=ranks, micro=micro)


def _completed(degrees: Degrees, count: int) -> Degrees:
    """The one degree that is missing; a row that states tensor and pipeline parallelism and no other has no other."""
    left = count // degrees.known if count % degrees.known == 0 else 0
    if degrees.tp is not None and degrees.pp is not None and degrees.cp is None:
        degrees = replace(degrees, cp=left if degrees.dp is not None and left else 1)
    missing = [name for name in ("tp", "pp", "cp", "dp") if getattr(degrees, name) is None]
    if len(missing) == 1 and count % degrees.known == 0:
        value = count // degrees.known
        match missing[0]:
            case "tp":
                degrees = replace(degrees, tp=value)
            case "pp":
                degrees = replace(degrees, pp=value)
            case "cp":
                degrees = replace(degrees, cp=value)
            case _:
                degrees = replace(degrees, dp=value)
    return degrees


def _impossible(degrees: Degrees, count: int, global_batch: int) -> str:
    """Why the degrees cannot be, or ""."""
    if count % degrees.known:
        return f"tp {degrees.tp}, pp {degrees.pp}, cp {degrees.cp} do not divide {count} chips"
    if degrees.dp is not None and global_batch % degrees.dp:
        return f"{degrees.dp} ranks cannot share {global_batch} sequences"
    return ""


def _split(row: Row, degrees: Degrees, count: int, global_batch: int, family: str, said: list[str]) -> Degrees:
    """The microbatch and the accumulation. JAX programs state the batch of a chip, which the other axes share."""
    stated, accumulation, dp = row.positive("micro_batch"), row.whole("grad_accum"), degrees.dp
    micro = degrees.micro
    if stated is not None:
        micro = round(stated * count / dp) if family == "JAX" and dp else round(stated)
        micro = max(micro, 1) if family != "JAX" or dp else None
    elif micro is None and accumulation is not None and dp is not None:
        micro = global_batch // (accumulation * dp) or None
    if micro is not None and global_batch % (micro * (dp or 1)):
        said.append(f"microbatches of {micro} do not make a batch of {global_batch}: left to the search")
        micro = None
    if micro is not None and dp is not None:
        steps = global_batch // (micro * dp)
        if accumulation not in (None, steps):
            said.append(f"the stated accumulation of {accumulation} does not give the batch: {steps} taken")
        accumulation = steps
    return replace(degrees, micro=micro, accumulation=accumulation)
