"""Which chip a name or a PCI id means, and what that chip must show (data/chips.toml)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from sublet.catalog.names import resolve
from sublet.qualification.judging.catalogue import data

_NOISE = re.compile(r"^(?:NVIDIA|Tesla|Graphics Device)\s+|\s*\(rev \w+\)$", re.IGNORECASE)
_PCI = re.compile(r"\[?(?:10de|1002):([0-9a-fA-F]{4})\]?")


@dataclass(frozen=True)
class Chip:
    """What is known of a chip; `known` is False for one that only has a name."""

    name: str
    memory_mib: float = 0
    links: int = 0
    link_gb_per_s: float = 0
    fabric: str = ""
    gen: int = 0
    lanes: int = 0
    datacentre: bool | None = None
    holds_link: bool = False
    hbm_gb_per_s: float = 0
    ids: tuple[str, ...] = ()
    known: bool = True

    @property
    def nvswitch(self) -> bool:
        """Whether it sits on an NVSwitch."""
        return self.fabric == "nvswitch"


@cache
def chips() -> Mapping[str, Chip]:
    """Every chip of the table by its name in the catalogue."""
    table = data("chips.toml")
    return {
        name: Chip(
            name, **{key: value for key, value in row.items() if key not in ("products", "ids")}, ids=tuple(row["ids"])
        )
        for name, row in table.items()
    }


@cache
def _products() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(
        (re.compile(pattern, re.IGNORECASE), name)
        for name, row in data("chips.toml").items()
        for pattern in row["products"]
    )


@cache
def _ids() -> Mapping[str, str]:
    return {each: name for name, chip in chips().items() for each in chip.ids}


@lru_cache(maxsize=1024)
def chip_of(said: str) -> Chip | None:
    """The chip of a product name or "[10de:2330] ..."; None where nothing is known of it."""
    identity = _PCI.search(said)
    if identity and identity[1].casefold() in _ids():
        return chips()[_ids()[identity[1].casefold()]]
    plain = _NOISE.sub("", _NOISE.sub("", said.strip())).strip()
    for pattern, name in _products():
        if pattern.fullmatch(plain):
            return chips()[name]
    bracket = re.search(r"\[([A-Z][\w ]+)\]", said)
    if bracket and bracket[1] != plain:
        return chip_of(bracket[1])
    if identity or not plain or len(plain) > 60:
        return None
    found = resolve(plain)
    if found.accelerator is None:
        return None
    return chips().get(found.accelerator) or Chip(
        found.accelerator,
        known=False,
        datacentre=False if re.match(r"(?:RTX \d|GTX|GeForce)", found.accelerator) else None,
    )


def of_pci_id(pci_id: str) -> Chip | None:
    """The chip of a device id as nvidia-smi writes it: "0x233010DE"."""
    found = re.fullmatch(r"(?:0x)?([0-9a-fA-F]{4})10de", pci_id.strip(), re.IGNORECASE)
    name = _ids().get(found[1].casefold()) if found else None
    return chips()[name] if name else None


def one_of(devices: Iterable[str]) -> Chip | None:
    """The one chip that all devices are; None where they differ or nothing is known."""
    found = {chip.name: chip for device in dict.fromkeys(devices) if (chip := chip_of(device)) is not None}
    return next(iter(found.values())) if len(found) == 1 else None
