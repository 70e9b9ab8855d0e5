"""Caps kept: what tenants hold at each instant, present and booked, against the most that they may.

What counts is the calendar: a node booked for a lease counts from the start to the end of its booking, whoever serves
on it. Every check is made in the transaction that books, and there is one writer at a time (`storage.engine`), so two
orders can never take the same room. Invariant: no tenant is over a cap at any instant from now on; a cap that is passed
already is refused rather than stored.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from sublet.broker.bookings import service as bookings
from sublet.broker.errors import Conflict
from sublet.broker.leases.tables import LeaseRow
from sublet.broker.orders.values import Blocked
from sublet.broker.tenants import caps as tenant_caps
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import Actor, Cap, Limit, Organisation
from sublet.storage.clock import utc

FOREVER = dt.datetime.max.replace(tzinfo=dt.UTC)


@dataclass(frozen=True)
class Holding:
    """One node booked for a lease over [start, end)."""

    start: dt.datetime
    end: dt.datetime
    organisation: str
    project: str
    accelerators: int


@dataclass(frozen=True)
class Level:
    """How much is held over [start, end)."""

    start: dt.datetime
    end: dt.datetime
    nodes: int
    accelerators: int


@dataclass(frozen=True)
class Status:
    """A limit and how it is used: now, and at the most from now on."""

    limit: Limit
    nodes: int
    accelerators: int
    most_nodes: int
    most_accelerators: int
    most_at: dt.datetime  # when the most nodes are held, the first time


# --- counting: values in, values out ---------------------------------------------------------------------------------


def levels(holdings: Iterable[Holding], after: dt.datetime) -> list[Level]:
    """What is held from `after` on, as adjoining stretches of constant use, the last of them without an end."""
    changes: dict[dt.datetime, list[int]] = defaultdict(lambda: [0, 0])
    for held in holdings:
        start, end = max(held.start, after), held.end
        if start < end:
            for at, sign in ((start, 1), (end, -1)):
                changes[at][0] += sign
                changes[at][1] += sign * held.accelerators
    found, nodes, accelerators, at = [], 0, 0, after
    for instant in sorted(changes):
        if instant > at:
            found.append(Level(at, instant, nodes, accelerators))
        nodes, accelerators, at = nodes + changes[instant][0], accelerators + changes[instant][1], instant
    return [*found, Level(at, FOREVER, nodes, accelerators)]


def of_limit(limit: Limit, holdings: Iterable[Holding]) -> list[Holding]:
    """Those that count against a limit."""
    return [
        held for held in holdings if held.organisation in limit.organisations and limit.project in (None, held.project)
    ]


def blocked(limit: Limit, use: Sequence[Level], nodes: int, accelerators: int) -> list[Blocked]:
    """The spans in which `nodes` more nodes with `accelerators` in all would pass the limit, and the words for it."""
    found = []
    for level in use:
        for dimension, most, held, more in (
            ("nodes", limit.nodes, level.nodes, nodes),
            ("accelerators", limit.accelerators, level.accelerators, accelerators),
        ):
            if most is not None and held + more > most:
                sentence = (
                    f"{limit.name} may hold {most} {dimension} at once: {held} are held or booked"
                    f" {_when(level)}, and this asks for {more} more"
                )
                found.append(
                    Blocked(level.start, level.end, sentence, f"{limit.kind} {dimension}", str(most), str(held))
                )
                break
    return found


def _when(level: Level) -> str:
    if level.end == FOREVER:
        return f"from {level.start:%Y-%m-%d %H:%M} UTC on"
    return f"from {level.start:%Y-%m-%d %H:%M} to {level.end:%Y-%m-%d %H:%M} UTC"


# --- what is held ----------------------------------------------------------------------------------------------------


def holdings(
    session: Session, *, organisations: Collection[str] | None = None, after: dt.datetime
) -> tuple[Holding, ...]:
    """Every node booked for a lease (of these organisations) at `after` or later."""
    query = select(LeaseRow.id, LeaseRow.organisation_id, LeaseRow.project_id, LeaseRow.accelerators_per_node).where(
        LeaseRow.ends_at > after
    )
    if organisations is not None:
        query = query.where(LeaseRow.organisation_id.in_(list(organisations)))
    leases = {row.id: row for row in session.execute(query)}
    return tuple(
        Holding(
            booking.starts_at,
            booking.ends_at,
            leases[booking.holder].organisation_id,
            leases[booking.holder].project_id,
            leases[booking.holder].accelerators_per_node,
        )
        for booking in bookings.of_holders(session, holders=leases, after=after)
    )


def spans(session: Session, project: str, nodes: int, accelerators: int, now: dt.datetime) -> tuple[Blocked, ...]:
    """When, from now on, a project may not hold so much more, in order of start; () where it always may.

    `nodes` more nodes with `accelerators` accelerators in all. For rooms: `orders` asks it before it places anything.
    """
    known = tenant_caps.limits(session, project=project)
    if not known:
        return ()
    wanted = {organisation for limit in known for organisation in limit.organisations}
    held = holdings(session, organisations=wanted, after=utc(now))
    found = [
        span for limit in known for span in blocked(limit, levels(of_limit(limit, held), utc(now)), nodes, accelerators)
    ]
    return tuple(sorted(found, key=lambda span: (span.start, span.end)))


def check(
    session: Session,
    project: str,
    nodes: int,
    accelerators: int,
    start: dt.datetime,
    end: dt.datetime,
    *,
    now: dt.datetime,
) -> None:
    """Refused (dimension, limit, use) where a project may not hold so much more over [start, end)."""
    for span in spans(session, project, nodes, accelerators, now):
        if span.start < end and span.end > start:
            raise span.refusal()


def overruns(session: Session, *, now: dt.datetime) -> tuple[tuple[Limit, Level], ...]:
    """Limits that are passed, now or by what is booked, each with the first time: always empty. For `sublet doctor`."""
    known = tenant_caps.every_limit(session)
    return _overruns(known, holdings(session, after=utc(now)), now) if known else ()


def _overruns(limits: Iterable[Limit], held: Sequence[Holding], now: dt.datetime) -> tuple[tuple[Limit, Level], ...]:
    found = []
    for limit in limits:
        over = (
            level
            for level in levels(of_limit(limit, held), utc(now))
            if (limit.nodes is not None and level.nodes > limit.nodes)
            or (limit.accelerators is not None and level.accelerators > limit.accelerators)
        )
        found += [(limit, level) for level in [next(over, None)] if level is not None]
    return tuple(found)


# --- what the operator does ------------------------------------------------------------------------------------------


def set_cap(
    session: Session,
    *,
    kind: str,
    subject: str,
    nodes: int | None,
    accelerators: int | None,
    reason: str = "",
    actor: Actor,
    now: dt.datetime,
) -> Cap | None:
    """The operator caps what an organisation, a group of them or a project may hold at one instant.

    `kind`: "organisation", "group" or "project"; `subject`: its id, or the group's name. None in one dimension: no
    limit there; in both: no cap at all (returns None). Conflict where more is booked already: bookings never move.
    """
    stored = tenant_caps.store_cap(
        session,
        kind=kind,
        subject=subject,
        nodes=nodes,
        accelerators=accelerators,
        reason=reason,
        actor=actor,
        now=now,
    )
    _refuse_passed(session, now)
    return stored


def set_group(
    session: Session, organisation: str, group: str | None, *, reason: str = "", actor: Actor, now: dt.datetime
) -> Organisation:
    """The operator says that an organisation is one of an affiliated `group` (None: of none): they count as one.

    Conflict where together they have booked more than the group's cap.
    """
    changed = tenant_caps.store_group(session, organisation, group, reason=reason, actor=actor, now=now)
    _refuse_passed(session, now)
    return changed


def _refuse_passed(session: Session, now: dt.datetime) -> None:
    for limit, level in overruns(session, now=now):
        raise Conflict(
            f"{limit.name} holds {level.nodes} nodes with {level.accelerators} accelerators {_when(level)}: a cap below"
            " that cannot be kept, for bookings never move; end or shorten leases first"
        )


def status(session: Session, *, organisation: str | None = None, actor: Actor, now: dt.datetime) -> tuple[Status, ...]:
    """The limits that bear on an organisation (the actor's own, where none is named) and how far each is used.

    Of a group its members see the sum alone. NotFound for another tenant's organisation.
    """
    wanted = organisation if actor.everywhere or actor.role == "system" else organisation or actor.organisation
    permit(actor, "cap.read", organisation=wanted)
    if wanted is not None:
        tenants.organisation(session, wanted, actor=actor)
    known = [
        limit
        for limit in tenant_caps.every_limit(session)
        if (wanted is None or wanted in limit.organisations)
        and (limit.project is None or actor.project in (None, limit.project))
    ]
    held = holdings(session, after=utc(now)) if known else ()
    return tuple(_status(limit, levels(of_limit(limit, held), utc(now))) for limit in known)


def _status(limit: Limit, use: Sequence[Level]) -> Status:
    most = max(use, key=lambda level: level.nodes)
    return Status(
        limit=limit,
        nodes=use[0].nodes,
        accelerators=use[0].accelerators,
        most_nodes=most.nodes,
        most_accelerators=max(level.accelerators for level in use),
        most_at=most.start,
    )
