"""Every bad spec is answered with one sentence: file and line, the key, the value seen and what would be right."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sublet.errors import InputError
from sublet.workload.schema import JobSpec
from sublet.workload.spec import job_from_mapping, load_job

GOOD = """\
name: ours
model: mpt-30b
tokens: 1T
sequence: 2048
global_batch: 2048 sequences
layout:
  tp: 8
constraints:
  deadline: 30d
  counts: [256, 512]
"""


def refusal_of(path, text):
    path.write_text(text)
    with pytest.raises(InputError) as refusal:
        load_job(path)
    message = str(refusal.value)
    assert "\n" not in message
    return message


def test_the_good_spec_is_good(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(GOOD)
    assert load_job(path).constraints.counts == (256, 512)


@pytest.mark.parametrize(
    ("good", "bad", "line", "words"),
    [
        # unknown keys, in the wrong place or twice
        ("tokens: 1T", "token: 1T", 3, "token is not a key of a job spec: did you mean 'tokens'?"),
        ("sequence: 2048", "deadline: 3d", 4, "deadline is not a key of a job spec: it belongs under 'constraints'"),
        ("tp: 8", "tensor: 8", 7, "layout.tensor is not a key of layout: known here: tp, pp"),
        ("tp: 8", "precision: fp8", 7, "layout.precision is not a key of layout: it belongs at the top"),
        ("sequence: 2048", "tokens: 2T", 4, "'tokens' stands here a second time (first in line 3)"),
        # types
        ("sequence: 2048", "sequence: long", 4, "sequence is 'long': expected a whole number. It means: tokens per"),
        ("sequence: 2048", "sequence: 0", 4, "sequence is '0': expected a whole number of at least 1"),
        ("sequence: 2048", "sequence: 20.5", 4, "sequence is '20.5': expected a whole number"),
        ("tp: 8", "offload: yes", 7, "layout.offload is 'yes': expected true or false"),
        (
            "layout:\n  tp: 8",
            "layout: 8",
            6,
            "layout is '8': expected a mapping of keys to values. It means: layout to",
        ),
        ("tokens: 1T", "tokens: [1]", 3, "tokens is a list: expected a number or text"),
        ("[256, 512]", "[256, x]", 10, "constraints.counts[1] is 'x': expected a whole number"),
        ("model: mpt-30b", "model: [a]", 2, "model is a list: expected text or a mapping"),
        # words
        ("sequence: 2048", "precision: bf17", 4, "precision is 'bf17': expected one of bf16, fp16"),
        ("sequence: 2048", "framework: pytorhc", 4, "did you mean 'PyTorch'?"),
        ("tp: 8", "sharding: zero4", 7, "layout.sharding is 'zero4': expected one of ddp, zero1"),
        # units
        ("tokens: 1T", "tokens: 1X", 3, "tokens '1X' is not a count of tokens: write for example 1T"),
        ("tokens: 1T", "tokens: 0", 3, "tokens 0 must be greater than zero"),
        ("tokens: 1T", "tokens: -1T", 3, "tokens '-1T' must be a finite count"),
        ("2048 sequences", "2048", 5, "global_batch '2048' does not say whether it counts tokens or sequences"),
        ("deadline: 30d", "deadline: 30", 9, "constraints.deadline '30' has no unit: write for example 30d"),
        ("deadline: 30d", "deadline: 0d", 9, "constraints.deadline '0d' must be longer than nothing"),
        ("deadline: 30d", "budget: 900000", 9, "constraints.budget '900000' has no currency"),
        ("deadline: 30d", "budget: -5 USD", 9, "constraints.budget '-5 USD' must be more than nothing"),
        ("deadline: 30d", "country: UK", 9, "constraints.country 'UK' is not an ISO 3166 code"),
        ("deadline: 30d", "on: soon", 9, "constraints.on 'soon' is not a date: write for example 2023-08-15"),
        # models
        ("model: mpt-30b", "model: mpt-31b", 2, "no built-in model is called 'mpt-31b': did you mean"),
        ("model: mpt-30b", "model: {config: no.json}", 2, "there is no file"),
        ("model: mpt-30b", "model: no.json", 2, "there is no file"),
        ("model: mpt-30b", "model: {layers: 2}", 2, "model has no hidden: give a built-in name"),
        ("model: mpt-30b", "model: {config: a.json, layers: 2}", 2, "model.layers stands beside config"),
        ("mpt-30b", "{layers: 2, hidden: 100, heads: 7, vocab: 9}", 2, "model.heads 7 does not divide hidden 100"),
        ("mpt-30b", "{layers: 2, hidden: 64, heads: 4, kv_heads: 3, vocab: 9}", 2, "model.kv_heads 3 does not divide"),
        ("mpt-30b", "{layers: 2, hidden: 64, heads: 4, vocab: 9, window: 8, windowed_layers: 3}", 2, "within 1 to 2"),
        ("mpt-30b", "{layers: 2, hidden: 8, heads: 4, vocab: 9, experts: {count: 2}}", 2, "experts.active is missing"),
        (
            "mpt-30b",
            "{layers: 2, hidden: 8, heads: 4, vocab: 9, experts: {count: 2, active: 3, ffn_hidden: 4}}",
            2,
            "model.experts.active 3 is more than the 2 experts",
        ),
        (
            "mpt-30b",
            "{layers: 2, hidden: 8, heads: 4, vocab: 9, experts: {count: 2, active: 1, ffn_hidden: 4, layers: 3}}",
            2,
            "model.experts.layers 3 is more than the 2 layers",
        ),
        (
            "mpt-30b",
            "{layers: 2, hidden: 8, heads: 4, vocab: 9, experts: {count: 2, active: 1, ffn_hidden: 4, shared: 1}}",
            2,
            "model.experts.shared_ffn_hidden is missing",
        ),
        # parts that contradict each other
        ("tokens: 1T", "tokens: 1M", 3, "tokens 1 M is less than one global batch of 4.19 M tokens"),
        ("tokens: 1T", "tokens: 1T\nepochs: 2", 4, "epochs stands beside tokens"),
        ("tokens: 1T", "epochs: 2", 1, "tokens is missing: give for example 1T, or dataset and epochs"),
        ("tokens: 1T", "dataset: 1T\nepochs: 0", 4, "epochs is '0': expected a number greater than zero"),
        ("name: ours", "task: pretrain\nlora: {rank: 8}", 2, "lora is given but task is 'pretrain'"),
        ("name: ours", "task: lora\nlora: {targets: [q]}", 2, "lora.rank is missing"),
        ("name: ours", "task: lora\nlora: {rank: 8, targets: [q, z]}", 2, "lora.targets[1] is 'z': expected one of q"),
        ("tp: 8", "tp: 5", 7, "layout.tp 5 does not divide the 56 heads of mpt-30b"),
        ("tp: 8", "pp: 100", 7, "layout.pp 100 x 1 stages are more than the 48 layers"),
        ("tp: 8", "pp: 1\n  vp: 2", 8, "layout.vp 2 needs a pipeline"),
        ("tp: 8", "cp: 3", 7, "layout.cp 3 does not divide the sequence of 2,048 tokens"),
        ("tp: 8", "ep: 2", 7, "layout.ep 2 is for experts, and mpt-30b has none"),
        ("tp: 8", "dp: 3", 7, "layout.dp x micro_batch is 3, which does not divide the global batch of 2,048"),
        ("tp: 8", "dp: 2\n  tp: 8", 8, "asks with its fellows for exactly 16 accelerators; counts: 256, 512"),
        ("[256, 512]", "[250]", 7, "layout.tp asks with its fellows for a multiple of 8 accelerators; counts: 250"),
        ("[256, 512]", "[0]", 10, "constraints.counts names 0: a count is 1 or more"),
        ("deadline: 30d", "min_count: 300", 10, "constraints.counts names 256, which min_count and max_count rule out"),
        ("deadline: 30d", "min_count: 9\n  max_count: 8", 9, "constraints.min_count 9 is more than max_count 8"),
        (
            "deadline: 30d",
            "providers: aws\n  avoid_providers: [AWS]",
            10,
            "avoid_providers names 'AWS', which providers",
        ),
    ],
)
def test_a_bad_value_is_named_with_its_line(tmp_path, good, bad, line, words):
    assert good in GOOD
    path = tmp_path / "job.yaml"
    message = refusal_of(path, GOOD.replace(good, bad, 1))
    assert message.startswith(f"{path}:{line}: "), message
    assert words in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"job\.yaml: the file is empty: `sublet workload init`"),
        ("# nothing\n", r"job\.yaml: the file is empty"),
        ("- a\n", r"job\.yaml:1: a job spec is a mapping"),
        ("model: [a\ntokens: 1T", r"job\.yaml:2: this is not YAML"),
        ("\tmodel: a", r"job\.yaml:1: this is not YAML"),
        ("? [a]\n: b\n", r"job\.yaml:1: a key must be a word"),
        ("model: &m [*m]", r"job\.yaml: the file refers to itself"),
        ("model: " + "[" * 3_000, r"job\.yaml.*: "),
        ("\n".join(f"k{n}: 1" for n in range(11_000)), r"more than 10,000 values"),
        ("tokens: 1T\n", r"job\.yaml:1: model is missing\. It means: a built-in name"),
        ("model: mpt-1b\nmodel2: \x07\n", r"job\.yaml.*: this is not YAML"),
    ],
)
def test_a_file_that_is_no_spec_is_refused(tmp_path, text, words):
    assert re.search(words, refusal_of(tmp_path / "job.yaml", text))


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        load_job(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="is a directory"):
        load_job(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        load_job("nul\0byte.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00model")
    with pytest.raises(InputError, match="is not a text file"):
        load_job(tmp_path / "binary.yaml")


def test_references_that_multiply_are_stopped_early(tmp_path):
    lines = ["a0: &a0 [1, 2]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 30)]
    assert "more than 10,000 values" in refusal_of(tmp_path / "job.yaml", "\n".join(lines))


def test_an_empty_value_is_a_value_left_out(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(GOOD.replace("deadline: 30d", "deadline:\n  country: ~"))
    assert load_job(path).constraints.deadline_s is None


def test_words_of_yaml_1_1_keep_their_letters(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(GOOD.replace("deadline: 30d", "country: NO\n  on: 2024-02-29\n  regions: [no, 1:30]"))
    constraints = load_job(path).constraints
    assert (constraints.country, str(constraints.on)) == ("NO", "2024-02-29")
    assert constraints.regions == ("no", "1:30")


def test_a_mapping_has_no_file_so_the_key_alone_is_named():
    with pytest.raises(InputError, match=r"^constraints\.deadline '30' has no unit"):
        job_from_mapping({"model": "mpt-30b", "tokens": "1T", "constraints": {"deadline": 30}})


def test_experts_are_spread_evenly_or_not_at_all():
    spec = {"model": "mixtral-8x7b", "tokens": "1T"}
    assert job_from_mapping({**spec, "layout": {"ep": 4}}).layout.ep == 4
    with pytest.raises(InputError, match=r"^layout\.ep 3 does not divide the 8 experts of mixtral-8x7b"):
        job_from_mapping({**spec, "layout": {"ep": 3}})


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(JobSpec.__struct_fields__)


@given(data=st.dictionaries(KEYS, JUNK, max_size=4))
@example({"model": {"\x1e": False}})
def test_any_junk_is_refused_in_one_line_or_is_a_job(data):
    refusal = ""
    try:
        job_from_mapping({"model": "mpt-1b", "tokens": "1T", **data})
    except InputError as error:
        refusal = str(error)
    assert len(refusal.splitlines()) <= 1
