"""`sublet workload`: what is printed, what is JSON, and that a refusal is one line with exit code 2."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sublet.cli import cli, main
from sublet.errors import InputError
from sublet.workload.builtin import models
from sublet.workload.schema import json_schema
from sublet.workload.spec import job_from_mapping, load_job

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(*arguments):
    """Output of a command that succeeds."""
    result = CliRunner().invoke(cli, ["workload", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments):
    with pytest.raises(InputError) as refusal:
        CliRunner().invoke(cli, ["workload", *map(str, arguments)], catch_exceptions=False, standalone_mode=False)
    return str(refusal.value)


def test_init_writes_a_spec_that_check_understands(tmp_path):
    path = tmp_path / "job.yaml"
    assert str(path) in run("init", path, "--model", "llama-2-7b")
    assert load_job(path).model.name == "llama-2-7b"
    assert "llama-2-7b" in run("check", path)


def test_init_without_a_path_prints_the_spec():
    assert run("init").splitlines()[0].startswith("# yaml-language-server")
    assert "model: mpt-30b" in run("init")


def test_init_never_writes_over_a_file(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text("mine")
    assert "exists already" in refused("init", path)
    assert path.read_text() == "mine"


def test_init_into_a_folder_that_is_not_there_is_refused(tmp_path):
    assert "cannot be written" in refused("init", tmp_path / "no" / "job.yaml")


def test_init_with_an_unknown_model_writes_nothing(tmp_path):
    assert "no built-in model is called 'mpt-31b'" in refused("init", tmp_path / "job.yaml", "--model", "mpt-31b")
    assert not (tmp_path / "job.yaml").exists()


def test_check_says_what_was_understood():
    shown = run("check", EXAMPLES / "gpt-3-175b.yaml")
    for words in (
        "GPT-3 175B: pre-training of gpt-3-175b",
        "175 B",
        "300 B in 95,367 steps",
        "1,536 sequences of 2,048 = 3.15 M tokens",
        "3.19e+23",
        "bf16, Megatron, adamw",
        "349 GB",
        "2.79 TB",
        "at most 90 days",
        "taken as 1,536 sequences",
    ):
        assert words in shown


def test_check_of_lora_shows_adapters_and_their_smaller_state():
    shown = run("check", EXAMPLES / "llama-2-70b-lora.yaml")
    assert "65.5 M, rank 16 on q, k, v, o" in shown
    assert "139 GB" in shown  # 138 GB of frozen weights and little else
    assert "at most 2,000 USD" in shown


def test_check_shows_every_constraint(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(
        "model: mpt-1b\ntokens: 1B\nlayout: {tp: 2}\n"
        "constraints: {counts: [8, 1024], regions: eu, avoid_providers: vast,"
        " accelerators: H100 SXM, country: DE, on: 2024-01-31}\n"
    )
    shown = run("check", path)
    for words in (
        "8, 1,024 accelerators",
        "regions eu",
        "no vast",
        "accelerators H100 SXM",
        "user in DE",
        "2024-01-31",
    ):
        assert words in shown
    assert "tp 2" in shown


def test_check_as_json_holds_the_job_again():
    for path in EXAMPLES.glob("*.yaml"):
        document = json.loads(run("check", path, "--json"))
        assert document["schema"] == "sublet.workload.check/1"
        job = load_job(path)
        again = job_from_mapping(document["job"])
        assert (again.tokens, again.global_batch, again.constraints) == (job.tokens, job.global_batch, job.constraints)
        assert document["assumptions"] == list(job.assumptions)
        assert document["flop"] == pytest.approx(document["flop_per_token"] * job.tokens)
        assert document["bytes"].keys() == {"weights", "gradients", "optimizer"}
        assert document["parameters"]["active"] <= document["parameters"]["total"]


def test_schema_is_the_json_schema():
    assert json.loads(run("schema")) == json_schema()


def test_models_lists_all_or_those_that_hold_the_words():
    everything = run("models").splitlines()
    assert len(everything) == len(models()) + 2
    found = run("models", "Mixtral", "8x7").splitlines()
    assert [line.split()[0] for line in found[1:-1]] == ["mixtral-8x7b"]
    assert "46.7 B  12.9 B" in found[1]
    assert "no built-in model has 'zzz'" in refused("models", "zzz")


def test_models_as_json_has_both_counts_and_their_sources():
    document = json.loads(run("models", "--json"))
    assert document["schema"] == "sublet.workload.models/1"
    assert {row["name"] for row in document["models"]} == set(models())
    for row in document["models"]:
        assert row["published_parameters"]
        assert row["published_source"]


@pytest.mark.parametrize("text", ["model: mpt-30b\ntokens: 1X\n", "model: mpt-30b\ntoken: 1T\n", "", "{"])
def test_a_bad_spec_is_one_line_on_stderr_and_exit_code_2(text, tmp_path, capsys, monkeypatch):
    path = tmp_path / "job.yaml"
    path.write_text(text)
    monkeypatch.setattr(sys, "argv", ["sublet", "workload", "check", str(path)])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert shown.err.count("\n") == 1
    assert str(path) in shown.err
