"""What operator, provider and time do in a story: supply, repairs, caps, faults, and the broker's own deaths."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from story_kit import HOUR, NODES, REASON, S, Stage, lengths, offsets, pauses, some

from lease_kit import CHIP, OPERATOR, SHAPE
from sublet.broker.billing import charges
from sublet.broker.leases import caps, service, store
from sublet.broker.supply import service as supply
from sublet.broker.supply import upkeep
from sublet.broker.supply.values import NodeState
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.values import SYSTEM
from sublet.providers.simulated_faults import Fault
from sublet.units import Money


class Ground(Stage):
    """Everything that happens to a broker which no tenant asked for."""

    down_since: datetime | None

    # --- what the operator does

    @rule(nodes=st.integers(1, 2), hours=lengths, offset=offsets)
    def buy(self, nodes, hours, offset):
        now = self.clock.now()
        start = now + offset * S
        with self.database.reading() as session:
            if len(supply.nodes(session)) > NODES + 4:
                return
        self.act(
            lambda session: supply.add_contract(
                session,
                provider=self.provider.name,
                accelerator=CHIP,
                shape=SHAPE,
                nodes=nodes,
                accelerators_per_node=8,
                price_per_node_hour=Money(Decimal(17)),
                start=start,
                end=start + timedelta(seconds=int(hours * 3600)),
                cluster="fabric",
                sold={"cpus": 64, "memory_bytes": 1e12},
                actor=OPERATOR,
                now=now,
            )
        )

    @rule(which=some, state=st.sampled_from([*NodeState, NodeState.HEALTHY, NodeState.DELIVERED, NodeState.DELIVERED]))
    def node_state(self, which, state):
        node, now = self.node(which), self.clock.now()
        self.act(lambda session: supply.set_node(session, node.id, state, REASON, actor=OPERATOR, now=now))

    @rule(which=some, offset=offsets, outage=st.booleans())
    def repair(self, which, offset, outage):
        node, now = self.node(which), self.clock.now()
        window = {"start": now + offset * S, "reason": REASON, "actor": OPERATOR, "now": now}
        if outage:
            self.act(lambda session: upkeep.report_outage(session, node.id, until=window["start"] + HOUR / 2, **window))
            return
        made = self.act(
            lambda session: upkeep.plan_maintenance(
                session, node_ids=[node.id], end=window["start"] + HOUR / 2, **window
            )
        )
        self.windows += [booking.holder for booking in made or ()]

    @rule(which=some, length=lengths)
    def outage_under_a_lease(self, which, length):
        """The operator knows before the provider does: a node that a lease has does not work."""
        held = [(lease.id, m) for lease in self.leases() for m in lease.members if m.current and m.ref]
        if not held:
            return
        (lease_id, member), now = held[which % len(held)], self.clock.now()
        until = now + timedelta(seconds=int(length * 3600))
        done = self.act(
            lambda session: upkeep.report_outage(
                session, member.node_id, start=now, until=until, reason=REASON, actor=OPERATOR, now=now
            )
        )
        if done is not None:
            self.outages.setdefault((lease_id, member.node_id), now)

    @precondition(lambda self: self.world and self.windows)
    @rule()
    def repair_is_over(self):
        window, now = self.windows.pop(), self.clock.now()
        self.act(lambda session: upkeep.end_maintenance(session, window, actor=OPERATOR, now=now))

    @rule(
        which=some,
        kind=st.sampled_from(["organisation", "project", "group"]),
        nodes=st.sampled_from([None, 0, 1, 2, 3, 4]),
        accelerators=st.sampled_from([None, 8, 16, 24]),
    )
    def cap(self, which, kind, nodes, accelerators):
        tenant, now = self.tenants[which % 3], self.clock.now()
        subject = {"organisation": tenant[0], "project": tenant[1], "group": "holding"}[kind]
        self.act(
            lambda session: caps.set_cap(
                session, kind=kind, subject=subject, nodes=nodes, accelerators=accelerators, actor=OPERATOR, now=now
            )
        )

    @rule(which=some, group=st.sampled_from([None, "holding"]))
    def affiliate(self, which, group):
        home, now = self.tenants[which % 3][0], self.clock.now()
        self.act(lambda session: caps.set_group(session, home, group, actor=OPERATOR, now=now))

    @rule(more=st.integers(0, 3))
    def budget_grows(self, more):
        project, now = self.tenants[2][1], self.clock.now()
        with self.database.reading() as session:
            budget = tenants.project(session, project, actor=SYSTEM).budget
        grown = (budget or Money(Decimal(0))) + Money(Decimal(50 * more))
        self.act(lambda session: tenants.update_project(session, project, budget=grown, actor=OPERATOR, now=now))

    @rule(which=some)
    def credit(self, which):
        lease, now, key = self.lease(which), self.clock.now(), f"key-{next(self.keys)}"
        if lease is not None:
            self.act(
                lambda session: charges.credit(
                    session,
                    store.lease_of(session, lease.id),
                    Money(Decimal("0.25")),
                    reason=REASON,
                    reference=key,
                    actor=OPERATOR,
                    now=now,
                )
            )

    @rule(which=some)
    def declared_gone(self, which):
        """The operator may say so only where it is so: otherwise he leaks what he lies about."""
        lease, now = self.lease(which), self.clock.now()
        if lease is not None and not self.provider.truth(lease.id):
            self.act(lambda session: service.declare_gone(session, lease.id, reason=REASON, actor=OPERATOR, now=now))

    # --- what the provider does

    @rule(
        kind=st.sampled_from(
            [
                "timeout-before-create",
                "timeout-after-create",
                "duplicate-create",
                "partial-gang",
                "wrong-chip",
                "less-memory",
                "slow-boot",
                "node-dies",
                "node-vanishes",
                "capacity-withdrawn",
                "price-changed",
                "empty-list",
                "stale-list",
                "endpoint-gone",
                "slow",
                "terminate-ignored",
                "timeout-after-terminate",
                "command-fails",
                "command-hangs",
            ]
        ),
        times=st.integers(1, 4),
        skip=st.integers(0, 2),
        seconds=st.sampled_from([1.0, 10.0, 70.0, 700.0]),
    )
    def fault(self, kind, times, skip, seconds):
        more: dict[str, Any] = {"price": Money(Decimal(40))} if kind == "price-changed" else {}
        if kind == "slow":
            seconds = min(seconds, 10.0)
        self.provider.script(Fault(kind, times=times, skip=skip, seconds=seconds, value="A100 80GB", **more))

    @rule()
    def provider_goes_away(self):
        if self.down_since is None:
            self.provider.script(Fault("provider-down", times=None))
            self.down_since = self.clock.now()

    @rule()
    def provider_is_back(self):
        self.provider.clear("provider-down")
        self.down_since = None

    @rule()
    def faults_are_over(self):
        self.provider.clear()
        self.provider.script(Fault("price-changed", price=Money(Decimal(16))))
        self.down_since = None

    @rule(which=some, vanishes=st.booleans())
    def node_dies(self, which, vanishes):
        if truth := self.provider.truth():
            self.provider.kill_node(truth[which % len(truth)].ref, vanishes=vanishes)

    # --- time, and the broker's own life

    @rule(seconds=pauses, engine=st.integers(0, 1))
    def time_passes(self, seconds, engine):
        self.clock.advance(seconds)
        self.tick(engine)

    @rule(step=st.sampled_from([2, 15, 60]), times=st.integers(2, 8))
    def engine_runs(self, step, times):
        for _ in range(times):
            self.clock.advance(step)
            self.tick()

    @rule()
    def a_while(self):
        """Long enough for what was asked for to come, be checked and serve."""
        self.engine_runs(15, 8)

    @rule(boundaries=st.integers(0, 12))
    def process_will_die(self, boundaries):
        self.fuse = boundaries
