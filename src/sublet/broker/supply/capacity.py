"""Count nodes and node-hours: pure functions over nodes and the bookings that hold them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from sublet.broker.bookings.values import Booking, Kind
from sublet.broker.supply.values import Capacity, Contract, Node, NodeState, Position
from sublet.units import Money

_MICROSECONDS_PER_HOUR = 3_600_000_000


def count(
    nodes: Iterable[Node], held: Mapping[str, Booking], running: Collection[str] | None = None
) -> tuple[Capacity, ...]:
    """The delivered `nodes` by provider and shape; `held`: node -> the booking that holds it at that instant."""
    groups: dict[tuple[str, str, str, int], list[Node]] = defaultdict(list)
    for node in nodes:
        if node.state is not NodeState.RETURNED:
            groups[node.provider, node.shape, node.accelerator, node.accelerators_per_node].append(node)
    rows = []
    for (provider, shape, accelerator, per_node), members in sorted(groups.items()):
        taken = {node.id: held[node.id] for node in members if node.id in held}
        leased = [booking for booking in taken.values() if booking.kind is Kind.LEASE]
        out = {node_id for node_id, booking in taken.items() if booking.kind is not Kind.LEASE}
        rows.append(
            Capacity(
                provider=provider,
                shape=shape,
                accelerator=accelerator,
                accelerators_per_node=per_node,
                delivered=len(members),
                healthy=sum(node.state is NodeState.HEALTHY and node.id not in out for node in members),
                reserved=len(leased),
                in_use=sum(running is None or booking.holder in running for booking in leased),
                free=sum(node.is_open and node.id not in taken for node in members),
                out=len(out),
            )
        )
    return tuple(rows)


def position(
    contract: Contract,
    owned: Sequence[tuple[Node, datetime | None]],
    held: Mapping[str, Sequence[Booking]],
    at: datetime,
) -> Position:
    """How a contract stands at `at`. `owned`: its nodes, each with the day it was returned; `held`: their bookings."""
    bought = delivered = reserved = Decimal(0)
    cost = Money(Decimal(0), contract.price_per_node_hour.currency)
    for node, returned_at in owned:
        end = node.ends_at if returned_at is None else returned_at
        bought += hours(end - node.starts_at)
        so_far = hours(min(end, at) - node.starts_at)
        delivered += so_far
        cost += node.price_per_node_hour * so_far
        for booking in held[node.id]:
            if booking.kind is Kind.LEASE:
                reserved += hours(min(booking.ends_at, at) - booking.starts_at)
    short = max(contract.minimum_node_hours - bought, Decimal(0))
    return Position(contract.id, bought, delivered, reserved, short, cost, contract.price_per_node_hour * short)


def hours(span: timedelta) -> Decimal:
    """Hours of a span, exactly up to the 28 digits of Decimal; 0 for one that runs backwards."""
    return max(Decimal(span // timedelta(microseconds=1)) / _MICROSECONDS_PER_HOUR, Decimal(0))
