import random
from dataclasses import replace

import numpy as np
import pytest
import scalar  # type: ignore[import-not-found]
from estimate_cases import CHIPS, MODELS, corpus, job, machine  # type: ignore[import-not-found]

from sublet.estimate.calibration import uncalibrated
from sublet.estimate.evaluate import evaluate
from sublet.estimate.frameworks import frameworks
from sublet.estimate.grid import blocks
from sublet.estimate.inputs import Layouts, reshape, workload_arrays
from sublet.estimate.layouts import enumerate_layouts, option_axes
from sublet.estimate.machines import machine_arrays
from sublet.estimate.physics import physics
from sublet.workload import builtin
from sublet.workload.job import Layout

CASES = 400
COMPONENTS = ("weights", "gradients", "optimizer", "activations", "logits", "buffers", "overhead")


@pytest.fixture(scope="module")
def asked():
    return corpus(7, CASES)


@pytest.fixture(scope="module")
def questions(asked):
    return asked[0]


@pytest.fixture(scope="module")
def answers(questions):
    return [scalar.answer(question) for question in questions]


@pytest.fixture(scope="module")
def evaluation(asked):
    """All questions in one vectorised call, each with its own model, machine, layout and options."""
    return asked[1].evaluate()


def test_the_questions_are_as_varied_as_they_should_be(questions):
    spreads = [question.spread for question in questions]
    for name in ("tp", "cp", "pp", "vp", "ep", "dp", "micro", "sharding", "group", "full", "selective", "offload"):
        assert len({getattr(spread, name) for spread in spreads}) > 1, name
    assert {question.job.model.name for question in questions} == {builtin.model(name).name for name in MODELS}
    assert {question.framework.name for question in questions} == set(frameworks())
    assert any(question.job.lora for question in questions)
    assert {question.job.precision for question in questions} >= {"bf16", "fp16", "fp8", "int8", "fp4"}


def test_a_step_is_that_of_the_scalar_loop(answers, evaluation):
    assert evaluation.step_s.shape == (CASES,)
    np.testing.assert_allclose(evaluation.step_s, [a.step_s for a in answers], rtol=1e-6)
    np.testing.assert_array_equal(evaluation.microbatches, [a.microbatches for a in answers])


def test_every_part_of_a_step_is_that_of_the_scalar_loop(answers, evaluation):
    step = np.array([a.step_s for a in answers])
    assert evaluation.parts.keys() == answers[0].parts.keys()
    for name, seconds in evaluation.parts.items():
        off = np.abs(seconds - [a.parts[name] for a in answers]) / step
        assert off.max() < 1e-6, (name, int(off.argmax()))


def test_every_byte_of_memory_is_that_of_the_scalar_loop(answers, evaluation):
    for name in COMPONENTS:
        want = [a.memory[name] for a in answers]
        got = np.broadcast_to(getattr(evaluation.memory, name), (CASES,))
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1.0, err_msg=name)
    np.testing.assert_allclose(evaluation.memory.total, [sum(a.memory.values()) for a in answers], rtol=1e-6)


def grid(name, chip, count, framework, **stated):
    """A job's whole grid on a machine: numbers, layouts of shape (n,) and the option axes."""
    asked = replace(job(name, batch=64, precision=CHIPS[chip][-1]), layout=Layout(**stated))
    family = frameworks()[framework]
    host = machine(chip, count)
    work = workload_arrays(asked, fused_attention=family.fused_attention)
    numbers = machine_arrays(host, asked, family, uncalibrated(), physics())
    lay = enumerate_layouts(asked, count, host.fabric.domain, exhaustive=True)
    axes = option_axes(asked.layout, fused_attention=family.fused_attention, exhaustive=True)
    return work, numbers, lay, axes


GRIDS = (
    ("llama-3-70b", "H100 SXM", 32, "Megatron", {"cp": 1}),
    ("mixtral-8x7b", "A100 SXM 40GB", 16, "PyTorch-FSDP", {"pp": 2}),
    ("deepseek-v2", "TPU v5e", 16, "JAX", {"cp": 1, "pp": 1}),
    ("gpt-3-175b", "V100 SXM 32GB", 32, "Megatron-unfused", {"pp": 4}),
)


@pytest.mark.parametrize("asked", GRIDS, ids=lambda asked: asked[0])
def test_the_whole_grid_is_the_points_it_is_made_of(asked):
    work, numbers, lay, axes = grid(*asked[:4], **asked[4])
    whole = evaluate(work, numbers, reshape(lay, (-1, *(1,) * 6)), axes.arrays(), physics())
    width = int(np.prod(axes.shape))
    step = np.broadcast_to(whole.step_s, (len(lay.tp), *axes.shape)).reshape(-1, width)
    total = np.broadcast_to(whole.memory.total, (len(lay.tp), *axes.shape)).reshape(-1, width)
    r = random.Random(3)
    for _ in range(25):
        row, option = r.randrange(len(lay.tp)), r.randrange(width)
        one = Layouts(*(np.asarray(values[row]) for values in vars(lay).values()))
        point = evaluate(work, numbers, one, axes.point(option), physics())
        assert step[row, option] == pytest.approx(float(point.step_s), rel=1e-12)
        assert total[row, option] == pytest.approx(float(point.memory.total), rel=1e-12)


@pytest.mark.parametrize("asked", GRIDS, ids=lambda asked: asked[0])
def test_the_search_in_single_precision_agrees_to_a_thousandth(asked):
    work, numbers, lay, axes = grid(*asked[:4], **asked[4])
    whole = evaluate(work, numbers, reshape(lay, (-1, *(1,) * 6)), axes.arrays(), physics())
    shape = (len(lay.tp), *axes.shape)
    step = np.broadcast_to(whole.step_s, shape).reshape(len(lay.tp), -1)
    total = np.broadcast_to(whole.memory.total, shape).reshape(len(lay.tp), -1)
    seen = 0
    for block in blocks(work, numbers, lay, axes, physics(), limit=1e6):
        assert block.step_s.dtype == block.bytes.dtype == np.float32
        np.testing.assert_allclose(block.step_s, step[block.rows], rtol=1e-3)
        np.testing.assert_allclose(block.bytes, total[block.rows], rtol=1e-3)
        seen += len(block.rows)
    assert seen == len(lay.tp)


def test_the_size_of_a_chunk_changes_nothing_and_only_what_cannot_fit_is_dropped():
    work, numbers, lay, axes = grid(*GRIDS[1][:4])
    whole = evaluate(work, numbers, reshape(lay, (-1, *(1,) * 6)), axes.arrays(), physics())
    total = np.broadcast_to(whole.memory.total, (len(lay.tp), *axes.shape)).reshape(len(lay.tp), -1)
    small = list(blocks(work, numbers, lay, axes, physics(), cells=1))
    large = list(blocks(work, numbers, lay, axes, physics(), cells=10**9))
    assert len(small) > len(large) == 1
    np.testing.assert_array_equal(np.concatenate([b.step_s for b in small]), large[0].step_s)
    np.testing.assert_array_equal(np.concatenate([b.bytes for b in small]), large[0].bytes)
    rows = np.concatenate([b.rows for b in small])
    np.testing.assert_array_equal(rows, large[0].rows)
    np.testing.assert_allclose(large[0].smallest, total.min(axis=1), rtol=1e-5)
    fitting = np.flatnonzero(total.min(axis=1) <= float(numbers.memory_bytes))
    assert 0 < len(fitting) < len(lay.tp)
    np.testing.assert_array_equal(rows, fitting)
