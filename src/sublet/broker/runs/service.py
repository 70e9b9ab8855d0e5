"""Start commands on a lease's nodes, follow them, stop them.

The provider is called outside every transaction: `begin` writes what is about to be started, `started` what came of it.
Invariant: a command that ran is on record, with the time at which it was seen to end; it belongs to its lease's tenant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from sublet.broker.audit.log import record
from sublet.broker.billing.receipt import Measured
from sublet.broker.errors import Conflict, Invalid, NotFound
from sublet.broker.leases import service as leases
from sublet.broker.leases.states import SERVING
from sublet.broker.leases.values import Lease, Member, SlotState
from sublet.broker.orders import quotes
from sublet.broker.runs.tables import RunRow
from sublet.broker.runs.values import Run
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import SYSTEM, Actor
from sublet.providers.protocol import Process, Provider, ProviderUnavailable, UnknownRef
from sublet.storage import ids

MOST_WORDS, LONGEST_WORD = 1000, 32_768


def begin(
    session: Session,
    lease_id: str,
    *,
    argv: Sequence[str],
    node: str | None = None,
    job: bool = False,
    actor: Actor,
    now: datetime,
) -> Run:
    """Write down a command that is about to be started on a node of the lease (its first, where none is named).

    `job` says that this is the job that was quoted: only its time is set against the quote's.

    Conflict where the lease is not in the tenant's hands; NotFound for a node that is not of the lease; Invalid for no
    command at all.
    """
    lease = leases.get(session, lease_id, actor=actor)
    permit(actor, "lease.run", organisation=lease.organisation, project=lease.project)
    member = _member(lease, node)
    if not argv or not argv[0] or len(argv) > MOST_WORDS or any(len(word) > LONGEST_WORD for word in argv):
        raise Invalid(f"a command has 1 to {MOST_WORDS} words of at most {LONGEST_WORD} letters")
    if any("\0" in word for word in argv):
        raise Invalid("a command's words hold no NUL")
    row = RunRow(
        id=ids.new("run", now),
        lease_id=lease.id,
        organisation_id=lease.organisation,
        project_id=lease.project,
        provider=lease.provider,
        node_id=member.node_id,
        ref=member.ref,
        process="",
        argv=list(argv),
        job=job,
        started_by=actor.id,
        started_at=now,
        ended_at=None,
        status=None,
        reason="",
    )
    session.add(row)
    session.flush()
    record(
        session,
        actor=actor,
        action="lease.run",
        target=lease.id,
        outcome="asked",
        reason=argv[0],
        details={"run": row.id, "node": member.node_id, "words": len(argv)},
        organisation=lease.organisation,
        project=lease.project,
        now=now,
    )
    return _run(row)


def started(session: Session, run_id: str, *, process: str, now: datetime) -> Run:
    """The provider started it, under this name."""
    row = session.get_one(RunRow, run_id)
    row.process, row.started_at = process, now
    return _run(row)


def ended(session: Session, run_id: str, *, status: int | None, reason: str = "", now: datetime) -> Run:
    """It ended (or never started); written once."""
    row = session.get_one(RunRow, run_id)
    if row.ended_at is None:
        row.ended_at, row.status, row.reason = now, status, reason
    return _run(row)


def run(session: Session, lease_id: str, run_id: str, *, actor: Actor) -> Run:
    """One command of a lease; NotFound where it is another's."""
    leases.get(session, lease_id, actor=actor)
    row = session.get(RunRow, run_id)
    if row is None or row.lease_id != lease_id:
        raise NotFound("no such run")
    return _run(row)


def stop(session: Session, lease_id: str, run_id: str, *, actor: Actor, now: datetime) -> Run:
    """That somebody wants it ended, on record; whoever called kills it then."""
    found = run(session, lease_id, run_id, actor=actor)
    permit(actor, "lease.run", organisation=found.organisation, project=found.project)
    record(
        session,
        actor=actor,
        action="lease.kill",
        target=lease_id,
        outcome="asked",
        details={"run": run_id},
        organisation=found.organisation,
        project=found.project,
        now=now,
    )
    return found


