"""Open a house: database, key, providers and engine from one folder and, where one is named, a PostgreSQL URL.

    HOME/sublet.db          the broker (SQLite), unless a database is named
    HOME/signing-key.pem    its key
    HOME/providers.toml     what is connected; without it this machine as one node, at 1 USD an hour
    HOME/mail.toml          the mail server that notices go through; without it none is mailed
    HOME/providers/         what providers keep
    HOME/tokens.json        the first tokens, for this user alone (0600)

The first start makes the operator's token, one tenant with one project, and a margin rule. Invariant: of several that
start at once one makes them; their secrets are written nowhere but there, and printed by whoever made them.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from sublet.api.house import House
from sublet.api.settings import Settings
from sublet.broker import compose
from sublet.broker.billing import prices
from sublet.broker.hooks.delivery import sender
from sublet.broker.hooks.mail import read_mail
from sublet.broker.leases.policy import Policy
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants import tokens
from sublet.broker.tenants.values import SYSTEM
from sublet.errors import InputError
from sublet.providers.protocol import Provider
from sublet.qualification.certificate import load_signer
from sublet.storage import migrate
from sublet.storage.clock import Clock, SystemClock
from sublet.storage.engine import Database
from sublet.units import Money, parse_bytes, parse_money

TOKENS = "tokens.json"
PROVIDERS = "providers.toml"
MARKUP = Decimal("0.20")
LOCAL_PRICE = Money(Decimal(1))  # per node-hour, until the operator names a better one

_LOCAL_KEYS = {"nodes", "shape", "price_per_node_hour", "cpus_per_node", "memory_per_node"}


@dataclass(frozen=True)
class FirstTokens:
    """What the first start made; secrets, to be shown once."""

    operator: str
    tenant: str
    organisation: str
    project: str


def open_house(
    home: Path,
    *,
    database: str | None = None,
    settings: Settings | None = None,
    clock: Clock | None = None,
    policy: Policy | None = None,
) -> tuple[House, FirstTokens | None]:
    """The house of a folder, its schema brought up to date, and the tokens where this is its first start.

    Raises InputError for a folder, a URL, a `providers.toml` or a `mail.toml` that cannot be used.
    """
    opened = Database.open(database or home)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrate.upgrade(opened)
    signer = load_signer(home)
    clock = clock or SystemClock()
    settings = settings or Settings()
    providers = connect(home, clock)
    house = House(
        database=opened,
        clock=clock,
        providers=providers,
        engine=compose.lease_engine(opened, providers, clock, signer, policy=policy),
        send=sender(private=settings.private_hooks, mail=read_mail(home)),
        signer=signer,
        settings=settings,
    )
    return house, _first_start(house, home)


def connect(home: Path, clock: Clock) -> dict[str, Provider]:
    """The providers of `providers.toml`; without it this machine."""
    path = home / PROVIDERS
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {"local": {}}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from None
    connected: dict[str, Provider] = {}
    for kind, wishes in told.items():
        if kind not in _KINDS or not isinstance(wishes, dict):
            raise InputError(f"{path}: {kind!r} is no provider: sections are {', '.join(sorted(_KINDS))}")
        provider = _KINDS[kind](home, clock, wishes, path)
        connected[provider.name] = provider
    return connected


def saved_tokens(home: Path) -> FirstTokens | None:
    """The tokens that the first start left in this folder."""
    path = home / TOKENS
    if not path.exists():
        return None
    if path.stat().st_mode & 0o077:
        raise InputError(f"{path} can be read by others: run chmod 600 on it, or revoke its tokens")
    try:
        return FirstTokens(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise InputError(f"{path} holds no tokens: remove it, and issue new ones") from None


def _first_start(house: House, home: Path) -> FirstTokens | None:
    """Make the house's first token, a tenant and a price rule, unless somebody did before."""
    with house.database.reading() as session:
        if tokens.tokens(session, organisation=None, actor=SYSTEM):
            return None

    def make(session: Any) -> FirstTokens | None:
        if tokens.tokens(session, organisation=None, actor=SYSTEM):
            return None
        now = house.clock.now()
        _, operator = tokens.issue_token(
            session, organisation=None, name="first operator", role="operator", actor=SYSTEM, now=now
        )
        home_of = tenants.create_organisation(session, name="default", actor=SYSTEM, now=now)
        project = tenants.create_project(session, organisation=home_of.id, name="default", actor=SYSTEM, now=now)
        _, tenant = tokens.issue_token(
            session, organisation=home_of.id, name="first admin", role="admin", actor=SYSTEM, now=now
        )
        prices.set_margin(session, markup=MARKUP, actor=SYSTEM, now=now)
        return FirstTokens(operator, tenant, home_of.id, project.id)

    made = house.database.run(make)
    if made is not None:
        _write_private(home / TOKENS, json.dumps(asdict(made), indent=1) + "\n")
    return made


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error


def _local(home: Path, clock: Clock, wishes: Mapping[str, Any], where: Path) -> Provider:
    from sublet.providers.local import LocalProvider
    from sublet.providers.local_supply import LocalSupply

    for key in wishes:
        if key not in _LOCAL_KEYS:
            raise InputError(f"{where}: local.{key} is not known: keys are {', '.join(sorted(_LOCAL_KEYS))}")
    price = wishes.get("price_per_node_hour")
    memory = wishes.get("memory_per_node")
    supply = LocalSupply(
        nodes=int(wishes.get("nodes", 1)),
        shape=str(wishes.get("shape", "local")),
        price_per_node_hour=parse_money(str(price), "local.price_per_node_hour") if price else LOCAL_PRICE,
        cpus_per_node=int(wishes["cpus_per_node"]) if "cpus_per_node" in wishes else None,
        memory_bytes_per_node=int(parse_bytes(str(memory), "local.memory_per_node")) if memory else None,
    )
    return LocalProvider(home / "providers" / "local", supply, clock)


def _simulated(home: Path, clock: Clock, wishes: Mapping[str, Any], where: Path) -> Provider:
    from sublet.providers.simulated import SimulatedProvider
    from sublet.providers.simulated_fleet import read_fleet
    from sublet.qualification.rehearsal import respond

    fleet = wishes.get("fleet")
    if set(wishes) != {"fleet"} or not isinstance(fleet, str):
        raise InputError(f'{where}: simulated needs one key, fleet = "fleet.toml"')
    folder = home / "providers" / "simulated"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return SimulatedProvider(read_fleet(home / fleet), clock, folder / "fleet.db", respond)


_KINDS = {"local": _local, "simulated": _simulated}
