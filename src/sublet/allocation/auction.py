"""A sealed-bid auction for a block that became free: one price for all that win, the second price where one takes it.

Bids are taken highest price first; a bid that wants all or nothing and no longer fits is passed over. Every winner
pays, per node, the highest price at which something asked for was not given, as far as that does not exceed the lowest
winning price, or the reserve price if that is higher. For a single block this is the second-price auction (Vickrey,
"Counterspeculation, auctions, and competitive sealed tenders", Journal of Finance 16, 1961), in which to bid one's
worth is best; with several units a bidder may gain by asking for fewer (demand reduction).

Invariants: no more nodes go than there are; nobody pays more than was bid, or less than the reserve; all winners pay
the same; a bid that may be filled in part goes without only where no winner bid less; splitting such a bid over
accounts of one group changes neither the price nor what the group gets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sublet.errors import InputError
from sublet.units import Money

Why = Literal["below-reserve", "outbid", "does-not-fit"]


@dataclass(frozen=True, slots=True)
class Bid:
    """`nodes` nodes of the block at up to `price` each, for the whole window; `whole`: all of them or none.

    `group` is the tenant or, for affiliated ones, what they share. Equal prices are served in order of `submitted_s`.
    """

    bid_id: str
    group: str
    nodes: int
    price: Money
    submitted_s: float = 0.0
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Award:
    """What a bid won; each node costs the auction's price."""

    bid_id: str
    group: str
    nodes: int


@dataclass(frozen=True, slots=True)
class Loss:
    """A bid that won nothing, and why."""

    bid_id: str
    group: str
    why: Why


@dataclass(frozen=True, slots=True)
class Cleared:
    """The outcome: `price` per node for the window (the reserve where nobody won), awards and losses in bid order."""

    price: Money
    awards: tuple[Award, ...]
    losses: tuple[Loss, ...]
    unsold: int

    @property
    def revenue(self) -> Money:
        """What all winners pay together."""
        return self.price * sum(award.nodes for award in self.awards)


def clear(bids: Iterable[Bid], nodes: int, reserve: Money) -> Cleared:
    """Sell `nodes` nodes at one price, not under `reserve` each."""
    ordered = sorted(bids, key=lambda bid: (-bid.price.amount, bid.submitted_s, bid.group, bid.bid_id))
    _refuse(ordered, nodes, reserve)
    left = nodes
    awards: list[Award] = []
    losses: list[Loss] = []
    lowest = reserve
    waiting: list[Money] = []  # prices of what was asked for and not given
    for bid in ordered:
        if bid.price < reserve:
            losses.append(Loss(bid.bid_id, bid.group, "below-reserve"))
            continue
        given = bid.nodes if bid.nodes <= left else 0 if bid.whole else left
        if given:
            awards.append(Award(bid.bid_id, bid.group, given))
            lowest = bid.price
            left -= given
        else:
            losses.append(Loss(bid.bid_id, bid.group, "does-not-fit" if left else "outbid"))
        if given < bid.nodes:
            waiting.append(bid.price)
    price = reserve
    if awards:
        price = max([asked for asked in waiting if asked <= lowest], default=reserve)
    return Cleared(price, tuple(awards), tuple(losses), left)


def sell_block(bids: Iterable[Bid], nodes: int, reserve: Money) -> Cleared:
    """Sell `nodes` nodes to one bidder only: the highest bid wins and pays the second price. Bids are for the block."""
    whole = list(bids)
    for bid in whole:
        if bid.nodes != nodes:
            raise InputError(f"bid {bid.bid_id!r} is for {bid.nodes} nodes: the block of {nodes} is sold as one")
    return clear(whole, nodes, reserve)


def _refuse(bids: list[Bid], nodes: int, reserve: Money) -> None:
    if nodes < 1:
        raise InputError(f"a block of {nodes} nodes: it must have 1 or more")
    seen: set[str] = set()
    for bid in bids:
        if bid.nodes < 1:
            raise InputError(f"bid {bid.bid_id!r} is for {bid.nodes} nodes: it must be for 1 or more")
        if bid.price.currency != reserve.currency:
            raise InputError(f"bid {bid.bid_id!r} is in {bid.price.currency}: this block is sold in {reserve.currency}")
        if bid.bid_id in seen:
            raise InputError(f"bid {bid.bid_id!r} comes twice")
        seen.add(bid.bid_id)
