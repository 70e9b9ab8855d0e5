"""Lines of kernel, system and fabric manager logs that no fixture has, each with the right verdict."""

from __future__ import annotations

import pytest

from sublet.qualification.judging.judge import judge
from sublet.qualification.reading.detect import read

_AT = "[ 8123.456789] "


def _xid(said):
    return f"{_AT}NVRM: Xid (PCI:0000:3b:00): {said}\n"


_SWITCH = f"{_AT}nvidia-nvswitch3: SXid (PCI:0000:07:00.0): "
_FM = "[Mar 19 2025 04:11:52] "
_UNIT = "● nvidia-fabricmanager.service - NVIDIA fabric manager service\n     Loaded: loaded (/x; enabled)\n"

# log -> check, outcome, severity, verdict
LINES = [
    (_xid("79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."), "xid", "fail", "REBOOT", "critical"),
    (_xid("48, pid=2341, name=python, DBE (double bit error) ECC Error"), "xid", "fail", "RESET", "critical"),
    (_xid("64, Row Remapper Error: (0x0000000000fa0040) - Remapping failure"), "xid", "fail", "ISOLATE", "critical"),
    (_xid("63, Row Remapper: New row (0xa2b3c0) marked for remapping"), "xid", "fail", "WATCH", "warning"),
    (_xid("92, High single-bit ECC error rate"), "xid", "fail", "WATCH", "warning"),
    (_xid("94, pid=7194, name=t.py, Contained: SM (0x1)"), "xid.application", "fail", "INFO", "info"),
    (_xid("95, pid=7194, name=t.py, Uncontained: LTC TAG (0x2,0x0)"), "xid", "fail", "RESET", "critical"),
    (_xid("31, pid=1234, name=python3, Ch 8, MMU Fault"), "xid.application", "fail", "INFO", "info"),
    (_xid("74, NVLink: fatal error detected on link 14"), "xid", "fail", "RESET", "critical"),
    (_xid("119, pid=1, name=x, Timeout after 6s of waiting for RPC"), "xid", "fail", "RESET", "critical"),
    (_xid("140, An uncorrectable ECC error detected"), "xid", "fail", "RESET", "critical"),
    (_xid("145, RLW_REMAP Nonfatal XC0 i0 Link 03"), "xid", "fail", "WATCH", "warning"),
    (_xid("149, NETIR_LINK_EVT Fatal XC0 i0 Link 08"), "xid", "fail", "RESET", "critical"),
    (_xid("999, pid=11, name=a.out, something new"), "xid", "fail", "WATCH", "warning"),
    (_xid("154, GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)"), "xid", "pass", None, "info"),
    (
        _xid("154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)"),
        "xid",
        "fail",
        "RESET",
        None,
    ),
    (f"{_AT}NVRM: GPU 0000:3b:00.0: RmInitAdapter failed! (0x62:0x40)\n", "observe.tool", "fail", "REBOOT", "critical"),
    (
        f"{_AT}NVRM: The NVIDIA GPU 0000:c1:00.0\nNVRM: (PCI ID: 10de:2330) installed in this system has\n"
        "NVRM: fallen off the bus and is not responding to commands.\n",
        "xid",
        "fail",
        "REBOOT",
        "critical",
    ),
    ("3,1234,88123456789,-;NVRM: Xid (PCI:0000:9b:00): 62, pid=1, name=x\n", "xid", "fail", "RESET", "critical"),
    ("Mar 19 04:11:52 gpu-014 kernel: NVRM: Xid (PCI:0000:9b:00): 95, x\n", "xid", "fail", "RESET", "critical"),
    (f"{_SWITCH}12028, Non-fatal, Link 34 egress non-posted PRIV error (First)\n", "sxid", "fail", "INFO", "info"),
    (f"{_SWITCH}20034, Fatal, Link 30 LTSSM Fault Up\n", "sxid", "fail", "RESET", "critical"),
    (
        f"{_SWITCH}22013, Non-fatal, Link 40 Minion Link\n{_SWITCH}22013, Severity 0 Engine instance 40\n"
        f"{_SWITCH}22013, Data {{0x00000001}}\n",
        "sxid",
        "fail",
        "INFO",
        "info",
    ),
    (
        f"{_AT}pci 0000:4e:0.0: 31.504 Gb/s available PCIe bandwidth, limited by 2.5 GT/s PCIe x16 link at "
        "0000:4a:01.0 (capable of 504.112 Gb/s with 32.0 GT/s PCIe x16 link)\n",
        "pcie.link",
        "fail",
        "WATCH",
        "warning",
    ),
    (
        f"{_AT}mlx5_core 0000:9a:00.0: 126.024 Gb/s available PCIe bandwidth, limited by 16.0 GT/s PCIe x8 link at "
        "0000:98:01.0 (capable of 504.112 Gb/s with 32.0 GT/s PCIe x16 link)\n",
        "pcie.link",
        "fail",
        "REBOOT",
        "critical",
    ),
    (f"{_AT}mlx5_core 0000:9a:00.0 ibp154s0: Link down\n", "ib.flap", "fail", "WATCH", "warning"),
    (f"{_AT}EDAC MC0: 1 UE memory read error on DIMM#0\n", "host.machine_check", "fail", "WATCH", "warning"),
    (f"{_FM}[INFO] [tid 1] Successfully configured all the NVSwitches.\n", "sxid", "pass", None, "info"),
    (f"{_FM}[ERROR] [tid 1] failed to initialize NVSwitch driver\n", "fabric.manager", "fail", "RESET", "critical"),
    (
        f"{_FM}[ERROR] [tid 1] Fabric Manager version 535.54.03 don't match with driver version 550.54.15.\n",
        "fabric.manager",
        "fail",
        "RESET",
        "critical",
    ),
    (
        f"{_FM}[ERROR] [tid 1] detected NVSwitch fatal error 20034 on fid 0 on NVSwitch pci bus id 00000000:07:00.0\n",
        "sxid",
        "fail",
        "RESET",
        "critical",
    ),
    (
        "Mar 19 04:11:52 n systemd[1]: nvidia-fabricmanager.service: Main process exited, code=killed\n",
        "fabric.manager",
        "fail",
        "RESET",
        "critical",
    ),
    (f"{_UNIT}     Active: inactive (dead)\n", "fabric.manager", "fail", "RESET", "critical"),
    (f"{_UNIT}     Active: failed (Result: exit-code) since Tue\n", "fabric.manager", "fail", "RESET", "critical"),
    (f"{_UNIT}     Active: active (running) since Tue\n", "fabric.manager", "pass", None, "info"),
    (
        '{"MESSAGE": "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.", "_TRANSPORT": "kernel"}\n',
        "xid",
        "fail",
        "REBOOT",
        "critical",
    ),
    ('{"MESSAGE": "x"}\n{"MESSAGE": "NVRM: Xid (PCI:0000:3b:00): 62, x"}\n', "xid", "fail", "RESET", "critical"),
    ("Unit nvidia-fabricmanager.service could not be found.\n", "fabric.manager", "incomplete", "INFO", None),
]


@pytest.mark.parametrize(("text", "check", "outcome", "severity", "verdict"), LINES)
def test_a_line_and_what_it_means(text, check, outcome, severity, verdict):
    judgement = judge([read(text)])
    (told,) = [each for each in judgement.findings if (each.check, each.outcome) == (check, outcome)]
    assert severity in (None, told.severity)
    assert verdict in (None, judgement.verdict)
    others = [each.check for each in judgement.findings if each.outcome == "fail" and each.check != check]
    assert others == []


def test_what_came_of_a_fault_is_told_with_it_once():
    cascade = _xid("79, GPU has fallen off the bus.") + _xid(
        "154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)"
    )
    (told,) = [each for each in judge([read(cascade)]).findings if each.outcome == "fail"]
    assert "154" in told.message
    assert told.severity == "REBOOT"
