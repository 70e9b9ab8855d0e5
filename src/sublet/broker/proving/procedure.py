"""How a node is proved, step by step: make it, measure it, give it back, write down what was found.

The same steps run in a durable workflow (`prove-node`, under the id `prove/<window>`) and, where the process does not
work durably, as plain calls. Each may be done again after a crash: the node is made under one idempotency key and found
by the window's tag, measuring changes nothing, and what was written down is not written twice.

Invariants: a node is called healthy only after it passed here. No step touches the node after the window's end.
Whatever happens, the last two steps run: what carries the tag is given back, and the window ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from sublet.broker.audit.log import record
from sublet.broker.errors import NotFound
from sublet.broker.leases.gatekeeper import by_word, promise
from sublet.broker.proving.tables import ProofRow, ProvingRow
from sublet.broker.supply import service as supply
from sublet.broker.supply import upkeep
from sublet.broker.supply.values import MOVES, OPEN, NodeState
from sublet.broker.tenants.values import Actor
from sublet.providers.protocol import (
    CreateRequest,
    NodeFacts,
    Provider,
    ProviderError,
    ProviderUnavailable,
    UnknownRef,
)
from sublet.qualification import certificate
from sublet.qualification.gate import qualify
from sublet.storage import durable, ids
from sublet.storage.clock import Clock
from sublet.storage.engine import Database

READY = timedelta(seconds=120)  # how long a node may take to run
GONE = timedelta(seconds=30)
PAUSE_S = 0.1
TRIES = 3  # at `create`, where the provider gives no answer
TRY_AGAIN_S = 1.0

Found = dict[str, Any]
"""What a step hands on: {"ref": ...}, {"body": certificate body, "reason": ...}, or {"error": sentence}."""


@dataclass(frozen=True)
class Ground:
    """What proving works with."""

    database: Database
    providers: Mapping[str, Provider]
    signer: certificate.Signer
    clock: Clock


def name(window: str) -> str:
    """The id of the workflow that proves a node in a window."""
    return f"prove/{window}"


@durable.workflow("prove-node")
def workflow(window: str) -> Found:
    """The durable form of `course`."""
    return course(durable.resources(), window)


def course(ground: Ground, window: str) -> Found:
    """All of it; {"proof": id} or {"error": why there is none}."""
    made = make(ground, window)
    found = made if "error" in made else measure(ground, window, made["ref"])
    give_back(ground, window, made.get("ref"))
    return write_down(ground, window, found)


@durable.step("make")
def make(ground: Ground, window: str) -> Found:
    """Have the node made, and wait until it runs."""
    task, provider, node = _task(ground, window)
    if provider is None:
        return {"error": f"provider {node.provider!r} is not connected here"}
    if ground.clock.now() >= task.ends_at:
        return {"error": "its time was over before it could be measured"}
    request = CreateRequest(f"{window}/proof", window, node.shape, (node.id,), until=task.ends_at)
    try:
        ref = _create(ground, provider, request)
        deadline = min(ground.clock.now() + READY, task.ends_at)
        while provider.describe(ref).state == "creating" and ground.clock.now() < deadline:
            ground.clock.sleep(PAUSE_S)
    except (ProviderError, IndexError) as error:
        return {"error": str(error) or "the provider made nothing"}
    return {"ref": ref}


def _create(ground: Ground, provider: Provider, request: CreateRequest) -> str:
    """Ask until there is an answer: the same key never makes a second node."""
    for asked in range(1, TRIES + 1):
        try:
            return provider.create(request).nodes[0].ref
        except ProviderUnavailable:
            if asked == TRIES:
                raise
            ground.clock.sleep(TRY_AGAIN_S)
    raise AssertionError("the last try raises")


@durable.step("measure")
def measure(ground: Ground, window: str, ref: str) -> Found:
    """Measure the node, or where its provider runs no commands hold its word against what was sold."""
    task, provider, node = _task(ground, window)
    if provider is None or ground.clock.now() >= task.ends_at:
        return {"error": "its time was over before it could be measured"}
    try:
        facts: NodeFacts = provider.describe(ref)
        sold = promise(node, facts)
        executes = provider.capabilities().executes
        verdict = qualify(provider, ref, sold, facts=facts) if executes else by_word(sold, facts)
    except ProviderError as error:
        return {"error": str(error)}
    now = ground.clock.now()
    body = certificate.body(verdict, sold, lease="", node=node.id, provider=provider.name, ref=ref, issued_at=now)
    return {"body": body, "reason": verdict.reason, "accepts": verdict.accepts}


@durable.step("give back")
def give_back(ground: Ground, window: str, ref: str | None) -> bool:
    """Take back `ref` and whatever carries the window's tag; False where it did not end (the engine reclaims orphans).

    A list may be empty and wrong, so a node whose ref is known is gone only when the provider says so of itself.
    """
    _, provider, _ = _task(ground, window)
    deadline = ground.clock.now() + GONE
    while provider is not None and ground.clock.now() <= deadline:
        with contextlib.suppress(ProviderError):
            refs = {*provider.find(window).refs, *([ref] if ref and _is_there(provider, ref) else [])}
            if not refs:
                return True
            for each in refs:
                provider.terminate(each)
        ground.clock.sleep(PAUSE_S)
    return False


def _is_there(provider: Provider, ref: str) -> bool:
    try:
        return provider.describe(ref).state != "gone"
    except UnknownRef:
        return not provider.capabilities().proves_absence


@durable.step("write down")
def write_down(ground: Ground, window: str, found: Found) -> Found:
    """End the window and keep the proof, in one transaction; done once, whoever comes again."""
    return ground.database.run(lambda session: _write_down(session, ground, window, found))


def _write_down(session: Session, ground: Ground, window: str, found: Found) -> Found:
    task, now = _row(session, window), ground.clock.now()
    if task.finished_at is not None:
        return {"proof": task.proof_id} if task.proof_id else {"error": task.outcome}
    actor = Actor(**{**task.actor, "scopes": tuple(task.actor["scopes"])})
    why = f"it could not be measured: {found['error']}" if "error" in found else "qualified"
    upkeep.end_maintenance(session, window, reason=why, actor=actor, now=now)
    task.finished_at = now
    if "error" in found:
        task.outcome = str(found["error"])
        record(session, actor=actor, action="node.prove", target=task.node_id, outcome="failed", reason=why, now=now)
        return {"error": task.outcome}
    body = found["body"]
    proof = ProofRow(
        id=ids.new("prf", now),
        node_id=task.node_id,
        window=window,
        verdict=body["verdict"],
        at=now,
        measured=dict(body["measured"]),
        certificate=ground.signer.sign(body),
    )
    session.add(proof)
    task.proof_id = proof.id
    session.flush()
    _judge(session, task.node_id, body["verdict"], found, actor, now)
    record(
        session,
        actor=actor,
        action="node.prove",
        target=task.node_id,
        outcome=body["verdict"],
        reason=found["reason"],
        details={"proof": proof.id, "coverage": round(body["coverage"], 3)},
        now=now,
    )
    return {"proof": proof.id}


def _judge(session: Session, node_id: str, verdict: str, found: Found, actor: Actor, now: Any) -> None:
    """Healthy or failed, by the verdict. What an operator took off the market stays off it, however well it does."""
    if verdict == "unknown":
        return
    state = supply.node(session, node_id).state
    to = NodeState.HEALTHY if found["accepts"] else NodeState.FAILED
    if to in MOVES[state] and (state in OPEN or to is NodeState.FAILED):
        supply.set_node(session, node_id, to, f"qualified: {found['reason']}", actor=actor, now=now)


def _task(ground: Ground, window: str) -> tuple[ProvingRow, Provider | None, Any]:
    with ground.database.reading() as session:
        task = _row(session, window)
        node = supply.node(session, task.node_id)
    return task, ground.providers.get(node.provider), node


def _row(session: Session, window: str) -> ProvingRow:
    task = session.get(ProvingRow, window)
    if task is None:
        raise NotFound(f"no node is proved in {window}")
    return task
