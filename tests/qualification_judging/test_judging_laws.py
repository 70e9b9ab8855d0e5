"""Laws of verdicts, grades and coverage."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from _recorded_node import outputs, ports, smi_xml
from sublet.errors import InputError
from sublet.qualification.judging.catalogue import checks, finding
from sublet.qualification.judging.expectation import expected
from sublet.qualification.judging.grade import coverage_of, grade_of, verdict_of
from sublet.qualification.judging.judge import judge
from sublet.qualification.judging.outliers import low_ones, robust_z
from sublet.qualification.judging.references import LOWEST, Reference, plausible, rows
from sublet.qualification.judging.values import SEVERITIES, Finding
from sublet.qualification.judging.xid import severity_of, table
from sublet.qualification.reading.detect import read

ORDER = ["A", "B", "C", "D", "F"]
WORDS = ["pass", "info", "warning", "unknown", "critical"]

severities = st.sampled_from(SEVERITIES)
efficiencies = st.none() | st.floats(0.1, 1.05)
findings = st.lists(
    st.builds(
        Finding,
        st.sampled_from(sorted(checks())),
        st.sampled_from(["pass", "fail", "incomplete", "not_applicable"]),
        severities,
        st.just("said"),
        st.just(()),
        efficiencies,
    ),
    max_size=80,
)
bad = st.builds(
    Finding,
    st.sampled_from(sorted(checks())),
    st.sampled_from(["fail", "incomplete"]),
    severities,
    st.just("said"),
    st.just(()),
    st.none() | st.floats(0.01, 0.6),
)


def whole(efficiency=0.98):
    """Findings of a node on which every required check passed."""
    return [finding(name, "pass", "", efficiency=efficiency) for name, check in checks().items() if check.required]


@settings(max_examples=300, deadline=None)
@given(findings, bad)
def test_a_bad_finding_more_never_raises_a_grade_nor_betters_a_verdict(given_findings, worse):
    for before in (given_findings, [*whole(), *given_findings], whole()):
        old, new = grade_of(before), grade_of([*before, worse])
        if old is not None:
            assert new is None or ORDER.index(new) >= ORDER.index(old)
        elif new is not None:
            assert new == "F" or worse.efficiency is not None
        if before:
            assert WORDS.index(verdict_of([*before, worse])) >= WORDS.index(verdict_of(before)) or (
                verdict_of(before) == "unknown" and not any(each.outcome != "incomplete" for each in before)
            )


@settings(max_examples=300, deadline=None)
@given(findings, st.data())
def test_evidence_less_never_raises_coverage(given_findings, data):
    if not given_findings:
        return
    gone = data.draw(st.integers(0, len(given_findings) - 1))
    less = given_findings[:gone] + given_findings[gone + 1 :]
    assert coverage_of(less) <= coverage_of(given_findings) + 1e-12


def test_a_probe_less_of_a_recorded_node_never_raises_coverage():
    readings = [read(text) for text in outputs().values()]
    full = judge(readings).coverage
    for gone in range(len(readings)):
        assert judge(readings[:gone] + readings[gone + 1 :]).coverage <= full


def test_the_worst_part_decides_never_the_mean():
    assert grade_of(whole(0.98)) == "A"
    assert (
        grade_of([replace(each, efficiency=0.86) if each.check == "perf.p2p" else each for each in whole(0.99)]) == "C"
    )


def test_too_little_covered_gives_no_grade_and_a_closed_gate_gives_f():
    assert grade_of(whole()[:8]) is None
    assert grade_of([*whole(), finding("xid", "fail", "")]) == "F"


def test_nothing_read_is_unknown():
    assert judge([]).verdict == "unknown"
    assert verdict_of([]) == "unknown"


def test_a_healthy_recorded_node_has_no_failure():
    judgement = judge([read(text) for text in outputs().values()], expected("H100 SXM x8, 8x400G"))
    assert not [each for each in judgement.findings if each.outcome == "fail"]
    assert judgement.verdict == "info"  # a log never proves what it does not hold
    assert judgement.chip == "H100 SXM"


@pytest.mark.parametrize(
    ("text", "check", "verdict"),
    [
        (smi_xml(8, dram=3), "ecc.uncorrectable", "critical"),
        (smi_xml(8, fabric="In Progress"), "fabric.state", "critical"),
        (smi_xml(8, persistence="Disabled"), "gpu.persistence", "warning"),
        (smi_xml(7), "gpu.count", "critical"),
        (smi_xml(8, product="NVIDIA H200"), "gpu.identity", "critical"),
        (ports(8, down=(5,)), "ib.ports", "critical"),
        (ports(7), "ib.ports", "critical"),
    ],
)
def test_a_planted_fault_is_one_finding(text, check, verdict):
    judgement = judge([read(text)], expected("H100 SXM x8, 8x400G"))
    assert judgement.verdict == verdict
    assert [each.check for each in judgement.findings if each.outcome == "fail"] == [check]


def test_a_slip_of_a_unit_is_refused_by_plausibility():
    good = next(row for row in rows()[0] if row.measure == "memory" and row.chips == ("H100 SXM",))
    for factor in (1e-3, 1e3, LOWEST / 2):
        assert not plausible(replace(good, curve={0: good.curve[0] * factor}))
    assert all(row.doubted for row in rows()[1])
    assert not any(row.doubted for row in rows()[0])


@settings(max_examples=60, deadline=None)
@given(st.integers(27, 34))
def test_a_reference_between_two_sizes_lies_between_their_figures(power):
    row = next(each for each in rows()[0] if each.nodes == 2 and each.fabric_gbps == 3200 and not each.line)
    low, high = row.at(1 << power), row.at((1 << power) + (1 << (power - 1)))
    if low is not None and high is not None:
        assert low <= high
    assert row.at(1) is None
    assert isinstance(row, Reference)


def test_every_xid_of_the_catalogue_has_a_severity_and_an_unknown_code_is_watched():
    assert len(table()) == 172
    assert {each.severity for each in table().values()} <= set(SEVERITIES)
    assert severity_of(4711, "") == "WATCH"
    assert severity_of(154, "changed from 0x0 (None) to 0x1 (GPU Reset Required)") == "RESET"
    assert severity_of(154, "changed from 0x1 (GPU Reset Required) to 0x0 (None)") == "INFO"
    assert severity_of(145, "RLW_REMAP Nonfatal XC0") == "WATCH"
    assert severity_of(79, "") == "REBOOT"


def test_an_application_that_fails_on_one_gpu_is_its_own_fault_and_several_are_the_gpus():
    line = "[ 1.000000] NVRM: Xid (PCI:0000:38:00): 31, pid={pid}, name={name}, MMU Fault\n"
    one = judge([read(line.format(pid=1, name="train") + line.format(pid=2, name="train"))])
    assert one.verdict == "info"
    several = judge([read(line.format(pid=1, name="train") + line.format(pid=2, name="serve"))])
    assert several.verdict == "warning"


def test_equal_parts_have_no_outlier_and_a_slow_one_is_found():
    assert low_ones({str(at): 100.0 for at in range(8)}) == {}
    assert low_ones({str(at): 100.0 + 0.1 * at for at in range(8)}) == {}
    assert list(low_ones({**{str(at): 100.0 for at in range(7)}, "7": 80.0})) == ["7"]
    assert list(low_ones({**{str(at): 1.0 for at in range(7)}, "7": 1.5}, lower_is_better=True)) == ["7"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1, 1e6), min_size=3, max_size=20), st.floats(0.01, 100))
def test_the_robust_z_does_not_depend_on_the_unit(values, factor):
    assert robust_z([value * factor for value in values]) == pytest.approx(robust_z(values), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("said", "chip", "count", "fabric"),
    [
        ("H100 SXM x8, 8x400G", "H100 SXM", 8, 3200),
        ("8x A100 80GB SXM, 4x100G", "A100 SXM 80GB", 8, 400),
        ("L40S", "L40S", None, None),
    ],
)
def test_what_was_sold_is_read_in_a_persons_words(said, chip, count, fabric):
    sold = expected(said)
    assert (sold.chip, sold.count, sold.fabric_gbps) == (chip, count, fabric)


@pytest.mark.parametrize("said", ["", "a fast one", "H100 SXM x8, and more"])
def test_what_is_not_understood_of_a_sale_is_refused(said):
    with pytest.raises(InputError, match="--as"):
        expected(said)


def test_a_symptom_comes_after_its_cause_and_says_so():
    dead = '{"component": "accelerator-nvidia-fabric-manager", "states": [{"health": "Unhealthy"}]}'
    judgement = judge([read(smi_xml(8, fabric="In Progress")), read(dead)])
    failed = [each for each in judgement.findings if each.outcome == "fail"]
    assert [each.check for each in failed] == ["fabric.manager", "fabric.state"]
    assert failed[1].cause == "fabric.manager"
    assert judgement.verdict == "critical"


def test_what_explains_and_what_is_explained_are_checks():
    assert {name for check in checks().values() for name in check.explains} <= set(checks())
