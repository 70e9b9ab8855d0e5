"""Prove a node: take it off the market, have it made, measure it, give it back, and write down what was found.

The time is a maintenance window, so no lease can want the node meanwhile; the window is written before the provider is
called, and the node is made under the window's tag: where the broker dies in between, the node is an orphan of that tag
and is reclaimed by rule, and the window ends by itself. Invariant: a node is called healthy only after it passed here.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from sublet.broker.audit.log import record
from sublet.broker.errors import Conflict
from sublet.broker.leases.gatekeeper import by_word, promise
from sublet.broker.proving.tables import ProofRow
from sublet.broker.supply import service as supply
from sublet.broker.supply import upkeep
from sublet.broker.supply.values import Node, NodeState
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import Actor
from sublet.providers.protocol import CreateRequest, NodeFacts, Provider, ProviderError
from sublet.qualification import certificate
from sublet.qualification.gate import qualify
from sublet.qualification.values import Verdict
from sublet.storage import ids
from sublet.storage.clock import Clock
from sublet.storage.engine import Database

WINDOW = timedelta(minutes=10)
READY_S = 120.0  # how long a node may take to run
GONE_S = 30.0
PAUSE_S = 0.1


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

    Conflict where it is leased or booked within the next minutes, or its provider is not connected. Takes as long as
    the checks do: seconds to a minute.
    """
    node, window = database.run(lambda session: _begin(session, providers, node_id, actor, clock.now()))
    provider = providers[node.provider]
    try:
        verdict, sold, facts = _measure(provider, node, window, clock)
    except ProviderError as error:
        _close(database, window, f"it could not be measured: {error}", actor, clock)
        raise Conflict(f"node {node_id} could not be measured: {error}") from error
    finally:
        _give_back(provider, window)
    now = clock.now()
    body = certificate.body(verdict, sold, lease="", node=node.id, provider=provider.name, ref=facts.ref, issued_at=now)
    signed = signer.sign(body)
    return database.run(lambda session: _finish(session, node, window, verdict, signed, actor, now))


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
    newest: dict[str, ProofRow] = {}
    query = select(ProofRow).where(ProofRow.verdict.in_(("pass", "info", "warning"))).order_by(ProofRow.id)
    wanted = set(node_ids)
    for row in session.scalars(query):
        if row.node_id in wanted:
            newest[row.node_id] = row
    if not newest:
        return None
    return min((row.measured for row in newest.values()), key=lambda each: float(each.get("gemm_fp32_flops", 0.0)))


# --- inside ----------------------------------------------------------------------------------------------------------


def _begin(
    session: Session, providers: Mapping[str, Provider], node_id: str, actor: Actor, now: datetime
) -> tuple[Node, str]:
    permit(actor, "supply.write")
    node = supply.node(session, node_id, actor=actor)
    if node.provider not in providers:
        known = ", ".join(sorted(providers)) or "none"
        raise Conflict(f"provider {node.provider!r} of node {node_id} is not connected here: connected are {known}")
    made = upkeep.plan_maintenance(
        session,
        node_ids=[node_id],
        start=now,
        end=min(now + WINDOW, node.ends_at),
        reason="qualification",
        actor=actor,
        now=now,
    )
    return node, made[0].holder


def _measure(provider: Provider, node: Node, window: str, clock: Clock) -> tuple[Verdict, Any, NodeFacts]:
    request = CreateRequest(f"{window}/proof", window, node.shape, (node.id,), until=clock.now() + WINDOW)
    made = provider.create(request)
    deadline = time.monotonic() + READY_S
    while (facts := provider.describe(made.nodes[0].ref)).state == "creating" and time.monotonic() < deadline:
        time.sleep(PAUSE_S)
    sold = promise(node, facts)
    if provider.capabilities().executes:
        return qualify(provider, facts.ref, sold, facts=facts), sold, facts
    return by_word(sold, facts), sold, facts


def _give_back(provider: Provider, window: str) -> None:
    """Take back whatever carries the window's tag; what is left is an orphan, and found by its tag."""
    deadline = time.monotonic() + GONE_S
    with contextlib.suppress(ProviderError):
        while refs := provider.find(window).refs:
            for ref in refs:
                provider.terminate(ref)
            if time.monotonic() > deadline:
                return
            time.sleep(PAUSE_S)


def _close(database: Database, window: str, reason: str, actor: Actor, clock: Clock) -> None:
    database.run(lambda session: upkeep.end_maintenance(session, window, reason=reason, actor=actor, now=clock.now()))


def _finish(
    session: Session,
    node: Node,
    window: str,
    verdict: Verdict,
    signed: Mapping[str, Any],
    actor: Actor,
    now: datetime,
) -> Proof:
    upkeep.end_maintenance(session, window, reason="qualified", actor=actor, now=now)
    row = ProofRow(
        id=ids.new("prf", now),
        node_id=node.id,
        window=window,
        verdict=verdict.verdict,
        at=now,
        measured=dict(verdict.measured),
        certificate=dict(signed),
    )
    session.add(row)
    session.flush()
    if verdict.verdict != "unknown":
        to = NodeState.HEALTHY if verdict.accepts else NodeState.FAILED
        if not (node.state is NodeState.FAILED and to is NodeState.HEALTHY):
            supply.set_node(session, node.id, to, f"qualified: {verdict.reason}", actor=actor, now=now)
    record(
        session,
        actor=actor,
        action="node.prove",
        target=node.id,
        outcome=verdict.verdict,
        reason=verdict.reason,
        details={"proof": row.id, "coverage": round(verdict.coverage, 3)},
        now=now,
    )
    return _proof(row)


def _proof(row: ProofRow) -> Proof:
    found = row.certificate.get("body", {})
    bad = [f"{each['id']}: {each['found']}" for each in found.get("findings", []) if each["outcome"] == "fail"]
    reason = "; ".join(bad[:3]) or "no check failed"
    return Proof(row.id, row.node_id, row.verdict, reason, row.at, row.measured, row.certificate)
