"""Enumeration: every layout uses exactly the machine and obeys the job; the options are the grid they say they are."""

from collections import Counter
from dataclasses import replace
from math import prod

import numpy as np
import pytest
from estimate_cases import DEGREES, job  # type: ignore[import-not-found]
from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.estimate.layouts import (
    ALL_SHARES,
    QUICK_SHARES,
    SHARDINGS,
    concatenate,
    divisors,
    enumerate_layouts,
    option_axes,
)
from sublet.workload.job import Layout

MODELS = ("mpt-7b", "llama-3-70b", "llama-3.1-405b", "mixtral-8x7b", "deepseek-v3", "palm-62b")
unhurried = settings(deadline=None, max_examples=60)
jobs = st.builds(
    job,
    st.sampled_from(MODELS),
    batch=st.sampled_from((1, 8, 60, 96, 512, 1000, 1024)),
    sequence=st.sampled_from((1024, 8192, 131072)),
)
counts = st.sampled_from((1, 2, 6, 8, 12, 64, 96, 512, 2048))
domains = st.sampled_from((1, 4, 8, 72, 256))


def rows(found):
    return [tuple(int(v) for v in row) for row in np.stack([getattr(found, name) for name in DEGREES], axis=1)]


@given(st.integers(1, 10**6))
def test_divisors_are_all_of_them_in_order(number):
    found = divisors(number)
    assert found == sorted(set(found))
    assert found[0] == 1
    assert found[-1] == number
    assert all(number % d == 0 for d in found)
    if number <= 5000:
        assert found == [d for d in range(1, number + 1) if number % d == 0]


