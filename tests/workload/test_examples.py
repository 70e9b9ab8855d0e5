"""The examples load as they stand, the schema beside them is the command's, and both judge the same specs alike."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from sublet.workload.builtin import models
from sublet.workload.schema import json_schema
from sublet.workload.spec import load_job
from sublet.workload.template import template

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SPECS = sorted(EXAMPLES.glob("*.yaml"))
WANTED = {"mpt-30b", "llama-3-70b", "gpt-3-175b", "mixtral-8x7b", "llama-2-70b-lora", "from-hf-config", "train-tiny"}


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(json_schema())
    return jsonschema.Draft202012Validator(json_schema())


def test_the_promised_examples_are_there():
    assert {path.stem for path in SPECS} == WANTED


@pytest.mark.parametrize("path", SPECS, ids=[path.stem for path in SPECS])
def test_an_example_loads_and_leaves_no_choice_open(path):
    job = load_job(path)
    assert job.name
    assert not [sentence for sentence in job.assumptions if "not given" in sentence]
    first = path.read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=job.schema.json"


@pytest.mark.parametrize("path", SPECS, ids=[path.stem for path in SPECS])
def test_an_example_satisfies_the_schema_of_the_editor(path, validator):
    validator.validate(yaml.safe_load(path.read_text()))


def test_the_schema_beside_the_examples_is_the_one_of_the_command():
    assert json.loads((EXAMPLES / "job.schema.json").read_text()) == json_schema()


def test_the_mpt_30b_example_is_the_published_run():
    job = load_job(EXAMPLES / "mpt-30b.yaml")
    assert (job.tokens, job.sequence, job.precision) == (1e12, 2048, "bf16")


@pytest.mark.parametrize(
    "bad",
    [
        {"model": "mpt-1b", "tokens": "1T", "unknown": 1},
        {"tokens": "1T"},
        {"model": "mpt-1b", "sequence": "long"},
        {"model": "mpt-1b", "precision": "bf17"},
        {"model": "mpt-1b", "layout": {"tp": 0}},
        {"model": {"experts": {"count": 2}}},
        {"model": "mpt-1b", "lora": {}},
        {"model": "mpt-1b", "deadline": None},
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(bad, validator):
    assert not validator.is_valid(bad)


def described(node, path=()):
    """Every property of the schema that has no description."""
    for key, value in node.get("properties", {}).items():
        if "description" not in value:
            yield (*path, key)


def test_every_key_has_a_description_for_the_editor():
    missing = [key for name, part in json_schema()["$defs"].items() for key in described(part, (name,))]
    assert not missing


@pytest.mark.parametrize("name", ["mpt-30b", "llama-3-70b", "mixtral-8x7b", "gpt-2-124m"])
def test_a_new_spec_loads_and_satisfies_the_schema(name, tmp_path, validator):
    path = tmp_path / "job.yaml"
    path.write_text(template(name))
    job = load_job(path)
    assert job.model is models()[name]
    assert not job.assumptions
    validator.validate(yaml.safe_load(path.read_text()))


def uncommented(text):
    """The template with its commented keys made live, one at a time."""
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if line.startswith("  # "):
            yield "\n".join([*lines[:at], "  " + line[4:], *lines[at + 1 :]])
    start = lines.index("# layout:")
    yield "\n".join([*lines[:start], *(line[2:] for line in lines[start:])])


def test_every_commented_key_of_a_new_spec_works(tmp_path):
    path = tmp_path / "job.yaml"
    variants = list(uncommented(template("llama-3-70b")))
    assert len(variants) > 10
    for text in variants:
        path.write_text(text)
        assert load_job(path).model.name == "llama-3-70b"
