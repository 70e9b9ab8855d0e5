"""Policy files: what ships is valid, what is wrong is refused with its line."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from sublet.allocation.policy import Backfill, Caps, Order, Policy, Tier
from sublet.allocation.policy_file import DATA, builtin_policies, load_policy, parse_policy
from sublet.allocation.policy_schema import json_schema
from sublet.errors import InputError

HEAD = "schema: sublet-policy-1\nname: mine\nversion: 1\n"


@pytest.mark.parametrize("name", builtin_policies())
def test_what_ships_is_valid_named_after_its_file_and_fits_the_schema(name):
    policy = load_policy(name)
    assert policy.name == name
    assert policy.summary
    jsonschema.validate(yaml.safe_load((DATA / f"{name}.yaml").read_text()), json_schema())


def test_the_four_names_of_the_command_line_are_there():
    assert {"fcfs", "easy", "conservative", "sublet"} <= set(builtin_policies())


def test_a_file_becomes_the_value_it_describes(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        HEAD + "order: {by: smallest-area, oldest_first_after: 12h}\ntiers: [{name: a, share: 0.5}]\n"
        "caps: {concurrent: 0.25}\nbackfill: {reservations: 4}\n"
    )
    assert load_policy(str(path)) == Policy(
        "mine",
        order=Order("smallest-area", oldest_first_after_s=43_200.0),
        tiers=(Tier("a", share=0.5),),
        caps=Caps(0.25),
        backfill=Backfill(reservations=4),
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEAD + "ordr: {}\n", "p.yaml:4: ordr is not a key of a policy"),
        (HEAD + "order:\n  by: fastest\n", "p.yaml:5: order.by is 'fastest'"),
        (HEAD + "backfill:\n  reservations: 0\n", "p.yaml:5: backfill.reservations is 0"),
        (HEAD + "tiers:\n  - {name: a, share: 0.7}\n  - {name: b, share: 0.7}\n", "p.yaml:4?.*add up to more than"),
        (HEAD + "tiers:\n  - name: a\n    share: 2\n", "p.yaml:6: tiers\\[0\\].share is 2"),
        (HEAD + "order: {by: patience}\n", "order.patience is given exactly when"),
        (HEAD + "order: {by: submitted, oldest_first_after: 12}\n", "oldest_first_after is 12"),
        (HEAD + "order: {by: submitted, oldest_first_after: 12m}\n", "may be minutes or months"),
        ("name: mine\nversion: 1\n", "schema is missing"),
        (HEAD + "backfill: {method: conservative}\norder: {by: shortest}\n", "plans every job in the order"),
        ("a: [1\n", "this is not YAML"),
        ("just text\n", "a policy is a mapping"),
        ("", "a policy is a mapping"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(text, sentence):
    with pytest.raises(InputError, match=sentence):
        parse_policy(text, "p.yaml")


def test_an_unknown_name_is_refused_with_those_that_are_there():
    with pytest.raises(InputError, match="no policy 'eazy': give a file, or one of conservative, easy"):
        load_policy("eazy")


def test_the_schema_is_json_and_refuses_what_the_reader_refuses():
    schema = json.loads(json.dumps(json_schema()))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"schema": "sublet-policy-1", "name": "a", "version": 1, "ordr": {}}, schema)
