"""NCCL's environment for a node, generated from what was observed: only what NCCL cannot find out for itself.

NVIDIA advises against overriding what NCCL chooses, so nothing that forces an algorithm or a protocol is ever written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sublet.qualification.judging.context import Context
from sublet.qualification.judging.host import topology_hints, virtual
from sublet.qualification.judging.ports import compute_ports
from sublet.qualification.reading.host_files import HostFiles
from sublet.qualification.reading.ib import Ports
from sublet.qualification.reading.values import Reading


@dataclass(frozen=True)
class Environment:
    """`variables`: name, value, why. `hints`: sentences for whoever starts the processes."""

    variables: tuple[tuple[str, str, str], ...]
    hints: tuple[str, ...]

    def shell(self) -> str:
        """The variables as lines of a shell, each after its reason."""
        return "".join(f"# {why}\nexport {name}={value}\n" for name, value, why in self.variables)


def environment(readings: Sequence[Reading], context: Context) -> Environment:
    """From the readings of one node."""
    variables: list[tuple[str, str, str]] = []
    hints: list[str] = []
    for reading in readings:
        if isinstance(reading.data, Ports):
            compute, others = compute_ports(reading.data, context)
            up = [f"{port.device}:{port.number}" for port in compute if port.up]
            if up and others:
                why = f"{len(others)} other cards serve storage or management: NCCL would use them too"
                variables.append(("NCCL_IB_HCA", f"={','.join(up)}", why))
        elif isinstance(reading.data, HostFiles):
            near = topology_hints(reading.data)
            nodes = sorted(set(near.values()))
            if len(nodes) > 1:
                pairs = ", ".join(f"{at} on {near[at]}" for at in sorted(near))
                hints.append(f"bind each process to the NUMA node of its GPU (numactl --cpunodebind): {pairs}")
            if virtual(reading.data) and not near and any(each.devices for each in readings):
                hints.append("a virtual machine that hides its PCIe tree: set NCCL_TOPO_FILE to the provider's file")
    return Environment(tuple(dict.fromkeys(variables)), tuple(dict.fromkeys(hints)))
