"""`lspci`, `-nn`, `-vvv`: accelerators, switches, NICs, their PCIe links, and access control on bridges."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sublet.qualification.reading.text import number, whole_number
from sublet.qualification.reading.values import Reading, ends_in_a_line

KIND, VERBOSE = "lspci -nn", "lspci -vvv"
LINE = re.compile(
    r"^(?P<at>(?:[0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]) "
    r"(?P<cls>[^:\[]+?)(?: \[(?P<code>[0-9a-fA-F]{4})\])?: (?P<name>.+)$"
)
_ID = re.compile(r"\[([0-9a-fA-F]{4}):([0-9a-fA-F]{4})\]")
_DEVICE = re.compile(r"Device ([0-9a-fA-F]{4})\b")
_REVISION = re.compile(r"\(rev (\w\w)\)")
_LINK = re.compile(r"Speed ([^,]+?)GT/s[^,]*,\s*Width x(\d+)(.*)$")


@dataclass(frozen=True)
class PciLink:
    """A PCIe link: GT/s and lanes."""

    speed: float | None
    width: int | None


@dataclass(frozen=True)
class PciDevice:
    """One device."""

    at: str
    what: str  # its class, in words
    name: str
    vendor: str  # "10de", "1002", "15b3" or ""
    device: str  # PCI device id, "" where it is not shown
    can: PciLink | None = None
    has: PciLink | None = None
    controls: str = ""  # ACSCtl
    revision: str = ""

    @property
    def accelerator(self) -> bool:
        """Whether it computes: a 3D, display or processing controller of a vendor of accelerators."""
        wanted = ("3d controller", "vga compatible controller", "processing accelerators", "display controller")
        return self.what.casefold() in wanted and self.vendor in ("10de", "1002", "1da3")

    @property
    def nic(self) -> bool:
        """Whether it is a network card."""
        return self.what.casefold() in ("infiniband controller", "ethernet controller", "network controller")

    @property
    def nvswitch(self) -> bool:
        """Whether it is an NVSwitch."""
        return self.vendor == "10de" and self.what.casefold() == "bridge"


_VENDORS = {"nvidia": "10de", "advanced micro devices": "1002", "mellanox": "15b3", "habana": "1da3"}


def read(text: str) -> Reading:
    """Devices, in the order listed."""
    devices: list[PciDevice] = []
    entry: dict[str, str] = {}
    facts: dict[str, str] = {}

    def close() -> None:
        if entry:
            devices.append(_device(entry, facts))

    for line in text.split("\n"):
        header = LINE.match(line)
        if header:
            close()
            entry, facts = {key: value or "" for key, value in header.groupdict().items()}, {}
        elif line.startswith(("\t", "  ")):
            key, _, value = line.strip().removeprefix("!!! ").partition(":")
            facts.setdefault(key, value.strip())
    close()
    verbose = any(device.has for device in devices)
    names = tuple(_label(device) for device in devices if device.accelerator)
    ended = ends_in_a_line(text) and bool(devices)
    return Reading(
        VERBOSE if verbose else KIND,
        tuple(devices),
        devices=names,
        count=len(names) or None,
        state="unproven" if ended else "cut",
        why="the listing does not say how many devices there are" if ended else "the text ends inside a line",
    )


def _label(device: PciDevice) -> str:
    return f"[{device.vendor}:{device.device}] {device.name}" if device.device else device.name


def _device(entry: dict[str, str], facts: dict[str, str]) -> PciDevice:
    name = entry["name"]
    ids = _ID.findall(name)
    vendor = ids[-1][0].casefold() if ids else next((v for k, v in _VENDORS.items() if k in name.casefold()), "")
    unnamed = _DEVICE.search(name)
    device = ids[-1][1] if ids else unnamed[1] if unnamed else ""
    return PciDevice(
        entry["at"],
        entry["cls"].strip(),
        name,
        vendor,
        device.casefold(),
        _link(facts.get("LnkCap")),
        _link(facts.get("LnkSta")),
        facts.get("ACSCtl", ""),
        (_REVISION.search(name) or ("", ""))[1] if not any("Unknown header type 7f" in key for key in facts) else "ff",
    )


def _link(text: str | None) -> PciLink | None:
    found = _LINK.search(text) if text else None
    return PciLink(number(found[1]), whole_number(found[2])) if found else None
