"""A broker with a simulated provider for the benchmarks of leases: one tenant, one contract, any number of nodes."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy.orm import Session

from sublet.broker import compose
from sublet.broker.leases import service as leases
from sublet.broker.leases.engine import Engine
from sublet.broker.orders import service as orders
from sublet.broker.orders.values import StoredQuote
from sublet.broker.supply import service as supply
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.values import Actor
from sublet.providers.simulated import SimulatedProvider
from sublet.providers.simulated_fleet import Fleet, FleetShape
from sublet.qualification.certificate import load_signer
from sublet.qualification.rehearsal import respond
from sublet.storage import ids, migrate
from sublet.storage.clock import VirtualClock
from sublet.storage.engine import Database
from sublet.units import Money

OPERATOR = Actor("user", "usr_operator", None, None, "operator")
SHAPE, CHIP = "8xh100", "H100 SXM"
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Bench:
    """What a benchmark works with."""

    database: Database
    clock: VirtualClock
    provider: SimulatedProvider
    engine: Engine
    project: str
    member: Actor

    def quote(self, session: Session, nodes: int = 1, hours: int = 24) -> StoredQuote:
        """A new stored quote."""
        now = self.clock.now()
        return orders.store_quote(
            session,
            project=self.project,
            accelerator=CHIP,
            shape=SHAPE,
            nodes=nodes,
            count=8 * nodes,
            price_per_accelerator_hour=Money(Decimal(3)),
            hours=Decimal(hours),
            estimate={},
            terms={},
            job={},
            expires_at=now + timedelta(hours=1),
            actor=self.member,
            now=now,
        )

    def order(self, session: Session, nodes: int = 1) -> str:
        """Quote and accept; the id of the lease."""
        quote = self.quote(session, nodes).id
        placed = compose.place_order(
            session, quote=quote, idempotency_key=quote, actor=self.member, now=self.clock.now()
        )
        assert placed.lease_id is not None, placed.reason
        return placed.lease_id

    def lease(self, session: Session, node_id: str, quote: StoredQuote) -> None:
        """A lease of one node without the search for a place: for benchmarks of what comes after it."""
        now = self.clock.now()
        leases.create(
            session,
            order=_Order(ids.new("ord", now), quote.organisation, quote.project),
            quote=quote,
            node_ids=[node_id],
            starts_at=now,
            ends_at=now + timedelta(days=1),
            now=now,
        )


@dataclass(frozen=True)
class _Order:
    id: str
    organisation: str
    project: str


@contextmanager
def postgresql() -> Iterator[Callable[[], str]]:
    """Makes databases in a private cluster, each by its URL; NotInstalled where there is none."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from broker_kit import Cluster, postgresql_binaries

    try:
        cluster = Cluster(postgresql_binaries())
    except BaseException as reason:  # pytest's skip is no Exception
        if isinstance(reason, KeyboardInterrupt):
            raise
        raise NotInstalled(str(reason)) from None
    try:
        cluster.initialise()
        yield cluster.create
        cluster.stop("immediate")
    finally:
        shutil.rmtree(cluster.folder, ignore_errors=True)


class NotInstalled(Exception):
    """PostgreSQL is not on this machine."""


@contextmanager
def broker(nodes: int, url: str = "") -> Iterator[Bench]:
    """A broker on SQLite in a folder that is removed afterwards, or on the empty database of a URL."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        database = Database.open(url or home)
        migrate.upgrade(database)
        clock = VirtualClock(START)
        shape = FleetShape(
            SHAPE, nodes, Money(Decimal(16)), accelerator=CHIP, accelerators_per_node=8, cpus=64, memory_bytes=1e12
        )
        provider = SimulatedProvider(Fleet((shape,)), clock, respond=respond)
        engine = compose.lease_engine(database, {provider.name: provider}, clock, load_signer(home))
        with database.transaction() as session:
            tenant = tenants.create_organisation(session, name="Acme", actor=OPERATOR, now=START)
            project = tenants.create_project(session, organisation=tenant.id, name="llm", actor=OPERATOR, now=START)
            supply.add_contract(
                session,
                provider=provider.name,
                accelerator=CHIP,
                shape=SHAPE,
                nodes=nodes,
                accelerators_per_node=8,
                price_per_node_hour=Money(Decimal(16)),
                start=START,
                end=START + timedelta(days=60),
                cluster="fabric",
                sold={"cpus": 64, "memory_bytes": 1e12},
                actor=OPERATOR,
                now=START,
            )
        member = Actor("user", "usr_bench", tenant.id, None, "member")
        yield Bench(database, clock, provider, engine, project.id, member)
        database.close()
