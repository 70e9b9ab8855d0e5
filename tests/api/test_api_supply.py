"""What an operator does over HTTP: buy more, report an outage, drain, give back, cap a tenant, take a budget away."""

from __future__ import annotations

from datetime import timedelta

import pytest
from api_kit import populated


@pytest.fixture
def world(database, clock):
    made = populated(database, clock)
    yield made
    made.http.close()


def days(world, number):
    return (world.clock.now() + timedelta(days=number)).isoformat()


def test_more_is_bought_under_a_contract_at_a_price_of_its_own(world):
    path = f"/v1/contracts/{world.ids['contract']}/blocks"
    wish = {"nodes": 2, "start": days(world, 0), "end": days(world, 90), "price_per_node_hour": {"amount": "14"}}
    made = world.ok(world.post(path, wish, "operator"))
    assert made["price_per_node_hour"] == {"amount": "14", "currency": "USD"}
    assert [each["nodes"] for each in world.ok(world.get(path, "operator"))["items"]] == [4, 2]
    assert len(world.ok(world.get("/v1/nodes", "operator"))["items"]) == 6
    assert world.post(path, wish | {"end": days(world, -1)}, "operator").status_code == 422
    assert world.post(path, wish).status_code == 403


def test_an_outage_takes_the_free_time_and_names_who_loses_it(world):
    leased = world.ok(world.get(f"/v1/leases/{world.ids['lease']}"))["members"][0]["node_id"]
    wish = {"until": days(world, 2), "reason": "no power"}
    found = world.ok(world.post(f"/v1/nodes/{leased}/outage", wish, "operator"))
    assert found["affected"] == [world.ids["lease"]]
    assert {each["kind"] for each in found["bookings"]} == {"outage"}
    assert world.ok(world.get(f"/v1/nodes/{leased}", "operator"))["state"] == "failed"
    holder = found["bookings"][0]["holder"]
    assert world.ok(world.delete(f"/v1/maintenance/{holder}", "operator"))
    assert "outage.report" in {each["action"] for each in world.ok(world.get("/v1/audit", "operator"))["items"]}


def test_a_node_drains_and_goes_back(world):
    leased = world.ok(world.get(f"/v1/leases/{world.ids['lease']}"))["members"][0]["node_id"]
    free = next(
        each["id"]
        for each in world.ok(world.get("/v1/nodes", "operator"))["items"]
        if each["id"] not in (leased, world.ids["node"])
    )
    for node in (leased, free):
        world.ok(world.patch(f"/v1/nodes/{node}", {"state": "draining", "reason": "to go back"}, "operator"))
    ready = world.ok(world.get("/v1/nodes", "operator", params={"drained": "true"}))["items"]
    assert [each["id"] for each in ready] == [free]
    back = {"state": "returned", "reason": "given back"}
    assert world.patch(f"/v1/nodes/{leased}", back, "operator").status_code == 409
    assert world.ok(world.patch(f"/v1/nodes/{free}", back, "operator"))["state"] == "returned"
    assert world.ok(world.get("/v1/nodes", "operator", params={"drained": "true"}))["items"] == []


def test_a_contract_is_given_back_and_its_leases_stand(world):
    path = f"/v1/contracts/{world.ids['contract']}"
    begun = world.ok(world.post(f"{path}/return", {"reason": "too dear"}, "operator"))
    assert (begun["returning_since"] is not None, begun["closed_at"]) == (True, None)
    assert world.ok(world.get(f"/v1/leases/{world.ids['lease']}"))["state"] == "active"
    refused = world.post(f"{path}/blocks", {"nodes": 1, "start": days(world, 0), "end": days(world, 9)}, "operator")
    assert refused.status_code == 409


def test_a_cap_is_kept_shown_to_its_tenant_and_taken_away(world):
    home = f"/v1/organisations/{world.ids['organisation']}"
    assert world.put(f"{home}/cap", {"nodes": 0}, "operator").status_code == 409, "more is booked already"
    assert world.ok(world.put(f"{home}/cap", {"nodes": 1, "reason": "a trial"}, "operator"))["nodes"] == 1
    (mine,) = [each for each in world.ok(world.get(f"{home}/caps"))["items"] if each["kind"] == "organisation"]
    assert (mine["limit_nodes"], mine["nodes"], mine["limit_accelerators"]) == (1, 1, None)
    wish = {"project": world.ids["project"], "machines": {"shape": "8xH100", "nodes": 1, "hours": "2"}}
    quote = world.ok(world.post("/v1/quotes", wish))["quotes"][0]["id"]
    refused = world.post("/v1/orders", {"quote": quote})
    assert (refused.status_code, refused.json()["dimension"]) == (409, "organisation nodes")
    assert world.put(f"{home}/cap", {"nodes": 9}).status_code == 403
    assert world.get(f"{home}/caps", "other-admin").status_code == 404
    assert world.ok(world.get("/v1/caps", "other-admin"))["items"] == []
    gone = world.ok(world.put(f"{home}/cap", {}, "operator"))
    assert (gone["nodes"], gone["set_at"]) == (None, None)
    assert world.ok(world.get("/v1/caps", "operator"))["items"] == []


def test_a_budget_is_taken_away(world):
    path = f"/v1/projects/{world.ids['project']}"
    both = {"remove_budget": True, "budget": {"amount": "1"}}
    assert world.patch(path, both).status_code == 422
    assert world.ok(world.patch(path, {"remove_budget": True}))["budget"] is None
    assert world.ok(world.patch(path, {"needs_approval": False}))["budget"] is None
