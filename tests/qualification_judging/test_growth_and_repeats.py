"""Counters over time, repeats of a measurement, and a node against its fleet."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _recorded_node import all_reduce, outputs, smi_xml
from sublet.qualification.judging.catalogue import finding
from sublet.qualification.judging.grade import grade_of
from sublet.qualification.judging.growth import Counters, counters_of, judge
from sublet.qualification.judging.judge import judge as judge_node
from sublet.qualification.judging.repeats import judge_against_fleet, percentile, shortfall, spread
from sublet.qualification.reading.detect import read

HOUR = 3600.0
RATES = st.lists(st.floats(1, 1000), min_size=1, max_size=30)


def port(**counts):
    tree = {"mlx5_0/ports/1/state": "4: ACTIVE", "mlx5_0/ports/1/rate": "400 Gb/sec"}
    tree |= {f"mlx5_0/ports/1/counters/{name}": str(count) for name, count in counts.items()}
    return read(json.dumps(tree))


def grown(before, after, hours=1.0):
    found = judge(counters_of([before], 0.0), counters_of([after], hours * HOUR))
    return {each.check: (each.outcome, each.severity) for each in found}


def test_a_counter_that_stands_is_well_however_high_it_is():
    assert grown(port(link_downed=255), port(link_downed=255)) == {"ib.flap": ("pass", "ISOLATE")}


def test_a_link_that_went_down_once_is_watched_and_one_that_flaps_is_a_failure():
    assert grown(port(link_downed=255), port(link_downed=256)) == {"ib.flap": ("fail", "WATCH")}
    assert grown(port(link_downed=255), port(link_downed=275)) == {"ib.flap": ("fail", "ISOLATE")}


def test_errors_are_judged_by_their_rate():
    assert grown(port(symbol_error=0), port(symbol_error=100))["ib.errors"][0] == "pass"
    assert grown(port(symbol_error=0), port(symbol_error=100), hours=0.1)["ib.errors"][0] == "fail"


def test_a_counter_that_was_set_back_counts_from_nothing():
    assert grown(port(link_downed=9), port(link_downed=0))["ib.flap"][0] == "pass"
    assert grown(port(link_downed=9), port(link_downed=1))["ib.flap"][0] == "fail"


def test_one_uncorrected_error_more_is_a_failure_of_that_gpu():
    found = judge(counters_of([read(smi_xml(8))], 0.0), counters_of([read(smi_xml(8, dram=1))], 60.0))
    (told,) = [each for each in found if each.outcome == "fail"]
    assert (told.check, told.severity, len(told.where)) == ("ecc.uncorrectable", "RESET", 8)


def test_what_only_one_reading_has_decides_nothing_and_time_must_pass():
    assert judge(Counters(0.0, {}), counters_of([port(link_downed=3)], 60.0)) == []
    with pytest.raises(ValueError, match="not after"):
        judge(Counters(5.0, {}), Counters(5.0, {}))


@given(RATES, st.floats(0.1, 1.0))
def test_a_node_that_is_slower_by_a_factor_falls_short_by_its_complement_of_the_mean(fleet, factor):
    node = [rate * factor for rate in fleet]
    expected = (1 - factor) * sum(fleet) / len(fleet) / percentile(fleet, 0.5)
    assert shortfall(node, fleet) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(RATES, st.floats(1.0, 3.0))
def test_a_faster_node_never_falls_short(fleet, factor):
    assert shortfall([rate * factor for rate in fleet], fleet) == pytest.approx(0, abs=1e-9)


@given(RATES, st.floats(0.01, 100))
def test_spread_does_not_depend_on_the_unit(values, factor):
    assert spread([value * factor for value in values]) == pytest.approx(spread(values), abs=1e-9)


def test_a_node_against_its_fleet():
    fleet = [440.0 + index for index in range(16)]
    assert judge_against_fleet("all-reduce", [447.0] * 3, fleet).outcome == "pass"
    assert judge_against_fleet("all-reduce", [400.0] * 3, fleet).outcome == "fail"
    assert judge_against_fleet("all-reduce", [400.0] * 3, fleet[:4]).outcome == "incomplete"
    good = judge_against_fleet("all-reduce", [520.0] * 3, fleet)
    assert (good.check, good.outcome) == ("perf.too_good", "incomplete")


def test_unsteady_repeats_cost_a_letter_and_steady_ones_nothing():
    def node(rates):
        texts = [*outputs().values(), *(all_reduce({1024: rate}) for rate in rates)]
        return judge_node([read(text) for text in texts])

    steady, unsteady = node([446.0, 447.0, 445.0]), node([446.0, 480.0, 420.0])
    outcomes = {each.check: each.outcome for each in unsteady.findings}
    assert outcomes["perf.stability"] == "fail"
    assert {each.check: each.outcome for each in steady.findings}["perf.stability"] == "pass"


def test_a_letter_lower_is_never_better():
    from sublet.qualification.judging.catalogue import checks

    full = [finding(name, "pass", "", efficiency=0.98) for name, check in checks().items() if check.required]
    assert grade_of(full) == "A"
    assert grade_of([*full, finding("perf.stability", "fail", "")]) == "B"


def test_one_gpu_that_is_slower_than_its_siblings_is_a_straggler_though_it_meets_the_line():
    rows = "".join(f"cpu_to_gpu{gpu}_by_dma_under_numa0 {24.0 if gpu == 5 else 26.0 + gpu / 100}\n" for gpu in range(8))
    (told,) = [each for each in judge_node([read(rows)]).findings if each.check == "perf.straggler"]
    assert told.where == ("GPU 5",)
