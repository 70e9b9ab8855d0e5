"""Reading one spelling of an accelerator's name: the chip's key, form factor, memory, count, part of a chip.

Vendors, clouds and shops decorate the same few names: "NVIDIA H100 SXM5 80GB", "a100-sxm-80", "8x H100 HGX (80GB)",
"tpu-v5p-8", "RTXPRO6000WS". The reading takes the longest known key at the start and then needs to understand every
word that is left. Invariant: a word that is not understood makes the spelling unknown, never a guess.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Variant:
    """One canonical accelerator among those that share a key."""

    accelerator: str
    form: str  # "sxm" | "pcie" | "nvl" | "superchip" | "oam" | "card" | "tpu" | "chip" | "system"
    memory_gb: float  # as sold
    nvlink: bool  # is, or may be, joined by NVLink


@dataclass(frozen=True)
class Spelling:
    """What a spelling says. `key` is "" where nothing was recognised."""

    key: str = ""
    variants: tuple[Variant, ...] = ()
    other: str = ""  # what it is, where it is known and no accelerator ("an FPGA")
    form: str = ""
    nvlink: bool = False
    memory_gb: float | None = None
    count: int | None = None
    part: bool = False  # MIG, vGPU, a fraction


_SEPARATORS = re.compile(r"[\s_\-/,;()\[\]+®™]+")
_REPLACED = (
    (re.compile(r"[×*]"), "x"),
    (re.compile(r"\d+(?:\.\d+)?\s?[gt]b(?:/s|ps)"), " "),
    (re.compile(r"\.(?!\d)|(?<!\d)\."), " "),
    (re.compile(r"(?<![\d.])1/[2-8](?!\d)"), "fraction"),
    (re.compile(r"ultrascale\+"), "ultrascale plus"),
)
# words before the name, or after it, that tell nothing
_NOISE = re.compile(
    r"(?:nvidia|amd|intel|qualcomm|google|amazon|aws|huawei|habana|geforce|tesla|instinct|radeon|gpus?|accelerators?"
    r"|graphics|card|tensor|cores?|cloud|gen(?:eration)?\s?\d?|edition|hopper|ampere|blackwell|volta|turing|pascal"
    r"|lovelace|kepler|maxwell|cdna\s?\d?|superchip|secure|community|spot|on\s?demand|high\s?freq\.?|mod|hbm\s?\d?e?"
    r"|gddr\s?\d?x?|vram|memory|ecc|dedicated|bare\s?metal|vm|instance|node|server|system|box|base\s?board|board"
    r"|platform|cluster|vws|single|the|with|each|per|devices?|pod|slices?|pod\s?slice|rack|ac|lc|air|liquid|cooled|one|of|two|a|chips?)(?![a-z\d])"
)
_FORMS = (
    (re.compile(r"sxm(?:\s?[2-6](?!\d)|[2-6](?=(?:16|32|40|64|80|96|141|180|192|288)(?:\D|$)))?"), "sxm"),
    (re.compile(r"(?:hgx|dgx)(?![a-z])"), "sxm"),
    (re.compile(r"nv\s?switch"), "sxm"),
    (re.compile(r"pci(?:\s?e)?(?:\s?express)?(?:\s?gen)?(?:\s?[3-6](?:\.0)?(?!\d))?(?:\s?x\s?16)?(?![a-z])"), "pcie"),
    (re.compile(r"nv\s?link(?:\s?\d(?!\d))?"), "nvlink"),
    (re.compile(r"nvl\s?(?:2|4|8|16|36|72|144)?(?![a-z\d])"), "nvl"),
    (re.compile(r"oam(?![a-z])"), "oam"),
)
_PART = re.compile(r"(?:mig(?:\s?\d+g\.?\d*(?:gb)?)?|\d+g\.\d+gb|v\s?gpu|fraction(?:al)?)(?![a-z])")
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s?(?:gib|gbytes?|gb|go|g)(?![a-z])")
_COUNT = re.compile(r"(?:(\d{1,4})\s?x|x\s?(\d{1,4})|:\s?(\d{1,4})(?:\.0)?|(\d{1,3})\s?gpus?)(?![a-z\d])")
_LEADING_COUNT = re.compile(r"(\d{1,4})\s?x\s?(?=[a-z])")
_BARE = re.compile(r"(\d+(?:\.\d+)?)(?![\w.])")
_TPU = re.compile(
    r"(?:cloud\s)?(?P<tpu>tpu\s?)?(?:v\s?)?(?P<version>[234]|5\s?lite(?:\s?pod)?|5l?e|5p|6e|7x?)(?![a-z\d])"
    r"(?:\s(?:trillium|ironwood))?(?:\s?(?:pod\s?slice|slice|pod|device|lite))*"
)
_TOPOLOGY = re.compile(r"\s?(\d{1,3}(?:\s?x\s?\d{1,3}){1,2})$")


@lru_cache(maxsize=1)
def keys() -> Mapping[str, tuple[Variant, ...] | str]:
    """Compact key ("h100", "rtx6000") -> the accelerators that it may mean, likeliest first, or what else it is."""
    with (DATA / "accelerators.csv").open(encoding="utf-8", newline="") as file:
        memory = {row["name"]: float(row["memory_gb"]) for row in csv.DictReader(file)}
    found: dict[str, tuple[Variant, ...] | str] = {}
    with (DATA / "names.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            kind, _, what = row["accelerator"].partition(":")
            for key in row["keys"].split():
                if kind == "not-accelerator":
                    found[key] = what
                    continue
                variant = Variant(kind, row["form"], memory[kind], row["nvlink"] == "yes")
                known = found.get(key, ())
                assert not isinstance(known, str)
                found[key] = (*known, variant)
    for variants in {variants for variants in found.values() if not isinstance(variants, str)}:
        for variant in variants:  # a canonical name is a key of its own
            found.setdefault(compact(variant.accelerator), (variant,))
    return found


def compact(text: str) -> str:
    """Lower case without separators: the form in which spellings are compared."""
    return _SEPARATORS.sub("", text.casefold())


@lru_cache(maxsize=1)
def _tpu_units() -> Mapping[str, tuple[str, float]]:
    with (DATA / "tpu_slices.csv").open(encoding="utf-8", newline="") as file:
        return {row["version"]: (row["accelerator"], float(row["chips_per_unit"])) for row in csv.DictReader(file)}


@lru_cache(maxsize=16384)
def read(raw: str) -> Spelling:
    """What `raw` says; a Spelling without key where it is not understood in full."""
    text = _plain(raw)
    said = Spelling()
    while text:
        whole = _tpu(text, said) or _named(text, said)
        if whole is not None:
            return whole
        shorter, said = _strip_front(text, said)
        if shorter == text:
            return Spelling()
        text = shorter
    return Spelling()


@lru_cache(maxsize=16384)
def glimpse(text: str) -> Spelling:
    """What an instance type's name says about the chip, words that tell nothing allowed anywhere.

    Only good for choosing among chips that something else named: "Standard_A2_v2" is no NVIDIA A2.
    """
    plain = _plain(text)
    for start in [0, *(space.end() for space in re.finditer(" ", plain))]:
        said, rest = Spelling(), plain[start:]
        counted = _LEADING_COUNT.match(rest)
        if counted is not None:
            said, rest = replace(said, count=int(counted.group(1))), rest[counted.end() :]
        found = _named(rest, said, lenient=True)
        if found is not None:
            return found
    return Spelling()


def _plain(raw: str) -> str:
    text = raw.casefold()
    for pattern, replacement in _REPLACED:
        text = pattern.sub(replacement, text)
    return _SEPARATORS.sub(" ", text).strip()


def _strip_front(text: str, said: Spelling) -> tuple[str, Spelling]:
    """Without one word of decoration at the front, and what that word said."""
    counted = _LEADING_COUNT.match(text)
    if counted is not None and said.count is None:
        return text[counted.end() :].lstrip(), replace(said, count=int(counted.group(1)))
    part = re.match(r"(?:half|quarter)(?![a-z])", text) or _PART.match(text)
    if part is not None:
        return text[part.end() :].lstrip(), replace(said, part=True)
    for pattern, form in _FORMS:
        found = pattern.match(text)
        if found is not None and found.end() < len(text):
            return text[found.end() :].lstrip(), _with_form(said, form)
    noise = _NOISE.match(text) or re.match(r"nvidia|geforce|amd|tesla", text)
    if noise is not None:
        return text[noise.end() :].lstrip(), said
    return text, said


def _named(text: str, said: Spelling, lenient: bool = False) -> Spelling | None:
    """The longest key at the front whose rest is understood in full (`lenient`: as far as it is understood)."""
    for end in range(len(text), 0, -1):
        if text[end - 1] == " ":
            continue
        key = text[:end].replace(" ", "")
        meaning = keys().get(key)
        if meaning is None:
            continue
        if isinstance(meaning, str):
            return replace(said, key=key, other=meaning)
        rest = _rest(text, end, replace(said, key=key, variants=meaning), lenient)
        if rest is not None:
            return rest
    return None


def _rest(text: str, at: int, said: Spelling, lenient: bool = False) -> Spelling | None:
    while at < len(text):
        spaced = text[at] == " "
        at += spaced
        step = _word(text, at, said, spaced, lenient)
        if step is None:
            return said if lenient and (spaced or not text[at].isalnum()) else None
        at, said = step
    return said


def _word(text: str, at: int, said: Spelling, spaced: bool, lenient: bool) -> tuple[int, Spelling] | None:
    """One word of decoration after the name: where it ends and what it adds; None where it is not understood."""
    found = _PART.match(text, at)
    if found is not None:
        return found.end(), replace(said, part=True)
    found = _MEMORY.match(text, at)
    if found is not None:
        return found.end(), replace(said, memory_gb=float(found.group(1)))
    found = _COUNT.match(text, at) if spaced or text[at] in "x:" else None
    if found is not None:
        return found.end(), replace(said, count=int(next(group for group in found.groups() if group)))
    for pattern, form in _FORMS:
        found = pattern.match(text, at)
        if found is not None:
            return found.end(), _with_form(said, form)
    found = _BARE.match(text, at) if spaced or text.endswith(("sxm", "pcie", "nvl", "oam"), 0, at) else None
    if found is not None and not lenient:
        number = float(found.group(1))
        if any(abs(variant.memory_gb - number) <= 0.02 * number for variant in said.variants):
            return found.end(), replace(said, memory_gb=number)
        if said.count is None and number in (1, 2, 4, 8, 16):
            return found.end(), replace(said, count=int(number))
        return None
    found = _NOISE.match(text, at)
    return (found.end(), said) if found is not None else None


def _with_form(said: Spelling, form: str) -> Spelling:
    if form == "nvlink":
        return replace(said, nvlink=True)
    return replace(said, form=said.form or form)


def _tpu(text: str, said: Spelling) -> Spelling | None:
    """A TPU by version, slice size or topology: "tpu v5p 8" (4 chips), "v6e 256", "tpu v4 podslice", "tpu7x 4x4x4"."""
    found = _TPU.match(text)
    if found is None:
        return None
    written = found.group("version").replace(" ", "")
    version = {"5lite": "5e", "5litepod": "5e", "5le": "5e", "7": "7x"}.get(written, written)
    rest = text[found.end() :]
    litepod = written.startswith("5lite")
    if found.group("tpu") is None and not (text.startswith("v") and (litepod or _is_size(rest))):
        return None
    accelerator, chips_per_unit = _tpu_units()[version]
    count: int | None = said.count
    topology = _TOPOLOGY.match(rest)
    if topology is not None:
        count = 1
        for side in topology.group(1).split("x"):
            count *= int(side)
    elif _is_size(rest):
        count = max(int(int(rest) * chips_per_unit), 1)
    elif rest.strip() and _rest(text, found.end(), said) is None:
        return None
    variants = keys()[compact(accelerator)]
    assert not isinstance(variants, str)
    return replace(said, key=f"tpuv{version}", variants=variants, count=count)


def _is_size(rest: str) -> bool:
    return re.fullmatch(r"\s\d{1,5}", rest) is not None
