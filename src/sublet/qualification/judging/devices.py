"""Rules over lspci: what is there, how wide and fast it is joined, and access control on switch ports."""

from __future__ import annotations

import re

from sublet.qualification.judging import chips
from sublet.qualification.judging.catalogue import finding
from sublet.qualification.judging.context import Context
from sublet.qualification.judging.roll import Seen, roll_up
from sublet.qualification.judging.values import Finding
from sublet.qualification.reading.lspci import PciDevice

_SWITCH = re.compile(r"PEX ?\d|PLX|Switchtec|PM\d{4,5}|Broadcom.*Switch|Microsemi|ConnectX.*Bridge", re.IGNORECASE)
_GEN1 = 2.5  # GT/s: where an idle GPU saves power


def judge(devices: tuple[PciDevice, ...], context: Context) -> list[Finding]:
    """Findings over the listing."""
    accelerators = [device for device in devices if device.accelerator]
    found: list[Finding] = []
    sold = context.expected.count
    known = [chips.chip_of(f"[{device.vendor}:{device.device}] {device.name}") for device in accelerators]
    names = sorted({chip.name for chip in known if chip})
    if sold is not None:
        good = len(accelerators) == sold
        found.append(
            finding("gpu.count", "pass" if good else "fail", f"{len(accelerators)} on the bus, {sold} were sold")
        )
    elif accelerators:
        found.append(
            finding(
                "gpu.count", "incomplete", f"{len(accelerators)} on the bus; how many were sold is not said", "INFO"
            )
        )
    if context.sold is not None and names:
        good = names == [context.sold.name]
        found.append(
            finding("gpu.identity", "pass" if good else "fail", f"{', '.join(names)}; {context.sold.name} was sold")
        )
    elif len(names) > 1:
        found.append(finding("gpu.identity", "fail", f"different chips in one node: {', '.join(names)}"))
    elif names and all(known):
        found.append(finding("gpu.identity", "pass", f"{len(accelerators)} of {names[0]}"))
    elif accelerators:
        found.append(finding("gpu.identity", "incomplete", f"{accelerators[0].name}: nothing is known of it", "INFO"))
    gone = [device.at for device in devices if device.revision == "ff" and (device.accelerator or device.nic)]
    if gone:
        said = f"{', '.join(gone[:8])} answers with nothing but ones: it fell off the bus"
        found.append(finding("observe.tool", "fail", said, where=tuple(gone)))
    seen = [each for device in devices if (each := _link(device)) is not None]
    found += roll_up("pcie.link", seen, "device")
    return found + _access(devices)


def _link(device: PciDevice) -> Seen | None:
    if not (device.accelerator or device.nic) or device.can is None or device.has is None:
        return None
    chip = chips.chip_of(f"[{device.vendor}:{device.device}] {device.name}") if device.accelerator else None
    can, has = device.can, device.has
    if None in (can.speed, can.width, has.speed, has.width):
        return Seen(device.at, "incomplete", "its link cannot be read")
    assert can.speed is not None
    assert has.speed is not None
    assert can.width is not None
    assert has.width is not None
    said = f"{has.speed:g} of {can.speed:g} GT/s, {has.width} of {can.width} lanes"
    if has.speed < can.speed and device.accelerator and has.speed <= _GEN1:
        return Seen(device.at, "incomplete", f"{said}, which may be power saving: read it under load", "INFO")
    if has.speed < can.speed or has.width < can.width:
        grave = device.nic or (chip is not None and chip.lanes > 0)
        modest = device.nic and can.speed < 16
        return Seen(device.at, "fail", said, "WATCH" if modest or not grave else None)
    return Seen(device.at, "pass", "links of accelerators and network cards are whole")


def _access(devices: tuple[PciDevice, ...]) -> list[Finding]:
    controlled = [device for device in devices if device.controls]
    if not controlled:
        return []
    switches = [device for device in controlled if _SWITCH.search(device.name)]
    on = [device.at for device in switches if "SrcValid+" in device.controls]
    if on:
        said = f"on at {len(on)} of {len(switches)} switch ports (right in a virtual machine, wrong on bare metal)"
        return [finding("pcie.acs_iommu", "fail", said, where=tuple(on[:8]))]
    elsewhere = sum("SrcValid+" in device.controls for device in controlled) - len(on)
    return [finding("pcie.acs_iommu", "pass", f"off at {len(switches)} switch ports, on at {elsewhere} others")]
