"""This machine as supply: how many nodes it is cut into, and which cores and how much memory each slice has.

Invariant: two slices share no core, and their memory together is not more than may be given away.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from sublet.errors import InputError
from sublet.providers.protocol import CPU_ACCELERATOR
from sublet.units import Money, format_bytes


@dataclass(frozen=True)
class LocalSupply:
    """What of this machine is rented out."""

    nodes: int = 1
    shape: str = "local"
    price_per_node_hour: Money | None = None
    cpus_per_node: int | None = None  # None: the cores that we may use less one, divided
    memory_bytes_per_node: int | None = None  # None: the memory that we may use less a tenth, divided
    processes_per_node: int = 4096
    accelerator: str = CPU_ACCELERATOR
    accelerators_per_node: int = 1


@dataclass(frozen=True)
class Slice:
    """One node's part of the machine."""

    number: int
    cores: tuple[int, ...]
    memory_bytes: int


def slices(supply: LocalSupply, cores: tuple[int, ...], memory_bytes: int) -> tuple[Slice, ...]:
    """`cores` (numbers) and `memory_bytes` cut into the supply's nodes. Raises InputError where they do not fit."""
    if supply.nodes < 1:
        raise InputError(f"this machine cannot be {supply.nodes} nodes: give one or more")
    each = supply.cpus_per_node if supply.cpus_per_node is not None else _even(len(cores), supply.nodes)
    if each < 1 or each * supply.nodes > len(cores):
        raise InputError(
            f"{supply.nodes} nodes of {max(each, 1)} cores need {supply.nodes * max(each, 1)} cores and "
            f"this machine lends {len(cores)}: ask for fewer nodes or fewer cores each"
        )
    memory = supply.memory_bytes_per_node or int(memory_bytes * 0.9) // supply.nodes
    if memory * supply.nodes > memory_bytes:
        raise InputError(
            f"{supply.nodes} nodes of {format_bytes(memory)} need {format_bytes(memory * supply.nodes)} and "
            f"this machine has {format_bytes(memory_bytes)}: ask for fewer nodes or less memory each"
        )
    return tuple(Slice(n, cores[n * each : (n + 1) * each], memory) for n in range(supply.nodes))


def _even(cores: int, nodes: int) -> int:
    """Cores of each node: as many as leave one for the broker and the rest of the machine, but at least one."""
    return max(cores // nodes - (cores % nodes == 0), 1) if cores >= nodes else 0


def usable_cores() -> tuple[int, ...]:
    """The cores that this process may run on."""
    return tuple(sorted(os.sched_getaffinity(0)))


def usable_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or less where a control group says so."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _limit_files():
        with contextlib.suppress(OSError, ValueError):
            limits.append(int(path.read_text(encoding="ascii")))  # "max" is no number
    return min(limit for limit in limits if limit > 0)


def _limit_files() -> list[Path]:
    """Memory limits of our control groups and those above them, of both versions, where they are usually mounted."""
    files = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers == "":
                root, name = Path("/sys/fs/cgroup"), "memory.max"
            elif "memory" in controllers.split(","):
                root, name = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
            else:
                continue
            here = root / group.lstrip("/")
            files += [place / name for place in (here, *here.parents) if root in (place, *place.parents)]
    return files
