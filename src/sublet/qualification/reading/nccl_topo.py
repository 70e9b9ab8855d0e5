"""NCCL's topology files (NCCL_TOPO_FILE): which GPU and which NIC share a PCIe bridge and a NUMA node."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

from sublet.qualification.reading.text import number, whole_number
from sublet.qualification.reading.values import Reading

KIND = "NCCL_TOPO_FILE"


@dataclass(frozen=True)
class TopoDevice:
    """A GPU or a NIC: where it is, and the chain of bridges above it (nearest last)."""

    bus: str
    what: str  # gpu or nic
    bridges: tuple[str, ...]
    numa: str
    speed: float | None  # GT/s
    width: int | None


def read(text: str) -> Reading:
    """The devices of the file."""
    if "<!ENTITY" in text:
        return Reading(KIND, state="cut", why="the document declares entities, which NCCL never does")
    try:
        root = ElementTree.fromstring(text.strip())  # noqa: S314
    except (ElementTree.ParseError, ValueError) as error:
        return Reading(KIND, (), state="cut", why=f"the XML is broken: {error}")
    devices: list[TopoDevice] = []
    stack: list[tuple[ElementTree.Element, tuple[str, ...], str]] = [(root, (), "")]
    while stack:
        element, bridges, numa = stack.pop()
        numa = element.get("numaid", numa) if element.tag == "cpu" else numa
        children = list(element)
        what = {"0x0302": "gpu", "0x0300": "gpu", "0x1200": "gpu", "0x0207": "nic", "0x0200": "nic"}.get(
            (element.get("class") or "")[:6], ""
        )
        if element.tag == "pci" and what:
            speed, width = number(element.get("link_speed")), whole_number(element.get("link_width"))
            devices.append(TopoDevice(element.get("busid", ""), what, bridges, numa, speed, width))
        above = (*bridges, element.get("busid", "")) if element.tag == "pci" and not what else bridges
        stack += [(child, above, numa) for child in reversed(children)]
    gpus = sum(device.what == "gpu" for device in devices)
    return Reading(
        KIND,
        tuple(devices),
        count=gpus or None,
        state="whole" if gpus else "cut",
        why="" if gpus else "it names no GPU",
    )
