"""`nvidia-smi -q` in words and in XML, made up over a dictionary of sections: other chips, drivers, counts, faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Section = Mapping[str, Any]
_REMAP = {
    "Correctable Error": "0",
    "Uncorrectable Error": "0",
    "Pending": "No",
    "Remapping Failure Occurred": "No",
    "Bank Remap Availability Histogram": {
        "Max": "2560 bank(s)",
        "High": "0 bank(s)",
        "Partial": "0 bank(s)",
        "Low": "0 bank(s)",
        "None": "0 bank(s)",
    },
}
_ERRORS = {
    "SRAM Correctable": "0",
    "SRAM Uncorrectable Parity": "0",
    "SRAM Uncorrectable SEC-DED": "0",
    "DRAM Correctable": "0",
    "DRAM Uncorrectable": "0",
}


def section(product: str = "NVIDIA H100 80GB HBM3", memory: int = 81559, **changes: Any) -> dict[str, Any]:
    """One GPU's sections; `changes`: "Section/Key" written with "__" for spaces -> value, None takes it out."""
    base: dict[str, Any] = {
        "Product Name": product,
        "Product Brand": "NVIDIA",
        "Product Architecture": "Hopper",
        "Display Mode": "Enabled",
        "Persistence Mode": "Enabled",
        "Addressing Mode": "HMM",
        "MIG Mode": {"Current": "Disabled", "Pending": "Disabled"},
        "Driver Model": {"Current": "N/A", "Pending": "N/A"},
        "Serial Number": "1650423000000",
        "GPU UUID": "GPU-5b7c0f6e-0000-0000-0000-000000000000",
        "VBIOS Version": "96.00.99.00.01",
        "Inforom Version": {"Image Version": "G520.0200.00.05", "ECC Object": "7.16"},
        "GSP Firmware Version": "565.57.01",
        "GPU Virtualization Mode": {"Virtualization Mode": "None", "Host VGPU Mode": "N/A"},
        "GPU Reset Status": {"Reset Required": "No", "Drain and Reset Recommended": "No"},
        "PCI": {
            "Bus": "0x1B",
            "GPU Link Info": {
                "PCIe Generation": {"Max": "5", "Current": "5", "Device Current": "5", "Device Max": "5"},
                "Link Width": {"Max": "16x", "Current": "16x"},
            },
            "Replays Since Reset": "0",
        },
        "Fan Speed": "N/A",
        "Performance State": "P0",
        "Clocks Event Reasons": {
            "Idle": "Active",
            "Applications Clocks Setting": "Not Active",
            "SW Power Cap": "Not Active",
            "HW Slowdown": "Not Active",
            "HW Thermal Slowdown": "Not Active",
            "HW Power Brake Slowdown": "Not Active",
            "Sync Boost": "Not Active",
            "SW Thermal Slowdown": "Not Active",
        },
        "FB Memory Usage": {"Total": f"{memory} MiB", "Reserved": "551 MiB", "Used": "1 MiB"},
        "Compute Mode": "Default",
        "Utilization": {"GPU": "0 %", "Memory": "0 %"},
        "ECC Mode": {"Current": "Enabled", "Pending": "Enabled"},
        "ECC Errors": {"Volatile": dict(_ERRORS), "Aggregate": {**_ERRORS, "SRAM Threshold Exceeded": "No"}},
        "Retired Pages": {"Single Bit ECC": "N/A", "Double Bit ECC": "N/A", "Pending Page Blacklist": "N/A"},
        "Remapped Rows": {key: dict(value) if isinstance(value, dict) else value for key, value in _REMAP.items()},
        "Temperature": {"GPU Current Temp": "31 C", "GPU T.Limit Temp": "54 C", "Memory Current Temp": "42 C"},
        "GPU Power Readings": {
            "Average Power Draw": "71.11 W",
            "Current Power Limit": "700.00 W",
            "Requested Power Limit": "700.00 W",
            "Default Power Limit": "700.00 W",
        },
        "Clocks": {"Graphics": "345 MHz", "SM": "345 MHz"},
        "Applications Clocks": {"Graphics": "1980 MHz", "Memory": "2619 MHz"},
        "Default Applications Clocks": {"Graphics": "1980 MHz", "Memory": "2619 MHz"},
        "Max Clocks": {"SM": "1980 MHz"},
        "Fabric": {"State": "Completed", "Status": "Success"},
        "Processes": "None",
    }
    for path, value in changes.items():
        keys = path.replace("__", " ").split("/")
        place = base
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        if value is None:
            place.pop(keys[-1], None)
        else:
            place[keys[-1]] = value
    return base


def _lines(values: Section, depth: int) -> list[str]:
    found = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found.append(f"{' ' * 4 * depth}{key}")
            found += _lines(value, depth + 1)
        else:
            found.append(f"{' ' * 4 * depth}{key:<{42 - 4 * depth}}: {value}")
    return found


def smi_q(gpus: list[Section], driver: str = "565.57.01", attached: int | None = None) -> str:
    """The log in words."""
    head = [
        "",
        "==============NVSMI LOG==============",
        "",
        f"{'Timestamp':<42}: Wed Mar 19 04:11:52 2025",
        f"{'Driver Version':<42}: {driver}",
        f"{'CUDA Version':<42}: 12.7",
        "",
        f"{'Attached GPUs':<42}: {len(gpus) if attached is None else attached}",
    ]
    for index, gpu in enumerate(gpus):
        head += [f"GPU 00000000:{0x1B + 0x10 * index & 0xFF:02X}:00.0", *_lines(gpu, 1), ""]
    return "\n".join(head) + "\n"


def node(count: int = 8, product: str = "NVIDIA H100 80GB HBM3", memory: int = 81559, **changes: Any) -> list[Section]:
    """`count` GPUs, the third (or the only one) with the changes."""
    odd = min(2, count - 1)
    return [section(product, memory, **(changes if index == odd else {})) for index in range(count)]
