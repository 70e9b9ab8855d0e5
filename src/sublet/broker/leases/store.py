"""Rows of a lease to values and back, for one lease or for many at once.

Invariant: whoever writes a lease has seen its present version; `changed` refuses an older one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from sublet.broker.errors import NotFound
from sublet.broker.leases.states import FINAL, State
from sublet.broker.leases.tables import IntentRow, LeaseRow, SlotRow
from sublet.broker.leases.values import Lease, LeaseFacts, Lost, Member, Slot, SlotState
from sublet.broker.supply import service as supply
from sublet.broker.supply.values import NodeState
from sublet.errors import SubletError
from sublet.units import Money


class Overtaken(SubletError):
    """Somebody else changed the lease since it was read: read it again."""


_L, _S, _I = LeaseRow.__table__.c, SlotRow.__table__.c, IntentRow.__table__.c


def row_of(session: Session, lease_id: str) -> Any:
    """The lease's row; NotFound."""
    row = session.execute(select(*_L).where(_L.id == lease_id)).first()
    if row is None:
        raise NotFound("no such lease")
    return row


def facts_of(session: Session, lease_ids: Collection[str]) -> dict[str, LeaseFacts]:
    """What is stored about these leases, as `decide` takes it: a few queries for any number of leases."""
    wanted = list(lease_ids)
    slots: dict[str, list[Slot]] = defaultdict(list)
    creates: dict[str, Any] = {}
    lost: dict[str, list[Lost]] = defaultdict(list)
    for intent in session.execute(
        select(_I.key, _I.lease_id, _I.kind, _I.ref, _I.asked_at, _I.answered_at).where(
            _I.lease_id.in_(wanted), _I.done_at.is_(None)
        )
    ):
        if intent.kind == "create":
            creates[intent.key] = intent
        else:
            lost[intent.lease_id].append(Lost(intent.ref, intent.asked_at))
    rows = session.execute(select(*_SLOT).where(_S.lease_id.in_(wanted), _S.current).order_by(_S.number)).all()
    taken = _taken(session, [row for row in rows if row.state == SlotState.WANTED.value])
    held = [row.node_id for row in rows if row.state in _HOLDS_NODE]
    failed = (
        {node.id: node.reason for node in supply.nodes(session, node_ids=held, state=NodeState.FAILED)} if held else {}
    )
    for row in rows:
        others = taken.get(row.node_id, set()) - {row.lease_id}
        slots[row.lease_id].append(_slot(row, creates.get(row.key), failed.get(row.node_id), bool(others)))
    return {
        row.id: _facts(row, tuple(slots[row.id]), tuple(sorted(lost[row.id], key=lambda node: node.ref)))
        for row in session.execute(select(*_FACTS).where(_L.id.in_(wanted)))
    }


def leases_of(session: Session, rows: Sequence[Any]) -> tuple[Lease, ...]:
    """Leases for their reader, with their members, in the order of `rows`."""
    members: dict[str, list[Member]] = defaultdict(list)
    wanted = [row.id for row in rows]
    for slot in session.execute(select(*_S).where(_S.lease_id.in_(wanted)).order_by(_S.number, _S.generation)):
        members[slot.lease_id].append(
            Member(
                slot=slot.number,
                node_id=slot.node_id,
                state=SlotState(slot.state),
                current=slot.current,
                ref=slot.ref,
                address=slot.address,
                reason=slot.reason,
                serving_since=slot.serving_since,
                served_until=slot.served_until,
                certificate=slot.certificate,
            )
        )
    return tuple(_lease(row, tuple(members[row.id])) for row in rows)


def lease_of(session: Session, lease_id: str) -> Lease:
    """One lease for its reader; NotFound."""
    return leases_of(session, [row_of(session, lease_id)])[0]


def changed(session: Session, lease: LeaseFacts, **values: Any) -> int:
    """Write `values` to the lease that was read as `lease`, and return its new version; Overtaken where it is older."""
    result: CursorResult[Any] = session.execute(  # type: ignore[assignment]
        update(LeaseRow)
        .where(LeaseRow.id == lease.id, LeaseRow.version == lease.version)
        .values(version=lease.version + 1, **values)
        .execution_options(synchronize_session=False)
    )
    if result.rowcount != 1:
        raise Overtaken(f"lease {lease.id} was changed since it was read")
    return lease.version + 1


def touched(session: Session, lease: LeaseFacts) -> None:
    """As `changed`, with nothing to write but the version: built once, for it runs for each metering of each lease."""
    result: CursorResult[Any] = session.execute(_TOUCH, {"b_id": lease.id, "b_version": lease.version})  # type: ignore[assignment]
    if result.rowcount != 1:
        raise Overtaken(f"lease {lease.id} was changed since it was read")


@dataclass(frozen=True)
class Payer:
    """Of a lease, what a usage record says."""

    id: str
    organisation: str
    project: str
    provider: str
    accelerator: str
    accelerators_per_node: int
    accrued_at: datetime | None


def payer_of(session: Session, lease_id: str) -> Payer:
    """Who pays for a lease, without the rest of it."""
    return Payer(*session.execute(_PAYER, {"b_id": lease_id}).one())


def set_metered(session: Session, lease_id: str, number: int, until: datetime) -> None:
    """The present node of a slot is metered up to `until`."""
    session.execute(_METERED, {"b_id": lease_id, "b_number": number, "b_until": until})


