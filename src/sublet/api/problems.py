"""Every error as problem+json (RFC 9457): one shape, one table of what can happen, one place that makes it.

Invariant: whatever goes wrong, the body is a problem with a type, a title, the status and one sentence; an error that
was not foreseen says nothing of its inside and carries the request's id, under which the log has the rest.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sublet.api.logs import request_id
from sublet.broker.errors import BrokerError, RateLimited, Refused
from sublet.errors import NothingFitsError, SubletError
from sublet.storage.engine import DatabaseBusy, OutcomeUnknown

MEDIA_TYPE = "application/problem+json"
TYPES = "https://sublet.dev/problems/"  # an identifier, as RFC 9457 has it; nobody fetches it

_log = logging.getLogger("sublet.api")


class PreconditionFailed(BrokerError):
    """If-Match named another version than the one that stands."""

    status = 412
    type = "precondition-failed"


class TooLarge(BrokerError):
    """The request's body is longer than this server reads."""

    status = 413
    type = "too-large"


class NothingFits(BrokerError):
    """The question was good and the answer is: nothing; the sentence names the nearest miss."""

    status = 422
    type = "nothing-fits"


class BadValue(BaseModel):
    """One value of a request that cannot be used."""

    where: str = Field(description="The place in the request, as body.nodes or query.limit.")
    sentence: str


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": TYPES + "not-found",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "no such lease",
                    "request_id": "5b0e9c2f4e1a4c07",
                }
            ]
        }
    )
    type: str = Field(description="What kind of problem; stable, for programs.")
    title: str
    status: int
    detail: str = Field(description="One sentence for a person.")
    request_id: str = Field(description="Under this id the server's log has the rest.")
    errors: list[BadValue] | None = Field(default=None, description="Each value that cannot be used.")
    dimension: str | None = Field(default=None, description="Of a limit: what is limited.")
    limit: str | None = Field(default=None, description="Of a limit: how much there may be.")
    use: str | None = Field(default=None, description="Of a limit: how much there is, or would be.")


SENTENCES: Mapping[int, str] = {
    400: "The request is not well-formed.",
    401: "No token, or one that is unknown, expired or revoked.",
    403: "The token's role or scope does not reach.",
    404: "No such thing, or one that belongs to somebody else.",
    405: "The path knows no such method.",
    409: "The state of the thing, a limit, or an idempotency key that was used for something else stands against it.",
    410: "The time of the quote is over.",
    412: "If-Match names another version than the one that stands.",
    413: "The body is longer than this server reads.",
    422: "A value makes no sense, or nothing fits what was asked.",
    429: "Too many requests; Retry-After says when to come back.",
    503: "The database or a provider does not answer; Retry-After says when to come back.",
}
ALWAYS = (400, 401, 403, 404, 405, 413, 422, 429, 503)
OPEN = (400, 405, 413, 422, 503)  # for what needs no token


def declared(*more: int, base: Sequence[int] = ALWAYS) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route: what can always happen, and `more`."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": SENTENCES[status], "content": {MEDIA_TYPE: schema}} for status in sorted({*base, *more})
    }


def problem(
    status: int,
    kind: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, object] | None = None,
) -> Response:
    """A response that says what went wrong."""
    body = {
        "type": TYPES + kind,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id.get(),
        **(more or {}),
    }
    return Response(json.dumps(body).encode(), status, dict(headers or {}), MEDIA_TYPE)


def of(error: Exception) -> Response:
    """The problem that an error is."""
    if isinstance(error, Refused):
        about = {"dimension": error.dimension, "limit": error.limit, "use": error.use}
        return problem(error.status, error.type, str(error), more=about)
    if isinstance(error, RateLimited):
        wait = {"Retry-After": str(max(1, round(error.retry_after_s)))}
        return problem(error.status, error.type, str(error), headers=wait)
    if isinstance(error, BrokerError):
        headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
        return problem(error.status, error.type, str(error), headers=headers)
    if isinstance(error, DatabaseBusy | OutcomeUnknown):
        return problem(503, "unavailable", str(error), headers={"Retry-After": "1"})
    if isinstance(error, NothingFitsError):
        return problem(422, "nothing-fits", str(error))
    if isinstance(error, SubletError):
        return problem(422, "invalid", str(error))
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        return _http(error)
    _log.error("a request failed in a way that was not foreseen", exc_info=error)
    return problem(500, "internal", "this should not have happened; the log has the rest under the request's id")


def _invalid(error: RequestValidationError) -> Response:
    found = error.errors()
    if any(entry["type"] == "json_invalid" for entry in found):
        reason = found[0].get("ctx", {}).get("error", "it does not parse")
        return problem(400, "malformed-json", f"the body is no JSON: {reason} at character {found[0]['loc'][-1]}")
    bad = [{"where": ".".join(str(part) for part in entry["loc"]), "sentence": entry["msg"]} for entry in found]
    first = f"{bad[0]['where']}: {bad[0]['sentence']}" if bad else "the request cannot be used"
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return problem(422, "invalid", first + more, more={"errors": bad})


def _http(error: HTTPException) -> Response:
    kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    if error.status_code == TooLarge.status:
        kind = TooLarge.type
    sentence = SENTENCES.get(error.status_code, str(error.detail))
    return problem(error.status_code, kind, sentence, headers=error.headers)


def install(app: FastAPI) -> None:
    """Make every error of the application a problem."""

    async def handle(_request: Request, error: Exception) -> Response:
        return of(error)

    for kind in (SubletError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, handle)
