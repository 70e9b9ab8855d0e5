"""Find and end every process of a node on this machine.

Three ways, together: the node's control group where there is one; the tree below each supervisor, which adopts what a
command leaves behind; the mark that every process of the node inherits in its environment. All of them are stopped
first and killed when a round finds no new one, so that a process that forks all the time does not get away.
Invariant: no process is signalled by its number alone; a number may have passed to another process meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from sublet.providers.local_cgroup import is_populated, kill_group

MARK = "SUBLET_NODE_REF"


@dataclass(frozen=True)
class Identity:
    """One process for as long as this machine is up: a number and the tick at which it started."""

    pid: int
    start: int


def identity(pid: int) -> Identity | None:
    """Who has this number now; None where nobody has, or only what is left of one."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in (b"Z", b"X") else Identity(pid, int(fields[19]))


def is_alive(process: Identity) -> bool:
    """Whether this very process still runs."""
    return identity(process.pid) == process


def boot_id() -> str:
    """This run of the machine: process numbers mean nothing across two."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def end_all(ref: str, roots: list[Identity], group: Path | None, patience_s: float = 10.0) -> list[int]:
    """End what runs for node `ref`: in `group`, below `roots`, or marked. Returns the numbers that did not die."""
    end = time.monotonic() + patience_s
    while True:
        if group is not None:
            kill_group(group)
        left = _members(ref, roots)
        _kill(_stopped(ref, roots, left))
        if not left and not (group is not None and is_populated(group)):
            return []
        if time.monotonic() > end:
            return sorted(process.pid for process in left)
        time.sleep(0.005)


def end_tree(root: Identity, group: Path | None, patience_s: float = 10.0) -> list[int]:
    """End one command: its supervisor and everything below it, and its own group."""
    return end_all("", [root], group, patience_s)


def _stopped(ref: str, roots: list[Identity], found: set[Identity]) -> set[Identity]:
    """All of them, each stopped: rounds until one finds nobody new (or the machine keeps making more).

    A process that was told to stop may be in the middle of a fork: only when all stand still is nobody new the last.
    """
    stopped: set[Identity] = set()
    for _ in range(500):
        new = found - stopped
        for process in new:
            _signal(process, signal.SIGSTOP)
        stopped |= new
        still = all(_stands_still(process) for process in stopped)
        found = _members(ref, roots)
        if still and found <= stopped:
            break
        if not still:
            time.sleep(0.001)
    return stopped | found


def _stands_still(process: Identity) -> bool:
    """Whether it is stopped, or no more."""
    fields = _stat(process.pid)
    return fields is None or int(fields[19]) != process.start or fields[0] in (b"T", b"t", b"Z", b"X")


def _kill(processes: set[Identity]) -> None:
    for process in processes:
        _signal(process, signal.SIGKILL)


def _signal(process: Identity, number: signal.Signals) -> None:
    """Through a descriptor of the process: between the look and the blow the number cannot pass to another."""
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(process.pid)
        try:
            if is_alive(process):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def _members(ref: str, roots: list[Identity]) -> set[Identity]:
    """The living processes that are below a root, a root themselves, or carry the mark of `ref` ("": none does)."""
    mark = f"{MARK}={ref}".encode()
    children: dict[int, list[Identity]] = {}
    found: set[Identity] = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        pid = int(name)
        fields = _stat(pid)
        if fields is None or fields[0] in (b"Z", b"X") or pid == os.getpid():
            continue
        process = Identity(pid, int(fields[19]))
        children.setdefault(int(fields[1]), []).append(process)
        if process in roots or (ref and mark in _environment(pid)):
            found.add(process)
    waiting = list(found)
    while waiting:
        for child in children.get(waiting.pop().pid, ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def _stat(pid: int) -> list[bytes] | None:
    """The fields of /proc/PID/stat from the state on (the name before them may hold anything)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return None


def _environment(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []
