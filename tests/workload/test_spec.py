"""Job specs: what a file, a mapping and the options mean, what is assumed, and that nothing is lost on the way back."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sublet.errors import InputError
from sublet.units import Money
from sublet.workload.builtin import model, models
from sublet.workload.describe import job_to_mapping
from sublet.workload.job import Constraints, Layout, Lora, TrainingJob
from sublet.workload.spec import job_from_mapping, job_from_options, load_job, overrides_from_options

FULL = """\
name: MPT-30B
task: pretrain
model: mpt-30b
tokens: 1T
sequence: 2048
global_batch: 2048 sequences
precision: fp8
framework: pytorch
optimizer: adamw
layout: {tp: 8, micro_batch: 2, recompute: full, sequence_parallel: true}
constraints:
  deadline: 30d
  budget: 900kUSD
  counts: [512, 256]
  accelerators: [H100 SXM, A100 SXM 40GB]
  avoid_providers: vast
  spot: true
  country: NO
  on: 2023-08-15
"""


@pytest.fixture
def spec(tmp_path):
    """Writes a spec and gives its path."""

    def write(text):
        path = tmp_path / "job.yaml"
        path.write_text(text)
        return path

    return write


def bare(job):
    """The job without what a round trip may change: assumptions and where the model's dimensions came from."""
    return replace(job, assumptions=(), model=replace(job.model, source=""))


def test_a_full_spec_means_what_it_says_and_assumes_nothing(spec):
    assert load_job(spec(FULL)) == TrainingJob(
        name="MPT-30B",
        model=model("mpt-30b"),
        task="pretrain",
        tokens=1e12,
        sequence=2048,
        global_batch=2048,
        precision="fp8",
        framework="PyTorch",
        optimizer="adamw",
        layout=Layout(tp=8, micro_batch=2, recompute="full", sequence_parallel=True),
        constraints=Constraints(
            deadline_s=30 * 86_400,
            budget=Money(Decimal(900_000), "USD"),
            counts=(256, 512),
            accelerators=("H100 SXM", "A100 SXM 40GB"),
            avoid_providers=("vast",),
            markets=("on-demand", "spot"),
            country="NO",
            on=date(2023, 8, 15),
        ),
        assumptions=(),
    )


def test_the_shortest_spec_admits_every_choice(spec):
    job = load_job(spec("model: mpt-30b\ntokens: 1T\n"))
    assert (job.name, job.task, job.sequence, job.global_batch) == ("mpt-30b", "pretrain", 2048, 2048)
    assert (job.precision, job.framework, job.optimizer) == ("bf16", "PyTorch", "adamw")
    assert job.constraints == Constraints()
    for word in ("task", "sequence", "global batch", "precision", "framework", "optimizer"):
        assert sum(sentence.startswith(f"{word} not given: ") for sentence in job.assumptions) == 1, word


def test_tokens_may_be_passes_over_a_data_set():
    assert job_from_mapping({"model": "mpt-1b", "dataset": "2B", "epochs": 3}).tokens == 6e9
    assert job_from_mapping({"model": "mpt-1b", "dataset": "2B"}).tokens == 2e9


def test_lora_by_task_or_by_its_section():
    stated = job_from_mapping({"model": "llama-2-70b", "tokens": "1B", "lora": {"rank": 8, "targets": ["q", "v", "q"]}})
    assert (stated.task, stated.lora, stated.name) == ("lora", Lora(8, ("q", "v")), "llama-2-70b lora")
    assumed = job_from_mapping({"model": "llama-2-70b", "tokens": "1B", "task": "lora"})
    assert assumed.lora == Lora(16)
    assert any(sentence.startswith("lora not given: rank 16") for sentence in assumed.assumptions)
    assert job_from_mapping({"model": "llama-2-70b", "tokens": "1B", "task": "finetune"}).lora is None


