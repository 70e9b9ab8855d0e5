from decimal import Decimal

import pytest
from hypothesis import given
from quote_fakes import OFFERS, essence, job, offer, patient, priced, quotes  # type: ignore[import-not-found]

from sublet.errors import InputError, NothingFitsError
from sublet.quote.view import nothing_fits, select
from sublet.units import DAY_S, Money

FAST_AND_SLOW = [
    offer("alpha", "Fast", "8.00"),
    offer("beta", "Slow", "1.00"),
    offer("gamma", "Slow", "3.00"),
]
# 512 Fast take 22.6 days and cost 2.2 M at 8.00; 512 Slow take 75.4 days and cost 0.9 M at 1.00, 2.8 M at 3.00


def names(found):
    return [quote.offer.provider for quote in found]


def test_views_order_by_what_they_say():
    asked = job(counts=(512,))
    assert names(quotes(FAST_AND_SLOW, asked, "cheapest")) == ["beta", "alpha", "gamma"]
    assert names(quotes(FAST_AND_SLOW, asked, "fastest")) == ["alpha", "beta", "gamma"]
    assert names(quotes(FAST_AND_SLOW, asked, "value")) == ["beta", "alpha", "gamma"]
    assert names(quotes(FAST_AND_SLOW, asked, "pareto")) == ["alpha", "beta"]
    assert [q.pareto for q in quotes(FAST_AND_SLOW, asked, "cheapest")] == [True, True, False]


def test_the_default_view_follows_the_constraints():
    deadline = job(counts=(512,), deadline_s=80 * DAY_S)
    assert names(quotes(FAST_AND_SLOW, deadline)) == ["beta", "alpha", "gamma"]
    budget = job(counts=(512,), budget=Money(Decimal(2_500_000)))
    assert names(quotes(FAST_AND_SLOW, budget)) == ["alpha", "beta"]
    assert names(quotes(FAST_AND_SLOW, job(counts=(512,)))) == ["beta", "alpha", "gamma"]


def test_value_puts_most_work_per_dollar_first():
    found = quotes(FAST_AND_SLOW, job(counts=(256, 512)), "value")
    worth = [quote.exaflop_per_usd for quote in found]
    assert worth == sorted(worth, reverse=True)


def test_a_missed_deadline_says_by_how_much():
    found = priced(FAST_AND_SLOW, job(counts=(512,), deadline_s=30 * DAY_S))
    assert names(select(found).quotes) == ["alpha"]
    [entry] = found.rejected
    assert (entry.kind, entry.offers, entry.count) == ("deadline", 2, 512)
    assert entry.reason == "deadline: 75.4 days on 512, 45.4 days too long"
    assert entry.miss == pytest.approx(75.352 / 30, rel=1e-4)


def test_a_deadline_met_only_at_the_median_is_marked():
    [quote] = quotes([offer()], job(counts=(512,), deadline_s=24 * DAY_S))
    assert "deadline-at-risk" in quote.flags
    [quote] = quotes([offer()], job(counts=(512,), deadline_s=30 * DAY_S))
    assert "deadline-at-risk" not in quote.flags


def test_a_budget_kept_only_at_the_median_is_marked():
    [quote] = quotes([offer()], job(counts=(512,), budget=Money(Decimal(600_000))))
    assert "budget-at-risk" in quote.flags


def test_a_budget_in_another_currency_does_not_judge_dollars():
    assert len(quotes([offer()], job(counts=(512,), budget=Money(Decimal(1), "EUR")))) == 1


@pytest.mark.parametrize(
    ("constraints", "sentence"),
    [
        ({"deadline_s": 20 * DAY_S}, "the nearest miss is 512 x Fast: deadline: 22.6 days on 512, 2.61 days too long"),
        (
            {"budget": Money(Decimal(800_000))},
            "the nearest miss is 512 x Slow: budget: at least 925,926 USD on 512, 125,926 too much",
        ),
    ],
)
def test_where_nothing_fits_the_nearest_miss_is_named(constraints, sentence):
    found = priced(FAST_AND_SLOW, job(counts=(512,), **constraints))
    refusal = nothing_fits(found)
    assert isinstance(refusal, NothingFitsError)
    assert refusal.exit_code == 3
    assert sentence in str(refusal)


def test_the_nearest_miss_counts_both_limits():
    # cheap but four times too slow is farther than a tenth over both
    found = priced(FAST_AND_SLOW, job(counts=(512,), deadline_s=20 * DAY_S, budget=Money(Decimal(2_100_000))))
    assert "512 x Fast" in str(nothing_fits(found))


def test_where_nothing_fits_in_memory_the_nearest_chip_is_named():
    assert "512 x Small: memory: needs 30 GB" in str(nothing_fits(priced([offer(accelerator="Small")])))


def test_what_was_not_asked_for_does_not_hide_why_the_rest_was_refused():
    found = priced([*[offer(f"spot-{i}", market="spot") for i in range(9)], offer("cn")], job(framework="MindSpore"))
    assert "MindSpore" in str(nothing_fits(found))
    assert "spot" not in str(nothing_fits(found))


def test_where_nothing_is_asked_for_the_reasons_are_counted():
    found = priced([offer(market="spot"), offer("b", market="spot")])
    assert "market: spot was not asked for" in str(nothing_fits(found))
    assert "2 offers" in str(nothing_fits(found))
    assert "no offers as of" in str(nothing_fits(priced([])))
    typo = nothing_fits(priced([offer()], job(counts=(512,), providers=("alfa",))))
    assert "no offers by provider 'alfa' in this catalogue (there are: alpha)" in str(typo)


def test_the_limit_cuts_and_says_how_many_are_left():
    offers = [offer(accelerator=name, provider=name) for name in ("Fast", "Slow")]
    found = select(priced(offers, job(counts=(256, 512))), "best", 3)
    assert (len(found.quotes), found.more, found.candidates) == (3, 1, 4)
    assert [quote.rank for quote in found.quotes] == [1, 2, 3]


@patient
@given(OFFERS)
def test_a_limit_shows_the_head_of_the_whole_list(offers):
    found = priced(offers, job(counts=(256, 512)))
    every = select(found, "all", 0).quotes
    assert [essence(q) for q in select(found, "all", 2).quotes] == [essence(q) for q in every[:2]]


@pytest.mark.parametrize(("view", "limit", "message"), [("nice", 5, "view 'nice'"), ("best", -1, "limit -1")])
def test_a_view_or_limit_that_is_not_there_is_refused(view, limit, message):
    with pytest.raises(InputError, match=message):
        select(priced([offer()]), view, limit)
