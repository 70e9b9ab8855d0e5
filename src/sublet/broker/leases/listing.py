"""A page of leases, fast: two statements that were built once, and no certificates.

Lists are what people and programs ask for most. Invariant: a page shows what `service.leases` would show, in the same
order, but for the certificates of its nodes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import JSON, Select, String, bindparam, func, select, type_coerce
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
    found = []
    for field in fields(of):
        if field.name not in left_out:
            column = table[_NAMES.get(field.name, field.name)]
            words = column.nullable and field.default == ""
            found.append(func.coalesce(column, "").label(column.name) if words else column)
    return found


_LEASE = [*_columns(Lease, _L, (_MEMBERS,)), _L["currency"]]
_SLOT = [_S["lease_id"], *_columns(Member, _S, ("certificate",))]


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
    slots = session.connection().execute(_slots(wanted), {**known, "last": rows[-1].id}).all()
    if slots:
        owners, *columns = _read(slots, _SLOT_READERS)
        for owner, member in zip(owners, map(Member, *columns), strict=True):
            members[owner].append(member)
    *columns, currencies = _read(rows, _LEASE_READERS)
    columns[_COST] = [*map(Money, columns[_COST], currencies)]
    return tuple(map(Lease, *columns, [tuple(members[lease]) for lease in columns[0]]))


def _read(rows: Sequence[Any], readers: list[tuple[int, Callable[[Any], Any]]]) -> list[Sequence[Any]]:
    """The columns of the rows, with values as the rooms have them: a page has hundreds of values, and few columns."""
    columns: list[Sequence[Any]] = [*zip(*rows, strict=True)]
    for index, read in readers:
        columns[index] = [value if value is None else read(value) for value in columns[index]]
    return columns


def _moment(value: Any) -> datetime:
    """A moment as the driver gave it: SQLite's text (UTC, without saying so), PostgreSQL's datetime."""
    return datetime.fromisoformat(value + "+00:00") if isinstance(value, str) else value


def _document(value: Any) -> Any:
    """A document as the driver gave it: SQLite's text, PostgreSQL's values."""
    return msgspec.json.decode(value) if isinstance(value, str) else value


def _raw(column: Any) -> Any:
    """The column as the driver gives it, where its values are read here."""
    plain = isinstance(column.type, UTCDateTime | JSON)
    return type_coerce(column, String).label(column.name) if plain else column


def _readers(columns: list[Any], states: type[Enum]) -> list[tuple[int, Callable[[Any], Any]]]:
    """What makes the rooms' value of each column that needs it, by the column's place in a row."""
    found: list[tuple[int, Callable[[Any], Any]]] = []
    known = {state.value: state for state in states}
    for index, column in enumerate(columns):
        if isinstance(column.type, UTCDateTime):
            found.append((index, _moment))
        elif isinstance(column.type, JSON):
            found.append((index, _document))
        elif column.name == "state":
            found.append((index, known.__getitem__))
    return found


_LEASE_READERS = _readers(_LEASE, State)
_SLOT_READERS = _readers(_SLOT, SlotState)
_COST = next(index for index, column in enumerate(_LEASE) if column.name == _NAMES[_PRICE])


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