def runs(
    session: Session, lease_id: str, *, actor: Actor, after: str | None = None, limit: int = 100
) -> tuple[Run, ...]:
    """The commands of a lease, oldest first, from `after` on."""
    leases.get(session, lease_id, actor=actor)
    query = select(RunRow).where(RunRow.lease_id == lease_id).order_by(RunRow.id).limit(limit)
    if after is not None:
        query = query.where(RunRow.id > after)
    return tuple(_run(row) for row in session.scalars(query))


def open_runs(session: Session, lease_id: str | None = None) -> tuple[Run, ...]:
    """Commands that nobody has seen end. For the broker itself."""
    query = select(RunRow).where(RunRow.ended_at.is_(None)).order_by(RunRow.id)
    if lease_id is not None:
        query = query.where(RunRow.lease_id == lease_id)
    return tuple(_run(row) for row in session.scalars(query))


def measured(session: Session, lease: Lease) -> Measured | None:
    """What the lease's job did, by its own start and end; None where no command that was said to be it succeeded.

    Of several the longest: a run that was started again trained anew.

    The quote says how many tokens the job trains; the rate follows from it.
    """
    tokens = quotes.quote(session, lease.quote_id, actor=SYSTEM).estimate.get("tokens")
    query = select(RunRow).where(RunRow.lease_id == lease.id, RunRow.job, RunRow.status == 0)
    timed = [(run.seconds, run.reason) for run in map(_run, session.scalars(query)) if run.seconds]
    if not timed:
        return None
    longest, note = max(timed)
    return Measured(
        run_s=longest,
        tokens=float(tokens) if tokens else None,
        tokens_per_s=float(tokens) / longest if tokens else None,
        source="start and end of the command that was said to be the job",
        note=note,
    )


def process_of(providers: Mapping[str, Provider], found: Run) -> Process | None:
    """The command at its provider; None where the provider does not know it (any more)."""
    provider = providers.get(found.provider)
    if provider is None or not found.process:
        return None
    try:
        return next((each for each in provider.processes(found.ref) if each.id == found.process), None)
    except UnknownRef:
        return None


def follow(database: Any, providers: Mapping[str, Provider], now: datetime) -> int:
    """Look at every command that nobody has seen end, and write down those that did; returns how many."""
    with database.reading() as session:
        waiting = open_runs(session)
    over: list[tuple[str, int | None, str]] = []
    for found in waiting:
        if not found.process:
            if (now - found.started_at).total_seconds() > 300:
                over.append((found.id, None, "it was never heard of again: the broker was cut off while starting it"))
            continue
        try:
            process = process_of(providers, found)
        except ProviderUnavailable:
            continue
        if process is None:
            over.append((found.id, None, "its node is gone"))
        elif (status := process.poll()) is not None:
            over.append((found.id, status, process.note()))

    def write(session: Session) -> None:
        for run_id, status, reason in over:
            ended(session, run_id, status=status, reason=reason, now=now)

    if over:
        database.run(write)
    return len(over)


def _member(lease: Lease, node: str | None) -> Member:
    if lease.state not in SERVING:
        raise Conflict(f"lease {lease.id} is {lease.state}: commands run while it is active")
    serving = [each for each in lease.members if each.state is SlotState.SERVING and each.ref]
    if node is not None:
        serving = [each for each in serving if each.node_id == node]
        if not serving:
            raise NotFound(f"no node {node} serves in lease {lease.id}")
    if not serving:
        raise Conflict(f"no node of lease {lease.id} serves now")
    return serving[0]


def _run(row: RunRow) -> Run:
    return Run(
        row.id,
        row.lease_id,
        row.organisation_id,
        row.project_id,
        row.provider,
        row.node_id,
        row.ref,
        row.process,
        tuple(row.argv),
        row.started_by,
        row.started_at,
        row.ended_at,
        row.status,
        row.reason,
        row.job,
    )
