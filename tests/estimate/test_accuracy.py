"""The accuracy that was promised, on the published runs; what takes minutes is in bench/bench_estimate_accuracy.py.

Leave-one-row-out is asked of the llm-foundry rows alone, fitted to each other; the bench fits them with all others.
"""

import pytest

from sublet.estimate.calibrate import fit, predict_left_out
from sublet.estimate.calibration import shipped
from sublet.estimate.measured import read_runs
from sublet.estimate.predict import predict_runs
from sublet.estimate.score import statistics
from sublet.estimate.targets import AT_LEAST, FOUNDRY, KORTHIKANTI, LARGE, SMALL, TARGETS
from sublet.estimate.validate import held_out, scored

pytestmark = pytest.mark.slow

BY_NAME = {target.name: target for target in TARGETS}


@pytest.fixture(scope="module")
def runs(shared):
    return read_runs(shared / "measured" / "training.csv")[0]


@pytest.fixture(scope="module")
def foundry(runs):
    """The llm-foundry rows, each predicted by a fit to the others."""
    rows = [run for run in runs if run.source.startswith(FOUNDRY)]
    return list(zip(rows, predict_left_out(rows, "row"), strict=True))


def check(name, rows):
    """The statistics of `rows` against the limits of a target."""
    figures = statistics(rows)
    assert figures.n > 0
    for figure, limit in BY_NAME[name].limits.items():
        value = getattr(figures, figure)
        assert value >= limit if figure in AT_LEAST else value <= limit, (name, figures)


@pytest.mark.parametrize("name", ["llm-foundry on H100", "llm-foundry on A100 80 GB", "llm-foundry on A100 40 GB"])
def test_a_row_left_out_is_predicted(foundry, name):
    rows = [scored(run, prediction) for run, prediction in foundry if BY_NAME[name].rows(run)]
    assert len(rows) >= 30
    check(name, rows)


def test_the_interval_of_a_row_left_out_holds_most(foundry):
    figures = statistics([scored(run, prediction) for run, prediction in foundry])
    assert 0.75 <= figures.coverage_p10_p90 <= 0.99


def test_small_machines_tell_large_ones(runs):
    name = next(name for name, target in BY_NAME.items() if target.protocol == "scale")
    rows = held_out(
        runs,
        lambda run: run.machine.count <= SMALL,
        lambda run: run.machine.count >= LARGE and BY_NAME[name].rows(run),
        fit,
        predict_runs,
    )
    assert len(rows) >= 15
    check(name, rows)


def test_a_paper_that_was_not_fitted_to_is_predicted(runs):
    name = "Korthikanti et al. 2022, table 5"
    rows = held_out(
        runs,
        lambda run: not run.source.startswith(KORTHIKANTI),
        BY_NAME[name].rows,
        fit,
        predict_runs,
    )
    assert len(rows) == 8
    check(name, rows)


def test_runs_that_ran_are_not_said_to_exceed_the_memory(runs):
    name = "memory of runs that ran"
    wanted = [run for run in runs if BY_NAME[name].rows(run)]
    assert len(wanted) > 400
    check(name, [scored(run, made) for run, made in zip(wanted, predict_runs(wanted, shipped()), strict=True)])


def test_the_shipped_calibration_is_that_of_the_published_rows(runs):
    assert set(shipped().row_ids) == {run.id for run in runs if run.calibrates}
