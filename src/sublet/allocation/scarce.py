"""Who gets a scarce good: the named rules of sellers, played on the same demand, so that they can be compared.

Supply comes in periods; what a tenant asked for and did not get stays asked for. A rule divides one period's units
among the open requests. Invariants: a rule grants no more than there is and nobody more than is open; units are whole;
the same demand gives the same grants. Max-min is progressive filling (Bertsekas & Gallager 1992), the auction pays one
price for all, the highest bid that lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sublet.errors import InputError

Units = NDArray[np.int64]


@dataclass(frozen=True)
class Request:
    """What a tenant asks for: `units` from period `submit` on, worth `bid` (money per unit) to it at most; it can put
    to use `deployable` units in all. `strategic` and `competitor` are the seller's view of it."""

    tenant: str
    kind: str
    units: int
    submit: int = 0
    bid: float = 0.0
    deployable: int | None = None
    strategic: bool = False
    competitor: bool = False
    group: str = ""

    def __post_init__(self) -> None:
        if self.units < 1:
            raise InputError(f"{self.tenant} asks for {self.units} units: give at least 1")
        if self.submit < 0 or self.bid < 0 or (self.deployable is not None and self.deployable < 0):
            raise InputError(f"{self.tenant}: submit, bid and deployable cannot be negative")


@dataclass(frozen=True)
class Terms:
    """What the seller sets: money per unit (`price`; the reserve of an auction), and per unit reserved (`fee`)."""

    price: float = 0.0
    fee: float = 0.0


@dataclass(frozen=True)
class Open:
    """One period as a rule sees it: requests in the order of submission, units `open` and `held` of each."""

    requests: Sequence[Request]
    open: Units
    held: Units
    terms: Terms

    @property
    def usable(self) -> Units:
        """Open units that the tenant could put to use."""
        limit = [entry.units if entry.deployable is None else entry.deployable for entry in self.requests]
        room: Units = np.maximum(np.array(limit, dtype=np.int64) - self.held, 0)
        usable: Units = np.minimum(self.open, room)
        return usable


@dataclass(frozen=True)
class Grant:
    """Units for each open request, and what a unit costs (None: the price of the terms)."""

    units: Units
    price: float | None = None


Rule = Callable[[Open, int], Grant]


def proportional(state: Open, supply: int) -> Grant:
    """Everybody the same share of what is open; whoever asks for more than needed gains."""
    return Grant(_shares(state.open, supply))


def first_come(state: Open, supply: int) -> Grant:
    """In the order of submission, each in full."""
    return Grant(_in_order(state.open, range(len(state.open)), supply))


def strategic_first(state: Open, supply: int) -> Grant:
    """Strategic partners first, each group in the order of submission."""
    return Grant(_in_order(state.open, _sorted(state, lambda entry: not entry.strategic), supply))


def non_competitors_first(state: Open, supply: int) -> Grant:
    """Who competes with the seller comes last."""
    return Grant(_in_order(state.open, _sorted(state, lambda entry: entry.competitor), supply))


def deployable_cap(state: Open, supply: int) -> Grant:
    """Proportional, but to nobody more than it can put to use; what is left stays with the seller."""
    return Grant(_shares(state.usable, supply))


def max_min(state: Open, supply: int) -> Grant:
    """Uniform: fill all groups alike until each has what it asked for (affiliates count as one)."""
    names = [entry.group or entry.tenant for entry in state.requests]
    groups = list(dict.fromkeys(names))
    at = np.array([groups.index(name) for name in names], dtype=np.int64)
    wanted = np.bincount(at, weights=state.open, minlength=len(groups)).astype(np.int64)
    held = np.bincount(at, weights=state.held, minlength=len(groups)).astype(np.int64)
    given = _fill(wanted, held, supply)
    units = np.zeros_like(state.open)
    for number in range(len(groups)):
        mine = np.flatnonzero(at == number)
        units[mine] = _shares(state.open[mine], int(given[number]))
    return Grant(units)


def reservation_fee(state: Open, supply: int) -> Grant:
    """First come among those to whom a unit is worth price and fee, for units that they can use: nobody pays a fee to
    hoard."""
    worth = np.array([entry.bid >= state.terms.price + state.terms.fee for entry in state.requests])
    return Grant(
        _in_order(np.where(worth, state.usable, 0), range(len(worth)), supply), state.terms.price + state.terms.fee
    )


