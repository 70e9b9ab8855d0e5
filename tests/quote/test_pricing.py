from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quote_fakes import FACTS, TODAY, fabric, job, offer, plan, priced, quotes  # type: ignore[import-not-found]

from sublet.estimate.result import Interval
from sublet.quote import pricing
from sublet.quote.columns import combined, from_offers
from sublet.quote.priced import price_all


@given(st.integers(1, 10**6), st.integers(2, 50), st.integers(1, 4096), st.floats(3600.0, 1e8))
def test_cost_is_linear_in_price(cents, factor, count, seconds):
    one = offer(price=str(Decimal(cents) / 100))
    many = offer(price=str(Decimal(cents * factor) / 100))
    run = Interval(seconds, seconds, seconds)
    low, high = pricing.money(one, count, run).p50, pricing.money(many, count, run).p50
    assert abs(high - low * factor) <= Decimal("0.01") * factor


@given(st.integers(1, 10**4), st.integers(1, 4096), st.floats(3600.0, 1e8))
def test_ranked_cost_and_shown_cost_agree_to_the_cent(cents, count, seconds):
    own = offer(price=str(Decimal(cents) / 100))
    shown = pricing.money(own, count, Interval(seconds, seconds, seconds)).p50
    ranked = pricing.cost(np.array([cents / 100]), np.array([count]), np.array([seconds]), np.array([0.0]))[0]
    assert float(shown) == pytest.approx(ranked, rel=1e-9, abs=0.006)


def test_the_interval_of_the_time_carries_to_the_cost():
    quote = quotes([offer(price="2.00")])[0]
    assert quote.cost.p10 < quote.cost.p50 < quote.cost.p90
    assert float(quote.cost.p90 / quote.cost.p50) == pytest.approx(quote.days.p90 / quote.days.p50, rel=1e-6)
    # 1e9 accelerator-seconds at 2 USD an hour
    assert quote.cost.p50 == Decimal("555555.56")


def test_model_work_per_dollar():
    quote = quotes([offer(price="2.00")])[0]
    assert quote.exaflop_per_usd == pytest.approx(4e23 / 1e18 / 555555.56, rel=1e-6)


def test_the_newest_of_several_prices_holds():
    old = offer(price="1.00", seen_at=date(2026, 8, 1))
    new = offer(price="4.00", seen_at=date(2026, 8, 9))
    found = priced([old, new])
    assert len(found) == 1
    assert found.superseded == 1
    assert quotes([old, new])[0].offer.price_per_accelerator_hour == Decimal("4.00")


def test_several_prices_on_one_day_quote_the_lowest_and_say_so():
    found = quotes([offer(price="4.00"), offer(price="3.00")])
    assert [q.offer.price_per_accelerator_hour for q in found] == [Decimal("3.00")]
    assert "several-prices" in found[0].flags
    assert "several-prices" not in quotes([offer(price="4.00")])[0].flags


def test_sources_that_disagree_are_shown_with_both_prices():
    quoted = offer(price="3.00", source="one:x.csv:1")
    other = offer(price="12.00", source="two:y.csv:7", shape=None, region=None, seen_at=date(2026, 8, 1))
    cheap = next(q for q in quotes([quoted, other]) if q.offer.source.startswith("one"))
    assert "sources-disagree" in cheap.flags
    assert [(o.price_per_accelerator_hour, o.source) for o in cheap.other_prices] == [(Decimal("12.00"), "two:y.csv:7")]


@pytest.mark.parametrize(
    "change",
    [
        {"price": "3.05"},  # within 5 %
        {"region": "eu-west-1"},  # another place
        {"shape": "box4"},  # another shape
        {"market": "spot"},
        {"provider": "beta"},
        {"source": "one:other.csv:9"},  # the same source
    ],
)
def test_sources_do_not_disagree_about_different_things(change):
    quoted = offer(price="3.00", source="one:x.csv:1")
    other = offer(**{"price": "12.00", "source": "two:y.csv:7", **change})
    mine = next(q for q in quotes([quoted, other]) if q.offer == quoted)
    assert mine.other_prices == ()


def test_a_committed_price_is_paid_for_its_term():
    year = quotes([offer(market="reserved-1y")], job(counts=(512,), markets=("reserved-1y",)))[0]
    assert year.cost.p10 == year.cost.p50 == Decimal("2.00") * 512 * 8760
    assert "commitment" in year.flags
    assert pricing.term_hours("reserved-3y") == 3 * 8760
    assert pricing.term_hours("on-demand") == pricing.term_hours("reserved") == 0.0


def test_a_foreign_price_keeps_its_currency_and_gets_no_rank():
    quote = quotes([offer(price="9.00", currency="CNY", flags=("foreign-currency",))])[0]
    assert (quote.rank, quote.cost.currency, quote.exaflop_per_usd) == (0, "CNY", None)
    assert "foreign-currency" in quote.flags


def test_zero_is_not_a_price():
    found = priced([offer(price="0.00"), offer(provider="b")])
    assert [(r.kind, r.offers) for r in found.rejected] == [("price", 1)]
    assert len(found) == 1


def test_spot_is_quoted_only_when_allowed_and_marked():
    spot = offer(market="spot", price="0.50")
    assert quotes([spot]) == ()
    allowed = quotes([spot], job(counts=(512,), markets=("on-demand", "spot")))[0]
    assert "spot" in allowed.flags


def test_an_assumed_fabric_is_marked():
    assert "fabric-assumed" in quotes([offer(provider="murky")])[0].flags
    assert "fabric-assumed" not in quotes([offer()])[0].flags


def test_machines_that_differ_only_in_prose_are_asked_about_once():
    asked = []

    def counting(job, machines):
        asked.append(len(machines))
        return plan(job, machines)

    def prose(chip, shape, per_node, provider):
        return replace(fabric(), source=f"page of {provider}")

    offers = [offer(provider=f"p{i}", region=f"r{i}") for i in range(30)]
    found = price_all(
        job(counts=(256, 512)), from_offers(offers), as_of=TODAY, facts=replace(FACTS, fabric=prose), plan=counting
    )
    assert asked == [2]
    assert len(found) == 60


def test_an_offer_seen_after_the_day_asked_for_is_not_used():
    found = priced([offer(seen_at=date(2026, 9, 1)), offer(provider="b")])
    assert [r.reason for r in found.rejected] == ["price: first seen after 2026-08-10"]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(-3, 3)), max_size=30))
def test_combined_keys_are_equal_exactly_where_the_columns_are(rows):
    columns = [np.array([row[i] for row in rows], dtype=np.int64) for i in range(3)]
    key = combined(*columns).tolist()
    for i, one in enumerate(rows):
        for j, other in enumerate(rows):
            assert (key[i] == key[j]) == (one == other)


def test_combined_keys_survive_many_wide_columns():
    wide = np.array([0, 2**40, 2**40, 5], dtype=np.int64)
    key = combined(wide, wide, wide).tolist()
    assert key[1] == key[2]
    assert len(set(key)) == 3
