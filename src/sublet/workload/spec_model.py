"""The model of a job spec: a built-in name, a config.json, or dimensions spelled out.

Invariant: dimensions that contradict each other never become a model; the key at fault is named with its line.
"""

from __future__ import annotations

from dataclasses import replace

from sublet.workload import builtin
from sublet.workload.consistency import check_model
from sublet.workload.decode import Origin
from sublet.workload.huggingface import load_config
from sublet.workload.model import Experts, LatentAttention, Model
from sublet.workload.schema import ModelSpec

_BLANK = ModelSpec()


def read_model(spec: str | ModelSpec, origin: Origin) -> tuple[Model, tuple[str, ...]]:
    """The model that a spec names, points to or spells out."""
    if isinstance(spec, str):
        if spec.endswith(".json"):
            with origin.at("model"):
                return load_config(origin.folder / spec)
        with origin.at("model"):
            return builtin.model(spec), ()
    given = [key for key in ModelSpec.__struct_fields__ if getattr(spec, key) != getattr(_BLANK, key)]
    if spec.config is not None:
        extra = [key for key in given if key not in ("config", "name")]
        if extra:
            sentence = f"stands beside config, which already gives the dimensions: leave {extra[0]} or config out"
            raise origin.error(("model", extra[0]), sentence)
        with origin.at("model", "config"):
            return load_config(origin.folder / spec.config, spec.name)
    model = _from_dimensions(spec, origin)
    check_model(model, origin)
    return model, ()


def _from_dimensions(spec: ModelSpec, origin: Origin) -> Model:
    for key in ("layers", "hidden", "heads", "vocab"):
        if getattr(spec, key) is None:
            example = "a built-in name, {config: path} or at least layers, hidden, heads and vocab"
            raise origin.error(("model",), f"has no {key}: give {example}")
    layers, hidden, heads, vocab = spec.layers or 0, spec.hidden or 0, spec.heads or 0, spec.vocab or 0
    if spec.head_dim is None and spec.latent is None and hidden % heads:
        raise origin.error(("model", "heads"), f"{heads} does not divide hidden {hidden}: give head_dim as well")
    head_dim = spec.head_dim or hidden // heads
    latent = None
    if spec.latent is not None:
        latent = LatentAttention(**{key: getattr(spec.latent, key) for key in LatentAttention.__dataclass_fields__})
        head_dim = latent.nope_dim + latent.rope_dim
    experts = None
    if spec.experts is not None:
        stated = {key: getattr(spec.experts, key) for key in Experts.__dataclass_fields__}
        experts = Experts(**{**stated, "layers": spec.experts.layers or layers})
    windowed = layers if spec.windowed_layers is None else spec.windowed_layers
    return Model(
        name=spec.name or "custom model",
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=spec.kv_heads or heads,
        head_dim=head_dim,
        ffn_hidden=spec.ffn_hidden or 4 * hidden,
        vocab=vocab,
        gated=spec.gated,
        tied_embeddings=spec.tied_embeddings,
        max_positions=spec.max_positions,
        bias=spec.bias,
        qkv_bias=spec.qkv_bias,
        norm=spec.norm,
        norms_per_layer=spec.norms_per_layer,
        experts=experts,
        latent=latent,
        window=spec.window,
        windowed_layers=windowed if spec.window else 0,
        source="dimensions given in the spec",
        context=spec.context,
        qk_norm=spec.qk_norm,
        relative_positions=spec.relative_positions,
    )


def reaching(model: Model, sequence: int) -> tuple[Model, tuple[str, ...]]:
    """The model with a position table that reaches over `sequence`, and what is unusual about that length."""
    if model.max_positions and sequence > model.max_positions:
        note = f"the learned positions of {model.name} are lengthened from {model.max_positions:,} to {sequence:,}"
        return replace(model, max_positions=sequence), (note,)
    if model.context and sequence > model.context:
        note = f"sequence {sequence:,} is longer than the {model.context:,} that {model.name} was published for"
        return model, (note,)
    return model, ()
