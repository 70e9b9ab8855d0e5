"""Quality flags: what an offer's price should not be trusted for, and why.

A flag never hides an offer and never changes its price; it travels with the row to whoever ranks or reads it.
Invariant: the position of a name in FLAGS is its bit in a table's `flags` column, so names are only ever appended.
"""

from __future__ import annotations

from collections.abc import Iterable

# name -> what it means, for people
FLAGS: dict[str, str] = {
    "ambiguous-accelerator": "the spelling may mean several chips; all of them are listed",
    "unknown-accelerator": "nothing is known of that spelling",
    "not-accelerator": "a device that these jobs cannot run on (FPGA, video engine)",
    "foreign-currency": "not priced in US dollars; never ranked as dollars",
    "spot-above-on-demand": "the spot price is above the on-demand price of the same row",
    "spot-equals-on-demand": "the spot price equals the on-demand price: no spot market really",
    "placeholder": "not a price that anybody pays: an auction floor or a filler",
    "listed-only": "the source lists every type everywhere, whether it can be had or not",
    "several-prices": "the source states several prices for one key; each is kept as a variant of its own",
    "carried-forward": "the provider could not be read that day; the source repeated its last price",
    "accelerator-only": "the price of the accelerators without the machine that they need",
    "host-included": "the sum of an accelerator row and the row of its host machine",
    "undated": "the source has no date; the day the file was written stands in",
    "estimated": "the source says that it estimated the price",
    "extras-billed": "CPU, memory or storage are billed on top",
    "marketplace": "the cheapest live listing of a marketplace; what is provisioned usually costs more",
    "price-mismatch": "the row states a price per node and one per accelerator that do not agree",
    "stale": "last seen long before the day that is asked for",
    "outlier-low": "far below the median of the same accelerator on that day",
    "outlier-high": "far above the median of the same accelerator on that day",
    "sources-disagree": "another source has a clearly different price for the same thing",
}

BIT: dict[str, int] = {name: 1 << position for position, name in enumerate(FLAGS)}

# a number that nobody pays in dollars for the whole of it: never compared with prices
NOT_A_PRICE: frozenset[str] = frozenset({"placeholder", "foreign-currency", "accelerator-only", "not-accelerator"})
# a price that may be wrong by now or was never right: ranked below what is beyond doubt, or marked
DOUBTFUL: frozenset[str] = frozenset({"stale", "outlier-low", "sources-disagree", "price-mismatch", "estimated"})

# what depends on the day of the question and on what else stands then: never read from a file
OF_THE_DAY: frozenset[str] = frozenset({"stale", "outlier-low", "outlier-high", "sources-disagree"})


def bits(names: Iterable[str]) -> int:
    """The mask of some flags; KeyError for a name that is no flag."""
    mask = 0
    for name in names:
        mask |= BIT[name]
    return mask


def names(mask: int) -> tuple[str, ...]:
    """The flags of a mask, in the order of FLAGS."""
    return tuple(name for name, bit in BIT.items() if mask & bit)
