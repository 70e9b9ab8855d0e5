"""Every route as no one, as the wrong tenant, and with each role: what the rights table says is what happens."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from urllib.parse import quote

import pytest
from api_kit import key, populated

from sublet.api import routes
from sublet.broker.tenants.rights import HOUSE, OPERATOR, RIGHTS

NOBODYS = "00000000000000000000000000"
OPEN = {"/healthz", "/readiness"}
ROLES = {"operator": "operator", "house-auditor": "auditor", "admin": "admin", "member": "member", "auditor": "auditor"}


@pytest.fixture(scope="module")
def world(module_database):
    database, clock = module_database
    made = populated(database, clock)
    yield made
    made.http.close()


@pytest.fixture(scope="module")
def document(world):
    return world.get("/openapi.json", None).json()


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def address(path, ids):
    return re.sub(r"\{(\w+)\}", lambda name: quote(ids[name[1]]), path)


def body(document, operation, ids):
    """The example of the description, with this world's ids in it."""
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        return None
    name = content["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
    text = json.dumps(document["components"]["schemas"][name]["examples"][-1])
    swap = {"prj": ids["project"], "quo": ids["quote"], "nod": ids["node"], "org": ids["organisation"]}
    text = re.sub(r"(prj|quo|nod|org)_[0-9A-Z]{26}", lambda found: swap[found[1]], text)
    return json.loads(text)


def ask(world, document, method, path, operation, who, ids=None):
    ids = ids or world.ids
    options = {} if (wish := body(document, operation, ids)) is None else {"json": wish}
    query = {"follow": "false", "after": "0"} if path == "/v1/events" else {}
    return world.send(method, address(path, ids), who, params=query, headers=key(), **options)


def test_every_route_names_its_action_and_every_body_has_an_example(document):
    for method, path, operation in operations(document):
        if path not in OPEN:
            assert operation["x-sublet-action"] in RIGHTS, f"{method} {path}"
            assert operation["security"] == [{"token": []}], f"{method} {path}"
        body(document, operation, {"project": "", "quote": "", "node": "", "organisation": ""})


def test_the_description_holds_every_route_of_every_room(document):
    """What is walked below is what there is: a route that is left out of the description would be walked by no test."""
    made = set()
    for found in pkgutil.iter_modules(routes.__path__):
        router = getattr(importlib.import_module(f"{routes.__name__}.{found.name}"), "router", None)
        prefix = "" if found.name == "health" else "/v1"
        made |= {(method, prefix + each.path) for each in getattr(router, "routes", ()) for method in each.methods}
    assert len(made) > 70
    assert made == {(method, path) for method, path, _ in operations(document)}


def test_no_one_reaches_anything_but_health(world, document):
    for method, path, operation in operations(document):
        answer = ask(world, document, method, path, operation, None)
        assert answer.status_code == (200 if path in OPEN else 401), f"{method} {path}: {answer.text}"


def test_a_role_that_the_table_leaves_out_is_forbidden_and_changes_nothing(world, document):
    before = world.get("/v1/audit/verify", "operator").json()["entries"]
    walked = 0
    for method, path, operation in operations(document):
        allowed = RIGHTS.get(operation.get("x-sublet-action", ""), tuple(ROLES.values()))
        for who, role in ROLES.items():
            houses = allowed in (HOUSE, OPERATOR) and who not in ("operator", "house-auditor")
            if path not in OPEN and (role not in allowed or houses):
                answer = ask(world, document, method, path, operation, who)
                assert answer.status_code == 403, f"{method} {path} as {who}: {answer.status_code} {answer.text}"
                walked += 1
    assert walked > 60
    assert world.get("/v1/audit/verify", "operator").json()["entries"] == before


TENANTS = {"organisation", "project", "token", "quote", "order", "lease", "run", "webhook"}
HOUSES = {"contract", "node", "window", "group"}


@pytest.mark.parametrize("who", ["other-admin", "other-member", "other-auditor"])
def test_another_tenants_things_do_not_exist(world, document, who):
    """Where the role reaches the action, it is 404, in the very words for what does not exist; else 403, as ever."""
    walked = 0
    nobodys = {name: f"{value.split('_')[0]}_{NOBODYS}" for name, value in world.ids.items()}
    for method, path, operation in operations(document):
        names = set(re.findall(r"\{(\w+)\}", path))
        assert names <= TENANTS | HOUSES, f"{path}: say in this test whose things {names} are"
        if not names & TENANTS:
            continue
        allowed = RIGHTS[operation["x-sublet-action"]]
        reached = who.removeprefix("other-") in allowed and allowed not in (HOUSE, OPERATOR)
        answer = ask(world, document, method, path, operation, who)
        assert answer.status_code == (404 if reached else 403), f"{method} {path}: {answer.status_code} {answer.text}"
        absent = ask(world, document, method, path, operation, who, nobodys)
        assert absent.status_code == answer.status_code, f"{method} {path}: {absent.text}"
        assert absent.json()["detail"] == answer.json()["detail"], f"{method} {path}: the two are told apart"
        walked += reached
    assert walked >= 12


@pytest.mark.parametrize("path", ["/v1/leases", "/v1/orders", "/v1/quotes", "/v1/usage", "/v1/costs", "/v1/receipts"])
def test_another_tenants_project_does_not_exist_as_a_filter_either(world, path):
    assert world.get(path, "admin", params={"project": world.ids["project"]}).status_code == 200
    assert world.get(path, "other-admin", params={"project": world.ids["project"]}).status_code == 404
    assert world.get(path, "other-admin").json()["items"] == []


def test_another_tenant_sees_nothing_in_any_list(world, document):
    seen = json.dumps(world.ids)
    mine = [value for name, value in world.ids.items() if not name.startswith("other-")]
    for method, path, operation in operations(document):
        if method == "GET" and "{" not in path and path not in OPEN:
            answer = ask(world, document, method, path, operation, "other-admin")
            found = [value for value in mine if value in answer.text]
            assert not found, f"{path} shows {found} of {seen}"


def test_a_body_that_names_anothers_thing_finds_nothing(world):
    wish = {"project": world.ids["project"], "machines": {"shape": "8xH100", "nodes": 1, "hours": "1"}}
    assert world.post("/v1/quotes", wish, "other-admin").status_code == 404
    assert world.post("/v1/orders", {"quote": world.ids["quote"]}, "other-admin").status_code == 404
    organisation = {"organisation": world.ids["organisation"]}
    for path, wish in (
        ("/v1/projects", {"name": "x"}),
        ("/v1/people", {"name": "x", "email": "x@example.org", "role": "member"}),
        ("/v1/tokens", {"name": "x", "role": "member"}),
        ("/v1/webhooks", {"url": "https://example.org/x"}),
    ):
        assert world.post(path, wish | organisation, "other-admin").status_code == 404, path


def test_a_token_of_one_project_sees_no_other(world):
    other = world.ok(world.post("/v1/projects", {"name": "apart"}))["id"]
    made = world.ok(world.post("/v1/tokens", {"name": "one", "role": "admin", "project": other}))
    world.secrets["apart"] = made["secret"]
    assert [each["id"] for each in world.ok(world.get("/v1/projects", "apart"))["items"]] == [other]
    for name in ("lease", "order", "quote"):
        assert world.get(f"/v1/{name}s/{world.ids[name]}", "apart").status_code == 404
    for path in ("/v1/leases", "/v1/orders", "/v1/quotes", "/v1/usage", "/v1/receipts", "/v1/webhooks"):
        assert world.ok(world.get(path, "apart"))["items"] == [], path
    told = world.get("/v1/events", "apart", params={"follow": "false", "after": 0}).text
    assert world.ids["lease"] not in told
    assert world.ids["lease"] in world.get("/v1/events", "admin", params={"follow": "false", "after": 0}).text


def test_a_scope_limits_a_token_to_its_actions(world):
    made = world.ok(world.post("/v1/tokens", {"name": "reader", "role": "admin", "scopes": ["lease.read"]}))
    world.secrets["reader"] = made["secret"]
    assert world.get("/v1/leases", "reader").status_code == 200
    assert world.get("/v1/orders", "reader").status_code == 403
    assert world.post(f"/v1/leases/{world.ids['lease']}/end", {}, "reader").status_code == 403


def test_roles_that_the_table_names_get_through(world, document):
    """Last, for it changes things: whatever comes back, it is not a refusal of the role."""
    for method, path, operation in operations(document):
        if path in OPEN:
            continue
        allowed = RIGHTS[operation["x-sublet-action"]]
        for who, role in ROLES.items():
            houses = allowed in (HOUSE, OPERATOR) and who not in ("operator", "house-auditor")
            if role in allowed and not houses:
                answer = ask(world, document, method, path, operation, who)
                assert answer.status_code not in (401, 403, 500), f"{method} {path} as {who}: {answer.text}"
                documented = set(operation["responses"])
                assert str(answer.status_code) in documented, f"{method} {path}: {answer.status_code} {answer.text}"
