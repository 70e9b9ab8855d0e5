"""The script of faults at a simulated provider: stored with its nodes, so it is the same for every process.

Invariant: a fault that struck is counted down in the same transaction that read it, so it never strikes once too often.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from sublet.providers.simulated_faults import Fault, Target
from sublet.providers.store import Store, money, money_text

COMMON = frozenset(("slow", "provider-down", "endpoint-gone", "price-changed"))  # looked at before the call's own


class Script:
    """Faults in the order in which they were added."""

    def __init__(self, state: Store) -> None:
        self._state = state

    def add(self, faults: tuple[Fault, ...]) -> None:
        """Let these happen from now on."""
        with self._state.transaction() as connection:
            for fault in faults:
                price = money_text(fault.price) if fault.price else None
                connection.execute(
                    "INSERT INTO faults (kind, skip, times, fault) VALUES (?, ?, ?, ?)",
                    (fault.kind, fault.skip, fault.times, json.dumps({**asdict(fault), "price": price})),
                )

    def clear(self, kind: str) -> None:
        """Forget the faults of one kind; "" forgets all."""
        with self._state.transaction() as connection:
            connection.execute("DELETE FROM faults WHERE ? = '' OR kind = ?", (kind, kind))

    def strike(self, call: str, target: Target, *, common: bool) -> dict[str, Fault]:
        """The faults that strike this call, by kind: the common kinds, or all the others. Each is counted down."""
        with self._state.reading() as connection:
            if connection.execute("SELECT 1 FROM faults LIMIT 1").fetchone() is None:
                return {}
        struck: dict[str, Fault] = {}
        with self._state.transaction() as connection:
            for row in connection.execute("SELECT * FROM faults ORDER BY id").fetchall():
                fault = _load(row["fault"])
                if (row["kind"] in COMMON) != common or fault.kind in struck or not fault.matches(call, target):
                    continue
                if row["skip"] > 0:
                    connection.execute("UPDATE faults SET skip = skip - 1 WHERE id = ?", (row["id"],))
                    continue
                struck[fault.kind] = fault
                if row["times"] is not None:
                    connection.execute("UPDATE faults SET times = times - 1 WHERE id = ?", (row["id"],))
            connection.execute("DELETE FROM faults WHERE times <= 0")
        return struck


def _load(text: str) -> Fault:
    data = json.loads(text)
    price = money(data["price"]) if data["price"] else None
    return Fault(**{**data, "price": price})
