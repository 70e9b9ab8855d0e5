"""The plan answers machine by machine: in order, alone as in company, with the best of layouts or with a sentence."""

from dataclasses import replace
from functools import cache
from math import prod

import numpy as np
import pytest
from estimate_cases import job, machine  # type: ignore[import-not-found]
from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.catalog.accelerators import accelerators
from sublet.errors import InputError
from sublet.estimate.assemble import estimates
from sublet.estimate.calibration import Case, shipped, uncalibrated
from sublet.estimate.evaluate import evaluate
from sublet.estimate.frameworks import family_of, frameworks
from sublet.estimate.inputs import reshape, workload_arrays
from sublet.estimate.layouts import enumerate_layouts, option_axes
from sublet.estimate.machines import machine_arrays
from sublet.estimate.physics import physics
from sublet.estimate.plan import EDGE_PENALTY, choose, framework_of, plan
from sublet.estimate.result import Estimate, Rejection
from sublet.workload.flops import job_flop_per_token
from sublet.workload.job import Lora

MANY = [machine(name, count) for name in accelerators() for count in (1, 8, 64)]
JOB = job("llama-3-8b", batch=64, sequence=4096, tokens=2e9)


@cache
def answered():
    return plan(JOB, MANY)


@pytest.fixture
def answers():
    return answered()


def same(one, other):
    """One answer as the other, up to the last digit (an energy that is not known equals nothing, not even itself)."""
    assert one.machine == other.machine
    if isinstance(other, Rejection):
        assert one == other
        return
    assert (one.layout, one.memory.verdict, one.calibration) == (other.layout, other.memory.verdict, other.calibration)
    figures = [
        (answer.step_s.p10, answer.step_s.p50, answer.step_s.p90, answer.run_s.p50, answer.memory.bytes, answer.mfu)
        for answer in (one, other)
    ]
    assert figures[0] == pytest.approx(figures[1], rel=1e-12)


def test_answers_come_in_the_order_of_the_machines(answers):
    assert len(answers) == len(MANY)
    assert all(answer.machine is asked for answer, asked in zip(answers, MANY, strict=True))
    assert {type(answer) for answer in answers} == {Estimate, Rejection}


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, len(MANY) - 1), max_size=4))
def test_company_changes_no_answer(indices):
    answers = answered()
    for found, index in zip(plan(JOB, [MANY[i] for i in indices]), indices, strict=True):
        same(found, answers[index])


def test_no_machines_no_answers():
    assert plan(JOB, []) == []


def test_every_rejection_is_a_sentence_about_the_machine(answers):
    for answer in answers:
        if isinstance(answer, Rejection):
            assert len(answer.reason) > 20
            assert answer.machine.accelerator.name in answer.reason or "layout" in answer.reason
            assert (answer.shortfall is None) == ("does not fit" not in answer.reason)


def test_what_a_chip_cannot_compute_in_is_named():
    (answer,) = plan(job("mpt-7b", precision="fp8"), [machine("A100 SXM 80GB", 8)])
    assert isinstance(answer, Rejection)
    assert "A100 SXM 80GB" in answer.reason
    assert "fp8" in answer.reason
    assert "bf16" in answer.reason


def test_a_chip_without_a_published_memory_rate_says_so():
    host = machine("A100 SXM 80GB", 8)
    unknown = replace(host, accelerator=replace(host.accelerator, memory_bytes_per_s=None))
    (answer,) = plan(job("mpt-7b", batch=8), [unknown])
    assert isinstance(answer, Rejection)
    assert "bandwidth" in answer.reason


@pytest.mark.parametrize("asked", [job("mpt-7b", batch=64, tp=3), job("mpt-7b", batch=4, tp=1, pp=1, cp=1)])
def test_what_cannot_be_laid_out_says_why(asked):
    (answer,) = plan(asked, [machine("A100 SXM 80GB", 8)])
    assert isinstance(answer, Rejection)
    assert "8 accelerators" in answer.reason
    assert str(asked.global_batch) in answer.reason
    assert answer.shortfall is None


def test_what_does_not_fit_says_how_much_is_missing():
    (answer,) = plan(job("llama-3.1-405b", batch=8), [machine("H100 SXM", 8)])
    assert isinstance(answer, Rejection)
    assert "H100 SXM has 85" in answer.reason
    assert answer.shortfall is not None
    assert answer.shortfall > 5


