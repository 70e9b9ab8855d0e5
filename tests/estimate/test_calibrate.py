"""Calibration: known efficiencies come back from the runs that they make, and nobody learns from its own answer."""

import json
import random
from dataclasses import replace
from math import exp, log

import numpy as np
import pytest
from estimate_cases import job, machine  # type: ignore[import-not-found]

from sublet.catalog.accelerators import accelerators
from sublet.errors import InputError
from sublet.estimate.assemble import Z90
from sublet.estimate.calibrate import fit, predict_left_out
from sublet.estimate.calibration import (
    COEFFICIENTS,
    Calibration,
    Case,
    effect_names,
    shipped,
    shipped_priors,
    uncalibrated,
)
from sublet.estimate.measured import MeasuredRun
from sublet.estimate.plan import plan
from sublet.estimate.predict import case_of, predict_runs
from sublet.estimate.result import Estimate

CHIPS = ("H100 SXM", "A100 SXM 80GB")
TRUTH = {
    "gemm/chip:H100 SXM": -0.12,
    "gemm/chip:A100 SXM 80GB": 0.05,
    "attention/family:Hopper": 0.25,
    "attention/chip:A100 SXM 80GB": -0.15,
    "memory/software:PyTorch": 0.2,
}


def known(effects):
    """A calibration that is certain of these effects."""
    mean = np.array(list(effects.values()), dtype=float)
    return Calibration(shipped_priors(), tuple(effects), mean, np.zeros((len(mean), len(mean))), {}, {})


def run(name, chip, model, sequence, count, micro, recompute, **other):
    """One published run in a layout that leaves nothing open; a step of one second until it is timed."""
    asked = job(
        model,
        batch=2 * micro * count,
        sequence=sequence,
        tp=1,
        pp=1,
        cp=1,
        micro_batch=micro,
        sharding="zero3",
        recompute=recompute,
        sequence_parallel=False,
        offload=False,
    )
    values = {
        "id": name,
        "source": "somebody",
        "source_ref": "table 1",
        "date": "2024-01-01",
        "system": "",
        "machine": machine(chip, count),
        "job": asked,
        "framework": "PyTorch FSDP",
        "framework_family": "PyTorch-FSDP",
        "fused_attention": True,
        "step_s": 1.0,
        "step_basis": "step_time_s",
        "kind": "measured",
        "dense": True,
        "precision_stated": True,
        "memory_gb": None,
        "grad_accum": None,
        "fsdp_group": None,
        "recompute_share": None,
        "activations_offloaded": False,
        "gradient_precision": "",
        "slices": 1,
        "assumptions": (),
        "notes": "",
        "place": "made up:1",
    }
    return MeasuredRun(**{**values, **other})


def timed(runs, truth=None, noise=0.0, seed=1):
    """The runs with the step times that `truth` gives them, give or take `noise`."""
    r = random.Random(seed)
    steps = [prediction.step_s.p50 for prediction in predict_runs(runs, truth or known(TRUTH))]
    return [replace(run, step_s=step * exp(noise * r.gauss(0, 1))) for run, step in zip(runs, steps, strict=True)]


@pytest.fixture(scope="module")
def runs():
    """48 runs: two chips, models and sequences that lean on multiplication, attention and memory in turn."""
    shapes = [("mpt-1b", 512, 32), ("mpt-1b", 65536, 1), ("mpt-3b", 2048, 4), ("mpt-7b", 16384, 1), ("mpt-7b", 2048, 4)]
    shapes += [("mpt-13b", 2048, 2), ("mpt-13b", 8192, 1), ("mpt-3b", 32768, 1)]
    found = []
    for chip in CHIPS:
        for i, (model, sequence, micro) in enumerate(shapes):
            for count, recompute in ((8, "none"), (16, "full"), (64, "full")):
                found.append(run(f"{chip}-{i}-{count}", chip, model, sequence, count, micro, recompute))
    return found


@pytest.fixture(scope="module")
def fitted(runs):
    return fit(timed(runs, noise=0.01))


