"""The client, awaited: made from client.py by tools/async_client.py; change it there.

Invariant: every method of `Client` is here under the same name, with the same arguments.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sublet.client import values as v
from sublet.client.core import NULL, AsyncCore, Call, quoted
from sublet.client.errors import ClientError
from sublet.units import Money

QUALIFY_S = 240.0
OVER = frozenset({"settled", "rejected", "expired", "cancelled", "failed"})


class AsyncClient(AsyncCore):
    """Ask a broker. `url` and `token` default to SUBLET_URL and SUBLET_TOKEN; `transport` is httpx's."""

    # --- who, and whose

    async def me(self) -> v.Me:
        """Who the token is."""
        return await self._do(Call("GET", "/v1/me", v.Me))

    def organisations(self) -> AsyncIterator[v.Organisation]:
        """The organisations that the token may see."""
        return self._pages(Call("GET", "/v1/organisations", v.Organisation))

    async def organisation(self, organisation: str) -> v.Organisation:
        """One organisation."""
        return await self._do(Call("GET", f"/v1/organisations/{organisation}", v.Organisation))

    async def create_organisation(self, name: str, *, tier: int = 1, key: str | None = None) -> v.Organisation:
        """Make a tenant; the operator's."""
        return await self._do(
            Call("POST", "/v1/organisations", v.Organisation, body={"name": name, "tier": tier}, key=key)
        )

    def projects(self, *, organisation: str | None = None) -> AsyncIterator[v.Project]:
        """Projects."""
        return self._pages(Call("GET", "/v1/projects", v.Project, query={"organisation": organisation}))

    async def project(self, project: str) -> tuple[v.Project, str]:
        """A project and its ETag, for `update_project`."""
        return await self._tagged(Call("GET", f"/v1/projects/{project}", v.Project))

    async def create_project(
        self,
        name: str,
        *,
        organisation: str | None = None,
        budget: Money | None = None,
        needs_approval: bool = False,
        hard_stop: bool = True,
        key: str | None = None,
    ) -> v.Project:
        """Make a project."""
        body = {
            "name": name,
            "organisation": organisation,
            "budget": budget,
            "needs_approval": needs_approval,
            "hard_stop": hard_stop,
        }
        return await self._do(Call("POST", "/v1/projects", v.Project, body=body, key=key))

    async def update_project(
        self,
        project: str,
        *,
        budget: Money | None = None,
        remove_budget: bool = False,
        needs_approval: bool | None = None,
        hard_stop: bool | None = None,
        if_match: str | None = None,
        key: str | None = None,
    ) -> v.Project:
        """Change a project; with `if_match` only if it is as it was read."""
        body = {"budget": budget, "needs_approval": needs_approval, "hard_stop": hard_stop}
        if remove_budget:
            body["remove_budget"] = True
        return await self._do(
            Call("PATCH", f"/v1/projects/{project}", v.Project, body=body, key=key, if_match=if_match)
        )

    async def budget(self, project: str) -> v.Budget:
        """How a project stands against its budget."""
        return await self._do(Call("GET", f"/v1/projects/{project}/budget", v.Budget))

    async def caps(self) -> tuple[v.Cap, ...]:
        """The caps that are set, as far as the token may see them."""
        return await self._do(Call("GET", "/v1/caps", tuple[v.Cap, ...], inner="items"))

    async def cap_status(self, organisation: str) -> tuple[v.CapStatus, ...]:
        """Every limit that bears on an organisation, and how far it is used."""
        path = f"/v1/organisations/{organisation}/caps"
        return await self._do(Call("GET", path, tuple[v.CapStatus, ...], inner="items"))

    async def set_cap(
        self,
        kind: str,
        subject: str,
        *,
        nodes: int | None = None,
        accelerators: int | None = None,
        reason: str = "",
        key: str | None = None,
    ) -> v.Cap:
        """Cap what an "organisation", a "project" (by id) or a "group" (by name) holds; without figures: no cap."""
        body = {"nodes": nodes, "accelerators": accelerators, "reason": reason}
        return await self._do(Call("PUT", f"/v1/{kind}s/{quoted(subject)}/cap", v.Cap, body=body, key=key))

    async def join_group(
        self, organisation: str, group: str | None, *, reason: str = "", key: str | None = None
    ) -> v.Organisation:
        """Say with whom an organisation is affiliated (None: with nobody): for caps they count as one."""
        body = {"group": NULL if group is None else group, "reason": reason}
        return await self._do(
            Call("PUT", f"/v1/organisations/{organisation}/group", v.Organisation, body=body, key=key)
        )

    def people(self, *, organisation: str | None = None) -> AsyncIterator[v.Person]:
        """People."""
        return self._pages(Call("GET", "/v1/people", v.Person, query={"organisation": organisation}))

    async def create_person(
        self, name: str, email: str, role: str, *, organisation: str | None = None, key: str | None = None
    ) -> v.Person:
        """Give somebody a role."""
        body = {"name": name, "email": email, "role": role, "organisation": organisation}
        return await self._do(Call("POST", "/v1/people", v.Person, body=body, key=key))

    def tokens(self, *, organisation: str | None = None) -> AsyncIterator[v.Token]:
        """Tokens, without their secrets."""
        return self._pages(Call("GET", "/v1/tokens", v.Token, query={"organisation": organisation}))

    async def issue_token(
        self,
        name: str,
        role: str,
        *,
        organisation: str | None = None,
        project: str | None = None,
        person: str | None = None,
        scopes: Sequence[str] = (),
        expires_at: datetime | None = None,
        key: str | None = None,
    ) -> v.IssuedToken:
        """Issue a token; its secret is in the answer and nowhere else."""
        body = {
            "name": name,
            "role": role,
            "organisation": organisation,
            "project": project,
            "person": person,
            "scopes": list(scopes),
            "expires_at": expires_at,
        }
        return await self._do(Call("POST", "/v1/tokens", v.IssuedToken, body=body, key=key))

    async def revoke_token(self, token: str) -> v.Token:
        """End a token for good."""
        return await self._do(Call("DELETE", f"/v1/tokens/{token}", v.Token))

    # --- supply

    async def offers(self) -> tuple[v.ProviderOffers, ...]:
        """What the connected providers have now."""
        return await self._do(Call("GET", "/v1/offers", tuple[v.ProviderOffers, ...], inner="items"))

    def contracts(self, *, provider: str | None = None) -> AsyncIterator[v.Contract]:
        """Contracts."""
        return self._pages(Call("GET", "/v1/contracts", v.Contract, query={"provider": provider}))

    async def add_contract(
        self,
        *,
        provider: str,
        accelerator: str,
        shape: str,
        nodes: int,
        accelerators_per_node: int,
        price_per_node_hour: Money,
        start: datetime,
        end: datetime,
        region: str = "",
        tags: Mapping[str, str] | None = None,
        minimum_node_hours: Decimal | int = 0,
        cluster: str | None = None,
        sold: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> v.Contract:
        """Write down a contract; its nodes enter the calendar."""
        body = {
            "provider": provider,
            "accelerator": accelerator,
            "shape": shape,
            "nodes": nodes,
            "accelerators_per_node": accelerators_per_node,
            "price_per_node_hour": price_per_node_hour,
            "start": start,
            "end": end,
            "region": region,
            "tags": dict(tags or {}),
            "minimum_node_hours": str(minimum_node_hours),
            "cluster": cluster,
            "sold": dict(sold or {}),
        }
        return await self._do(Call("POST", "/v1/contracts", v.Contract, body=body, key=key))

    async def contract(self, contract: str) -> v.Contract:
        """One contract."""
        return await self._do(Call("GET", f"/v1/contracts/{contract}", v.Contract))

    async def return_contract(self, contract: str, *, reason: str = "", key: str | None = None) -> v.Contract:
        """Give it back before its end: its nodes drain, and each goes back when no lease holds it any more."""
        return await self._do(
            Call("POST", f"/v1/contracts/{contract}/return", v.Contract, body={"reason": reason}, key=key)
        )

    async def blocks(self, contract: str) -> tuple[v.Block, ...]:
        """What was bought under a contract."""
        return await self._do(Call("GET", f"/v1/contracts/{contract}/blocks", tuple[v.Block, ...], inner="items"))

    async def add_block(
        self,
        contract: str,
        *,
        nodes: int,
        start: datetime,
        end: datetime,
        price_per_node_hour: Money | None = None,
        cluster: str | None = None,
        sold: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> v.Block:
        """Buy more under a contract; its nodes enter the calendar. At the contract's price where none is given."""
        body = {
            "nodes": nodes,
            "start": start,
            "end": end,
            "price_per_node_hour": price_per_node_hour,
            "cluster": cluster,
            "sold": dict(sold or {}),
        }
        return await self._do(Call("POST", f"/v1/contracts/{contract}/blocks", v.Block, body=body, key=key))

    async def position(self, contract: str, *, at: datetime | None = None) -> v.Position:
        """How a contract stands."""
        return await self._do(Call("GET", f"/v1/contracts/{contract}/position", v.Position, query={"at": at}))

    def nodes(
        self,
        *,
        provider: str | None = None,
        shape: str | None = None,
        state: str | None = None,
        drained: bool = False,
    ) -> AsyncIterator[v.Node]:
        """The fleet; with `drained`, the nodes that drain and that nobody holds any more."""
        query = {"provider": provider, "shape": shape, "state": state, "drained": drained or None}
        return self._pages(Call("GET", "/v1/nodes", v.Node, query=query))

    async def node(self, node: str) -> tuple[v.Node, str]:
        """A node and its ETag, for `change_node`."""
        return await self._tagged(Call("GET", f"/v1/nodes/{node}", v.Node))

    async def change_node(
        self,
        node: str,
        *,
        state: str | None = None,
        reason: str = "",
        if_match: str | None = None,
        key: str | None = None,
    ) -> v.Node:
        """Cordon, drain, mend or return a node."""
        body = {"state": state, "reason": reason}
        return await self._do(Call("PATCH", f"/v1/nodes/{node}", v.Node, body=body, key=key, if_match=if_match))

    async def report_outage(
        self, node: str, *, until: datetime, reason: str, start: datetime | None = None, key: str | None = None
    ) -> v.Outage:
        """A node does not work: its free time until then is off the market, and the leases that lose it are named."""
        body = {"start": start, "until": until, "reason": reason}
        return await self._do(Call("POST", f"/v1/nodes/{node}/outage", v.Outage, body=body, key=key))

    async def qualify(self, node: str, *, key: str | None = None) -> v.Proof:
        """Check a node that nobody holds; takes as long as the checks do."""
        return await self._do(Call("POST", f"/v1/nodes/{node}/qualify", v.Proof, key=key, timeout_s=QUALIFY_S))

    async def proofs(self, node: str) -> tuple[v.Proof, ...]:
        """What was found of a node."""
        return await self._do(Call("GET", f"/v1/nodes/{node}/proofs", tuple[v.Proof, ...], inner="items"))

    async def bookings(self, node: str) -> tuple[v.Booking, ...]:
        """Who holds a node, when."""
        return await self._do(Call("GET", f"/v1/nodes/{node}/bookings", tuple[v.Booking, ...], inner="items"))

    async def capacity(self, *, at: datetime | None = None) -> tuple[v.Capacity, ...]:
        """Delivered, healthy, reserved, in use, free and out, by shape."""
        return await self._do(Call("GET", "/v1/capacity", tuple[v.Capacity, ...], query={"at": at}, inner="rows"))

    async def plan_maintenance(
        self, nodes: Sequence[str], *, start: datetime, end: datetime, reason: str, key: str | None = None
    ) -> tuple[v.Booking, ...]:
        """Take nodes off the market for a window."""
        body = {"nodes": list(nodes), "start": start, "end": end, "reason": reason}
        return await self._do(Call("POST", "/v1/maintenance", tuple[v.Booking, ...], body=body, key=key, inner="items"))

    async def end_maintenance(self, window: str) -> tuple[v.Booking, ...]:
        """Close a window early."""
        return await self._do(Call("DELETE", f"/v1/maintenance/{window}", tuple[v.Booking, ...], inner="items"))

    async def margin_rules(self) -> tuple[v.MarginRule, ...]:
        """Rules by which costs become prices."""
        return await self._do(Call("GET", "/v1/margin-rules", tuple[v.MarginRule, ...], inner="items"))

    async def set_margin(
        self, markup: Decimal, *, floor: Money | None = None, accelerator: str = "", key: str | None = None
    ) -> v.MarginRule:
        """A new rule: price = cost x (1 + markup)."""
        body = {"markup": markup, "floor": floor, "accelerator": accelerator}
        return await self._do(Call("POST", "/v1/margin-rules", v.MarginRule, body=body, key=key))

    # --- quotes and orders

    async def quote(
        self,
        project: str,
        *,
        job: Mapping[str, Any] | None = None,
        shape: str | None = None,
        nodes: int | None = None,
        hours: Decimal | None = None,
        limit: int = 5,
        market: bool = False,
        key: str | None = None,
    ) -> v.Quoted:
        """Quote a job; or `nodes` of a `shape` for `hours`."""
        body: dict[str, Any] = {"project": project, "limit": limit, "market": market}
        if job is not None:
            body |= {"job": job, "hours": hours}
        else:
            body |= {"machines": {"shape": shape, "nodes": nodes, "hours": hours}}
        return await self._do(Call("POST", "/v1/quotes", v.Quoted, body=body, key=key))

    def quotes(self, *, project: str | None = None, limit: int | None = None) -> AsyncIterator[v.Quote]:
        """Stored quotes."""
        return self._pages(Call("GET", "/v1/quotes", v.Quote, query={"project": project}), limit)

    async def get_quote(self, quote: str) -> v.Quote:
        """One quote."""
        return await self._do(Call("GET", f"/v1/quotes/{quote}", v.Quote))

    async def order(
        self,
        quote: str,
        *,
        start: datetime | None = None,
        window_end: datetime | None = None,
        hours: Decimal | None = None,
        nodes: int | None = None,
        key: str | None = None,
    ) -> v.Order:
        """Accept a quote: now, at a start, or in a window."""
        body = {"quote": quote, "start": start, "window_end": window_end, "hours": hours, "nodes": nodes}
        return await self._do(Call("POST", "/v1/orders", v.Order, body=body, key=key))

    def orders(
        self, *, project: str | None = None, state: str | None = None, limit: int | None = None
    ) -> AsyncIterator[v.Order]:
        """Orders."""
        return self._pages(Call("GET", "/v1/orders", v.Order, query={"project": project, "state": state}), limit)

    async def get_order(self, order: str) -> v.Order:
        """One order."""
        return await self._do(Call("GET", f"/v1/orders/{order}", v.Order))

    async def approve(self, order: str, *, reason: str = "", key: str | None = None) -> v.Order:
        """Let an order go on that waits for approval."""
        return await self._do(Call("POST", f"/v1/orders/{order}/approve", v.Order, body={"reason": reason}, key=key))

    async def reject(self, order: str, *, reason: str = "", key: str | None = None) -> v.Order:
        """Refuse an order that waits for approval."""
        return await self._do(Call("POST", f"/v1/orders/{order}/reject", v.Order, body={"reason": reason}, key=key))

    async def cancel(self, order: str, *, reason: str = "", key: str | None = None) -> v.Order:
        """Take an order back."""
        return await self._do(Call("POST", f"/v1/orders/{order}/cancel", v.Order, body={"reason": reason}, key=key))

    def waitlist(self, *, project: str | None = None) -> AsyncIterator[v.WaitlistEntry]:
        """Who waits, and why."""
        return self._pages(Call("GET", "/v1/waitlist", v.WaitlistEntry, query={"project": project}))

    # --- leases

    def leases(
        self, *, project: str | None = None, state: str | None = None, limit: int | None = None
    ) -> AsyncIterator[v.Lease]:
        """Leases."""
        return self._pages(Call("GET", "/v1/leases", v.Lease, query={"project": project, "state": state}), limit)

    async def lease(self, lease: str) -> v.Lease:
        """One lease."""
        return await self._do(Call("GET", f"/v1/leases/{lease}", v.Lease))

    async def wait(self, lease: str, *states: str, timeout_s: float = 3600.0, every_s: float = 0.5) -> v.Lease:
        """The lease once it is in one of `states`; ClientError where it is over otherwise, or time is up."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = await self.lease(lease)
            if found.state in states:
                return found
            if found.state in OVER:
                raise ClientError(f"lease {lease} is {found.state}: {found.reason}")
            if time.monotonic() > deadline:
                raise ClientError(f"lease {lease} is still {found.state} after {timeout_s:g} s: {found.reason}")
            await asyncio.sleep(every_s)

    async def certificates(self, lease: str) -> tuple[v.Certificate, ...]:
        """What the gate found of each node."""
        return await self._do(Call("GET", f"/v1/leases/{lease}/certificates", tuple[v.Certificate, ...], inner="items"))

    async def reservations(self, lease: str) -> tuple[v.Booking, ...]:
        """The nodes' time that is booked for a lease."""
        return await self._do(Call("GET", f"/v1/leases/{lease}/reservations", tuple[v.Booking, ...], inner="items"))

    def lease_events(self, lease: str, *, limit: int | None = None) -> AsyncIterator[v.LeaseEvent]:
        """What happened to a lease so far."""
        return self._pages(Call("GET", f"/v1/leases/{lease}/events", v.LeaseEvent), limit)

    def events(
        self, *, lease: str | None = None, after: int | None = None, follow: bool = True
    ) -> AsyncIterator[v.LeaseEvent]:
        """Lease events as they happen; goes on for ever, over broken connections too, unless `follow` is False."""
        query = {"lease": lease, "after": after, "follow": follow}
        return self._stream(Call("GET", "/v1/events", v.LeaseEvent, query=query))

    async def end(self, lease: str, *, reason: str = "asked for by the tenant", key: str | None = None) -> v.Lease:
        """End a lease now."""
        return await self._do(Call("POST", f"/v1/leases/{lease}/end", v.Lease, body={"reason": reason}, key=key))

    async def extend(self, lease: str, until: datetime, *, quote: str | None = None, key: str | None = None) -> v.Lease:
        """Keep the nodes longer."""
        body = {"until": until, "quote": quote}
        return await self._do(Call("POST", f"/v1/leases/{lease}/extend", v.Lease, body=body, key=key))

    async def shorten(self, lease: str, until: datetime, *, key: str | None = None) -> v.Lease:
        """End earlier than agreed."""
        return await self._do(Call("POST", f"/v1/leases/{lease}/shorten", v.Lease, body={"until": until}, key=key))

    async def renew(self, lease: str, quote: str, *, key: str | None = None) -> v.Lease:
        """The same nodes once more, at the price of a new quote."""
        return await self._do(Call("POST", f"/v1/leases/{lease}/renew", v.Lease, body={"quote": quote}, key=key))

    # --- what runs

    async def run(
        self,
        lease: str,
        argv: Sequence[str],
        *,
        node: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        seconds: float | None = None,
        job: bool = False,
        key: str | None = None,
    ) -> v.Run:
        """Start a command on a node of the lease; `job` says that it is the one that was quoted."""
        body = {"argv": list(argv), "node": node, "env": dict(env or {}), "cwd": cwd, "seconds": seconds, "job": job}
        return await self._do(Call("POST", f"/v1/leases/{lease}/runs", v.Run, body=body, key=key))

    def runs(self, lease: str) -> AsyncIterator[v.Run]:
        """The commands of a lease."""
        return self._pages(Call("GET", f"/v1/leases/{lease}/runs", v.Run))

    async def get_run(self, lease: str, run: str) -> v.Run:
        """One command, looked at now."""
        return await self._do(Call("GET", f"/v1/leases/{lease}/runs/{run}", v.Run))

    async def stop_run(self, lease: str, run: str) -> v.Run:
        """End a command."""
        return await self._do(Call("DELETE", f"/v1/leases/{lease}/runs/{run}", v.Run))

    async def log(self, lease: str, run: str, *, stream: str = "stdout", offset: int = 0) -> v.Log:
        """What a command wrote, from an offset on."""
        query = {"stream": stream, "offset": offset}
        return await self._do(Call("GET", f"/v1/leases/{lease}/runs/{run}/logs", v.Log, query=query))

    # --- money and records

    def usage(
        self, *, project: str | None = None, lease: str | None = None, limit: int | None = None
    ) -> AsyncIterator[v.Usage]:
        """Usage records."""
        return self._pages(Call("GET", "/v1/usage", v.Usage, query={"project": project, "lease": lease}), limit)

    async def costs(
        self,
        *,
        by: str = "lease",
        project: str | None = None,
        lease: str | None = None,
        since: date | None = None,
        before: date | None = None,
    ) -> tuple[v.Cost, ...]:
        """What was charged, summed."""
        query = {"by": by, "project": project, "lease": lease, "since": since, "before": before}
        return await self._do(Call("GET", "/v1/costs", tuple[v.Cost, ...], query=query, inner="items"))

    async def running_cost(self, lease: str) -> v.RunningCost:
        """What a lease costs up to now."""
        return await self._do(Call("GET", f"/v1/leases/{lease}/cost", v.RunningCost))

    async def receipt(self, lease: str) -> v.Receipt:
        """The receipt of a lease."""
        return await self._do(Call("GET", f"/v1/leases/{lease}/receipt", v.Receipt))

    def receipts(self, *, project: str | None = None, limit: int | None = None) -> AsyncIterator[v.Receipt]:
        """Receipts."""
        return self._pages(Call("GET", "/v1/receipts", v.Receipt, query={"project": project}), limit)

    async def ledger(self) -> v.Ledger:
        """The trial balance."""
        return await self._do(Call("GET", "/v1/ledger", v.Ledger))

    def transactions(
        self, *, lease: str | None = None, account: str | None = None, limit: int | None = None
    ) -> AsyncIterator[v.Transaction]:
        """Transactions of the ledger."""
        query = {"lease": lease, "account": account}
        return self._pages(Call("GET", "/v1/ledger/transactions", v.Transaction, query=query), limit)

    async def margin(self, *, by: str | None = None) -> tuple[v.MarginRow, ...]:
        """Revenue less credits less cost."""
        return await self._do(Call("GET", "/v1/margin", tuple[v.MarginRow, ...], query={"by": by}, inner="items"))

    def audit(
        self,
        *,
        target: str | None = None,
        project: str | None = None,
        actor: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[v.AuditEntry]:
        """Who did what."""
        query = {"target": target, "project": project, "actor": actor, "since": since, "before": before}
        return self._pages(Call("GET", "/v1/audit", v.AuditEntry, query=query), limit)

    async def verify_audit(self, *, known: str | None = None) -> v.Chain:
        """Walk the chain of digests; `known`: NUMBER:DIGEST of an earlier answer, to find out whether it was cut."""
        return await self._do(Call("GET", "/v1/audit/verify", v.Chain, query={"known": known}, timeout_s=QUALIFY_S))

    async def export_audit(self) -> str:
        """Every entry, one JSON document a line."""
        text: str = await self._do(Call("GET", "/v1/audit/export", None, timeout_s=QUALIFY_S))
        return text

    async def doctor(self) -> v.Examination:
        """Whether what must always hold is true."""
        return await self._do(Call("GET", "/v1/doctor", v.Examination, timeout_s=QUALIFY_S))

    def webhooks(self) -> AsyncIterator[v.Webhook]:
        """Addresses that hear of events."""
        return self._pages(Call("GET", "/v1/webhooks", v.Webhook))

    async def create_webhook(
        self,
        url: str,
        *,
        kinds: Sequence[str] = (),
        organisation: str | None = None,
        project: str | None = None,
        key: str | None = None,
    ) -> v.MadeWebhook:
        """Tell an address; the secret of its signatures is in the answer and nowhere else."""
        body = {"url": url, "kinds": list(kinds), "organisation": organisation, "project": project}
        return await self._do(Call("POST", "/v1/webhooks", v.MadeWebhook, body=body, key=key))

    async def remove_webhook(self, webhook: str) -> v.Webhook:
        """Tell an address no more."""
        return await self._do(Call("DELETE", f"/v1/webhooks/{webhook}", v.Webhook))

    async def ping_webhook(self, webhook: str) -> v.Delivery:
        """Send a test event."""
        return await self._do(Call("POST", f"/v1/webhooks/{webhook}/ping", v.Delivery))

    def deliveries(self, webhook: str, *, limit: int | None = None) -> AsyncIterator[v.Delivery]:
        """What was sent to an address, newest first."""
        return self._pages(Call("GET", f"/v1/webhooks/{webhook}/deliveries", v.Delivery), limit)
