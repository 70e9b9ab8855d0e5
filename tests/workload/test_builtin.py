"""Built-in models: names resolve leniently but never to two models, and every row of the table is complete."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sublet.workload
from sublet.errors import InputError
from sublet.workload.builtin import model, models, normalise, published

TABLE = Path(sublet.workload.__file__).with_name("data") / "models.csv"


def table_rows():
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


ROWS = table_rows()


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("mpt-30b", "mpt-30b"),
        ("MPT 30B", "mpt-30b"),
        ("mpt30b", "mpt-30b"),
        ("MPT_30b", "mpt-30b"),
        ("llama3-70b", "llama-3-70b"),
        ("Llama 2 70B", "llama-2-70b"),
        ("meta-llama/Llama-2-70b-chat-hf", "llama-2-70b"),
        ("meta-llama/Llama-3.1-70B", "llama-3.1-70b"),
        ("Meta-Llama-3-8B-Instruct", "llama-3-8b"),
        ("LLaMA-65B", "llama-65b"),
        ("gpt3", "gpt-3-175b"),
        ("GPT2-XL", "gpt-2-1.5b"),
        ("gopher", "gopher-280b"),
        ("MT-NLG 530B", "gpt-530b"),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b"),
        ("DeepSeek-R1", "deepseek-v3"),
        ("Qwen/Qwen3-30B-A3B", "qwen-3-30b-a3b"),
        ("qwen2.5-7b-instruct", "qwen-2.5-7b"),
        ("google/gemma-2-9b-it", "gemma-2-9b"),
        ("tinyllama", "tinyllama-1.1b"),
    ],
)
def test_names_resolve_whatever_their_spelling(spelling, name):
    assert model(spelling).name == name


@pytest.mark.parametrize("name", models())
def test_every_name_resolves_to_itself_in_any_case_and_with_any_separator(name):
    for spelling in (name, name.upper(), name.replace("-", " "), name.replace("-", "_"), f"someone/{name}"):
        assert model(spelling) is models()[name]


def test_every_repository_that_a_row_cites_is_a_spelling():
    cited = [row for row in ROWS if row["source"].startswith("Hugging Face config.json of ")]
    assert len(cited) > 80
    for row in cited:
        assert model(row["source"].rpartition(" ")[2]).name == row["name"]


def test_no_two_rows_claim_one_spelling():
    seen: dict[str, str] = {}
    for row in ROWS:
        for spelling in (row["name"], *filter(None, row["aliases"].split("|"))):
            assert seen.setdefault(normalise(spelling), row["name"]) == row["name"], spelling


@pytest.mark.parametrize(
    ("spelling", "near"), [("mptt-30b", "mpt-30b"), ("llama-70b", "llama-2-70b"), ("mixtral-8x8b", "mixtral-8x7b")]
)
def test_an_unknown_name_is_answered_with_near_ones(spelling, near):
    with pytest.raises(InputError, match=f"no built-in model is called '{spelling}': did you mean .*{near}"):
        model(spelling)


@given(name=st.text(max_size=20))
def test_any_text_is_a_model_or_one_sentence(name):
    try:
        known = model(name).name
    except InputError as refusal:
        known = str(refusal)
    assert known in models() or known.startswith("no built-in model is called ")


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_every_row_has_sources_a_date_and_dimensions_that_agree(row):
    assert row["source"]
    assert row["params_source"]
    assert re.fullmatch(r"20\d\d-[01]\d-[0-3]\d", row["date"])
    built = models()[row["name"]]
    assert built.heads % built.kv_heads == 0
    assert built.norm in ("rms", "layer", "layer-nobias", "none")
    assert built.qk_norm in ("none", "head", "full")
    assert 0 <= built.windowed_layers <= built.layers
    assert bool(built.window) == bool(built.windowed_layers)
    assert built.context > 0
    if built.experts:
        assert built.experts.active < built.experts.count
        assert built.experts.layers <= built.layers
    assert row["active_counts"] in ("", "all", "no-input-embedding")
    assert bool(row["active_params"]) == bool(row["active_counts"])


def test_names_of_the_measured_models_resolve(shared):
    # rows that state their dimensions need no built-in: the GPT and MaxText families of benchmarks
    with (shared / "measured/training.csv").open(encoding="utf-8", newline="") as file:
        names = {row["model"] for row in csv.DictReader(file)}
    with (shared / "measured/inference.csv").open(encoding="utf-8", newline="") as file:
        names |= {row["model"] for row in csv.DictReader(file)}
    unknown = set()
    for name in names:
        try:
            model(name)
        except InputError:
            unknown.add(name)
    assert unknown == {"GPT-32B", *(f"MaxText-{size}B" for size in (16, 32, 64, 128, 256, 512, 1024))}


def test_published_counts_stand_beside_the_models():
    assert published().keys() == models().keys()
    assert published()["mixtral-8x7b"].active == "12.9B"
