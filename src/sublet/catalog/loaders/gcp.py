"""GCP in SkyPilot's form: an accelerator row and a host row, and a node costs the sum of both.

Which host carries which accelerators is data (gcp_hosts.csv). An accelerator that can hang on many hosts (T4, V100 on
n1), or whose host has no price there, stays without: its price lacks the machine, and the offer is flagged so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from sublet.catalog import rules
from sublet.catalog.loaders.draft import amount, price_text


@dataclass(frozen=True)
class Node:
    """One accelerator row with one host, or without (`host` None)."""

    row: int
    host: int | None
    shape: str
    price: str
    spot: str


def nodes(
    accelerators: Sequence[int],
    hosts: Sequence[int],
    *,
    name: Sequence[str],
    count: Sequence[str],
    shape: Sequence[str],
    place: Sequence[str],
    price: Sequence[str],
    spot: Sequence[str],
) -> list[Node]:
    """Join the rows `accelerators` with the rows `hosts` of the same place; columns as in the sheet."""
    if not accelerators:
        return []
    standing = {(place[row], shape[row]): row for row in hosts}
    carriers = rules.gcp_hosts()
    found: list[Node] = []
    for row in accelerators:
        number = amount(count[row])
        wanted = carriers.get((name[row], int(number)), ()) if number == number else ()
        there = [standing[place[row], host] for host in wanted if (place[row], host) in standing]
        together = [
            Node(row, host, shape[host], total(price[row], price[host]), total(spot[row], spot[host])) for host in there
        ]
        whole = [node for node in together if node.price or node.spot]
        found += whole
        lonely_price = price[row] if not any(node.price for node in whole) else ""
        lonely_spot = spot[row] if not any(node.spot for node in whole) else ""
        if lonely_price or lonely_spot:
            found.append(Node(row, None, "", lonely_price, lonely_spot))
    return found


@lru_cache(maxsize=65536)
def total(accelerator: str, host: str) -> str:
    """The sum of two prices; "" where one of them is missing, zero or no price."""
    one, two = price_text(accelerator)[0], price_text(host)[0]
    return f"{Decimal(one) + Decimal(two):f}" if one and two else ""
