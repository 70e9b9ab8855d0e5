"""Outputs of DCGM, nccl-tests, nvbandwidth, perftest and their like that no fixture has, with the right verdict."""

from __future__ import annotations

import json

import pytest

from _recorded_node import nvlinks, ports
from sublet.qualification.judging.judge import judge
from sublet.qualification.reading.detect import read

MIB, GIB = 1 << 20, 1 << 30
H100, A100, B200 = "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB", "NVIDIA B200"
NODE = {16 * MIB: 200, 128 * MIB: 390, 512 * MIB: 450, GIB: 465, 8 * GIB: 478}
PAIR = {128 * MIB: 340, 512 * MIB: 410, GIB: 445, 8 * GIB: 470}


def found(judgement, outcome):
    return {each.check: each.severity for each in judgement.findings if each.outcome == outcome}


# ---- DCGM


def dcgm_3(tests):
    deployment = {"category": "Deployment", "tests": [{"name": "Denylist", "results": [{"status": "Pass"}]}]}
    body = {
        "test_categories": [deployment, {"category": "Integration", "tests": tests}],
        "version": "3.3.5",
        "GPU Device IDs": ["2330"] * 8,
    }
    return json.dumps({"DCGM GPU Diagnostic": body})


def dcgm_4(tests):
    entities = [{"entity_id": index, "device_id": "2901"} for index in range(8)]
    return json.dumps(
        {
            "DCGM Diagnostic": {"test_categories": [{"category": "Hardware", "tests": tests}]},
            "entity_groups": [{"entity_group": "GPU", "entity_group_id": 1, "entities": entities}],
            "metadata": {"version": "4.2.3", "Driver Version Detected": "570.124.06"},
        },
        indent=2,
    )


def _entity(index, status, severity=None):
    said = {"warnings": [{"warning": "row remap", "error_id": 40, "error_severity": severity}]} if severity else {}
    return {"entity_group": "GPU", "entity_id": index, "status": status, **said}


@pytest.mark.parametrize(
    ("text", "chip", "verdict", "severity"),
    [
        (dcgm_3([{"name": "PCIe", "results": [{"gpu_ids": "0,1,2,3", "status": "PASS"}]}]), "H100 SXM", "pass", None),
        (
            dcgm_3([{"name": "Memory", "results": [{"gpu_ids": "5", "status": "Fail", "warnings": "it failed"}]}]),
            "H100 SXM",
            "critical",
            "ISOLATE",
        ),
        (dcgm_4([{"name": "memory", "results": [_entity(0, "Pass"), _entity(1, "Pass")]}]), "B200", "pass", None),
        (dcgm_4([{"name": "memory", "results": [_entity(2, "Fail", 2)]}]), "B200", "critical", "ISOLATE"),
        (dcgm_4([{"name": "memory", "results": [_entity(2, "Fail", 6)]}]), "B200", "critical", "RESET"),
        (dcgm_4([{"name": "memory", "results": [_entity(2, "Fail", 1)]}]), "B200", "warning", "WATCH"),
        (
            dcgm_4([{"name": "x", "results": [_entity(0, "Pass")], "test_summary": {"status": "Fail"}}]),
            "B200",
            "critical",
            "ISOLATE",
        ),
    ],
)
def test_each_shape_of_dcgms_json(text, chip, verdict, severity):
    judgement = judge([read(text)])
    assert (judgement.kind, judgement.chip, judgement.count) == ("dcgmi diag -j", chip, 8)
    assert judgement.verdict == verdict
    assert found(judgement, "fail").get("dcgm") == severity


def test_a_diagnostic_that_did_not_run_decides_nothing_unless_a_gpu_is_lost():
    refused = {"DCGM GPU Diagnostic": {"runtime_error": "Unable to complete diagnostic. Return: (-41) GPU is lost"}}
    assert judge([read(json.dumps(refused))]).verdict == "critical"
    for said in (
        "Error: Unable to establish a connection to the specified host: localhost\n",
        "Error: Cannot perform the diagnostic while another diagnostic is running.\n",
    ):
        judgement = judge([read(said)])
        assert (judgement.kind, judgement.verdict) == ("dcgmi diag", "unknown")


def test_the_table_of_dcgm_4_names_the_gpu():
    rows = [("Diagnostic", "Result"), ("DCGM Version", "4.2.3"), ("memory", "Fail")]
    rows += [("", f"GPU{index}: {'Fail' if index == 3 else 'Pass'}") for index in range(8)]
    rows.insert(7, ("Warning: GPU3", "Error: A DBE occurred"))
    border = f"+{'-' * 27}+{'-' * 48}+\n"
    text = border + "".join(f"| {name:<26}| {value:<47}|\n" for name, value in rows) + border
    (told,) = [each for each in judge([read(text)]).findings if each.outcome == "fail"]
    assert told.where == ("GPU 3",)
    assert "DBE" in told.message


