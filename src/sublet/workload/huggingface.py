"""A model from the `config.json` that stands beside published weights on Hugging Face.

What a config leaves to the code of its architecture (is the feed-forward gated, are the embeddings tied, which norms)
comes from `data/architectures.csv`; an architecture that is not in it is read as a Llama with a stated assumption.
Invariant: the configs of the built-in models give the built-in models' parameter counts (tested).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from sublet.errors import InputError
from sublet.workload.document import read_json
from sublet.workload.model import Experts, LatentAttention, Model

_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_HIDDEN = ("hidden_size", "n_embd", "n_embed", "d_model")
_HEADS = ("num_attention_heads", "n_head", "n_heads")
_KV_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "kv_n_heads")
_FFN = ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size")
_CONTEXT = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx", "max_sequence_length")
_EXPERTS = ("n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts")
_TOP_K = (
    "num_experts_per_tok",
    "num_experts_per_token",
    "experts_per_token",
    "moe_top_k",
    "moe_k",
    "num_selected_experts",
)


def load_config(path: Path, name: str | None = None) -> tuple[Model, tuple[str, ...]]:
    """The model of a config.json file, and what had to be assumed; InputError names the file."""
    config = read_json(path)
    try:
        return read_config(config, name or _name(path))
    except InputError as error:
        raise error.at(str(path)) from None


def model_from_config(config: Mapping[str, Any], name: str) -> Model:
    """The model of a parsed config.json; InputError for a missing key or for what is no decoder-only transformer."""
    return read_config(config, name)[0]


def read_config(config: Mapping[str, Any], name: str) -> tuple[Model, tuple[str, ...]]:
    """The model of a parsed config.json, and one sentence for each thing that the config does not say."""
    assumptions: list[str] = []
    kind = _text(config, "model_type")
    if isinstance(inner := config.get("text_config"), Mapping):
        assumptions.append(f"only the language part of {name} is counted, without its encoder for images or sound")
        kind = _text(inner, "model_type") or kind
        config = {**inner, "tie_word_embeddings": inner.get("tie_word_embeddings", config.get("tie_word_embeddings"))}
    if kind.lower() in _refused() or config.get("is_encoder_decoder") is True:
        what = _refused().get(kind.lower(), "an encoder-decoder")
        raise InputError(f"{name} is {what} ({kind}): only decoder-only transformers can be counted")
    config = {**config, **_flat(config)}
    traits = dict(_traits().get(kind.lower(), ()))
    if not traits:
        traits, sentence = _like_llama(config, kind)
        assumptions.append(sentence)

    layers, hidden = _whole(config, _LAYERS), _whole(config, _HIDDEN)
    heads = _whole(config, _HEADS)
    head_dim = _optional(config, ("head_dim",)) or hidden // heads
    latent = _latent(config)
    if latent is not None:
        head_dim = latent.nope_dim + latent.rope_dim
    elif not _optional(config, ("head_dim",)) and hidden % heads:
        raise InputError(
            f"hidden_size {hidden} is no multiple of num_attention_heads {heads}, and there is no head_dim"
        )
    kv_heads = _kv_heads(config, kind, heads)
    if kv_heads < 1 or heads % kv_heads:
        raise InputError(f"num_key_value_heads {kv_heads} does not divide num_attention_heads {heads}")
    experts = _experts(config, layers)
    context = _optional(config, _CONTEXT) or 0
    learned = traits["learned_positions"] == "1" and not _flag(config, "alibi", default=False)
    window, windowed_layers = _window(config, traits["windowed"], layers)
    bias = _bias(config, traits)
    if (further := _optional(config, ("num_nextn_predict_layers",)) or 0) > 0:
        assumptions.append(f"the {further} layer(s) of {name} that predict further tokens are not counted")
    model = Model(
        name=name,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        ffn_hidden=_ffn(config, hidden),
        vocab=_whole(config, ("vocab_size", "padded_vocab_size")),
        gated=traits["gated"] == "1",
        tied_embeddings=_flag(config, "tie_word_embeddings", default=traits["tied"] == "1"),
        max_positions=context + int(traits["extra_positions"]) if learned else 0,
        bias=bias,
        qkv_bias=not bias and _qkv_bias(config, traits),
        norm="layer" if traits["norm"] == "layer-nobias" and bias else traits["norm"],
        norms_per_layer=_norms(config, traits),
        experts=experts,
        latent=latent,
        window=window,
        windowed_layers=windowed_layers,
        source=f"config.json, model_type {kind or 'not stated'}",
        context=context,
        qk_norm=_qk_norm(config, traits),
    )
    return model, tuple(assumptions)


def _name(path: Path) -> str:
    """What to call a model whose config lies at `path`: the folder's name, or the file's where it says more."""
    return path.parent.resolve().name if path.stem == "config" else path.stem


def _like_llama(config: Mapping[str, Any], kind: str) -> tuple[dict[str, str], str]:
    """Traits of an unknown architecture: Llama's, with the gate that the activation function suggests."""
    activation = str(config.get("hidden_act") or config.get("hidden_activation") or config.get("activation") or "silu")
    gated = any(word in activation.lower() for word in ("silu", "swi", "glu"))
    shape = "a gated feed-forward" if gated else "a feed-forward without gate"
    sentence = (
        f"architecture {kind!r} is not known: it is counted like a Llama, with {shape} ({activation}), RMS norms "
        "and no biases unless the config says so"
    )
    return {**_traits()["llama"], "gated": "1" if gated else "0"}, sentence


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Keys that MPT and DBRX keep in sub-objects."""
    flat: dict[str, Any] = {}
    for part in ("attn_config", "ffn_config"):
        if isinstance(inner := config.get(part), Mapping):
            flat |= {key: value for key, value in inner.items() if key not in config}
    return flat


def _kv_heads(config: Mapping[str, Any], kind: str, heads: int) -> int:
    """Key-value heads; Falcon and StarCoder say multi-query in flags of their own."""
    falcon = kind.lower() in ("falcon", "refinedweb", "refinedwebmodel")
    if falcon and not _flag(config, "new_decoder_architecture", default=kind.lower() == "refinedweb"):
        return 1 if _flag(config, "multi_query", default=True) else heads
    stated = _optional(config, _KV_HEADS)
    if stated:
        return stated
    return 1 if _flag(config, "multi_query", default=False) else heads


def _ffn(config: Mapping[str, Any], hidden: int) -> int:
    """Width of the dense feed-forward; four times the hidden width where nothing is said (GPT-2, Falcon, BLOOM)."""
    stated = _optional(config, ("intermediate_size_mlp", *_FFN))
    ratio = config.get("expansion_ratio") or config.get("ffn_hidden_ratio") or 4
    if not isinstance(ratio, int | float):
        raise InputError(f"expansion_ratio is {ratio!r}: expected a number such as 4")
    return stated or int(ratio * hidden)


def _experts(config: Mapping[str, Any], layers: int) -> Experts | None:
    """The experts of the Mixtral, Qwen, DeepSeek, Llama 4 and gpt-oss ways of saying it."""
    routed = _optional(config, _EXPERTS)
    if not routed or routed < 2:
        return None
    active = _whole(config, _TOP_K)
    if active > routed:
        raise InputError(f"{_TOP_K[0]} {active} is more than the {routed} experts there are")
    width = _optional(config, ("moe_intermediate_size", "expert_hidden_size")) or _whole(config, _FFN)
    shared = _optional(config, ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts")) or 0
    shared_width = _optional(config, ("shared_expert_intermediate_size", "shared_intermediate_size")) or 0
    if _text(config, "model_type").startswith("llama4"):
        shared, shared_width = 1, width
    elif shared_width and not shared:
        shared = 1
    every = _optional(config, ("decoder_sparse_step", "moe_layer_freq", "interleave_moe_layer_step")) or 1
    first = _optional(config, ("first_k_dense_replace",)) or 0
    only_dense = config.get("mlp_only_layers")
    dense = set(only_dense) if isinstance(only_dense, list) else set()
    sparse = [at for at in range(first, layers) if (at - first + 1) % every == 0 and at not in dense]
    return Experts(
        count=routed,
        active=active,
        ffn_hidden=width,
        layers=len(sparse),
        shared=shared,
        shared_ffn_hidden=(shared_width or width) if shared else 0,
    )


def _latent(config: Mapping[str, Any]) -> LatentAttention | None:
    if not config.get("kv_lora_rank"):
        return None
    return LatentAttention(
        kv_rank=_whole(config, ("kv_lora_rank",)),
        q_rank=_optional(config, ("q_lora_rank",)) or 0,
        nope_dim=_whole(config, ("qk_nope_head_dim",)),
        rope_dim=_whole(config, ("qk_rope_head_dim",)),
        v_dim=_whole(config, ("v_head_dim",)),
    )


def _window(config: Mapping[str, Any], habit: str, layers: int) -> tuple[int, int]:
    """Width of the sliding window and the number of layers that have it, (0, 0) for full attention."""
    width = _optional(config, ("sliding_window", "window_size", "sliding_window_size")) or 0
    if not width or config.get("use_sliding_window") is False:
        return 0, 0
    kinds = config.get("layer_types")
    if isinstance(kinds, list) and kinds:
        windowed = sum(kind == "sliding_attention" for kind in kinds)
    elif habit == "alternate":
        windowed = (layers + 1) // 2 if _text(config, "model_type") != "gpt_neo" else layers // 2
    elif habit == "pattern":
        windowed = layers - layers // (_optional(config, ("sliding_window_pattern",)) or 6)
    elif habit == "upper":
        windowed = layers - min(layers, _optional(config, ("max_window_layers",)) or 0)
    elif habit == "all":
        windowed = layers
    else:
        windowed = 0
    return (width, windowed) if windowed else (0, 0)


def _bias(config: Mapping[str, Any], traits: Mapping[str, str]) -> bool:
    """Biases in all linear layers."""
    if "no_bias" in config:
        return not _flag(config, "no_bias", default=False)
    if traits["bias"] == "1":
        return _flag(config, "use_bias", default=_flag(config, "enable_bias", default=True))
    everywhere = _flag(config, "attention_bias", default=False) and _flag(config, "mlp_bias", default=False)
    return everywhere or _flag(config, "bias", default=False)


def _qkv_bias(config: Mapping[str, Any], traits: Mapping[str, str]) -> bool:
    stated = [
        _flag(config, key, default=False) for key in ("attention_bias", "qkv_bias", "use_qkv_bias") if key in config
    ]
    return any(stated) if stated else traits["qkv_bias"] == "1"


def _norms(config: Mapping[str, Any], traits: Mapping[str, str]) -> int:
    """Norms in a layer: a block whose attention and feed-forward run side by side may share one."""
    if _text(config, "model_type").lower() in ("falcon", "refinedwebmodel", "refinedweb"):
        parallel = _flag(config, "parallel_attn", default=True)
        two = _flag(config, "new_decoder_architecture", default=_text(config, "model_type") == "RefinedWeb")
        return 1 if parallel and not two else 2
    return int(traits["norms_per_layer"])


def _qk_norm(config: Mapping[str, Any], traits: Mapping[str, str]) -> str:
    if _flag(config, "use_qk_norm", default=False) or _flag(config, "qk_layernorm", default=False):
        return "head"
    return traits["qk_norm"]


def _whole(config: Mapping[str, Any], keys: tuple[str, ...]) -> int:
    """The first of `keys` that is there, as a positive whole number; InputError where none is."""
    value = _optional(config, keys)
    if not value:
        others = f" (nor {', '.join(keys[1:])})" if len(keys) > 1 else ""
        raise InputError(f"the config has no {keys[0]!r}{others}: give a whole number greater than zero")
    return value


def _optional(config: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    for key in keys:
        value = config.get(key)
        if value is None:
            continue
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole or value < 0:
            raise InputError(f"{key} is {value!r}: expected a whole number such as 4096")
        return int(value)
    return None


def _flag(config: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = config.get(key)
    return default if value is None else bool(value)


def _text(config: Mapping[str, Any], key: str) -> str:
    return str(config.get(key) or "")


@cache
def _traits() -> Mapping[str, dict[str, str]]:
    """Architecture (lower case) -> its row of the table."""
    rows = _table("architectures.csv")
    return {name: row for row in rows for name in (row["model_type"], *filter(None, row["also"].split("|")))}


@cache
def _refused() -> Mapping[str, str]:
    return {row["model_type"]: row["kind"] for row in _table("not_transformers.csv")}


def _table(name: str) -> list[dict[str, str]]:
    with Path(__file__).with_name("data").joinpath(name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
