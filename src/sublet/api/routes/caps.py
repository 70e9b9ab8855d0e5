"""Caps: what tenants may hold at one instant, set by the operator and read by whom they bear on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.responses import Response

from sublet.api.context import Call, Reading, Writing, reply
from sublet.api.models import caps as wire
from sublet.api.models.common import id_path
from sublet.api.models.tenants import Organisation
from sublet.api.routes.common import MUTATING, route
from sublet.broker.leases import caps
from sublet.broker.tenants import caps as stored
from sublet.broker.tenants.rights import permit

router = APIRouter(tags=["tenants"])

ORGANISATION, PROJECT = id_path("org", "organisation"), id_path("prj", "project")
GroupName = Annotated[
    str, Path(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f/]+$", examples=["Acme Holding"])
]


@router.get("/caps", response_model=wire.CapList, **route("cap.read"))
def every_cap(call: Reading) -> Response:
    """The caps that are set: all of them for the house, those that bear on a tenant for its tokens."""
    found = call.read(lambda session: stored.caps(session, actor=call.actor))
    return reply(wire.CapList(items=[wire.Cap.model_validate(each) for each in found]))


@router.get("/organisations/{organisation}/caps", response_model=wire.CapStatusList, **route("cap.read"))
def organisation_caps(call: Reading, organisation: str = ORGANISATION) -> Response:
    """The limits that bear on an organisation, and how far each is used, now and by what is booked."""
    found = call.read(lambda session: caps.status(session, organisation=organisation, actor=call.actor, now=call.now))
    return reply(wire.CapStatusList(items=[wire.CapStatus.model_validate(each) for each in found]))


@router.put("/organisations/{organisation}/cap", response_model=wire.Cap, **route("cap.write", *MUTATING))
def cap_organisation(wish: wire.NewCap, call: Writing, organisation: str = ORGANISATION) -> Response:
    """Cap what an organisation holds at one instant. 409 where more is booked already, for bookings never move."""
    return _set(call, wish, "organisation", organisation)


@router.put("/projects/{project}/cap", response_model=wire.Cap, **route("cap.write", *MUTATING))
def cap_project(wish: wire.NewCap, call: Writing, project: str = PROJECT) -> Response:
    """Cap what a project holds at one instant."""
    return _set(call, wish, "project", project)


@router.put("/groups/{group}/cap", response_model=wire.Cap, **route("cap.write", *MUTATING))
def cap_group(wish: wire.NewCap, call: Writing, group: GroupName) -> Response:
    """Cap what affiliated organisations hold together at one instant."""
    return _set(call, wish, "group", group)


@router.put("/organisations/{organisation}/group", response_model=Organisation, **route("cap.write", *MUTATING))
def join_group(wish: wire.NewGroup, call: Writing, organisation: str = ORGANISATION) -> Response:
    """Say with whom an organisation is affiliated: for caps they count as one, so that splitting gains nothing."""
    return call.write(
        lambda session: Organisation.model_validate(
            caps.set_group(session, organisation, wish.group, reason=wish.reason, actor=call.actor, now=call.now)
        ),
        body=wish,
    )


def _set(call: Call, wish: wire.NewCap, kind: str, subject: str) -> Response:
    def put(session: Session) -> BaseModel:
        permit(call.actor, "cap.write")
        made = caps.set_cap(
            session,
            kind=kind,
            subject=subject,
            nodes=wish.nodes,
            accelerators=wish.accelerators,
            reason=wish.reason,
            actor=call.actor,
            now=call.now,
        )
        if made is not None:
            return wire.Cap.model_validate(made)
        none = {"nodes": None, "accelerators": None, "set_at": None, "set_by": call.actor.id}
        return wire.Cap.model_validate({"kind": kind, "subject": subject, "reason": wish.reason, **none})

    return call.write(put, body=wish)
