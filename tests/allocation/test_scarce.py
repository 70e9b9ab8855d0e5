"""Rules for scarce goods: what every rule keeps, and what each is known for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sublet.allocation.scarce import RULES, Request, Terms, play
from sublet.allocation.scarce_measures import gini, shifts, summarise
from sublet.allocation.scarce_reader import read_demand
from sublet.errors import InputError

requests = st.lists(
    st.builds(
        Request,
        tenant=st.sampled_from("abcdef"),
        kind=st.sampled_from(("strategic", "standard")),
        units=st.integers(1, 40),
        submit=st.integers(0, 3),
        bid=st.integers(0, 9).map(float),
        deployable=st.none() | st.integers(0, 40),
        strategic=st.booleans(),
        competitor=st.booleans(),
    ),
    min_size=1,
    max_size=8,
)
supplies = st.lists(st.integers(0, 30), min_size=1, max_size=5)


@pytest.mark.parametrize("rule", RULES)
@given(demand=requests, supply=supplies)
def test_no_rule_grants_what_is_not_there_or_was_not_asked(rule, demand, supply):
    outcome = play(demand, supply, rule, Terms(3.0, 1.0))
    total, came = 0, 0
    for period, units in enumerate(supply):
        came += units
        total += int(outcome.granted[period].sum())
        assert total + outcome.kept[period] == came
    asked = [entry.units for entry in outcome.requests]
    assert (outcome.granted >= 0).all()
    assert (outcome.granted.sum(axis=0) <= asked).all()
    summary = summarise(outcome)
    assert 0 <= summary.gini < 1
    assert sum(line.share for line in summary.tenants) == pytest.approx(1 if summary.fill else 0)


@given(demand=requests, supply=supplies)
def test_in_an_auction_nobody_pays_more_than_the_bid(demand, supply):
    outcome = play(demand, supply, "auction", Terms(2.0))
    got = outcome.granted.sum(axis=0)
    for entry, units, paid in zip(outcome.requests, got, outcome.paid, strict=True):
        assert paid <= entry.bid * units + 1e-9


@given(demand=requests, supply=supplies, accounts=st.integers(2, 4))
def test_splitting_over_affiliates_gains_nothing_under_max_min(demand, supply, accounts):
    whole = [Request("me", "standard", 40, group="mine"), *demand]
    parts = [Request(f"me{number}", "standard", 40 // accounts, group="mine") for number in range(accounts)]
    rest = 40 - sum(part.units for part in parts)
    split = [*parts, *([Request("me9", "standard", rest, group="mine")] if rest else []), *demand]

    def mine(asked):
        outcome = play(asked, supply, "max-min")
        return sum(
            int(units)
            for entry, units in zip(outcome.requests, outcome.granted.sum(axis=0), strict=True)
            if entry.group == "mine"
        )

    assert mine(split) <= mine(whole)


@given(demand=requests, supply=supplies)
def test_what_losers_lose_winners_win(demand, supply):
    base, other = play(demand, supply, "proportional"), play(demand, supply, "first-come")
    before = {line.name: line.granted for line in summarise(base).tenants}
    after = {line.name: line.granted for line in summarise(other).tenants}
    lost = sum(max(0, before[name] - after[name]) for name in before)
    pairs = [pair for pair in shifts(base, other) if pair.loser != "(seller)"]
    assert sum(pair.units for pair in pairs) == pytest.approx(lost)


def test_each_rule_serves_whom_it_names():
    demand = [
        Request("early", "standard", 60, bid=5.0, deployable=20, competitor=True),
        Request("partner", "strategic", 60, bid=4.0, strategic=True),
        Request("payer", "standard", 60, bid=9.0),
    ]

    def got(rule):
        return play(demand, [60], rule, Terms(4.0, 2.0)).granted[0].tolist()

    assert got("proportional") == [20, 20, 20]
    assert got("first-come") == [60, 0, 0]
    assert got("strategic-first") == [0, 60, 0]
    assert got("non-competitors-first") == [0, 60, 0]
    assert got("deployable-cap") == [8, 26, 26]
    assert got("max-min") == [20, 20, 20]
    assert got("reservation-fee") == [0, 0, 60]
    assert got("auction") == [0, 0, 60]


def test_gini_of_equals_is_none_and_of_one_owner_is_high():
    assert gini([3, 3, 3]) == pytest.approx(0)
    assert gini([0, 0, 0, 1]) == pytest.approx(0.75)


def test_demand_is_read_and_what_is_wrong_refused_with_its_line(tmp_path):
    path = tmp_path / "demand.csv"
    path.write_text("tenant,class,units,bid,deployable,strategic\na,strategic,10,5.5,8,yes\nb,,4,,,\n")
    assert read_demand(path) == (
        Request("a", "strategic", 10, 0, 5.5, 8, strategic=True),
        Request("b", "standard", 4),
    )
    path.write_text("tenant,units\na,10\nb,many\n")
    with pytest.raises(InputError, match=r"demand.csv:3: units is 'many'"):
        read_demand(path)
    path.write_text("tenant,unit\na,10\n")
    with pytest.raises(InputError, match="no column units"):
        read_demand(path)
    with pytest.raises(InputError, match="no rule 'random'"):
        play([Request("a", "standard", 1)], [1], "random")
