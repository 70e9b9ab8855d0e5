"""How a route is declared: its action, its errors, its answer."""

from __future__ import annotations

from typing import Any

from sublet.api.context import ACTION
from sublet.api.problems import declared


def route(action: str, *more: int, **openapi: Any) -> dict[str, Any]:
    """The arguments that every route shares: its `action` of the rights table, and what else may go wrong with it."""
    return {
        "responses": declared(*more),
        "openapi_extra": {ACTION: action, **openapi},
    }


MUTATING = (409,)
"""What can go wrong with a request that changes something."""
