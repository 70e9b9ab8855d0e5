"""A server that proves a node, killed -9 at a chosen boundary, and another that goes on: a process of its own.

    python proving_worker.py < plan      one JSON line for each kill point

A boundary is the instant before or after a commit of the broker, and before or after a call that changes something at
the provider. For each point a child proves the node and kills itself there; a second child only does what every server
does at its start: it looks after what a dead one left. The provider's nodes live in a file of their own.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dbos  # noqa: F401 - once, in the parent: the children are forked

from sublet.broker.bookings import service as bookings
from sublet.broker.proving import recovery, service
from sublet.broker.proving.procedure import Ground
from sublet.broker.supply import service as supply
from sublet.broker.tenants.values import Actor
from sublet.providers.simulated import SimulatedProvider
from sublet.providers.simulated_fleet import Fleet, FleetShape
from sublet.qualification.certificate import load_signer, verify
from sublet.qualification.rehearsal import respond
from sublet.storage import durable
from sublet.storage.clock import SystemClock
from sublet.storage.engine import Database
from sublet.units import Money

OPERATOR = Actor("user", "usr_operator", None, None, "operator")
PRICE = Money(Decimal(16))


class Boundary:
    """Counts boundaries, remembers what they were, and dies at one of them."""

    def __init__(self, kill_at: int | None) -> None:
        self.kill_at = kill_at
        self.names: list[str] = []

    def __call__(self, name: str) -> None:
        if self.kill_at == len(self.names):
            os.kill(os.getpid(), signal.SIGKILL)
        self.names.append(name)


class KilledProvider(SimulatedProvider):
    """Dies before or after a call that changes something."""

    boundary: Boundary

    def create(self, request):
        self.boundary("before create")
        made = super().create(request)
        self.boundary("after create")
        return made

    def terminate(self, ref):
        self.boundary("before terminate")
        super().terminate(ref)
        self.boundary("after terminate")


def watch_commits(database: Database, boundary: Boundary) -> None:
    plain = database.transaction

    @contextmanager
    def transaction(*, marked: bool = True):
        with plain(marked=marked) as session:
            yield session
            session.flush()
            boundary("before commit")
        boundary("after commit")

    database.transaction = transaction  # type: ignore[method-assign]


def ground(where: str, folder: Path, boundary: Boundary) -> Ground:
    clock = SystemClock()
    shape = FleetShape("8xh100", 1, PRICE, accelerator="H100 SXM", accelerators_per_node=8, cpus=64, memory_bytes=1e12)
    provider = KilledProvider(Fleet((shape,)), clock, path=folder / "provider.db", respond=respond)
    provider.boundary = boundary
    return Ground(Database.open(where), {provider.name: provider}, load_signer(folder), clock)


def bought(on: Ground) -> str:
    """The one node, bought where it is not yet."""
    now = on.clock.now()
    with on.database.transaction() as session:
        if known := supply.nodes(session):
            return known[0].id
        supply.add_contract(
            session,
            provider=next(iter(on.providers)),
            accelerator="H100 SXM",
            shape="8xh100",
            nodes=1,
            accelerators_per_node=8,
            price_per_node_hour=PRICE,
            start=now - timedelta(hours=1),
            end=now + timedelta(days=60),
            sold={"cpus": 64, "memory_bytes": 1e12},
            actor=OPERATOR,
            now=now,
        )
        return supply.nodes(session)[0].id


def verdict(on: Ground, folder: Path, node_id: str) -> dict[str, Any]:
    """How it all stands in the end."""
    provider = on.providers["simulated"]
    assert isinstance(provider, SimulatedProvider)
    with provider._state.reading() as connection:
        made = connection.execute("SELECT count(*) FROM nodes").fetchone()[0]
    with on.database.reading() as session:
        proofs = service.proofs(session, node_id, actor=OPERATOR)
        return {
            "state": supply.node(session, node_id).state.value,
            "proofs": len(proofs),
            "signed": all(verify(proof.certificate, on.signer.public_key) for proof in proofs),
            "made": made,
            "left": len(provider.truth()),
            "held": len(bookings.of_node(session, node_id=node_id, after=on.clock.now())),
        }


def life(where: str, folder: Path, role: str, kill_at: int | None, report: Path) -> None:
    """One process: "prove" the node, or "resume" what another left."""
    boundary = Boundary(None)
    on = ground(where, folder, boundary)
    node_id = bought(on)
    boundary.kill_at = kill_at
    watch_commits(on.database, boundary)
    recovery.YOUNG = timedelta()
    durable.prepare(on.database, on)
    if role == "prove":
        service.prove(on.database, on.providers, on.signer, on.clock, node_id, actor=OPERATOR)
    else:
        deadline = time.monotonic() + 60
        while recovery.resume(on) or open_(on):
            assert time.monotonic() < deadline, "nobody finished it"
            time.sleep(0.05)
    launched = durable.launched()
    durable.stop(finish_s=10)
    report.write_text(json.dumps({"boundaries": boundary.names, "launched": launched, **verdict(on, folder, node_id)}))
    on.database.close()


def open_(on: Ground) -> bool:
    from sqlalchemy import text

    with on.database.reading() as session:
        return bool(session.scalar(text("SELECT count(*) FROM node_provings WHERE finished_at IS NULL")))


def child(*arguments: Any) -> int:
    """Run `life` in a process of its own; its exit status (negative: the signal that killed it)."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            life(*arguments)
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> None:
    """Plan lines: {"where": URL or folder, "folder": ..., "kill_at": number or null}."""
    for line in sys.stdin:
        plan = json.loads(line)
        folder = Path(plan["folder"])
        report = folder / "report.json"
        first = child(plan["where"], folder, "prove", plan["kill_at"], report)
        second = child(plan["where"], folder, "resume", None, report) if plan["kill_at"] is not None else 0
        said = json.loads(report.read_text()) if report.exists() else {}
        print(json.dumps({"first": first, "second": second, **said}), flush=True)


if __name__ == "__main__":
    main()
