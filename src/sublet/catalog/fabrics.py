"""The fabric between accelerators: the published one of a shape, else the usual one of the chip, said so.

What `scale_up_bytes_per_s` means by topology, always one direction and per chip:
"switch"   what one chip can send into the switch (all its links);
"mesh"     the sum of its direct links to the others of the box: reached when all of them take part;
"torus2d", "torus3d"   the sum of its four or six links: reached by a collective over all dimensions in both
           directions; a group along one dimension of a 2D torus has a half of it, of a 3D torus a third;
"bridge"   its NVLink bridge to the one or three cards of the same group;
"pcie"     what is left of its PCIe link when all cards of the host talk at once.
Invariant: what was assumed rather than published stands in `assumption`, as one sentence.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sublet.catalog.accelerator import Accelerator
from sublet.catalog.rules import provider_id
from sublet.catalog.shape import Fabric, Shape
from sublet.errors import InputError

DATA = Path(__file__).parent / "data"
GBIT = 1e9 / 8


@dataclass(frozen=True)
class Network:
    """One kind of network: what a hop costs."""

    kind: str
    latency_s: float
    text: str
    source: str
    unverified: bool


@dataclass(frozen=True)
class Usual:
    """How chips of one kind are usually built into nodes."""

    node: int
    scale_up: str  # kind of network
    network: str  # kind of network between nodes
    nic_gbit_per_chip: float | None  # None: the chip's own scale-out figure
    basis: str
    source: str
    pcie_bytes_per_s: float | None  # of a card that also has an NVLink bridge: its PCIe link, one direction


@lru_cache(maxsize=1)
def networks() -> Mapping[str, Network]:
    """The kinds of network by name."""
    with (DATA / "networks.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["kind"]: Network(
                row["kind"], float(row["latency_us"]) * 1e-6, row["text"], row["source"], row["unverified"] == "yes"
            )
            for row in csv.DictReader(file)
        }


@lru_cache(maxsize=1)
def _usuals() -> Mapping[str, Usual]:
    with (DATA / "fabric_defaults.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["match"]: Usual(
                int(row["node"]),
                row["scale_up"],
                row["network"],
                float(row["nic_gbit_per_chip"]) if row["nic_gbit_per_chip"] else None,
                row["basis"],
                row["source"],
                float(row["pcie_gb_per_s"]) * 1e9 if row["pcie_gb_per_s"] else None,
            )
            for row in csv.DictReader(file)
        }


@lru_cache(maxsize=1)
def _providers() -> Mapping[str, Usual]:
    """Providers whose machines share no cluster network."""
    with (DATA / "provider_networks.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["provider"]: Usual(
                0, "", row["network"], float(row["nic_gbit_per_node"]), row["basis"], row["source"], None
            )
            for row in csv.DictReader(file)
        }


def usual(accelerator: Accelerator) -> Usual:
    """How `accelerator` is usually built into nodes: by name, by vendor and topology, then by topology."""
    known = _usuals()
    topology = accelerator.topology
    if topology == "pcie" and not accelerator.datacentre:
        topology = "desk"
    for key in (accelerator.name, f"{accelerator.vendor} {topology}", topology):
        if key in known:
            return known[key]
    raise InputError(f"data/fabric_defaults.csv has no row for {accelerator.name!r} nor for topology {topology!r}.")


def built(
    accelerator: Accelerator,
    count: int,
    *,
    network: str,
    nic_gbit_per_node: float,
    domain: int | None = None,
    node: int | None = None,
    source: str = "",
    assumption: str = "",
) -> Fabric:
    """The fabric of nodes of `count` chips with `nic_gbit_per_node` Gb/s of network together.

    `domain` is the chips that the scale-up network reaches (default: the node; the whole slice of a TPU, a rack of 72);
    `node` the chips of one host where that is not `count` (a TPU slice has many hosts).
    """
    host = node or count
    common = usual(accelerator)
    topology, rate, inside = _scale_up(accelerator, common, host)
    if domain is None:
        domain = min(_domain(accelerator, topology), count) if topology in ("bridge", "mesh") else count
    if domain <= 1:
        inside = "none"
    return Fabric(
        topology=topology if domain > 1 else "none",
        domain=domain,
        node=host,
        scale_up_bytes_per_s=rate,
        scale_out_bytes_per_s=nic_gbit_per_node * GBIT / host,
        scale_up_latency_s=networks()[inside].latency_s,
        scale_out_latency_s=networks()[network].latency_s,
        source=source,
        assumption=assumption,
    )


def fabric_for(
    accelerator: Accelerator,
    shape: Shape | None = None,
    count_per_node: int | None = None,
    provider: str | None = None,
) -> Fabric:
    """How chips of `accelerator` talk: in `shape`, else in nodes of `count_per_node` (of a TPU: slices of that many).

    Without a shape the chip's usual node is taken, and a smaller `count_per_node` is read as part of such a node, which
    seldom has a cluster network. `provider` is named in the assumption; markets of single machines have no cluster
    network at all.
    """
    if shape is not None:
        return shape.fabric
    common = usual(accelerator)
    if accelerator.topology.startswith("torus") and accelerator.vendor == "Google":
        return _slice(accelerator, common, count_per_node, provider)
    whole = common.node
    count = count_per_node or whole
    where = f" at {provider}" if provider else ""
    thin = _providers().get(provider_id(provider)) if provider else None
    if thin is None and count < whole and not _stands_alone(accelerator, count):
        thin = _usuals()["part of a node"]
    if thin is not None:
        assert thin.nic_gbit_per_chip is not None
        return built(
            accelerator,
            count,
            network=thin.network,
            nic_gbit_per_node=thin.nic_gbit_per_chip,
            source=thin.source,
            assumption=f"no fabric is published for {count} x {accelerator.name}{where}: taken as {thin.basis}.",
        )
    if count > whole:
        count = whole if count % whole == 0 else count
    nic = _nic_gbit(accelerator, common)
    said = f"no fabric is published for {accelerator.name}{where}: taken as {common.basis}, {nic:g} Gb/s per chip."
    rack = accelerator.scale_up_domain > whole and accelerator.topology == "switch" and whole > 1
    return built(
        accelerator,
        count,
        network=common.network,
        nic_gbit_per_node=nic * count,
        domain=accelerator.scale_up_domain if rack else None,
        source=common.source,
        assumption=said,
    )


def host_chips(accelerator: Accelerator, count: int) -> int:
    """Chips of one TPU host in a slice of `count` chips: four, eight for the 2D generations from v5e."""
    eight = accelerator.topology == "torus2d" and accelerator.name not in ("TPU v2", "TPU v3")
    return min(8 if eight else 4, count)


def _slice(accelerator: Accelerator, common: Usual, count: int | None, provider: str | None) -> Fabric:
    chips = min(count or accelerator.scale_up_domain, accelerator.scale_up_domain)
    host = host_chips(accelerator, chips)
    nic = _nic_gbit(accelerator, common)
    source = accelerator.sources.get("scale_up_bytes_per_s", common.source)
    assumed = "" if accelerator.scale_out_bytes_per_s else f"{nic:g} Gb/s per chip between slices is assumed."
    if count is None:
        assumed = f"one slice holds the whole job, up to {chips} chips. {assumed}".strip()
    return built(
        accelerator,
        chips,
        network=common.network,
        nic_gbit_per_node=nic * host,
        domain=chips,
        node=host,
        source=source,
        assumption=assumed,
    )


def _nic_gbit(accelerator: Accelerator, common: Usual) -> float:
    """Gb/s per chip between nodes: the chip's own figure where its data sheet tells one and the node follows it."""
    own = accelerator.scale_out_bytes_per_s
    follows = accelerator.topology in ("switch", "mesh", "torus2d", "torus3d")
    if own is not None and follows:
        return own / GBIT
    return common.nic_gbit_per_chip or 0.0


