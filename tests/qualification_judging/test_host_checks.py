"""What a host's own files tell: each setting that costs speed is one finding, and a good host has none."""

from __future__ import annotations

import pytest
from _made_host import FILES, GPU, VIRTUAL, dump

from _recorded_node import smi_xml
from sublet.qualification.hosts.observing import recorded
from sublet.qualification.judging.judge import judge
from sublet.qualification.reading.detect import read

LIMITS = FILES["/proc/self/limits"]


def failed(judgement):
    return {each.check: each.severity for each in judgement.findings if each.outcome == "fail"}


def test_a_good_host_has_no_failure():
    judgement = judge([read(dump())])
    assert judgement.kind == "files of the host"
    assert failed(judgement) == {}
    passed = {each.check for each in judgement.findings if each.outcome == "pass"}
    assert {"numa.balancing", "numa.affinity", "cpu.governor", "lim.memlock", "net.mtu", "rdma.gdr"} <= passed


@pytest.mark.parametrize(
    ("changes", "check", "severity"),
    [
        ({"/proc/sys/kernel/numa_balancing": "1"}, "numa.balancing", "TUNE"),
        ({"/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave"}, "cpu.governor", "TUNE"),
        ({"/sys/kernel/mm/transparent_hugepage/enabled": "always madvise [never]"}, "cpu.hugepages", "INFO"),
        ({"/proc/swaps": "Filename Type Size Used Priority\n/dev/sda2 partition 9 4 -2"}, "mem.swap", "WATCH"),
        ({"/proc/self/limits": LIMITS.replace("unlimited", "65536")}, "lim.memlock", "TUNE"),
        ({"/proc/self/limits": LIMITS.replace("1048576", "1024")}, "lim.nofile", "INFO"),
        ({"/proc/mounts": "shm /dev/shm tmpfs rw,size=65536k 0 0"}, "lim.shm", "TUNE"),
        ({"environment": "NCCL_IB_DISABLE=1"}, "nccl.env", "TUNE"),
        ({"/etc/nccl.conf": "NCCL_ALGO=Ring"}, "nccl.env", "TUNE"),
        ({"/sys/class/net/eth0/mtu": "1500"}, "net.mtu", "TUNE"),
        ({"/proc/cmdline": "intel_iommu=on"}, "pcie.iommu", "TUNE"),
        (
            {"/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.90.07  x"},
            "rdma.gdr",
            "TUNE",
        ),
        ({f"{GPU}/numa_node": "-1"}, "numa.affinity", "WATCH"),
    ],
)
def test_a_setting_that_costs_speed_is_one_finding(changes, check, severity):
    assert failed(judge([read(dump(**changes))])) == {check: severity}


def test_what_is_its_hosts_business_is_not_held_against_a_virtual_machine():
    assert failed(judge([read(dump(**VIRTUAL, **{"/proc/cmdline": "intel_iommu=on"}))])) == {}


def test_a_slow_interface_may_have_small_frames():
    slow = {"/sys/class/net/eth0/mtu": "1500", "/sys/class/net/eth0/speed": "10000"}
    assert failed(judge([read(dump(**slow))])) == {}


def test_two_drivers_in_one_node_and_a_gpu_that_the_driver_does_not_have():
    assert failed(judge([read(dump()), read(smi_xml(8))])) == {}
    other = dump(**{"/proc/driver/nvidia/version": "NVIDIA UNIX Open Kernel Module for x86_64  570.1.2  x"})
    assert failed(judge([read(other), read(smi_xml(8))])) == {"sw.driver": "TUNE"}
    assert failed(judge([read(dump()), read(smi_xml(7))])) == {"gpu.count": "REBOOT"}


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("NTPSynchronized=yes\nNTP=yes\n", "info"),
        ("NTPSynchronized=no\nNTP=yes\n", "warning"),
        ("NTPSynchro", "unknown"),
        (
            "Reference ID    : A\nSystem time     : 0.000012 seconds slow of NTP time\nLeap status     : Normal\n",
            "pass",
        ),
        ("Reference ID    : A\nSystem time     : 0.2 seconds fast of NTP time\nLeap status     : Normal\n", "warning"),
        (
            "Reference ID    : A\nSystem time     : 0.0 seconds fast of NTP time\nLeap status     : Not synchronised\n",
            "warning",
        ),
    ],
)
def test_the_clock(text, verdict):
    assert judge([read(text)]).verdict == verdict


def test_no_prefix_of_the_files_passes():
    text = dump()
    for end in range(0, len(text), 37):
        assert judge([read(text[:end])]).verdict != "pass"


def test_a_directory_with_trees_of_proc_and_sys_is_read_as_the_host(tmp_path):
    for path, content in {**FILES, "/proc/sys/kernel/numa_balancing": "1"}.items():
        if path.startswith("/"):
            place = tmp_path / path[1:]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content + "\n")
    assert failed(judge(recorded(tmp_path)))["numa.balancing"] == "TUNE"