@pytest.mark.parametrize("name", ["H100 SXM", "A100 SXM 40GB", "TPU v5e", "MI300X"])
@pytest.mark.parametrize("count", [8, 64])
def test_the_layout_is_the_best_of_all_that_fit(name, count):
    asked = job("llama-3.2-3b", batch=64, sequence=4096, framework="Megatron")
    host, constants = machine(name, count), physics()
    (answer,) = plan(asked, [host], uncalibrated())
    assert isinstance(answer, Estimate)
    family = framework_of(asked)
    axes = option_axes(asked.layout, fused_attention=True, exhaustive=False)
    lay = enumerate_layouts(asked, count, min(host.fabric.domain, 16))
    numbers = machine_arrays(host, asked, family, uncalibrated(), constants)
    found = evaluate(workload_arrays(asked), numbers, reshape(lay, (-1, *(1,) * 6)), axes.arrays(), constants)
    step, size = (np.broadcast_to(v, (len(lay.tp), *axes.shape)).ravel() for v in (found.step_s, found.memory.total))
    capacity = host.accelerator.memory_bytes
    cost = np.where(size > constants.edge_share * capacity, EDGE_PENALTY, 1.0) * step
    least = float(cost[size <= capacity].min())
    edge = EDGE_PENALTY if answer.memory.verdict == "edge" else 1.0
    assert answer.step_s.p50 * edge == pytest.approx(least, rel=1e-4)
    assert prod(axes.shape) * len(lay.tp) == step.size > 100


@pytest.mark.parametrize(
    "stated",
    [
        {"tp": 2, "pp": 2, "micro_batch": 2},
        {"sharding": "zero2", "recompute": "full"},
        {"sharding": "hsdp", "recompute": "none", "micro_batch": 1},
        {"cp": 2, "dp": 4, "sequence_parallel": False},
        {"offload": True, "sharding": "zero1"},
    ],
    ids=str,
)
def test_what_the_job_states_is_what_the_layout_says(stated):
    asked = job("mpt-3b", batch=64, sequence=4096, **stated)
    (answer,) = plan(asked, [machine("H100 SXM", 8)])
    assert isinstance(answer, Estimate)
    for name, value in stated.items():
        assert getattr(answer.layout, name) == value
    lay = answer.layout
    assert lay.tp * lay.cp * lay.pp * lay.dp == 8
    assert lay.grad_accum * lay.micro_batch * lay.dp == 64


# ---- the figures of an estimate --------------------------------------------------------------------------------------


def test_the_middle_of_the_interval_is_what_evaluating_the_choice_gives(answers):
    family, constants = framework_of(JOB), physics()
    checked = 0
    for answer in answers[::7]:
        if isinstance(answer, Rejection):
            continue
        choice = choose(JOB, answer.machine, family, shipped())
        numbers = machine_arrays(answer.machine, JOB, family, shipped(), constants)
        found = evaluate(workload_arrays(JOB), numbers, choice.layout, choice.options, constants)
        assert answer.step_s.p50 == pytest.approx(float(found.step_s), rel=1e-9)
        assert answer.memory.bytes == pytest.approx(float(found.memory.total), rel=1e-9)
        same(estimates(JOB, [choice], family, shipped())[0], answer)
        checked += 1
    assert checked >= 3


def test_the_figures_of_an_estimate_follow_from_its_step(answers):
    per_step = JOB.global_batch * JOB.sequence
    for answer in answers:
        if isinstance(answer, Rejection):
            continue
        chip, step = answer.machine.accelerator, answer.step_s.p50
        assert answer.steps == np.ceil(JOB.tokens / per_step)
        assert answer.tokens_per_s == pytest.approx(per_step / step)
        assert answer.run_s.p50 == pytest.approx(answer.steps * step / answer.goodput)
        assert answer.model_flop == pytest.approx(job_flop_per_token(JOB) * answer.steps * per_step)
        peak = chip.peak_flops.get("bf16") or chip.peak_flops["fp16"]
        assert answer.mfu == pytest.approx(job_flop_per_token(JOB) * per_step / step / answer.machine.count / peak)
        assert answer.layout.tp > 1 or not answer.layout.sequence_parallel
        assert answer.memory.limit_bytes == chip.memory_bytes
        assert answer.memory.bytes <= chip.memory_bytes * (1 + 1e-6)
        share = answer.memory.bytes / chip.memory_bytes
        assert answer.memory.verdict == ("edge" if share > physics().edge_share else "fits")
        case = Case(chip, framework_of(JOB).name, JOB.precision, JOB.task)
        assert answer.calibrated == (shipped().chip_support(case) > 0)


def test_what_was_assumed_is_passed_on():
    asked = replace(job("mpt-7b", batch=64), assumptions=("sequence not stated: 2,048 taken",))
    host = machine("A100 SXM 80GB", 8, assumption="the network between nodes is not published")
    (answer,) = plan(asked, [host])
    assert isinstance(answer, Estimate)
    assert set(answer.assumptions) >= {"sequence not stated: 2,048 taken", "the network between nodes is not published"}


