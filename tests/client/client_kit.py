"""Everything that the SDK can ask, asked once, in the order of a broker's life; for both clients alike.

A synchronous client is spoken to through `Awaited`, so that there is one life and not two. `life` returns the names of
the methods that it called; the tests hold them against those that there are.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sublet.client import ApiError, Client
from sublet.units import Money

FLEET = """
[[shape]]
name = "8xH100"
nodes = 12
price_per_node_hour = "16 USD"
accelerator = "H100 SXM"
accelerators_per_node = 8
cpus = 192
memory = "2TB"
"""
PROVIDERS = '[simulated]\nfleet = "fleet.toml"\n'

METHODS = {name for name, value in vars(Client).items() if inspect.isfunction(value) and not name.startswith("_")}


def home_with_fleet(folder: Any) -> Any:
    """A home whose only provider is the simulated one."""
    folder.mkdir(exist_ok=True)
    (folder / "fleet.toml").write_text(FLEET)
    (folder / "providers.toml").write_text(PROVIDERS)
    return folder


class Awaited:
    """Either client, every answer awaitable and every list an asynchronous iterator; notes what was called."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            self.called.add(name)
            found = method(*arguments, **options)
            if inspect.isawaitable(found) or hasattr(found, "__anext__"):
                return found
            return _each(found) if hasattr(found, "__next__") else _done(found)

        return call


async def _done(value: Any) -> Any:
    return value


async def _each(values: Any) -> AsyncIterator[Any]:
    for value in values:
        yield value


async def every(found: AsyncIterator[Any]) -> list[Any]:
    return [each async for each in found]


async def life(as_: Callable[[str], Any], operator_token: str, tenant_token: str) -> set[str]:
    """A broker from its first contract to its books. `as_` makes the client of a token.

    Asserts on the way; returns the methods that were called.
    """
    operator, tenant = Awaited(as_(operator_token)), Awaited(as_(tenant_token))
    nodes = await _supply(operator)
    project = await _tenants(operator, tenant)
    issued = await tenant.issue_token("member", "member", project=project)
    lease = await _orders(tenant, Awaited(as_(issued.secret)), project)
    await _lease(tenant, lease)
    await _money(operator, tenant, lease)
    await _hooks(tenant)
    await _upkeep(operator, nodes)
    return operator.called | tenant.called


async def _supply(operator: Awaited) -> list[Any]:
    assert (await operator.me()).role == "operator"
    offer = (await operator.offers())[0].offers[0]
    assert (offer.shape, offer.nodes_available) == ("8xH100", 12)
    now = datetime.now(UTC)
    contract = await operator.add_contract(
        provider="simulated",
        accelerator="H100 SXM",
        shape="8xH100",
        nodes=6,
        accelerators_per_node=8,
        price_per_node_hour=Money(Decimal(16)),
        start=now,
        end=now + timedelta(days=30),
        cluster="a",
        tags={"rack": "r7"},
        minimum_node_hours=100,
    )
    block = await operator.add_block(contract.id, nodes=2, start=now, end=now + timedelta(days=9), cluster="a")
    assert [each.nodes for each in await operator.blocks(contract.id)] == [6, 2]
    assert block.price_per_node_hour == Money(Decimal(16))
    assert (await operator.contract(contract.id)).tags == {"rack": "r7"}
    assert [each.id for each in await every(operator.contracts(provider="simulated"))] == [contract.id]
    assert (await operator.position(contract.id)).node_hours_bought == 6 * 24 * 30 + 2 * 24 * 9
    nodes = await every(operator.nodes(shape="8xH100"))
    assert len(nodes) == 8
    first, tag = await operator.node(nodes[0].id)
    changed = await operator.change_node(first.id, state="cordoned", reason="a fan is loud", if_match=tag)
    assert changed.state == "cordoned"
    await operator.change_node(first.id, state="healthy", reason="the fan is new")
    proof = await operator.qualify(nodes[1].id)
    assert proof.verdict in ("pass", "info")
    assert [each.id for each in await operator.proofs(nodes[1].id)] == [proof.id]
    assert (await operator.capacity())[0].delivered == 8
    assert await operator.set_margin(Decimal("0.25"), floor=Money(Decimal(1)), accelerator="H100 SXM")
    assert any(rule.accelerator == "H100 SXM" for rule in await operator.margin_rules())
    return nodes


