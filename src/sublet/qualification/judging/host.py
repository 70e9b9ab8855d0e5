"""Rules over the host: NUMA, processors, limits, NCCL's environment, MTU, IOMMU, GPUDirect, the clock, versions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from sublet.qualification.judging.catalogue import finding, limit
from sublet.qualification.judging.context import Context
from sublet.qualification.judging.values import Finding
from sublet.qualification.reading.dcgm import Diagnostic
from sublet.qualification.reading.host_files import ENVIRONMENT, Clock, HostFiles
from sublet.qualification.reading.smi_record import SmiLog
from sublet.qualification.reading.text import number, whole_number
from sublet.qualification.reading.values import Reading

_NODES, _CPUS, _PCI, _NET = (
    "/sys/devices/system/node",
    "/sys/devices/system/cpu",
    "/sys/bus/pci/devices",
    "/sys/class/net",
)
_GIB = 1 << 30
# what somebody set to get round a fault once, and what it costs
_STALE: tuple[tuple[str, str, str], ...] = (
    ("NCCL_IB_DISABLE", r"[1-9]", "turns InfiniBand off"),
    ("NCCL_P2P_DISABLE", r"[1-9]", "turns copies between GPUs off"),
    ("NCCL_SHM_DISABLE", r"[1-9]", "turns shared memory off"),
    ("NCCL_NVLS_ENABLE", r"0", "turns reduction in the switch off"),
    ("NCCL_NET_GDR_LEVEL", r"0|LOC", "turns GPUDirect RDMA off"),
    ("NCCL_NET_GDR_DISABLE", r"[1-9]", "turns GPUDirect RDMA off"),
    ("NCCL_NET", r"(?i)socket", "puts the data on sockets"),
    ("NCCL_ALGO", r".+", "forces one algorithm at every size"),
    ("NCCL_PROTO", r".+", "forces one protocol at every size"),
    ("NCCL_MAX_NCHANNELS", r"[1-8]", "leaves few channels"),
)


def judge(host: HostFiles, context: Context) -> list[Finding]:
    """Findings over the files that are there; a file that is not there decides nothing."""
    rules = (_balancing, _governor, _huge_pages, _swap, _memlock, _nofile, _shm, _nccl, _mtu, _iommu, _gdr, _numa)
    return [each for rule in rules for each in rule(host)]


def judge_clock(clock: Clock, context: Context) -> list[Finding]:
    """Whether the clock follows a server, and how far it is off."""
    if clock.synchronised is False:
        return [finding("time.sync", "fail", "the clock follows no server")]
    most = limit("time.sync", "offset_s")
    if clock.offset_s is not None and clock.offset_s > most:
        return [finding("time.sync", "fail", f"the clock is {clock.offset_s:.3g} s off, {most:g} s at most are right")]
    return [finding("time.sync", "pass", "the clock follows a server")]


def judge_together(readings: Sequence[Reading]) -> list[Finding]:
    """What only several readings of one node tell: one driver, and as many GPUs on the bus as the driver has."""
    drivers: dict[str, str] = {}
    on_bus: int | None = None
    listed: int | None = None
    for reading in readings:
        data = reading.data
        if isinstance(data, SmiLog):
            listed = data.attached if data.attached is not None else len(data.gpus)
            drivers.setdefault(data.driver, "nvidia-smi")
        elif isinstance(data, Diagnostic):
            drivers.setdefault(data.driver, "DCGM")
        elif isinstance(data, HostFiles):
            module = re.search(
                r"Kernel Module[^\n]*?\s(\d{3}\.[\d.]+)\s", data.text("/proc/driver/nvidia/version") or ""
            )
            drivers.setdefault(module[1] if module else "", "the kernel module")
            gpus = _gpus(data)
            on_bus = len(gpus) if data.under(_PCI, "class") else None
    drivers.pop("", None)
    found = []
    if len(drivers) > 1:
        told = ", ".join(f"{who} {version}" for version, who in drivers.items())
        found.append(finding("sw.driver", "fail", f"different drivers in one node: {told}"))
    elif drivers:
        found.append(finding("sw.driver", "pass", f"driver {next(iter(drivers))}"))
    if on_bus is not None and listed is not None and on_bus > listed:
        said = f"{on_bus} GPUs on the bus, the driver has {listed}: one does not answer"
        found.append(finding("gpu.count", "fail", said, "REBOOT"))
    return found


def _balancing(host: HostFiles) -> list[Finding]:
    value, nodes = host.text("/proc/sys/kernel/numa_balancing"), host.text(f"{_NODES}/online")
    if value is None:
        return []
    if nodes is not None and not re.search(r"[,-]", nodes):
        return [finding("numa.balancing", "not_applicable", "there is one NUMA node")]
    good = value.strip() == "0"
    return [finding("numa.balancing", "pass" if good else "fail", f"numa_balancing is {value.strip()}")]


def _governor(host: HostFiles) -> list[Finding]:
    governors = set(host.under(_CPUS, "cpufreq/scaling_governor").values())
    if not governors:
        return [finding("cpu.governor", "not_applicable", "the processor's frequency is not ours to see")]
    good = governors == {"performance"}
    return [finding("cpu.governor", "pass" if good else "fail", f"governor {', '.join(sorted(governors))}")]


def _huge_pages(host: HostFiles) -> list[Finding]:
    value = host.text("/sys/kernel/mm/transparent_hugepage/enabled")
    chosen = re.search(r"\[(\w+)\]", value or "")
    if not chosen:
        return []
    good = chosen[1] != "never"
    return [finding("cpu.hugepages", "pass" if good else "fail", f"transparent huge pages: {chosen[1]}")]


def _swap(host: HostFiles) -> list[Finding]:
    value = host.text("/proc/swaps")
    if value is None:
        return []
    used = [row.split()[0] for row in value.split("\n")[1:] if len(row.split()) >= 4 and row.split()[3] != "0"]
    said = f"{', '.join(used[:3])} is in use" if used else "nothing is swapped out"
    return [finding("mem.swap", "fail" if used else "pass", said)]


def _limit(host: HostFiles, name: str) -> float | None:
    found = re.search(rf"^{name}\s+(\S+)", host.text("/proc/self/limits") or "", re.MULTILINE)
    if not found:
        return None
    return float("inf") if found[1] == "unlimited" else number(found[1])


def _memlock(host: HostFiles) -> list[Finding]:
    value = _limit(host, "Max locked memory")
    if value is None:
        return []
    least = limit("lim.memlock", "gib")
    if value >= least * _GIB:
        return [finding("lim.memlock", "pass", "memory can be registered")]
    rdma = any(path.startswith("/sys/class/infiniband/") for path in host.files)
    said = f"{value / _GIB:.3g} GiB may be locked: RDMA registers more"
    return [finding("lim.memlock", "fail", said, None if rdma or _gpus(host) else "INFO")]


def _nofile(host: HostFiles) -> list[Finding]:
    value = _limit(host, "Max open files")
    if value is None:
        return []
    good = value >= limit("lim.nofile", "files")
    return [finding("lim.nofile", "pass" if good else "fail", f"{value:g} files may be open")]


def _shm(host: HostFiles) -> list[Finding]:
    found = re.search(r"^\S+ /dev/shm \S+ (\S+)", host.text("/proc/mounts") or "", re.MULTILINE)
    size = re.search(r"\bsize=(\d{1,15})([kmg]?)", found[1]) if found else None
    if not size:
        return []
    gib = int(size[1]) * {"": 1, "k": 1 << 10, "m": 1 << 20, "g": _GIB}[size[2]] / _GIB
    good = gib >= limit("lim.shm", "gib")
    return [finding("lim.shm", "pass" if good else "fail", f"shared memory holds {gib:.3g} GiB")]


def _settings(text: str | None) -> dict[str, str]:
    pairs = (line.strip().removeprefix("export ").partition("=") for line in (text or "").split("\n"))
    return {key.strip(): value.strip().strip("\"'") for key, mark, value in pairs if mark and not key.startswith("#")}


def _nccl(host: HostFiles) -> list[Finding]:
    if ENVIRONMENT not in host.files and "/etc/nccl.conf" not in host.files:
        return []
    settings = _settings(host.text("/etc/nccl.conf")) | _settings(host.text(ENVIRONMENT))
    stale = [
        f"{name}={settings[name]} {words}"
        for name, pattern, words in _STALE
        if name in settings and re.fullmatch(pattern, settings[name])
    ]
    if stale:
        return [finding("nccl.env", "fail", "; ".join(stale[:4]))]
    return [finding("nccl.env", "pass", "nothing that is known to slow NCCL is set")]


def _mtu(host: HostFiles) -> list[Finding]:
    """Ethernet that is fast enough to be of the fabric; IPoIB's MTU says nothing of RDMA."""
    mtus, speeds, kinds = (host.under(_NET, name) for name in ("mtu", "speed", "type"))
    fast = {
        name: whole_number(mtus[name]) or 0
        for name, speed in speeds.items()
        if name in mtus and (whole_number(speed) or 0) >= limit("net.mtu", "mbps") and kinds.get(name, "1") == "1"
    }
    if not fast:
        return []
    low = {name: mtu for name, mtu in fast.items() if mtu < limit("net.mtu", "bytes")}
    if low:
        told = ", ".join(f"{name} {mtu}" for name, mtu in list(low.items())[:8])
        return [finding("net.mtu", "fail", f"small frames on fast Ethernet: {told}", where=tuple(low))]
    return [finding("net.mtu", "pass", f"{len(fast)} fast interfaces have large frames")]