def test_without_a_rated_power_there_is_no_energy_and_it_says_so():
    host = machine("A100 SXM 80GB", 8)
    dark = replace(host, accelerator=replace(host.accelerator, tdp_watts=None))
    lit, unlit = plan(job("mpt-7b", batch=64), [host, dark])
    assert isinstance(lit, Estimate)
    assert isinstance(unlit, Estimate)
    assert np.isnan(unlit.energy_j.p50)
    assert any("power" in sentence for sentence in unlit.assumptions)
    # energy is power times time: between the rated power of the chips alone idle at half and twice it
    watts = lit.energy_j.p50 / lit.run_s.p50 / 8
    assert 0.5 < watts / host.accelerator.tdp_watts < 2.0
    assert lit.energy_j.p10 < lit.energy_j.p50 < lit.energy_j.p90


def test_lora_counts_no_gradients_of_the_base_and_runs_as_its_own_family():
    full = job("llama-2-70b", batch=64)
    lora = replace(full, task="lora", lora=Lora(16), framework="Megatron")
    assert framework_of(lora).name == "LoRA"
    answers = plan(lora, [machine("H100 SXM", 8)])
    assert isinstance(answers[0], Estimate)
    assert 0.6 < job_flop_per_token(lora) / job_flop_per_token(full) < 0.7
    assert answers[0].memory.components["optimizer"] < 1e9


# ---- one choice ------------------------------------------------------------------------------------------------------


def test_choosing_always_gives_the_leanest_layout_of_what_cannot_fit():
    asked, host, family = job("llama-3-70b", batch=8), machine("A100 SXM 40GB", 8), family_of("PyTorch")
    (refused,) = plan(asked, [host], uncalibrated())
    assert isinstance(refused, Rejection)
    choice = choose(asked, host, family, uncalibrated(), always=True)
    numbers = machine_arrays(host, asked, family, uncalibrated(), physics())
    found = evaluate(workload_arrays(asked), numbers, choice.layout, choice.options, physics())
    needed = float(found.memory.total) / host.accelerator.memory_bytes
    assert needed == pytest.approx(refused.shortfall, rel=1e-3)
    with pytest.raises(InputError, match="does not fit"):
        choose(asked, host, family, uncalibrated())


def test_choosing_with_known_accumulation_keeps_to_it():
    asked, host, family = job("mpt-7b", batch=64), machine("A100 SXM 80GB", 8), family_of("PyTorch")
    for steps in (1, 2, 8):
        choice = choose(asked, host, family, uncalibrated(), accumulation=steps)
        assert 64 / float(choice.layout.dp * choice.layout.micro) == steps
    unknown = choose(asked, host, family, uncalibrated(), accumulation=7)
    assert float(unknown.layout.chips) == 8


def test_choosing_raises_where_nothing_can_be_chosen():
    family = family_of("PyTorch")
    with pytest.raises(InputError, match="fp8"):
        choose(job(precision="fp8"), machine("A100 SXM 80GB"), family, uncalibrated())
    with pytest.raises(InputError, match="no layout"):
        choose(job(tp=3), machine("A100 SXM 80GB"), family, uncalibrated())


def test_a_stated_hsdp_group_is_used():
    asked = job("mpt-7b", batch=64, sharding="hsdp", tp=1, pp=1, cp=1, micro_batch=1, recompute="full")
    host, family = machine("A100 SXM 80GB", 64), family_of("PyTorch")
    shared = []
    for group in (2, 16):
        choice = choose(asked, host, family, uncalibrated(), group=group, always=True)
        assert float(choice.options.group) == group
        (answer,) = estimates(asked, [choice], family, uncalibrated())
        shared.append(answer.memory.components["weights"])
    assert shared[0] == pytest.approx(8 * shared[1])


@pytest.mark.parametrize("name", frameworks())
def test_every_framework_family_can_be_planned(name):
    (answer,) = plan(job("mpt-1b", batch=64), [machine("A100 SXM 80GB", 8)], framework=frameworks()[name])
    assert isinstance(answer, Estimate)
    assert answer.layout.grad_accum >= 1


def test_a_larger_machine_takes_less_time_and_more_chip_hours():
    asked = job("llama-3-8b", batch=1024, sequence=8192)
    found = plan(asked, [machine("H100 SXM", count) for count in (8, 64, 512)])
    steps = [answer.step_s.p50 for answer in found if isinstance(answer, Estimate)]
    assert len(steps) == 3
    assert steps == sorted(steps, reverse=True)
    hours = [step * count for step, count in zip(steps, (8, 64, 512), strict=True)]
    assert hours[0] < hours[2] < 2 * hours[0]