def test_a_model_by_its_dimensions_with_the_usual_defaults():
    dimensions = {"layers": 40, "hidden": 5120, "heads": 40, "vocab": 32000}
    job = job_from_mapping({"model": dimensions, "tokens": "1T"})
    assert (job.model.kv_heads, job.model.head_dim, job.model.ffn_hidden) == (40, 128, 20480)
    assert job.sequence == 2048
    experts = {"count": 8, "active": 2, "ffn_hidden": 14336}
    mixture = job_from_mapping({"model": {**dimensions, "experts": experts}, "tokens": "1T"}).model
    assert mixture.experts is not None
    assert mixture.experts.layers == 40
    windowed = job_from_mapping({"model": {**dimensions, "window": 1024}, "tokens": "1T"}).model
    assert windowed.windowed_layers == 40


def test_a_learned_position_table_is_lengthened_and_said_so():
    job = job_from_mapping({"model": "mpt-7b", "tokens": "1T", "sequence": 8192})
    assert job.model.max_positions == 8192
    assert any("lengthened from 2,048 to 8,192" in sentence for sentence in job.assumptions)
    rotary = job_from_mapping({"model": "llama-2-7b", "tokens": "1T", "sequence": 8192})
    assert any("longer than the 4,096" in sentence for sentence in rotary.assumptions)


def test_other_optimizers_admit_how_their_memory_is_counted():
    job = job_from_mapping({"model": "mpt-1b", "tokens": "1B", "optimizer": "lion"})
    assert any("counted like AdamW's" in sentence for sentence in job.assumptions)


@pytest.mark.parametrize(
    ("spelling", "framework"),
    [
        ("pytorch", "PyTorch"),
        ("torch", "PyTorch"),
        ("Composer", "PyTorch"),
        ("MaxText", "JAX"),
        ("megatron-lm", "Megatron"),
    ],
)
def test_frameworks_by_their_usual_names(spelling, framework):
    assert job_from_mapping({"model": "mpt-1b", "tokens": "1B", "framework": spelling}).framework == framework


def test_a_config_path_starts_from_the_spec(tmp_path, spec):
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "config.json").write_text(
        '{"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4,'
        ' "intermediate_size": 128, "vocab_size": 1000, "max_position_embeddings": 512}'
    )
    for text in ("model: {config: ours/config.json}", "model: ours/config.json"):
        job = load_job(spec(f"{text}\ntokens: 1B\n"))
        assert (job.model.name, job.model.layers, job.sequence) == ("ours", 2, 512)


def test_a_mapping_with_numbers_is_read_like_a_file_with_text(spec):
    data = {
        "model": "mpt-30b",
        "tokens": 1e12,
        "sequence": 2048,
        "constraints": {"counts": [256, 512], "spot": True, "on": date(2023, 8, 15), "deadline": "30d"},
    }
    constraints = "{counts: [256, 512], spot: true, on: 2023-08-15, deadline: 30d}"
    text = f"model: mpt-30b\ntokens: 1e12\nsequence: 2048\nconstraints: {constraints}"
    assert job_from_mapping(data) == load_job(spec(text))