# ---- nccl-tests


def collective(curve, ranks=8, product=H100, wrong="0", head="", end=True):
    factor = 2 * (ranks - 1) / ranks
    lines = ["# nThread 1 nGpus 1 minBytes 8 maxBytes 17179869184 step: 2(factor) warmup iters: 5 iters: 20", "#"]
    lines += [
        f"#  Rank {rank:2d} Group  0 Pid {100 + rank} on node{rank // 8} device {rank % 8} [0x{rank:02x}] {product}"
        for rank in range(ranks)
    ]
    lines += [head] if head else []
    lines.append("#       size         count      type   redop    root     time   algbw   busbw #wrong")
    for size, bus in curve.items():
        one = f"{size / bus / 1e3 * factor:.1f}  {bus / factor:.2f}  {bus:.2f}      {wrong}"
        lines.append(f"{size:12d}  {size // 4:12d}     float     sum      -1   {one}   {one}")
    if end:
        bad = wrong not in ("0", "N/A")
        lines += [f"# Out of bounds values : {wrong if bad else 0} {'FAILED' if bad else 'OK'}"]
        lines += ["# Avg bus bandwidth    : 99.9", "#"]
    return "\n".join(lines) + "\n"


def scaled(curve, factor):
    return {size: rate * factor for size, rate in curve.items()}


CUDA_802 = (
    "# nThread 1 nGpus 8 minBytes 8 maxBytes 128\nhost: Test CUDA failure common.cu:730 'system not yet initialized'\n"
)
BROKEN = "ip-10-0-0-1: Test NCCL failure common.cu:303 'unhandled system error'\n"
ECC = "ip-10-0-0-1: Test CUDA failure common.cu:303 'uncorrectable ECC error encountered'\n"


@pytest.mark.parametrize(
    ("text", "verdict", "outcome", "check"),
    [
        (collective(NODE), "pass", "pass", "perf.allreduce_intra"),
        (collective(NODE, wrong="3"), "critical", "fail", "perf.collective_valid"),
        (collective({size: min(rate, 367) for size, rate in NODE.items()}), "warning", "fail", "perf.allreduce_intra"),
        (collective(scaled(NODE, 0.4)), "critical", "fail", "perf.allreduce_intra"),
        (collective({**NODE, 512 * MIB: 100}), "warning", "fail", "perf.allreduce_intra"),
        (collective({GIB: 900, 8 * GIB: 960}), "unknown", "incomplete", "perf.too_good"),
        (collective(scaled(NODE, 1.8), product=B200), "info", "incomplete", "perf.allreduce_intra"),
        (collective(scaled(NODE, 0.5), product=B200), "critical", "fail", "perf.allreduce_intra"),
        (collective({GIB: 140, 8 * GIB: 150}, product=A100), "critical", "fail", "perf.allreduce_intra"),
        (collective(PAIR, ranks=16), "pass", "pass", "perf.allreduce_inter"),
        (
            collective({**PAIR, 128 * MIB: 130, 512 * MIB: 280}, ranks=16),
            "warning",
            "fail",
            "perf.allreduce_inter",
        ),
        (collective({128 * MIB: 50, 8 * GIB: 62}, ranks=16), "unknown", "incomplete", "perf.allreduce_inter"),
        (collective({128 * MIB: 300}, ranks=16, end=False) + BROKEN, "unknown", "incomplete", "perf.allreduce_inter"),
        (collective({128 * MIB: 300}, ranks=16, end=False) + ECC, "critical", "fail", "ecc.uncorrectable"),
        (collective({GIB: 350, 8 * GIB: 365}, ranks=4), "pass", "pass", "perf.allreduce_intra"),
        (collective(PAIR, ranks=16).replace("470.00", "nan"), "unknown", "incomplete", "observe.complete"),
        (collective(PAIR, ranks=16, product="NVIDIA H200"), "pass", "pass", "perf.allreduce_inter"),
        (
            collective({GIB: 30, 8 * GIB: 31}, product="AMD Instinct MI300X", head="# rccl-tests"),
            "critical",
            "fail",
            "perf.allreduce_intra",
        ),
        (CUDA_802, "critical", "fail", "fabric.manager"),
        (
            collective(scaled(NODE, 0.65), product="AMD Instinct MI300X", head="# rccl-tests"),
            "info",
            "incomplete",
            None,
        ),
    ],
)
def test_a_run_of_nccl_tests(text, verdict, outcome, check):
    judgement = judge([read(text)])
    assert "-tests" in judgement.kind
    assert judgement.verdict == verdict
    assert check is None or check in found(judgement, outcome)


