"""The estimator's inputs as arrays: workload, machine, layout and options, all broadcastable against each other.

One set of formulas serves every question. A search gives layouts the shape (n, 1, 1, 1, 1, 1, 1) and options one axis
each; a calibration gives every field the shape (rows,), each row with its own model and machine; `explain` gives
scalars.
Invariant: nothing here is configurable; a field is a plain number or an array, in the unit that its name says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sublet.workload.job import TrainingJob
from sublet.workload.model import Model
from sublet.workload.parameters import lora_count

Array = NDArray[Any]
Record = TypeVar("Record", "WorkloadArrays", "MachineArrays", "Layouts", "Options")


@dataclass(frozen=True)
class WorkloadArrays:
    """A training job in numbers: matrix parameters per layer, widths, batch and byte sizes."""

    layers: Array
    moe_layers: Array
    hidden: Array
    query_width: Array  # heads x score dimension
    kv_width: Array  # stored key/value elements per token and layer, both together
    value_width: Array  # heads x value dimension
    heads: Array
    kv_heads: Array
    head_dim: Array
    ffn: Array  # dense feed-forward width
    gated: Array  # 1.0 with a gate matrix, else 0.0
    attention_params: Array  # matrix parameters of attention, per layer
    dense_params: Array  # of the dense feed-forward, per dense layer
    expert_params: Array  # of one routed expert
    shared_params: Array  # of the shared experts together
    expert_ffn: Array
    experts: Array
    active_experts: Array
    vocab: Array
    embedding_params: Array  # input and output tables together
    total_params: Array
    trainable_params: Array
    sequence: Array
    keys: Array  # mean keys that a query attends to (causal, windows counted)
    batch: Array  # sequences per step
    weight_gradients: Array  # 1.0, or 0.0 where the base is frozen (LoRA)
    adapter_params: Array  # of LoRA, all layers
    fused_attention: Array  # 1.0 with a flash-type kernel
    gemm_bytes: Array  # bytes of one element in the matrix multiplications
    wide_gradients: Array  # 1.0 where weight gradients are multiplied in 16 bits although the rest is in 8
    low_precision: Array  # 1.0 where the matrices are multiplied in 8 bits or fewer


@dataclass(frozen=True)
class MachineArrays:
    """A machine in numbers, with the calibrated efficiencies of (chip, framework)."""

    count: Array
    peak: Array  # FLOP/s of the job's matrix precision, dense
    peak_attention: Array  # FLOP/s of attention's own precision (bf16)
    memory_bytes: Array
    memory_rate: Array  # bytes/s
    node: Array
    domain: Array
    link: Array  # scale-up bytes/s, one direction per chip
    nic: Array  # scale-out bytes/s per chip, oversubscription applied
    link_latency: Array
    nic_latency: Array
    host_link: Array  # bytes/s to host memory, one direction per chip
    gemm: Array  # efficiency of matrix multiplications
    attention: Array  # efficiency of attention
    memory: Array  # efficiency of memory traffic
    overlap_tp: Array  # share of tensor-parallel traffic hidden behind compute
    overlap_ep: Array  # share of expert-parallel traffic hidden behind compute
    overlap_dp: Array  # share of the compute window that data-parallel traffic may use
    elementwise: Array  # elementwise traffic over that of unfused kernels
    operand_traffic: Array  # share of matrix operand bytes not hidden behind the multiplication
    weight_traffic: Array  # traffic of gathered weights and accumulated gradients over the plain count
    drops_last: Array  # 1.0 where recomputation skips a layer's last matrix
    activations: Array  # bytes kept for the backward pass over the plain count
    launch: Array  # host seconds to launch one kernel
    optimizer_bytes: Array  # master weights and moments, bytes per trainable parameter
    weight_bytes: Array  # resident weights, bytes per parameter
    gradient_bytes: Array  # resident gradients, bytes per trainable parameter
    reserve_bytes: Array  # context, communication buffers: gone before the job starts


@dataclass(frozen=True)
class Layouts:
    """How the job is spread. `dp` counts data-parallel ranks; expert parallelism reuses them."""

    tp: Array
    cp: Array
    pp: Array
    vp: Array
    ep: Array
    dp: Array
    micro: Array  # sequences per microbatch and data-parallel rank

    @property
    def chips(self) -> Array:
        """Accelerators that the layout uses."""
        return np.asarray(self.tp * self.cp * self.pp * self.dp)


@dataclass(frozen=True)
class Options:
    """Memory savers. Flags are 0.0 or 1.0; `group` is the sharding group of HSDP in ranks (0: all of dp x cp)."""

    full_recompute: Array
    selective_recompute: Array
    zero: Array  # 0 ddp, 1 optimizer, 2 + gradients, 3 + weights
    hsdp: Array  # 1.0: shard inside `group`, replicate across
    group: Array
    sequence_parallel: Array
    offload: Array  # optimizer states in host memory
    overlap_tp: Array  # tensor-parallel traffic behind compute, as far as the framework can
    overlap_dp: Array  # data-parallel, context-parallel and pipeline traffic likewise


def average_keys(model: Model, sequence: int) -> float:
    """Mean number of keys per query under a causal mask, over layers, windows counted."""
    full = (sequence + 1) / 2
    if not model.window or model.window >= sequence:
        return full
    width = model.window
    windowed = width - width * (width - 1) / (2 * sequence)
    share = model.windowed_layers / model.layers
    return share * windowed + (1 - share) * full


def _attention_params(model: Model) -> float:
    """Elements of the attention matrices of one layer."""
    if model.latent is not None:
        part = model.latent
        score = part.nope_dim + part.rope_dim
        query = (
            model.hidden * part.q_rank + part.q_rank * model.heads * score
            if part.q_rank
            else model.hidden * model.heads * score
        )
        down = model.hidden * (part.kv_rank + part.rope_dim)
        up = part.kv_rank * model.heads * (part.nope_dim + part.v_dim)
        return float(query + down + up + model.heads * part.v_dim * model.hidden)
    return float(2 * model.hidden * model.head_dim * (model.heads + model.kv_heads))


ELEMENT_BYTES = {"fp32": 4.0, "tf32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0, "fp4": 0.5}


def workload_arrays(job: TrainingJob, *, fused_attention: bool = True) -> WorkloadArrays:
    """The job's numbers as zero-dimensional arrays."""
    model = job.model
    matrices = 3 if model.gated else 2
    experts = model.experts
    expert_params = float(matrices * model.hidden * experts.ffn_hidden) if experts else 0.0
    shared_params = float(matrices * model.hidden * experts.shared * experts.shared_ffn_hidden) if experts else 0.0
    moe_layers = experts.layers if experts else 0
    dense_params = float(matrices * model.hidden * model.ffn_hidden)
    attention_params = _attention_params(model)
    embedding = float(model.vocab * model.hidden * (1 if model.tied_embeddings else 2))
    total = (
        model.layers * attention_params
        + (model.layers - moe_layers) * dense_params
        + moe_layers * ((experts.count * expert_params if experts else 0.0) + shared_params)
        + embedding
    )
    lora = job.task == "lora"
    adapters = float(lora_count(model, job.lora)) if job.lora is not None else 0.0
    latent = model.latent
    score_dim = latent.nope_dim + latent.rope_dim if latent else model.head_dim
    value_dim = latent.v_dim if latent else model.head_dim
    kv_width = model.heads * (score_dim + value_dim) if latent else 2 * model.kv_heads * model.head_dim
    values: dict[str, float] = {
        "layers": model.layers,
        "moe_layers": moe_layers,
        "hidden": model.hidden,
        "query_width": model.heads * score_dim,
        "kv_width": kv_width,
        "value_width": model.heads * value_dim,
        "heads": model.heads,
        "kv_heads": model.heads if latent else model.kv_heads,
        "head_dim": score_dim,
        "ffn": model.ffn_hidden,
        "gated": float(model.gated),
        "attention_params": attention_params,
        "dense_params": dense_params,
        "expert_params": expert_params,
        "shared_params": shared_params,
        "expert_ffn": experts.ffn_hidden if experts else 0.0,
        "experts": experts.count if experts else 0.0,
        "active_experts": experts.active if experts else 0.0,
        "vocab": model.vocab,
        "embedding_params": embedding,
        "total_params": total,
        "trainable_params": adapters if lora else total,
        "sequence": job.sequence,
        "keys": average_keys(model, job.sequence),
        "batch": job.global_batch,
        "weight_gradients": 0.0 if lora else 1.0,
        "adapter_params": adapters,
        "fused_attention": float(fused_attention),
        "gemm_bytes": ELEMENT_BYTES[job.precision],
        "wide_gradients": float(job.precision == "int8"),  # accurate quantized training: arXiv 2105.03536 and AQT
        "low_precision": float(job.precision in ("fp8", "int8", "fp4")),
    }
    return WorkloadArrays(**{name: np.asarray(float(value)) for name, value in values.items()})


def stack(records: Sequence[Record]) -> Record:
    """Many zero-dimensional records as one record of arrays of shape (len(records),)."""
    first = records[0]
    return replace(
        first, **{f.name: np.array([getattr(r, f.name) for r in records], dtype=float) for f in fields(first)}
    )


def reshape(record: Record, shape: tuple[int, ...]) -> Record:
    """Every array field that is not a scalar in another shape."""
    changed = {
        f.name: np.reshape(value, shape) for f in fields(record) if np.ndim(value := getattr(record, f.name)) > 0
    }
    return replace(record, **changed)


def take(record: Record, rows: Array | slice) -> Record:
    """The record's rows along its first axis; scalars stay scalars."""
    changed = {f.name: value[rows] for f in fields(record) if np.ndim(value := getattr(record, f.name)) > 0}
    return replace(record, **changed)


def cast(record: Record, dtype: type[np.floating[Any]]) -> Record:
    """The record in another floating type."""
    return replace(record, **{f.name: np.asarray(getattr(record, f.name), dtype=dtype) for f in fields(record)})