def auction(state: Open, supply: int) -> Grant:
    """Highest bids first, all at one price: the highest bid that lost, at least the reserve."""
    reserve = state.terms.price
    wanted = np.where([entry.bid >= reserve for entry in state.requests], state.usable, 0)
    units = _in_order(wanted, _sorted(state, lambda entry: -entry.bid), supply)
    lost = [entry.bid for entry, want, got in zip(state.requests, wanted, units, strict=True) if got < want]
    return Grant(units, max([reserve, *lost]))


RULES: Mapping[str, Rule] = {
    "proportional": proportional,
    "first-come": first_come,
    "strategic-first": strategic_first,
    "non-competitors-first": non_competitors_first,
    "deployable-cap": deployable_cap,
    "max-min": max_min,
    "reservation-fee": reservation_fee,
    "auction": auction,
}


@dataclass(frozen=True)
class Outcome:
    """A rule played to its end, columns in the order of the requests: units `granted` in each period (shape (periods,
    requests)), the money `paid`, and the units that are with the seller after each period (`kept`)."""

    rule: str
    requests: tuple[Request, ...]
    granted: Units
    paid: NDArray[np.float64]
    kept: Units


def play(requests: Sequence[Request], supply: Sequence[int], rule: str, terms: Terms | None = None) -> Outcome:
    """Divide `supply` (units that come in each period) among the requests by the named rule.

    What stays with the seller in one period is on offer in the next. Raises InputError for an unknown rule.
    """
    if rule not in RULES:
        raise InputError(f"there is no rule {rule!r}: give one of {', '.join(RULES)}")
    if not requests or not supply or min(supply) < 0:
        raise InputError("a comparison needs at least one request, and supply of 0 or more units in each period")
    terms = terms or Terms()
    ordered = tuple(sorted(requests, key=lambda entry: entry.submit))
    granted = np.zeros((len(supply), len(ordered)), dtype=np.int64)
    paid = np.zeros(len(ordered))
    kept = np.zeros(len(supply), dtype=np.int64)
    left = 0
    asked = np.array([entry.units for entry in ordered], dtype=np.int64)
    for period, units in enumerate(supply):
        there = left + units
        here = [place for place, entry in enumerate(ordered) if entry.submit <= period]
        held = granted[:, here].sum(axis=0)
        state = Open([ordered[place] for place in here], asked[here] - held, held, terms)
        grant = RULES[rule](state, there)
        granted[period, here] = grant.units
        paid[here] += grant.units * (terms.price if grant.price is None else grant.price)
        left = there - int(grant.units.sum())
        kept[period] = left
    return Outcome(rule, ordered, granted, paid, kept)


def _sorted(state: Open, key: Callable[[Request], float]) -> list[int]:
    return sorted(range(len(state.requests)), key=lambda place: (key(state.requests[place]), place))


def _in_order(wanted: Units, order: Sequence[int], supply: int) -> Units:
    units = np.zeros_like(wanted)
    for place in order:
        units[place] = min(int(wanted[place]), supply)
        supply -= int(units[place])
    return units


def _shares(wanted: Units, supply: int) -> Units:
    """Whole units in proportion (largest remainders, ties by place); all of them where there is enough."""
    total = int(wanted.sum())
    if total <= supply:
        return wanted.copy()
    exact = wanted * supply  # over total; whole numbers stay exact
    units: Units = exact // total
    rest = supply - int(units.sum())
    order = sorted(range(len(wanted)), key=lambda place: (-int(exact[place] % total), place))
    for place in order[:rest]:
        units[place] += 1
    return units


def _fill(wanted: Units, held: Units, supply: int) -> Units:
    """Progressive filling: raise the least held first, whole units, until nobody wants more or nothing is left."""
    given = np.zeros_like(wanted)
    while supply > 0 and (unmet := np.flatnonzero(wanted > given)).size:
        level = (held + given)[unmet]
        low = unmet[level == level.min()]
        above = level[level > level.min()]
        step = min(int((wanted - given)[low].min()), supply // len(low))
        if above.size:
            step = min(step, int(above.min() - level.min()))
        if step == 0:  # fewer units than groups at the lowest level
            given[low[:supply]] += 1
            break
        given[low] += step
        supply -= step * len(low)
    return given
