"""The shape of a job spec: its keys, their types and what they mean; the JSON Schema for editors is made from it.

Invariant: every key has a description with an example, and the spec reader refuses what the schema does not name.
Quantities are text with their unit; what the text means is decided in `spec`, not here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

SCHEMA_ID = "sublet-job-1"

Task = Literal["pretrain", "finetune", "lora"]
Precision = Literal["bf16", "fp16", "fp8", "int8", "fp4", "fp32", "tf32"]
Framework = Literal["PyTorch", "JAX", "TensorFlow", "PaddlePaddle", "MindSpore", "Megatron", "NeMo", "DeepSpeed"]
Optimizer = Literal["adamw", "adam", "adamw-8bit", "adafactor", "lion", "muon", "sgd"]
Market = Literal["on-demand", "spot", "reserved-1y", "reserved-3y", "reserved", "community", "serverless"]
Sharding = Literal["ddp", "zero1", "zero2", "zero3", "hsdp"]
Recompute = Literal["none", "selective", "full"]
Target = Literal["q", "k", "v", "o", "gate", "up", "down"]
Norm = Literal["rms", "layer", "layer-nobias", "none"]
QkNorm = Literal["none", "head", "full"]

_Names = str | list[str]


class Section(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A mapping of the spec."""


class ExpertsSpec(Section, kw_only=True, frozen=True):
    """Mixture of experts."""

    count: Annotated[int, Meta(ge=1, description="Routed experts in a layer, for example 8.")]
    active: Annotated[int, Meta(ge=1, description="Routed experts that a token visits (top-k), for example 2.")]
    ffn_hidden: Annotated[int, Meta(ge=1, description="Feed-forward width of one routed expert, for example 14336.")]
    layers: Annotated[int, Meta(ge=1, description="Layers that have experts; left out: all.")] | None = None
    shared: Annotated[int, Meta(ge=0, description="Experts that every token visits, for example 1.")] = 0
    shared_ffn_hidden: Annotated[int, Meta(ge=0, description="Feed-forward width of one shared expert.")] = 0


class LatentSpec(Section, kw_only=True, frozen=True):
    """Multi-head latent attention."""

    kv_rank: Annotated[int, Meta(ge=1, description="Rank of the compressed keys and values, for example 512.")]
    q_rank: Annotated[int, Meta(ge=0, description="Rank of the compressed queries; 0: projected directly.")] = 0
    nope_dim: Annotated[int, Meta(ge=1, description="Width of a head's part without position, for example 128.")]
    rope_dim: Annotated[int, Meta(ge=1, description="Width of a head's part with rotary position, for example 64.")]
    v_dim: Annotated[int, Meta(ge=1, description="Width of a head's value, for example 128.")]


class ModelSpec(Section, kw_only=True, frozen=True):
    """A model by its `config.json` or by its dimensions."""

    config: Annotated[str, Meta(description="Path of a Hugging Face config.json, relative to this file.")] | None = None
    name: Annotated[str, Meta(description="What to call the model in reports.")] | None = None
    layers: Annotated[int, Meta(ge=1, description="Transformer layers, for example 48.")] | None = None
    hidden: Annotated[int, Meta(ge=1, description="Width of the residual stream, for example 7168.")] | None = None
    heads: Annotated[int, Meta(ge=1, description="Query heads, for example 56.")] | None = None
    kv_heads: Annotated[int, Meta(ge=1, description="Key-value heads; left out: as many as query heads.")] | None = None
    head_dim: Annotated[int, Meta(ge=1, description="Width of a head; left out: hidden / heads.")] | None = None
    ffn_hidden: Annotated[int, Meta(ge=1, description="Feed-forward width; left out: 4 x hidden.")] | None = None
    vocab: Annotated[int, Meta(ge=1, description="Vocabulary with its padding, for example 50368.")] | None = None
    gated: Annotated[bool, Meta(description="Gated feed-forward with three matrices (SwiGLU, GeGLU).")] = False
    tied_embeddings: Annotated[bool, Meta(description="Output projection shared with the token table.")] = False
    max_positions: Annotated[int, Meta(ge=0, description="Length of a learned position table; 0: none.")] = 0
    context: Annotated[int, Meta(ge=0, description="Tokens per sequence the model is made for; 0: unknown.")] = 0
    bias: Annotated[bool, Meta(description="Biases in all linear layers.")] = False
    qkv_bias: Annotated[bool, Meta(description="Biases in the query, key and value projections alone.")] = False
    norm: Annotated[Norm, Meta(description="Kind of norm: rms, layer, layer-nobias or none.")] = "rms"
    norms_per_layer: Annotated[int, Meta(ge=0, description="Norms in a layer, for example 2.")] = 2
    qk_norm: Annotated[QkNorm, Meta(description="Norm of queries and keys: none, head or full.")] = "none"
    relative_positions: Annotated[bool, Meta(description="Transformer-XL position projections (Gopher).")] = False
    window: Annotated[int, Meta(ge=0, description="Width of sliding-window attention; 0: full.")] = 0
    windowed_layers: Annotated[int, Meta(ge=0, description="Layers with the window; left out: all.")] | None = None
    experts: Annotated[ExpertsSpec | None, Meta(description="Mixture of experts; left out: a dense model.")] = None
    latent: Annotated[LatentSpec | None, Meta(description="Multi-head latent attention; left out: heads.")] = None


class LoraSpec(Section, kw_only=True, frozen=True):
    """Low-rank adapters on a frozen base."""

    rank: Annotated[int, Meta(ge=1, description="Rank of the adapters, for example 16.")]
    targets: Annotated[
        list[Target], Meta(min_length=1, description="Matrices with adapters: q, k, v, o, gate, up, down.")
    ] = msgspec.field(default_factory=lambda: ["q", "k", "v", "o"])


