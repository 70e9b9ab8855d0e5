"""The fabric that a sentence describes: "8x ConnectX-7 IB NDR 400Gb/s ; Management: 25Gb/s Ethernet" -> a Fabric.

The chip's own scale-up network comes from the catalogue; prose decides how far it reaches (a node, a rack, a slice)
and how fast the network between nodes is. Invariant: networks for storage and management are never counted, and where
the prose says nothing that helps, the chip's usual fabric is taken and the fabric says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from sublet.catalog.accelerator import Accelerator
from sublet.catalog.fabrics import fabric_for
from sublet.catalog.shape import Fabric
from sublet.estimate.rows import reading

_GIGABIT = 1e9 / 8
_UNITS = {"g": _GIGABIT, "t": 1e12 / 8, "gbyte": 1e9, "tbyte": 1e12}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*-?\s*([GT])(B/s|Bytes?/s|bit/s|b/s|bps|bit|b?e\b|b\b|\b)", re.IGNORECASE)
_PORT_GBPS = {"ndr": 400.0, "xdr": 800.0, "hdr": 200.0, "edr": 100.0, "fdr": 56.0}
_SCALE_UP = re.compile(r"nv-?link|nv-?switch|xgmi|infinity fabric|\bici\b|\bnvl\d+|pcie|neuronlink|hccs", re.I)
_OTHER_USE = re.compile(r"storage|management|mgmt|\bfor ns\b|north[- ]south|in-band|out-of-band|\boob\b|bmc", re.I)
_COMPUTE = re.compile(r"compute|\bfor ew\b|east[- ]west|gpu[- ]?direct|node[- ]node|backend|inter-?node", re.I)
_ADAPTER = re.compile(r"infiniband|\bib\b|connectx|\bcx-?\d|roce|bluefield|\bbf-?\d|[hnxef]dr\b|efa|slingshot", re.I)
_MANAGEMENT_BYTES_PER_S = 50 * _GIGABIT  # a node with no more than this has it for management, not for training


@dataclass(frozen=True)
class _Network:
    bytes_per_s: float
    per_chip: bool
    text: str


def fabric_from_text(
    text: str, accelerator: Accelerator, count: int, *, system: str = "", slices: int | None = None
) -> Fabric:
    """The fabric of `count` chips as the prose of a published row describes it.

    `system` is the row's name of the machine, which may tell the network ("Selene"), the rack ("4x GB200 NVL72"), the
    chips of a node ("16xXE9712x4GB200") or the slices ("2x v5p-128"); `slices` overrides what it says. Nothing in the
    text can fail: what is not understood leaves the chip's usual figure, and `assumption` says so.
    """
    parts = slices or slices_of(system, count)
    if accelerator.vendor == "Google" and accelerator.topology.startswith("torus"):
        fabric = fabric_for(accelerator, count_per_node=max(count // parts, 1))
    else:
        fabric = fabric_for(accelerator)
        node = _node(system, accelerator, fabric, count)
        fabric = replace(fabric, node=node, domain=_domain(text, system, fabric, node))
    if count <= fabric.domain:
        fabric = replace(fabric, assumption="")  # nothing leaves the scale-up network
    if re.search(r"gaudi", accelerator.name, re.IGNORECASE):
        return fabric  # the listed Ethernet ports are the chips' own: the catalogue tells which leave the node
    network = _network(text, fabric.node) or _of_system(system)
    if network is None:
        return fabric
    rate = network.bytes_per_s if network.per_chip else network.bytes_per_s / fabric.node
    return replace(fabric, scale_out_bytes_per_s=rate, oversubscription=1.0, source=network.text, assumption="")


def slices_of(system: str, count: int) -> int:
    """How many separate scale-up fabrics (TPU slices, pods) a machine's name states: "2x v4-128" -> 2; 1 if none."""
    found = re.match(r"\s*(\d+)\s*x\s+(?:tpu[- ]?v?|v)\d", system, re.IGNORECASE)
    stated = int(found.group(1)) if found is not None else 1
    return stated if stated >= 1 and count % stated == 0 else 1


