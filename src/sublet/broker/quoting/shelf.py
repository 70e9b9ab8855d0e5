"""What stands on the shelf: nodes that take bookings, by kind, with their price by the operator's margin rule."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_CEILING, Decimal

from sqlalchemy.orm import Session

from sublet.broker.billing import prices
from sublet.broker.proving import service as proving
from sublet.broker.quoting.values import Sale
from sublet.broker.supply import service as supply
from sublet.broker.supply.values import Node
from sublet.units import Money

PLACES = Decimal("0.000001")  # of a price per accelerator-hour


def shelf(session: Session, *, now: datetime) -> tuple[Sale, ...]:
    """Every kind of node that could be leased now or later. Nodes of one kind are sold at the cost of the dearest."""
    kinds: dict[tuple[str, str, str, int, str, str], list[Node]] = defaultdict(list)
    for node in supply.nodes(session):
        if node.is_open and node.ends_at > now and node.accelerators_per_node > 0:
            kinds[
                node.accelerator,
                node.shape,
                node.provider,
                node.accelerators_per_node,
                node.region,
                node.price_per_node_hour.currency,
            ].append(node)
    return tuple(_sale(session, nodes, now) for _, nodes in sorted(kinds.items()))


def _sale(session: Session, nodes: Sequence[Node], now: datetime) -> Sale:
    first = nodes[0]
    dearest = max((node.price_per_node_hour for node in nodes), key=lambda money: money.amount)
    cost = dearest / first.accelerators_per_node
    price = prices.price(session, accelerator=first.accelerator, cost_per_accelerator_hour=cost, at=now)
    per_hour = price.per_accelerator_hour
    clusters = Counter(node.cluster for node in nodes)
    return Sale(
        accelerator=first.accelerator,
        shape=first.shape,
        provider=first.provider,
        region=first.region,
        accelerators_per_node=first.accelerators_per_node,
        largest=max(clusters.values()),
        price=Money(per_hour.amount.quantize(PLACES, ROUND_CEILING), per_hour.currency),
        rule=price.sentence,
        measured=proving.slowest(session, [node.id for node in nodes]),
    )
