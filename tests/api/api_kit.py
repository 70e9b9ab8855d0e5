"""A broker of two tenants over HTTP: the application in this process, tokens of every role, and one of everything.

`world` is made once per test on SQLite; `World.get/post/...` send requests as a named token.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sublet.api.app import create_app
from sublet.api.house import House
from sublet.api.settings import Settings
from sublet.broker import compose
from sublet.broker.billing import prices
from sublet.broker.hooks.values import Call, Outcome
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants import tokens
from sublet.broker.tenants.values import SYSTEM
from sublet.client.asgi import AppTransport
from sublet.providers.simulated import SimulatedProvider
from sublet.providers.simulated_fleet import Fleet, FleetShape
from sublet.qualification import rehearsal
from sublet.qualification.certificate import Signer
from sublet.storage.clock import VirtualClock
from sublet.units import Money

_keys = itertools.count()
SIGNER = Signer(Ed25519PrivateKey.generate())


@dataclass
class World:
    """The application and what is in it."""

    house: House
    clock: VirtualClock
    http: httpx.Client
    secrets: dict[str, str]
    ids: dict[str, str]
    sent: list[Call] = field(default_factory=list)

    def send(self, method: str, path: str, who: str | None = "admin", **options: Any) -> httpx.Response:
        """A request as the holder of a token ("operator", "auditor", "admin", "member", "other-admin", ...)."""
        headers = dict(options.pop("headers", {}))
        if who is not None:
            headers["authorization"] = f"Bearer {self.secrets[who]}"
        return self.http.request(method, path, headers=headers, **options)

    def get(self, path: str, who: str | None = "admin", **options: Any) -> httpx.Response:
        return self.send("GET", path, who, **options)

    def post(self, path: str, body: Any = None, who: str | None = "admin", **options: Any) -> httpx.Response:
        return self.send("POST", path, who, json=body if body is not None else {}, **options)

    def patch(self, path: str, body: Any, who: str | None = "admin", **options: Any) -> httpx.Response:
        return self.send("PATCH", path, who, json=body, **options)

    def put(self, path: str, body: Any, who: str | None = "admin", **options: Any) -> httpx.Response:
        return self.send("PUT", path, who, json=body, **options)

    def delete(self, path: str, who: str | None = "admin", **options: Any) -> httpx.Response:
        return self.send("DELETE", path, who, **options)

    def ok(self, answer: httpx.Response) -> Any:
        """The document of an answer that must be a good one."""
        assert answer.status_code < 300, answer.text
        return answer.json()

    def settle(self, state: str, seconds: float = 2.0) -> Any:
        """Let the engine work until the lease is in `state`."""
        assert self.house.engine is not None
        for _ in range(60):
            self.house.engine.tick()
            lease = self.ok(self.get(f"/v1/leases/{self.ids['lease']}"))
            if lease["state"] == state:
                return lease
            self.clock.advance(seconds)
        raise AssertionError(f"the lease is {lease['state']}: {lease['reason']}")


def make_world(database: Any, clock: VirtualClock, settings: Settings | None = None, **options: Any) -> World:
    """Two tenants with a project and tokens of every role each, and the house's."""
    secrets: dict[str, str] = {}
    ids: dict[str, str] = {}
    now = clock.now()
    with database.transaction() as session:
        for role in ("operator", "auditor"):
            _, secrets[role if role == "operator" else "house-auditor"] = tokens.issue_token(
                session, organisation=None, name=role, role=role, actor=SYSTEM, now=now
            )
        for prefix, name in (("", "Acme"), ("other-", "Borg")):
            home = tenants.create_organisation(session, name=name, actor=SYSTEM, now=now)
            project = tenants.create_project(
                session,
                organisation=home.id,
                name="main",
                budget=Money(Decimal(100_000)),
                actor=SYSTEM,
                now=now,
            )
            ids[f"{prefix}organisation"], ids[f"{prefix}project"] = home.id, project.id
            for role in ("admin", "member", "auditor"):
                token, secrets[f"{prefix}{role}"] = tokens.issue_token(
                    session, organisation=home.id, name=role, role=role, actor=SYSTEM, now=now
                )
                ids[f"{prefix}{role}-token"] = token.id
    sent: list[Call] = []

    def heard(call: Call, at: Any) -> Outcome:
        sent.append(call)
        return Outcome(call.delivery, 200)

    settings = settings or Settings(tick_s=0, access_log=False, actor_s=60)
    house = House(
        database,
        clock,
        options.pop("providers", {}),
        options.pop("engine", None),
        heard,
        SIGNER,
        settings,
        **options,
    )
    transport = AppTransport(create_app(house))
    http = httpx.Client(transport=transport, base_url="http://sublet.test")
    return World(house, clock, http, secrets, ids, sent)


def key() -> dict[str, str]:
    """A fresh idempotency key."""
    return {"idempotency-key": f"key-{next(_keys)}"}


def populated(database: Any, clock: VirtualClock, **options: Any) -> World:
    """The world with a fleet of the simulated provider and one of everything of Acme's in it; see `World.ids`."""
    fleet = Fleet((FleetShape("8xH100", 4, Money(Decimal(16)), accelerator="H100 SXM", accelerators_per_node=8),))
    providers = {"simulated": SimulatedProvider(fleet, clock, respond=rehearsal.respond)}
    engine = compose.lease_engine(database, providers, clock, SIGNER)
    world = make_world(database, clock, providers=providers, engine=engine, **options)
    with database.transaction() as session:
        prices.set_margin(session, markup=Decimal("0.25"), actor=SYSTEM, now=clock.now())
    end = (clock.now() + timedelta(days=365)).isoformat()
    contract = world.ok(
        world.post(
            "/v1/contracts",
            {
                "provider": "simulated",
                "accelerator": "H100 SXM",
                "shape": "8xH100",
                "nodes": 4,
                "accelerators_per_node": 8,
                "price_per_node_hour": {"amount": "16", "currency": "USD"},
                "start": clock.now().isoformat(),
                "end": end,
                "cluster": "a",
            },
            "operator",
        )
    )
    nodes = world.ok(world.get("/v1/nodes", "operator"))["items"]
    project = world.ids["project"]
    wish = {"project": project, "machines": {"shape": "8xH100", "nodes": 1, "hours": "10"}}
    quote = world.ok(world.post("/v1/quotes", wish))["quotes"][0]
    order = world.ok(world.post("/v1/orders", {"quote": quote["id"]}))
    world.ids |= {"contract": contract["id"], "quote": quote["id"], "order": order["id"], "lease": order["lease_id"]}
    world.settle("active")
    run = world.ok(world.post(f"/v1/leases/{order['lease_id']}/runs", {"argv": ["true"]}))
    hook = world.ok(world.post("/v1/webhooks", {"url": "https://example.org/hooks"}))["webhook"]
    start = (clock.now() + timedelta(days=30)).isoformat()
    free = nodes[-1]["id"]
    window = world.ok(
        world.post("/v1/maintenance", {"nodes": [free], "start": start, "end": end, "reason": "fan"}, "operator")
    )
    world.ok(world.put(f"/v1/organisations/{world.ids['organisation']}/group", {"group": "Acme Holding"}, "operator"))
    spare = world.ok(world.post("/v1/tokens", {"name": "spare", "role": "member"}))["token"]
    world.ids |= {
        "node": free,
        "run": run["id"],
        "webhook": hook["id"],
        "window": window["items"][0]["holder"],
        "token": spare["id"],
        "group": "Acme Holding",
    }
    return world
