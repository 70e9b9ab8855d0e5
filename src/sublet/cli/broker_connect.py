"""Which broker a command speaks to: the server at SUBLET_URL, or the embedded one in SUBLET_HOME.

Both are spoken to through the SDK and the same API; embedded, the application runs in this process for as long as the
command does, and drives its leases meanwhile. Invariant: a command knows nothing of the difference.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from sublet.errors import InputError

if TYPE_CHECKING:
    from sublet.api.house import House
    from sublet.client import Client
    from sublet.client.asgi import AppTransport

PROJECT = click.option("--project", metavar="PROJECT", help="Name or id; else SUBLET_PROJECT, or the only one.")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
KEY = click.option("--key", metavar="KEY", help="Idempotency key: the same command under the same key acts once.")


@contextmanager
def broker(*, operator: bool = False) -> Iterator[Client]:
    """A client of the broker. `operator`: on the embedded broker as its operator, else as its tenant.

    `--token` or SUBLET_TOKEN say who is asking, in both cases. Raises InputError where there is no token.
    """
    from sublet.client import Client

    url, token = told("url"), told("token")
    if url:
        if not url.startswith(("http://", "https://")):
            raise InputError(f"{url!r} is no address of a server: write http://HOST:PORT or https://HOST")
        if not token:
            raise InputError("a server is named and no token: set SUBLET_TOKEN to the one that its operator gave you")
        with Client(url, token) as client:
            yield client
        return
    with embedded(token or None, operator=operator) as client:
        yield client


def told(name: str) -> str:
    """What `--url` or `--token` said before the command, else SUBLET_URL or SUBLET_TOKEN, else nothing."""
    context = click.get_current_context(silent=True)
    given = context.find_root().params.get(name) if context is not None else None
    return str(given or os.environ.get(f"SUBLET_{name.upper()}", "")).strip()


@contextmanager
def embedded(token: str | None = None, *, operator: bool = False) -> Iterator[Client]:
    """A client of the embedded broker, which runs until the block ends."""
    from sublet.client import Client

    with (
        _opened(token, operator=operator) as (_, secret, transport),
        Client("http://embedded", secret, transport=transport) as client,
    ):
        yield client


@contextmanager
def house_of(token: str | None = None) -> Iterator[tuple[House, str]]:
    """The embedded broker itself and the token that is asking, for what no request can carry; it drives its leases."""
    with _opened(token) as (house, secret, transport):
        transport.start()
        try:
            yield house, secret
        finally:
            transport.close()


@contextmanager
def _opened(token: str | None, *, operator: bool = False) -> Iterator[tuple[House, str, AppTransport]]:
    from sublet.api.app import create_app
    from sublet.api.embedded import open_house, saved_tokens
    from sublet.api.settings import Settings
    from sublet.catalog.store import home_of
    from sublet.client.asgi import AppTransport

    logging.getLogger("sublet").setLevel(logging.ERROR)
    home = home_of()
    house, first = open_house(home, settings=Settings(access_log=False, tick_s=0.2, requests_per_s=1e6, burst=1e6))
    try:
        known = first or saved_tokens(home)
        if first is not None:
            where = home / "tokens.json"
            click.echo(f"a new broker in {home}; its tokens are in {where} (readable by you alone)", err=True)
        if token is None:
            if known is None:
                raise InputError(
                    f"the broker in {home} was started before and its tokens are not there: set SUBLET_TOKEN to one of"
                    " them"
                )
            token = known.operator if operator else known.tenant
        yield house, token, AppTransport(create_app(house))
    finally:
        house.database.close()


def project_of(client: Client, wanted: str | None) -> str:
    """The id of the project that is meant. Raises InputError where that is not clear."""
    named = wanted or os.environ.get("SUBLET_PROJECT", "")
    if named.startswith("prj_"):
        return named
    found = list(client.projects())
    if named:
        matching = [project for project in found if project.name == named]
        if len(matching) == 1:
            return matching[0].id
        have = ", ".join(project.name for project in found) or "none"
        raise InputError(f"--project {named!r}: there is no such project here, or several; there are {have}")
    if len(found) == 1:
        return found[0].id
    if not found:
        raise InputError("no projects yet: sublet tenant add-project NAME")
    raise InputError(f"which project? give --project with one of {', '.join(project.name for project in found)}")
