"""How a measured row spread its job: sharding and recomputation from prose, beside the degrees from numbers.

Invariant: what is returned is stated by the row or follows from it; whatever had to be presumed is named in a sentence,
and what cannot be known stays None, for the search to choose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sublet.estimate.measured_degrees import degrees_of
from sublet.estimate.rows import Row, reading
from sublet.workload.flops import attention_flop_per_token
from sublet.workload.job import Layout
from sublet.workload.model import Model

_ATTENTION_SHARE = 0.2  # attention's products are a smaller part of the forward pass than this
_ALL_LAYERS = 0.85  # utilisations of two digits: this much is all of it


@dataclass(frozen=True)
class StatedLayout:
    """The layout of a row and what the contract's `Layout` has no room for."""

    layout: Layout
    grad_accum: int | None  # microbatches per step and data-parallel rank
    fsdp_group: int | None  # data-parallel ranks that hold one sharded copy of the model
    recompute_share: float | None  # part of the forward FLOP done again, 0-1, where utilisations or policy tell
    activations_offloaded: bool  # saved activations go to host memory
    assumptions: tuple[str, ...]


def layout_of(
    row: Row, model: Model, *, count: int, slices: int, node: int, family: str, lora: bool, global_batch: int
) -> StatedLayout:
    """The layout of `row`, whose job runs `global_batch` sequences per step on `count` chips in `slices` fabrics.

    `node` is the number of chips of one host: the group of an HSDP whose size is not stated.
    """
    kind = sharding_of(row.text("sharding"))
    degrees, said = degrees_of(row, count=count, global_batch=global_batch, family=family, sharding=kind, lora=lora)
    dp = degrees.dp
    group = _fsdp_group(row.text("sharding"), kind, dp, count, slices, node)
    if kind in ("zero3", "hsdp") and group is not None and dp is not None:
        kind = "hsdp" if group < dp else "zero3"
    recompute, share = _recompute(row)
    remat = _remat(row) if family == "JAX" else None
    if remat is not None:
        recompute, share = "full", _computed_again(model, row.whole("seq_len") or model.context, remat["again"])
    sharded_alone = kind in ("zero2", "zero3", "hsdp") and degrees.tp == 1
    experts = model.experts is not None
    layout = Layout(
        tp=degrees.tp,
        pp=degrees.pp,
        vp=_virtual_stages(row, degrees.pp),
        cp=degrees.cp,
        ep=row.whole("ep") or (None if experts and not sharded_alone else 1),
        dp=dp,
        micro_batch=degrees.micro,
        sharding=kind,
        recompute=recompute,
        sequence_parallel=_sequence_parallel(row, degrees.tp),
        offload=True if re.search(r"(optimizer|zero)[- ]?offload|cpu[- ]offload", _prose(row)) else None,
    )
    offloaded = bool(re.search(r"offload", row.text("activation_checkpointing"), re.IGNORECASE))
    offloaded = offloaded or (remat is not None and bool(remat["offloads"]))
    return StatedLayout(layout, degrees.accumulation, group, share, offloaded, said)


def sharding_of(text: str) -> str | None:
    """The sharding (a name of `Layout.sharding`) that prose such as "FSDP SHARD_GRAD_OP" means; None: not stated."""
    plain = text.lower()
    if not plain:
        return None
    patterns = (
        ("hsdp", r"hsdp|hybrid[_ -]?shard|fsdp.*(dp|replica\w*) across|across .*(slice|node|pod)s?"),
        ("zero2", r"zero[- ]?2|shard_grad_op"),
        ("zero1", r"zero[- ]?1|distributed optimi[sz]er|optimi[sz]er[- ]shard|dist[-_ ]?opt"),
        ("zero3", r"zero[- ]?3|full_shard|fsdp|fully sharded"),
        ("ddp", r"\bddp\b|\bnone\b|data parallel|zero[- ]?0|replicat|no shard"),
    )
    return next((kind for kind, pattern in patterns if re.search(pattern, plain)), None)


