"""The local provider keeps the contract, with control groups where this machine has them and without."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.providers.contract import ProviderContract, Subject

from sublet.providers import local
from sublet.providers.local import LocalProvider
from sublet.providers.local_supply import LocalSupply, usable_cores
from sublet.storage.clock import SystemClock
from sublet.units import Money

CORE = usable_cores()[0]


class TestLocal(ProviderContract):
    @pytest.fixture(params=["automatic", None], ids=["groups", "no-groups"])
    def subject(self, request, tmp_path, monkeypatch):
        monkeypatch.setattr(local, "usable_cores", lambda: (CORE, CORE + 1))  # two nodes also on one core
        supply = LocalSupply(nodes=2, memory_bytes_per_node=256 << 20, price_per_node_hour=Money(Decimal("0.10")))
        opened = []

        def again():
            opened.append(LocalProvider(tmp_path / "local", supply, SystemClock(), groups=request.param))
            return opened[-1]

        yield Subject(again(), "local", again)
        for provider in opened:
            provider.close()
