"""FLOP: published formulas, limits, and what follows from doing less work."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sublet.workload.builtin import model as builtin_model
from sublet.workload.builtin import models
from sublet.workload.flops import (
    attention_flop_per_token,
    forward_flop_per_token,
    job_flop,
    lora_flop_per_token,
    model_flop_per_token,
)
from sublet.workload.job import Lora
from sublet.workload.parameters import count, lora_active
from sublet.workload.spec import job_from_options

MODELS = st.sampled_from(list(models().values()))
SEQUENCES = st.integers(1, 131_072)


@pytest.mark.parametrize("name", ["gpt-1.7b", "gpt-39.1b", "gpt-175b", "gpt-1t"])
def test_the_formula_of_narayanan_et_al(name):
    # arXiv 2104.04473, section 5.1, without their recomputation: 72 B s l h^2 (1 + s / 6h + V / 12 l h) per iteration,
    # full attention
    model, s = builtin_model(name), 2048
    layers, h, vocab = model.layers, model.hidden, model.vocab
    published = 72 * layers * h**2 * (1 + s / (6 * h) + vocab / (12 * layers * h))
    assert model_flop_per_token(model, s, causal=False) == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize("name", ["palm-8b", "palm-540b"])
def test_the_formula_of_palm(name):
    # arXiv 2204.02311, appendix B: 6 N + 12 L H Q T per token, full attention, N with the shared vocabulary matrix once
    model, s = builtin_model(name), 2048
    published = 6 * count(model).total + 12 * model.layers * model.heads * model.head_dim * s
    assert model_flop_per_token(model, s, causal=False) == pytest.approx(published, rel=1e-3)


def test_gpt_3_took_3_14e23_flop():
    # arXiv 2005.14165, table D.1: 3.14E+23 for 300 B tokens, counted as 6 N D without attention
    job = job_from_options("gpt-3-175b", "300B", sequence=2048)
    assert job.tokens * 6 * count(job.model).matmul == pytest.approx(3.14e23, rel=0.01)
    assert job_flop(job) == pytest.approx(3.14e23, rel=0.03)


def test_llama_3_405b_took_3_8e25_flop():
    # arXiv 2407.21783, section 1: 3.8e25 FLOP on 15.6 T text tokens, printed with two digits
    job = job_from_options("llama-3.1-405b", "15.6T", sequence=8192)
    assert job_flop(job) == pytest.approx(3.8e25, rel=0.05)


def test_palm_540b_took_2_56e24_flop():
    # arXiv 2204.02311, table 20: 2.56e24 FLOP on 780 B tokens, attention in full
    job = job_from_options("palm-540b", "780B", sequence=2048)
    assert job_flop(job, causal=False) == pytest.approx(2.56e24, rel=0.01)


def test_a_mixture_of_experts_works_for_its_active_parameters():
    mixture, dense = builtin_model("mixtral-8x7b"), builtin_model("mistral-7b")
    more = model_flop_per_token(mixture, 1) - model_flop_per_token(dense, 1)
    experts = count(mixture)
    assert more == 6 * (experts.matmul - count(dense).matmul)
    assert model_flop_per_token(mixture, 1) < 6 * 13e9


@given(model=MODELS, sequence=SEQUENCES)
def test_training_is_three_forward_passes_and_masking_never_adds(model, sequence):
    training = model_flop_per_token(model, sequence)
    assert training == 3 * forward_flop_per_token(model, sequence)
    assert training <= model_flop_per_token(model, sequence, causal=False)
    assert training > 6 * count(model).matmul


@given(model=MODELS, sequence=st.integers(1, 65_536))
def test_longer_sequences_never_work_less_per_token(model, sequence):
    assert attention_flop_per_token(model, sequence) <= attention_flop_per_token(model, 2 * sequence)


@given(model=MODELS, sequence=SEQUENCES)
def test_causal_full_attention_is_half_of_all(model, sequence):
    full = replace(model, window=0, windowed_layers=0)
    whole = attention_flop_per_token(full, sequence, causal=False)
    assert attention_flop_per_token(full, sequence) == pytest.approx(whole / 2)


@given(sequence=SEQUENCES, window=st.integers(1, 200_000))
def test_a_window_saves_work_and_a_wide_one_is_full_attention(sequence, window):
    full = replace(builtin_model("llama-2-7b"), windowed_layers=32)
    windowed = replace(full, window=window)
    both = attention_flop_per_token(windowed, sequence), attention_flop_per_token(full, sequence)
    assert both[0] <= both[1] * (1 + 1e-12)
    if window >= sequence:
        assert both[0] == pytest.approx(both[1])


def test_windowed_attention_counts_each_key_that_is_met():
    model = replace(builtin_model("llama-2-7b"), window=3, windowed_layers=32)
    met = attention_flop_per_token(model, 10, causal=True) / (2 * 32 * 2 * 128 * 32)
    by_hand = sum(min(query, 3) for query in range(1, 11)) / 10
    assert met == pytest.approx(by_hand, abs=0.5)  # the halves of the diagonal are left out, as everywhere


def test_lora_skips_the_weight_gradients_of_the_base():
    model, lora = builtin_model("llama-2-70b"), Lora(16)
    adapters = 6 * lora_active(model, lora)
    saved = model_flop_per_token(model, 8192) - (lora_flop_per_token(model, 8192, lora) - adapters)
    assert saved == pytest.approx(2 * count(model).matmul)
