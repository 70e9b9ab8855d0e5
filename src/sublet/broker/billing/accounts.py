"""The chart of accounts: six kinds, two of them one per party. Debits are above zero, credits below.

receivable:<organisation>   what a tenant owes us            (asset: debit)
payable:<provider>          what we owe a provider           (liability: credit)
revenue                     what tenants are charged         (income: credit)
cost                        what supply costs us             (expense: debit)
credits                     what was charged and given back  (contra income: debit)
tax                         what is owed to a tax office     (liability: credit)
"""

from __future__ import annotations

from sublet.broker.errors import Invalid

REVENUE, COST, CREDITS, TAX = "revenue", "cost", "credits", "tax"

KINDS: dict[str, str] = {
    "receivable": "debit",
    "payable": "credit",
    REVENUE: "credit",
    COST: "debit",
    CREDITS: "debit",
    TAX: "credit",
}
"""Kind -> the side on which its balance grows."""

_PER_PARTY = ("receivable", "payable")


def receivable(organisation: str) -> str:
    """What this tenant owes us."""
    return f"receivable:{organisation}"


def payable(provider: str) -> str:
    """What we owe this provider."""
    return f"payable:{provider}"


def check(account: str) -> str:
    """The account itself, or Invalid where it is not in the chart."""
    kind, colon, party = account.partition(":")
    if kind not in KINDS or bool(colon) != (kind in _PER_PARTY) or bool(party) != (kind in _PER_PARTY):
        raise Invalid(f"{account!r} is no account: it is {', '.join(KINDS)}, the first two with a party")
    return account
