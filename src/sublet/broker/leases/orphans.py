"""Nodes at a provider that carry a tag of ours and that no lease wants: found, reported, and reclaimed by rule.

The rule: a node whose tag names a lease of this database that is over, or that never asked for it, is reclaimed after a
while; so is one that was made in a maintenance window, to be measured, once that is over. A node with a tag that we
never gave is only reported: another broker may share the account, or this database may be an older copy of itself. A
person decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from sublet.broker.audit import log as audit
from sublet.broker.bookings import service as bookings
from sublet.broker.bookings.values import Kind
from sublet.broker.leases.effects import Desk
from sublet.broker.leases.observe import Line
from sublet.broker.leases.states import FINAL, State
from sublet.broker.leases.tables import IntentRow, LeaseRow, OrphanRow, SlotRow
from sublet.broker.tenants.values import SYSTEM
from sublet.providers.protocol import NodeRef, ProviderUnavailable, UnknownRef

EVERY = timedelta(seconds=30)

_O = OrphanRow.__table__.c


@dataclass(frozen=True)
class Orphan:
    """A node that no lease wants."""

    provider: str
    ref: str
    tag: str
    why: str
    ours: bool  # the tag names a lease of this database
    found_at: datetime
    seen_at: datetime
    asked_at: datetime | None
    gone_at: datetime | None


def scan(desk: Desk, line: Line, now: datetime) -> int:
    """Compare the provider's whole inventory with the leases; returns how many orphans there are now."""
    try:
        inventory = line.provider.inventory()
    except ProviderUnavailable:
        line.failures += 1
        return 0
    name = line.provider.name
    with desk.database.reading() as session:
        strays = unwanted(session, name, inventory.nodes, now)
        open_ = {orphan.ref: orphan for orphan in listed(session, provider=name)}
    if not strays and not open_:
        return 0
    due = desk.database.run(lambda session: _note(session, name, strays, now, desk.policy.orphan_after))
    for ref in due:
        try:
            line.provider.terminate(ref)
        except ProviderUnavailable:
            line.failures += 1
            break
    gone = [ref for ref in open_ if _is_gone(line, ref)]
    if gone:
        desk.database.run(lambda session: _gone(session, name, gone, now))
    return len(strays)


def unwanted(
    session: Session, provider: str, nodes: Iterable[NodeRef], now: datetime
) -> dict[str, tuple[str, str, bool]]:
    """ref -> (tag, why, whether the tag is ours) of those nodes that no lease wants."""
    nodes = list(nodes)
    wanted = set(
        session.scalars(
            select(SlotRow.ref)
            .join(LeaseRow, LeaseRow.id == SlotRow.lease_id)
            .where(SlotRow.current, SlotRow.ref != "", LeaseRow.provider == provider, LeaseRow.state.not_in(_OVER))
        )
    )
    loose = [node for node in nodes if node.ref not in wanted]
    if not loose:
        return {}
    tags = {node.tag for node in loose}
    leases = {
        row.tag: row
        for row in session.execute(select(LeaseRow.tag, LeaseRow.id, LeaseRow.state).where(LeaseRow.tag.in_(tags)))
    }
    going = set(
        session.scalars(select(IntentRow.ref).where(IntentRow.kind == "terminate", IntentRow.done_at.is_(None)))
    )
    found = {}
    for node in loose:
        lease = leases.get(node.tag)
        if lease is None:
            windows = [held for held in bookings.of_holder(session, holder=node.tag) if held.kind is Kind.MAINTENANCE]
            if any(held.released_at is None and held.ends_at > now for held in windows):
                continue  # it is being measured
            why = f"maintenance window {node.tag} is over" if windows else "its tag names no lease of this broker"
            found[node.ref] = (node.tag, why, bool(windows))
        elif lease.state in _OVER:
            found[node.ref] = (node.tag, f"its lease {lease.id} is {lease.state}", True)
        elif node.ref not in going and lease.state in _SETTLED_IN:
            found[node.ref] = (node.tag, f"lease {lease.id} does not know it", True)
    return found


_OVER = [state.value for state in (*FINAL, State.TERMINATED)]
_SETTLED_IN = [state.value for state in (State.ACTIVE, State.DEGRADED)]  # otherwise the lease itself looks by tag


def listed(session: Session, *, provider: str | None = None, gone: bool = False) -> tuple[Orphan, ...]:
    """Orphans that are known (and, with `gone`, those that were), oldest first."""
    query = select(*_O).order_by(_O.found_at, _O.ref)
    if provider is not None:
        query = query.where(_O.provider == provider)
    if not gone:
        query = query.where(_O.gone_at.is_(None))
    return tuple(Orphan(**row._mapping) for row in session.execute(query))


def _note(
    session: Session, provider: str, strays: dict[str, tuple[str, str, bool]], now: datetime, after: timedelta
) -> list[str]:
    """Write down what was found; returns those that are to be taken back now (and says so first)."""
    known = {orphan.ref: orphan for orphan in listed(session, provider=provider, gone=True)}
    due = []
    for ref, (tag, why, ours) in strays.items():
        orphan = known.get(ref)
        if orphan is None:
            values = {"found_at": now, "seen_at": now, "asked_at": None, "gone_at": None}
            session.execute(insert(OrphanRow).values(provider=provider, ref=ref, tag=tag, why=why, ours=ours, **values))
            _audit(session, ref, "found", why, now)
            continue
        row = (OrphanRow.provider == provider, OrphanRow.ref == ref)
        values = {"seen_at": now, "gone_at": None}
        if ours and now - orphan.found_at >= after and (orphan.asked_at is None or now - orphan.asked_at >= after):
            values["asked_at"] = now
            due.append(ref)
            _audit(session, ref, "reclaimed", why, now)
        session.execute(update(OrphanRow).where(*row).values(**values))
    return due


def _is_gone(line: Line, ref: str) -> bool:
    try:
        return line.provider.describe(ref).state == "gone"
    except UnknownRef:
        return line.provider.capabilities().proves_absence
    except ProviderUnavailable:
        return False


def _gone(session: Session, provider: str, refs: Iterable[str], now: datetime) -> None:
    for ref in refs:
        session.execute(
            update(OrphanRow).where(OrphanRow.provider == provider, OrphanRow.ref == ref).values(gone_at=now)
        )
        _audit(session, ref, "gone", "the provider shows that it is gone", now)


def _audit(session: Session, ref: str, outcome: str, why: str, now: datetime) -> None:
    audit.record(session, actor=SYSTEM, action="orphan", target=ref[:100], outcome=outcome, reason=why, now=now)