def virtual(host: HostFiles) -> bool | None:
    """Whether the host is a virtual machine; None where its processor does not say."""
    flags = re.search(r"^flags\s*:(.*)$", host.text("/proc/cpuinfo") or "", re.MULTILINE)
    return " hypervisor" in flags[1] if flags else None


def _iommu(host: HostFiles) -> list[Finding]:
    line = host.text("/proc/cmdline")
    if line is None:
        return []
    if virtual(host):
        return [finding("pcie.iommu", "not_applicable", "a virtual machine has its host's")]
    words = set(line.split())
    on = words & {"intel_iommu=on", "amd_iommu=on", "iommu=force"}
    if on and "iommu=pt" not in words:
        return [finding("pcie.iommu", "fail", f"{', '.join(sorted(on))} without iommu=pt: every copy is translated")]
    return [finding("pcie.iommu", "pass", "the IOMMU does not translate what devices copy")]


def _gdr(host: HostFiles) -> list[Finding]:
    version = host.text("/proc/driver/nvidia/version")
    cards = {path.split("/")[4] for path in host.files if path.startswith("/sys/class/infiniband/")}
    if version is None or not cards:
        return []
    if host.text("/sys/module/nvidia_peermem/initstate") == "live":
        return [finding("rdma.gdr", "pass", "nvidia_peermem is loaded")]
    if "Open Kernel Module" in version:
        return [finding("rdma.gdr", "pass", "the open driver hands out dma-buf")]
    return [finding("rdma.gdr", "fail", "neither nvidia_peermem nor dma-buf: RDMA goes by way of the host's memory")]


