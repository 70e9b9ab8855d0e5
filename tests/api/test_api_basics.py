"""The gate, problems, pages, idempotency and ETags."""

from __future__ import annotations

import json

from api_kit import key


def test_without_a_token_nothing_under_v1_is_reached(world):
    for headers in ({}, {"authorization": "Bearer sublet_nonsense"}, {"authorization": "Basic abc"}):
        answer = world.get("/v1/projects", None, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["type"].endswith("/unauthenticated")


def test_a_malformed_body_is_a_problem_and_never_wins_over_the_token(world):
    bad = {"content": b'{"name": ', "headers": {"content-type": "application/json"}}
    assert world.send("POST", "/v1/projects", None, **bad).status_code == 401
    answer = world.send("POST", "/v1/projects", "admin", **bad)
    assert (answer.status_code, answer.json()["title"]) == (400, "Bad Request")
    assert "no JSON" in answer.json()["detail"]


def test_a_bad_value_is_named_with_its_place(world):
    answer = world.post("/v1/projects", {"name": "x", "budget": {"amount": "many", "currency": "USD"}})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == "body.budget.amount"
    answer = world.post("/v1/projects", {"name": "x", "colour": "red"})
    assert answer.json()["errors"][0]["where"] == "body.colour"
    assert world.post("/v1/projects", {"name": "x", "budget": {"amount": "1", "currency": "XQZ"}}).status_code == 422


def test_the_request_id_comes_back_and_a_bad_one_is_replaced(world):
    assert world.get("/v1/me", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert len(world.get("/v1/me", headers={"x-request-id": "a b\tc"}).headers["x-request-id"]) == 16
    problem = world.get("/v1/projects/prj_00000000000000000000000000", headers={"x-request-id": "abc-2"}).json()
    assert (problem["status"], problem["request_id"]) == (404, "abc-2")


def test_a_long_body_is_refused_before_it_is_read(world):
    long = {"name": "x" * 2_000_000}
    answer = world.post("/v1/projects", long)
    assert answer.status_code == 413
    assert answer.json()["type"].endswith("/too-large")


def test_unknown_paths_and_methods_are_problems(world):
    assert world.get("/v1/nothing").json()["status"] == 404
    answer = world.send("PUT", "/v1/projects")
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (405, "method-not-allowed")


def test_one_key_acts_once_and_another_request_under_it_is_refused(world):
    mine = key()
    first = world.post("/v1/projects", {"name": "speech"}, headers=mine)
    again = world.post("/v1/projects", {"name": "speech"}, headers=mine)
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert again.headers["idempotent-replayed"] == "true"
    assert world.post("/v1/projects", {"name": "vision"}, headers=mine).status_code == 409
    assert world.post("/v1/projects", {"name": "speech"}).status_code == 409  # the name is taken
    names = [each["name"] for each in world.get("/v1/projects").json()["items"]]
    assert names == ["main", "speech"]


def test_another_tenant_may_use_the_same_key(world):
    mine = key()
    a = world.post("/v1/projects", {"name": "speech"}, headers=mine).json()
    b = world.post("/v1/projects", {"name": "speech"}, "other-admin", headers=mine).json()
    assert a["organisation"] != b["organisation"]


def test_a_secret_is_shown_once_even_to_the_same_key(world):
    mine = key()
    first = world.post("/v1/tokens", {"name": "ci", "role": "member"}, headers=mine).json()
    again = world.post("/v1/tokens", {"name": "ci", "role": "member"}, headers=mine).json()
    assert first["secret"].startswith("sublet_")
    assert again == {**first, "secret": None}
    world.secrets["ci"] = first["secret"]
    assert world.get("/v1/me", "ci").json()["role"] == "member"
    assert world.delete(f"/v1/tokens/{first['token']['id']}").json()["revoked_at"]
    assert world.get("/v1/me", "ci").status_code == 401


def test_if_match_keeps_what_was_not_read(world):
    path = f"/v1/projects/{world.ids['project']}"
    before = world.get(path)
    tag = before.headers["etag"]
    change = {"budget": {"amount": "5", "currency": "USD"}}
    assert world.patch(path, change, headers={"if-match": '"other"'}).status_code == 412
    changed = world.patch(path, change, headers={"if-match": tag})
    assert (changed.status_code, changed.json()["budget"]) == (200, {"amount": "5", "currency": "USD"})
    assert changed.headers["etag"] == world.get(path).headers["etag"] != tag
    assert world.patch(path, change, headers={"if-match": tag}).status_code == 412


def test_pages_neither_repeat_nor_lose(world):
    for number in range(7):
        world.post("/v1/projects", {"name": f"p{number}"})
    seen, cursor = [], None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = world.get("/v1/projects", params=query).json()
        seen += [each["name"] for each in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == ["main", *(f"p{number}" for number in range(7))]
    assert world.get("/v1/projects", params={"cursor": "../x"}).status_code == 422
    assert world.get("/v1/projects", params={"limit": 0}).status_code == 422


def test_health_needs_no_token_and_metrics_do(world):
    assert world.get("/healthz", None).json()["status"] == "ok"
    assert world.get("/readiness", None).status_code == 200
    assert world.get("/metrics", None).status_code == 401
    assert world.get("/metrics", "admin").status_code == 403
    text = world.get("/metrics", "operator").text
    assert 'http_server_request_duration_seconds_count{http_request_method="GET"' in text
    assert 'http_route="/healthz"' in text


def test_the_audit_log_is_a_tenants_own_and_exports_line_by_line(world):
    world.post("/v1/projects", {"name": "speech"})
    entries = world.get("/v1/audit").json()["items"]
    assert {each["organisation"] for each in entries} == {world.ids["organisation"]}
    assert "project.create" in {each["action"] for each in entries}
    lines = [json.loads(line) for line in world.get("/v1/audit/export", "operator").text.splitlines()]
    assert [each["number"] for each in lines] == list(range(1, len(lines) + 1))
    assert world.get("/v1/audit/verify", "operator").json()["broken_at"] is None
