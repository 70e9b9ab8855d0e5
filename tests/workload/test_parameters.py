"""Parameter counts: against every published count, against their own components, and by hand for each kind of layer."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sublet.units import parse_count
from sublet.workload.builtin import model as builtin_model
from sublet.workload.builtin import models, published
from sublet.workload.job import Lora
from sublet.workload.model import Experts, LatentAttention, Model
from sublet.workload.parameters import count, lora_active, lora_count

TINY = Model(
    name="tiny",
    layers=2,
    hidden=8,
    heads=4,
    kv_heads=2,
    head_dim=2,
    ffn_hidden=16,
    vocab=32,
    gated=True,
    tied_embeddings=False,
)


def same_at_its_digits(figure, text):
    """Whether `figure` is what `text` prints ("12.9B"), rounded or cut off to as many digits."""
    digits = text.rstrip("BMT")
    step = parse_count(text) / float(digits) / 10 ** len(digits.partition(".")[2])
    return -step / 2 <= figure - parse_count(text) < step


@pytest.mark.parametrize("name", models())
def test_the_total_is_within_one_percent_of_the_published(name):
    assert count(models()[name]).total == pytest.approx(parse_count(published()[name].total), rel=0.01)


@pytest.mark.parametrize("name", [name for name, stated in published().items() if stated.total.isdigit()])
def test_where_the_exact_total_is_published_it_is_met_to_a_ten_thousandth(name):
    # what is left out: norms of embeddings, biases of output projections, gates of shared experts
    assert count(models()[name]).total == pytest.approx(int(published()[name].total), rel=1e-4)


@pytest.mark.parametrize("name", [name for name, stated in published().items() if stated.active])
def test_the_active_count_is_the_published_one(name):
    counted, stated = count(models()[name]), published()[name]
    active = counted.active - (counted.embedding if stated.active_counts == "no-input-embedding" else 0)
    within = active == pytest.approx(parse_count(stated.active), rel=0.01)
    assert within or same_at_its_digits(active, stated.active)


def test_every_mixture_of_experts_has_a_published_active_count_or_says_why_not():
    without = {name for name, model in models().items() if model.experts and not published()[name].active}
    assert without == {"grok-1"}  # its publisher states a share of the weights (25 %), not a count


def test_counts_of_the_measured_runs_are_met_at_every_sequence_length(shared):
    with (shared / "measured/training.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["model"].startswith("MPT-") and row["layers"]]
    assert len(rows) > 100
    for row in rows:
        model = replace(builtin_model(row["model"]), max_positions=int(row["seq_len"]))
        assert count(model).total == pytest.approx(float(row["params_b"]) * 1e9, rel=1e-5), row["id"]


def test_a_gated_layer_with_grouped_queries_by_hand():
    counted = count(TINY)
    assert counted.attention_per_layer == 8 * 8 + 2 * (8 * 4) + 8 * 8
    assert counted.dense_ffn_per_layer == 3 * 8 * 16
    assert counted.norms_per_layer == 2 * 8
    assert counted.total == 2 * (192 + 384 + 16) + 2 * 32 * 8 + 8
    assert counted.matmul == 2 * (192 + 384) + 32 * 8
    assert counted.active == counted.total


def test_biases_by_hand():
    plain, biased = count(replace(TINY, gated=False)), count(replace(TINY, gated=False, bias=True))
    assert biased.attention_per_layer - plain.attention_per_layer == 8 + 4 + 4 + 8
    assert biased.dense_ffn_per_layer - plain.dense_ffn_per_layer == 16 + 8
    assert biased.matmul == plain.matmul
    assert count(replace(TINY, qkv_bias=True)).attention_per_layer - plain.attention_per_layer == 16


def test_experts_by_hand():
    experts = Experts(count=4, active=2, ffn_hidden=6, layers=1, shared=1, shared_ffn_hidden=5)
    counted = count(replace(TINY, experts=experts))
    one, shared, router = 3 * 8 * 6, 3 * 8 * 5, 8 * 4
    assert (counted.expert, counted.shared_experts_per_layer, counted.router_per_layer) == (one, shared, router)
    assert counted.total == count(TINY).total - 3 * 8 * 16 + 4 * one + shared + router
    assert counted.total - counted.active == 2 * one
    assert (counted.dense_layers, counted.expert_layers) == (1, 1)


def test_latent_attention_by_hand():
    latent = LatentAttention(kv_rank=3, q_rank=5, nope_dim=2, rope_dim=1, v_dim=4)
    counted = count(replace(TINY, latent=latent, head_dim=3))
    queries = 8 * 5 + 5 * 4 * 3
    keys_and_values = 8 * (3 + 1) + 3 * 4 * (2 + 4)
    assert counted.attention_per_layer == queries + keys_and_values + 4 * 4 * 8
    assert counted.norms_per_layer == 2 * 8 + 3 + 5
    direct = count(replace(TINY, latent=replace(latent, q_rank=0), head_dim=3))
    assert direct.attention_per_layer == 8 * 4 * 3 + keys_and_values + 4 * 4 * 8


@pytest.mark.parametrize(
    ("change", "more"),
    [
        ({"tied_embeddings": True}, -32 * 8),
        ({"max_positions": 10}, 10 * 8),
        ({"relative_positions": True}, 2 * 8 * 8),
        ({"norm": "layer"}, (2 * 2 + 1) * 8),
        ({"norm": "none"}, -(2 * 2 + 1) * 8),
        ({"norms_per_layer": 4}, 2 * 2 * 8),
        ({"qk_norm": "head"}, 2 * 2 * 2),
        ({"qk_norm": "full"}, 2 * (8 + 4)),
    ],
)
def test_what_each_choice_adds(change, more):
    assert count(replace(TINY, **change)).total - count(TINY).total == more


MODELS = st.sampled_from(list(models().values()))


@given(model=MODELS)
def test_the_total_is_the_sum_of_the_components(model):
    counted = count(model)
    experts = model.experts.count if model.experts else 0
    mixture = experts * counted.expert + counted.shared_experts_per_layer + counted.router_per_layer
    layers = model.layers * (counted.attention_per_layer + counted.norms_per_layer)
    layers += counted.dense_layers * counted.dense_ffn_per_layer + counted.expert_layers * mixture
    assert counted.total == layers + counted.embedding + counted.output + counted.positions + counted.final_norm
    assert counted.matmul < counted.active <= counted.total
    assert (counted.active < counted.total) == (model.experts is not None)


def test_adapters_by_hand():
    attention = Lora(rank=2, targets=("q", "k", "v", "o"))
    assert lora_count(TINY, attention) == 2 * 2 * ((8 + 8) + (8 + 4) + (8 + 4) + (8 + 8))
    assert lora_count(TINY, Lora(2, ("up", "down"))) == 2 * 2 * 2 * (8 + 16)
    assert lora_count(replace(TINY, gated=False), Lora(2, ("gate",))) == 0
    assert lora_count(TINY, Lora(4, attention.targets)) == 2 * lora_count(TINY, attention)


def test_adapters_of_llama_2_70b_as_in_mlperf():
    lora = Lora(16, ("q", "k", "v", "o"))
    assert lora_count(builtin_model("llama-2-70b"), lora) == 80 * 16 * (4 * 8192 + 2 * 8192 + 2 * (8192 + 1024) - 16384)


def test_adapters_on_experts_are_many_but_a_token_visits_few():
    model = builtin_model("mixtral-8x7b")
    lora = Lora(8, ("gate", "up", "down"))
    assert lora_count(model, lora) == 4 * lora_active(model, lora)
    latent = builtin_model("deepseek-v3")
    assert lora_count(latent, Lora(8, ("k", "v"))) == lora_count(latent, Lora(8, ("v",)))  # one shared expansion
