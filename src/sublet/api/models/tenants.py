"""Organisations, projects, people and tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from sublet.api.models.common import Document, Moment, Money, MoneyWish, Name, OrganisationId, PersonId, ProjectId, Wish
from sublet.api.paging import Page

Role = Literal["operator", "admin", "member", "auditor"]


class Organisation(Document):
    """A tenant, or the operator's own house."""

    id: str
    name: str
    kind: str = Field(description="tenant or operator")
    tier: int = Field(description="0 is served first.")
    group: str | None = Field(default=None, description="Affiliated organisations: for caps they count as one.")
    created_at: datetime


class OrganisationPage(Page[Organisation]):
    """Organisations, oldest first."""


class NewOrganisation(Wish):
    """An organisation to make."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Acme AI", "tier": 1}]})
    name: Name
    kind: Literal["tenant", "operator"] = "tenant"
    tier: int = Field(default=1, ge=0, le=9, description="0 is served first.")


class Project(Document):
    """Where money is spent."""

    id: str
    organisation: str
    name: str
    budget: Money | None = Field(description="Of the whole project; null: no limit.")
    needs_approval: bool
    hard_stop: bool = Field(description="Leases end when the budget is used up.")
    created_at: datetime


class ProjectPage(Page[Project]):
    """Projects, oldest first."""


class NewProject(Wish):
    """A project to make."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "speech", "budget": {"amount": "90000", "currency": "USD"}}]}
    )
    name: Name
    organisation: OrganisationId | None = Field(default=None, description="Yours, where you name none.")
    budget: MoneyWish | None = None
    needs_approval: bool = False
    hard_stop: bool = True


class ProjectChange(Wish):
    """What to change of a project; what is not given stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"budget": {"amount": "120000", "currency": "USD"}}]})
    budget: MoneyWish | None = None
    remove_budget: bool = Field(default=False, description="From now on there is no limit of money.")
    needs_approval: bool | None = None
    hard_stop: bool | None = None


class Person(Document):
    """Somebody with a role."""

    id: str
    organisation: str | None
    name: str
    email: str
    role: str
    created_at: datetime


class PersonPage(Page[Person]):
    """People, oldest first."""


class NewPerson(Wish):
    """Somebody to give a role to."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Ada", "email": "ada@example.org", "role": "member"}]}
    )
    name: Name
    email: Annotated[str, StringConstraints(min_length=3, max_length=320, pattern=r"^[^\s@\x00]+@[^\s@\x00]+$")]
    role: Role
    organisation: OrganisationId | None = Field(default=None, description="Yours, where you name none.")


class Token(Document):
    """A service token without its secret."""

    id: str
    organisation: str | None
    project: str | None
    name: str
    role: str
    scopes: list[str] = Field(description="What it is limited to; empty: all that the role may.")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class TokenPage(Page[Token]):
    """Tokens, oldest first."""


class NewToken(Wish):
    """A token to issue."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "ci", "role": "member"}]})
    name: Name
    role: Role
    organisation: OrganisationId | None = Field(default=None, description="Yours, where you name none.")
    project: ProjectId | None = Field(default=None, description="Limit it to one project.")
    person: PersonId | None = None
    scopes: list[Annotated[str, StringConstraints(max_length=40, pattern="^[a-z.]+$")]] = Field(
        default_factory=list, max_length=40
    )
    expires_at: Moment | None = None


class IssuedToken(Document):
    """A token and its secret, which is shown this once."""

    token: Token
    secret: str | None = Field(description="Shown once; null where the same request is answered again.")


class Me(Document):
    """Who the token is."""

    id: str
    kind: str
    organisation: str | None
    project: str | None
    role: str
    scopes: list[str]
    may: list[str] = Field(description="The actions that this token reaches.")
