"""What a model is made of: the dimensions that decide its parameters, FLOP and bytes.

Invariant: `parameters.count(model)` agrees with the published count within 1 % for every built-in model (tested).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Experts:
    """Mixture of experts in `layers` of the model's layers; the others keep the dense feed-forward."""

    count: int  # routed experts per layer
    active: int  # routed experts per token (top-k)
    ffn_hidden: int  # of one routed expert
    layers: int  # layers that have experts
    shared: int = 0  # experts that every token visits
    shared_ffn_hidden: int = 0  # of one shared expert


@dataclass(frozen=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek-V2/V3): ranks and head parts."""

    kv_rank: int
    q_rank: int  # 0: queries are projected directly
    nope_dim: int
    rope_dim: int
    v_dim: int


@dataclass(frozen=True)
class Model:
    """A decoder-only transformer. Dimensions are counts; nothing here depends on a machine."""

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn_hidden: int  # of a dense layer
    vocab: int
    gated: bool  # SwiGLU/GeGLU: three matrices instead of two
    tied_embeddings: bool
    max_positions: int = 0  # learned position table of that length; 0: none (rotary, ALiBi)
    bias: bool = False  # biases in all linear layers
    qkv_bias: bool = False  # biases in the qkv projection alone
    norm: str = "rms"  # "rms" (one vector) | "layer" (weight and bias) | "layer-nobias" | "none"
    norms_per_layer: int = 2
    experts: Experts | None = None
    latent: LatentAttention | None = None
    window: int = 0  # sliding-window attention of that width; 0: full
    windowed_layers: int = 0  # how many layers are windowed (the others are full)
    source: str = ""
    context: int = 0  # tokens per sequence that the model was published for; 0: unknown
    qk_norm: str = "none"  # norm of queries and keys: "none" | "head" (one vector per head) | "full" (whole projection)
    relative_positions: bool = False  # Transformer-XL: one more hidden x (heads x head_dim) projection in each layer
