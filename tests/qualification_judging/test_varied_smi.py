"""Outputs of nvidia-smi that no fixture has: other chips, drivers, forms and faults, each with the right verdict."""

from __future__ import annotations

import pytest
from _varied_smi import node, section, smi_q

from _recorded_node import smi_xml
from sublet.qualification.judging.judge import judge
from sublet.qualification.reading.detect import read

REASON, LINK, REMAP = "Clocks Event Reasons", "PCI/GPU Link Info", "Remapped Rows"
NO_FABRIC = {"MIG Mode/Current": "N/A", "MIG Mode/Pending": "N/A", "Fabric/State": "N/A", "Fabric/Status": "N/A"}
GEN3 = {f"{LINK}/PCIe Generation/{key}": "3" for key in ("Max", "Current", "Device Max")}
VOLTA = {
    **GEN3,
    **NO_FABRIC,
    "Fabric": None,
    "Remapped Rows": "N/A",
    "Retired Pages/Single Bit ECC": "0",
    "Retired Pages/Double Bit ECC": "0",
    "Retired Pages/Pending Page Blacklist": "No",
    "GPU Power Readings": None,
    "Temperature/GPU T.Limit Temp": None,
    "Temperature/GPU Slowdown Temp": "87 C",
}
OLD_ECC = {
    "Volatile": {"Single Bit": {"Total": "0"}, "Double Bit": {"Device Memory": "1", "Total": "1"}},
    "Aggregate": {"Single Bit": {"Total": "3"}, "Double Bit": {"Total": "1"}},
}

# what one of eight H100 shows -> check, severity, verdict
FAULTS = [
    ({"ECC Errors/Volatile/DRAM Uncorrectable": "2"}, "ecc.uncorrectable", "RESET", "critical"),
    ({"ECC Errors/Aggregate/DRAM Uncorrectable": "3"}, "ecc.uncorrectable", "WATCH", "warning"),
    ({"ECC Errors/Aggregate/SRAM Threshold Exceeded": "Yes"}, "ecc.uncorrectable", "ISOLATE", "critical"),
    ({f"{REMAP}/Remapping Failure Occurred": "Yes"}, "ecc.remap", "ISOLATE", "critical"),
    ({f"{REMAP}/Pending": "Yes"}, "ecc.remap", "RESET", "critical"),
    ({f"{REMAP}/Bank Remap Availability Histogram/None": "1 bank(s)"}, "ecc.remap", "WATCH", "warning"),
    ({f"{REASON}/HW Thermal Slowdown": "Active"}, "gpu.throttle", "ISOLATE", "critical"),
    ({f"{REASON}/HW Slowdown": "Active"}, "gpu.throttle", "ISOLATE", "critical"),
    ({f"{REASON}/HW Power Brake Slowdown": "Active"}, "gpu.throttle", "ISOLATE", "critical"),
    ({f"{REASON}/SW Thermal Slowdown": "Active"}, "gpu.throttle", "WATCH", "warning"),
    ({f"{LINK}/PCIe Generation/Current": "3"}, "pcie.link", "REBOOT", "critical"),
    ({f"{LINK}/PCIe Generation/Current": "4", f"{LINK}/PCIe Generation/Max": "4"}, "pcie.link", "REBOOT", "critical"),
    ({f"{LINK}/Link Width/Current": "8x"}, "pcie.link", "REBOOT", "critical"),
    ({"Fabric/State": "In Progress", "Fabric/Status": "N/A"}, "fabric.state", "RESET", "critical"),
    ({"Fabric/Status": "Insufficient Resources"}, "fabric.state", "RESET", "critical"),
    ({"GPU Recovery Action": "Reboot"}, "gpu.recovery_action", "REBOOT", "critical"),
    ({"GPU Reset Status/Reset Required": "Yes"}, "gpu.recovery_action", "RESET", "critical"),
    ({"GPU Power Readings/Current Power Limit": "500.00 W"}, "gpu.power_limit", "TUNE", "warning"),
    ({"Applications Clocks/Graphics": "1200 MHz"}, "gpu.clocks", "TUNE", "warning"),
    ({"Compute Mode": "Prohibited"}, "gpu.compute_mode", "TUNE", "warning"),
    ({"Temperature/GPU T.Limit Temp": "2 C"}, "gpu.thermal", "WATCH", "warning"),
    ({"ECC Mode/Pending": "Disabled"}, "ecc.mode", "TUNE", "warning"),
    ({"MIG Mode/Current": "Enabled"}, "gpu.mig", "TUNE", "warning"),
    ({"GPU Virtualization Mode/Virtualization Mode": "VGPU"}, "gpu.identity", "ISOLATE", "critical"),
    ({"FB Memory Usage/Total": "40320 MiB"}, "gpu.identity", "ISOLATE", "critical"),
    ({"VBIOS Version": "96.00.74.00.01"}, "gpu.sw_uniform", "WATCH", "warning"),
    ({"Temperature/GPU Current Temp": "Unknown Error"}, "observe.tool", "REBOOT", "critical"),
]


