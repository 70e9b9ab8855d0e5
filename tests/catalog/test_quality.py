"""Prices judged by their neighbours: who stands alone at the bottom, who contradicts whom."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from offers_kit import own_table

from sublet.catalog import quality, rules
from sublet.catalog.asof import standing
from sublet.catalog.flags import FLAGS
from sublet.catalog.table import concat

DAY = date(2025, 1, 20)


def judged(folder, *rows, day=DAY):
    """Flags of each row by provider, on a day."""
    table = standing(own_table(folder, *rows), day)
    return {(o.provider, o.region or ""): set(o.flags) for o in table.offers(range(len(table)))}


def at(provider, per_accelerator, **more):
    return {"provider": provider, "price_per_node_hour": 8 * per_accelerator, **more}


def test_a_price_alone_far_below_all_others_is_a_placeholder(tmp_path):
    found = judged(tmp_path, at("a", 4), at("b", 3.9), at("c", 3.5), at("floor", 1))
    assert found["floor", ""] == {"placeholder"}
    assert not any(flags for (provider, _), flags in found.items() if provider != "floor")


def test_a_low_price_with_cheap_company_is_a_price(tmp_path):
    found = judged(tmp_path, at("a", 12), at("b", 12), at("c", 11), at("cheap", 2.5), at("cheaper", 2.2))
    assert not found["cheap", ""]
    assert not found["cheaper", ""]


def test_unusually_cheap_and_unusually_dear(tmp_path):
    found = judged(tmp_path, at("a", 4), at("b", 4), at("c", 4), at("low", 1.8), at("high", 13))
    assert found["low", ""] == {"outlier-low"}
    assert found["high", ""] == {"outlier-high"}


def test_two_providers_make_no_median(tmp_path):
    assert judged(tmp_path, at("a", 10), at("b", 1)) == {("a", ""): set(), ("b", ""): set()}


def test_a_provider_has_one_vote_however_many_regions_it_lists(tmp_path):
    many = [at("big", 10, region=f"r{i}") for i in range(30)]
    found = judged(tmp_path, *many, at("a", 3), at("b", 3), at("c", 3.1))
    assert all(found["big", f"r{i}"] == {"outlier-high"} for i in range(30))
    assert not found["a", ""]


def test_other_markets_and_chips_are_not_compared(tmp_path):
    found = judged(
        tmp_path, at("a", 4), at("b", 4), at("c", 4), at("s", 1, market="spot"), at("t", 0.3, accelerator="T4")
    )
    assert not found["s", ""]
    assert not found["t", ""]


def test_an_old_price_is_measured_by_its_contemporaries(tmp_path):
    then = [at(name, 4, seen_at="2023-01-05") for name in "abc"] + [at("floor", 0.5, seen_at="2023-01-05")]
    now = [at(name, 0.6) for name in "xyz"]
    found = judged(tmp_path, *then, *now)
    assert found["floor", ""] == {"stale", "placeholder"}
    assert not found["x", ""]


def test_a_region_far_below_its_providers_own_list_lacks_a_part(tmp_path):
    rows = [at("gcp", 3.7, shape="a2-highgpu-8g", region=f"r{i}") for i in range(4)]
    found = judged(tmp_path, *rows, at("gcp", 0.8, shape="a2-highgpu-8g", region="odd"))
    assert found["gcp", "odd"] == {"placeholder"}
    spot = [{**row, "market": "spot"} for row in (*rows, at("gcp", 0.8, shape="a2-highgpu-8g", region="odd"))]
    assert not judged(tmp_path / "spot", *spot)["gcp", "odd"], "spot prices differ by region rightly"


@pytest.mark.parametrize(
    ("one", "two", "disagree"),
    [
        ({"shape": "s", "region": "r"}, {"shape": "s", "region": "r"}, True),
        ({"shape": "s", "region": "r"}, {"shape": "s", "region": "other"}, False),
        ({"shape": "s", "region": "r"}, {"shape": "other", "region": "r"}, False),
        ({"shape": "s", "region": "r"}, {}, True),
        ({}, {}, True),
        ({}, {"market": "spot"}, False),
        ({}, {"provider": "beta"}, False),
        ({}, {"seen_at": "2024-06-01"}, False),
        ({}, {"price_per_node_hour": 26}, False),
    ],
)
def test_sources_disagree_about_the_same_thing_only(tmp_path, one, two, disagree):
    first = own_table(tmp_path / "a", {"price_per_node_hour": 24, **one})
    second = own_table(tmp_path / "b", {"price_per_node_hour": 40, "source": "other", **two})
    named = second.texts["feed"]
    table = concat(
        [first, type(second)({**second.texts, "feed": type(named)(named.codes, ("another",))}, second.numbers)]
    )
    there = quality.judged(table, DAY.toordinal())
    assert there.has("sources-disagree").tolist() == [disagree, disagree]


def test_regions_of_one_source_may_differ_from_a_list_price_of_another(tmp_path):
    rows = [at("aws", price, shape="p5", region=region) for price, region in ((10, "us"), (12, "sa"))]
    first = own_table(tmp_path / "a", *rows)
    second = own_table(tmp_path / "b", at("aws", 10, shape="p5", source="other"))
    named = second.texts["feed"]
    table = concat(
        [first, type(second)({**second.texts, "feed": type(named)(named.codes, ("another",))}, second.numbers)]
    )
    assert not quality.judged(table, DAY.toordinal()).has("sources-disagree").any()


PRICES = st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0.1, 50)), min_size=1, max_size=20)


@given(PRICES, st.sampled_from([0.5, 2, 4, 10]))
@settings(deadline=None, max_examples=40)
def test_judging_depends_on_proportions_alone(tmp_path_factory, rows, factor):
    folder = tmp_path_factory.mktemp("quality")

    def flags(scale):
        priced = [at(name, round(price, 4) * scale, zone=i) for i, (name, price) in enumerate(rows)]
        return quality.judged(own_table(folder, *priced), DAY.toordinal()).ints("flags").tolist()

    assert flags(1) == flags(factor)


@given(PRICES)
@settings(deadline=None, max_examples=40)
def test_elsewhere_is_the_best_of_the_others(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("quality")
    table = own_table(folder, *(at(name, round(price, 4), zone=i) for i, (name, price) in enumerate(rows)))
    low, high = quality.elsewhere(table, np.zeros(len(table), dtype=np.int64))
    price, provider = table.floats("usd_per_accelerator_hour"), table.codes("provider")
    for row in range(len(table)):
        others = price[provider != provider[row]]
        assert low[row] == pytest.approx(others.min()) if len(others) else np.isnan(low[row])
        assert high[row] == pytest.approx(others.max()) if len(others) else np.isnan(high[row])


def test_the_limits_are_data_with_a_meaning():
    named = {row["name"]: row for row in rules.read_data("quality.csv")}
    assert set(named) == set(rules.thresholds())
    assert all(row["meaning"] for row in named.values())
    assert 0 < rules.thresholds()["placeholder_below"] < rules.thresholds()["low_below"] < 1
    assert all(FLAGS.values())


def test_rules_name_a_source_and_a_day():
    for name in ("offer_rules.csv", "offer_words.csv", "gcp_hosts.csv", "instance_counts.csv"):
        for row in rules.read_data(name):
            assert row["source"], row
            assert date.fromisoformat(row["seen"]), row
