"""The example run: its gradients are right, its FLOP are counted right, it learns, and it is the job it says it is."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from sublet.estimate.plan import plan
from sublet.estimate.result import Estimate, Machine
from sublet.qualification import figures
from sublet.workload import parameters
from sublet.workload.spec import load_job

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def train_tiny():
    spec = importlib.util.spec_from_file_location("train_tiny", EXAMPLES / "train_tiny.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_tiny"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["train_tiny"]


@pytest.fixture
def small(train_tiny):
    return train_tiny.Size(layers=2, hidden=16, heads=2, ffn=32, vocab=24, sequence=8, batch=3)


def test_the_backward_pass_is_the_derivative_of_the_forward_pass(train_tiny, small):
    random = np.random.default_rng(1)
    weights = {name: 3 * weight.astype(np.float64) for name, weight in train_tiny.initial(small, random).items()}
    batch = next(train_tiny.batches(small, random))
    _, gradients = train_tiny.step_gradients(weights, *batch, small)
    assert set(gradients) == set(weights)
    for name, weight in weights.items():
        direction = random.standard_normal(weight.shape)
        losses = []
        for side in (1e-6, -1e-6):
            moved = {**weights, name: weight + side * direction}
            losses.append(train_tiny.step_gradients(moved, *batch, small)[0])
        slope = (losses[0] - losses[1]) / 2e-6
        assert slope == pytest.approx(np.sum(gradients[name] * direction), rel=1e-4, abs=1e-6), name


class Counting(np.ndarray):
    """An array that counts the FLOP of the matrix products it takes part in."""

    flop = 0

    def __array_ufunc__(self, ufunc, method, *inputs, **more):
        plain = [np.asarray(value) if isinstance(value, Counting) else value for value in inputs]
        if "out" in more:
            more["out"] = tuple(np.asarray(value) for value in more["out"])
        if ufunc is np.matmul:
            left, right = plain
            rows = math.prod(np.broadcast_shapes(left.shape[:-2], right.shape[:-2])) * left.shape[-2]
            Counting.flop += 2 * rows * left.shape[-1] * right.shape[-1]
        result = getattr(ufunc, method)(*plain, **more)
        return result.view(Counting) if isinstance(result, np.ndarray) else result


def test_the_flop_of_a_step_are_those_that_it_executes(train_tiny, small):
    random = np.random.default_rng(0)
    weights = {name: weight.view(Counting) for name, weight in train_tiny.initial(small, random).items()}
    Counting.flop = 0
    train_tiny.step_gradients(weights, *next(train_tiny.batches(small, random)), small)
    assert small.gemm_flop_per_step == Counting.flop


def test_it_learns_and_reports(train_tiny, tmp_path, capsys):
    arguments = ["--steps", "60", "--layers", "1", "--hidden", "32", "--heads", "2", "--ffn", "64", "--vocab", "16"]
    assert train_tiny.main([*arguments, "--sequence", "16", "--summary", str(tmp_path / "run.json")]) == 0
    summary = json.loads((tmp_path / "run.json").read_text())
    assert summary["first_loss"] == pytest.approx(math.log(16), rel=0.1)
    assert summary["last_loss"] < 0.7 * summary["first_loss"]
    assert summary["tokens"] == 60 * 8 * 16
    assert summary["seconds"] > 0
    assert "60 steps in" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_losses(train_tiny, small):
    first, second = (train_tiny.train(small, 3, every=0)["last_loss"] for _ in range(2))
    assert first == second


def test_bad_sizes_are_refused(train_tiny):
    with pytest.raises(SystemExit):
        train_tiny.main(["--hidden", "10", "--heads", "3"])
    with pytest.raises(SystemExit):
        train_tiny.main(["--steps", "0"])


def test_the_job_beside_it_is_the_same_run(train_tiny):
    job, size = load_job(EXAMPLES / "train-tiny.yaml"), train_tiny.Size()
    assert (job.model.layers, job.model.hidden, job.model.heads) == (size.layers, size.hidden, size.heads)
    assert (job.model.ffn_hidden, job.model.vocab) == (size.ffn, size.vocab)
    assert (job.sequence, job.global_batch, job.tokens) == (size.sequence, size.batch, 100 * size.tokens_per_step)
    weights = train_tiny.initial(size, np.random.default_rng(0))
    assert parameters.count(job.model).total == sum(weight.size for weight in weights.values())


def test_the_estimator_predicts_it_from_measured_figures(train_tiny):
    """On a machine of 100 GFLOP/s the run's products alone take so long, and the prediction is near above that."""
    measured = {"gemm_fp32_flops": 1e11, "memory_bytes_per_s": 1.5e10, "memory_bytes": 2e10, "cpus": 1.0}
    measured |= {"loopback_bytes_per_s": 4e9, "loopback_round_trip_s": 1e-5}
    machine = Machine(figures.accelerator_of(measured), figures.fabric_of(measured), 1)
    estimate = plan(load_job(EXAMPLES / "train-tiny.yaml"), [machine])[0]
    assert isinstance(estimate, Estimate)
    products = train_tiny.Size().gemm_flop_per_step / 1e11
    assert products < estimate.step_s.p50 < 2.5 * products
    assert estimate.memory.verdict == "fits"
    assert not estimate.calibrated