@pytest.mark.parametrize(("changes", "check", "severity", "verdict"), FAULTS)
def test_one_fault_of_one_gpu_is_the_one_failure(changes, check, severity, verdict):
    judgement = judge([read(smi_q(node(8, **changes)))])
    assert (judgement.kind, judgement.chip, judgement.count) == ("nvidia-smi -q", "H100 SXM", 8)
    failures = [each for each in judgement.findings if each.outcome == "fail"]
    assert [(each.check, each.severity) for each in failures] == [(check, severity)]
    assert judgement.verdict == verdict


# chip, memory, changes, verdict
CHIPS = [
    ("NVIDIA B200", 183359, {}, "B200", "pass"),
    ("NVIDIA GH200 480GB", 97871, {"Fabric/State": "N/A", "Fabric/Status": "N/A"}, "GH200", "pass"),
    (
        "NVIDIA L4",
        23034,
        {**NO_FABRIC, f"{LINK}/PCIe Generation/Max": "4", f"{LINK}/PCIe Generation/Current": "1"},
        "L4",
        "info",
    ),
    ("Tesla V100-SXM2-16GB", 16384, VOLTA, "V100 SXM 16GB", "pass"),
    ("Tesla V100-SXM2-16GB", 16384, {**VOLTA, "Retired Pages/Double Bit ECC": "64"}, "V100 SXM 16GB", "critical"),
    ("Tesla V100-SXM2-16GB", 16384, {**VOLTA, "Retired Pages/Double Bit ECC": "3"}, "V100 SXM 16GB", "info"),
    ("Tesla V100-SXM2-16GB", 16384, {**VOLTA, "ECC Errors": OLD_ECC}, "V100 SXM 16GB", "critical"),
    ("NVIDIA H200", 143771, {f"{REASON}/SW Power Cap": "Active"}, "H200 SXM", "pass"),
    ("NVIDIA H100 80GB HBM3", 81559, {f"{LINK}/PCIe Generation/Current": "1"}, "H100 SXM", "info"),
]


@pytest.mark.parametrize(("product", "memory", "changes", "chip", "verdict"), CHIPS)
def test_other_chips_are_known_and_judged_by_their_own_measure(product, memory, changes, chip, verdict):
    judgement = judge([read(smi_q([section(product, memory, **changes)], "570.124.06"))])
    assert (judgement.chip, judgement.count, judgement.verdict) == (chip, 1, verdict)


def test_a_gpu_that_is_lost_among_others_and_one_that_is_not_shown():
    lost = smi_q(node(8)).replace(
        "GPU 00000000:4B:00.0\n", "GPU 00000000:4B:00.0\n    Unable to determine the device handle: GPU is lost\n"
    )
    assert judge([read(lost)]).verdict == "critical"
    assert judge([read(smi_q(node(7), attached=8))]).verdict == "info"
    assert judge([read(smi_q(node(8))[:-900])]).verdict == "unknown"


def test_a_whole_document_that_lacks_one_of_eight_is_not_called_well():
    lacking = smi_xml(7).replace("<attached_gpus>7", "<attached_gpus>8")
    assert judge([read(lacking)]).verdict == "unknown"
    asked = smi_xml(1).replace("<attached_gpus>1", "<attached_gpus>8")
    assert judge([read(asked)]).verdict == "info"
