"""Which accelerator a spelling means: the name, then memory, form factor, provider and instance type beside it.

Invariant: an answer is never a guess. `accelerator` is set only where the spelling, or what stands beside it, leaves
exactly one chip; where several remain they are all in `candidates`, likeliest first.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from sublet.catalog.rules import provider_id
from sublet.catalog.spelling import Spelling, Variant, compact, glimpse, read

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Resolution:
    """What a spelling means.

    `kind` is one of:
    "resolved"         `accelerator` is the canonical name, `candidates` is that one name;
    "ambiguous"        `accelerator` is None, `candidates` are the chips it may be, likeliest first;
    "slice"            part of a chip (MIG, vGPU): `accelerator` is None, `candidates` are the chips it may be cut from;
    "not-accelerator"  known, but nothing that these jobs can run on (FPGA, video engine): both empty, `note` says what;
    "none"             no accelerator is named: an empty spelling, and an instance type that is not known to carry one;
    "unknown"          nothing is known of that spelling: both empty.
    """

    accelerator: str | None
    candidates: tuple[str, ...]
    count_hint: int | None  # chips that the spelling ("8x H100" -> 8, "tpu-v5p-8" -> 4) or the instance type states
    kind: str
    by: str = ""  # what settled it: "name", "memory", "interconnect", "instance type", "provider"
    note: str = ""  # what did not agree, one sentence without a full stop
    share: float = 1.0  # part of one accelerator that the instance type carries (Azure NV6ads A10: 1/6)


@dataclass(frozen=True)
class _Instance:
    """A row of instances.csv."""

    provider: str
    pattern: re.Pattern[str]
    accelerator: str
    share: float


@lru_cache(maxsize=65536)
def resolve(
    raw: str,
    *,
    provider: str | None = None,
    shape: str | None = None,
    memory_gib: float | None = None,
    interconnect: str | None = None,
) -> Resolution:
    """The accelerator that `raw` means.

    `provider` and `shape` (instance type) as the source spells them; `memory_gib` is the memory of ONE accelerator, in
    GB or GiB as the source prints it (40, 80, 94); `interconnect` is the source's word ("SXM", "PCIe", "NVLink").
    Never raises: what is not known comes back as kind "unknown".
    """
    instance = _instance(provider, shape) if shape else None
    said = read(raw)
    if said.other:
        return Resolution(None, (), said.count, "not-accelerator", "name", said.other)
    if not said.key:
        return _by_instance(raw, instance, shape, provider)
    count = said.count if said.count is not None or not shape else _chips_of(provider, shape)
    found = _narrowed(said, instance, provider, shape, memory_gib, interconnect)
    return replace(found, count_hint=count)


def _by_instance(raw: str, instance: _Instance | None, shape: str | None, provider: str | None) -> Resolution:
    """Where the spelling itself tells nothing: the instance type, or the spelling read as an instance type."""
    if instance is None and raw and not shape:
        instance, shape = _instance(provider, raw), raw
    if instance is None:
        return Resolution(None, (), None, "unknown" if raw.strip() else "none")
    chip = instance.accelerator
    count = _chips_of(provider or instance.provider, shape or "")
    return Resolution(chip, (chip,), count, "resolved", "instance type", share=instance.share)


def _narrowed(
    said: Spelling,
    instance: _Instance | None,
    provider: str | None,
    shape: str | None,
    memory: float | None,
    interconnect: str | None,
) -> Resolution:
    variants, by, notes = said.variants, "name", []
    share = instance.share if instance is not None else 1.0
    if said.part:
        return _slice(variants, "the name says that it is a part of a chip")
    if len(variants) > 1:
        variants = _of_form(variants, said.form, said.nvlink)
    if said.memory_gb is not None:
        fitting = _of_memory(variants, said.memory_gb)
        if not fitting and said.count:
            fitting = _of_memory(variants, said.memory_gb / said.count)  # "8x H100 640GB": of all together
        if not fitting and _is_part(variants, said.memory_gb):
            return _slice(variants, f"named with {said.memory_gb:g} GB of the chip's {variants[0].memory_gb:g}")
        if not fitting:
            notes.append(f"named with {said.memory_gb:g} GB, the chip has {variants[0].memory_gb:g}")
        variants = fitting or variants
    if instance is not None:
        fitting = tuple(variant for variant in variants if variant.accelerator == instance.accelerator)
        if fitting and len(variants) > 1:
            variants, by = fitting, "instance type"
        elif not fitting:
            notes.append(f"its instance type {shape} carries {instance.accelerator}")
    if shape:
        variants, settled = _by_glimpse(said, variants, shape)
        by = "instance type" if settled else by
    if memory is not None and memory > 0:
        fitting = _of_memory(variants, memory)
        if not fitting and said.memory_gb is not None and by == "name":
            fitting = _of_memory(_of_form(said.variants, said.form, said.nvlink), memory)
            if fitting:
                notes.append(f"the name says {said.memory_gb:g} GB and the listing {memory:g} GB")
                return _ambiguous((*variants, *fitting), notes)
        if fitting and len(fitting) < len(variants):
            variants, by = fitting, "memory"
        elif not fitting and share == 1.0:
            if _is_part(variants, memory):
                return _slice(variants, f"listed with {memory:g} GB of the chip's {variants[0].memory_gb:g}")
            notes.append(f"listed with {memory:g} GB, the chip has {variants[0].memory_gb:g}")
    if len(variants) > 1 and interconnect:
        fitting = _of_form(variants, *_form_of(interconnect))
        if len(fitting) < len(variants):
            variants, by = fitting, "interconnect"
    if len(variants) > 1 and provider:
        fitting = _at_provider(variants, provider, said, memory)
        if fitting and len(fitting) < len(variants):
            variants, by = fitting, "provider"
    if len(variants) > 1 and said.key == compact(variants[0].accelerator):
        variants = variants[:1]  # the plain name is the canonical one: GH200 beside GH200 144GB
    if len(variants) > 1:
        return _ambiguous(variants, notes)
    chip = variants[0].accelerator
    return Resolution(chip, (chip,), None, "resolved", by, "; ".join(notes), share)


def _at_provider(
    variants: tuple[Variant, ...], provider: str, said: Spelling, memory: float | None
) -> tuple[Variant, ...]:
    """Those that the provider has; a name without any memory may mean one of them by the provider's own convention."""
    has = _instances()[1].get((provider_id(provider), said.key), ())
    fitting = tuple(variant for variant in variants if variant.accelerator in has)
    if len(fitting) > 1 and memory is None and said.memory_gb is None and not said.form:
        plain = _instances()[2].get((provider_id(provider), said.key))
        fitting = tuple(variant for variant in fitting if variant.accelerator == plain) or fitting
    return fitting


