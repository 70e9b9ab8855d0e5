"""What a whole run loses beside its steps, the energy that it takes, and the sentence on its bottleneck."""

import tomllib
from dataclasses import replace
from importlib.resources import files
from math import exp, hypot, log, sqrt

import pytest
from estimate_cases import job, machine  # type: ignore[import-not-found]
from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.estimate.assemble import Z90, log_normal
from sublet.estimate.bottleneck import sentence
from sublet.estimate.energy import relative_sd, watts
from sublet.estimate.goodput import goodput, reliability
from sublet.estimate.inputs import workload_arrays
from sublet.estimate.plan import plan
from sublet.estimate.result import Estimate

FIGURES = reliability()
unhurried = settings(deadline=None)
counts = st.integers(1, 200_000)
parameters = st.floats(1e8, 2e12)


def lost(interval_s, count, size, figures=FIGURES):
    """Share lost where checkpoints are written every `interval_s`, to first order (Daly 2006)."""
    mean_s = figures.chip_hours_per_failure * 3600 / count
    write_s = size * figures.checkpoint_bytes_per_parameter / (figures.storage_bytes_per_s_per_chip * count)
    return write_s / interval_s + interval_s / (2 * mean_s) + figures.restart_s / mean_s


@unhurried
@given(count=counts, size=parameters)
def test_goodput_is_a_share_and_no_more_than_what_other_losses_leave(count, size):
    assert 0 < goodput(count, size, FIGURES) <= 1 - FIGURES.other_loss


@unhurried
@given(count=counts, size=parameters, factor=st.floats(0.05, 20.0))
def test_no_other_interval_between_checkpoints_loses_less(count, size, factor):
    mean_s = FIGURES.chip_hours_per_failure * 3600 / count
    write_s = size * FIGURES.checkpoint_bytes_per_parameter / (FIGURES.storage_bytes_per_s_per_chip * count)
    best = sqrt(2 * write_s * mean_s)
    claimed = 1 - goodput(count, size, FIGURES) / (1 - FIGURES.other_loss)
    if claimed < 0.95:  # below, the share is held at a twentieth
        assert claimed == pytest.approx(lost(best, count, size))
        assert claimed <= lost(best * factor, count, size) * (1 + 1e-9)


@unhurried
@given(count=counts, more=counts, size=parameters)
def test_a_larger_machine_fails_more_often(count, more, size):
    assert goodput(count + more, size, FIGURES) <= goodput(count, size, FIGURES)


@unhurried
@given(
    count=counts,
    size=parameters,
    name=st.sampled_from(("chip_hours_per_failure", "storage_bytes_per_s_per_chip")),
    factor=st.floats(1.0, 100.0),
)
def test_sturdier_chips_and_faster_storage_never_lose_more(count, size, name, factor):
    better = replace(FIGURES, **{name: getattr(FIGURES, name) * factor})
    assert goodput(count, size, better) >= goodput(count, size, FIGURES) * (1 - 1e-12)


@unhurried
@given(
    count=counts,
    size=parameters,
    name=st.sampled_from(("restart_s", "checkpoint_bytes_per_parameter", "other_loss")),
    factor=st.floats(0.01, 1.0),
)
def test_quicker_restarts_smaller_checkpoints_and_fewer_stalls_never_lose_more(count, size, name, factor):
    better = replace(FIGURES, **{name: getattr(FIGURES, name) * factor})
    assert goodput(count, size, better) >= goodput(count, size, FIGURES) * (1 - 1e-12)


def test_the_largest_published_run_lost_about_what_is_predicted():
    """Llama 3 405B on 16,384 H100: over 90 % effective time (arXiv 2407.21783, section 3.3.4)."""
    only_failures = replace(FIGURES, other_loss=0.0)
    assert 0.88 < goodput(16_384, 405e9, only_failures) < 0.99
    assert goodput(8, 7e9, only_failures) > 0.99


def test_figures_come_with_their_source():
    assert "arXiv" in FIGURES.source
    (answer,) = plan(job("mpt-7b", batch=64), [machine("H100 SXM", 8)])
    assert isinstance(answer, Estimate)
    assert answer.goodput_source == FIGURES.source
    assert answer.goodput == pytest.approx(goodput(8, float(workload_arrays(job("mpt-7b")).trainable_params), FIGURES))


def test_a_run_is_less_certain_than_its_step_and_energy_less_than_the_run():
    (answer,) = plan(job("mpt-7b", batch=64), [machine("H100 SXM", 8)])
    assert isinstance(answer, Estimate)

    def sd(interval):
        return log(interval.p90 / interval.p50) / Z90

    assert sd(answer.run_s) == pytest.approx(hypot(sd(answer.step_s), FIGURES.run_sd))
    assert sd(answer.energy_j) == pytest.approx(hypot(sd(answer.run_s), relative_sd()))
    assert answer.energy_j.p50 == pytest.approx(answer.run_s.p50 * watts(700.0, 8))


@unhurried
@given(middle=st.floats(1e-6, 1e9), sd=st.floats(0.0, 2.0), factor=st.floats(0.01, 100.0))
def test_a_log_normal_interval_is_symmetric_in_ratio_and_scales(middle, sd, factor):
    found = log_normal(middle, sd)
    assert found.p10 <= found.p50 <= found.p90
    assert found.p10 * found.p90 == pytest.approx(middle**2)
    assert found.p90 / found.p50 == pytest.approx(exp(1.2815515594 * sd))
    scaled = found.scaled(factor)
    assert (scaled.p10, scaled.p50, scaled.p90) == pytest.approx(
        (found.p10 * factor, found.p50 * factor, found.p90 * factor)
    )


@unhurried
@given(count=st.integers(1, 10**5), power=st.floats(50.0, 2000.0))
def test_power_is_that_of_the_chips_and_their_hosts(count, power):
    figures = tomllib.loads(files("sublet.estimate").joinpath("data/energy.toml").read_text())
    busy, host = (figures[name]["value"] for name in ("busy_share", "host_share"))
    assert watts(power, count) == pytest.approx(count * power * (busy + host))
    assert 0.5 < busy <= 1.0
    assert 0.0 < host < 1.0


# ---- the sentence ----------------------------------------------------------------------------------------------------

PARTS = {
    "matrix multiplication": 6.0,
    "attention": 1.0,
    "elementwise": 0.5,
    "data-parallel traffic": 2.0,
    "pipeline bubble": 0.5,
}


def test_the_largest_part_stands_first_and_what_is_large_beside_it_next():
    text = sentence(PARTS, 10.0)
    assert text.startswith("matrix multiplication takes 60% of the step")
    assert "data-parallel traffic 20%" in text
    assert "network" in text


def test_small_parts_are_not_mentioned():
    assert (
        sentence({"matrix multiplication": 9.5, "attention": 0.5}, 10.0)
        == "matrix multiplication takes 95% of the step"
    )


def test_what_outweighs_the_multiplication_comes_with_its_remedy():
    text = sentence({"matrix multiplication": 4.0, "pipeline bubble": 5.5, "attention": 0.5}, 10.0)
    assert text.startswith("pipeline bubble takes 55% of the step")
    assert "sequences per step" in text


def test_every_part_of_a_step_has_a_remedy():
    (answer,) = plan(job("mpt-7b", batch=64), [machine("H100 SXM", 8)])
    assert isinstance(answer, Estimate)
    for name in answer.breakdown_s:
        if name != "matrix multiplication":
            text = sentence({"matrix multiplication": 6.0, name: 3.0, "the rest": 1.0}, 10.0)
            assert f"{name} 30%: " in text