# ---- copies, ports, links, disks


def nvbandwidth(pair, odd=None, host=55.5, count=8, product=H100):
    text = "nvbandwidth Version: v0.6\n\n" + "".join(f"Device {index}: {product}\n" for index in range(count)) + "\n"
    columns = "  ".join(str(index) for index in range(count))
    for name in ("host_to_device_memcpy_ce", "device_to_host_memcpy_ce", "device_local_copy"):
        row = " ".join(f"{host:.2f}" for _ in range(count))
        text += f"Running {name}.\nbandwidth (GB/s)\n  {columns}\n 0 {row}\n\nSUM {name} {host * count:.2f}\n\n"
        if name == "device_to_host_memcpy_ce":
            peers = "device_to_device_memcpy_write_ce"
            text += f"Running {peers}.\nbandwidth (GB/s)\n  {columns}\n"
            for one in range(count):
                cells = ["N/A" if one == other else f"{odd if odd and (one, other) == (2, 5) else pair:.2f}"
                         for other in range(count)]  # fmt: skip
                text += f" {one} {' '.join(cells)}\n"
            text += f"\nSUM {peers} 1.0\n\n"
    return text


def test_one_slow_pair_of_gpus_is_found_and_a_slow_host_link():
    assert judge([read(nvbandwidth(396.0))]).verdict == "pass"
    assert found(judge([read(nvbandwidth(396.0, odd=150.0))]), "fail") == {"perf.p2p": "RESET"}
    assert found(judge([read(nvbandwidth(396.0, host=12.4))]), "fail") == {"perf.h2d_d2h": "REBOOT"}


def test_nvbandwidth_in_json():
    cases = [
        {"name": "host_to_device_memcpy_ce", "status": "Passed", "bandwidth_matrix": [["55.6", "55.5"]]},
        {"name": "device_to_device_memcpy_write_ce", "status": "Passed", "bandwidth_matrix": [["N/A", "390"]]},
    ]
    reading = read(json.dumps({"nvbandwidth": {"Driver Version": "570.1", "testcases": cases}}))
    assert reading.kind == "nvbandwidth"
    assert reading.data.rates == {"h2d": (55.6, 55.5), "p2p_write": (390.0,)}


def perftest(gbps, pairs=4):
    rule = "-" * 87 + "\n"
    head = f"{rule}                    RDMA_Write BW Test\n Number of qps   : {pairs}\t\tTransport type : IB\n{rule}"
    columns = " #bytes     #iterations    BW peak[Gb/sec]    BW average[Gb/sec]   MsgRate[Mpps]\n"
    return f"{head}{columns} 8388608      5000             {gbps + 1:.2f}             {gbps:.2f}      0.1\n{rule}"


def test_a_rate_that_no_port_has_is_too_slow_for_the_next():
    assert judge([read(perftest(392.1))]).verdict == "info"
    assert judge([read(perftest(197.1))]).verdict == "info"
    assert found(judge([read(perftest(245.0))]), "fail") == {"perf.ib_loop": "WATCH"}
    assert judge([read(perftest(245.0, pairs=1))]).verdict == "unknown"
    assert found(judge([read(" Port number 1 state is Down\n Couldn't set the link layer\n")]), "fail") == {
        "ib.ports": "ISOLATE"
    }


def ibstatus(rates):
    return "".join(
        f"Infiniband device 'mlx5_{index}' port 1 status:\n\tstate:\t\t {'4: ACTIVE' if rate > 40 else '1: DOWN'}\n"
        f"\tphys state:\t {'5: LinkUp' if rate > 40 else '2: Polling'}\n\trate:\t\t {rate} Gb/sec (4X NDR)\n"
        "\tlink_layer:\t InfiniBand\n\n"
        for index, rate in enumerate(rates)
    )


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        (ports(down=(3,)), "ISOLATE"),
        (ports(down=tuple(range(8))), "ISOLATE"),
        (ports().replace("State: Active", "State: Initializing", 1), "ISOLATE"),
        (ports().replace("Rate: 400", "Rate: 200", 1), "ISOLATE"),
        (ibstatus([400] * 8), None),
        (ibstatus([400] * 8 + [100]), None),
        (ibstatus([400] * 7 + [100]), "WATCH"),
        (ibstatus([400] * 7 + [200]), "ISOLATE"),
        (ibstatus([400] * 7 + [10]), "ISOLATE"),
    ],
)
def test_ports_that_are_down_or_slow(text, severity):
    assert found(judge([read(text)]), "fail").get("ib.ports") == severity


