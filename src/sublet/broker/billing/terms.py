"""What the terms of a quote say about money beside the price. Pure.

early_end_refund   share of the time booked and not used that is not charged when the tenant ends early (1: all)
lost_time_credit   share of the price of time that a dead node lost, given as credit on top (0: that time is free)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from sublet.broker.errors import Invalid

TENANT, TIME, PROVIDER, OPERATOR = "tenant", "time", "provider", "operator"

ENDED_BY: Mapping[str, str] = {
    TENANT: "the tenant ended it early",
    TIME: "its time was up",
    PROVIDER: "the provider could not go on",
    OPERATOR: "the operator ended it",
}
"""Who ended a lease, in words. Only the tenant is charged for ending early."""


@dataclass(frozen=True)
class Terms:
    """The rules of one lease; see the module."""

    early_end_refund: Decimal = Decimal(1)
    lost_time_credit: Decimal = Decimal(0)


def parse(terms: Mapping[str, object]) -> Terms:
    """The money rules among a quote's terms; what is absent has its default, other terms are not money's business.

    Raises Invalid for a share that is no number (a float is none: write "0.5") or lies outside of its bounds.
    """
    return Terms(
        early_end_refund=_share(terms, "early_end_refund", Decimal(1), most=Decimal(1)),
        lost_time_credit=_share(terms, "lost_time_credit", Decimal(0), most=Decimal(100)),
    )


def _share(terms: Mapping[str, object], name: str, default: Decimal, *, most: Decimal) -> Decimal:
    given = terms.get(name)
    if given is None:
        return default
    try:
        if isinstance(given, bool) or not isinstance(given, str | int | Decimal):
            raise InvalidOperation
        share = Decimal(given)
        if not (share.is_finite() and 0 <= share <= most and len(share.as_tuple().digits) <= 12):
            raise InvalidOperation
    except InvalidOperation as error:
        raise Invalid(f'{name} is {given!r}: a share between 0 and {most} is wanted, such as "0.5"') from error
    return share
