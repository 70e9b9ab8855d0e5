"""Control groups (version 2) for the slices of this machine, where the system lets us make them.

Two uses, apart: every process of a node stays in the node's group whatever it does, so that one write ends them all;
and where the cpu, memory and pids controllers are handed down to us, the kernel keeps the limits. A group of ours is
made only below the group that this process is in, or beside it where that place was delegated to us.
Invariant: what `Groups.controllers` names is really enforced; nothing is switched on above our own group.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_WANTED = ("cpu", "memory", "pids")
_CPU_PERIOD_US = 100_000


@dataclass(frozen=True)
class Groups:
    """Where our groups are, and what is enforced there."""

    base: Path  # our own group; one child per node
    controllers: frozenset[str]  # of cpu, memory, pids
    kills: bool  # cgroup.kill is there (Linux 5.14)

    def make(self, ref: str, *, cpus: float, memory_bytes: int, processes: int) -> Path:
        """The node's group with its limits; again for one that is there. Raises OSError."""
        group = self.base / ref
        if not self.base.exists():
            self.base.mkdir(exist_ok=True)
            _hand_down(self.base)
        group.mkdir(exist_ok=True)
        limits = {
            "cpu": ("cpu.max", f"{int(cpus * _CPU_PERIOD_US)} {_CPU_PERIOD_US}"),
            "memory": ("memory.max", str(memory_bytes)),
            "pids": ("pids.max", str(processes)),
        }
        for controller in self.controllers:
            name, value = limits[controller]
            (group / name).write_text(value, encoding="ascii")
        if "memory" in self.controllers:
            with contextlib.suppress(OSError):
                (group / "memory.swap.max").write_text("0", encoding="ascii")
        return group


def leave(groups: Groups) -> None:
    """Remove our own group where no node is in it: a system that is asked for nothing is left as it was."""
    with contextlib.suppress(OSError):
        groups.base.rmdir()


def find_groups(name: str) -> Groups | None:
    """Groups called `name` for this process, or None where the system does not let us make any."""
    mount, own = _mount(), _own_group()
    if mount is None or own is None:
        return None
    here = mount / own.lstrip("/")
    found = [groups for place in dict.fromkeys((here, here.parent)) if (groups := _try(place, mount, name))]
    return max(found, key=lambda groups: len(groups.controllers), default=None)


def _try(place: Path, mount: Path, name: str) -> Groups | None:
    if mount not in (place, *place.parents):
        return None
    base = place / name
    try:
        base.mkdir(exist_ok=True)
        if place != mount:  # the root's children belong to the system; below a group of ours we may hand down
            with contextlib.suppress(OSError):
                _hand_down(place)
        with contextlib.suppress(OSError):
            _hand_down(base)
        probe = base / f"probe-{os.getpid()}"
        probe.mkdir(exist_ok=True)
        try:
            handed = (probe / "cgroup.controllers").read_text(encoding="ascii").split()
            writable = os.access(probe / "cgroup.procs", os.W_OK) and os.access(base / "cgroup.procs", os.W_OK)
            kills = (probe / "cgroup.kill").exists()
        finally:
            probe.rmdir()
    except OSError:
        with contextlib.suppress(OSError):
            base.rmdir()
        return None
    return Groups(base, frozenset(handed) & frozenset(_WANTED), kills) if writable and kills else None


def _hand_down(group: Path) -> None:
    offered = set((group / "cgroup.controllers").read_text(encoding="ascii").split()) & set(_WANTED)
    if offered:
        text = " ".join(f"+{controller}" for controller in sorted(offered))
        (group / "cgroup.subtree_control").write_text(text, encoding="ascii")


def kill_group(group: Path) -> None:
    """End every process in the group and in groups below it; nothing where the group is gone."""
    with contextlib.suppress(FileNotFoundError):
        (group / "cgroup.kill").write_text("1", encoding="ascii")


def is_populated(group: Path) -> bool:
    """Whether a process lives in the group or below it."""
    try:
        return "populated 1" in (group / "cgroup.events").read_text(encoding="ascii")
    except OSError:
        return False


def remove_group(group: Path, patience_s: float = 2.0) -> None:
    """Remove an emptied group and those below it; the kernel may need a moment after the last process ended."""
    end = time.monotonic() + patience_s
    while group.exists():
        for below in sorted(_below(group), reverse=True):
            with contextlib.suppress(OSError):
                below.rmdir()
        if time.monotonic() > end:
            return
        if group.exists():
            time.sleep(0.005)


def _below(group: Path) -> Iterator[Path]:
    for directory, _, _ in os.walk(group):
        yield Path(directory)


def _mount() -> Path | None:
    """Where cgroup version 2 is mounted for us."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        fields, _, rest = line.partition(" - ")
        if rest.split()[:1] == ["cgroup2"]:
            return Path(fields.split()[4])
    return None


def _own_group() -> str | None:
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line[3:] for line in lines if line.startswith("0::/")), None)
