"""Idempotency keys on every route that changes something: the same request acts once, another is refused."""

from __future__ import annotations

import copy
import json
import re
from datetime import timedelta
from urllib.parse import quote

import pytest
from api_kit import key, populated

from sublet.broker.tenants.rights import OPERATOR, RIGHTS

pytestmark = pytest.mark.slow

READS = {"GET"}
FIRST = ("/v1/nodes/{node}/qualify", "/v1/maintenance/{window}")  # while nothing else holds the node, and after that
LAST = ("/v1/leases/{lease}/end", "/v1/nodes/{node}/outage", "/v1/contracts/{contract}/return")  # what ends the rest


@pytest.fixture
def world(database, clock):
    made = populated(database, clock)
    yield made
    made.http.close()


def example(document, operation, ids):
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        return None
    name = content["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
    text = json.dumps(document["components"]["schemas"][name]["examples"][-1])
    swap = {"prj": ids["project"], "quo": ids["quote"], "nod": ids["node"], "org": ids["organisation"]}
    return json.loads(re.sub(r"(prj|quo|nod|org)_[0-9A-Z]{26}", lambda found: swap[found[1]], text))


def address(path, ids):
    return re.sub(r"\{(\w+)\}", lambda name: quote(ids[name[1]]), path)


def other(body):
    """The body with one of its words or numbers changed."""
    changed = copy.deepcopy(body)
    for name, value in changed.items():
        if isinstance(value, str) and not re.match(r"\w{3}_[0-9A-Z]{26}$|\d{4}-\d\d-\d\dT", value):
            return changed | {name: value[:-1] + ("1" if value[-1] != "1" else "2")}
        if type(value) is int:
            return changed | {name: value + 1}
    return changed | {"reason": "another"}


def pending(world):
    """An order that waits for an approval."""
    project = world.ids["project"]
    world.ok(world.patch(f"/v1/projects/{project}", {"needs_approval": True}))
    wish = {"project": project, "machines": {"shape": "8xH100", "nodes": 1, "hours": "1"}}
    quoted = world.ok(world.post("/v1/quotes", wish, "member"))["quotes"][0]["id"]
    return {"order": world.ok(world.post("/v1/orders", {"quote": quoted}, "member"))["id"]}


def at(hours):
    """A body that names a time so many hours from now."""
    return lambda world: {"until": (world.clock.now() + timedelta(hours=hours)).isoformat()}


IDS = {"approve": pending, "reject": pending, "cancel": pending}  # by the last word of a path
BODIES = {"extend": at(12), "shorten": at(5)}


def changes(document):
    """Every operation that changes something, those first and last that have to be."""
    found = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method.upper() not in READS
    ]
    order = (*FIRST, "", *LAST)
    return sorted(found, key=lambda each: order.index(each[1] if each[1] in order else ""))


def test_every_change_takes_a_key(world):
    for method, path, operation in changes(world.get("/openapi.json", None).json()):
        names = {each["name"].lower() for each in operation["parameters"]}
        assert "idempotency-key" in names, f"{method} {path}"


def test_the_same_request_acts_once_and_another_under_its_key_is_refused(world):
    document = world.get("/openapi.json", None).json()
    walked = 0
    for method, path, operation in changes(document):
        who = "operator" if RIGHTS[operation["x-sublet-action"]] == OPERATOR else "admin"
        word = path.rsplit("/", 1)[1]
        ids = world.ids | IDS.get(word, lambda _: {})(world)
        where = address(path, ids)
        body = BODIES[word](world) if word in BODIES else example(document, operation, ids)
        mine = key()
        send = {"headers": mine, **({} if body is None else {"json": body})}
        first = world.send(method, where, who, **send)
        assert first.status_code < 300, f"{method} {path}: {first.status_code} {first.text}"
        walked += 1
        acts = world.get("/v1/audit/verify", "operator").json()["entries"]
        again = world.send(method, where, who, **send)
        assert again.status_code == first.status_code, f"{method} {path}: {again.text}"
        assert again.headers["idempotent-replayed"] == "true", f"{method} {path}"
        shown = {**first.json(), **({"secret": None} if "secret" in first.json() else {})}
        assert again.json() == shown, f"{method} {path}"
        assert world.get("/v1/audit/verify", "operator").json()["entries"] == acts, f"{method} {path} acted twice"
        if body is None:
            refused = world.send(method, f"{where}?again=1", who, headers=mine)
        else:
            refused = world.send(method, where, who, headers=mine, json=other(body))
        assert refused.status_code in (409, 422), f"{method} {path}: {refused.status_code} {refused.text}"
        assert world.get("/v1/audit/verify", "operator").json()["entries"] == acts, f"{method} {path}"
    assert walked >= 30
