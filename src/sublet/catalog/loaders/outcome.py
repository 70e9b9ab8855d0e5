"""What a loader gives back, and the bookkeeping that no input row is lost.

Invariant: the rows of the file = the sum of `kept` + the number of `refused`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sublet.catalog import rules
from sublet.catalog.loaders.draft import Built, Draft
from sublet.catalog.loaders.sheet import Refused, Sheet, Unreadable
from sublet.catalog.table import OfferTable, concat

# what a kept row is; each is counted by its own name
KINDS = {
    "offer": "became one or more offers",
    "machine": "a machine without an accelerator (GCP's host machines among them)",
    "part": "a fraction of an accelerator (vGPU, MIG): known, and nothing that a job can be placed on",
    "unnamed": "an accelerator is counted but not named",
    "repeat": "the same offer stands in the file a second time",
    "sighting": "another sighting of a price that is already there",
    "leave": "says that the price is gone from that day on",
    "fact": "no price: kept beside the offers (interruption rates, indices, failures)",
}


@dataclass(frozen=True)
class When:
    """The days that stand for a file without dates of its own: ordinals."""

    first: int  # since when its content stands
    last: int  # the day of the snapshot
    undated: bool = False  # nobody said when: the file's own date stands in


@dataclass(frozen=True)
class Context:
    """What is known about a file beside its cells."""

    when: When
    provider: str | None = None


@dataclass(frozen=True)
class Facts:
    """Rows without a price that belong beside the offers, as text."""

    name: str  # "interruptions" | "listings" | "failures"
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, eq=False)
class Loaded:
    """One file, understood."""

    format: str
    offers: OfferTable
    kept: Mapping[str, int]  # kind of KINDS -> input rows
    refused: tuple[Refused, ...]
    dropped: Mapping[str, int]  # reason -> prices of kept rows that were left out (a zero spot price, say)
    machines: OfferTable | None = None
    facts: Facts | None = None


def settle(
    sheet: Sheet,
    form: str,
    drafts: Iterable[tuple[Draft, Built]],
    others: Mapping[int, str] | None = None,
    *,
    refused: Iterable[tuple[int, str, str]] = (),
    machines: OfferTable | None = None,
    facts: Facts | None = None,
) -> Loaded:
    """Give every row one fate: an offer beats a part, that a repeat, that what `others` says, and that a refusal."""
    drafts = list(drafts)
    made: dict[int, str] = {}
    for kind in ("repeat", "part", "offer"):
        for draft, built in drafts:
            positions = {"repeat": built.repeats, "part": built.parts, "offer": built.kept.tolist()}[kind]
            made.update((draft.rows[i], kind) for i in positions)
    turned_down = [(draft.rows[i], reason, text) for draft, built in drafts for i, reason, text in built.refused]
    lost = {row for row, _, _ in turned_down}
    fate = {row: kind for row, kind in (others or {}).items() if row not in lost}
    fate.update(made)
    why: dict[int, tuple[str, str]] = {}
    dropped: Counter[str] = Counter()
    for row, reason, text in (*refused, *turned_down):
        if row in fate:
            dropped[reason] += 1
        else:
            why.setdefault(row, (reason, text))
    quarantined = [Refused(sheet.lines[row], reason, text) for row, (reason, text) in sorted(why.items())]
    astray = len(sheet) - len(fate) - len(why)
    if astray:
        raise AssertionError(f"{sheet.label}: {astray} rows have no fate")
    return Loaded(
        format=form,
        offers=concat([built.table for _, built in drafts]),
        kept=dict(Counter(fate.values())),
        refused=(*sheet.refused, *quarantined),
        dropped=dict(dropped),
        machines=machines,
        facts=facts,
    )


_GENERIC = frozenset({"vms", "catalog", "catalogue", "offers", "prices", "pricing", "data", "instances"})
_SHAPES = (
    ("azure", r"(Standard|Basic)_\w+"),
    ("aws", r"[a-z]+\d+[a-z-]*\.(metal|\d*x?large|medium|small|micro|nano)(-\w+)?"),
    ("gcp", r"(a2|a3|a4x?|g2|g4|n1)-\w+-\w+"),
    ("lambda", r"gpu_\d+x_\w+"),
    ("oci", r"(VM|BM)\.GPU\..+"),
)


def provider_of(sheet: Sheet, context: Context) -> str:
    """The provider that a file without a provider column is about.

    The caller's word, else the file's name (aws.csv, aws_spot_weekly.csv), else its folder (aws/vms.csv), else the
    look of its instance types. Unreadable where none of these tells.
    """
    if context.provider:
        return rules.provider_id(context.provider)
    stem = sheet.path.stem
    for word in (stem, *re.split(r"[_\-. ]", stem), sheet.path.parent.name):
        if rules.is_provider(word):
            return rules.provider_id(word)
    shapes = [shape for shape in dict.fromkeys(sheet.column("instancetype")) if shape][:50]
    for provider, look in _SHAPES:
        if shapes and all(re.fullmatch(look, shape) for shape in shapes):
            return provider
    for word in (stem, sheet.path.parent.name):
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{1,30}", word) and word.casefold() not in _GENERIC:
            return rules.slug(word)
    raise Unreadable("no-provider", f"{sheet.path} does not say which provider it is about: use --provider")
