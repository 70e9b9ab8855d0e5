"""The gate judges values: every check can fail, every missing figure is unknown, and unknown is never healthy."""

from __future__ import annotations

import copy
import json
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.errors import InputError
from sublet.providers.protocol import CPU_ACCELERATOR, NodeFacts
from sublet.qualification import figures, gate, rehearsal
from sublet.qualification.checks import CHECKS
from sublet.qualification.observe import read_report
from sublet.qualification.rules import rules
from sublet.qualification.values import Observation, Reference, Sold

SOLD = Sold("H100 SXM", 8, 192, 2e12)
FACTS = NodeFacts("ref", "running", cpus=192.0, memory_bytes=2e12, accelerators=("NVIDIA H100 80GB HBM3",) * 8)


@pytest.fixture
def good():
    """The observation of a healthy node of eight H100."""
    answer = rehearsal.respond(FACTS, ("python", "-m", "sublet.qualification.probe", "--json"))
    now = time.time()
    return read_report(answer.output, now - 1, now + 1)


def changed(seen, measure, **figures):
    """`seen` with other figures in one measure; a figure of None is left out."""
    measures = copy.deepcopy(dict(seen.measures))
    measures[measure] = {k: v for k, v in {**measures[measure], **figures}.items() if v is not None}
    return Observation(measures, seen.started_at, seen.asked_at, seen.answered_at)


def finding(verdict, name):
    return next(finding for finding in verdict.findings if finding.id == name)


def test_a_healthy_node_passes_with_full_coverage(good):
    verdict = gate.judge(SOLD, good, claimed=FACTS.accelerators)
    assert (verdict.verdict, verdict.coverage, verdict.accepts) == ("pass", 1.0, True)
    assert [finding.id for finding in verdict.findings] == list(rules()) == list(CHECKS)
    assert verdict.reason == "every check passed"
    assert verdict.measured["gemm_fp32_flops"] == rehearsal.RATES["gemm_fp32"]


BAD: dict[str, tuple[str, dict]] = {
    "identity": ("identity", {"accelerators": ["NVIDIA A100-SXM4-80GB"] * 8}),
    "cpu.count": ("cpu", {"cpus": 96.0}),
    "memory.size": ("memory", {"bytes": 1.8e12}),
    "memory.intact": ("memory", {"intact": False}),
    "gemm.fp32": ("gemm_fp32", {"relative_error": 1e-3}),
    "gemm.fp64": ("gemm_fp64", {"relative_error": 1e-6}),
    "memory.bandwidth": ("triad", {"intact": False}),
    "disk": ("disk", {"write_bytes_per_s": 1e6}),
    "disk.intact": ("disk", {"intact": False}),
    "network.loopback": ("loopback", {"intact": False}),
    "clock.steady": ("clock", {"went_back": True}),
    "steady": ("triad", {"spread": 0.9}),
}


@pytest.mark.parametrize("name", list(BAD))
def test_each_check_fails_where_its_node_is_bad(good, name):
    measure, bad = BAD[name]
    verdict = gate.judge(SOLD, changed(good, measure, **bad))
    assert finding(verdict, name).outcome == "fail"
    assert verdict.verdict == rules()[name].severity
    assert [f.id for f in verdict.findings if f.outcome == "fail"] == [name]
    assert name in verdict.reason


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
def test_a_clock_that_is_off_fails(good, seconds):
    seen = Observation(good.measures, good.started_at + seconds, good.asked_at, good.answered_at)
    verdict = gate.judge(SOLD, seen)
    assert finding(verdict, "clock.offset").outcome == "fail"
    assert verdict.verdict == "critical"


def test_the_providers_own_word_can_fail_the_identity(good):
    verdict = gate.judge(SOLD, good, claimed=("NVIDIA H100 80GB HBM3",) * 7)
    assert finding(verdict, "identity").outcome == "fail"
    assert "7 x" in finding(verdict, "identity").found


def test_fewer_accelerators_on_the_node_than_sold_fail(good):
    verdict = gate.judge(SOLD, changed(good, "identity", accelerators=["NVIDIA H100 80GB HBM3"] * 7))
    assert finding(verdict, "identity").outcome == "fail"


def test_an_accelerator_that_no_driver_names_is_unknown(good):
    measures: dict = copy.deepcopy(dict(good.measures))
    measures["identity"]["accelerators"] = None
    verdict = gate.judge(SOLD, Observation(measures, good.started_at, good.asked_at, good.answered_at))
    assert finding(verdict, "identity").outcome == "incomplete"
    assert (verdict.verdict, verdict.accepts) == ("unknown", False)


def test_a_processor_that_was_sold_as_such_needs_no_driver(good):
    sold = Sold(CPU_ACCELERATOR, 1, 192, 2e12)
    assert gate.judge(sold, good, claimed=(CPU_ACCELERATOR,)).verdict == "pass"
    assert gate.judge(sold, good, claimed=()).verdict == "critical"


def test_a_rate_is_judged_against_its_reference_where_there_is_one(good):
    rate = rehearsal.RATES["gemm_fp32"]
    assert gate.judge(SOLD, good, reference=Reference(gemm_fp32_flops=rate / 0.91)).verdict == "pass"
    verdict = gate.judge(SOLD, good, reference=Reference(gemm_fp32_flops=rate / 0.89))
    assert verdict.verdict == "critical"
    assert "89%" in finding(verdict, "gemm.fp32").found
    slow = gate.judge(SOLD, good, reference=Reference(memory_bytes_per_s=2 * rehearsal.RATES["triad"]))
    assert slow.verdict == "warning"
    assert slow.accepts


