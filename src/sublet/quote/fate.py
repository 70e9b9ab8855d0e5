"""What became of every offer: alive, or rejected with one reason.

Invariant: an offer is rejected once, by the first rule that refuses it; nothing is dropped without a reason, so that
offers in = offers quoted + offers rejected.
"""

from __future__ import annotations

import numpy as np

from sublet.quote.columns import Bools, Columns, Ints
from sublet.quote.value import Rejected


class Fate:
    """The verdict on each of `rows` offers while the filters run."""

    def __init__(self, rows: int) -> None:
        self._code: Ints = np.zeros(rows, dtype=np.int64)
        self._reasons: list[tuple[str, str]] = [("", "")]

    @property
    def alive(self) -> Bools:
        """The offers that no rule has refused yet."""
        alive: Bools = self._code == 0
        return alive

    def reject(self, rows: Bools, kind: str, reason: str) -> None:
        """Refuse those of `rows` that are still alive."""
        hit = rows & (self._code == 0)
        if hit.any():
            self._reasons.append((kind, reason))
            self._code[hit] = len(self._reasons) - 1

    def summary(self, columns: Columns) -> list[Rejected]:
        """One entry per accelerator and reason, most offers first, then by name: an order that favours nobody."""
        rejected = np.flatnonzero(self._code)
        if not len(rejected):
            return []
        identities = columns.identity
        unnamed = np.array([not identity for identity in identities.vocabulary], dtype=bool)
        # an offer whose chip is unknown is listed under its own spelling
        label = np.where(
            unnamed[identities.codes], len(identities.vocabulary) + columns.spelling.codes, identities.codes
        )
        key = label[rejected] * len(self._reasons) + self._code[rejected]
        keys, offers = np.unique(key, return_counts=True)
        entries = []
        for pair, count in zip(keys.tolist(), offers.tolist(), strict=True):
            name, code = divmod(pair, len(self._reasons))
            kind, reason = self._reasons[code]
            if name < len(identities.vocabulary):
                accelerator = label_of(identities.vocabulary[name])
            else:
                accelerator = columns.spelling.vocabulary[name - len(identities.vocabulary)]
            entries.append(Rejected(accelerator, kind, reason, count))
        return sorted(entries, key=lambda entry: (-entry.offers, entry.accelerator, entry.reason))


def label_of(identity: tuple[str, ...]) -> str:
    """How an accelerator is named to people: the name, or every name that it may have."""
    return " or ".join(identity) if identity else "unknown accelerator"
