"""How many parameters a model has, by component.

Invariant: `total` is the exact sum of the components over the layers, and `active <= total` with equality for a dense
model. Biases count with the matrix they belong to; small odds and ends (attention sinks, router correction biases) are
left out, which is why the promise is 1 % of the published count and not the last digit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sublet.workload.job import Lora
from sublet.workload.model import Model


@dataclass(frozen=True)
class ParameterCount:
    """Parameters of a model; "per layer" is of one layer of that kind, weights and biases."""

    total: int  # everything that is stored
    active: int  # what one token visits: the routed experts that it is sent to instead of all of them
    matmul: int  # weights that multiply every token: active, less tables that are looked up, biases and norms
    embedding: int  # token table at the input
    output: int  # own output projection; 0 where it is the embedding's (tied)
    positions: int  # learned position table, and relative position projections of all layers
    attention_per_layer: int  # query, key, value and output projections
    dense_ffn_per_layer: int  # feed-forward of a layer without experts; 0 where every layer has experts
    expert: int  # one routed expert; 0 in a dense model
    shared_experts_per_layer: int  # all shared experts of a layer that has experts
    router_per_layer: int
    norms_per_layer: int
    final_norm: int
    dense_layers: int
    expert_layers: int


def count(model: Model) -> ParameterCount:
    """Count the parameters of `model`, exactly up to the odds and ends named above."""
    dense, biased = model.ffn_hidden, model.bias
    attention, attention_bias = _attention(model)
    ffn, ffn_bias = _feed_forward(model, dense, biased)
    experts = model.experts
    expert = expert_bias = shared = shared_bias = router = router_bias = 0
    expert_layers, active_experts, all_experts = 0, 0, 0
    if experts is not None:
        expert, expert_bias = _feed_forward(model, experts.ffn_hidden, biased)
        one_shared, one_shared_bias = _feed_forward(model, experts.shared_ffn_hidden, biased)
        shared, shared_bias = experts.shared * one_shared, experts.shared * one_shared_bias
        router, router_bias = model.hidden * experts.count, experts.count if biased else 0
        expert_layers, active_experts, all_experts = experts.layers, experts.active, experts.count
    dense_layers = model.layers - expert_layers

    embedding = model.vocab * model.hidden
    output = 0 if model.tied_embeddings else embedding
    relative = model.layers * model.hidden * model.heads * model.head_dim if model.relative_positions else 0
    positions = model.max_positions * model.hidden + relative
    norm = _norm(model)
    norms_per_layer = model.norms_per_layer * norm + _query_key_norms(model) + _latent_norms(model)

    def stored(experts_visited: int) -> int:
        every = model.layers * (attention + attention_bias + norms_per_layer)
        mixture = experts_visited * (expert + expert_bias) + shared + shared_bias + router + router_bias
        layers = every + dense_layers * (ffn + ffn_bias) + expert_layers * mixture
        return layers + embedding + output + positions + norm

    matmul = model.layers * attention + dense_layers * ffn + expert_layers * (active_experts * expert + shared + router)
    return ParameterCount(
        total=stored(all_experts),
        active=stored(active_experts),
        matmul=matmul + embedding,  # the logits: tied or not, one vocabulary x hidden product
        embedding=embedding,
        output=output,
        positions=positions,
        attention_per_layer=attention + attention_bias,
        dense_ffn_per_layer=ffn + ffn_bias if dense_layers else 0,
        expert=expert + expert_bias,
        shared_experts_per_layer=shared + shared_bias,
        router_per_layer=router + router_bias,
        norms_per_layer=norms_per_layer,
        final_norm=norm,
        dense_layers=dense_layers,
        expert_layers=expert_layers,
    )


def lora_count(model: Model, lora: Lora) -> int:
    """Trainable parameters of adapters of `lora.rank` on `lora.targets` in every layer: rank x (inputs + outputs) each.

    With experts, "gate", "up" and "down" sit on every routed and shared expert; with latent attention "q" sits on the
    query's last projection and "k" and "v" share the one that expands the latent.
    """
    return lora.rank * sum(inputs + outputs for inputs, outputs in _lora_sites(model, lora.targets, active=False))


def lora_active(model: Model, lora: Lora) -> int:
    """Adapter parameters that one token visits."""
    return lora.rank * sum(inputs + outputs for inputs, outputs in _lora_sites(model, lora.targets, active=True))


def _attention(model: Model) -> tuple[int, int]:
    """Weights and biases of one attention block."""
    hidden, heads = model.hidden, model.heads
    latent = model.latent
    if latent is not None:
        query_width = heads * (latent.nope_dim + latent.rope_dim)
        query = latent.q_rank * (hidden + query_width) if latent.q_rank else hidden * query_width
        compress = hidden * (latent.kv_rank + latent.rope_dim)
        expand = latent.kv_rank * heads * (latent.nope_dim + latent.v_dim)
        return query + compress + expand + heads * latent.v_dim * hidden, 0
    queries, keys = heads * model.head_dim, model.kv_heads * model.head_dim
    weights = hidden * (queries + 2 * keys) + queries * hidden
    biases = (queries + 2 * keys if model.bias or model.qkv_bias else 0) + (hidden if model.bias else 0)
    return weights, biases


def _feed_forward(model: Model, width: int, biased: bool) -> tuple[int, int]:
    """Weights and biases of one feed-forward of `width`."""
    inward = 2 if model.gated else 1
    return (inward + 1) * model.hidden * width, (inward * width + model.hidden if biased and width else 0)


def _norm(model: Model) -> int:
    vectors = {"rms": 1, "layer": 2, "layer-nobias": 1, "none": 0}[model.norm]
    return vectors * model.hidden


def _query_key_norms(model: Model) -> int:
    if model.qk_norm == "head":
        return 2 * model.head_dim
    if model.qk_norm == "full":
        return (model.heads + model.kv_heads) * model.head_dim
    return 0


def _latent_norms(model: Model) -> int:
    return model.latent.kv_rank + model.latent.q_rank if model.latent is not None else 0


def _lora_sites(model: Model, targets: Iterable[str], *, active: bool) -> list[tuple[int, int]]:
    """(inputs, outputs) of every matrix that carries an adapter, over all layers."""
    sites: list[tuple[int, int]] = []
    hidden, latent = model.hidden, model.latent
    wanted = dict.fromkeys(targets)
    if latent is not None:
        query = (latent.q_rank or hidden, model.heads * (latent.nope_dim + latent.rope_dim))
        expand = (latent.kv_rank, model.heads * (latent.nope_dim + latent.v_dim))
        attention = {"q": query, "k": expand, "v": expand, "o": (model.heads * latent.v_dim, hidden)}
        if "k" in wanted:
            wanted.pop("v", None)
    else:
        queries, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
        attention = {"q": (hidden, queries), "k": (hidden, keys), "v": (hidden, keys), "o": (queries, hidden)}
    sites += [attention[target] for target in wanted if target in attention] * model.layers

    experts = model.experts
    widths = [model.ffn_hidden] * (model.layers - (experts.layers if experts else 0))
    if experts is not None:
        visited = experts.active if active else experts.count
        widths += ([experts.ffn_hidden] * visited + [experts.shared_ffn_hidden] * experts.shared) * experts.layers
    for width in widths:
        shapes = {"gate": (hidden, width), "up": (hidden, width), "down": (width, hidden)}
        sites += [shapes[target] for target in wanted if target in shapes and (target != "gate" or model.gated)]
    return sites
