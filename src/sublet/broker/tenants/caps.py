"""Caps as the operator sets them, and which of them bear on a project: no counting here, that needs the leases.

A cap limits nodes, accelerators or both, at one instant. It is set on an organisation (its own leases count), on a
project, or on a group: affiliated organisations then count as one. A group without a cap of its own has the largest of
its members' caps, so that to split orders over affiliates gains nothing; a member without a cap leaves it open.

Faces and rooms above set caps through `broker.leases.caps`, which refuses a cap that is passed already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from sublet.broker.audit.log import record
from sublet.broker.errors import Invalid, NotFound
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.service import named
from sublet.broker.tenants.tables import CapRow, OrganisationRow, ProjectRow
from sublet.broker.tenants.values import Actor, Cap, Limit, Organisation

KINDS = ("organisation", "group", "project")
MOST = 10_000_000  # nodes or accelerators: a guard against a slip of the finger


def store_cap(
    session: Session,
    *,
    kind: str,
    subject: str,
    nodes: int | None,
    accelerators: int | None,
    reason: str,
    actor: Actor,
    now: datetime,
) -> Cap | None:
    """Write a cap in place of the one before; with neither figure there is none from now on (returns None).

    `subject`: an organisation's or project's id, or a group's name. NotFound, Invalid.
    """
    permit(actor, "cap.write")
    if kind not in KINDS:
        raise Invalid(f"a cap of {kind!r}: it is of one of {', '.join(KINDS)}")
    for what, count in (("nodes", nodes), ("accelerators", accelerators)):
        if count is not None and not 0 <= count <= MOST:
            raise Invalid(f"a cap of {count} {what}: give 0 to {MOST:,}")
    subject = named(subject, "group") if kind == "group" else subject
    organisation, project = _whose(session, kind, subject)
    row = session.get(CapRow, (kind, subject))
    if nodes is None and accelerators is None:
        if row is not None:
            session.delete(row)
    elif row is None:
        row = CapRow(kind=kind, subject=subject)
        session.add(row)
    if row is not None and (nodes is not None or accelerators is not None):
        row.nodes, row.accelerators, row.reason = nodes, accelerators, reason
        row.set_at, row.set_by = now, actor.id
    session.flush()
    record(
        session,
        actor=actor,
        action="cap.set",
        target=subject,
        outcome="done" if nodes is not None or accelerators is not None else "removed",
        reason=reason,
        details={"kind": kind, "nodes": nodes, "accelerators": accelerators},
        organisation=organisation,
        project=project,
        now=now,
    )
    return _cap(row) if row is not None and (nodes is not None or accelerators is not None) else None


def store_group(
    session: Session, organisation: str, group: str | None, *, reason: str, actor: Actor, now: datetime
) -> Organisation:
    """Say with whom an organisation is affiliated: all of one group count as one for caps. None takes it out."""
    permit(actor, "cap.write", organisation=organisation)
    row = session.get(OrganisationRow, organisation)
    if row is None:
        raise NotFound("no such organisation")
    before, row.group = row.group, None if group is None else named(group, "group")
    session.flush()
    record(
        session,
        actor=actor,
        action="organisation.group",
        target=row.id,
        outcome="done",
        reason=reason,
        details={"from": before, "to": row.group},
        organisation=row.id,
        now=now,
    )
    return Organisation(row.id, row.name, row.kind, row.tier, row.created_at, row.group)


def caps(session: Session, *, organisation: str | None = None, actor: Actor) -> tuple[Cap, ...]:
    """The caps that bear on an organisation (its own, its projects', its group's); all of them for the house.

    Raises NotFound for another tenant's organisation.
    """
    wanted = organisation if actor.everywhere or actor.role == "system" else organisation or actor.organisation
    permit(actor, "cap.read", organisation=wanted)
    query = select(CapRow).order_by(CapRow.kind, CapRow.subject)
    if wanted is not None:
        row = session.get(OrganisationRow, wanted)
        if row is None:
            raise NotFound("no such organisation")
        projects = select(ProjectRow.id).where(ProjectRow.organisation_id == wanted)
        if actor.project is not None:
            projects = projects.where(ProjectRow.id == actor.project)
        query = query.where(
            or_(
                (CapRow.kind == "organisation") & (CapRow.subject == wanted),
                (CapRow.kind == "group") & (CapRow.subject == (row.group or "")),
                (CapRow.kind == "project") & CapRow.subject.in_(projects),
            )
        )
    return tuple(_cap(row) for row in session.scalars(query))


def limits(session: Session, *, project: str) -> tuple[Limit, ...]:
    """The caps that an order of this project must keep. For rooms, not for tenants."""
    row = session.get(ProjectRow, project)
    if row is None:
        raise NotFound("no such project")
    home = session.get_one(OrganisationRow, row.organisation_id)
    members = _members(session, home.group) if home.group is not None else ()
    names = [project, home.id, *(member.id for member in members)]
    known = {
        (cap.kind, cap.subject): cap
        for cap in session.scalars(
            select(CapRow).where(
                or_(CapRow.subject.in_(names), (CapRow.kind == "group") & (CapRow.subject == (home.group or "")))
            )
        )
    }
    found = []
    if cap := known.get(("project", project)):
        found.append(Limit("project", f"project {row.name!r}", (home.id,), project, cap.nodes, cap.accelerators))
    if cap := known.get(("organisation", home.id)):
        found.append(
            Limit("organisation", f"organisation {home.name!r}", (home.id,), None, cap.nodes, cap.accelerators)
        )
    if home.group is not None:
        found += _of_group(home.group, members, known.get(("group", home.group)), known)
    return tuple(found)


def every_limit(session: Session) -> tuple[Limit, ...]:
    """All the limits that there are, for whoever checks them. For rooms, not for tenants."""
    known = {(cap.kind, cap.subject): cap for cap in session.scalars(select(CapRow))}
    if not known:
        return ()
    homes = {row.id: row for row in session.scalars(select(OrganisationRow).order_by(OrganisationRow.id))}
    found = []
    for (kind, subject), cap in sorted(known.items()):
        if kind == "organisation":
            name = f"organisation {homes[subject].name!r}"
            found.append(Limit(kind, name, (subject,), None, cap.nodes, cap.accelerators))
        elif kind == "project":
            project = session.get_one(ProjectRow, subject)
            home = (project.organisation_id,)
            found.append(Limit(kind, f"project {project.name!r}", home, subject, cap.nodes, cap.accelerators))
    groups = {home.group for home in homes.values() if home.group is not None}
    for group in sorted(groups):
        members = [home for home in homes.values() if home.group == group]
        found += _of_group(group, members, known.get(("group", group)), known)
    return tuple(found)


# --- inside ----------------------------------------------------------------------------------------------------------


def _of_group(
    group: str, members: Sequence[OrganisationRow], own: CapRow | None, known: dict[tuple[str, str], CapRow]
) -> list[Limit]:
    ids = tuple(member.id for member in members)
    if own is not None:
        return [Limit("group", f"group {group!r}", ids, None, own.nodes, own.accelerators)]
    theirs = [known.get(("organisation", member)) for member in ids]
    nodes = _largest(None if cap is None else cap.nodes for cap in theirs)
    accelerators = _largest(None if cap is None else cap.accelerators for cap in theirs)
    if nodes is None and accelerators is None:
        return []
    return [Limit("group", f"group {group!r}", ids, None, nodes, accelerators)]


def _largest(figures: Iterable[int | None]) -> int | None:
    """The largest; None (no limit) where one of them has none."""
    known = list(figures)
    return None if None in known else max((figure for figure in known if figure is not None), default=None)


def _members(session: Session, group: str) -> Sequence[OrganisationRow]:
    query = select(OrganisationRow).where(OrganisationRow.group == group).order_by(OrganisationRow.id)
    return session.scalars(query).all()


def _whose(session: Session, kind: str, subject: str) -> tuple[str | None, str | None]:
    """Organisation and project of a cap's subject, for the audit log; NotFound where there is none."""
    if kind == "organisation":
        if session.get(OrganisationRow, subject) is None:
            raise NotFound("no such organisation")
        return subject, None
    if kind == "project":
        row = session.get(ProjectRow, subject)
        if row is None:
            raise NotFound("no such project")
        return row.organisation_id, row.id
    if not _members(session, subject):
        raise NotFound(f"no organisation is of a group {subject!r}")
    return None, None


def _cap(row: CapRow) -> Cap:
    return Cap(row.kind, row.subject, row.nodes, row.accelerators, row.reason, row.set_at, row.set_by)
