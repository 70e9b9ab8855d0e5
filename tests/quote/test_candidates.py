import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quote_fakes import CHIPS, FACTS, chip, fabric, job, offer, patient, priced, replace  # type: ignore[import-not-found]

from sublet.catalog.shape import Shape
from sublet.quote.candidates import LADDER_STEPS, counts_for


def ladder(asked, node=8, largest=None, tflops=1000.0, slices=False, flop=4e23):
    return counts_for(asked, flop, chip("Chip", tflops), node, largest, slices=slices)


def test_the_jobs_own_counts_are_asked_for_where_whole_units_make_them():
    assert ladder(job(counts=(12, 512, 64))) == (64, 512)
    assert ladder(job(counts=(12,)), node=1) == (12,)
    assert ladder(job(counts=(12,))) == ()


def test_a_shape_is_not_asked_for_more_than_one_fabric_holds():
    assert ladder(job(counts=(64, 512)), largest=128) == (64,)


def test_the_ladder_spans_from_120_days_to_2_days_at_40_percent_of_peak():
    # 4e23 / 4e14 = 1e9 chip-seconds = 11,574 chip-days: 97 chips for 120 days
    assert ladder(job()) == (128, 256, 512, 1024)


def test_a_deadline_starts_the_ladder_where_it_can_be_met():
    # 30 days, with half as much again to spare: 257 chips
    assert ladder(job(deadline_s=30 * 86400.0))[0] == 512


@patient
@given(
    st.integers(1, 16),
    st.floats(1e18, 1e27),
    st.floats(1.0, 5000.0),
    st.one_of(st.none(), st.integers(1, 4096)),
    st.one_of(st.none(), st.integers(1, 4096)),
    st.one_of(st.none(), st.integers(1, 10000)),
)
def test_a_ladder_holds_whole_units_within_the_limits(node, flop, tflops, low, high, largest):
    asked = job(min_count=low, max_count=high)
    found = ladder(asked, node, largest, tflops, flop=flop)
    assert len(found) <= LADDER_STEPS
    assert list(found) == sorted(set(found))
    for count in found:
        units = count // node
        assert count % node == 0
        assert units & (units - 1) == 0
        assert (low or 1) <= count <= min(high or 10**9, largest or 10**9, 16384)


def test_a_slice_is_sold_whole_and_the_fewest_slices_are_asked_for():
    assert ladder(job(), node=256, slices=True) == (256,)
    assert ladder(job(), node=16, slices=True) == (128,)


def test_a_small_job_asks_for_one_unit():
    assert ladder(job(), flop=1e18)[0] == 8


def test_offers_below_the_minimum_are_asked_only_from_it_on():
    found = priced([offer(minimum_accelerators=512)], job(counts=(256, 512)))
    assert found.count.tolist() == [512]


def test_shape_and_fabric_come_from_the_provider():
    shape = Shape("alpha", "box8", "Fast", 8, None, None, fabric(), max_nodes=16)
    seen = []

    def asked(accelerator, found, per_node, provider):
        seen.append((accelerator.name, found, per_node, provider))
        return fabric()

    facts = replace(FACTS, shape=lambda provider, name: shape if provider == "alpha" else None, fabric=asked)
    found = priced([offer(), offer("beta", shape=None)], job(counts=(64, 512)), facts=facts)
    assert sorted(found.count.tolist()) == [64, 64, 512]  # 16 nodes of 8 are the most that alpha has on one fabric
    assert ("Fast", shape, 8, "alpha") in seen
    assert ("Fast", None, 8, "beta") in seen


def test_a_price_by_the_accelerator_can_be_ordered_in_any_number_from_its_minimum_on():
    by_one = replace(offer(count=8, minimum_accelerators=2), per_accelerator=True)
    assert priced([by_one], job(counts=(13,))).count.tolist() == [13]


@patient
@given(st.lists(st.sampled_from(["alpha", "beta", "murky"]), max_size=8), st.sets(st.sampled_from([8, 64, 512])))
def test_every_living_offer_meets_every_allowed_count(providers, counts):
    offers = [offer(provider, region=f"r{i}") for i, provider in enumerate(providers)]
    found = priced(offers, job(counts=tuple(counts) or (8,)))
    assert len(found) == len(offers) * max(len(counts), 1)
    pairs = set(zip(found.row.tolist(), found.count.tolist(), strict=True))
    assert len(pairs) == len(found)
    assert np.all(found.time > 0)


@pytest.mark.parametrize("name", ["Fast", "Slow"])
def test_a_candidate_knows_the_estimate_of_its_own_machine(name):
    found = priced([offer(accelerator="Fast"), offer("b", "Slow")], job(counts=(256, 512)))
    for row, count, index in zip(found.row, found.count, found.result, strict=True):
        machine = found.results[int(index)].machine
        assert machine.count == count
        assert machine.accelerator == CHIPS[found.columns.identity[int(row)][0]]
    assert name in {found.columns.identity[int(row)][0] for row in found.row}
