"""Errors and contradictions found in public checkers, each as a test that says so: here they are not repeated."""

from __future__ import annotations

import json

import pytest

from _recorded_node import all_reduce, smi_xml
from sublet.qualification.judging import references, xid
from sublet.qualification.judging.chips import chips
from sublet.qualification.judging.expectation import expected
from sublet.qualification.judging.judge import judge
from sublet.qualification.reading.detect import read

EKS = {128: 129.0, 256: 167.0, 512: 279.0, 1024: 313.0, 2048: 438.0}  # NCCL 2.18.5 with an old plug-in
HEALTHY = {128: 341.0, 256: 394.0, 512: 408.0, 1024: 441.0, 2048: 444.0}


def verdict(text: str, sold: str | None = None) -> str:
    return judge([read(text)], expected(sold) if sold else None).verdict


def dcgm(*results: dict[str, object]) -> str:
    tests = [{"name": f"test {at}", "results": [result]} for at, result in enumerate(results)]
    return json.dumps({"DCGM Diagnostic": {"test_categories": [{"category": "Hardware", "tests": tests}]}})


def test_gpud_takes_an_unknown_state_for_healthy():
    states = [{"health": word, "reason": ""} for word in ("Initializing", "", "SomethingNew")]
    for state in states:
        assert verdict(json.dumps({"component": "accelerator-nvidia-ecc", "states": [state]})) == "unknown"
    assert verdict('{"component": "accelerator-nvidia-ecc", "states": [{"health": "Healthy"}]}') == "pass"


def test_a_dead_fabric_manager_is_called_healthy_while_each_gpu_reads_completed():
    state = '[{"health": "Unhealthy", "reason": "not active"}]'
    dead = f'{{"component": "accelerator-nvidia-fabric-manager", "states": {state}}}'
    together = judge([read(smi_xml(8)), read(dead)])
    assert together.verdict == "critical"
    assert {each.check for each in together.findings if each.outcome == "fail"} == {"fabric.manager"}


def test_azure_nhc_only_logs_what_throttles():
    assert verdict(smi_xml(8, slowdown="Active")) == "critical"


def test_azure_nhc_reads_a_field_that_its_query_does_not_have():
    cut = smi_xml(8).replace("<remapped_row_failure>No<", "<remapped_row_failure>Yes<", 1)
    assert verdict(cut) == "critical"


def test_dcgm_gives_an_h200_a_thousandth_of_its_bandwidth_as_the_pass_line():
    good, refused = references.rows()
    slips = {(row.measure, row.chips[0]) for row in refused}
    assert slips >= {("memory", "H200 SXM"), ("memory", "A100 SXM 40GB"), ("memory", "L40")}
    assert all(row.curve[0] > 500 for row in good if row.measure == "memory")


def test_dcgm_accepts_a_gen_3_link_of_an_h100():
    gen3 = (
        smi_xml(8)
        .replace("<current_link_gen>5<", "<current_link_gen>3<")
        .replace("<max_link_gen>5<", "<max_link_gen>3<")
    )
    assert verdict(gen3) == "critical"


def test_the_health_check_of_aws_demands_an_all_reduce_that_its_own_repository_never_reached():
    refused = {row.curve[134217728] for row in references.rows()[1] if row.measure == "collective"}
    assert refused == {800.0, 300.0}
    assert verdict(all_reduce(HEALTHY)) == "pass"


def test_nvidia_says_reset_and_aws_says_isolate_for_xid_64_and_the_stricter_counts():
    assert xid.table()[64].action == "RESET_GPU"
    assert xid.severity_of(64, "") == "ISOLATE"


def test_a_lower_line_for_the_better_chip_is_no_physics():
    """Azure asks 431 of an H200 and 460 of an H100 on equal links: measurements come before pass lines."""
    rows = references.curves("all_reduce", "H200 SXM", 1)
    assert not rows[0].line
    assert rows[-1].line


def test_a_thermal_violation_of_zero_seconds_fails_a_diagnostic_of_dcgm():
    said = {
        "status": "Fail",
        "entity_id": 0,
        "warnings": [{"warning": "Thermal violations totaling 0.0 seconds started at 9"}],
    }
    assert verdict(dcgm(said, {"status": "Pass"})) == "unknown"
    real = {"status": "Fail", "entity_id": 0, "warnings": [{"warning": "Thermal violations totaling 13.3 seconds"}]}
    assert verdict(dcgm(real, {"status": "Pass"})) == "critical"


def test_dcgm_passes_a_memory_test_that_could_not_allocate():
    said = {"status": "Pass", "entity_id": 0, "info": ["Unable to allocate enough memory to test"]}
    assert verdict(dcgm(said)) == "unknown"


def test_an_all_gather_is_read_as_an_all_reduce_because_the_file_names_neither():
    rows = all_reduce({8192: 326.0}).replace("     sum  ", "    none  ")
    share = rows.replace(f"{8192 << 18:12d}", f"{(8192 << 18) // 16:12d}")
    judgement = judge([read(share)])
    assert judgement.kind == "nccl-tests all_gather_perf"
    assert not [each for each in judgement.findings if each.efficiency is not None]


def test_a_large_message_passes_what_is_slow_at_the_size_of_gradients():
    judgement = judge([read(all_reduce(EKS))])
    assert judgement.verdict == "warning"
    assert EKS[2048] > 0.94 * 458  # a test at 2 GiB alone sees nothing
    assert verdict(all_reduce(EKS, product="")) == "warning"  # and it needs no word on the chip


def test_the_average_of_a_run_is_never_graded():
    text = all_reduce(HEALTHY)
    assert verdict(text.replace("99.5", "1.5")) == verdict(text.replace("99.5", "900.5")) == "pass"


def test_the_same_chip_has_one_reference_for_each_fabric():
    slow = all_reduce({1024: 76.0, 2048: 78.0}, product="NVIDIA A100-SXM4-80GB")
    assert verdict(slow, "A100 SXM 80GB x8, 4x100G") == "pass"
    assert verdict(slow, "A100 SXM 80GB x8, 8x200G") == "critical"
    assert verdict(slow) == "unknown"


def test_processes_that_never_joined_are_a_fault_of_the_harness_not_of_the_fabric():
    row = "  134217728  33554432  float  sum  -1  631.9  212.41  0.00  0  0.51  263017.30  0.00  0\n"
    assert verdict(f"{row}# Out of bounds values : 0 OK\n# Avg bus bandwidth    : 0\n#\n") == "unknown"


def test_a_gpu_at_rest_is_not_failed_for_its_slow_link_and_one_at_work_is():
    idle = smi_xml(1).replace("<current_link_gen>5<", "<current_link_gen>1<").replace(">P0<", ">P8<")
    assert verdict(idle) == "info"
    work = (
        smi_xml(1)
        .replace("<current_link_gen>5<", "<current_link_gen>4<")
        .replace("gpu_idle>Active", "gpu_idle>Not Active")
    )
    assert verdict(work) == "critical"


@pytest.mark.parametrize("name", sorted(chips()))
def test_every_chip_of_the_table_is_known_by_its_id(name):
    for identity in chips()[name].ids:
        vendor = "1002" if name.startswith("MI") else "10de"
        line = f"01:00.0 3D controller [0302]: Vendor Device [{vendor}:{identity}]\n"
        assert judge([read(line)]).chip == name
