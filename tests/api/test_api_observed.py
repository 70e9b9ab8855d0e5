"""What an operator sees of a running broker: metrics by the field's names, log lines, traces."""

from __future__ import annotations

import io
import json
import logging

import httpx
import pytest
from api_kit import make_world, populated
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from sublet.api.app import create_app
from sublet.api.logs import JsonLines
from sublet.api.settings import Settings
from sublet.client.asgi import AppTransport

NAMES = {
    "http_server_request_duration_seconds": "histogram",
    "sublet_reconcile_duration_seconds": "histogram",
    "sublet_reconcile_errors": "counter",
    "sublet_webhook_attempts": "counter",
    "sublet_fleet_nodes_delivered": "gauge",
    "sublet_fleet_nodes_healthy": "gauge",
    "sublet_fleet_nodes_reserved": "gauge",
    "sublet_fleet_nodes_in_use": "gauge",
    "sublet_fleet_nodes_free": "gauge",
    "sublet_fleet_nodes_out": "gauge",
    "sublet_leases": "gauge",
    "sublet_waitlist_entries": "gauge",
    "sublet_audit_entries": "gauge",
}


@pytest.fixture
def lines():
    """What the loggers of Sublet write, as `sublet serve` has it written."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("sublet")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel("INFO")
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_metrics_have_the_fields_names_and_no_tenants(database, clock):
    world = populated(database, clock)
    wish = {"project": world.ids["project"], "machines": {"shape": "8xH100", "nodes": 4, "hours": "10"}}
    quote = world.ok(world.post("/v1/quotes", wish))["quotes"][0]["id"]
    assert world.ok(world.post("/v1/orders", {"quote": quote}))["state"] == "waitlisted"
    answer = world.get("/metrics", "operator")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert {name: found[name].type for name in NAMES} == NAMES
    for id_ in (world.ids["organisation"], world.ids["project"], world.ids["lease"], "Acme"):
        assert id_ not in answer.text
    requests = {
        (each.labels["http_request_method"], each.labels["http_route"], each.labels["http_response_status_code"])
        for each in found["http_server_request_duration_seconds"].samples
    }
    assert ("GET", "/v1/leases/{lease}", "200") in requests
    (waiting,) = found["sublet_waitlist_entries"].samples
    assert waiting.value == 1
    active = {each.labels["state"]: each.value for each in found["sublet_leases"].samples}
    assert active["active"] == 1
    world.http.close()


def test_each_request_is_one_line_without_secrets(sqlite_database, clock, lines):
    world = make_world(sqlite_database, clock, Settings(tick_s=0, access_log=True))
    world.get(f"/v1/projects/{world.ids['project']}", headers={"x-request-id": "mine"}, params={"x": "query"})
    world.post("/v1/tokens", {"name": "spare", "role": "member"})
    world.get("/v1/me", None, headers={"authorization": "Bearer sublet_guess"})
    told = lines()
    assert [(each["method"], each["route"], each["status"]) for each in told] == [
        ("GET", "/v1/projects/{project}", 200),
        ("POST", "/v1/tokens", 201),
        ("GET", "(no route)", 401),
    ]
    assert told[0]["request_id"] == "mine"
    assert told[0]["organisation"] == world.ids["organisation"]
    assert {"time", "level", "pid", "duration_ms", "bytes", "actor"} <= told[0].keys()
    text = json.dumps(told)
    assert not [secret for secret in (*world.secrets.values(), "sublet_guess", "query", "spare") if secret in text]
    world.http.close()


def test_what_was_not_foreseen_is_a_problem_with_an_id_and_the_log_has_the_rest(
    sqlite_database, clock, lines, monkeypatch
):
    world = make_world(sqlite_database, clock)
    monkeypatch.setattr("sublet.api.routes.tenants.service.projects", lambda *_, **__: 1 / 0)
    answer = world.get("/v1/projects")
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "division" not in answer.text
    (line,) = [each for each in lines() if each["level"] == "error"]
    assert line["request_id"] == problem["request_id"] == answer.headers["x-request-id"]
    assert "ZeroDivisionError" in line["exception"]
    world.http.close()


def test_requests_are_traced_where_somebody_collects_traces(sqlite_database, clock, lines):
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    world = make_world(sqlite_database, clock, Settings(tick_s=0, access_log=True))
    app = create_app(world.house, telemetry={"tracer_provider": provider, "metrics": False, "logs": False})
    with httpx.Client(transport=AppTransport(app), base_url="http://sublet.test") as http:
        http.get("/v1/me", headers={"authorization": f"Bearer {world.secrets['admin']}"}).raise_for_status()
    server = next(each for each in spans.get_finished_spans() if each.kind.name == "SERVER")
    assert server.attributes is not None
    assert server.attributes["http.route"] == "/v1/me"
    assert server.attributes["http.response.status_code"] == 200
    assert world.secrets["admin"] not in server.to_json()
    (line,) = lines()
    assert line["trace_id"] == f"{server.context.trace_id:032x}"
    world.http.close()
    provider.shutdown()
