"""schemathesis over the whole description, with a token: no 5xx, no undocumented status, answers as described."""

from __future__ import annotations

import contextlib
import json
import os
import re

import pytest
import schemathesis
from api_kit import populated
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sublet.api.app import create_app
from sublet.api.settings import Settings

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("SUBLET_SCHEMA_EXAMPLES", "1"))  # per operation, kind of data and role; 2: every role
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ROLES = ("operator", "house-auditor", "admin", "member", "auditor")
NOT_HERE = {"/v1/events"}  # endless by its nature: test_api_events


@pytest.fixture(scope="module")
def api(module_database):
    database, clock = module_database
    calm = Settings(tick_s=0, access_log=False, actor_s=3600, requests_per_s=1e6, burst=1e6)
    world = populated(database, clock, settings=calm)
    yield world
    world.http.close()


@pytest.fixture(scope="module")
def schema(api):
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(api.house))


PREFIXES = {"prj": "project", "quo": "quote", "nod": "node", "org": "organisation"}


def arguments_of(case, ids, who):
    """What to send: ids of things that are there in place of generated ones, so that routes are walked to their end."""
    if isinstance(case.path_parameters, dict):
        case.path_parameters |= {name: ids[name] for name in case.path_parameters if name in ids and who == "admin"}
    made = case.as_transport_kwargs(base_url="http://sublet.test")
    content = made.get("data")
    if "json" in made:
        text = json.dumps(made["json"])
        content = re.sub(r"(prj|quo|nod|org)_[0-7][0-9A-HJKMNP-TV-Z]{25}", lambda id_: ids[PREFIXES[id_[1]]], text)
    return {
        "method": made["method"],
        "url": made["url"],
        "params": made.get("params"),
        "headers": {"content-type": "application/json", **dict(made.get("headers", {}))},
        "content": content,
    }


POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
QUICK = [("operator", POSITIVE), ("admin", POSITIVE), ("operator", NEGATIVE)]
EVERYONE = [(who, mode) for who in (*ROLES, "other-admin") for mode in (POSITIVE, NEGATIVE)]


@pytest.mark.parametrize(("who", "mode"), QUICK if EXAMPLES == 1 else EVERYONE)
def test_whatever_is_sent_the_answer_is_a_documented_one(api, schema, who, mode):
    walked = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in NOT_HERE:
            continue

        @seed(1)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case):
            nonlocal walked
            walked += 1
            sent = arguments_of(case, api.ids, who)
            sent["headers"]["authorization"] = f"Bearer {api.secrets[who]}"
            answer = api.http.request(**sent)
            case.validate_response(answer, checks=CHECKS)

        with contextlib.suppress(Unsatisfiable):  # nothing wrong can be sent where nothing is sent
            send()
    assert walked > 60
