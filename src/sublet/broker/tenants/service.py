"""Organisations, projects and people: made, changed and read; every act is audited."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sublet.broker.audit.log import record
from sublet.broker.errors import Conflict, Forbidden, Invalid, NotFound
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.tables import OrganisationRow, PersonRow, ProjectRow
from sublet.broker.tenants.values import ROLES, Actor, Organisation, Person, Project
from sublet.storage import ids
from sublet.units import Money

TIERS = 9  # of priority: 0 is served first


def named(name: str, what: str) -> str:
    """A name without spaces around it; Invalid where it is empty, too long, or holds what cannot be printed."""
    plain = name.strip()
    if not plain or len(plain) > 200:
        raise Invalid(f"the {what}'s name has {len(plain)} letters: 1 to 200 are wanted")
    if not plain.isprintable():
        raise Invalid(f"the {what}'s name is {plain!r}: letters that can be printed are wanted, on one line")
    return plain


def create_organisation(
    session: Session, *, name: str, kind: str = "tenant", tier: int = 1, actor: Actor, now: datetime
) -> Organisation:
    """A new organisation. Raises Conflict where the name is taken, Invalid for an empty name or an unknown kind."""
    permit(actor, "organisation.create")
    if kind not in ("tenant", "operator"):
        raise Invalid(f"kind is {kind!r}: it is tenant or operator")
    if not 0 <= tier <= TIERS:
        raise Invalid(f"tier is {tier}: 0 (served first) to {TIERS}")
    row = OrganisationRow(
        id=ids.new("org", now), name=named(name, "organisation"), kind=kind, tier=tier, created_at=now
    )
    _insert(session, row, f"an organisation is called {row.name!r} already")
    record(session, actor=actor, action="organisation.create", target=row.id, outcome="done", reason=row.name, now=now)
    return _organisation(row)


def organisation(session: Session, id_: str, *, actor: Actor) -> Organisation:
    """One organisation; NotFound where it is not the actor's."""
    permit(actor, "organisation.read", organisation=id_)
    row = session.get(OrganisationRow, id_)
    if row is None:
        raise NotFound("no such organisation")
    return _organisation(row)


def organisations(session: Session, *, actor: Actor) -> tuple[Organisation, ...]:
    """Those that the actor may see, oldest first."""
    query = select(OrganisationRow).order_by(OrganisationRow.id)
    if not actor.everywhere and actor.role != "system":
        query = query.where(OrganisationRow.id == actor.organisation)
    return tuple(_organisation(row) for row in session.scalars(query))


def create_project(
    session: Session,
    *,
    organisation: str,
    name: str,
    budget: Money | None = None,
    needs_approval: bool = False,
    hard_stop: bool = True,
    actor: Actor,
    now: datetime,
) -> Project:
    """A new project. Raises Conflict where the organisation has one of that name, Invalid for a budget below zero."""
    permit(actor, "project.create", organisation=organisation)
    _refuse_bound(actor)
    if session.get(OrganisationRow, organisation) is None:
        raise NotFound("no such organisation")
    _check_budget(budget)
    row = ProjectRow(
        id=ids.new("prj", now),
        organisation_id=organisation,
        name=named(name, "project"),
        budget=budget.amount if budget else None,
        budget_currency=budget.currency if budget else None,
        needs_approval=needs_approval,
        hard_stop=hard_stop,
        created_at=now,
    )
    _insert(session, row, f"the organisation has a project {row.name!r} already")
    record(session, actor=actor, action="project.create", target=row.id, outcome="done", reason=row.name, now=now)
    return _project(row)


def update_project(
    session: Session,
    project: str,
    *,
    budget: Money | None = None,
    remove_budget: bool = False,
    needs_approval: bool | None = None,
    hard_stop: bool | None = None,
    actor: Actor,
    now: datetime,
) -> Project:
    """Change what is given; None leaves as it is. `remove_budget`: from now on the project has no limit of money."""
    row = _project_row(session, project)
    permit(actor, "project.update", organisation=row.organisation_id, project=row.id)
    _check_budget(budget)
    if remove_budget and budget is not None:
        raise Invalid(f"the budget is to be removed and to be {budget}: give one of the two")
    changes = {}
    if remove_budget:
        changes["budget"] = "none"
        row.budget = row.budget_currency = None
    if budget is not None:
        changes["budget"] = str(budget.amount) + " " + budget.currency
        row.budget, row.budget_currency = budget.amount, budget.currency
    if needs_approval is not None:
        changes["needs_approval"] = str(needs_approval)
        row.needs_approval = needs_approval
    if hard_stop is not None:
        changes["hard_stop"] = str(hard_stop)
        row.hard_stop = hard_stop
    record(session, actor=actor, action="project.update", target=row.id, outcome="done", details=dict(changes), now=now)
    return _project(row)