def set_slots(session: Session, lease_id: str, numbers: Iterable[int], **values: Any) -> None:
    """Write `values` to the present node of these slots."""
    session.execute(
        update(SlotRow)
        .where(SlotRow.lease_id == lease_id, SlotRow.number.in_(list(numbers)), SlotRow.current)
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def set_accrued(session: Session, lease_id: str, at: datetime) -> None:
    """The lease's usage is in the ledger up to `at`."""
    session.execute(
        update(LeaseRow)
        .where(LeaseRow.id == lease_id)
        .values(accrued_at=at)
        .execution_options(synchronize_session=False)
    )


def by_slot(lease: LeaseFacts) -> Mapping[int, Slot]:
    """number -> slot."""
    return {slot.number: slot for slot in lease.slots}


_TOUCH = (
    update(cast(Table, LeaseRow.__table__))
    .where(_L.id == bindparam("b_id"), _L.version == bindparam("b_version"))
    .values(version=bindparam("b_version") + 1)
)
_METERED = (
    update(cast(Table, SlotRow.__table__))
    .where(_S.lease_id == bindparam("b_id"), _S.number == bindparam("b_number"), _S.current)
    .values(metered_until=bindparam("b_until"))
)
_PAYER = select(
    _L.id,
    _L.organisation_id,
    _L.project_id,
    _L.provider,
    _L.accelerator,
    _L.accelerators_per_node,
    _L.accrued_at,
).where(_L.id == bindparam("b_id"))
_HOLDS_NODE = frozenset(
    state.value for state in (SlotState.FOUND, SlotState.PASSED, SlotState.SERVING, SlotState.STOPPED)
)
_SLOT = (
    _S.lease_id,
    _S.number,
    _S.generation,
    _S.node_id,
    _S.state,
    _S.key,
    _S.ref,
    _S.reason,
    _S.serving_since,
    _S.metered_until,
    _S.search_at,
    _S.checks,
)
_FACTS = (
    _L.id,
    _L.provider,
    _L.tag,
    _L.state,
    _L.starts_at,
    _L.ends_at,
    _L.version,
    _L.changed_at,
    _L.before,
    _L.outcome,
    _L.active_at,
    _L.end_requested_at,
    _L.seen_at,
    _L.alerted_at,
    _L.stopped_at,
    _L.quiet_since,
)


_AT_PROVIDER = [
    s.value for s in (SlotState.ASKED, SlotState.FOUND, SlotState.PASSED, SlotState.SERVING, SlotState.STOPPED)
]
_OVER = [state.value for state in (*FINAL, State.TERMINATED)]


def _taken(session: Session, wanted: Sequence[Any]) -> dict[str, set[str]]:
    """Node -> the leases that have it at the provider, of those nodes that some lease wants and has not asked for.

    A lease has it that asked for it, and one that gave it up for as long as the provider shows it.
    """
    found: dict[str, set[str]] = defaultdict(set)
    if wanted:
        theirs = select(_S.node_id, _S.lease_id).where(_S.node_id.in_({row.node_id for row in wanted}))
        held = theirs.join(LeaseRow, _L.id == _S.lease_id).where(
            _S.current, _S.state.in_(_AT_PROVIDER), _L.state.not_in(_OVER)
        )
        leaving = theirs.join(IntentRow, _I.ref == _S.ref).where(
            _I.kind == "terminate", _I.lease_id == _S.lease_id, _I.done_at.is_(None)
        )
        for query in (held, leaving):
            for row in session.execute(query):
                found[row.node_id].add(row.lease_id)
    return found


def _slot(row: Any, intent: Any, failed: str | None, taken: bool) -> Slot:
    asked: datetime | None = None if intent is None else intent.asked_at
    return Slot(
        number=row.number,
        generation=row.generation,
        node_id=row.node_id,
        state=SlotState(row.state),
        key=row.key,
        ref=row.ref,
        asked_at=asked,
        answered=intent is not None and intent.answered_at is not None,
        serving_since=row.serving_since,
        metered_until=row.metered_until,
        search_at=row.search_at,
        checks=row.checks,
        reason=row.reason,
        failed="" if failed is None or row.state not in _HOLDS_NODE else failed or "it is called failed",
        taken=taken,
    )


def _facts(row: Any, slots: tuple[Slot, ...], lost: tuple[Lost, ...]) -> LeaseFacts:
    return LeaseFacts(
        id=row.id,
        provider=row.provider,
        tag=row.tag,
        state=State(row.state),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        slots=slots,
        version=row.version,
        changed_at=row.changed_at,
        before=None if row.before is None else State(row.before),
        outcome=None if row.outcome is None else State(row.outcome),
        active_at=row.active_at,
        end_requested_at=row.end_requested_at,
        seen_at=row.seen_at,
        alerted_at=row.alerted_at,
        stopped_at=row.stopped_at,
        quiet_since=row.quiet_since,
        lost=lost,
    )


def _lease(row: Any, members: tuple[Member, ...]) -> Lease:
    return Lease(
        id=row.id,
        organisation=row.organisation_id,
        project=row.project_id,
        order_id=row.order_id,
        quote_id=row.quote_id,
        provider=row.provider,
        shape=row.shape,
        accelerator=row.accelerator,
        accelerators_per_node=row.accelerators_per_node,
        nodes=row.nodes,
        state=State(row.state),
        reason=row.reason,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        created_at=row.created_at,
        price_per_accelerator_hour=Money(row.price, row.currency),
        active_at=row.active_at,
        ended_at=row.ended_at,
        end_requested_at=row.end_requested_at,
        ended_by=row.ended_by or "",
        seen_at=row.seen_at,
        accrued_at=row.accrued_at,
        version=row.version,
        terms=row.terms,
        members=members,
    )
