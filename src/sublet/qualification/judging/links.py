"""Rules over NVLinks and the topology matrix."""

from __future__ import annotations

import re
from collections import Counter

from sublet.qualification.judging import chips
from sublet.qualification.judging.catalogue import finding, limit
from sublet.qualification.judging.context import Context
from sublet.qualification.judging.roll import Seen, roll_up
from sublet.qualification.judging.values import Finding
from sublet.qualification.reading.nccl_topo import TopoDevice
from sublet.qualification.reading.nvlink import LinkedGpu, NvlinkStatus
from sublet.qualification.reading.topo import Topology

_TRAFFIC = re.compile(r"packets|bytes|Effective|BER|success", re.IGNORECASE)  # counters that are no faults
_NEAR, _SWITCHED = ("PIX", "PXB"), 4  # from this many links a pair is joined by switches, not by a mesh


def judge_nvlink(status: NvlinkStatus, context: Context) -> list[Finding]:
    """Links of each GPU against what its chip has, or what was sold."""
    found = roll_up("gpu.identity", [seen for gpu in status.gpus if (seen := _identity(gpu, context))])
    found += roll_up("nvlink.links", [seen for gpu in status.gpus if (seen := _links(gpu, context))])
    errors = [gpu for gpu in status.gpus if gpu.errors]
    if errors:
        grown = [gpu for gpu in errors if any(gpu.errors.get(name) for name in gpu.errors if not _TRAFFIC.search(name))]
        high = [gpu for gpu in grown if _counted(gpu) > limit("nvlink.errors", "counted")]
        if high and 2 * len(high) < len(errors):
            told = ", ".join(f"GPU {gpu.index} {_counted(gpu)}" for gpu in high[:4])
            said = f"{told} errors since the driver came up, and its siblings next to none"
            found.append(finding("nvlink.errors", "fail", said, "WATCH", tuple(f"GPU {gpu.index}" for gpu in high)))
            errors = []
    if errors:
        words = f"errors counted on {len(grown)} of {len(errors)} GPUs" if grown else "no error counted"
        found.append(
            finding("nvlink.errors", "not_applicable" if grown else "pass", f"{words}; one reading tells no growth")
        )
    sold = context.expected.count
    if sold is not None and status.gpus:
        indices = [gpu.index for gpu in status.gpus]
        there = max(indices) + 1
        if there < sold and (status.elided or indices != list(range(there))):
            found.append(finding("gpu.count", "incomplete", f"some GPUs are left out, {sold} were sold", "INFO"))
        else:
            good = there == sold
            found.append(finding("gpu.count", "pass" if good else "fail", f"{there} GPUs listed, {sold} were sold"))
    return found


def _counted(gpu: LinkedGpu) -> int:
    return sum(count for name, count in gpu.errors.items() if not _TRAFFIC.search(name))


def _identity(gpu: LinkedGpu, context: Context) -> Seen | None:
    chip = chips.chip_of(gpu.name)
    part = f"GPU {gpu.index}"
    if context.sold is None:
        return None
    if chip is None:
        return Seen(part, "incomplete", f"{gpu.name} is a chip that nothing is known of")
    if chip.name == context.sold.name:
        return Seen(part, "pass", f"{gpu.name}, as sold")
    links = f", with {len(gpu.links)} NVLinks of {context.sold.links}" if context.sold.links else ""
    return Seen(part, "fail", f"{gpu.name} is {chip.name}; {context.sold.name} was sold{links}")


def _links(gpu: LinkedGpu, context: Context) -> Seen | None:
    part = f"GPU {gpu.index}"
    chip = chips.chip_of(gpu.name) or context.wanted
    wanted = context.sold.links if context.sold and context.sold.links else chip.links if chip else 0
    if gpu.note == "unsupported":
        if wanted:
            return Seen(part, "fail", f"it shows no NVLink, {wanted} are expected")
        return Seen(part, "not_applicable", "this chip has no NVLink")
    if gpu.note == "inactive":
        return Seen(part, "fail", "every link is inactive", "ISOLATE")
    if not gpu.links:
        return None
    rates = [rate for rate in gpu.links.values() if rate is not None]
    if len(rates) < len(gpu.links):
        down = [str(link) for link, rate in gpu.links.items() if rate is None]
        return Seen(part, "fail", f"link {', '.join(down[:6])} is inactive")
    if wanted and len(rates) != wanted:
        return Seen(part, "fail", f"{len(rates)} links, {wanted} are expected")
    rate = chip.link_gb_per_s if chip else 0
    if rates and rate and min(rates) < 0.95 * rate:
        return Seen(part, "fail", f"a link runs at {min(rates):g} GB/s of {rate:g}")
    if not wanted and chip is None:
        return Seen(part, "incomplete", f"{len(rates)} links of a chip that nothing is known of", "INFO")
    return Seen(part, "pass", f"{len(rates)} links at {min(rates):g} GB/s")


