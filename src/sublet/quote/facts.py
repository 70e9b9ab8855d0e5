"""What a quote asks the catalogue: chips, shapes, fabrics and export verdicts, as four functions in one value.

The room is handed these functions, so that a test or an operator with facts of their own can replace them.
Invariant: asking twice gives the same answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Protocol

from sublet.catalog.accelerator import Accelerator
from sublet.catalog.shape import Fabric, Shape
from sublet.quote.spot import Band, band


class Verdict(Protocol):
    """What the catalogue says about exporting a chip to a country."""

    @property
    def verdict(self) -> str: ...  # "unrestricted" | "licence required" | "not known"

    @property
    def sentence(self) -> str: ...  # with rule, threshold, the chip's TPP and density


@dataclass(frozen=True)
class Facts:
    """The catalogue's answers.

    `accelerator(name)`: the chip of that canonical name, None where the catalogue has no data sheet of it.
    `names(spelling)`: the canonical names that a user's spelling may mean, () where none.
    `known()`: every canonical name, for suggestions.
    `shape(provider, name)`: the instance type, None where unknown.
    `fabric(accelerator, shape, per_node, provider)`: how such chips talk there; says what it assumed.
    `export(accelerator, country, on)`: the export verdict.
    `interruptions(provider, region, shape)`: how often spot instances are taken away there, None where unknown.
    """

    accelerator: Callable[[str], Accelerator | None]
    names: Callable[[str], tuple[str, ...]]
    known: Callable[[], tuple[str, ...]]
    shape: Callable[[str, str], Shape | None]
    fabric: Callable[[Accelerator, Shape | None, int | None, str | None], Fabric]
    export: Callable[[Accelerator, str | None, date | None], Verdict]
    interruptions: Callable[[str, str, str], Band | None] = lambda provider, region, shape: None


def from_catalogue() -> Facts:
    """The facts that ship with Sublet."""
    from sublet.catalog.accelerators import accelerators
    from sublet.catalog.fabrics import fabric_for
    from sublet.catalog.names import resolve
    from sublet.catalog.shapes import find

    chips = accelerators()

    def names(spelling: str) -> tuple[str, ...]:
        meant = resolve(spelling)
        return (meant.accelerator,) if meant.accelerator else meant.candidates

    def export(accelerator: Accelerator, country: str | None, on: date | None) -> Verdict:
        from sublet.catalog.export import check  # only a job that names a country asks

        return check(accelerator, country, on)

    @cache
    def bands() -> dict[tuple[str, str, str], Band]:
        from sublet.catalog.embedded import interruptions  # only a spot quote asks

        found = {}
        for row in interruptions():
            of_row = band(row.band, date.fromisoformat(row.seen_at))
            if of_row is not None:
                found[row.provider, row.region, row.shape] = of_row
        return found

    return Facts(
        accelerator=chips.get,
        names=names,
        known=lambda: tuple(chips),
        shape=find,
        fabric=fabric_for,
        export=export,
        interruptions=lambda provider, region, shape: bands().get((provider, region, shape)),
    )
