"""The application: routes, errors, the gate, and the work that goes on beside the requests."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from sublet import __version__
from sublet.api import page, problems
from sublet.api.gate import Gate
from sublet.api.house import House
from sublet.api.problems import Problem
from sublet.api.routes import caps, events, health, leases, money, orders, records, runs, supply, tenants
from sublet.api.ticker import Ticker
from sublet.broker.errors import Unauthenticated
from sublet.broker.tenants import tokens
from sublet.broker.tenants.limits import Keeper, Rule
from sublet.broker.tenants.values import Actor

DESCRIPTION = """
Quote a job, order nodes, lease them, run on them, and see what it cost against what was promised.

Send `Authorization: Bearer sublet_...`. Every error is problem+json (RFC 9457). Lists come in pages: `next` is the
`cursor` of the page that follows. Send an `Idempotency-Key` with whatever changes something, and send it again freely.
Money is a decimal in a string with its currency; times are RFC 3339.
"""


def create_app(house: House, **options: Any) -> FastAPI:
    """The API over one house; its lifespan starts and stops the ticker. `options` are FastAPI's own (telemetry)."""
    app = FastAPI(
        title="Sublet",
        version=__version__,
        summary="A broker for scarce accelerators.",
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0"},
        openapi_url="/openapi.json",
        docs_url=None,  # its page would fetch scripts from elsewhere; ours is in `page`
        redoc_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,
        **options,
    )
    app.state.house = house
    v1 = APIRouter(prefix="/v1")
    for room in (
        leases,
        events,
        runs,
        orders,
        money,
        records,
        tenants,
        caps,
        supply,
    ):  # what is asked for most is matched first
        v1.include_router(room.router)
    app.include_router(v1)
    app.include_router(health.router)
    app.add_api_route("/docs", _page, include_in_schema=False)
    problems.install(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    app.add_middleware(
        Gate,
        authenticate=_authenticator(house),
        admit=_admission(house),
        metrics=house.metrics,
        settings=house.settings,
    )
    return app


def _page(request: Request) -> Response:
    """The description of the API as one page that fetches nothing."""
    return Response(page.html(request.app.openapi()), media_type="text/html; charset=utf-8")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    house: House = app.state.house
    ticker = Ticker(house) if house.settings.tick_s > 0 else None
    if ticker is not None:
        ticker.start()
    try:
        yield
    finally:
        if ticker is not None:
            ticker.stop()


def _admission(house: House) -> Any:
    """What a token may ask for in a stretch of time."""
    settings = house.settings
    keeper = Keeper(Rule(settings.requests_per_s, settings.burst), time.monotonic)
    return lambda actor: keeper.admit(actor.id)


def _authenticator(house: House) -> Any:
    """Who holds a secret; who guesses is slowed down. The moment of use is written at most once a minute."""

    settings = house.settings
    lookups = Keeper(Rule(settings.unknown_per_s, settings.unknown_burst), time.monotonic, what="address")

    def authenticate(secret: str, address: str) -> Actor:
        try:
            with house.database.reading() as session:
                actor = tokens.authenticate(session, secret, address=address, now=house.clock.now())
                touched = bool(session.dirty)
                session.expunge_all()
        except Unauthenticated:
            lookups.admit(address)
            raise
        if touched:
            house.database.run(
                lambda session: tokens.authenticate(session, secret, address=address, now=house.clock.now())
            )
        return actor

    return authenticate


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The description of the API, made once: with the token, the problems and nothing of FastAPI's own errors."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            routes=app.routes,
            license_info=app.license_info,
        )
        parts = document.setdefault("components", {})
        schemas = parts.setdefault("schemas", {})
        for own in ("HTTPValidationError", "ValidationError"):
            schemas.pop(own, None)
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= problem.pop("$defs", {})
        schemas["Problem"] = problem
        parts["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "A token of this broker: sublet_..."}
        }
        for operations in document["paths"].values():
            for operation in operations.values():
                if "401" in operation["responses"]:
                    operation["security"] = [{"token": []}]
        app.openapi_schema = document
    return app.openapi_schema