async def _tenants(operator: Awaited, tenant: Awaited) -> str:
    acme = await operator.create_organisation("Acme", tier=2)
    assert (await operator.organisation(acme.id)).tier == 2
    assert {each.name for each in await every(operator.organisations())} >= {"Acme", "default"}
    assert (await operator.join_group(acme.id, "Holding", reason="one owner")).group == "Holding"
    assert (await operator.join_group(acme.id, None)).group is None
    cap = await operator.set_cap("organisation", acme.id, nodes=3, reason="as agreed")
    assert [(each.subject, each.nodes) for each in await operator.caps()] == [(acme.id, 3)]
    assert (cap.accelerators, (await operator.cap_status(acme.id))[0].limit_nodes) == (None, 3)
    assert (await operator.set_cap("organisation", acme.id)).nodes is None
    person = await tenant.create_person("Ada", "ada@example.org", "member")
    assert [each.id for each in await every(tenant.people())] == [person.id]
    issued = await tenant.issue_token("spare", "member", expires_at=datetime.now(UTC) + timedelta(days=1))
    assert issued.secret
    assert (await tenant.revoke_token(issued.token.id)).revoked_at is not None
    assert issued.token.id in {each.id for each in await every(tenant.tokens())}
    made = await tenant.create_project("llm", budget=Money(Decimal(100_000)))
    _, tag = await tenant.project(made.id)
    changed = await tenant.update_project(made.id, budget=Money(Decimal(90_000)), if_match=tag)
    assert changed.budget == Money(Decimal(90_000))
    assert (await tenant.budget(made.id)).left == Money(Decimal(90_000))
    assert (await tenant.update_project(made.id, remove_budget=True)).budget is None
    assert made.id in {each.id for each in await every(tenant.projects())}
    return str(made.id)


async def _orders(tenant: Awaited, member: Awaited, project: str) -> str:
    job = {"model": "mpt-7b", "tokens": "2B", "constraints": {"counts": [8]}}
    assert (await tenant.quote(project, job=job)).quotes[0].estimate["run_s"]["p50"] > 0
    quote = (await tenant.quote(project, shape="8xH100", nodes=1, hours=Decimal(2))).quotes[0]
    assert quote.price == Money(Decimal(40))  # 16 x 1.25 x 2
    assert (await tenant.get_quote(quote.id)) == quote
    assert quote.id in {each.id for each in await every(tenant.quotes(project=project))}
    later = await tenant.order(quote.id, start=datetime.now(UTC) + timedelta(days=2), key="order-1")
    second = await tenant.order(quote.id, start=datetime.now(UTC) + timedelta(days=2), key="order-2")
    assert second.id != later.id
    assert (await tenant.get_order(later.id)).id == later.id
    for each in (later, second):
        assert (await tenant.cancel(each.id, reason="not needed")).state == "cancelled"
    await tenant.update_project(project, needs_approval=True)
    asked = [await member.order(quote.id) for _ in range(2)]
    assert {each.state for each in asked} == {"pending-approval"}
    assert (await tenant.reject(asked[0].id, reason="too dear")).state == "refused"
    accepted = await tenant.approve(asked[1].id, reason="go")
    assert accepted.state == "accepted"
    await tenant.update_project(project, needs_approval=False)
    many = (await tenant.quote(project, shape="8xH100", nodes=8, hours=Decimal(1))).quotes[0]
    waiting = await tenant.order(many.id, window_end=datetime.now(UTC) + timedelta(hours=2))
    assert waiting.state in ("waitlisted", "refused")
    line = await every(tenant.waitlist(project=project))
    assert [each.order_id for each in line] == ([waiting.id] if waiting.state == "waitlisted" else [])
    await tenant.cancel(waiting.id)
    assert len(await every(tenant.orders(project=project))) == 5
    assert accepted.lease_id is not None
    return str(accepted.lease_id)


