"""What the scalar estimator stands on: the question, the model by its matrices, collectives, and who holds what."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from sublet.estimate.frameworks import Framework
from sublet.estimate.physics import Physics
from sublet.estimate.result import Machine
from sublet.workload.job import TrainingJob
from sublet.workload.model import Model
from sublet.workload.parameters import lora_count

TWO_BYTES = 2.0
BYTES = {"fp32": 4.0, "tf32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0, "fp4": 0.5}


@dataclass(frozen=True)
class Spread:
    """A layout with its options."""

    tp: int = 1
    cp: int = 1
    pp: int = 1
    vp: int = 1
    ep: int = 1
    dp: int = 1
    micro: int = 1
    sharding: str = "zero3"
    group: int = 0
    full: float = 0.0
    selective: bool = False
    sequence_parallel: bool = True
    offload: bool = False
    overlap_tp: bool = True
    overlap_dp: bool = True


@dataclass(frozen=True)
class Efficiency:
    """Shares of the data-sheet rates."""

    gemm: float
    attention: float
    memory: float


@dataclass(frozen=True)
class Question:
    """Everything that an answer depends on."""

    job: TrainingJob
    machine: Machine
    framework: Framework
    efficiency: Efficiency
    spread: Spread
    constants: Physics

    @property
    def tokens(self) -> float:
        """Of one microbatch, on one context-parallel rank."""
        return self.spread.micro * self.job.sequence / self.spread.cp

    @property
    def microbatches(self) -> int:
        """Per step and data-parallel rank."""
        return max(math.ceil(self.job.global_batch / (self.spread.dp * self.spread.micro) - 1e-6), 1)

    @property
    def frozen(self) -> bool:
        """True where the base gets no weight gradients."""
        return self.job.task == "lora"

    @property
    def memory_rate(self) -> float:
        """Bytes/s that the memory reaches."""
        return (self.machine.accelerator.memory_bytes_per_s or math.nan) * self.efficiency.memory

    def peak(self, precision: str) -> float:
        """FLOP/s; a chip that has bf16 alone runs fp16 in it."""
        peaks = self.machine.accelerator.peak_flops
        return peaks["bf16"] if precision == "fp16" and "fp16" not in peaks else peaks[precision]

    @property
    def wide_peak(self) -> float:
        """FLOP/s of attention: never in fewer than 16 bits."""
        wide = self.job.precision if self.job.precision in ("bf16", "fp16", "tf32", "fp32") else "bf16"
        return self.peak(wide)

    @property
    def domain(self) -> int:
        """Chips that the scale-up network reaches."""
        return min(self.machine.fabric.domain, self.machine.count)


# ---- the model, matrix by matrix -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """Matrices and widths of one layer."""

    attention: int  # elements of the attention matrices
    ffn: int  # of the feed-forward that every token visits: dense, or shared experts
    expert: int  # of one routed expert
    ffn_width: int  # of the dense feed-forward; 0 in a layer with experts
    active_width: int  # feed-forward elements that a token produces: dense, or of its routed experts
    window: int  # keys that a query can reach; 0: all before it


def layers_of(model: Model) -> list[Layer]:
    """Every layer of the model: those with experts last, those with a window first."""
    matrices = 3 if model.gated else 2
    found = []
    for i in range(model.layers):
        window = model.window if i < model.windowed_layers else 0
        experts = model.experts
        if experts is None or i < model.layers - experts.layers:
            ffn = matrices * model.hidden * model.ffn_hidden
            found.append(Layer(attention_elements(model), ffn, 0, model.ffn_hidden, model.ffn_hidden, window))
        else:
            shared = experts.shared * matrices * model.hidden * experts.shared_ffn_hidden
            expert = matrices * model.hidden * experts.ffn_hidden
            active = experts.active * experts.ffn_hidden
            found.append(Layer(attention_elements(model), shared, expert, 0, active, window))
    return found


def attention_elements(model: Model) -> int:
    """Elements of the projections of one layer, added up one by one."""
    latent = model.latent
    if latent is None:
        query = model.hidden * model.heads * model.head_dim
        key = value = model.hidden * model.kv_heads * model.head_dim
        return query + key + value + query
    score = latent.nope_dim + latent.rope_dim
    total = 0
    if latent.q_rank:
        total += model.hidden * latent.q_rank + latent.q_rank * model.heads * score
    else:
        total += model.hidden * model.heads * score
    total += model.hidden * (latent.kv_rank + latent.rope_dim)
    total += latent.kv_rank * model.heads * latent.nope_dim + latent.kv_rank * model.heads * latent.v_dim
    return total + model.heads * latent.v_dim * model.hidden


def widths(model: Model) -> tuple[int, int, int, int]:
    """Query width, key and value width together, value width over all heads, and the dimension of a score."""
    latent = model.latent
    if latent is None:
        query = model.heads * model.head_dim
        return query, 2 * model.kv_heads * model.head_dim, query, model.head_dim
    score = latent.nope_dim + latent.rope_dim
    return model.heads * score, model.heads * (score + latent.v_dim), model.heads * latent.v_dim, score


def tables(model: Model) -> int:
    """Elements of the token table and of the output matrix, where that is another."""
    return model.vocab * model.hidden * (1 if model.tied_embeddings else 2)


def stored_elements(model: Model) -> int:
    """Matrix elements of the whole model."""
    total = tables(model)
    for layer in layers_of(model):
        total += layer.attention + layer.ffn
        if layer.expert:
            assert model.experts is not None
            total += model.experts.count * layer.expert
    return total


@cache
def mean_keys(sequence: int, window: int) -> float:
    """Keys that a query attends to in the mean, under a causal mask."""
    return sum(min(i, window) if window else i for i in range(1, sequence + 1)) / sequence


# ---- collectives -----------------------------------------------------------------------------------------------------


def near(q: Question, size: float, stride: float) -> float:
    """Ranks of the group in one domain."""
    return min(max(float(q.domain // stride), 1.0), size)


def link(q: Question) -> float:
    """Bytes/s of the scale-up network that a collective reaches."""
    return q.machine.fabric.scale_up_bytes_per_s * q.constants.link_efficiency


def nic(q: Question) -> float:
    """Bytes/s of one chip's NIC that a collective reaches."""
    fabric = q.machine.fabric
    return fabric.scale_out_bytes_per_s / fabric.oversubscription * q.constants.nic_efficiency


