"""Count what /metrics shows, through the rooms' own doors."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from sqlalchemy.orm import Session

from sublet.api.metrics import FleetCount, Snapshot
from sublet.broker.audit import log
from sublet.broker.leases import service as leases
from sublet.broker.leases.states import SERVING, State
from sublet.broker.orders import line as orders
from sublet.broker.supply import service as supply

_COUNTED = ("delivered", "healthy", "reserved", "in_use", "free", "out")


def take(session: Session, now: datetime) -> Snapshot:
    """The fleet by shape, leases by state, how many orders wait, and how long the audit log is."""
    running = leases.running(session)
    states = Counter({state.value: 0 for state in State if state in SERVING}) + Counter(
        lease.state.value for lease in running
    )
    serving = {lease.id for lease in running if lease.state in SERVING}
    fleet = tuple(
        FleetCount(row.provider, row.shape, row.accelerator, {name: getattr(row, name) for name in _COUNTED})
        for row in supply.capacity(session, now, running=serving)
    )
    waiting = sum(len(orders.wants(session, shape)) for shape in orders.shapes(session))
    return Snapshot(fleet, dict(states), waiting=waiting, audit_entries=log.count(session))