def _by_glimpse(said: Spelling, variants: tuple[Variant, ...], shape: str) -> tuple[tuple[Variant, ...], bool]:
    """What the words of the instance type's name add ("1x-A100_SXM4-32-65536", "4x-RTX_4060_Ti-32-65536")."""
    seen = glimpse(shape)
    if not seen.key:
        return variants, False
    if len(seen.variants) == 1 and seen.key.startswith(said.key) and seen.key != said.key:
        only = seen.variants[0]
        if only in variants:
            return seen.variants, len(variants) > 1
        if len(variants) == 1 and only.form == variants[0].form:
            return seen.variants, True  # the column names the family, the instance type the member: 4060 -> 4060 Ti
        return variants, False
    if seen.key != said.key or len(variants) == 1:
        return variants, False
    fitting = _of_form(variants, seen.form, seen.nvlink)
    if seen.memory_gb is not None:
        fitting = _of_memory(fitting, seen.memory_gb) or fitting
    return fitting, len(fitting) < len(variants)


def _of_form(variants: tuple[Variant, ...], form: str, nvlink: bool) -> tuple[Variant, ...]:
    """Those of that form factor; all of them where none has it."""
    if form:
        return tuple(variant for variant in variants if variant.form == form) or variants
    if nvlink:
        return tuple(variant for variant in variants if variant.nvlink) or variants
    return variants


def _of_memory(variants: tuple[Variant, ...], memory: float) -> tuple[Variant, ...]:
    """Those that are sold with about that memory: sources print GB or GiB, of the whole or of what is left to use."""
    return tuple(variant for variant in variants if abs(variant.memory_gb - memory) <= 0.12 * variant.memory_gb)


