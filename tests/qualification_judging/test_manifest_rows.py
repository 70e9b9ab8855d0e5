"""Every row of the manifest: real outputs of tools, each with the verdict that a right checker gives, and why."""

from __future__ import annotations

import json

import pytest

from sublet.qualification.judging.expectation import expected
from sublet.qualification.judging.judge import judge
from sublet.qualification.reading.detect import read

WELL = {"pass", "info"}  # info: well, with something that one output cannot prove
BAD = {"warning", "critical"}
BETWEEN = {"info", "warning", "unknown"}  # a trap: neither passed nor failed by accident

# file -> verdicts that are right, and for some the check and outcome that must be among the findings
ROWS = {
    "smi_x_a100_sxm4_v12.xml": ({"warning"}, {("gpu.mig", "fail"), ("gpu.persistence", "fail")}),
    "smi_x_a10g_v11.xml": (BETWEEN, {("pcie.link", "incomplete"), ("gpu.persistence", "fail")}),
    "smi_x_t4_v10.xml": (BETWEEN, {("pcie.link", "fail"), ("gpu.persistence", "fail")}),
    "smi_x_a100_sxm4_mig_on.xml": ({"warning"}, {("gpu.mig", "fail"), ("gpu.persistence", "fail")}),
    "smi_x_rtx4090_535.xml": (BETWEEN, {("ecc.mode", "not_applicable"), ("pcie.link", "incomplete")}),
    "smi_q_h100x8_power_brake_all.txt": (
        {"critical"},
        {("gpu.throttle", "fail"), ("pcie.link", "pass"), ("ecc.remap", "pass")},
    ),
    "smi_q_h100_malformed.txt": ({"unknown"}, {("observe.complete", "incomplete")}),
    "smi_q_rtx4090x8.txt": (WELL, {("ecc.mode", "not_applicable"), ("gpu.count", "pass")}),
    "smi_table_h100x8.txt": ({"pass"}, {("gpu.count", "pass"), ("ecc.uncorrectable", "pass")}),
    "lspci_nn_gb200.txt": (WELL, {("gpu.identity", "pass")}),
    "smi_q_h100_idle_590.txt": ({"pass"}, {("gpu.recovery_action", "pass"), ("fabric.state", "pass")}),
    "smi_q_h100_load_590.txt": (WELL, {("gpu.throttle", "pass"), ("gpu.thermal", "pass")}),
    "smi_q_h200_idle_590.txt": ({"pass"}, set()),
    "smi_q_l40s_idle_595.txt": (WELL, {("fabric.state", "not_applicable")}),
    "nvlink_s_h100_18up.txt": (WELL, {("nvlink.links", "pass")}),
    "nvlink_s_l40s_unsupported.txt": (WELL, {("nvlink.links", "not_applicable")}),
    "topo_m_h100_single_ansi.txt": (WELL, set()),
    "smi_q_h800.txt": (WELL, {("gpu.identity", "pass")}),
    "topo_m_h800_nv8_garbled.txt": (BETWEEN, set()),
    "nvlink_s_h800_8up.txt": (WELL, {("nvlink.links", "pass")}),
    "nvbandwidth_h800x8.txt": ({"pass"}, {("perf.h2d_d2h", "pass"), ("perf.p2p", "pass")}),
    "smi_q_a100_row_remap_pending.txt": ({"critical"}, {("ecc.remap", "fail")}),
    "dcgmi_r2_gpu0_thermal_fail.txt": ({"critical"}, {("dcgm", "fail")}),
    "dmesg_pcie_limited_gen4.txt": ({"critical"}, {("pcie.link", "fail")}),
    "topo_m_h100_nv18_no_nic.txt": (WELL, {("topo.matrix", "pass")}),
    "topo_m_pair_phb.txt": (WELL, {("topo.matrix", "pass")}),
    "nvlink_s_a100_12up.txt": (WELL, {("nvlink.links", "pass")}),
    "nvlink_s_a100_inactive.txt": ({"critical"}, {("nvlink.links", "fail")}),
    "smi_q_pageretire_good.txt": ({"pass"}, {("ecc.retired_pages", "pass")}),
    "syslog_ib6_flaps.txt": ({"critical"}, {("ib.flap", "fail")}),
    "ibstat_h100_all_active.txt": (WELL, {("ib.ports", "pass"), ("ib.frontend", "pass")}),
    "ibstat_h100_frontend_down.txt": (BETWEEN, {("ib.ports", "pass"), ("ib.frontend", "fail")}),
    "ibstat_h100_two_400g_down.txt": ({"critical"}, {("ib.ports", "fail")}),
    "ibstat_a100_ibpanic.txt": (BETWEEN, {("ib.ports", "pass")}),
    "ibstatus_a100_all_active.txt": (WELL, {("ib.ports", "pass")}),
    "sys_class_infiniband_h100.json": ({"pass"}, {("ib.ports", "pass"), ("ib.errors", "not_applicable")}),
    "lspci_nn_a100.txt": (WELL, {("gpu.identity", "pass")}),
    "fabricmanager_h100.log": (BETWEEN, {("sxid", "fail")}),
    "dmesg_xid119_gsp_timeout.log": ({"critical"}, {("xid", "fail")}),
    "dmesg_xid13_user_app.log": (BETWEEN, {("xid.application", "fail"), ("xid", "pass")}),
    "lspci_vvv_h100_links_acs.txt": (WELL, {("pcie.link", "pass"), ("pcie.acs_iommu", "pass")}),
    "nccl_ar_a100x8_1node.log": ({"pass"}, {("perf.allreduce_intra", "pass")}),
    "ib_write_bw_loopback_hdr.log": (WELL, {("perf.ib_loop", "pass")}),
    "bandwidthtest_h2d_gen3.log": (BETWEEN, {("perf.h2d_d2h", "pass")}),
    "fio_nvme.json": (WELL, {("disk.bw", "pass")}),
    "stream_epyc.log": (WELL, {("perf.cpu_mem", "pass")}),
    "gpu_copy_bw_a100.log": (BETWEEN, {("perf.h2d_d2h", "incomplete")}),
    "superbench_results_3nodes.jsonl": ({"warning"}, {("perf.missing", "fail"), ("perf.straggler", "fail")}),
    "oci_passive_hc_a100_pass.log": ({"pass"}, set()),
    "oci_active_hc_probe_crashed.log": ({"unknown"}, {("provider.check", "incomplete"), ("provider.check", "pass")}),
    "nccl_ar_h100_2node_ndr.log": ({"pass"}, {("perf.allreduce_inter", "pass")}),
    "nccl_ar_a100_2node_roce1600.log": ({"pass"}, {("perf.allreduce_inter", "pass")}),
    "nccl_ar_a100_2node_efa400_srun.log": (BETWEEN, {("perf.allreduce_inter", "incomplete")}),
    "nccl_ar_h100_2node_efa3200_srun.log": (WELL, {("perf.collective_valid", "pass")}),
    "dcgmi_r2_a100x8_pass.txt": ({"pass"}, {("dcgm", "pass")}),
    "nccl_ar_h100_8node_ndr_sharp.log": (WELL, {("perf.collective_valid", "pass")}),
    "nccl_ar_a100x8_1node_meta.log": ({"pass"}, {("perf.allreduce_intra", "pass")}),
    "dcgmi_r1_pass_v3.json": ({"pass"}, {("dcgm", "pass")}),
    "dcgmi_r1_persistence_fail_v3.json": ({"warning"}, {("gpu.persistence", "fail")}),
    "gcm_dgx_a100_manifest.json": (WELL, set()),
    "nccl_topo_azure_ndv5_h100.xml": (WELL, {("topo.matrix", "pass")}),
    "nccl_topo_azure_ndv4_a100.xml": (WELL, {("topo.matrix", "pass")}),
    "nccl_ar_h100_ranks_not_joined.log": ({"unknown"}, {("perf.collective_valid", "incomplete")}),
    "nccl_ar_h100_2node_nebius_ib.log": (WELL, {("perf.collective_valid", "pass")}),
    "ib_send_bw_ndr.log": ({"unknown"}, {("perf.ib_loop", "incomplete")}),
    "nccl_ag_h200_2node_gcp_rdma.log": (BETWEEN, {("perf.allreduce_inter", "incomplete")}),
    "nccl_ar_a100_2node_efa_vs_tcp.tsv": ({"warning"}, {("perf.straggler", "fail")}),
    "nccl_ar_h200x8_1node_azure.log": (WELL, {("perf.allreduce_intra", "pass")}),
    "dcgmi_r1_h200x8_persistence_fail.txt": ({"warning"}, {("gpu.persistence", "fail")}),
    "dcgmi_events_preflight.jsonl": (BAD, {("gpu.persistence", "fail"), ("dcgm", "fail")}),
    "dmesg_fallen_off_bus_no_xid.log": ({"critical"}, {("xid", "fail")}),
    "dmesg_nvlink_xid149_cascade.log": ({"critical"}, {("xid", "fail")}),
    "gpud_fabric_manager_inactive.json": ({"critical"}, {("fabric.manager", "fail")}),
    "topo_m_h200_nv18_nic.txt": (WELL, {("topo.matrix", "pass")}),
    "nccl_ar_h100pcie_pair_nvl.log": (BETWEEN, set()),
}
CHIPS = {
    "H100-SXM5-80GB": "H100 SXM",
    "H200-SXM": "H200 SXM",
    "H800-SXM5-80GB": "H800 SXM",
    "GB200": "GB200",
    "L40S": "L40S",
}


