"""What a tenant may hold at one instant."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from sublet.api.models.common import Document, Name, Text, Wish

MOST = 10_000_000

Count = Annotated[int, Field(ge=0, le=MOST)]


class Cap(Document):
    """The most that may be held at one instant, future bookings included; null: no limit in that dimension."""

    kind: str = Field(description="organisation, group or project")
    subject: str = Field(description="The organisation's or project's id, or the group's name.")
    nodes: int | None
    accelerators: int | None
    reason: str
    set_at: datetime | None = Field(description="null: there is no cap.")
    set_by: str = Field(description="An actor's id.")


class CapList(Document):
    """Caps, by kind and subject."""

    items: list[Cap]


class NewCap(Wish):
    """A cap in place of the one before; without either figure there is none from now on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"nodes": 64, "reason": "as agreed for this term"}]})
    nodes: Count | None = None
    accelerators: Count | None = None
    reason: Text = ""


class NewGroup(Wish):
    """Which affiliated organisations an organisation belongs to; null: to none."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"group": "Acme Holding"}]})
    group: Name | None
    reason: Text = ""


class CapStatus(Document):
    """A limit that bears on an organisation, and how far it is used."""

    kind: str = Field(description="organisation, group or project")
    name: str
    project: str | None = Field(description="Of which only this project's leases count.")
    limit_nodes: int | None
    limit_accelerators: int | None
    nodes: int = Field(description="Held now.")
    accelerators: int = Field(description="Held now.")
    most_nodes: int = Field(description="The most that is held at one instant from now on.")
    most_accelerators: int
    most_at: datetime = Field(description="When the most nodes are held, the first time.")

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        """The limit's own fields beside its use."""
        if isinstance(value, dict):
            return value
        limit = value.limit
        own = {"kind": limit.kind, "name": limit.name, "project": limit.project}
        most = {"limit_nodes": limit.nodes, "limit_accelerators": limit.accelerators}
        return own | most | {name: getattr(value, name) for name in cls.model_fields if name not in own | most}


class CapStatusList(Document):
    """Every limit that bears on an organisation."""

    items: list[CapStatus]
