from datetime import date

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from quote_fakes import OFFERS, TODAY, essence, job, offer, patient, priced, quotes  # type: ignore[import-not-found]

from sublet.quote import rank
from sublet.quote.columns import from_offers
from sublet.quote.value import DOUBTFUL, FIRM, UNRANKED

points = st.lists(st.tuples(st.integers(1, 12).map(float), st.integers(1, 12).map(float)), min_size=0, max_size=40)


def brute_force(times, costs):
    def dominated(i):
        return any(
            times[j] <= times[i] and costs[j] <= costs[i] and (times[j] < times[i] or costs[j] < costs[i])
            for j in range(len(times))
        )

    return [not dominated(i) for i in range(len(times))]


@patient
@given(points)
def test_pareto_set_equals_brute_force(found):
    times = np.array([t for t, _ in found], dtype=float)
    costs = np.array([c for _, c in found], dtype=float)
    assert rank.pareto(times, costs).tolist() == brute_force(times.tolist(), costs.tolist())


@patient
@given(OFFERS, st.randoms(use_true_random=False), st.sampled_from(["best", "fastest", "value", "pareto", "all"]))
def test_ranking_does_not_depend_on_the_order_of_the_rows(offers, random, view):
    shuffled = list(offers)
    random.shuffle(shuffled)
    asked = job(counts=(256, 512))
    assert [essence(q) for q in quotes(offers, asked, view)] == [essence(q) for q in quotes(shuffled, asked, view)]


@patient
@given(OFFERS)
def test_a_dominated_offer_changes_nothing_in_the_pareto_set(offers):
    asked = job(counts=(512,))
    before = quotes(offers, asked, "pareto")
    dear = offer(provider="dear", accelerator="Slow", price="9000.00")
    with_dear = quotes([*offers, dear], asked, "pareto")
    firm = [q for q in quotes(offers, asked) if q.trust == FIRM and q.accelerator in ("Fast", "Slow")]
    if firm:  # something firm dominates the dear offer
        assert [essence(q) for q in with_dear] == [essence(q) for q in before]


@patient
@given(OFFERS)
def test_a_placeholder_or_foreign_price_never_has_a_rank_and_never_wins(offers):
    found = quotes(offers, job(counts=(512,)))
    for quote in found:
        untrusted = "placeholder" in quote.offer.flags or quote.offer.currency != "USD"
        assert (quote.trust == UNRANKED) == untrusted
        assert (quote.rank == 0) == untrusted
        assert not (untrusted and quote.pareto)
    trusts = [quote.trust for quote in found]
    assert trusts == sorted(trusts)


@patient
@given(OFFERS)
def test_every_quote_on_the_front_is_beaten_by_no_quote_of_equal_trust(offers):
    found = [q for q in quotes(offers, job(counts=(256, 512))) if q.rank]
    if not found:
        return
    best = min(q.trust for q in found)
    level = [q for q in found if q.trust == best]
    for q in level:
        beaten = any(
            o.days.p50 <= q.days.p50 and o.cost.p50 < q.cost.p50 and o.cost.p50 * 1000001 < q.cost.p50 * 1000000
            for o in level
        )
        assert not (q.pareto and beaten)
    assert all(not q.pareto for q in found if q.trust > best)


def test_stale_prices_stand_below_firm_ones_and_say_so():
    old = offer(provider="old", price="0.10", seen_at=date(2024, 5, 1))
    new = offer(provider="new", price="3.00")
    first, second = quotes([old, new])
    assert (first.offer.provider, second.offer.provider) == ("new", "old")
    assert second.trust == DOUBTFUL
    assert "stale" in second.flags
    assert second.price_age_days == (TODAY - date(2024, 5, 1)).days
    assert first.pareto
    assert not second.pareto


def test_where_every_price_is_old_they_are_still_ranked_and_marked():
    old = [offer(provider=name, price=price, seen_at=date(2024, 5, 1)) for name, price in (("a", "2"), ("b", "1"))]
    first, second = quotes(old)
    assert (first.offer.provider, first.rank, first.pareto) == ("b", 1, True)
    assert "stale" in first.flags
    assert "stale" in second.flags


def test_ties_favour_no_provider_over_all_days():
    names = [f"cloud-{i}" for i in range(6)]
    offers = [offer(provider=name) for name in names]
    winners = {quotes(offers, as_of=date(2026, 8, 11 + day))[0].offer.provider for day in range(20)}
    assert len(winners) > 3


def test_ties_break_to_the_price_seen_last():
    old, new = offer(provider="a", seen_at=date(2026, 8, 1)), offer(provider="b", seen_at=TODAY)
    assert quotes([old, new])[0].offer.provider == "b"


def test_one_row_stands_for_all_offers_of_an_accelerator_count_and_market():
    offers = [offer(provider=name, price=f"{i + 1}.00") for i, name in enumerate("abcd")]
    offers.append(offer(provider="e", accelerator="Slow"))
    shown = quotes(offers, job(counts=(256, 512)), limit=10)
    assert {(q.accelerator, q.count): q.similar for q in shown} == {
        ("Fast", 256): 3,
        ("Fast", 512): 3,
        ("Slow", 256): 0,
        ("Slow", 512): 0,
    }
    assert all(q.offer.provider == "a" for q in shown if q.accelerator == "Fast")
    assert len(quotes(offers, job(counts=(256, 512)), limit=0)) == 10


def test_tie_break_is_total_for_offers_that_differ():
    columns = from_offers([offer(provider=p, region=r) for p in "ab" for r in (None, "x", "y")])
    assert len(set(rank.tie_break(columns, TODAY).tolist())) == 6


def test_nothing_priced_gives_an_empty_ranking():
    assert len(priced([])) == 0
    assert quotes([]) == ()