def judged(shared, name, sold=None):
    raw = (shared / "fixtures/qualify" / name).read_bytes()
    return judge([read(raw)], expected(sold) if sold else None)


def found(judgement, check, outcome):
    return [each for each in judgement.findings if (each.check, each.outcome) == (check, outcome)]


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_row_of_the_manifest(shared, name):
    judgement = judged(shared, name)
    verdicts, wanted = ROWS[name]
    assert judgement.verdict in verdicts, judgement.findings
    for check, outcome in wanted:
        assert found(judgement, check, outcome), (check, outcome, judgement.findings)


def test_every_row_of_the_manifest_is_here(shared):
    rows = json.loads((shared / "fixtures/qualify/manifest.json").read_text())
    assert {row["file"] for row in rows} == set(ROWS)
    labels = {"good": WELL, "bad": BAD, "trap": BETWEEN | {"pass", "info"}}
    for row in rows:
        assert ROWS[row["file"]][0] <= labels.get(row["label"], WELL | BAD | BETWEEN), row["file"]


def test_the_chip_is_named_where_the_output_names_it(shared):
    silent = {
        "topo_m",
        "nccl_ar_h100_2node_efa3200",
        "nccl_ar_h100_2node_nebius",
        "nccl_ar_h100_8node",
        "nccl_ar_h100_ranks",
        "ib_send",
        "dmesg",
    }
    for row in json.loads((shared / "fixtures/qualify/manifest.json").read_text()):
        if row["chip"] in CHIPS and not row["file"].startswith(tuple(silent)):
            assert judged(shared, row["file"]).chip == CHIPS[row["chip"]], row["file"]


