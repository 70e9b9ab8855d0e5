"""The audit log and webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from sublet.api.models.common import Document, OrganisationId, ProjectId, Wish
from sublet.api.paging import Page

Kind = Literal["lease.state", "lease.notice", "lease.node", "lease.change", "lease.alert", "order", "budget"]


class AuditEntry(Document):
    """One act as it stands in the log."""

    number: int
    at: datetime
    actor: str
    role: str
    organisation: str | None
    project: str | None
    address: str
    action: str
    target: str
    outcome: str
    reason: str
    details: dict[str, Any]
    digest: str


class AuditPage(Page[AuditEntry]):
    """Acts, oldest first."""


class Chain(Document):
    """Whether the log is whole; ENTRIES:DIGEST, kept elsewhere, proves later that nothing was cut off."""

    entries: int
    broken_at: int | None
    sentence: str
    digest: str


class Webhook(Document):
    """An address that hears of events."""

    id: str
    organisation: str
    project: str | None
    url: str
    kinds: list[str] = Field(description="Empty: all.")
    created_at: datetime
    disabled_at: datetime | None
    disabled_why: str


class WebhookPage(Page[Webhook]):
    """Webhooks, oldest first."""


class NewWebhook(Wish):
    """An address to tell."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://example.org/hooks", "kinds": ["lease.state", "budget"]}]}
    )
    url: Annotated[
        str, StringConstraints(min_length=8, max_length=2000, pattern=r"^(https?://|mailto:[^\s@]+@)[^\s\x00-\x1f]+$")
    ] = Field(description="http(s)://..., or mailto: with the address of a person of the organisation.")
    kinds: list[Kind] = Field(default_factory=list, max_length=20, description="Empty: all.")
    organisation: OrganisationId | None = Field(default=None, description="Yours, where you name none.")
    project: ProjectId | None = None


class MadeWebhook(Document):
    """A webhook and the secret that its receiver checks signatures with, shown this once."""

    webhook: Webhook
    secret: str | None = Field(description="Shown once; null where the same request is answered again.")


class Delivery(Document):
    """One event on its way to one address."""

    id: str
    hook: str
    event: str
    kind: str
    state: str = Field(description="delivered, waiting or given up")
    payload: dict[str, Any]
    created_at: datetime
    attempts: int
    next_at: datetime | None
    delivered_at: datetime | None
    last_status: int | None
    last_error: str


class DeliveryPage(Page[Delivery]):
    """Deliveries, newest first."""
