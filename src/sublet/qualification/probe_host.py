"""Who the node is, how many cores and how much memory it really gives, and whether its clock runs right."""

from __future__ import annotations

import contextlib
import math
import os
import platform
import random
import resource
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TOUCH_BYTES = 256 << 20
_PAGE = 4096


def identity(_: float) -> Mapping[str, Any]:
    """Processor, system, and accelerators as their driver names them; accelerators None where no driver can say."""
    return {
        "cpu_model": _cpu_model(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "hostname": platform.node(),
        "accelerators": _accelerators(),
    }


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith(("model name", "hardware", "cpu model")):
                return line.partition(":")[2].strip()
    return platform.processor()


def _accelerators() -> list[str] | None:
    """One name per accelerator: [] where no accelerator is attached to the bus, None where one is and is not named."""
    program = shutil.which("nvidia-smi")
    if program is not None:
        answer = subprocess.run(
            [program, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        return [line.strip() for line in answer.stdout.splitlines() if line.strip()] if not answer.returncode else None
    devices = Path("/sys/bus/pci/devices")
    classes = []
    for device in devices.glob("*/class"):
        with contextlib.suppress(OSError):
            classes.append(device.read_text(encoding="ascii")[:6])
    return None if any(kind in ("0x0302", "0x1200") for kind in classes) else []


def cpu(_: float) -> Mapping[str, Any]:
    """Cores that this process may use: by affinity, and by the control group's quota where there is one."""
    affinity = len(os.sched_getaffinity(0))
    quota = _cpu_quota()
    return {
        "affinity": affinity,
        "quota": quota,
        "cpus": min(affinity, quota) if quota is not None else float(affinity),
        "machine": os.cpu_count(),
    }


def _cpu_quota() -> float | None:
    for place in _own_groups():
        with contextlib.suppress(OSError, ValueError):
            quota, period = (place / "cpu.max").read_text(encoding="ascii").split()
            if quota != "max":
                return int(quota) / int(period)
    return None


def memory(budget_s: float) -> Mapping[str, Any]:
    """Bytes that this process may use (the least limit), and whether a sample of them can be written and read back."""
    limits = {"machine": float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))}
    for name in ("RLIMIT_AS", "RLIMIT_DATA"):
        value = resource.getrlimit(getattr(resource, name))[0]
        if value != resource.RLIM_INFINITY:
            limits[name] = float(value)
    for place in _own_groups():
        with contextlib.suppress(OSError, ValueError):
            limits["cgroup"] = min(limits.get("cgroup", math.inf), float((place / "memory.max").read_text("ascii")))
    usable = min(limits.values())
    size = int(min(_TOUCH_BYTES, usable / 4)) // _PAGE * _PAGE
    return {"bytes": usable, "limits": limits, **_touch(size, budget_s)}


def _touch(size: int, budget_s: float) -> Mapping[str, Any]:
    """Write a random block over and over, then compare: bytes that were proven, and whether all came back."""
    block = random.Random(0).randbytes(1 << 20)  # noqa: S311 - a pattern, no secret
    end = time.perf_counter() + budget_s
    held: list[bytearray] = []
    good = True
    while len(held) * len(block) < size and time.perf_counter() < end:
        held.append(bytearray(block))
    for copy in held:
        good = good and copy == block
    return {"touched_bytes": len(held) * len(block), "intact": good}


def clock(budget_s: float) -> Mapping[str, Any]:
    """The wall clock against the monotonic one over a moment: seconds gained or lost, and whether it went back."""
    wall, steady = time.time(), time.monotonic()
    back, last = False, wall
    end = steady + max(0.05, budget_s)
    while time.monotonic() < end:
        time.sleep(0.005)
        back, last = back or time.time() < last, time.time()
    drift = (time.time() - wall) - (time.monotonic() - steady)
    return {
        "now": time.time(),
        "drift_s": drift,
        "went_back": back,
        "resolution_s": time.get_clock_info("time").resolution,
    }


def _own_groups() -> list[Path]:
    """Our control group (version 2) and those above it, innermost first."""
    with contextlib.suppress(OSError):
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        mount = next((line.split()[4] for line in mounts if line.partition(" - ")[2].split()[:1] == ["cgroup2"]), None)
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        own = next((line[3:] for line in groups if line.startswith("0::/")), None)
        if mount is not None and own is not None:
            here, root = Path(mount) / own.lstrip("/"), Path(mount)
            return [place for place in (here, *here.parents) if root in (place, *place.parents)]
    return []