@unhurried
@given(asked=jobs, count=counts, domain=domains, exhaustive=st.booleans())
def test_every_layout_uses_exactly_the_machine_and_suits_the_model(asked, count, domain, exhaustive):
    found = rows(enumerate_layouts(asked, count, domain, exhaustive=exhaustive))
    assert len(found) == len(set(found))
    model = asked.model
    experts = model.experts.count if model.experts else 1
    for tp, cp, pp, vp, ep, dp, micro in found:
        assert tp * cp * pp * dp == count
        assert model.heads % tp == 0
        assert model.layers % pp == 0 or (model.layers + 2) % pp == 0
        assert (model.layers if model.layers % pp == 0 else model.layers + 2) % (pp * vp) == 0
        assert experts % ep == 0
        assert (dp * cp) % ep == 0
        assert dp <= asked.global_batch
        assert cp == 1 or asked.sequence / cp >= 256
        assert dp * micro <= asked.global_batch
        if asked.global_batch % dp == 0:
            assert (asked.global_batch // dp) % micro == 0
        assert vp == 1 or pp > 1
        assert vp == 1 or round(asked.global_batch / dp / micro) % pp == 0
        assert tp <= (64 if exhaustive else domain)


@unhurried
@given(asked=jobs, count=counts, domain=st.sampled_from((1, 4, 8, 16)))
def test_an_exhaustive_search_sees_all_that_a_quick_one_does(asked, count, domain):
    quick, whole = (set(rows(enumerate_layouts(asked, count, domain, exhaustive=flag))) for flag in (False, True))
    assert quick <= whole


@unhurried
@given(asked=jobs, count=counts, data=st.data(), exhaustive=st.booleans())
def test_what_is_stated_is_taken_as_stated(asked, count, data, exhaustive):
    """State what one enumerated layout has: exactly the layouts that have it remain, and at least that one."""
    free = rows(enumerate_layouts(asked, count, 8, exhaustive=exhaustive))
    if not free:
        return
    one = dict(zip(DEGREES, data.draw(st.sampled_from(free)), strict=True))
    names = data.draw(st.sets(st.sampled_from(DEGREES), min_size=1))
    stated = {("micro_batch" if name == "micro" else name): one[name] for name in names}
    found = rows(enumerate_layouts(replace(asked, layout=Layout(**stated)), count, 8, exhaustive=exhaustive))
    for row in found:
        assert all(row[DEGREES.index(name)] == one[name] for name in names)
    assert tuple(one.values()) in found


def test_a_stated_degree_is_taken_even_where_the_search_would_not_propose_it():
    found = enumerate_layouts(job("mpt-7b", batch=64, tp=3, pp=5, micro_batch=2), 30, 8)
    assert rows(found) == [(3, 1, 5, 1, 1, 2, 2)]


@pytest.mark.parametrize(
    "impossible",
    [{"tp": 3}, {"tp": 4, "pp": 4}, {"dp": 3}, {"cp": 16}, {"tp": 2, "dp": 8}],
    ids=str,
)
def test_degrees_that_do_not_divide_the_machine_leave_nothing(impossible):
    assert len(enumerate_layouts(job("mpt-7b", batch=64, **impossible), 8, 8).tp) == 0


def test_more_ranks_than_sequences_leave_nothing():
    alone = {"tp": 1, "pp": 1, "cp": 1}
    assert len(enumerate_layouts(job("mpt-7b", batch=64, **alone), 128, 8).tp) == 0
    assert len(enumerate_layouts(job("mpt-7b", batch=128, **alone), 128, 8).tp) == 1


def test_a_machine_without_pipelines_gets_none():
    assert set(enumerate_layouts(job("mpt-7b", batch=64), 64, 8, pipeline=False).pp) == {1.0}


def test_a_batch_that_the_ranks_do_not_divide_runs_one_sequence_at_a_time():
    found = enumerate_layouts(job("mpt-7b", batch=100, tp=1, pp=1, cp=1), 64, 8)
    assert rows(found) == [(1, 1, 1, 1, 1, 64, 1)]


def test_concatenated_layouts_stand_one_after_another():
    parts = [enumerate_layouts(job("mpt-7b", batch=64), count, 8) for count in (8, 16)]
    assert rows(concatenate(parts)) == rows(parts[0]) + rows(parts[1])


# ---- options ---------------------------------------------------------------------------------------------------------

stated_options = st.builds(
    Layout,
    sharding=st.sampled_from((None, *SHARDINGS)),
    recompute=st.sampled_from((None, "none", "selective", "full")),
    sequence_parallel=st.sampled_from((None, True, False)),
    offload=st.sampled_from((None, True, False)),
)


@unhurried
@given(stated=stated_options, fused=st.booleans(), exhaustive=st.booleans(), group=st.sampled_from((0, 4)))
def test_the_option_grid_holds_each_combination_once_and_numbers_them_in_order(stated, fused, exhaustive, group):
    axes = option_axes(stated, fused_attention=fused, exhaustive=exhaustive, group=group)
    grid = axes.arrays()
    whole = {name: np.broadcast_to(values, axes.shape).ravel() for name, values in vars(grid).items()}
    for index in range(0, prod(axes.shape), 7):
        point = vars(axes.point(index))
        assert {name: float(value) for name, value in point.items()} == {
            name: float(values[index]) for name, values in whole.items()
        }
        zero, hsdp = float(point["zero"]), float(point["hsdp"])
        stage = {"ddp": 0, "zero1": 1, "zero2": 2, "zero3": 3, "hsdp": 3}[axes.sharding_at(index)]
        assert (zero, hsdp) == (stage, float(axes.sharding_at(index) == "hsdp"))
    assert max(Counter(zip(*whole.values(), strict=True)).values()) == 1
    for index in (0, prod(axes.shape) - 1):
        if stated.sharding:
            assert axes.sharding_at(index) == stated.sharding
        if stated.offload is not None:
            assert float(axes.point(index).offload) == stated.offload
        if stated.sequence_parallel is not None:
            assert float(axes.point(index).sequence_parallel) == stated.sequence_parallel
    if stated.recompute:
        want = {"none": (0.0, 0.0), "selective": (0.0, 1.0), "full": (1.0, 0.0)}[stated.recompute]
        assert axes.recompute == (want,)


def test_quick_options_are_among_the_exhaustive_ones():
    quick, whole = (option_axes(Layout(), fused_attention=False, exhaustive=flag) for flag in (False, True))
    for field in ("recompute", "sharding", "sequence_parallel", "offload", "overlap_tp", "overlap_dp"):
        assert set(getattr(quick, field)) <= set(getattr(whole, field))
    assert set(QUICK_SHARES) < set(ALL_SHARES)
    assert prod(quick.shape) < prod(whole.shape)
