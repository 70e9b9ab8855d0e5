"""The simulated provider keeps the contract, in memory time and with its state in a file."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.providers.contract import ProviderContract, Subject

from sublet.providers.simulated import SimulatedProvider
from sublet.providers.simulated_fleet import Fleet, FleetShape
from sublet.storage.clock import VirtualClock
from sublet.units import Money


class TestSimulated(ProviderContract):
    @pytest.fixture(params=[False, True], ids=["cloud", "proves-absence"])
    def subject(self, request, tmp_path):
        shape = FleetShape("gpu_8x", 4, Money(Decimal("20.00")), "H100 SXM", 8, 192, 2e12, "eu")
        fleet = Fleet((shape,), proves_absence=request.param)
        clock, path = VirtualClock(), tmp_path / "provider.db"
        opened = []

        def again():
            opened.append(SimulatedProvider(fleet, clock, path))
            return opened[-1]

        yield Subject(again(), "gpu_8x", again, patience_s=1.0)
        for provider in opened:
            provider.close()
