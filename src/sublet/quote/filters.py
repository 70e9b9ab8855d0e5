"""Hard filters: what the tenant ruled out, what the chip cannot run, what the law forbids. Each names itself.

Every rule is asked once per distinct value of a column. Where a spelling may mean several chips, the strictest answer
counts. Invariant: a filter only removes; it never changes what the others see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from functools import partial
from operator import eq

import numpy as np

from sublet.catalog.accelerator import Accelerator
from sublet.errors import InputError
from sublet.quote.columns import Columns
from sublet.quote.facts import Facts
from sublet.quote.fate import Fate
from sublet.workload.job import Constraints, TrainingJob

# Frameworks built on another one: a chip that runs the base runs them.
BASES: Mapping[str, str] = {"megatron": "pytorch", "nemo": "pytorch", "deepspeed": "pytorch"}


@dataclass(frozen=True)
class Admitted:
    """The chips that are left, by name, and those of them whose export status is not known."""

    chips: Mapping[str, Accelerator]
    export_unknown: frozenset[str]


def apply(columns: Columns, fate: Fate, job: TrainingJob, facts: Facts, as_of: date) -> Admitted:
    """Refuse in `fate` every offer that cannot be quoted whatever the count.

    Raises InputError where the job names an accelerator that the catalogue does not know.
    """
    fate.reject(~(columns.price > 0), "price", "price: zero or less is not a price")
    fate.reject(columns.seen > as_of.toordinal(), "price", f"price: first seen after {as_of}")
    no_chip = columns.identity.mask(lambda names: not names)
    other = columns.flags.mask(lambda flags: "not-accelerator" in flags)
    fate.reject(no_chip & other, "data", "accelerator: a device that such jobs cannot run on")
    fate.reject(no_chip, "data", "accelerator: nothing is known of that name")
    _wishes(columns, fate, job.constraints, facts)
    chips: dict[str, Accelerator] = {}
    unknown: set[str] = set()
    for name in _names_alive(columns, fate):
        chip = facts.accelerator(name)
        mask = columns.identity.mask(partial(_may_be, name))
        if chip is None:
            fate.reject(mask, "data", f"accelerator: no data sheet of {name}")
            continue
        chips[name] = chip
        refusal = framework_refusal(chip, job.framework)
        if refusal:
            fate.reject(mask, "framework", refusal)
        elif job.constraints.country:
            verdict = facts.export(chip, job.constraints.country, job.constraints.on or as_of)
            if verdict.verdict == "licence required":
                fate.reject(mask, "export", f"export: {verdict.sentence.rstrip('.')}")
            elif verdict.verdict == "not known":
                unknown.add(name)
    alive = set(_names_alive(columns, fate))
    return Admitted({name: chip for name, chip in chips.items() if name in alive}, frozenset(unknown))


def framework_refusal(chip: Accelerator, framework: str) -> str:
    """One sentence where `chip` does not train, or not with `framework`; else empty."""
    if not chip.training:
        return f"framework: {chip.name} is made for inference, training is not supported"
    wanted = BASES.get(framework.casefold(), framework.casefold())
    if any(wanted == known.casefold() for known in chip.frameworks):
        return ""
    if not chip.frameworks:
        return f"framework: nothing is published about {framework} on {chip.name}"
    return f"framework: {framework} does not run on {chip.name} (it runs {', '.join(chip.frameworks)})"


def wanted_names(spellings: Iterable[str], facts: Facts) -> frozenset[str]:
    """Canonical names of the accelerators that a user named; an ambiguous name means all that it may be.

    Raises InputError for a name that the catalogue does not know.
    """
    names: set[str] = set()
    for spelling in spellings:
        found = facts.names(spelling)
        if not found:
            from difflib import get_close_matches

            known = {name.casefold(): name for name in facts.known()}
            near = [known[name] for name in get_close_matches(spelling.casefold(), list(known), n=3, cutoff=0.5)]
            hint = f"; did you mean {' or '.join(near)}?" if near else "; `sublet catalog list` names them all"
            raise InputError(f"accelerator {spelling!r} is not known{hint}")
        names.update(found)
    return frozenset(names)


def in_region(region: str, wish: str) -> bool:
    """Whether a region is meant by a wish: its name, a leading part ("us" means us-east-1) or a pattern ("eu*")."""
    region, wish = region.casefold(), wish.casefold()
    return region == wish or region.startswith((wish + "-", wish + "_")) or fnmatchcase(region, wish)


def _wishes(columns: Columns, fate: Fate, constraints: Constraints, facts: Facts) -> None:
    """What the tenant will not accept."""
    markets = {market.casefold() for market in constraints.markets}
    if markets:
        for market in columns.market.vocabulary:
            if market.casefold() not in markets:
                reason = f"market: {market} was not asked for (asked: {', '.join(constraints.markets)})"
                fate.reject(columns.market.mask(partial(eq, market)), "market", reason)

    if constraints.accelerators:
        names = wanted_names(constraints.accelerators, facts)
        reason = f"accelerator: not among those asked for ({', '.join(constraints.accelerators)})"
        fate.reject(columns.identity.mask(lambda value: names.isdisjoint(value)), "accelerator", reason)
    if constraints.avoid_accelerators:
        names_avoided = wanted_names(constraints.avoid_accelerators, facts)
        reason = f"accelerator: among those to avoid ({', '.join(constraints.avoid_accelerators)})"
        fate.reject(columns.identity.mask(lambda value: not names_avoided.isdisjoint(value)), "accelerator", reason)

    wish = {provider.casefold() for provider in constraints.providers}
    if wish:
        reason = f"provider: not among those asked for ({', '.join(constraints.providers)})"
        fate.reject(columns.provider.mask(lambda value: value.casefold() not in wish), "provider", reason)
    avoid = {provider.casefold() for provider in constraints.avoid_providers}
    if avoid:
        reason = f"provider: among those to avoid ({', '.join(constraints.avoid_providers)})"
        fate.reject(columns.provider.mask(lambda value: value.casefold() in avoid), "provider", reason)

    if constraints.regions:
        wanted = constraints.regions
        fate.reject(
            columns.region.mask(lambda value: value is None),
            "region",
            f"region: the source does not say where it is (asked: {', '.join(wanted)})",
        )
        fate.reject(
            columns.region.mask(lambda value: not any(in_region(value or "", one) for one in wanted)),
            "region",
            f"region: not among those asked for ({', '.join(wanted)})",
        )
    if constraints.avoid_regions:
        avoided = constraints.avoid_regions
        fate.reject(
            columns.region.mask(lambda value: value is not None and any(in_region(value, one) for one in avoided)),
            "region",
            f"region: among those to avoid ({', '.join(avoided)})",
        )


def _names_alive(columns: Columns, fate: Fate) -> list[str]:
    """Every name that a living offer may mean, in the order of the alphabet."""
    codes = np.unique(columns.identity.codes[fate.alive])
    return sorted({name for code in codes.tolist() for name in columns.identity.vocabulary[code]})


def _may_be(name: str, identity: tuple[str, ...]) -> bool:
    return name in identity