def _stands_alone(accelerator: Accelerator, count: int) -> bool:
    """Whether nodes of fewer chips than the usual are whole nodes: PCIe cards come in any number."""
    return accelerator.topology in ("pcie", "bridge") and count > 1


def _domain(accelerator: Accelerator, topology: str) -> int:
    return accelerator.scale_up_domain if topology == accelerator.topology else 1 << 30


def _scale_up(accelerator: Accelerator, common: Usual, host: int) -> tuple[str, float, str]:
    """Topology, bytes/s per chip in one direction, and kind of network inside a node of `host` chips."""
    rate = accelerator.scale_up_bytes_per_s or 0.0
    topology = accelerator.topology
    if topology == "bridge" and common.pcie_bytes_per_s is not None and not _bridged(accelerator, common, host):
        return "pcie", common.pcie_bytes_per_s * _share(), "pcie"
    if topology == "pcie":
        return "pcie", rate * _share(), "pcie"
    if topology == "mesh" and 1 < host < accelerator.scale_up_domain:
        # only the links to those present carry traffic
        return "mesh", rate * (host - 1) / (accelerator.scale_up_domain - 1), common.scale_up
    return topology, rate, "nvlink" if topology == "bridge" else common.scale_up


def _bridged(accelerator: Accelerator, common: Usual, host: int) -> bool:
    """Whether the NVLink bridge counts: cards sold with it, where one bridge joins the node or the half of it."""
    sold_with_it = accelerator.name.endswith("NVL")
    return sold_with_it and (host <= accelerator.scale_up_domain or common.scale_up == "nvlink")


def _share() -> float:
    share = _usuals()["pcie share"].nic_gbit_per_chip
    assert share is not None
    return share
