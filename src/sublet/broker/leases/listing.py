"""A page of leases, fast: two statements that were built once, and no certificates.

Lists are what people and programs ask for most. Invariant: a page shows what `service.leases` would show, in the same
order, but for the certificates of its nodes.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Select, String, bindparam, select, type_coerce
from sqlalchemy.orm import Session

from sublet.broker.leases.states import State
from sublet.broker.leases.tables import LeaseRow, SlotRow
from sublet.broker.leases.values import Lease, Member, SlotState
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import Actor
from sublet.storage.schema import UTCDateTime
from sublet.units import Money

_L, _S = LeaseRow.__table__.c, SlotRow.__table__.c
_PRICE, _MEMBERS = "price_per_accelerator_hour", "members"
_NAMES = {"organisation": "organisation_id", "project": "project_id", "slot": "number", _PRICE: "price"}


def _columns(of: type[Any], table: Any, left_out: tuple[str, ...]) -> list[Any]:
    """The column of each field of a value, in the order of its fields."""
    return [table[_NAMES.get(field.name, field.name)] for field in fields(of) if field.name not in left_out]


_LEASE = [*_columns(Lease, _L, (_MEMBERS,)), _L["currency"]]
_SLOT = [_S["lease_id"], *_columns(Member, _S, ("certificate",))]
_LEASE_FIELDS = [field.name for field in fields(Lease) if field.name != _MEMBERS]
_STATE, _COST = _LEASE_FIELDS.index("state"), _LEASE_FIELDS.index(_PRICE)
_LEASE_TIMES = [index for index, column in enumerate(_LEASE) if isinstance(column.type, UTCDateTime)]
_LEASE_WORDS = [_LEASE_FIELDS.index(field.name) for field in fields(Lease) if field.default == ""]
_SLOT_FIELDS = [field.name for field in fields(Member) if field.name != "certificate"]
_SLOT_STATE = _SLOT_FIELDS.index("state")
_SLOT_TIMES = [index - 1 for index, column in enumerate(_SLOT) if isinstance(column.type, UTCDateTime)]


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
    for lease, *slot in session.connection().execute(_slots(wanted), {**known, "last": rows[-1].id}):
        slot[_SLOT_STATE] = SlotState(slot[_SLOT_STATE])
        members[lease].append(Member(**dict(zip(_SLOT_FIELDS, _timed(slot, _SLOT_TIMES), strict=True))))
    return tuple(_lease(row, members) for row in rows)


def _lease(row: Any, members: dict[str, list[Member]]) -> Lease:
    *values, currency = row
    values[_STATE] = State(values[_STATE])
    values[_COST] = Money(values[_COST], currency)
    for index in _LEASE_WORDS:
        values[index] = values[index] or ""
    known = dict(zip(_LEASE_FIELDS, _timed(values, _LEASE_TIMES), strict=True))
    return Lease(**known, members=tuple(members[known["id"]]))


def _timed(values: list[Any], times: list[int]) -> list[Any]:
    for index in times:
        if values[index] is not None:
            values[index] = _moment(values[index])
    return values


def _moment(value: Any) -> datetime:
    """A moment as the driver gave it: SQLite's text (UTC, without saying so), PostgreSQL's datetime."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value + "+00:00")


def _raw(column: Any) -> Any:
    """The column as the driver gives it, where it holds a moment: a page has hundreds of them."""
    return type_coerce(column, String).label(column.name) if isinstance(column.type, UTCDateTime) else column


_FILTERS = {
    "after": lambda: _L.id > bindparam("after"),
    "organisation": lambda: _L.organisation_id == bindparam("organisation"),
    "project": lambda: _L.project_id == bindparam("project"),
    "state": lambda: _L.state == bindparam("state"),
}


@cache
def _leases(wanted: frozenset[str]) -> Select[Any]:
    where = [_FILTERS[name]() for name in sorted(wanted)]
    return select(*(_raw(column) for column in _LEASE)).where(*where).order_by(_L.id).limit(bindparam("most"))


@cache
def _slots(wanted: frozenset[str]) -> Select[Any]:
    """The nodes of the same leases, up to the last of the page: no list of ids to send."""
    where = [_FILTERS[name]() for name in sorted(wanted)]
    return (
        select(*(_raw(column) for column in _SLOT))
        .join(LeaseRow.__table__, _L.id == _S.lease_id)
        .where(*where, _L.id <= bindparam("last"))
        .order_by(_S.lease_id, _S.number, _S.generation)
    )
