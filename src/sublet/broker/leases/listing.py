"""A page of leases, fast: two statements that were built once, and no certificates.

Lists are what people and programs ask for most. Invariant: a page shows what `service.leases` would show, in the same
order, but for the certificates of its nodes.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from sublet.broker.leases.states import State
from sublet.broker.leases.tables import LeaseRow, SlotRow
from sublet.broker.leases.values import Lease, Member, SlotState
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import Actor
from sublet.units import Money

_L, _S = LeaseRow.__table__.c, SlotRow.__table__.c
_LEASE = (
    "id organisation_id project_id order_id quote_id provider shape accelerator accelerators_per_node nodes state"
    " reason starts_at ends_at created_at price currency active_at ended_at end_requested_at seen_at version terms"
).split()
_SLOT = "lease_id number node_id state current ref address reason serving_since served_until".split()


def page(
    session: Session,
    *,
    actor: Actor,
    project: str | None = None,
    state: State | str | None = None,
    after: str = "",
    limit: int = 100,
) -> tuple[Lease, ...]:
    """Leases that the actor may see, oldest first, from the id `after` on."""
    permit(actor, "lease.read", organisation=actor.organisation, project=project)
    known: dict[str, Any] = {"after": after}
    if not actor.everywhere and actor.role != "system":
        known["organisation"] = actor.organisation
    if (of := project or actor.project) is not None:
        known["project"] = of
    if actor.project is not None and project not in (None, actor.project):
        return ()
    if state is not None:
        known["state"] = State(state).value
    wanted = frozenset(known)
    rows = session.connection().execute(_leases(wanted), {**known, "most": limit}).all()
    if not rows:
        return ()
    members: dict[str, list[Member]] = defaultdict(list)
    for slot in session.connection().execute(_slots(wanted), {**known, "last": rows[-1].id}):
        lease, number, node, kind, current, ref, address, reason, since, until = slot
        members[lease].append(Member(number, node, SlotState(kind), current, ref, address, reason, since, until))
    return tuple(_lease(row, members) for row in rows)


def _lease(row: Any, members: dict[str, list[Member]]) -> Lease:
    return Lease(
        id=row[0],
        organisation=row[1],
        project=row[2],
        order_id=row[3],
        quote_id=row[4],
        provider=row[5],
        shape=row[6],
        accelerator=row[7],
        accelerators_per_node=row[8],
        nodes=row[9],
        state=State(row[10]),
        reason=row[11],
        starts_at=row[12],
        ends_at=row[13],
        created_at=row[14],
        price_per_accelerator_hour=Money(row[15], row[16]),
        active_at=row[17],
        ended_at=row[18],
        end_requested_at=row[19],
        seen_at=row[20],
        version=row[21],
        terms=row[22],
        members=tuple(members[row[0]]),
    )


_FILTERS = {
    "after": lambda: _L.id > bindparam("after"),
    "organisation": lambda: _L.organisation_id == bindparam("organisation"),
    "project": lambda: _L.project_id == bindparam("project"),
    "state": lambda: _L.state == bindparam("state"),
}


@cache
def _leases(wanted: frozenset[str]) -> Select[Any]:
    where = [_FILTERS[name]() for name in sorted(wanted)]
    return select(*(_L[name] for name in _LEASE)).where(*where).order_by(_L.id).limit(bindparam("most"))


@cache
def _slots(wanted: frozenset[str]) -> Select[Any]:
    """The nodes of the same leases, up to the last of the page: no list of ids to send."""
    where = [_FILTERS[name]() for name in sorted(wanted)]
    return (
        select(*(_S[name] for name in _SLOT))
        .join(LeaseRow.__table__, _L.id == _S.lease_id)
        .where(*where, _L.id <= bindparam("last"))
        .order_by(_S.lease_id, _S.number, _S.generation)
    )
