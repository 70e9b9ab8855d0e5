"""Where the broker is put together: database, providers, clock, signer in; engine and services out.

Rooms that need each other in a circle meet here: an accepted order opens a lease, a lease that ends promotes the
waitlist. Invariant: nothing is decided here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from sublet.broker.billing import charges
from sublet.broker.leases import gatekeeper, store
from sublet.broker.leases.engine import Chore, Engine, Hook
from sublet.broker.leases.policy import Policy
from sublet.providers.protocol import Provider
from sublet.qualification.certificate import Signer
from sublet.storage.clock import Clock, SystemClock
from sublet.storage.engine import Database


def lease_engine(
    database: Database,
    providers: Mapping[str, Provider],
    clock: Clock,
    signer: Signer,
    *,
    hooks: Sequence[Hook] = (),
    chores: Sequence[Chore] = (),
    policy: Policy | None = None,
    **options: Any,
) -> Engine:
    """The engine that drives the leases of this database."""
    return Engine(
        database,
        providers,
        clock,
        gate=gatekeeper.gate(signer),
        settle=settle,
        hooks=hooks,
        chores=chores,
        policy=policy,
        monotonic=time.monotonic if isinstance(clock, SystemClock) else None,
        **options,
    )


def settle(session: Session, lease_id: str, now: datetime) -> None:
    """Charge what is metered, close the account of the lease, write its receipt."""
    lease = store.lease_of(session, lease_id)
    charges.accrue(session, lease, now=now)
    charges.close(session, lease)
