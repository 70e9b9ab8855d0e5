"""Pages of a list: a limit, and a cursor that says where the next one begins.

A cursor is the id (or the number) of the last thing that was shown, and ids ascend with time, so a page neither repeats
nor loses anything that stood still, whatever is added meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

T = TypeVar("T")
V = TypeVar("V")

Limit = Annotated[int, Query(ge=1, le=500, description="At most so many.")]
Cursor = Annotated[
    str | None,
    Query(
        alias="cursor",
        max_length=40,
        pattern=r"^[A-Za-z0-9_]+$",
        description="`next` of the page before; without it the first page.",
    ),
]
NumberCursor = Annotated[
    int,
    Query(alias="cursor", ge=0, le=2**53, description="`next` of the page before; without it the first page."),
]
DEFAULT = 50


class Page(BaseModel, Generic[T]):
    """Some of a list."""

    items: list[T]
    next: str | None = Field(default=None, description="The cursor of the next page; null on the last one.")


def cut(values: Sequence[V], key: Callable[[V], str], cursor: str | None, limit: int) -> tuple[list[V], str | None]:
    """One page of a whole list in ascending order of `key`, and the cursor of the next."""
    rest = [value for value in values if cursor is None or key(value) > cursor]
    return until(rest, key, limit)


def until(values: Sequence[V], key: Callable[[V], str], limit: int) -> tuple[list[V], str | None]:
    """The first `limit` of values that were read with `limit + 1`, and the cursor of the next page."""
    shown = list(values[:limit])
    return shown, key(shown[-1]) if len(values) > limit and shown else None