def _is_part(variants: tuple[Variant, ...], memory: float) -> bool:
    """Whether `memory` is a half, a third, ... an eighth of the chip's."""
    return memory > 0 and any(
        abs(variant.memory_gb / memory - parts) < 0.05 * parts
        for variant in variants
        for parts in (2, 3, 4, 5, 6, 7, 8)
    )


def _form_of(interconnect: str) -> tuple[str, bool]:
    """Form factor and NVLink that a source's word for the interconnect tells."""
    word = interconnect.casefold()
    for pattern, form in ((r"sxm|nv\s?switch|hgx|dgx", "sxm"), (r"nvl(?!ink)", "nvl"), (r"pci", "pcie")):
        if re.search(pattern, word):
            return form, False
    return "", "nvlink" in word.replace(" ", "")


def _ambiguous(variants: tuple[Variant, ...], notes: list[str]) -> Resolution:
    return Resolution(None, _names(variants), None, "ambiguous", note="; ".join(notes))


def _slice(variants: tuple[Variant, ...], note: str) -> Resolution:
    return Resolution(None, _names(variants), None, "slice", note=note)


def _names(variants: tuple[Variant, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(variant.accelerator for variant in variants))


def _chips_of(provider: str | None, shape: str) -> int | None:
    """Chips of an instance type: by the table of shapes, a TPU's name ("ct5lp-hightpu-8t") or its words ("8x-H100")."""
    key = shape.strip().casefold().replace(" ", "_")
    where = provider_id(provider) if provider else ""
    known = _shape_counts().get((where, key)) or _shape_counts().get((where, f"standard_{key}"))
    if known is not None:
        return known
    found = re.fullmatch(r"(?:ct\d\w*|tpu7x)-[a-z]+-(\d+)t(?:-.*)?", key)
    if found is not None:
        return int(found.group(1))
    said = read(shape)
    return said.count if said.key else glimpse(shape).count


@lru_cache(maxsize=1)
def _shape_counts() -> Mapping[tuple[str, str], int]:
    with (DATA / "shapes.csv").open(encoding="utf-8", newline="") as file:
        return {(row["provider"], row["name"].casefold()): int(row["count"]) for row in csv.DictReader(file)}


@lru_cache(maxsize=1)
def _instances() -> tuple[
    Mapping[str, tuple[_Instance, ...]], Mapping[tuple[str, str], tuple[str, ...]], Mapping[tuple[str, str], str]
]:
    """Instance types by provider; the chips that a provider has under a key; the one that its plain key means."""
    shapes: dict[str, list[_Instance]] = {}
    has: dict[tuple[str, str], tuple[str, ...]] = {}
    plain: dict[tuple[str, str], str] = {}
    with (DATA / "instances.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["match"] == "has":
                has[row["provider"], row["pattern"]] = tuple(row["accelerator"].split(";"))
                continue
            if row["match"] == "plain":
                plain[row["provider"], row["pattern"]] = row["accelerator"]
                continue
            pattern = re.compile(row["pattern"])
            share = float(row["share"] or 1)
            shapes.setdefault(row["provider"], []).append(
                _Instance(row["provider"], pattern, row["accelerator"], share)
            )
    return {provider: tuple(rows) for provider, rows in shapes.items()}, has, plain


@lru_cache(maxsize=16384)
def _instance(provider: str | None, shape: str) -> _Instance | None:
    """The first pattern that the instance type fits; without a provider, the one that all fitting patterns agree on."""
    name = shape.strip().casefold()
    by_provider = _instances()[0]
    if provider and provider_id(provider) == "azure" and not name.startswith("standard"):
        name = f"standard_{name}"  # tables for people drop the prefix and print spaces
    name = name.replace(" ", "_")
    if provider and (known := by_provider.get(provider_id(provider))) is not None:
        return next((row for row in known if row.pattern.fullmatch(name)), None)
    if provider:
        return None
    fitting = [next((row for row in rows if row.pattern.fullmatch(name)), None) for rows in by_provider.values()]
    found = [row for row in fitting if row is not None]
    return found[0] if len({row.accelerator for row in found}) == 1 else None
