"""Who acts, and the organisations, projects and tokens they act with.

Invariant: an Actor is decided once, when its token is checked, and handed on; no service asks again who it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sublet.units import Money

ROLES = ("operator", "admin", "member", "auditor")


@dataclass(frozen=True)
class Actor:
    """Who does something: a person or a service through a token, or the broker itself."""

    kind: str  # "user" | "token" | "system"
    id: str
    organisation: str | None  # None: the operator and the system, who see all
    project: str | None  # None: every project of the organisation
    role: str  # one of ROLES, or "system"
    address: str = ""
    scopes: tuple[str, ...] = ()  # actions the token is limited to; (): all that the role may

    @property
    def everywhere(self) -> bool:
        """True for those who see every tenant."""
        return self.organisation is None and self.role in ("operator", "auditor", "system")


SYSTEM = Actor("system", "system", None, None, "system")


@dataclass(frozen=True)
class Organisation:
    """A tenant (or the operator's own house)."""

    id: str
    name: str
    kind: str  # "tenant" | "operator"
    tier: int  # 0 is served first
    created_at: datetime
    group: str | None = None  # affiliated organisations: for caps they count as one


@dataclass(frozen=True)
class Project:
    """Where money is spent: its budget, and whether orders need approval."""

    id: str
    organisation: str
    name: str
    budget: Money | None  # of the whole project; None: no limit
    needs_approval: bool
    hard_stop: bool  # end leases when the budget is used up
    created_at: datetime


@dataclass(frozen=True)
class Cap:
    """The most that may be held at one instant, future bookings included; None: no limit in that dimension."""

    kind: str  # "organisation" | "group" | "project"
    subject: str  # the organisation's or project's id, or the group's name
    nodes: int | None
    accelerators: int | None
    reason: str
    set_at: datetime
    set_by: str  # an actor's id


@dataclass(frozen=True)
class Limit:
    """A cap as it bears on an order: whose holdings count together, and how many they may be."""

    kind: str  # as of Cap
    name: str  # "organisation 'Acme'": for sentences that the tenant reads
    organisations: tuple[str, ...]  # their leases count
    project: str | None  # of those, only this project's
    nodes: int | None
    accelerators: int | None


@dataclass(frozen=True)
class Person:
    """Somebody with a role in an organisation; tokens are issued to people or to services."""

    id: str
    organisation: str | None
    name: str
    email: str
    role: str
    created_at: datetime


@dataclass(frozen=True)
class Token:
    """A service token without its secret, which is shown once and stored as a hash."""

    id: str
    organisation: str | None
    project: str | None
    name: str
    role: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