def _gpus(host: HostFiles) -> list[str]:
    classes, vendors = host.under(_PCI, "class"), host.under(_PCI, "vendor")
    return [at for at, code in classes.items() if code.startswith("0x0302") and vendors.get(at) == "0x10de"]


def _numa(host: HostFiles) -> list[Finding]:
    nodes, gpus = host.under(_PCI, "numa_node"), _gpus(host)
    if not gpus or not any(at in nodes for at in gpus):
        return []
    if not re.search(r"[,-]", host.text(f"{_NODES}/online") or ""):
        return [finding("numa.affinity", "not_applicable", "there is one NUMA node")]
    lost = [at for at in gpus if nodes.get(at) == "-1"]
    if lost:
        said = f"the NUMA node of {len(lost)} of {len(gpus)} GPUs is not known: processes cannot be put near them"
        return [finding("numa.affinity", "fail", said, where=tuple(lost[:8]))]
    return [
        finding(
            "numa.affinity", "pass", f"{len(gpus)} GPUs on NUMA nodes {_list(nodes[at] for at in gpus if at in nodes)}"
        )
    ]


def _list(words: Iterable[str]) -> str:
    return ", ".join(sorted(set(words)))


def topology_hints(host: HostFiles) -> Mapping[str, str]:
    """GPU -> the NUMA node that its process should be bound to; empty where none is known."""
    nodes = host.under(_PCI, "numa_node")
    return {at: nodes[at] for at in _gpus(host) if nodes.get(at, "-1") != "-1"}
