"""One GPU as `nvidia-smi -q` tells of it, whatever the form (text or XML) and the version of the schema (v10 to v13).

Fields have one name here; XML and text differ in spelling and in nesting, and so do driver releases. Invariant: a field
is in `fields` exactly when the text has it, with the value as printed ("N/A" included).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# name -> (paths in XML, paths in text); the first that is there counts
_POWER_XML, _POWER_TEXT = ("gpu_power_readings", "power_readings"), ("GPU Power Readings", "Power Readings")
_REASONS_XML, _REASONS_TEXT = (
    ("clocks_event_reasons", "clocks_throttle_reasons"),
    ("Clocks Event Reasons", "Clocks Throttle Reasons"),
)
_REASONS = {
    "idle": ("gpu_idle", ("Idle",)),
    "applications": ("applications_clocks_setting", ("Applications Clocks Setting",)),
    "sw_power_cap": ("sw_power_cap", ("SW Power Cap",)),
    "hw_slowdown": ("hw_slowdown", ("HW Slowdown",)),
    "hw_thermal": ("hw_thermal_slowdown", ("HW Slowdown/HW Thermal Slowdown", "HW Thermal Slowdown")),
    "hw_power_brake": ("hw_power_brake_slowdown", ("HW Slowdown/HW Power Brake Slowdown", "HW Power Brake Slowdown")),
    "sync_boost": ("sync_boost", ("Sync Boost",)),
    "sw_thermal": ("sw_thermal_slowdown", ("SW Thermal Slowdown",)),
}
_ECC = {
    "sram_correctable": ("sram_correctable", "SRAM Correctable"),
    "sram_uncorrectable": ("sram_uncorrectable", "SRAM Uncorrectable"),
    "sram_parity": ("sram_uncorrectable_parity", "SRAM Uncorrectable Parity"),
    "sram_secded": ("sram_uncorrectable_secded", "SRAM Uncorrectable SEC-DED"),
    "dram_correctable": ("dram_correctable", "DRAM Correctable"),
    "dram_uncorrectable": ("dram_uncorrectable", "DRAM Uncorrectable"),
    "single_bit": ("single_bit/total", "Single Bit/Total"),
    "double_bit": ("double_bit/total", "Double Bit/Total"),
    "threshold": ("sram_threshold_exceeded", "SRAM Threshold Exceeded"),
}
_LINK_XML, _LINK_TEXT = "pci/pci_gpu_link_info", "PCI/GPU Link Info"

_PATHS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "product": (("product_name",), ("Product Name",)),
    "brand": (("product_brand",), ("Product Brand",)),
    "architecture": (("product_architecture",), ("Product Architecture",)),
    "persistence": (("persistence_mode",), ("Persistence Mode",)),
    "mig": (("mig_mode/current_mig",), ("MIG Mode/Current",)),
    "mig_pending": (("mig_mode/pending_mig",), ("MIG Mode/Pending",)),
    "uuid": (("uuid",), ("GPU UUID",)),
    "serial": (("serial",), ("Serial Number",)),
    "vbios": (("vbios_version",), ("VBIOS Version",)),
    "inforom": (("inforom_version/img_version",), ("Inforom Version/Image Version",)),
    "gsp": (("gsp_firmware_version",), ("GSP Firmware Version",)),
    "virtualization": (
        ("gpu_virtualization_mode/virtualization_mode",),
        ("GPU Virtualization Mode/Virtualization Mode", "GPU Virtualization Mode/Virtualization mode"),
    ),
    "reset_required": (("gpu_reset_status/reset_required",), ("GPU Reset Status/Reset Required",)),
    "drain_and_reset": (
        ("gpu_reset_status/drain_and_reset_recommended",),
        ("GPU Reset Status/Drain and Reset Recommended",),
    ),
    "recovery_action": (("gpu_recovery_action",), ("GPU Recovery Action",)),
    "pci_id": (("pci/pci_device_id",), ("PCI/Device Id",)),
    "part": (("gpu_part_number",), ("GPU Part Number",)),
    "gen_max": ((f"{_LINK_XML}/pcie_gen/max_link_gen",), (f"{_LINK_TEXT}/PCIe Generation/Max",)),
    "gen_now": ((f"{_LINK_XML}/pcie_gen/current_link_gen",), (f"{_LINK_TEXT}/PCIe Generation/Current",)),
    "gen_device": ((f"{_LINK_XML}/pcie_gen/max_device_link_gen",), (f"{_LINK_TEXT}/PCIe Generation/Device Max",)),
    "gen_host": ((f"{_LINK_XML}/pcie_gen/max_host_link_gen",), (f"{_LINK_TEXT}/PCIe Generation/Host Max",)),
    "width_max": ((f"{_LINK_XML}/link_widths/max_link_width",), (f"{_LINK_TEXT}/Link Width/Max",)),
    "width_now": ((f"{_LINK_XML}/link_widths/current_link_width",), (f"{_LINK_TEXT}/Link Width/Current",)),
    "replays": (("pci/replay_counter",), ("PCI/Replays Since Reset", "PCI/Replays since reset")),
    "pstate": (("performance_state",), ("Performance State",)),
    "fb_total": (("fb_memory_usage/total",), ("FB Memory Usage/Total",)),
    "fb_used": (("fb_memory_usage/used",), ("FB Memory Usage/Used",)),
    "fb_reserved": (("fb_memory_usage/reserved",), ("FB Memory Usage/Reserved",)),
    "compute_mode": (("compute_mode",), ("Compute Mode",)),
    "busy": (("utilization/gpu_util",), ("Utilization/GPU", "Utilization/Gpu")),
    "ecc": (("ecc_mode/current_ecc",), ("ECC Mode/Current", "Ecc Mode/Current")),
    "ecc_pending": (("ecc_mode/pending_ecc",), ("ECC Mode/Pending", "Ecc Mode/Pending")),
    "channel_repair": (("ecc_errors/channel_repair_pending",), ("ECC Errors/Channel Repair Pending",)),
    "tpc_repair": (("ecc_errors/tpc_repair_pending",), ("ECC Errors/TPC Repair Pending",)),
    "unrepairable": (("ecc_errors/unrepairable_memory",), ("ECC Errors/Unrepairable Memory",)),
    "retired_single": (
        ("retired_pages/multiple_single_bit_retirement/retired_count",),
        ("Retired Pages/Single Bit ECC",),
    ),
    "retired_double": (("retired_pages/double_bit_retirement/retired_count",), ("Retired Pages/Double Bit ECC",)),
    "retired_pending": (
        ("retired_pages/pending_retirement", "retired_pages/pending_blacklist"),
        ("Retired Pages/Pending Page Blacklist", "Retired Pages/Pending"),
    ),
    "remap": (("remapped_rows",), ("Remapped Rows",)),
    "remap_correctable": (("remapped_rows/remapped_row_corr",), ("Remapped Rows/Correctable Error",)),
    "remap_uncorrectable": (("remapped_rows/remapped_row_unc",), ("Remapped Rows/Uncorrectable Error",)),
    "remap_pending": (("remapped_rows/remapped_row_pending",), ("Remapped Rows/Pending",)),
    "remap_failure": (("remapped_rows/remapped_row_failure",), ("Remapped Rows/Remapping Failure Occurred",)),
    "banks_low": (
        ("remapped_rows/row_remapper_histogram/row_remapper_histogram_low",),
        ("Remapped Rows/Bank Remap Availability Histogram/Low",),
    ),
    "banks_none": (
        ("remapped_rows/row_remapper_histogram/row_remapper_histogram_none",),
        ("Remapped Rows/Bank Remap Availability Histogram/None",),
    ),
    "temperature": (("temperature/gpu_temp",), ("Temperature/GPU Current Temp",)),
    "margin": (("temperature/gpu_temp_tlimit",), ("Temperature/GPU T.Limit Temp",)),
    "temperature_slowdown": (
        ("temperature/gpu_temp_slow_threshold",),
        ("Temperature/GPU Slowdown Temp",),
    ),
    "memory_temperature": (("temperature/memory_temp",), ("Temperature/Memory Current Temp",)),
    "power": (
        tuple(
            f"{part}/{name}"
            for part in _POWER_XML
            for name in ("power_draw", "instant_power_draw", "average_power_draw")
        ),
        tuple(
            f"{part}/{name}"
            for part in _POWER_TEXT
            for name in ("Power Draw", "Instantaneous Power Draw", "Average Power Draw")
        ),
    ),
    "power_limit": (
        tuple(
            f"{part}/{name}"
            for part in _POWER_XML
            for name in ("enforced_power_limit", "current_power_limit", "power_limit")
        ),
        tuple(
            f"{part}/{name}"
            for part in _POWER_TEXT
            for name in ("Enforced Power Limit", "Current Power Limit", "Power Limit")
        ),
    ),
    "power_default": (
        tuple(f"{part}/default_power_limit" for part in _POWER_XML),
        tuple(f"{part}/Default Power Limit" for part in _POWER_TEXT),
    ),
    "sm_clock": (("clocks/sm_clock", "clocks/graphics_clock"), ("Clocks/SM", "Clocks/Graphics")),
    "sm_clock_max": (("max_clocks/sm_clock",), ("Max Clocks/SM",)),
    "application_clock": (("applications_clocks/graphics_clock",), ("Applications Clocks/Graphics",)),
    "application_clock_default": (
        ("default_applications_clocks/graphics_clock",),
        ("Default Applications Clocks/Graphics",),
    ),
    "fabric_state": (("fabric/state",), ("Fabric/State",)),
    "fabric_status": (("fabric/status",), ("Fabric/Status",)),
    "fabric_bandwidth": (("fabric/health/bandwidth",), ("Fabric/Health/Bandwidth",)),
    "fabric_summary": (("fabric/health/summary",), ("Fabric/Health/Summary",)),
    "fabric_route": (("fabric/health/route_unhealthy",), ("Fabric/Health/Route Unhealthy",)),
    "fabric_configuration": (
        ("fabric/health/incorrect_configuration",),
        ("Fabric/Health/Incorrect Configuration",),
    ),
}
for _name, (_xml, _text) in _REASONS.items():
    _PATHS[_name] = (
        tuple(f"{part}/{part.removesuffix('s')}_{_xml}" for part in _REASONS_XML),
        tuple(f"{part}/{path}" for part in _REASONS_TEXT for path in _text),
    )
for _name, (_xml, _one) in _ECC.items():
    for _span in ("volatile", "aggregate"):
        _PATHS[f"{_span}_{_name}"] = ((f"ecc_errors/{_span}/{_xml}",), (f"ECC Errors/{_span.title()}/{_one}",))

XML_FIELDS = {path: name for name, (xml, _) in reversed(_PATHS.items()) for path in reversed(xml)}
TEXT_FIELDS = {path: name for name, (_, text) in reversed(_PATHS.items()) for path in reversed(text)}
_RANK = {path: rank for xml, text in _PATHS.values() for paths in (xml, text) for rank, path in enumerate(paths)}


@dataclass(frozen=True)
class Process:
    """A process on a GPU."""

    name: str
    kind: str = ""  # C compute, G graphics, M+C and the like
    memory: str = ""


@dataclass(frozen=True)
class Gpu:
    """One GPU's record."""

    bus: str
    fields: Mapping[str, str]
    processes: tuple[Process, ...] | None = None  # None: the record does not say
    ended: bool = True  # the record shows its own end
    odd: tuple[str, ...] = ()  # lines that could not be read


@dataclass(frozen=True)
class SmiLog:
    """A whole `nvidia-smi -q`."""

    driver: str
    cuda: str
    attached: int | None
    gpus: tuple[Gpu, ...]
    filtered: bool = False  # only some sections were asked for (-d)
    schema: str = ""
    elided: bool = False  # somebody cut parts out and marked it
    failures: tuple[str, ...] = field(default=())  # what the tool says it could not do


def fields_of(paths: Mapping[str, str], table: Mapping[str, str]) -> dict[str, str]:
    """Values by path as values by field; of two paths of a field the better ranked one counts."""
    found: dict[str, tuple[int, str]] = {}
    for path, value in paths.items():
        name = table.get(path)
        if name is None:
            continue
        rank = _RANK[path] + (100 if value.strip() in ("N/A", "") else 0)
        if name not in found or rank < found[name][0]:
            found[name] = rank, value
    return {name: value for name, (_, value) in found.items()}
