from dataclasses import dataclass

import pytest

from sublet.estimate.measured import read_runs
from sublet.estimate.result import Interval
from sublet.estimate.targets import LARGE, SMALL, TARGETS, Target, outcomes


@dataclass(frozen=True)
class Said:
    step_s: Interval
    memory_verdict: str = "fits"


def off_by(share, verdict="fits", spread=1.1):
    """A predictor that is wrong by a share of the truth, whatever it was fitted to."""

    def predict(runs, _fitted):
        middles = [run.step_s * (1 + share) for run in runs]
        return [Said(Interval(middle / spread, middle, middle * spread), verdict) for middle in middles]

    return predict


def score(runs, predict, targets=TARGETS, fit=len):
    return {
        outcome.target.name: outcome
        for outcome in outcomes(runs, fit, predict, lambda some, by: predict(some, by), "shipped", targets)
    }


@pytest.fixture(scope="module")
def published(shared):
    return read_runs(shared / "measured" / "training.csv")[0]


def test_every_target_has_rows_in_the_published_table(published):
    found = score(published, off_by(0.0))
    assert {name: outcome.statistics.n > 0 for name, outcome in found.items()} == dict.fromkeys(found, True)
    assert found["llm-foundry on H100"].statistics.n == 54
    assert found["Korthikanti et al. 2022, table 5"].statistics.n == 8
    assert found["mixtures of experts"].statistics.n == 28


def test_the_truth_meets_every_target_and_half_of_it_none_of_the_errors(published):
    assert all(outcome.met for outcome in score(published, off_by(0.0)).values())
    wrong = score(published, off_by(-0.5))
    assert [name for name, outcome in wrong.items() if outcome.met] == ["memory of runs that ran"]
    refused = score(published, off_by(0.0, "does not fit"))
    assert [name for name, outcome in refused.items() if not outcome.met] == ["memory of runs that ran"]


def test_a_right_middle_with_too_narrow_an_interval_does_not_cover(published):
    found = score(published, off_by(0.05, spread=1.01))["a chip never calibrated"]
    assert found.statistics.mean == pytest.approx(0.05)
    assert not found.met


def test_the_large_runs_are_asked_of_a_fit_to_the_small_ones(published):
    seen = []

    def fit(runs):
        seen.extend(runs)
        return "fitted to the small"

    targets = [target for target in TARGETS if target.protocol == "scale"]
    found = score(published, off_by(0.0), targets, fit)
    assert len(found) == 1
    assert seen
    assert max(run.machine.count for run in seen) <= SMALL
    assert all(run.calibrates for run in seen)
    rows = [run for run in published if targets[0].rows(run)]
    assert min(run.machine.count for run in rows) >= LARGE


def test_a_target_without_rows_is_not_met():
    nothing = Target("nothing", "in sample", lambda run: False, {"mean": 1.0})
    assert not score([], off_by(0.0), [nothing])["nothing"].met
