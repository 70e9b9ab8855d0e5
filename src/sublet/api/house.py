"""What one API process holds: the database, the clock, the providers, the engine, and how it was told to behave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sublet.api.metrics import Metrics
from sublet.api.settings import Settings
from sublet.broker.hooks.delivery import Send
from sublet.providers.protocol import Provider
from sublet.qualification.certificate import Signer
from sublet.storage.clock import Clock
from sublet.storage.engine import Database


class Ticking(Protocol):
    """The engine, as far as a face knows it."""

    def tick(self) -> object:
        """One pass over all that is due."""


@dataclass
class House:
    """Everything that a route may reach."""

    database: Database
    clock: Clock
    providers: Mapping[str, Provider]
    engine: Ticking | None
    send: Send
    signer: Signer
    settings: Settings = field(default_factory=Settings)
    metrics: Metrics = field(default_factory=Metrics)
