import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quote_fakes import FACTS, TODAY, job, offer, priced, replace  # type: ignore[import-not-found]

from sublet.quote.explain import explain
from sublet.quote.facts import from_catalogue
from sublet.quote.spot import band, hours_between, sentence
from sublet.quote.view import select

SEEN = date(2025, 6, 28)


def published(text):
    found = band(text, SEEN)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "low", "high"), [("<5%", 0.0, 0.05), ("5-10%", 0.05, 0.10), ("15-20%", 0.15, 0.20), (">20%", 0.20, 1.0)]
)
def test_bands_as_published(text, low, high):
    found = published(text)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize("text", ["", "often", "5 to 10", "%"])
def test_what_is_no_band_is_none(text):
    assert band(text, SEEN) is None


@given(st.floats(0.001, 0.999), st.integers(1, 1000))
def test_survival_of_a_month_is_the_product_over_the_nodes(share, nodes):
    # a Poisson process with that mean gap leaves all nodes alone for a month with probability (1 - share)^nodes
    survival = math.exp(-730.5 / hours_between(share, nodes))
    assert survival == pytest.approx((1.0 - share) ** nodes, rel=1e-6, abs=1e-12)


def test_the_sentence_names_band_day_nodes_and_gap():
    said = sentence(published("5-10%"), 64)
    assert said == (
        "5-10% of such instances were interrupted in a month (seen 2025-06-28): "
        "on 64 nodes 108 h to 223 h apart in the mean"
    )
    assert "at least" in sentence(published("<5%"), 1)
    assert "at most" in sentence(published(">20%"), 1)


def spot_quote(facts, **other):
    asked = job(counts=(512,), markets=("spot",))
    return select(priced([offer(market="spot", **other)], asked, facts=facts))


def test_a_spot_quote_says_how_often_it_is_taken_away():
    facts = replace(
        FACTS, interruptions=lambda *place: band("5-10%", SEEN) if place == ("alpha", "us-east-1", "box8") else None
    )
    found = spot_quote(facts)
    assert "on 64 nodes" in found.quotes[0].interruptions
    assert dict(explain(found, 1).figures)["interruptions"].endswith("not in the days")
    assert spot_quote(facts, region=None).quotes[0].interruptions == ""
    future = replace(FACTS, interruptions=lambda *place: band("5-10%", TODAY.replace(year=2030)))
    assert spot_quote(future).quotes[0].interruptions == ""


def test_the_shipped_bands_are_read():
    found = from_catalogue().interruptions("aws", "af-south-1", "g4dn.2xlarge")
    assert found is not None
    assert (found.text, found.seen_at) == (">20%", SEEN)
