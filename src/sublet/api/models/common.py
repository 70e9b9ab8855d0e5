"""Types that every room's documents share: text that a database holds, exact amounts, times within reason, ids."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints

from sublet.storage.schema import canonical
from sublet.units import Money as Amount

PLAIN = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"  # no control characters: no database and no terminal wants them

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=PLAIN)]
Text = Annotated[str, StringConstraints(max_length=2000, pattern=PLAIN)]
Tag = Annotated[str, StringConstraints(max_length=200, pattern=PLAIN)]
Tags = Annotated[dict[Name, Tag], Field(max_length=64)]

ULID = "[0-7][0-9A-HJKMNP-TV-Z]{25}"


def _example(prefix: str) -> str:
    return f"{prefix}_01KAQ0Z8V6T3M2N4P5R6S7T8V9"


def id_path(prefix: str, what: str) -> Any:
    """The path parameter of an id."""
    return Path(
        pattern=f"^{prefix}_{ULID}$",
        description=f"The {what}'s id.",
        examples=[_example(prefix.removeprefix("(?:").partition("|")[0])],
    )


OrganisationId = Annotated[str, StringConstraints(pattern=f"^org_{ULID}$"), Field(examples=[_example("org")])]
ProjectId = Annotated[str, StringConstraints(pattern=f"^prj_{ULID}$"), Field(examples=[_example("prj")])]
PersonId = Annotated[str, StringConstraints(pattern=f"^usr_{ULID}$"), Field(examples=[_example("usr")])]
NodeId = Annotated[str, StringConstraints(pattern=f"^nod_{ULID}$"), Field(examples=[_example("nod")])]
QuoteId = Annotated[str, StringConstraints(pattern=f"^quo_{ULID}$"), Field(examples=[_example("quo")])]


def _within_reason(moment: datetime) -> datetime:
    if not 2000 <= moment.year <= 2199:
        raise ValueError("a time between the years 2000 and 2199 is wanted")
    return moment.astimezone(UTC)


Moment = Annotated[
    AwareDatetime, AfterValidator(_within_reason), Field(examples=["2026-12-01T09:00:00Z"], description="RFC 3339.")
]
Exact = Annotated[
    Decimal,
    Field(max_digits=30, decimal_places=12),
    PlainSerializer(canonical, return_type=str, when_used="json"),
]
Shown = Annotated[Decimal, PlainSerializer(canonical, return_type=str, when_used="json")]


class Document(BaseModel):
    """What the server sends; made from a value of the broker."""

    model_config = ConfigDict(from_attributes=True, defer_build=True)


class Wish(BaseModel):
    """What a client sends; a field that nobody knows is refused, not ignored."""

    model_config = ConfigDict(extra="forbid")


class Money(Document):
    """An exact amount."""

    amount: Shown = Field(description="A decimal, written out.", examples=["98.32"])
    currency: str = Field(examples=["USD"], description="ISO 4217.")


class MoneyWish(Wish):
    """An exact amount."""

    amount: Exact = Field(description="A decimal; as a string where every digit counts.", examples=["98.32"])
    currency: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")] = Field(default="USD", description="ISO 4217.")

    def value(self) -> Amount:
        """As the broker has it; raises InputError for a currency that does not exist."""
        return Amount(self.amount, self.currency)