def _node(system: str, accelerator: Accelerator, fabric: Fabric, count: int) -> int:
    """Chips of one host: stated in the system's name ("8x H100", "x4GB200", "_n16" with 64 chips), else the usual."""
    generation = re.escape(accelerator.name.split()[0])
    found = re.search(rf"(\d+)\s*[x×]?\s*(?:nvidia |amd |instinct )*{generation}(?!\w*[ -]?nvl\d)", system, re.I)
    if found is not None and int(found.group(1)) in (2, 4, 8, 16):
        return min(int(found.group(1)), max(fabric.node, 8))
    nodes = re.search(r"_n(\d+)\b", system)
    if nodes is not None and count % int(nodes.group(1)) == 0 and count // int(nodes.group(1)) in (1, 2, 4, 8, 16):
        return count // int(nodes.group(1))
    return fabric.node


def _domain(text: str, system: str, fabric: Fabric, node: int) -> int:
    """Chips that the scale-up network reaches: the rack, the bridge or the node that the prose names."""
    rack = re.search(r"nvl-?(\d+)", f"{text} {system}", re.IGNORECASE)
    if rack is not None and int(rack.group(1)) >= node:
        return int(rack.group(1))
    bridge = re.search(r"(\d+)-way[^;,]*bridge", text, re.IGNORECASE)
    if bridge is not None:
        return int(bridge.group(1))
    if re.search(r"(nvlink|xgmi|scale-?up)[^;,]*\b(in|within|inside) (the |a |one )?node", text, re.IGNORECASE):
        return node
    if fabric.domain == fabric.node:
        return node
    return fabric.domain


def _network(text: str, node: int) -> _Network | None:
    """The network between nodes that the prose states, with all ports that carry the job's traffic."""
    parts = [part.strip() for part in re.split(r";|,(?=\s*[A-Za-z+& ]+:)|\band\b", text) if part.strip()]
    marked = [part for part in parts if _COMPUTE.search(part)]
    wanted = marked or [part for part in parts if not _OTHER_USE.search(part)]
    found = [network for part in wanted if (network := _part(part, node)) is not None]
    return max(found, key=lambda network: network.bytes_per_s * (node if network.per_chip else 1), default=None)


def _part(part: str, node: int) -> _Network | None:
    """The network of one clause, or None where it is the scale-up network, a bus, or too slow to train over."""
    if _SCALE_UP.search(part) and not _ADAPTER.search(part):
        return None
    plain = re.split(r"\+(?=\s*\d+\s*g)", part, flags=re.IGNORECASE)[0]
    per_chip = bool(re.search(r"per[- ](gpu|chip|accelerator|device|tpu)|/(gpu|chip|tpu)\b", plain, re.IGNORECASE))
    ports = re.search(r"(?:^|[^\w.])(\d+)\s*[x×]\s*", plain, re.IGNORECASE)
    rate = _rate(plain)
    generation = next((name for name in _PORT_GBPS if re.search(rf"\b{name}", plain, re.IGNORECASE)), None)
    if rate is None:
        if generation is None:
            return None
        rate = _PORT_GBPS[generation] * _GIGABIT
    if ports is not None:
        total = rate * int(ports.group(1))
    elif not per_chip and generation is not None and abs(rate / _GIGABIT - _PORT_GBPS[generation]) < 1:
        per_chip, total = True, rate  # a bare port speed: one port per accelerator, as the vendors build it
    else:
        total = rate
    if total <= 0 or (not per_chip and total <= _MANAGEMENT_BYTES_PER_S):
        return None
    return _Network(total, per_chip, part)


def _rate(text: str) -> float | None:
    """Bytes/s of the fastest rate in the clause: "400Gb/s", "1600 Gbps", "200Gbe", "3.2 Tb/s", "100G", "50 GB/s"."""
    rates = []
    for found in _RATE.finditer(text):
        value, unit, kind = float(found.group(1)), found.group(2).lower(), found.group(3)
        in_bytes = kind.startswith("B/") or kind.lower().startswith("byte")
        rates.append(value * (_UNITS[f"{unit}byte"] if in_bytes else _UNITS[unit]))
    return max(rates, default=None)


def _of_system(system: str) -> _Network | None:
    """The network of a machine that is known by name."""
    for known in reading()["system"]:
        if re.search(known["pattern"], system, re.IGNORECASE):
            return _Network(float(known["node_gbps"]) * _GIGABIT, per_chip=False, text=str(known["source"]))
    return None