def start(q: Question, size: float, stride: float) -> float:
    """Seconds before the first byte of a collective."""
    inside = near(q, size, stride)
    fabric = q.machine.fabric
    far = math.ceil(size / inside)
    hops = math.log2(inside) * fabric.scale_up_latency_s + math.log2(far) * fabric.scale_out_latency_s
    return q.constants.collective_s + hops


def gather(q: Question, volume: float, size: float, stride: float) -> float:
    """All-gather or reduce-scatter."""
    inside = near(q, size, stride)
    rate = link(q) if inside == size else min(inside * nic(q), link(q))
    return volume * (size - 1) / size / rate + start(q, size, stride)


def dispatch(q: Question, volume: float, size: float, stride: float, experts: int) -> float:
    """Tokens to their experts: once over the network to each domain that has one of them, then by link to each.

    `experts` are drawn evenly over the domains; one of the domains is the token's own.
    """
    inside = near(q, size, stride)
    domains = size / inside
    missed = 1.0
    for _ in range(experts):
        missed *= 1 - 1 / domains
    abroad = domains * (1 - missed) * (domains - 1) / domains
    return max(volume * abroad / nic(q), volume * experts * (inside - 1) / inside / link(q)) + start(q, size, stride)


def hide(traffic: float, window: float, share: float) -> float:
    """How much of the traffic fits beside the computation."""
    return min(traffic, share * max(window, 0.0))


# ---- parameters ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """Elements of the heaviest stage on one rank, before data-parallel sharding, and of its mean layer."""

    dense: float
    expert: float
    layer: float

    def split(self, ranks: float, ep: int) -> float:
        """Elements left where `ranks` share them; experts are already spread over `ep` of those ranks."""
        return self.dense / ranks + self.expert / max(ranks / ep, 1.0)


def held(q: Question) -> Held:
    """Layers of one stage, and one table (both without a pipeline)."""
    model, s = q.job.model, q.spread
    dense = expert = 0.0
    for layer in layers_of(model):
        dense += (layer.attention + layer.ffn) / s.tp
        expert += layer.expert * (model.experts.count if model.experts else 0) / s.ep / s.tp
    table = min(tables(model), model.vocab * model.hidden) if s.pp > 1 else tables(model)
    return Held(dense / s.pp + table / s.tp, expert / s.pp, (dense + expert) / model.layers)


def groups(q: Question) -> tuple[float, float]:
    """Data-parallel ranks, and those that share one copy of ZeRO-3 weights."""
    ranks = float(q.spread.dp * q.spread.cp)
    if q.spread.sharding != "hsdp":
        return ranks, ranks
    wanted = q.spread.group or q.domain
    return ranks, min(max(float(wanted), 1.0), ranks)


def trainable(q: Question) -> float:
    """Share of the elements that have gradients."""
    if q.job.lora is None:
        return 1.0
    return lora_count(q.job.model, q.job.lora) / stored_elements(q.job.model)


def stage(q: Question) -> int:
    """ZeRO stage by name."""
    return {"ddp": 0, "zero1": 1, "zero2": 2, "zero3": 3, "hsdp": 3}[q.spread.sharding]


def shards(q: Question) -> tuple[float, float, float]:
    """Ranks over which weights, gradients and optimizer states are split."""
    ranks, group = groups(q)
    if stage(q) >= 3:
        return group, group, group
    return 1.0, ranks if stage(q) == 2 else 1.0, ranks if stage(q) >= 1 else 1.0
