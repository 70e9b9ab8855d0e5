"""The search counts what it looks at, and its Pareto set and best are those of looking at everything."""

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from estimate_cases import job, machine  # type: ignore[import-not-found]
from hypothesis import given
from hypothesis import strategies as st

from sublet.estimate.calibration import uncalibrated
from sublet.estimate.evaluate import evaluate
from sublet.estimate.inputs import reshape, workload_arrays
from sublet.estimate.layouts import enumerate_layouts, option_axes
from sublet.estimate.machines import machine_arrays
from sublet.estimate.physics import physics
from sublet.estimate.plan import EDGE_PENALTY, framework_of, plan
from sublet.estimate.result import Estimate, Rejection
from sublet.estimate.search import pareto_front, search

coordinates = st.integers(0, 6).map(float)


def undominated(points):
    """By looking at every pair; of equal points, one."""
    found = set()
    for point in set(points):
        if not any(other != point and other[0] <= point[0] and other[1] <= point[1] for other in points):
            found.add(point)
    return found


@given(st.lists(st.tuples(coordinates, coordinates), max_size=40))
def test_the_pareto_front_is_that_of_comparing_every_pair(points):
    step, size = (np.array([point[i] for point in points]) for i in (0, 1))
    front = [(step[i], size[i]) for i in pareto_front(step, size)]
    assert len(front) == len(set(front))
    assert set(front) == undominated(points)
    assert front == sorted(front)


ASKED = (
    (job("llama-3-8b", batch=32, sequence=4096, framework="Megatron", cp=1, sharding="zero1"), machine("H100 SXM", 8)),
    (job("mpt-7b", batch=16, tp=1, pp=1, recompute="none"), machine("A100 SXM 40GB", 16)),
    (job("mixtral-8x7b", batch=32, framework="Megatron", cp=1, pp=1, offload=False), machine("H200 SXM", 16)),
)
ids = [f"{asked.model.name}" for asked, _ in ASKED]


def everything(asked, host, exhaustive=True):
    """Seconds and bytes of every layout (rows) under every option (columns), in double precision."""
    family = framework_of(asked)
    axes = option_axes(asked.layout, fused_attention=family.fused_attention, exhaustive=exhaustive)
    lay = enumerate_layouts(asked, host.count, host.fabric.domain, exhaustive=exhaustive)
    work = workload_arrays(asked, fused_attention=family.fused_attention)
    numbers = machine_arrays(host, asked, family, uncalibrated(), physics())
    found = evaluate(work, numbers, reshape(lay, (-1, *(1,) * 6)), axes.arrays(), physics())
    shape = (len(lay.tp), *axes.shape)
    flat = (len(lay.tp), prod(axes.shape))
    return tuple(np.broadcast_to(v, shape).reshape(flat) for v in (found.step_s, found.memory.total))


@pytest.mark.parametrize(("asked", "host"), ASKED, ids=ids)
def test_the_pareto_set_is_that_of_every_combination(asked, host):
    result = search(asked, host, uncalibrated())
    step, size = everything(asked, host)
    assert result.evaluations == step.size
    inside = size <= host.accelerator.memory_bytes
    points = list(zip(step[inside].tolist(), size[inside].tolist(), strict=True))
    front = sorted(undominated_quickly(points))
    # single precision merges points that differ in the seventh digit; what it finds lies on the front and spans it
    assert result.pareto
    for point in result.pareto:
        assert min(beats(other, (point.step_s, point.memory_bytes)) for other in front) > 1 - 1e-4
    for corner, found in ((front[0], result.pareto[0]), (front[-1], result.pareto[-1])):
        assert (found.step_s, found.memory_bytes) == pytest.approx(corner, rel=1e-4)
    for wanted in front:
        assert any(beats((point.step_s, point.memory_bytes), wanted) < 1 + 1e-4 for point in result.pareto)
    steps = [point.step_s for point in result.pareto]
    bytes_ = [point.memory_bytes for point in result.pareto]
    assert steps == sorted(set(steps))
    assert bytes_ == sorted(set(bytes_), reverse=True)


def undominated_quickly(points):
    """The front by sorting and scanning, without the code under test."""
    found, least = [], float("inf")
    for step, size in sorted(points):
        if size < least:
            found.append((step, size))
            least = size
    return found


def beats(one, other):
    """How far `one` has to shrink to be no worse than `other` in both: below 1 where it is worse in neither."""
    return max(one[0] / other[0], one[1] / other[1])


@pytest.mark.parametrize(("asked", "host"), ASKED, ids=ids)
def test_a_point_of_the_front_is_what_evaluating_its_layout_gives(asked, host):
    result = search(asked, host, uncalibrated())
    for point in (result.pareto[0], result.pareto[len(result.pareto) // 2], result.pareto[-1]):
        lay = point.layout
        assert lay.tp * lay.cp * lay.pp * lay.dp == host.count
        stated = {
            name: getattr(lay, name)
            for name in ("tp", "cp", "pp", "vp", "ep", "dp", "micro_batch", "sharding", "offload", "sequence_parallel")
        }
        if lay.recompute in ("none", "selective", "full"):
            stated["recompute"] = lay.recompute
        again = replace(asked, layout=replace(asked.layout, **stated))
        step, size = everything(again, host)
        # the overlaps and a partial recomputation are the only things left open
        near = (np.abs(step / point.step_s - 1) < 1e-4) & (np.abs(size / point.memory_bytes - 1) < 1e-4)
        assert near.any()


@pytest.mark.parametrize(("asked", "host"), ASKED, ids=ids)
def test_the_best_is_the_fastest_that_fits_and_no_slower_than_a_quick_look(asked, host):
    whole = search(asked, host, uncalibrated()).best
    quick = search(asked, host, uncalibrated(), exhaustive=False).best
    planned = plan(asked, [host], uncalibrated())[0]
    assert isinstance(whole, Estimate)
    assert isinstance(quick, Estimate)
    assert quick == planned
    assert whole.step_s.p50 <= quick.step_s.p50 * (EDGE_PENALTY if quick.memory.verdict == "edge" else 1.0) * (1 + 1e-5)
    step, size = everything(asked, host)
    capacity = host.accelerator.memory_bytes
    dear = np.where(size > physics().edge_share * capacity, EDGE_PENALTY, 1.0) * step
    least = float(dear[size <= capacity].min())
    cost = whole.step_s.p50 * (EDGE_PENALTY if whole.memory.verdict == "edge" else 1.0)
    assert cost == pytest.approx(least, rel=1e-4)


def test_a_quick_look_looks_at_less():
    asked, host = ASKED[0]
    assert search(asked, host, exhaustive=False).evaluations < search(asked, host).evaluations


def test_what_does_not_fit_is_counted_and_left_out():
    asked, host = job("llama-3-70b", batch=8, offload=False, cp=1), machine("A100 SXM 40GB", 8)
    result = search(asked, host)
    assert result.evaluations > 0
    assert result.pareto == ()
    assert isinstance(result.best, Rejection)
    assert "does not fit" in result.best.reason


def test_a_chip_that_lacks_the_format_is_not_searched():
    result = search(job("mpt-7b", precision="fp8"), machine("A100 SXM 80GB", 8))
    assert result.evaluations == 0
    assert isinstance(result.best, Rejection)
    assert "fp8" in result.best.reason


def test_no_layout_at_all_is_a_rejection():
    result = search(job("mpt-7b", tp=3), machine("A100 SXM 80GB", 8))
    assert (result.evaluations, result.pareto) == (0, ())
    assert isinstance(result.best, Rejection)
    assert "no layout" in result.best.reason