class TestOptions:
    def test_options_give_the_job_of_the_same_file(self, spec):
        job = job_from_options("mpt-30b", "1T", deadline="30d", budget="900kUSD", counts=(512,), spot=True)
        text = "model: mpt-30b\ntokens: 1T\nconstraints: {deadline: 30d, budget: 900kUSD, counts: 512, spot: true}"
        assert job == load_job(spec(text))

    def test_options_find_their_section_and_empty_ones_are_left_out(self):
        options = {
            "deadline": "30d",
            "tp": 8,
            "lora_rank": 4,
            "precision": "fp8",
            "counts": (),
            "spot": False,
            "on": None,
        }
        assert overrides_from_options(**options) == {
            "constraints": {"deadline": "30d"},
            "layout": {"tp": 8},
            "lora": {"rank": 4},
            "precision": "fp8",
        }

    def test_overrides_win_over_the_file_and_leave_the_rest(self, spec):
        job = load_job(spec(FULL), overrides_from_options(deadline="10d", precision="bf16"))
        assert job.constraints.deadline_s == 864_000
        assert job.constraints.country == "NO"
        assert job.precision == "bf16"

    def test_an_override_answers_the_file_that_says_it_another_way(self, spec):
        path = spec(
            "model: mpt-1b\ndataset: 1B\nepochs: 2\nconstraints: {min_count: 64, max_count: 128, country: DE}\n"
        )
        job = load_job(path, overrides_from_options(tokens="9B", counts=(8,)))
        assert job.tokens == 9e9
        assert job.constraints == Constraints(counts=(8,), country="DE")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"deadline": "30"}, "--deadline '30' has no unit"),
            ({"budget": "900000"}, "--budget '900000' has no currency"),
            ({"precision": "bf17"}, "--precision is 'bf17': expected one of"),
            ({"lora_rank": 8, "task": "pretrain"}, "--lora-rank is given but task is 'pretrain'"),
            ({"min_count": 9, "max_count": 8}, "--min-count 9 is more than max_count 8"),
        ],
    )
    def test_an_error_names_the_option(self, options, message):
        with pytest.raises(InputError) as refusal:
            job_from_options("mpt-30b", "1T", **options)
        assert str(refusal.value).startswith(message)

    def test_an_error_in_an_override_names_the_option_and_not_the_file(self, spec):
        with pytest.raises(InputError, match=r"^--deadline '30' has no unit"):
            load_job(spec(FULL), overrides_from_options(deadline="30"))

    def test_tokens_left_out_are_asked_for(self):
        with pytest.raises(InputError, match="--tokens is missing: give for example 1T"):
            job_from_options("mpt-30b", None)


JOBS = st.builds(
    TrainingJob,
    name=st.text(min_size=1, max_size=12),
    model=st.sampled_from(list(models().values())),
    task=st.sampled_from(["pretrain", "finetune"]),
    tokens=st.floats(min_value=1e10, max_value=1e16),
    sequence=st.sampled_from([256, 512, 1000]),
    global_batch=st.integers(1, 8192),
    precision=st.sampled_from(["bf16", "fp16", "fp8", "int8", "fp32"]),
    framework=st.sampled_from(["PyTorch", "JAX", "Megatron", "PaddlePaddle"]),
    optimizer=st.sampled_from(["adamw", "sgd"]),
    layout=st.builds(
        Layout,
        tp=st.none() | st.just(1),
        sharding=st.none() | st.sampled_from(["ddp", "zero3"]),
        offload=st.none() | st.booleans(),
    ),
    constraints=st.builds(
        Constraints,
        deadline_s=st.none() | st.floats(min_value=1, max_value=1e9),
        budget=st.none()
        | st.builds(Money, st.decimals(min_value="0.01", max_value=10**9, places=2), st.sampled_from(["USD", "EUR"])),
        counts=st.lists(st.integers(1, 10**5), max_size=3, unique=True).map(lambda counts: tuple(sorted(counts))),
        accelerators=st.sampled_from([(), ("H100 SXM",)]),
        avoid_regions=st.sampled_from([(), ("us-east-1", "eu")]),
        markets=st.sampled_from([("on-demand",), ("spot",), ("on-demand", "spot")]),
        country=st.none() | st.sampled_from(["DE", "NO"]),
        on=st.none() | st.dates(),
    ),
)


@given(job=JOBS)
def test_a_job_that_is_written_out_and_read_again_is_the_same_job(job):
    assert bare(job_from_mapping(job_to_mapping(job))) == bare(job)


def test_a_lora_job_survives_the_round_trip():
    job = job_from_mapping({"model": "deepseek-v2", "tokens": "1B", "lora": {"rank": 4, "targets": ["q", "down"]}})
    assert bare(job_from_mapping(job_to_mapping(job))) == bare(job)
