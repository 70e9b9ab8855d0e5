"""What tenants do in a story: order, approve, cancel, extend, renew, shorten, end, and use tokens."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule
from story_kit import REASON, S, Stage, lengths, offsets, some

from lease_kit import OPERATOR
from sublet.broker import compose
from sublet.broker.errors import Unauthenticated
from sublet.broker.leases import service
from sublet.broker.orders import service as orders
from sublet.broker.orders.values import OrderState
from sublet.broker.tenants import tokens


class People(Stage):
    """Everything that a member or an administrator of a tenant may ask for, right or wrong."""

    @rule(
        which=some,
        nodes=st.integers(1, 3),
        hours=lengths,
        offset=offsets,
        window=st.sampled_from([3600, 14400]),
        when=st.sampled_from(["now", "now", "start", "window"]),
        rate=some,
        refund=st.sampled_from(["1", "0.5", "0"]),
        credit=st.sampled_from(["0", "1"]),
    )
    def order_(self, which, nodes, hours, offset, window, when, rate, refund, credit):
        tenant = self.tenants[which % 3]
        quote = self._quiet(
            lambda: self.quote(tenant, nodes, hours, rate, {"early_end_refund": refund, "lost_time_credit": credit})
        )
        at = self.clock.now()
        placed = self.act(
            lambda session: compose.place_order(
                session,
                quote=quote.id,
                start=at + offset * S if when == "start" else None,
                window_end=at + window * S if when == "window" else None,
                idempotency_key=quote.id,
                actor=self.member(tenant[0]),
                now=at,
            )
        )
        self.opened(placed)

    @rule(nodes=st.integers(1, 3), hours=lengths)
    def order_now(self, nodes, hours):
        self.order_(0, nodes, hours, 0, 0, "now", 0, "1", "0")

    @rule(which=some, yes=st.booleans())
    def approve(self, which, yes):
        pending = self.order(which, OrderState.PENDING_APPROVAL)
        if pending is not None:
            admin, now = self.member(pending.organisation, "admin"), self.clock.now()
            if yes:
                self.opened(self.act(lambda session: compose.approve_order(session, pending.id, actor=admin, now=now)))
            else:
                self.act(lambda session: orders.reject(session, pending.id, reason=REASON, actor=admin, now=now))

    @rule(which=some)
    def cancel(self, which):
        found = self.order(which, OrderState.ACCEPTED, OrderState.WAITLISTED, OrderState.PENDING_APPROVAL)
        if found is not None:
            now = self.clock.now()
            self.act(
                lambda session: compose.cancel_order(session, found.id, actor=self.member(found.organisation), now=now)
            )

    @rule(which=some, hours=lengths, requoted=st.booleans(), rate=some)
    def extend(self, which, hours, requoted, rate):
        lease = self.lease(which)
        if lease is None:
            return
        now, key = self.clock.now(), f"key-{next(self.keys)}"
        until = lease.ends_at + timedelta(seconds=int(hours * 3600))
        quote = self._quiet(lambda: self.quote((lease.organisation, lease.project), lease.nodes, hours, rate))
        done = self.act(
            lambda session: compose.extend_lease(
                session,
                lease.id,
                until=until,
                quote=quote.id if requoted else None,
                idempotency_key=key,
                actor=self.member(lease.organisation),
                now=now,
            )
        )
        if done is not None:
            self.ends[lease.id] = until

    @rule(which=some, rate=some)
    def renew(self, which, rate):
        lease = self.lease(which)
        if lease is None:
            return
        now, key = self.clock.now(), f"key-{next(self.keys)}"
        quote = self._quiet(lambda: self.quote((lease.organisation, lease.project), lease.nodes, Decimal(1), rate))
        done = self.act(
            lambda session: compose.renew_lease(
                session,
                lease.id,
                quote=quote.id,
                idempotency_key=key,
                actor=self.member(lease.organisation),
                now=now,
            )
        )
        if done is not None:
            assert done.ends_at > lease.ends_at
            self.ends[lease.id] = done.ends_at

    @rule(which=some, offset=offsets)
    def shorten(self, which, offset):
        lease = self.lease(which)
        if lease is None:
            return
        now, key = self.clock.now(), f"key-{next(self.keys)}"
        until = max(now, lease.starts_at) + (offset + 1) * S
        done = self.act(
            lambda session: service.shorten(
                session, lease.id, until=until, idempotency_key=key, actor=self.member(lease.organisation), now=now
            )
        )
        if done is not None:
            self.ends[lease.id] = until

    @rule(which=some, operator=st.booleans())
    def end(self, which, operator):
        lease = self.lease(which)
        if lease is not None:
            actor, now = OPERATOR if operator else self.member(lease.organisation), self.clock.now()
            self.act(lambda session: service.request_end(session, lease.id, actor=actor, now=now))

    @rule(which=some)
    def token_is_issued_used_and_revoked(self, which):
        home, _ = self.tenants[which % 3]
        now = self.clock.now()
        if len(self.tickets) < 2:
            made = self.act(
                lambda session: tokens.issue_token(
                    session, organisation=home, name="t", role="member", actor=self.member(home, "admin"), now=now
                )
            )
            if made is not None:
                self.tickets.append((made[0].id, made[1]))
        else:
            token, secret = self.tickets.pop()
            self.database_quiet(lambda session: tokens.authenticate(session, secret, address="", now=now))
            self.act(lambda session: tokens.revoke_token(session, token, actor=OPERATOR, now=now))
            with pytest.raises(Unauthenticated):
                self.database_quiet(lambda session: tokens.authenticate(session, secret, address="", now=now))
