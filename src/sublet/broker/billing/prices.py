"""Prices: what a lease costs from when on, and the operator's margin rule that made the price.

Invariants: a price that time was served at never changes; a rule says from when it holds, and old ones stay readable.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from sublet.broker.audit.log import record
from sublet.broker.billing.rating import Rate
from sublet.broker.billing.tables import MarginRow, PriceRow
from sublet.broker.billing.values import Billed
from sublet.broker.errors import Invalid, NotFound
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import Actor
from sublet.storage import ids
from sublet.units import Money


@dataclass(frozen=True)
class MarginRule:
    """Price = cost x (1 + markup), and not below the floor (per accelerator-hour)."""

    id: str
    accelerator: str  # "": every accelerator that has no rule of its own
    markup: Decimal
    floor: Money | None
    starts_at: datetime
    actor: str


@dataclass(frozen=True)
class Price:
    """A price per accelerator-hour and the rule that made it, in words."""

    per_accelerator_hour: Money
    cost: Money
    rule: MarginRule
    sentence: str


def schedule(session: Session, lease: Billed) -> tuple[Rate, ...]:
    """The lease's prices, ascending: the accepted quote's, then those of its extensions.

    What was agreed later takes the place of all that was to begin at its start or after (a lease that was shortened and
    extended anew).
    """
    rates = [Rate(lease.starts_at, lease.price_per_accelerator_hour)]
    for row in session.scalars(select(PriceRow).where(PriceRow.lease_id == lease.id).order_by(PriceRow.id)):
        rates = [rates[0], *(rate for rate in rates[1:] if rate.starts_at < row.starts_at)]
        rates.append(Rate(row.starts_at, Money(row.rate, row.currency)))
    return tuple(rates)


def before(session: Session, lease: Billed, moment: datetime) -> Money:
    """The price of the last instant before `moment`: what time that is added there costs if nothing else is agreed."""
    held = schedule(session, lease)
    return next((rate.price for rate in reversed(held) if rate.starts_at < moment), held[0].price)


def agree(
    session: Session,
    lease: Billed,
    *,
    price_per_accelerator_hour: Money,
    starts_at: datetime,
    quote: str | None,
    now: datetime,
) -> None:
    """The price from `starts_at` on (an extension's quote), for good; what holds then already changes nothing.

    Raises Invalid for another currency, a price below zero, or a start that is over.
    """
    currency = lease.price_per_accelerator_hour.currency
    if price_per_accelerator_hour.currency != currency or price_per_accelerator_hour.amount < 0:
        raise Invalid(f"the price is {price_per_accelerator_hour}: zero or more, in {currency} as before")
    known = schedule(session, lease)
    if known[-1].starts_at <= starts_at and known[-1].price == price_per_accelerator_hour:
        return
    if starts_at < now:
        raise Invalid(f"a price from {starts_at.isoformat()} on comes too late: it is {now.isoformat()}")
    session.add(
        PriceRow(
            id=ids.new("prc", now),
            lease_id=lease.id,
            starts_at=starts_at,
            rate=price_per_accelerator_hour.amount,
            currency=price_per_accelerator_hour.currency,
            quote_id=quote,
            agreed_at=now,
        )
    )
    session.flush()


def set_margin(
    session: Session,
    *,
    markup: Decimal,
    floor: Money | None = None,
    accelerator: str = "",
    starts_at: datetime | None = None,
    actor: Actor,
    now: datetime,
) -> MarginRule:
    """A new margin rule from `starts_at` (now) on. Raises Invalid for a markup of -1 or less or a floor below zero."""
    permit(actor, "supply.write")
    if not markup.is_finite() or markup <= -1:
        raise Invalid(f"the markup is {markup}: a share of the cost above -1 is wanted, such as 0.25")
    if floor is not None and floor.amount < 0:
        raise Invalid(f"the floor is {floor}: zero or more is wanted")
    if starts_at is not None and starts_at < now:
        raise Invalid(f"a rule from {starts_at.isoformat()} on comes too late: it is {now.isoformat()}")
    row = MarginRow(
        id=ids.new("mrg", now),
        accelerator=accelerator,
        markup=markup,
        floor=floor.amount if floor else None,
        currency=floor.currency if floor else None,
        starts_at=starts_at or now,
        actor=actor.id,
    )
    session.add(row)
    session.flush()
    words = f"{accelerator or 'every accelerator'}: cost plus {_percent(markup)}" + (
        f", at least {floor}" if floor else ""
    )
    record(session, actor=actor, action="margin.set", target=row.id, outcome="done", reason=words, now=now)
    return _rule(row)


def margin_rules(session: Session, *, actor: Actor) -> tuple[MarginRule, ...]:
    """Every rule there ever was, oldest first. For the house."""
    permit(actor, "supply.read")
    return tuple(_rule(row) for row in session.scalars(select(MarginRow).order_by(MarginRow.id)))


def margin_rule(session: Session, accelerator: str, *, at: datetime) -> MarginRule:
    """The rule that holds for an accelerator: its own newest, else the newest for all. NotFound where there is none."""
    for name in (accelerator, ""):
        query = select(MarginRow).where(MarginRow.accelerator == name, MarginRow.starts_at <= at)
        row = session.scalars(query.order_by(MarginRow.starts_at.desc(), MarginRow.id.desc()).limit(1)).first()
        if row is not None:
            return _rule(row)
    raise NotFound(f"no margin rule holds for {accelerator}: the operator sets one first")


def price(session: Session, *, accelerator: str, cost_per_accelerator_hour: Money, at: datetime) -> Price:
    """What an accelerator-hour that costs us `cost_per_accelerator_hour` is sold for at that time.

    Raises NotFound without a rule, Invalid where the rule's floor is in another currency.
    """
    rule = margin_rule(session, accelerator, at=at)
    wanted = cost_per_accelerator_hour * (1 + rule.markup)
    sentence = f"{cost_per_accelerator_hour} cost plus {_percent(rule.markup)}"
    if rule.floor is not None:
        if rule.floor.currency != wanted.currency:
            raise Invalid(f"the floor of {accelerator} is {rule.floor} and its cost is in {wanted.currency}")
        if wanted < rule.floor:
            wanted, sentence = rule.floor, f"{sentence} is below the floor of {rule.floor}"
    return Price(wanted, cost_per_accelerator_hour, rule, sentence)


def _percent(share: Decimal) -> str:
    return f"{(share * 100).normalize():f} %"


def _rule(row: MarginRow) -> MarginRule:
    floor = Money(row.floor, row.currency) if row.floor is not None and row.currency else None
    return MarginRule(row.id, row.accelerator, row.markup, floor, row.starts_at, row.actor)