async def _lease(tenant: Awaited, lease: str) -> None:
    active = await tenant.wait(lease, "active", timeout_s=60, every_s=0.1)
    assert [each.id for each in await every(tenant.leases(state="active"))] == [lease]
    assert (await tenant.lease(lease)).members[0].state == "serving"
    assert (await tenant.certificates(lease))[0].certificate["body"]["node"] == active.members[0].node_id
    assert (await tenant.reservations(lease))[0].holder == lease
    assert "active" in {each.state for each in await every(tenant.lease_events(lease))}
    heard = await every(tenant.events(lease=lease, after=0, follow=False))
    assert [each.number for each in heard] == sorted(each.number for each in heard)
    assert heard[-1].state == "active"
    longer = await tenant.extend(lease, active.ends_at + timedelta(hours=1))
    assert longer.ends_at == active.ends_at + timedelta(hours=1)
    assert (await tenant.shorten(lease, active.ends_at)).ends_at == active.ends_at
    assert (await tenant.renew(lease, active.quote_id)).ends_at > active.ends_at
    run = await tenant.run(lease, ["true"], env={"X": "1"}, job=True)
    assert [each.id for each in await every(tenant.runs(lease))] == [run.id]
    assert (await tenant.get_run(lease, run.id)).status == 0
    assert (await tenant.log(lease, run.id)).ended
    assert (await tenant.stop_run(lease, run.id)).status == 0


async def _money(operator: Awaited, tenant: Awaited, lease: str) -> None:
    assert (await tenant.running_cost(lease)).cost.currency == "USD"
    ending = await tenant.end(lease, reason="the run is finished")
    assert ending.end_requested_at is not None
    await tenant.wait(lease, "settled", timeout_s=60, every_s=0.1)
    receipt = await tenant.receipt(lease)
    assert receipt.id in {each.id for each in await every(tenant.receipts())}
    assert all(each.lease_id == lease for each in await every(tenant.usage(lease=lease)))
    assert lease in {each.name for each in await tenant.costs(by="lease")}
    assert (await operator.ledger()).balanced
    assert all(each.lines for each in await every(operator.transactions(lease=lease)))
    assert (await operator.margin())[0].revenue.currency == "USD"
    entries = await every(operator.audit(target=lease, limit=50))
    assert "lease.end" in {each.action for each in entries}
    assert (await operator.verify_audit()).broken_at is None
    assert (await operator.export_audit()).count("\n") >= len(entries)
    assert (await operator.doctor()).holds


async def _hooks(tenant: Awaited) -> None:
    made = await tenant.create_webhook("https://192.0.2.1/hooks", kinds=["lease.state"])
    assert made.secret
    assert [each.id for each in await every(tenant.webhooks())] == [made.webhook.id]
    sent = await tenant.ping_webhook(made.webhook.id)
    assert sent.id in {each.id for each in await every(tenant.deliveries(made.webhook.id))}
    assert (await tenant.remove_webhook(made.webhook.id)).id == made.webhook.id


async def _upkeep(operator: Awaited, nodes: list[Any]) -> None:
    start = datetime.now(UTC) + timedelta(days=5)
    planned = await operator.plan_maintenance(
        [nodes[2].id], start=start, end=start + timedelta(hours=3), reason="firmware"
    )
    assert planned[0].holder in {each.holder for each in await operator.bookings(nodes[2].id)}
    assert await operator.end_maintenance(planned[0].holder)
    out = await operator.report_outage(nodes[3].id, until=start, reason="it does not answer")
    assert (out.node_id, out.affected) == (nodes[3].id, ())
    await operator.change_node(nodes[4].id, state="draining", reason="it goes back")
    drained = await every(operator.nodes(drained=True))
    assert nodes[4].id in {each.id for each in drained}
    returned = await operator.return_contract(nodes[0].contract_id, reason="the price fell")
    assert returned.return_reason == "the price fell"
    with suppress(ApiError):  # whether it is closed at once is the fleet's matter
        await operator.contract(nodes[0].contract_id)
