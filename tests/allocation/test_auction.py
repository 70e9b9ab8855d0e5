"""The laws of the sealed-bid auction."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sublet.allocation.auction import Bid, clear, sell_block
from sublet.errors import InputError
from sublet.units import Money


def usd(amount) -> Money:
    return Money(Decimal(amount))


def bids_of(whole) -> Any:
    one = st.tuples(st.integers(1, 12), st.integers(0, 30), st.integers(0, 3), st.integers(0, 2), whole)
    return st.lists(one, max_size=8).map(
        lambda rows: [
            Bid(f"b{at}", f"g{group}", nodes, usd(price), float(when), all_)
            for at, (nodes, price, when, group, all_) in enumerate(rows)
        ]
    )


bids = bids_of(st.booleans())
divisible = bids_of(st.just(False))


@given(bids, st.integers(1, 20), st.integers(0, 10))
def test_nobody_pays_more_than_was_bid_or_less_than_the_reserve(offered, nodes, reserve):
    done = clear(offered, nodes, usd(reserve))
    price = {bid.bid_id: bid.price for bid in offered}
    assert done.price >= usd(reserve)
    assert all(done.price <= price[award.bid_id] for award in done.awards)


@given(bids, st.integers(1, 20), st.integers(0, 10))
def test_every_bid_is_answered_once_and_no_more_is_sold_than_there_is(offered, nodes, reserve):
    done = clear(offered, nodes, usd(reserve))
    answered = [award.bid_id for award in done.awards] + [loss.bid_id for loss in done.losses]
    assert sorted(answered) == sorted(bid.bid_id for bid in offered)
    assert sum(award.nodes for award in done.awards) + done.unsold == nodes
    asked = {bid.bid_id: bid for bid in offered}
    for award in done.awards:
        bid = asked[award.bid_id]
        assert 1 <= award.nodes <= bid.nodes
        assert award.nodes == bid.nodes or not bid.whole


@given(divisible, st.integers(1, 20), st.integers(0, 10))
def test_no_loser_bid_more_than_a_winner_and_none_above_the_price_goes_without(offered, nodes, reserve):
    done = clear(offered, nodes, usd(reserve))
    price = {bid.bid_id: bid.price for bid in offered}
    for loss in done.losses:
        assert all(price[loss.bid_id] <= price[award.bid_id] for award in done.awards)
        assert price[loss.bid_id] <= done.price
    if done.unsold:
        assert all(loss.why == "below-reserve" for loss in done.losses)


@given(bids, st.integers(1, 20), st.integers(0, 10), st.randoms())
def test_the_order_in_which_bids_come_in_does_not_matter(offered, nodes, reserve, chance):
    other = list(offered)
    chance.shuffle(other)
    assert clear(other, nodes, usd(reserve)) == clear(offered, nodes, usd(reserve))


@given(divisible, st.integers(1, 20), st.integers(0, 10), st.data())
def test_splitting_a_bid_over_accounts_of_one_group_gains_nothing(offered, nodes, reserve, data):
    large = [bid for bid in offered if bid.nodes > 1]
    if not large:
        return
    bid = data.draw(st.sampled_from(large))
    first = data.draw(st.integers(1, bid.nodes - 1))
    parts = [
        replace(bid, bid_id=f"{bid.bid_id}{mark}", nodes=count)
        for mark, count in (("x", first), ("y", bid.nodes - first))
    ]
    whole = clear(offered, nodes, usd(reserve))
    split = clear([other for other in offered if other is not bid] + parts, nodes, usd(reserve))

    def won(done):
        return sum(award.nodes for award in done.awards if award.group == bid.group)

    assert (split.price, won(split)) == (whole.price, won(whole))


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(0, 10), st.integers(0, 30))
def test_one_block_goes_to_the_highest_at_the_second_price_and_the_truth_pays(worths, reserve, lie):
    def outcome(prices):
        offered = [Bid(f"b{at}", f"g{at}", 4, usd(price)) for at, price in enumerate(prices)]
        return sell_block(offered, 4, usd(reserve))

    def gain(done):
        return sum((usd(worths[0]) - done.price).amount for award in done.awards if award.bid_id == "b0")

    honest = outcome(worths)
    ranked = sorted(worths, reverse=True)
    if ranked[0] >= reserve:
        assert worths[int(honest.awards[0].bid_id[1:])] == ranked[0]
        assert honest.price == usd(max([reserve, *ranked[1:2]]))
    else:
        assert (honest.awards, honest.unsold) == ((), 4)
    assert gain(honest) >= gain(outcome([lie, *worths[1:]]))


def test_a_gang_that_does_not_fit_is_passed_over_and_told_so():
    offered = [
        Bid("a", "g", 6, usd(10)),
        Bid("b", "h", 4, usd(9), whole=True),
        Bid("c", "i", 2, usd(5)),
        Bid("d", "j", 1, usd(3)),
    ]
    done = clear(offered, 8, usd(1))
    assert [(award.bid_id, award.nodes) for award in done.awards] == [("a", 6), ("c", 2)]
    assert [(loss.bid_id, loss.why) for loss in done.losses] == [("b", "does-not-fit"), ("d", "outbid")]
    assert (done.price, done.revenue, done.unsold) == (usd(3), usd(24), 0)


@pytest.mark.parametrize(
    ("offered", "nodes", "says"),
    [
        ([], 0, "1 or more"),
        ([Bid("a", "g", 0, usd(1))], 1, "1 or more"),
        ([Bid("a", "g", 1, Money(Decimal(1), "EUR"))], 1, "in EUR"),
        ([Bid("a", "g", 1, usd(1)), Bid("a", "g", 1, usd(2))], 4, "twice"),
    ],
)
def test_bad_bids_get_a_sentence(offered, nodes, says):
    with pytest.raises(InputError, match=says):
        clear(offered, nodes, usd(0))


def test_a_block_is_sold_as_one():
    with pytest.raises(InputError, match="sold as one"):
        sell_block([Bid("a", "g", 3, usd(1))], 4, usd(0))