def judge_topology(topology: Topology, context: Context) -> list[Finding]:
    """The matrix: the same links between all pairs, a near NIC for each GPU, a NUMA node for each."""
    if not topology.gpus:
        return []
    found: list[Finding] = []
    sold = context.expected.count
    if sold is not None:
        good = len(topology.gpus) == sold
        found.append(finding("gpu.count", "pass" if good else "fail", f"{len(topology.gpus)} GPUs, {sold} were sold"))
    pairs = topology.links()
    links = Counter(number for number in pairs.values() if number is not None)
    most = max(links, default=0)
    wanted = context.wanted.links if context.wanted and context.wanted.nvswitch else 0
    if not pairs:
        found.append(finding("topo.matrix", "not_applicable", "one GPU alone has no peers"))
    elif any(number is None for number in pairs.values()):
        found.append(finding("topo.matrix", "incomplete", "cells between GPUs are missing"))
    elif wanted and any(number != wanted for number in links):
        said = (
            f"{most} links between the GPUs, {wanted} are expected of {context.wanted.name if context.wanted else ''}"
        )
        check = "gpu.identity" if context.sold is not None and len(links) == 1 and most else "topo.matrix"
        found.append(finding(check, "fail", said, "ISOLATE"))
    elif most >= _SWITCHED and len(links) > 1 and links[most] * 2 >= len(pairs):
        low = [f"{one}-{other}" for (one, other), number in pairs.items() if number != most]
        said = f"{len(low)} pairs have fewer links than NV{most}: {', '.join(low[:4])}"
        found.append(finding("topo.matrix", "fail", said, "RESET", tuple(low[:8])))
    elif most:
        found.append(finding("topo.matrix", "pass", f"NV{most} between {'all' if len(links) == 1 else 'joined'} pairs"))
    else:
        kinds = sorted({cell for (one, other), cell in topology.cells.items() if one != other and "GPU" in other})
        found.append(finding("topo.matrix", "pass", f"no NVLink between the GPUs ({', '.join(kinds)})"))
    return found + _near(topology) + _numa(topology)


def _near(topology: Topology) -> list[Finding]:
    if not topology.nics:
        return []
    seen = []
    for gpu in topology.gpus:
        near = [nic for nic in topology.nics if topology.cells.get((gpu, nic)) in _NEAR]
        words = f"{', '.join(near)} is near" if near else "no NIC is near (set NCCL_TOPO_FILE in a virtual machine)"
        seen.append(Seen(gpu, "pass" if near else "fail", words, None if near else "INFO"))
    failed = [one for one in seen if one.outcome == "fail"]
    if not failed:
        return [finding("topo.matrix", "pass", "every GPU has a NIC on its own PCIe switch")]
    return roll_up("topo.matrix", seen)


def _numa(topology: Topology) -> list[Finding]:
    odd = [gpu for gpu, node in topology.numa.items() if not node.isdigit() and node != "N/A"]
    if odd:
        return [finding("topo.matrix", "incomplete", f"the NUMA node of {', '.join(odd[:4])} cannot be read", "INFO")]
    return []


def judge_topo_file(devices: tuple[TopoDevice, ...], context: Context) -> list[Finding]:
    """NCCL's file: each GPU shares a bridge and a NUMA node with a NIC, and links are whole."""
    gpus = [device for device in devices if device.what == "gpu"]
    nics = [device for device in devices if device.what == "nic"]
    if not gpus:
        return []
    found = []
    sold = context.expected.count
    if sold is not None:
        found.append(
            finding("gpu.count", "pass" if len(gpus) == sold else "fail", f"{len(gpus)} GPUs, {sold} were sold")
        )
    seen = []
    for gpu in gpus:
        near = [nic for nic in nics if nic.bridges and nic.bridges == gpu.bridges and nic.numa == gpu.numa]
        said = "shares a bridge and a NUMA node with a NIC" if near else "shares a bridge with no NIC"
        seen.append(Seen(gpu.bus, "pass" if near else "fail", said, None if near or nics else "INFO"))
    found += roll_up("topo.matrix", seen)
    widths = {(device.speed, device.width) for device in gpus}
    if len(widths) > 1:
        found.append(finding("pcie.link", "fail", "the file gives the GPUs different links", "WATCH"))
    return found
