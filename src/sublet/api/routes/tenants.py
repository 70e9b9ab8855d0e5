"""Organisations, projects, people, tokens, and who one is."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.responses import Response

from sublet.api.context import Changing, Reading, Writing, reply
from sublet.api.models import tenants as wire
from sublet.api.models.common import OrganisationId, id_path
from sublet.api.paging import DEFAULT, Cursor, Limit, cut
from sublet.api.routes.common import MUTATING, route
from sublet.broker.errors import Invalid
from sublet.broker.tenants import service, tokens
from sublet.broker.tenants.rights import RIGHTS, own, permit
from sublet.broker.tenants.values import Actor

router = APIRouter(tags=["tenants"])

OrganisationFilter = Annotated[OrganisationId | None, Query(description="Of this organisation; for the house.")]


def _home(actor: Actor, organisation: str | None) -> str | None:
    """Whose thing is made: the one named, one's own, or (for the house, which names none) the house's."""
    if organisation is None and actor.everywhere:
        return None
    return own(actor, organisation)


@router.get("/me", response_model=wire.Me, **route("organisation.read"))
def me(call: Reading) -> Response:
    """Who this token is, and what it reaches."""
    actor = call.actor
    may = [action for action, roles in RIGHTS.items() if actor.role in roles and action in (actor.scopes or RIGHTS)]
    return reply(
        wire.Me(
            id=actor.id,
            kind=actor.kind,
            organisation=actor.organisation,
            project=actor.project,
            role=actor.role,
            scopes=list(actor.scopes),
            may=may,
        )
    )


@router.get("/organisations", response_model=wire.OrganisationPage, **route("organisation.read"))
def organisations(call: Reading, cursor: Cursor = None, limit: Limit = DEFAULT) -> Response:
    """The organisations that the token may see: a tenant sees its own."""

    def page(session: Session) -> BaseModel:
        permit(call.actor, "organisation.read", organisation=call.actor.organisation)
        found, after = cut(service.organisations(session, actor=call.actor), lambda each: each.id, cursor, limit)
        return wire.OrganisationPage(items=[wire.Organisation.model_validate(each) for each in found], next=after)

    return reply(call.read(page))


@router.post(
    "/organisations",
    status_code=201,
    response_model=wire.Organisation,
    **route("organisation.create", *MUTATING),
)
def create_organisation(wish: wire.NewOrganisation, call: Writing) -> Response:
    """Make an organisation."""
    return call.write(
        lambda session: wire.Organisation.model_validate(
            service.create_organisation(
                session, name=wish.name, kind=wish.kind, tier=wish.tier, actor=call.actor, now=call.now
            )
        ),
        body=wish,
        status=201,
    )


@router.get("/organisations/{organisation}", response_model=wire.Organisation, **route("organisation.read"))
def organisation(call: Reading, organisation: str = id_path("org", "organisation")) -> Response:
    """One organisation."""
    return reply(
        call.read(
            lambda session: wire.Organisation.model_validate(
                service.organisation(session, organisation, actor=call.actor)
            )
        )
    )


@router.get("/projects", response_model=wire.ProjectPage, **route("project.read"))
def projects(
    call: Reading, organisation: OrganisationFilter = None, cursor: Cursor = None, limit: Limit = DEFAULT
) -> Response:
    """The projects that the token may see."""

    def page(session: Session) -> BaseModel:
        every = service.projects(session, organisation=organisation, actor=call.actor)
        found, after = cut(every, lambda each: each.id, cursor, limit)
        return wire.ProjectPage(items=[wire.Project.model_validate(each) for each in found], next=after)

    return reply(call.read(page))


@router.post("/projects", status_code=201, response_model=wire.Project, **route("project.create", *MUTATING))
def create_project(wish: wire.NewProject, call: Writing) -> Response:
    """Make a project, with a budget or without a limit."""
    return call.write(
        lambda session: wire.Project.model_validate(
            service.create_project(
                session,
                organisation=own(call.actor, wish.organisation),
                name=wish.name,
                budget=wish.budget.value() if wish.budget else None,
                needs_approval=wish.needs_approval,
                hard_stop=wish.hard_stop,
                actor=call.actor,
                now=call.now,
            )
        ),
        body=wish,
        status=201,
        tagged=True,
    )


@router.get("/projects/{project}", response_model=wire.Project, **route("project.read"))
def project(call: Reading, project: str = id_path("prj", "project")) -> Response:
    """One project, with its ETag."""
    found = call.read(lambda session: service.project(session, project, actor=call.actor))
    return reply(wire.Project.model_validate(found), tagged=True)


@router.patch("/projects/{project}", response_model=wire.Project, **route("project.update", *MUTATING, 412))
def update_project(wish: wire.ProjectChange, call: Changing, project: str = id_path("prj", "project")) -> Response:
    """Change a project's budget or rules. Send If-Match to change only what you have read."""

    def change(session: Session) -> BaseModel:
        before = service.project(session, project, actor=call.actor)
        permit(call.actor, "project.update", organisation=before.organisation, project=before.id)
        call.require(wire.Project.model_validate(before))
        return wire.Project.model_validate(
            service.update_project(
                session,
                project,
                budget=wish.budget.value() if wish.budget else None,
                remove_budget=wish.remove_budget,
                needs_approval=wish.needs_approval,
                hard_stop=wish.hard_stop,
                actor=call.actor,
                now=call.now,
            )
        )

    return call.write(change, body=wish, tagged=True)


