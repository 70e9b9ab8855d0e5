import json
import math
from dataclasses import dataclass

import jsonschema
import pytest

from sublet.errors import InputError
from sublet.estimate.measured import Skipped, read_runs
from sublet.estimate.result import Interval
from sublet.estimate.validate import GROUP_KINDS, document, held_out, left_out_key, refitted, validation

STATISTICS = {
    "type": "object",
    "required": ["n", "bias", "mean", "median", "p90", "worst", "coverage_p10_p90", "memory_right"],
    "properties": {"n": {"type": "integer", "minimum": 0}},
}
SCHEMA = {
    "type": "object",
    "required": ["schema", "overall", "groups", "rows", "skipped"],
    "properties": {
        "schema": {"const": "sublet.estimate.validate/1"},
        "overall": STATISTICS,
        "groups": {
            "type": "array",
            "items": {
                **STATISTICS,
                "required": [*STATISTICS["required"], "by", "key"],
                "properties": {"by": {"enum": list(GROUP_KINDS)}, "key": {"type": "string"}},
            },
        },
        "rows": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "measured_step_s", "predicted_step_s", "p10", "p90", "memory_verdict"],
                "properties": {
                    "measured_step_s": {"type": "number", "exclusiveMinimum": 0},
                    "memory_verdict": {"enum": ["fits", "edge", "does not fit"]},
                },
            },
        },
        "skipped": {"type": "array", "items": {"type": "object", "required": ["id", "reason"]}},
    },
}


@dataclass(frozen=True)
class Said:
    step_s: Interval
    memory_verdict: str = "fits"


def interval(middle):
    return Interval(0.8 * middle, middle, 1.25 * middle)


@pytest.fixture
def runs(tmp_path):
    file = tmp_path / "runs.csv"
    file.write_text(
        "id,source,chip,n_chips,framework,model,seq_len,global_batch,precision,tokens_per_s_per_chip,kind\n"
        "a1,A,H100-SXM5-80GB,64,PyTorch FSDP,Llama-2-7B,4096,256,bf16,8000,measured\n"
        "a2,A,A100-SXM4-80GB,64,PyTorch FSDP,Llama-2-7B,4096,256,bf16,4000,measured\n"
        "b1,B,H100-SXM5-80GB,64,PyTorch FSDP,Llama-2-7B,4096,256,bf16,9000,measured\n"
        "b2,B,H100-SXM5-80GB,64,PyTorch FSDP,Llama-2-7B,4096,256,bf16,8500,derived\n"
        "c1,C,A100-SXM4-80GB,64,PyTorch FSDP,Llama-2-7B,2048,256,bf16,4200,measured\n"
    )
    return read_runs(file)[0]


def seen_by_fit(fitted_to):
    """A fit that remembers what it saw, and a predictor that says the measured time and notes what it rested on."""

    def fit(some):
        return frozenset(run.id for run in some)

    def predict(some, fitted):
        for run in some:
            fitted_to[run.id] = fitted
        return [Said(interval(run.step_s)) for run in some]

    return fit, predict


@pytest.mark.parametrize("by", ["source", "chip", "row"])
def test_nothing_that_shares_the_key_is_fitted_to_what_predicts_it(runs, by):
    fitted_to: dict[str, frozenset[str]] = {}
    fit, predict = seen_by_fit(fitted_to)
    predictions = refitted(runs, by, fit, predict)
    assert [said.step_s.p50 for said in predictions] == [run.step_s for run in runs]
    known = {run.id: run for run in runs}
    for run in runs:
        shared = {i for i in known if left_out_key(known[i], by) == left_out_key(run, by)}
        assert not fitted_to[run.id] & shared
        assert fitted_to[run.id] == {i for i in known if known[i].calibrates} - shared


def test_only_measured_rows_are_fitted(runs):
    fitted_to: dict[str, frozenset[str]] = {}
    refitted(runs, "row", *seen_by_fit(fitted_to))
    assert all("b2" not in fitted for fitted in fitted_to.values())


def test_a_held_out_set_is_not_fitted_even_where_it_overlaps(runs):
    fitted_to: dict[str, frozenset[str]] = {}
    fit, predict = seen_by_fit(fitted_to)
    rows = held_out(runs, lambda run: True, lambda run: run.source == "A", fit, predict)
    assert [made.id for made in rows] == ["a1", "a2"]
    assert fitted_to["a1"] == {"b1", "c1"}


def test_an_unknown_way_to_leave_out_is_refused(runs):
    with pytest.raises(InputError, match="colour"):
        left_out_key(runs[0], "colour")


def test_statistics_count_measured_rows_and_every_row_is_listed(runs):
    said = [Said(interval(run.step_s * 1.1)) for run in runs]
    result = validation(runs, said, skipped=[Skipped("x", "no chip is named")])
    assert len(result.rows) == 5
    assert result.overall.n == 4
    assert result.kinds == {"measured": 4, "derived": 1}
    assert validation(runs, said, all_kinds=True).overall.n == 5
    for kind in GROUP_KINDS:
        assert sum(group.statistics.n for group in result.groups if group.by == kind) == 4


def test_groups_hold_what_belongs_to_them(runs):
    said = [Said(interval(run.step_s * (1.5 if run.source == "A" else 1.0))) for run in runs]
    found = {(group.by, group.key): group.statistics for group in validation(runs, said).groups}
    assert found["source", "A"].bias == pytest.approx(0.5)
    assert found["source", "A"].coverage_p10_p90 == 0.0
    assert found["source", "B"].mean == pytest.approx(0.0)
    assert found["chip", "H100 SXM"].n == 2
    assert found["sequence", "2k"].n == 1
    assert found["scale", "9-64"].n == 4
    assert found["size", "5-15 B"].n == 4
    assert found["precision", "bf16"].n == 4


def test_no_time_is_said_rather_than_dropped(runs):
    said = [Said(interval(math.nan), "does not fit")] + [Said(interval(run.step_s)) for run in runs[1:]]
    result = validation(runs, said)
    assert len(result.rows) + len(result.skipped) == len(runs)
    assert "does not fit" in result.skipped[0].reason


def test_the_document_is_what_programs_were_promised(runs):
    said = [Said(interval(run.step_s * 0.9), "edge") for run in runs]
    made = document(validation(runs, said, leave_out="chip", skipped=[Skipped("x", "why")]))
    jsonschema.validate(made, SCHEMA)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["rows"][0]["error"] == pytest.approx(-0.1)


def test_a_document_without_rows_has_nulls_and_no_zeros():
    made = document(validation([], []))
    jsonschema.validate({**made, "overall": {**made["overall"]}}, SCHEMA)
    assert made["overall"]["n"] == 0
    assert made["overall"]["mean"] is None
    json.dumps(made, allow_nan=False)
