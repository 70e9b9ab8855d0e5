"""What a client can be told: the server's problem, or that no server was reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sublet.errors import SubletError


class ClientError(SubletError):
    """A request that did not end in an answer that was asked for."""


class NotReached(ClientError):
    """No server answered at that address."""


class ApiError(ClientError):
    """The server refused: its problem+json (RFC 9457) as attributes."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        self.status = status
        self.kind = str(problem.get("type", "")).rsplit("/", 1)[-1]
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail", "")) or f"the server answered {status}"
        self.request_id = str(problem.get("request_id", ""))
        self.errors: list[Mapping[str, str]] = list(problem.get("errors") or [])
        self.dimension: str | None = problem.get("dimension")
        self.limit: str | None = problem.get("limit")
        self.use: str | None = problem.get("use")
        self.retry_after_s = retry_after_s
        self.exit_code = 3 if self.kind == "nothing-fits" else 2
        super().__init__(self.detail)
