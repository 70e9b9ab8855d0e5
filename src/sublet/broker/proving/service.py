"""Prove a node: take it off the market, have it made, measure it, give it back, and write down what was found.

The time is a maintenance window, so no lease can want the node meanwhile; the window and the intent are written before
the provider is called, and the node is made under the window's tag. Where the broker dies in between, `recovery` has
another one go on. Invariant: a node is called healthy only after it passed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from sublet.broker.errors import Conflict
from sublet.broker.proving import procedure
from sublet.broker.proving.procedure import Ground
from sublet.broker.proving.tables import ProofRow, ProvingRow
from sublet.broker.supply import service as supply
from sublet.broker.supply import upkeep
from sublet.broker.supply.values import Node
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import Actor
from sublet.providers.protocol import Provider
from sublet.qualification import certificate
from sublet.storage import durable
from sublet.storage.clock import Clock
from sublet.storage.engine import Database

WINDOW = timedelta(minutes=10)
PATIENCE_S = 300.0  # how long a caller waits for a workflow that may have moved to another process
_ACCEPTED = ("pass", "info", "warning")
_CHUNK = 500  # node ids in one statement


@dataclass(frozen=True)
class Proof:
    """What was found of a node, and since when it is known."""

    id: str
    node: str
    verdict: str
    reason: str
    at: datetime
    measured: Mapping[str, Any]
    certificate: Mapping[str, Any]


def prove(
    database: Database,
    providers: Mapping[str, Provider],
    signer: certificate.Signer,
    clock: Clock,
    node_id: str,
    *,
    actor: Actor,
) -> Proof:
    """Qualify one node that nobody holds; it comes out healthy, or failed with the reason.

    Conflict where it is leased or booked within the next minutes, its provider is not connected, or it could not be
    measured. Takes as long as the checks do: seconds to a minute. Where this process works durably (`durable.prepare`),
    another one finishes what this one cannot.
    """
    ground = Ground(database, providers, signer, clock)
    durably = durable.ready(database)
    window = database.run(lambda session: _begin(session, ground, node_id, durably, actor, clock.now()))
    if durably:
        durable.start(procedure.name(window), "prove-node", window)
        done = durable.result(procedure.name(window), timeout_s=PATIENCE_S)
    else:
        done = procedure.course(ground, window)
    if "error" in done:
        raise Conflict(f"node {node_id} could not be measured: {done['error']}")
    with database.reading() as session:
        return _proof(session.get_one(ProofRow, done["proof"]))


def proofs(session: Session, node_id: str, *, actor: Actor) -> tuple[Proof, ...]:
    """Every proof of a node, oldest first."""
    permit(actor, "supply.read")
    supply.node(session, node_id, actor=actor)
    return tuple(
        _proof(row)
        for row in session.scalars(select(ProofRow).where(ProofRow.node_id == node_id).order_by(ProofRow.id))
    )


def slowest(session: Session, node_ids: Sequence[str]) -> Mapping[str, float | str] | None:
    """The figures of the slowest of these nodes by its newest proof that was accepted; None where none was."""
    newest: dict[str, Mapping[str, Any]] = {}
    for start in range(0, len(node_ids), _CHUNK):
        query = (
            select(ProofRow.node_id, ProofRow.measured)
            .where(ProofRow.verdict.in_(_ACCEPTED), ProofRow.node_id.in_(node_ids[start : start + _CHUNK]))
            .order_by(ProofRow.id)
        )
        newest.update((node, measured) for node, measured in session.execute(query))
    return min(newest.values(), key=lambda each: float(each.get("gemm_fp32_flops", 0.0)), default=None)


# --- inside ----------------------------------------------------------------------------------------------------------


def _begin(session: Session, ground: Ground, node_id: str, durably: bool, actor: Actor, now: datetime) -> str:
    """Take the node for a while and write down what for; returns the window."""
    permit(actor, "supply.write")
    node: Node = supply.node(session, node_id, actor=actor)
    if node.provider not in ground.providers:
        known = ", ".join(sorted(ground.providers)) or "none"
        raise Conflict(f"provider {node.provider!r} of node {node_id} is not connected here: connected are {known}")
    ends_at = min(now + WINDOW, node.ends_at)
    made = upkeep.plan_maintenance(
        session, node_ids=[node_id], start=now, end=ends_at, reason="qualification", actor=actor, now=now
    )
    task = ProvingRow(
        window_id=made[0].holder,
        node_id=node_id,
        actor=asdict(actor),
        durable=durably,
        begun_at=now,
        ends_at=ends_at,
        outcome="",
    )
    session.add(task)
    return task.window_id


def _proof(row: ProofRow) -> Proof:
    found = row.certificate.get("body", {})
    bad = [f"{each['id']}: {each['found']}" for each in found.get("findings", []) if each["outcome"] == "fail"]
    reason = "; ".join(bad[:3]) or "no check failed"
    return Proof(row.id, row.node_id, row.verdict, reason, row.at, row.measured, row.certificate)
