"""Tables of organisations, projects, caps, people and tokens. Only this room touches them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sublet.storage.schema import Amount, Base, UTCDateTime


class OrganisationRow(Base):
    """One tenant."""

    __tablename__ = "organisations"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    kind: Mapped[str] = mapped_column(String(20))
    tier: Mapped[int]
    group: Mapped[str | None] = mapped_column(String(200), index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class ProjectRow(Base):
    """One project of an organisation."""

    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("organisation_id", "name"),)
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    budget: Mapped[Decimal | None] = mapped_column(Amount)
    budget_currency: Mapped[str | None] = mapped_column(String(3))
    needs_approval: Mapped[bool]
    hard_stop: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class CapRow(Base):
    """How many nodes and accelerators may be held at one instant by an organisation, a group of them, or a project."""

    __tablename__ = "caps"
    __table_args__ = (
        CheckConstraint("kind IN ('organisation', 'group', 'project')", name="kind"),
        CheckConstraint("nodes IS NOT NULL OR accelerators IS NOT NULL", name="something"),
        CheckConstraint("nodes >= 0 AND accelerators >= 0", name="counts"),
    )
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    subject: Mapped[str] = mapped_column(String(200), primary_key=True)
    nodes: Mapped[int | None]
    accelerators: Mapped[int | None]
    reason: Mapped[str] = mapped_column(Text)
    set_at: Mapped[datetime] = mapped_column(UTCDateTime)
    set_by: Mapped[str] = mapped_column(String(80))


class PersonRow(Base):
    """Somebody who may act."""

    __tablename__ = "people"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisations.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(320))
    role: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class TokenRow(Base):
    """A token's hash and what it may do."""

    __tablename__ = "tokens"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisations.id"), index=True)
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))
    person_id: Mapped[str | None] = mapped_column(ForeignKey("people.id"))
    name: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(20))
    scopes: Mapped[str] = mapped_column(String(2000), default="")
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
