"""What is chosen where a job says nothing follows published practice, and says so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sublet.errors import InputError
from sublet.workload.builtin import model, models
from sublet.workload.defaults import default_batch, default_sequence, parse_batch


@pytest.mark.parametrize(
    ("text", "sequence", "sequences"),
    [
        ("512 sequences", 2048, 512),
        ("1 sequence", 4096, 1),
        ("2k sequences", 4096, 2000),
        ("4M tokens", 2048, 2048),
        ("4M tokens", 4096, 1024),
        ("0.5M tokens", 2048, 256),
        ("3.2M tokens", 2048, 1536),
        ("4194304 tokens", 2048, 2048),
        ("2048 tokens", 2048, 1),
    ],
)
def test_batches_in_sequences_and_in_tokens(text, sequence, sequences):
    assert parse_batch(text, sequence)[0] == sequences


@given(wanted=st.integers(1, 10**6), sequence=st.sampled_from([1, 512, 2048, 8192]))
def test_a_batch_in_tokens_is_met_within_five_percent(wanted, sequence):
    sequences, note = parse_batch(f"{wanted * sequence} tokens", sequence)
    assert sequences == pytest.approx(wanted, rel=0.05)
    assert bool(note) == (sequences != wanted)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("512", "tokens or sequences"),
        ("4M", "tokens or sequences"),
        ("4M bytes", "tokens or sequences"),
        ("", "tokens or sequences"),
        ("0 sequences", "not a whole number"),
        ("1.5 sequences", "not a whole number"),
        ("many sequences", "not a count of sequences"),
        ("100 tokens", "less than one sequence of 2,048"),
    ],
)
def test_a_batch_that_does_not_say_what_it_counts_is_refused(text, words):
    with pytest.raises(InputError, match=words):
        parse_batch(text, 2048)


@pytest.mark.parametrize(
    ("name", "tokens"),
    [("gpt-3-350m", 0.5e6), ("gpt-3-2.7b", 1e6), ("gpt-3-13b", 2e6), ("llama-2-70b", 4e6), ("llama-3.1-405b", 16e6)],
)
def test_the_batch_of_pre_training_grows_with_the_model_as_published(name, tokens):
    sequences, note = default_batch(model(name), "pretrain", 2048)
    assert sequences * 2048 == pytest.approx(tokens, rel=0.05)
    assert "arXiv" in note


def test_a_sequence_beyond_the_published_batch_is_a_batch_of_its_own():
    assert default_batch(model("mpt-125m"), "pretrain", 1_000_000)[0] == 1


@pytest.mark.parametrize("task", ["finetune", "lora"])
def test_fine_tuning_takes_the_small_batch_of_its_source(task):
    assert default_batch(model("llama-2-70b"), task, 4096)[0] == 64


@pytest.mark.parametrize("known", models().values(), ids=models())
def test_the_sequence_is_the_models_own_up_to_8192(known):
    sequence, note = default_sequence(known)
    assert sequence == min(known.context, 8192)
    assert f"{sequence:,}" in note