class LayoutSpec(Section, kw_only=True, frozen=True):
    """A layout to insist on; what is left out is chosen."""

    tp: Annotated[int, Meta(ge=1, description="Tensor-parallel degree, for example 8.")] | None = None
    pp: Annotated[int, Meta(ge=1, description="Pipeline-parallel degree, for example 4.")] | None = None
    vp: Annotated[int, Meta(ge=1, description="Interleaved stages per pipeline rank, for example 2.")] | None = None
    cp: Annotated[int, Meta(ge=1, description="Context-parallel degree, for example 2.")] | None = None
    ep: Annotated[int, Meta(ge=1, description="Expert-parallel degree, for example 8.")] | None = None
    dp: Annotated[int, Meta(ge=1, description="Data-parallel degree, for example 64.")] | None = None
    micro_batch: Annotated[int, Meta(ge=1, description="Sequences of one micro-batch, for example 2.")] | None = None
    sharding: Annotated[Sharding, Meta(description="What data parallelism shards: ddp, zero1-3, hsdp.")] | None = None
    recompute: Annotated[Recompute, Meta(description="Activation recomputation: none, selective, full.")] | None = None
    sequence_parallel: Annotated[bool, Meta(description="Sequence parallelism with tensor parallelism.")] | None = None
    offload: Annotated[bool, Meta(description="Optimizer states in host memory.")] | None = None


class ConstraintsSpec(Section, kw_only=True, frozen=True):
    """What is acceptable; what is left out does not matter."""

    deadline: Annotated[str, Meta(description="Longest duration of the run, for example 30d or 72h.")] | None = None
    budget: Annotated[str, Meta(description="Most that the run may cost, for example 900kUSD or $1.2M.")] | None = None
    counts: Annotated[int | list[int], Meta(description="Accelerator counts, for example [256, 512].")] | None = None
    min_count: Annotated[int, Meta(ge=1, description="Fewest accelerators, for example 128.")] | None = None
    max_count: Annotated[int, Meta(ge=1, description="Most accelerators, for example 1024.")] | None = None
    accelerators: Annotated[_Names, Meta(description="Only these, for example [H100 SXM, A100 SXM 40GB].")] | None = (
        None
    )
    avoid_accelerators: Annotated[_Names, Meta(description="None of these, for example [V100].")] | None = None
    providers: Annotated[_Names, Meta(description="Only these, for example [aws, lambda].")] | None = None
    avoid_providers: Annotated[_Names, Meta(description="None of these, for example [vast].")] | None = None
    regions: Annotated[_Names, Meta(description="Only these, for example [us-east-1, eu].")] | None = None
    avoid_regions: Annotated[_Names, Meta(description="None of these, for example [cn-north-1].")] | None = None
    markets: Annotated[Market | list[Market], Meta(description="Kinds of offers, for example spot.")] | None = None
    spot: Annotated[bool, Meta(description="Spot offers too (they may be interrupted).")] = False
    country: Annotated[str, Meta(description="Country of the user, ISO 3166, for example DE.")] | None = None
    on: Annotated[str, Meta(description="Day that the question is asked for, for example 2023-08-15.")] | None = None


class JobSpec(Section, kw_only=True, frozen=True):
    """A training job for `sublet quote`."""

    name: Annotated[str, Meta(description="What to call the job in reports.")] | None = None
    task: Annotated[Task, Meta(description="pretrain, finetune (all weights) or lora (adapters).")] | None = None
    model: Annotated[
        str | ModelSpec, Meta(description="A built-in name such as mpt-30b, a config.json, or dimensions.")
    ]
    tokens: Annotated[str | float, Meta(description="Tokens trained in the run, for example 1T or 300B.")] | None = None
    epochs: Annotated[float, Meta(gt=0, description="Passes over `dataset`, for example 3.")] | None = None
    dataset: Annotated[str | float, Meta(description="Tokens of the data set, for example 2B.")] | None = None
    sequence: Annotated[int, Meta(ge=1, description="Tokens per sequence, for example 4096.")] | None = None
    global_batch: Annotated[str, Meta(description="Per optimizer step: '4M tokens' or '512 sequences'.")] | None = None
    precision: Annotated[Precision, Meta(description="Format of the matrix products, for example bf16.")] | None = None
    framework: Annotated[Framework, Meta(description="What runs the training, for example PyTorch.")] | None = None
    optimizer: Annotated[Optimizer, Meta(description="For example adamw.")] | None = None
    lora: Annotated[LoraSpec | None, Meta(description="Adapters, with task: lora; for example {rank: 16}.")] = None
    layout: Annotated[LayoutSpec, Meta(description="Layout to insist on, for example {tp: 8}.")] = LayoutSpec()
    constraints: Annotated[ConstraintsSpec, Meta(description="What is acceptable.")] = ConstraintsSpec()


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a job spec, for editors and for `sublet workload schema`."""
    schema = msgspec.json.schema(JobSpec)
    plain: dict[str, Any] = _without_null(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Sublet job spec",
        **plain,
    }


def _without_null(part: Any) -> Any:
    """The schema without the null that stands for "left out": a key that is not wanted is not written."""
    if isinstance(part, list):
        return [_without_null(item) for item in part]
    if not isinstance(part, dict):
        return part
    choices = [choice for choice in part.get("anyOf", ()) if choice != {"type": "null"}]
    rest = {key: _without_null(value) for key, value in part.items() if key != "anyOf" and value is not None}
    if len(choices) == 1:
        return {**_without_null(choices[0]), **rest}
    return {**rest, "anyOf": _without_null(choices)} if choices else rest