@pytest.mark.parametrize("chip", CHIPS)
def test_known_efficiencies_come_back(runs, fitted, chip):
    """Up to what noise of a hundredth and the pull of the prior leave; multiplication best, as it is most of a step."""
    case = case_of(next(r for r in runs if r.machine.accelerator.name == chip))
    found, true, before = (c.log_efficiency(case) for c in (fitted, known(TRUTH), uncalibrated()))
    for coefficient, room in (("gemm", 0.04), ("attention", 0.08), ("memory", 0.08)):
        i = COEFFICIENTS.index(coefficient)
        assert found[i] == pytest.approx(true[i], abs=room), coefficient
        if abs(before[i] - true[i]) > 0.1:
            assert abs(found[i] - true[i]) < abs(before[i] - true[i]) / 3, coefficient


def test_steps_are_predicted_better_than_by_the_prior(runs, fitted):
    truth = [r.step_s for r in timed(runs)]

    def errors(calibration):
        return [abs(log(p.step_s.p50 / t)) for p, t in zip(predict_runs(runs, calibration), truth, strict=True)]

    assert max(errors(fitted)) < 0.02
    assert np.mean(errors(uncalibrated())) > 5 * np.mean(errors(fitted))


def test_the_order_of_the_runs_changes_nothing(runs, fitted):
    shuffled = timed(runs, noise=0.01)
    random.Random(5).shuffle(shuffled)
    assert fit(shuffled).to_json() == fitted.to_json()