def test_a_power_brake_on_every_gpu_is_one_cause_of_the_node(shared):
    judgement = judged(shared, "smi_q_h100x8_power_brake_all.txt")
    failures = [each for each in judgement.findings if each.outcome == "fail"]
    assert [each.check for each in failures] == ["gpu.throttle"]
    assert failures[0].where == ()
    assert failures[0].message.startswith("all 8 GPUs")
    assert judgement.grade == "F"


def test_an_h800_offered_as_an_h100_is_wrong_goods(shared):
    for name in ("nvlink_s_h800_8up.txt", "topo_m_h800_nv8_garbled.txt", "smi_q_h800.txt", "nvbandwidth_h800x8.txt"):
        judgement = judged(shared, name, "H100 SXM x8, 8x400G")
        assert judgement.verdict == "critical", name
        assert found(judgement, "gpu.identity", "fail"), name


def test_a_cascade_is_blamed_on_the_gpu_at_its_root(shared):
    (blamed,) = found(judged(shared, "dmesg_nvlink_xid149_cascade.log"), "xid", "fail")
    assert blamed.where == ("0000:dc:00",)


def test_what_was_sold_settles_what_one_output_cannot(shared):
    assert judged(shared, "nccl_ar_a100_2node_efa400_srun.log", "A100 SXM 80GB x8, 4x100G").verdict in WELL
    assert judged(shared, "nccl_ar_a100_2node_efa400_srun.log", "A100 SXM 80GB x8, 8x200G").verdict == "critical"
    assert judged(shared, "ibstat_h100_all_active.txt", "H100 SXM x8, 8x400G").verdict in WELL
    assert judged(shared, "ibstat_h100_all_active.txt", "H100 SXM x8, 16x400G").verdict == "critical"
    assert judged(shared, "smi_x_a100_sxm4_mig_on.xml", "A100 SXM 40GB x1, MIG").findings[0].check != "gpu.mig"


@pytest.mark.parametrize(
    ("name", "sold"),
    [
        ("nvlink_s_h800_8up.txt", "H800 SXM x8"),
        ("topo_m_h800_nv8_garbled.txt", "H800 SXM x8"),
        ("nvbandwidth_h800x8.txt", "H800 SXM x8"),
        ("smi_table_h100x8.txt", "H100 SXM x8, 8x400G"),
        ("nccl_ar_h100_2node_nebius_ib.log", "H100 SXM x8, 8x400G"),
        ("gpu_copy_bw_a100.log", "A100 SXM 80GB x8"),
        ("sys_class_infiniband_h100.json", "H100 SXM x8, 8x400G"),
    ],
)
def test_goods_that_are_as_sold_are_well(shared, name, sold):
    assert judged(shared, name, sold).verdict in WELL