@router.get("/people", response_model=wire.PersonPage, **route("person.read"))
def people(
    call: Reading, organisation: OrganisationFilter = None, cursor: Cursor = None, limit: Limit = DEFAULT
) -> Response:
    """The people of an organisation; those of the house for the house."""

    def page(session: Session) -> BaseModel:
        every = service.people(session, organisation=_home(call.actor, organisation), actor=call.actor)
        found, after = cut(every, lambda each: each.id, cursor, limit)
        return wire.PersonPage(items=[wire.Person.model_validate(each) for each in found], next=after)

    return reply(call.read(page))


@router.post("/people", status_code=201, response_model=wire.Person, **route("person.create", *MUTATING))
def create_person(wish: wire.NewPerson, call: Writing) -> Response:
    """Give somebody a role. A token of theirs is issued apart."""
    return call.write(
        lambda session: wire.Person.model_validate(
            service.create_person(
                session,
                organisation=_home(call.actor, wish.organisation),
                name=wish.name,
                email=wish.email,
                role=wish.role,
                actor=call.actor,
                now=call.now,
            )
        ),
        body=wish,
        status=201,
    )


@router.get("/tokens", response_model=wire.TokenPage, **route("token.read"))
def list_tokens(
    call: Reading, organisation: OrganisationFilter = None, cursor: Cursor = None, limit: Limit = DEFAULT
) -> Response:
    """The tokens of an organisation, without their secrets; those of the house for the house."""

    def page(session: Session) -> BaseModel:
        every = tokens.tokens(session, organisation=_home(call.actor, organisation), actor=call.actor)
        found, after = cut(every, lambda each: each.id, cursor, limit)
        return wire.TokenPage(items=[wire.Token.model_validate(each) for each in found], next=after)

    return reply(call.read(page))


@router.post("/tokens", status_code=201, response_model=wire.IssuedToken, **route("token.issue", *MUTATING))
def issue_token(wish: wire.NewToken, call: Writing) -> Response:
    """Issue a token. Its secret is in this answer and nowhere else, ever."""

    def issue(session: Session) -> BaseModel:
        if wish.role == "operator" and not call.actor.everywhere:
            permit(call.actor, "organisation.create")
        if wish.person is not None and not any(
            wish.person == person.id
            for person in service.people(session, organisation=_home(call.actor, wish.organisation), actor=call.actor)
        ):
            raise Invalid("person: no such person in this organisation")
        token, secret = tokens.issue_token(
            session,
            organisation=_home(call.actor, wish.organisation),
            name=wish.name,
            role=wish.role,
            project=wish.project,
            person=wish.person,
            scopes=tuple(wish.scopes),
            expires_at=wish.expires_at,
            actor=call.actor,
            now=call.now,
        )
        return wire.IssuedToken(token=wire.Token.model_validate(token), secret=secret)

    def without_secret(issued: BaseModel) -> BaseModel:
        assert isinstance(issued, wire.IssuedToken), "this is what `issue` makes"
        return issued.model_copy(update={"secret": None})

    return call.write(issue, body=wish, status=201, kept=without_secret)


@router.delete("/tokens/{token}", response_model=wire.Token, **route("token.revoke", *MUTATING))
def revoke_token(request: Request, call: Writing, token: str = id_path("tok", "token")) -> Response:
    """End a token for good. This process refuses it at once, others within a second."""
    answer = call.write(
        lambda session: wire.Token.model_validate(tokens.revoke_token(session, token, actor=call.actor, now=call.now))
    )
    gate: Any = request.scope["state"]["gate"]
    gate.forget()
    return answer
