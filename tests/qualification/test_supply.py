"""What measured nodes say of a supply: laws of the shrinking, and offers that swap places."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sublet.qualification.judging.catalogue import finding
from sublet.qualification.judging.values import Judgement
from sublet.qualification.supply import (
    Component,
    Evidence,
    Prior,
    Supply,
    bandwidth_at,
    curve_of,
    evidence_of,
    factors,
    interval,
    multiplier,
    shrunk,
    slowdown,
    software_factor,
)

PRIOR = Prior()
EAST = Supply("acme", "us-east", "H100 SXM x8", "8x400G")
WEST = Supply("acme", "us-west", "H100 SXM x8", "8x400G")
OTHER = Supply("other", "us-east", "H100 SXM x8", "8x400G")
SHARES: dict[Component, float] = {"gemm": 0.6, "inter": 0.3}
EFFICIENCIES = st.lists(st.floats(0.3, 1.05), min_size=1, max_size=20)
MIB = 1 << 20


def rows(efficiencies, supply=EAST, component="inter", age=0.0, coverage=1.0):
    return [Evidence(supply, component, each, age, coverage) for each in efficiencies]


def test_without_evidence_the_prior_is_all_there_is():
    found = shrunk([], PRIOR)
    assert (found.mean, found.nodes) == (1.0, 0.0)
    assert not factors([], EAST, PRIOR).qualified


def test_eight_nodes_weigh_as_much_as_the_prior():
    assert shrunk(rows([0.81] * 8), PRIOR).mean == pytest.approx(0.9)


def test_evidence_of_a_half_life_weighs_half_and_half_coverage_too():
    old, half = shrunk(rows([0.8] * 8, age=30.0), PRIOR), shrunk(rows([0.8] * 8, coverage=0.5), PRIOR)
    whole = shrunk(rows([0.8] * 4), PRIOR)
    for found in (old, half):
        assert (found.mean, found.log_spread, found.nodes) == pytest.approx((whole.mean, whole.log_spread, 4.0))


@given(EFFICIENCIES)
def test_the_mean_lies_between_the_prior_and_the_evidence(values):
    assert min(1.0, *values) - 1e-9 <= shrunk(rows(values), PRIOR).mean <= max(1.0, *values) + 1e-9


@given(st.floats(0.5, 1.0), st.integers(1, 50))
def test_more_evidence_of_one_value_comes_nearer_to_it(value, count):
    few, many = shrunk(rows([value] * count), PRIOR), shrunk(rows([value] * (count + 5)), PRIOR)
    assert abs(math.log(value) - many.log_mean) <= abs(math.log(value) - few.log_mean) + 1e-12


@given(EFFICIENCIES, st.integers(1, 500))
def test_more_nodes_are_never_faster_and_one_is_the_mean(values, count):
    found = shrunk(rows(values), PRIOR)
    assert found.of_slowest(1) == pytest.approx(found.mean)
    assert found.of_slowest(count + 1) <= found.of_slowest(count) + 1e-12


@given(st.permutations([0.7, 0.8, 0.9, 1.0]))
def test_the_order_of_the_evidence_does_not_matter(values):
    found, other = shrunk(rows(values), PRIOR), shrunk(rows([0.7, 0.8, 0.9, 1.0]), PRIOR)
    assert (found.mean, found.log_spread) == pytest.approx((other.mean, other.log_spread))


def test_a_ragged_fleet_is_quoted_slower_to_a_big_job_than_an_even_one():
    even, ragged = shrunk(rows([0.9] * 40), PRIOR), shrunk(rows([0.8, 1.0125] * 20), PRIOR)
    assert even.mean == pytest.approx(ragged.mean, rel=1e-3)
    assert ragged.of_slowest(64) < even.of_slowest(64)


def test_a_region_inherits_what_its_provider_shows_elsewhere_and_no_other_provider_does():
    evidence = rows([0.7] * 30, WEST)
    assert multiplier(evidence, EAST, "inter", PRIOR).mean < 0.8
    assert multiplier(evidence, OTHER, "inter", PRIOR).mean == 1.0
    assert multiplier(evidence, EAST, "gemm", PRIOR).mean == 1.0
    own = multiplier(evidence + rows([0.98] * 60), EAST, "inter", PRIOR)
    assert own.mean > multiplier(evidence, EAST, "inter", PRIOR).mean


def test_what_is_measured_is_quoted_with_a_narrower_interval():
    measured = factors(rows([0.97] * 30) + rows([0.97] * 30, component="gemm"), EAST, PRIOR)
    best, worst = interval(SHARES, measured)
    prior_best, prior_worst = interval(SHARES, factors([], EAST, PRIOR))
    assert measured.qualified
    assert worst - best < 0.8 * (prior_worst - prior_best)


def test_two_offers_of_one_price_swap_places_by_what_was_measured():
    evidence = rows([0.55] * 12) + rows([1.0] * 12, OTHER)

    def cost(supply, nodes=8):
        return 2.50 * slowdown(SHARES, factors(evidence, supply, PRIOR), nodes)

    assert cost(OTHER) < cost(EAST)
    evidence = rows([1.0] * 12) + rows([0.55] * 12, OTHER)
    assert cost(EAST) < cost(OTHER)


def test_hardware_and_software_stay_apart():
    found = factors(rows([0.8] * 1000), EAST, PRIOR)
    by_hardware = slowdown({"inter": 1.0}, found)
    assert by_hardware == pytest.approx(1.25, rel=0.01)
    assert software_factor(0.4 / by_hardware, 0.4, by_hardware) == pytest.approx(1.0)
    assert software_factor(0.4, 0.5, 1.0) == pytest.approx(0.8)


def test_the_measured_curve_replaces_the_assumed_bandwidth():
    reference = {128 * MIB: 315.0, 512 * MIB: 411.0, 2048 * MIB: 458.0}
    slow = {128 * MIB: 129.0, 512 * MIB: 279.0, 2048 * MIB: 438.0}
    curve = curve_of(reference, [(slow, 0.0)] * 200, PRIOR)
    assert bandwidth_at(curve, 128 * MIB) == pytest.approx(129.0, rel=0.05)
    assert bandwidth_at(curve, 2048 * MIB) == pytest.approx(438.0, rel=0.05)
    assert curve_of(reference, [], PRIOR) == reference
    assert 129.0 < bandwidth_at(curve, 256 * MIB) < 279.0
    assert bandwidth_at(reference, 1) == 315.0


def test_the_worst_of_a_node_is_its_evidence():
    found = (
        finding("perf.gemm", "pass", "", efficiency=0.95),
        finding("perf.gemm", "pass", "", efficiency=0.90),
        finding("gpu.count", "pass", ""),
    )
    (told,) = evidence_of(Judgement("x", "H100 SXM", 8, "pass", found, "B", 0.9), EAST, 3.0)
    assert (told.component, told.efficiency, told.coverage, told.age_days) == ("gemm", 0.90, 0.9, 3.0)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="no efficiency"):
        shrunk(rows([0.0]), PRIOR)
    with pytest.raises(ValueError, match="add up"):
        slowdown({"gemm": 0.8, "inter": 0.4}, factors([], EAST, PRIOR))
    with pytest.raises(ValueError, match="slowest"):
        shrunk([], PRIOR).of_slowest(0)