def _errors(gpu, count):
    return "".join(
        f"GPU {index}: {H100} (UUID: GPU-{index})\n\t Link 0: Replay Errors: 0\n"
        f"\t Link 0: CRC Errors: {count if index == gpu else 0}\n"
        for index in range(8)
    )


@pytest.mark.parametrize(
    ("text", "check", "severity"),
    [
        (nvlinks().replace("Link 7: 26.562 GB/s", "Link 7: <inactive>", 1), "nvlink.links", "RESET"),
        (nvlinks(links=17), "nvlink.links", "RESET"),
        (nvlinks().replace("26.562", "13.281", 1), "nvlink.links", "RESET"),
        (nvlinks(product=B200).replace("26.562", "53.125"), "nvlink.links", None),
        (nvlinks(links=6, product="Tesla V100-SXM2-32GB").replace("26.562", "25.781"), "nvlink.links", None),
        (_errors(2, 9182), "nvlink.errors", "WATCH"),
        (_errors(2, 3), "nvlink.errors", None),
    ],
)
def test_links_that_are_missing_slow_or_faulty(text, check, severity):
    assert found(judge([read(text)]), "fail").get(check) == severity


def fio(rate, error=0, disk="nvme0n1"):
    job = {"jobname": "read", "error": error, "read": {"bw_bytes": rate, "iops": 1}, "write": {"bw_bytes": 0}}
    job["job options"] = {"rw": "read", "bs": "1M"}
    return json.dumps({"fio version": "fio-3.28", "jobs": [job], "disk_util": [{"name": disk}]})


def stream(rate, threads=96, told="Solution Validates: avg error less than 1.0e-13"):
    kernels = "".join(
        f"{name}:          {rate:.1f}     0.032     0.031     0.032\n" for name in ("Copy", "Scale", "Add")
    )
    rule = "-" * 61 + "\n"
    return (
        f"{rule}STREAM version $Revision: 5.10 $\n{rule}Number of Threads counted = {threads}\n{rule}{kernels}"
        f"Triad:          {rate:.1f}     0.032     0.031     0.032\n{rule}{told}\n{rule}"
    )


def test_disks_and_memory_that_no_server_has():
    assert judge([read(fio(7e9))]).verdict == "info"
    assert found(judge([read(fio(9e7))]), "fail") == {"disk.bw": "WATCH"}
    assert judge([read(fio(9e7, disk="vda"))]).verdict == "info"
    assert judge([read(fio(7e9, error=5))]).verdict == "warning"
    assert judge([read(stream(363000))]).verdict == "info"
    assert judge([read(stream(12000))]).verdict == "warning"
    assert judge([read(stream(12000, threads=4))]).verdict == "info"
    assert judge([read(stream(363000, told="Failed Validation on array a[]"))]).verdict == "critical"


def gpud(component, health, reason=""):
    return json.dumps([{"component": component, "states": [{"name": component, "health": health, "reason": reason}]}])


@pytest.mark.parametrize(
    ("component", "health", "reason", "check", "verdict"),
    [
        ("accelerator-nvidia-ecc", "Healthy", "", "ecc.uncorrectable", "pass"),
        ("accelerator-nvidia-ecc", "Initializing", "", "ecc.uncorrectable", "unknown"),
        ("accelerator-nvidia-ecc", "", "", "ecc.uncorrectable", "unknown"),
        ("accelerator-nvidia-infiniband", "Unhealthy", "only 7 ports", "ib.ports", "critical"),
        ("accelerator-nvidia-error-xid", "Unhealthy", "XID 79 detected", "xid", "critical"),
        ("accelerator-nvidia-error-xid", "Unhealthy", "XID 94 detected", "xid", "warning"),
        ("accelerator-nvidia-temperature", "Degraded", "memory", "gpu.thermal", "warning"),
        ("accelerator-nvidia-gpu-counts", "Unhealthy", "expected 8 got 7", "gpu.count", "critical"),
        ("disk", "Unhealthy", "failed to mount", "agent.state", "warning"),
    ],
)
def test_components_of_gpud(component, health, reason, check, verdict):
    judgement = judge([read(gpud(component, health, reason))])
    assert judgement.verdict == verdict
    assert check in {each.check for each in judgement.findings}


