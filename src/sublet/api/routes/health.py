"""Is the process alive, can it serve, and what does it count."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from sqlalchemy import text
from starlette.responses import Response

from sublet import __version__
from sublet.api import snapshot
from sublet.api.context import Reading, reply
from sublet.api.house import House
from sublet.api.metrics import CONTENT_TYPE
from sublet.api.problems import OPEN, declared
from sublet.broker.tenants.rights import permit

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process is alive."""

    status: str = Field(examples=["ok"])
    version: str


@router.get("/healthz", response_model=Health, responses=declared(base=OPEN))
async def healthz() -> Response:
    """Alive: answers without asking anything else."""
    return reply(Health(status="ok", version=__version__))


@router.get("/readiness", response_model=Health, responses=declared(base=OPEN))
def readiness(request: Request) -> Response:
    """Ready to serve: the database answers. 503 where it does not."""
    house: House = request.app.state.house
    with house.database.reading() as session:
        session.execute(text("SELECT 1"))
    return reply(Health(status="ok", version=__version__))


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **declared(),
    },
    openapi_extra={"x-sublet-action": "supply.read"},
)
def metrics(call: Reading) -> Response:
    """Counters of this process and figures of the fleet, for Prometheus; for the house's tokens."""
    permit(call.actor, "supply.read")
    counted = call.read(lambda session: snapshot.take(session, call.now))
    return Response(call.house.metrics.text(counted), media_type=CONTENT_TYPE)