def project(session: Session, id_: str, *, actor: Actor) -> Project:
    """One project; NotFound where it is another tenant's."""
    row = _project_row(session, id_)
    permit(actor, "project.read", organisation=row.organisation_id, project=row.id)
    return _project(row)


def projects(session: Session, *, organisation: str | None = None, actor: Actor) -> tuple[Project, ...]:
    """The projects that the actor may see, oldest first."""
    permit(actor, "project.read", organisation=organisation)
    query = select(ProjectRow).order_by(ProjectRow.id)
    wanted = organisation if actor.everywhere or actor.role == "system" else actor.organisation
    if wanted is not None:
        query = query.where(ProjectRow.organisation_id == wanted)
    if actor.project is not None:
        query = query.where(ProjectRow.id == actor.project)
    return tuple(_project(row) for row in session.scalars(query))


def create_person(
    session: Session, *, organisation: str | None, name: str, email: str, role: str, actor: Actor, now: datetime
) -> Person:
    """Somebody with a role; people of the house have no organisation."""
    permit(actor, "person.create", organisation=organisation)
    _refuse_bound(actor)
    if organisation is None:
        permit(actor, "organisation.create")
    elif session.get(OrganisationRow, organisation) is None:
        raise NotFound("no such organisation")
    if role not in ROLES or (role == "operator") != (organisation is None and role != "auditor"):
        raise Invalid(f"role is {role!r}: operator for the house, else one of {', '.join(ROLES[1:])}")
    if "@" not in email or len(email) > 320 or not email.isprintable():
        raise Invalid(f"email is {email!r}: an address with an @ is wanted")
    row = PersonRow(
        id=ids.new("usr", now),
        organisation_id=organisation,
        name=named(name, "person"),
        email=email,
        role=role,
        created_at=now,
    )
    session.add(row)
    session.flush()
    record(session, actor=actor, action="person.create", target=row.id, outcome="done", reason=role, now=now)
    return Person(row.id, row.organisation_id, row.name, row.email, row.role, row.created_at)


def people(session: Session, *, organisation: str | None, actor: Actor) -> tuple[Person, ...]:
    """The people of an organisation, oldest first; those of the house with None."""
    permit(actor, "person.read", organisation=organisation)
    if organisation is None and not actor.everywhere:
        raise NotFound("no such organisation")
    query = select(PersonRow).where(PersonRow.organisation_id == organisation).order_by(PersonRow.id)
    return tuple(
        Person(row.id, row.organisation_id, row.name, row.email, row.role, row.created_at)
        for row in session.scalars(query)
    )


def _refuse_bound(actor: Actor) -> None:
    """A token of one project makes nothing for the whole organisation."""
    if actor.project is not None:
        raise Forbidden("this token is bound to one project: a token of the whole organisation is wanted")


def _check_budget(budget: Money | None) -> None:
    if budget is not None and (budget.amount < 0 or budget.amount.adjusted() > 12):
        raise Invalid(f"the budget is {budget.amount} {budget.currency}: zero or more, below 1E+13")


def _project_row(session: Session, id_: str) -> ProjectRow:
    row = session.get(ProjectRow, id_)
    if row is None:
        raise NotFound("no such project")
    return row


def _insert(session: Session, row: OrganisationRow | ProjectRow, taken: str) -> None:
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        raise Conflict(taken) from error


def _organisation(row: OrganisationRow) -> Organisation:
    return Organisation(row.id, row.name, row.kind, row.tier, row.created_at, row.group)


def _project(row: ProjectRow) -> Project:
    budget = Money(row.budget, row.budget_currency) if row.budget is not None and row.budget_currency else None
    return Project(row.id, row.organisation_id, row.name, budget, row.needs_approval, row.hard_stop, row.created_at)