def test_a_slow_node_of_four_in_superbench_and_one_that_lacks_a_metric():
    def rows(slow=None, factor=0.8, key="gemm-flops/fp16_tc:0"):
        made = [
            {"node": f"n{i}", "gemm-flops/fp16_tc:0": 290000.0 + i * 100, "x/event_time:0": 0.0059} for i in range(4)
        ]
        if slow is not None:
            made[slow][key] *= factor
        return "".join(json.dumps(row) + "\n" for row in made)

    assert judge([read(rows())]).verdict == "info"
    assert found(judge([read(rows(2))]), "fail") == {"perf.straggler": "WATCH"}
    assert found(judge([read(rows(1, 1.5, "x/event_time:0"))]), "fail") == {"perf.straggler": "WATCH"}
    assert found(judge([read(rows().replace("0.0059", "null", 1))]), "fail") == {"perf.missing": "WATCH"}


def test_a_card_that_answers_with_ones_fell_off_the_bus():
    good = "".join(
        f"{0x1B + 16 * index:02x}:00.0 3D controller [0302]: NVIDIA Corporation GH100 [H100] [10de:2330] (rev a1)\n"
        for index in range(8)
    )
    assert judge([read(good)]).verdict == "info"
    assert found(judge([read(good.replace("rev a1", "rev ff", 1))]), "fail") == {"observe.tool": "REBOOT"}


def bandwidth_test(up=55.2, down=55.3):
    tables = "".join(
        f" {name} Bandwidth, 1 Device(s)\n PINNED Memory Transfers\n   Transfer Size (Bytes)\tBandwidth(GB/s)\n"
        f"   32000000\t\t\t{rate}\n\n"
        for name, rate in (("Host to Device", up), ("Device to Host", down))
    )
    return f"[CUDA Bandwidth Test] - Starting...\n Device 0: {H100}\n Quick Mode\n\n{tables}Result = PASS\n"


def test_bandwidth_test_as_it_prints_tables():
    assert judge([read(bandwidth_test())]).verdict == "pass"
    assert found(judge([read(bandwidth_test(up=12.1))]), "fail") == {"perf.h2d_d2h": "REBOOT"}
    assert judge([read(bandwidth_test()[:-15])]).verdict == "unknown"
    in_mb = bandwidth_test(55200.0, 55300.0).replace("GB/s", "MB/s")
    assert read(in_mb).data.rates == {"h2d": (55.2,), "d2h": (55.3,)}


def test_latency_is_told_and_not_graded():
    rule = "-" * 87 + "\n"
    columns = " #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    t_avg[usec]    t_stdev[usec]\n"
    row = " 2  1000  1.52  3.45  1.57  1.58  0.05\n"
    text = f"{rule}                    RDMA_Write Latency Test\n{rule}{columns}{row}{rule}"
    judgement = judge([read(text)])
    assert (judgement.kind, judgement.verdict) == ("perftest ib_write_lat", "info")
    assert "1.58 us at 2 bytes" in judgement.findings[0].message + judgement.findings[-1].message


def test_a_providers_check_of_a_card_is_a_finding_of_ports():
    lines = ["INFO - GPU ECC Test: Passed", "ERROR - mlx5_5 link check: Failed", "INFO - Finished check"]
    text = "".join(f"2025-03-19 04:11:52,123 - {line}\n" for line in lines)
    assert found(judge([read(text)]), "fail") == {"ib.ports": "ISOLATE"}


SAMPLES = {
    "nccl": collective(PAIR, ranks=16),
    "nvbandwidth": nvbandwidth(396.0),
    "perftest": perftest(392.1),
    "bandwidthTest": bandwidth_test(),
    "stream": stream(363000),
    "fio": fio(7e9),
    "dcgm 3": dcgm_3([{"name": "PCIe", "results": [{"gpu_ids": "0,1", "status": "PASS"}]}]),
    "dcgm 4": dcgm_4([{"name": "memory", "results": [_entity(0, "Pass")]}]),
    "gpud": gpud("accelerator-nvidia-ecc", "Healthy"),
    "timedatectl": "NTPSynchronized=yes\nNTP=yes\n",
}


@pytest.mark.parametrize("name", SAMPLES)
def test_no_prefix_of_a_sample_passes(name):
    text = SAMPLES[name].rstrip()
    for end in range(1, len(text), max(1, len(text) // 60)):
        assert judge([read(text[:end])]).verdict != "pass", text[:end][-40:]
