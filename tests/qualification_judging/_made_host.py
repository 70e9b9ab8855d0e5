"""Files of a host as `head -v` prints them; changes by path, None takes a file out."""

from __future__ import annotations

_CPU = "processor\t: 0\nflags\t\t: fpu vme sse2 avx512f\n"
FILES = {
    "/proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/sda1 intel_iommu=on iommu=pt",
    "/proc/cpuinfo": _CPU,
    "/proc/self/limits": (
        "Limit                     Soft Limit           Hard Limit           Units\n"
        "Max open files            1048576              1048576              files\n"
        "Max locked memory         unlimited            unlimited            bytes\n"
    ),
    "/proc/mounts": "tmpfs /dev/shm tmpfs rw,nosuid,size=528000000k 0 0",
    "/proc/swaps": "Filename\tType\tSize\tUsed\tPriority",
    "/proc/sys/kernel/numa_balancing": "0",
    "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.90.07  Release Build",
    "/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
    "/sys/devices/system/node/online": "0-1",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance",
    "/sys/class/infiniband/mlx5_0/fw_ver": "28.39.1002",
    "/sys/class/net/eth0/mtu": "9000",
    "/sys/class/net/eth0/speed": "100000",
    "/sys/class/net/eth0/type": "1",
    "environment": "",
}
for _index in range(8):
    _at = f"/sys/bus/pci/devices/0000:{0x1B + 16 * _index:02x}:00.0"
    FILES |= {f"{_at}/class": "0x030200", f"{_at}/vendor": "0x10de", f"{_at}/numa_node": str(_index // 4)}
GPU = "/sys/bus/pci/devices/0000:1b:00.0"
VIRTUAL = {"/proc/cpuinfo": _CPU.replace("avx512f", "avx512f hypervisor")}


def dump(**changes: str | None) -> str:
    """The text."""
    files = {path: content for path, content in {**FILES, **changes}.items() if content is not None}
    return "\n".join(f"==> {path} <==\n{content}\n" for path, content in files.items())
