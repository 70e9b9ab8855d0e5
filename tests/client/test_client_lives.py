"""Both clients, over TCP to a server process and inside this one: every method is asked once, in one broker's life."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from client_kit import METHODS, home_with_fleet, life

from sublet.api.app import create_app
from sublet.api.embedded import open_house
from sublet.api.settings import Settings
from sublet.client import AsyncClient, Client
from sublet.client.asgi import AppTransport

pytestmark = pytest.mark.slow

SETTINGS = Settings(tick_s=0.05, access_log=False, requests_per_s=1e6, burst=1e6)


@pytest.fixture
def server(tmp_path):
    """A server process on a free loopback port: its URL and its first tokens."""
    home = home_with_fleet(tmp_path / "home")
    command = [str(Path(sys.executable).with_name("sublet")), "serve", "--port", "0"]
    environment = {**os.environ, "SUBLET_HOME": str(home)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            assert url is not None
            yield url.group(), json.loads((home / "tokens.json").read_text())
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0


@pytest.mark.slow
def test_a_life_over_tcp_with_the_synchronous_client(server):
    url, tokens = server
    with ExitStack() as stack:
        called = life(lambda token: stack.enter_context(Client(url, token)), tokens["operator"], tokens["tenant"])
        assert asyncio.run(called) == METHODS


@pytest.mark.slow
def test_a_life_over_tcp_with_the_asynchronous_client(server):
    url, tokens = server

    async def live():
        made = []

        def client(token):
            made.append(AsyncClient(url, token))
            return made[-1]

        called = await life(client, tokens["operator"], tokens["tenant"])
        for each in made:
            await each.close()
        return called

    assert asyncio.run(live()) == METHODS


def test_a_life_in_this_process_with_the_synchronous_client(tmp_path):
    house, first = open_house(home_with_fleet(tmp_path / "home"), settings=SETTINGS)
    assert first is not None
    transport = AppTransport(create_app(house))
    try:
        called = life(lambda token: Client("http://embedded", token, transport=transport), first.operator, first.tenant)
        assert asyncio.run(called) == METHODS
    finally:
        transport.close()
        house.database.close()


def test_a_life_in_this_process_with_the_asynchronous_client(tmp_path):
    house, first = open_house(home_with_fleet(tmp_path / "home"), settings=SETTINGS)
    assert first is not None
    app = create_app(house)

    async def live():
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            return await life(
                lambda token: AsyncClient("http://embedded", token, transport=transport), first.operator, first.tenant
            )

    try:
        assert asyncio.run(live()) == METHODS
    finally:
        house.database.close()