@pytest.mark.parametrize("measure", ["identity", "cpu", "memory", "gemm_fp32", "disk"])
def test_a_critical_measure_that_was_not_made_is_unknown_and_not_healthy(good, measure):
    for answer in ({}, {"error": "OSError: no"}):
        measures = {**good.measures, measure: answer}
        verdict = gate.judge(SOLD, Observation(measures, good.started_at, good.asked_at, good.answered_at))
        assert verdict.verdict == "unknown"
        assert not verdict.accepts
        assert verdict.coverage < 1


def test_a_lesser_measure_that_was_not_made_is_at_best_a_warning(good):
    measures = {name: value for name, value in good.measures.items() if name != "loopback"}
    verdict = gate.judge(SOLD, Observation(measures, good.started_at, good.asked_at, good.answered_at))
    assert verdict.verdict == "warning"
    assert "network.loopback" in verdict.reason


def test_a_critical_failure_is_critical_whatever_else_is_unknown(good):
    seen = changed(good, "memory", intact=False)
    measures = {name: value for name, value in seen.measures.items() if name != "gemm_fp32"}
    assert gate.judge(SOLD, Observation(measures)).verdict == "critical"


def test_no_answer_at_all_is_unknown():
    verdict = gate.judge(SOLD, Observation(error="the node could not be measured: down"))
    assert (verdict.verdict, verdict.coverage, dict(verdict.measured)) == ("unknown", 0.0, {})
    assert "down" in verdict.reason


JUNK = st.one_of(
    st.none(), st.booleans(), st.text(max_size=3), st.floats(), st.lists(st.integers(), max_size=2), st.just(math.nan)
)
PLACES = [
    ("cpu", "cpus"),
    ("memory", "bytes"),
    ("memory", "intact"),
    ("memory", "touched_bytes"),
    ("gemm_fp32", "relative_error"),
    ("disk", "intact"),
]


@settings(max_examples=40, deadline=None)
@given(place=st.sampled_from(PLACES), junk=JUNK)
def test_junk_in_a_critical_figure_is_never_a_pass_by_accident(place, junk):
    """A figure that is no figure leaves its check undecided or failed; a number is judged as the number it is."""
    answer = rehearsal.respond(FACTS, ("sublet.qualification.probe",))
    now = time.time()
    seen = read_report(answer.output, now - 1, now + 1)
    measures: dict = copy.deepcopy(dict(seen.measures))
    measures[place[0]][place[1]] = junk
    verdict = gate.judge(SOLD, Observation(measures, seen.started_at, seen.asked_at, seen.answered_at))
    is_number = isinstance(junk, float) and math.isfinite(junk)
    is_flag = isinstance(junk, bool) and place[1] == "intact"
    if not is_number and not is_flag:
        assert not verdict.accepts
    json.dumps(dict(verdict.measured), allow_nan=False)


@pytest.mark.parametrize(
    "output", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"schema": 2}', b'{"schema": 1, "measures": [1]}']
)
def test_an_answer_that_is_no_report_is_an_observation_that_says_so(output):
    seen = read_report(output, 0.0, 1.0)
    assert seen.error
    assert gate.judge(SOLD, seen).verdict == "unknown"


def test_rules_say_why_and_where_from():
    for rule in rules().values():
        assert rule.why
        assert rule.rule
        assert rule.source
        assert rule.severity in ("critical", "warning", "info")
        assert "{" not in rule.rule


def test_measured_figures_become_an_accelerator_and_a_fabric(good):
    measured = gate.judge(SOLD, good).measured
    chip = figures.accelerator_of(measured)
    assert chip.name == CPU_ACCELERATOR
    assert chip.peak("fp32") == rehearsal.RATES["gemm_fp32"]
    assert chip.memory_bytes_per_s == rehearsal.RATES["triad"]
    assert chip.memory_bytes == 2e12
    assert chip.peak("bf16") is None
    assert "measured" in chip.sources["peak_flops"]
    fabric = figures.fabric_of(measured)
    assert (fabric.domain, fabric.scale_up_bytes_per_s) == (1, 3e9)
    assert figures.shape_of(measured, provider="local", shape="local").vcpus == 192


def test_what_was_not_measured_makes_no_accelerator():
    with pytest.raises(InputError, match="gemm_fp32_flops was not measured"):
        figures.accelerator_of({"memory_bytes": 1e9})


@pytest.mark.parametrize(
    ("share", "load_1", "load_5", "part", "expected"),
    [
        (1.0, 0.0, 0.0, 0.5, (1, 1, 1)),  # alone
        (0.5, 0.5, 0.5, 0.5, (1, 2**0.5, 2)),  # busy now, though the last minutes were not
        (1.0, 2.5, 0.0, 0.5, (1, 3**0.5, 3)),  # quiet now, and busy a minute ago
        (1.0, 0.0, 3.5, 0.5, (1, 1, 4)),  # and five minutes ago
        (None, 9.0, 9.0, 1.0, (1, 1, 1)),  # nothing was measured: nothing is said
    ],
)
def test_sharing_widens_what_is_promised(share, load_1, load_5, part, expected):
    measured = {"load_1_per_core": load_1, "load_5_per_core": load_5, "part_of_machine": part}
    slow = figures.slowdown_of(measured if share is None else {**measured, "core_share": share})
    assert (slow.best, slow.expected, slow.worst) == pytest.approx(expected)
    assert slow.best <= slow.expected <= slow.worst
    assert ("of its cores" in slow.sentence) == (share is not None)


def test_the_rate_of_a_shared_processor_is_the_one_that_it_has_alone(good):
    measured = dict(gate.judge(SOLD, good).measured)
    measured |= {"gemm_fp32_flops": 2e11, "gemm_fp32_best_flops": 4e11, "unshared_fp32_flops": 9e11}
    assert figures.accelerator_of(measured).peak_flops["fp32"] == 9e11