def _fsdp_group(text: str, kind: str | None, dp: int | None, count: int, slices: int, node: int) -> int | None:
    """Ranks that hold one sharded copy: stated, or the slice, or (HSDP without a size) the node."""
    if kind not in ("zero2", "zero3", "hsdp"):
        return None
    found = re.search(r"fsdp(?: group)?\s*[= ]\s*(\d+)|(\d+)[- ]way", text, re.IGNORECASE)
    if found is not None:
        group = int(found.group(1) or found.group(2))
        return group if dp is None or dp % group == 0 else None
    if dp is None:
        return None
    if re.search(r"in the slice|over the slice|in the pod|in-slice", text, re.IGNORECASE) and dp % slices == 0:
        return dp // slices
    if kind == "hsdp":
        ranks = max(node * dp // count, 1)
        return ranks if dp % ranks == 0 else None
    return dp


def _recompute(row: Row) -> tuple[str | None, float | None]:
    """The name of the recomputation, and its share of the forward pass where both utilisations are stated.

    Hardware FLOP are model FLOP plus the recomputed forward: hfu / mfu = 1 + share / 3. Where some whole layers are
    recomputed and others not, no name fits: None, and the share says how many.
    """
    text = row.text("activation_checkpointing").lower()
    mfu, hfu = row.positive("mfu"), row.positive("hfu")
    share = min(max(3 * (hfu / mfu - 1), 0.0), 1.0) if mfu is not None and hfu is not None else None
    if not text or "custom" in text:
        return None, share
    if re.search(r"attention|minimal|save_dot|dots", text):
        return "selective", share
    if "select" in text:  # of attention's products (Megatron), or of every k-th layer: the utilisations tell which
        if share is None or share < _ATTENTION_SHARE:
            return "selective", share
        return ("full" if share > _ALL_LAYERS else None), share
    if re.search(r"\bnone\b|\bno\b|\boff\b|false|without|disabled|^0$", text):
        return "none", share
    if re.search(r"full|block|layer|yes|true|remat|on\b|checkpoint|uniform", text):
        return "full", share
    return None, share


def _remat(row: Row) -> Mapping[str, Any] | None:
    """The known rematerialisation policy that the row names, if it is one that recomputes products."""
    text = row.text("activation_checkpointing").lower()
    if not text or "minimal" in text:
        return None
    return next((rule for rule in reading()["jax_remat"] if re.search(rule["pattern"], text)), None)


def _computed_again(model: Model, sequence: int, names: Sequence[str]) -> float:
    """Share of a layer's forward FLOP that the products in `names` are; the experts visited count as the dense one."""
    queries, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    ffn = model.ffn_hidden if model.experts is None else model.experts.active * model.experts.ffn_hidden
    products = {
        "q": model.hidden * queries,
        "k": model.hidden * keys,
        "v": model.hidden * keys,
        "o": queries * model.hidden,
        "gate": model.hidden * ffn if model.gated else 0,
        "up": model.hidden * ffn,
        "down": model.hidden * ffn,
        "attention": attention_flop_per_token(model, max(sequence, 1)) / (2 * model.layers),
    }
    return sum(products[name] for name in names) / sum(products.values())


def _sequence_parallel(row: Row, tp: int | None) -> bool | None:
    if tp == 1:
        return False
    if re.search(r"sequence[- ]parallel|\bsp\b", _prose(row)):
        return True
    date = row.text("date")
    return False if date and date[:7] < reading()["sequence_parallel"]["presumed_off_before"] else None


def _prose(row: Row) -> str:
    return " ".join(row.text(name) for name in ("sharding", "activation_checkpointing", "notes")).lower()


def _virtual_stages(row: Row, pp: int | None) -> int | None:
    """Stated interleaving; without a pipeline, or in a row of before it was usual, none."""
    stated, date = row.whole("vp"), row.text("date")
    if stated is not None:
        return stated
    early = bool(date) and date[:7] < reading()["interleaving"]["presumed_off_before"]
    return 1 if pp == 1 or early else None