def test_runs_that_time_no_step_are_left_out(runs, fitted):
    made = timed(runs, noise=0.01)
    more = [
        replace(made[0], id="derived", kind="derived", step_s=99.0),
        replace(made[1], id="whole", step_basis="whole run", step_s=99.0),
    ]
    again = fit([*made, *more])
    assert again.to_json() == fitted.to_json()
    assert set(fitted.row_ids) == {r.id for r in runs}
    assert fitted.rows == {f"{chip}|PyTorch-FSDP|bf16": len(runs) // 2 for chip in CHIPS}


def test_one_wild_run_moves_little(runs, fitted):
    made = timed(runs, noise=0.01)
    made[7] = replace(made[7], step_s=made[7].step_s * 5)
    wild = fit(made)
    for chip in CHIPS:
        case = case_of(next(r for r in runs if r.machine.accelerator.name == chip))
        assert wild.log_efficiency(case)[0] == pytest.approx(fitted.log_efficiency(case)[0], abs=0.03)


# ---- leaving out -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def few(runs):
    """Every fourth run, from two sources."""
    made = timed(runs, noise=0.02)[::4]
    return [replace(r, source="one" if i % 2 else "two") for i, r in enumerate(made)]


@pytest.mark.parametrize("by", ["row", "source", "chip"])
def test_what_is_left_out_is_not_seen(few, by):
    """Another answer to the left-out question does not change what is predicted for it."""
    key = {"row": lambda r: r.id, "source": lambda r: r.source, "chip": lambda r: r.machine.accelerator.name}[by]
    left = key(few[3])
    changed = [replace(r, step_s=r.step_s * 1.5) if key(r) == left else r for r in few]
    before, after = predict_left_out(few, by), predict_left_out(changed, by)
    for r, one, other in zip(few, before, after, strict=True):
        if key(r) == left:
            assert other.step_s.p50 == pytest.approx(one.step_s.p50, rel=2e-3)
    assert [p.id for p in before] == [r.id for r in few]


def test_a_row_left_out_is_predicted_as_by_a_fit_without_it(few):
    predicted = predict_left_out(few, "row")
    for i in (0, 11):
        (apart,) = predict_runs([few[i]], fit([*few[:i], *few[i + 1 :]]))
        assert predicted[i].step_s.p50 == pytest.approx(apart.step_s.p50, rel=3e-3)


def test_a_source_left_out_is_predicted_as_by_a_fit_to_the_others(few):
    predicted = predict_left_out(few, "source")
    others = fit([r for r in few if r.source == "two"])
    apart = predict_runs([r for r in few if r.source == "one"], others)
    mine = [p for p, r in zip(predicted, few, strict=True) if r.source == "one"]
    for one, other in zip(mine, apart, strict=True):
        assert one.step_s.p50 == pytest.approx(other.step_s.p50, rel=3e-3)


def test_runs_that_are_not_fitted_are_predicted_too(few):
    told = replace(few[0], id="told", kind="derived")
    predictions = predict_left_out([told, *few], "row")
    assert predictions[0].id == "told"
    (plain,) = predict_runs([told], fit(few))
    assert predictions[0].step_s == plain.step_s


# ---- how sure --------------------------------------------------------------------------------------------------------


SLOPES = np.array([-0.6, -0.2, -0.2])  # of the logarithm of a usual step, to each efficiency


def spread(calibration, chip, family="PyTorch-FSDP"):
    return calibration.variance(Case(machine(chip).accelerator, family, "bf16", "pretrain", "pytorch fsdp"), SLOPES)


def test_the_less_was_measured_the_wider(fitted):
    """The chip itself, another of its family, another family; then no run at all."""
    assert spread(fitted, "H100 SXM") < spread(fitted, "H200 SXM") < spread(fitted, "MI300X")
    assert spread(fitted, "MI300X") < spread(uncalibrated(), "MI300X")


def test_an_estimate_says_whether_its_chip_was_ever_measured(fitted):
    names = ("H100 SXM", "H200 SXM", "MI300X")
    answers = plan(job("mpt-7b", batch=64), [machine(name, 8) for name in names], fitted)
    for name, answer in zip(names, answers, strict=True):
        assert isinstance(answer, Estimate)
        assert answer.calibrated is (name in CHIPS)
        assert ("never calibrated" in answer.calibration) is (name not in CHIPS)
        assert name in answer.calibration
        case = Case(answer.machine.accelerator, "PyTorch-FSDP", "bf16", "pretrain")
        assert log(answer.step_s.p90 / answer.step_s.p50) / Z90 > fitted.residual_sd(case.group)


def test_a_chip_that_differs_by_its_links_alone_has_the_efficiencies_of_its_sibling(fitted):
    h800, h100 = (
        Case(machine(name).accelerator, "PyTorch-FSDP", "bf16", "pretrain") for name in ("H800 SXM", "H100 SXM")
    )
    np.testing.assert_array_equal(fitted.efficiency(h800), fitted.efficiency(h100))
    assert fitted.variance(h800, SLOPES) == fitted.variance(h100, SLOPES)
    assert fitted.support(h800) == fitted.support(h100) > 0
    assert "H800 SXM" in fitted.describe(h800)
    assert "H100 SXM" in fitted.describe(h800)
    chips = accelerators()
    for variant, original in shipped_priors().same_silicon.items():
        one, other = chips[variant], chips[original]
        assert one.peak_flops["bf16"] == pytest.approx(other.peak_flops["bf16"], rel=0.01)
        assert one.memory_bytes_per_s
        assert one.scale_up_bytes_per_s
        assert other.scale_up_bytes_per_s
        assert one.memory_bytes_per_s == pytest.approx(other.memory_bytes_per_s, rel=0.01)
        assert (one.family, one.memory_bytes) == (other.family, other.memory_bytes)
        assert one.scale_up_bytes_per_s < other.scale_up_bytes_per_s


def test_software_never_measured_on_a_chip_is_less_certain_and_says_so(fitted):
    assert spread(fitted, "H100 SXM", "JAX") > spread(fitted, "H100 SXM")
    case = Case(machine("H100 SXM").accelerator, "JAX", "bf16", "pretrain")
    assert fitted.support(case) == 0
    assert fitted.chip_support(case) == 24
    assert "other software" in fitted.describe(case)


def test_more_runs_make_it_surer(runs):
    made = timed(runs, noise=0.02)
    few, many = fit(made[::6]), fit(made)
    assert spread(many, "H100 SXM") < spread(few, "H100 SXM") < spread(uncalibrated(), "H100 SXM")


def test_the_interval_holds_four_of_five_steps(runs):
    """Noise of 6 %: between P10 and P90 lie about four fifths of the runs, none of which the fit has seen alone."""
    made = timed(runs, noise=0.06, seed=4)
    predictions = predict_left_out(made, "row")
    inside = [p.step_s.p10 <= r.step_s <= p.step_s.p90 for p, r in zip(predictions, made, strict=True)]
    assert 0.65 <= np.mean(inside) <= 0.97


def test_without_any_run_the_published_rates_speak():
    priors = shipped_priors()
    case = Case(machine("H100 SXM").accelerator, "PyTorch-FSDP", "bf16", "pretrain")
    assert uncalibrated().log_efficiency(case)[0] == pytest.approx(priors.mean("gemm", case))
    assert log(priors.matmul["H100 SXM"]) + priors.base["gemm"] == pytest.approx(
        priors.mean("gemm", case) - priors.software.get("PyTorch", {}).get("gemm", 0.0)
    )
    unheard = replace(case, accelerator=replace(case.accelerator, name="X1", family="Unheard"))
    assert priors.mean("gemm", unheard) < 0
    names = effect_names(unheard)
    known_only_by_prior = sum(
        (slope * priors.sd(effect)) ** 2 for c, slope in zip(COEFFICIENTS, SLOPES, strict=True) for effect in names[c]
    )
    assert uncalibrated().variance(unheard, SLOPES) == pytest.approx(known_only_by_prior + priors.residual**2)


def test_every_effect_of_every_case_has_a_prior_spread():
    for chip in ("H100 SXM", "TPU v5e"):
        for precision in ("bf16", "fp8", "int8"):
            for task in ("pretrain", "lora"):
                case = Case(machine(chip).accelerator, "Megatron", precision, task, "nemo")
                for names in effect_names(case).values():
                    assert all(shipped_priors().sd(name) > 0 for name in names)


# ---- the file --------------------------------------------------------------------------------------------------------


def test_a_calibration_survives_being_written_and_read(runs, fitted):
    again = Calibration.from_json(fitted.to_json())
    assert again.to_json() == fitted.to_json()
    for one, other in zip(predict_runs(runs, fitted), predict_runs(runs, again), strict=True):
        assert other.step_s.p50 == pytest.approx(one.step_s.p50, rel=1e-3)
        assert log(other.step_s.p90 / other.step_s.p50) == pytest.approx(log(one.step_s.p90 / one.step_s.p50), rel=0.02)


def test_the_file_names_its_schema_and_its_rows(runs, fitted):
    document = json.loads(fitted.to_json())
    assert document["schema"] == "sublet.calibration/1"
    assert document["row_ids"] == sorted(r.id for r in runs)
    assert len(document["covariance"]) == len(document["effects"])


@pytest.mark.parametrize(
    "text", ["", "{}", "[1, 2]", '{"schema": "other/1"}', '{"schema": "sublet.calibration/1", "effects": {}}']
)
def test_what_is_no_calibration_is_refused_in_a_sentence(text):
    with pytest.raises(InputError, match="calibration"):
        Calibration.from_json(text)


def test_the_shipped_calibration_names_the_rows_that_it_rests_on():
    assert shipped().row_ids
    assert len(set(shipped().row_ids)) == len(shipped().row_ids) == sum(shipped().rows.values())
    sd = np.sqrt(np.diag(shipped().covariance))
    assert np.all(np.isfinite(sd))
    prior = np.array([shipped_priors().sd(effect) for effect in shipped().effects])
    assert np.all(sd <= prior * 1.01)
    # no efficiency beyond what silicon does: a matrix rate of at most the data sheet's
    for pair in shipped().rows:
        chip, family, precision = pair.split("|")
        case = Case(machine(chip).accelerator, family, precision, "pretrain")
        gemm, attention, memory = shipped().efficiency(case)
        assert 0.2 < gemm < 1.1, pair
        assert 0.05 < attention < 1.5, pair
        assert 0.1 < memory < 2.5, pair
    assert pytest.approx(1.2816, abs=1e-4) == Z90
