"""What a rule for scarce goods does to whom: fill, wait, share, idle units, inequality, revenue, losers and winners.

Invariant: shares add up to one where anything was granted, and what all losers lose is what all winners win (less what
stays with the seller).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sublet.allocation.scarce import Outcome


@dataclass(frozen=True)
class Line:
    """A tenant or a class: units asked and granted, `fill` rate, mean `wait` of granted units in periods, `share` of
    all that was granted, units granted that it cannot use (`idle`), and what it paid."""

    name: str
    asked: int
    granted: int
    fill: float
    wait: float
    share: float
    idle: int
    paid: float


@dataclass(frozen=True)
class Summary:
    """A rule's outcome: by tenant, by class, and over all; `gini` of the fill rates over tenants; `idle` counts units
    that tenants cannot use and units that stayed with the seller."""

    rule: str
    tenants: tuple[Line, ...]
    kinds: tuple[Line, ...]
    fill: float
    wait: float
    idle: int
    gini: float
    revenue: float


@dataclass(frozen=True)
class Shift:
    """Units that `loser` has less of, and `winner` more, than under the first rule; in proportion where several win."""

    loser: str
    winner: str
    units: float


def summarise(outcome: Outcome) -> Summary:
    """The measures of an outcome."""
    tenants = _lines(outcome, [entry.tenant for entry in outcome.requests])
    kinds = _lines(outcome, [entry.kind for entry in outcome.requests])
    granted = sum(line.granted for line in tenants)
    asked = sum(line.asked for line in tenants)
    return Summary(
        outcome.rule,
        tenants,
        kinds,
        fill=granted / asked,
        wait=sum(line.wait * line.granted for line in tenants) / granted if granted else 0.0,
        idle=sum(line.idle for line in tenants) + int(outcome.kept[-1]),
        gini=gini([line.fill for line in tenants]),
        revenue=float(outcome.paid.sum()),
    )


def gini(values: Sequence[float]) -> float:
    """Gini coefficient: 0 is equal, towards 1 is one has all; 0 where all are zero."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    count, total = len(ordered), float(ordered.sum())
    if count == 0 or total <= 0.0:
        return 0.0
    return float(2.0 * (np.arange(1, count + 1) * ordered).sum() / (count * total) - (count + 1) / count)


def shifts(base: Outcome, other: Outcome) -> tuple[Shift, ...]:
    """Who loses to whom when `other` replaces `base`, the most units first; the seller wins what stays with it."""
    before = {line.name: line.granted for line in summarise(base).tenants}
    after = {line.name: line.granted for line in summarise(other).tenants}
    change = {name: after[name] - before[name] for name in before}
    change["(seller)"] = int(other.kept[-1] - base.kept[-1])
    losers = {name: -units for name, units in change.items() if units < 0}
    winners = {name: units for name, units in change.items() if units > 0}
    won = sum(winners.values())
    pairs = [
        Shift(loser, winner, lost * units / won) for loser, lost in losers.items() for winner, units in winners.items()
    ]
    return tuple(sorted(pairs, key=lambda pair: (-pair.units, pair.loser, pair.winner)))


def _lines(outcome: Outcome, names: Sequence[str]) -> tuple[Line, ...]:
    granted = outcome.granted.sum(axis=0)
    total = int(granted.sum())
    period = np.arange(len(outcome.granted))[:, None]
    submit = np.array([entry.submit for entry in outcome.requests])
    waited = (outcome.granted * (period - submit)).sum(axis=0)
    lines = []
    for name in dict.fromkeys(names):
        mine = [place for place, other in enumerate(names) if other == name]
        asked = sum(outcome.requests[place].units for place in mine)
        got = int(granted[mine].sum())
        idle = sum(
            max(0, int(granted[place]) - limit)
            for place in mine
            if (limit := outcome.requests[place].deployable) is not None
        )
        lines.append(
            Line(
                name,
                asked,
                got,
                fill=got / asked,
                wait=float(waited[mine].sum()) / got if got else 0.0,
                share=got / total if total else 0.0,
                idle=idle,
                paid=float(outcome.paid[mine].sum()),
            )
        )
    return tuple(lines)
