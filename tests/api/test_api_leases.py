"""A lease over HTTP: ordered, read, listed, changed, run upon, followed, ended, paid."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta

import pytest
from api_kit import key, populated

from sublet.broker.leases import listing, service
from sublet.broker.tenants.values import SYSTEM


@pytest.fixture
def world(database, clock):
    made = populated(database, clock)
    yield made
    made.http.close()


def wish(world, nodes=1, hours="10"):
    return {"project": world.ids["project"], "machines": {"shape": "8xH100", "nodes": nodes, "hours": hours}}


def test_a_quote_for_a_job_carries_its_estimate_and_can_be_ordered(world):
    job = {"model": "mpt-7b", "tokens": "2B", "constraints": {"counts": [8, 16]}}
    found = world.ok(world.post("/v1/quotes", {"project": world.ids["project"], "job": job}))
    assert {quote["count"] for quote in found["quotes"]} == {8, 16}
    quote = found["quotes"][0]
    run = quote["estimate"]["run_s"]
    assert 0 < run["p10"] < run["p50"] < run["p90"]
    assert quote["price_per_accelerator_hour"] == {"amount": "2.5", "currency": "USD"}  # 16 / 8 x 1.25
    assert float(quote["hours"]) * 3600 >= run["p90"]
    order = world.ok(world.post("/v1/orders", {"quote": quote["id"]}))
    assert order["state"] == "accepted"


def test_a_job_that_names_a_file_of_the_server_is_refused(world):
    for model in ("/etc/passwd.json", {"config": "/etc/passwd"}):
        job = {"model": model, "tokens": "1B"}
        answer = world.post("/v1/quotes", {"project": world.ids["project"], "job": job})
        assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (422, "invalid")
        assert "root:" not in answer.text


def test_nothing_fits_says_why(world):
    job = {"model": "mpt-7b", "tokens": "2B", "constraints": {"counts": [4096]}}
    answer = world.post("/v1/quotes", {"project": world.ids["project"], "job": job})
    assert answer.status_code == 422
    assert "4096 are asked for and a gang has 32 at most" in answer.json()["detail"]


def test_the_same_order_twice_is_one_order(world):
    quote = world.ok(world.post("/v1/quotes", wish(world)))["quotes"][0]["id"]
    mine = key()
    first = world.ok(world.post("/v1/orders", {"quote": quote}, headers=mine))
    again = world.ok(world.post("/v1/orders", {"quote": quote}, headers=mine))
    assert first == again
    assert len(world.ok(world.get("/v1/orders"))["items"]) == 2


def test_what_does_not_fit_waits_with_its_reason_and_a_refusal_names_the_limit(world):
    quote = world.ok(world.post("/v1/quotes", wish(world, nodes=4)))["quotes"][0]["id"]
    order = world.ok(world.post("/v1/orders", {"quote": quote}))
    assert order["state"] == "waitlisted"
    entry = world.ok(world.get("/v1/waitlist"))["items"][0]
    assert (entry["position"], entry["order_id"]) == (1, order["id"])
    assert entry["reasons"]
    dear = world.ok(world.post("/v1/quotes", wish(world, hours="8000")))["quotes"][0]["id"]
    refused = world.post("/v1/orders", {"quote": dear})
    problem = refused.json()
    assert refused.status_code == 409
    assert (problem["dimension"], problem["limit"]) == ("budget", "100000 USD")
    assert world.ok(world.post(f"/v1/orders/{order['id']}/cancel"))["state"] == "cancelled"


def test_a_quote_expires(world):
    quote = world.ok(world.post("/v1/quotes", wish(world)))["quotes"][0]["id"]
    world.clock.advance(timedelta(hours=24))
    answer = world.post("/v1/orders", {"quote": quote})
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (410, "expired")


def test_a_member_orders_and_an_admin_approves(world):
    project = world.ids["project"]
    world.ok(world.patch(f"/v1/projects/{project}", {"needs_approval": True}))
    quote = world.ok(world.post("/v1/quotes", wish(world), "member"))["quotes"][0]["id"]
    order = world.ok(world.post("/v1/orders", {"quote": quote}, "member"))
    assert order["state"] == "pending-approval"
    assert world.post(f"/v1/orders/{order['id']}/approve", {}, "member").status_code == 403
    assert world.ok(world.post(f"/v1/orders/{order['id']}/approve", {"reason": "fine"}))["state"] == "accepted"


def test_a_list_shows_what_each_lease_shows_but_for_certificates(world, database):
    with database.reading() as session:
        for actor in (SYSTEM,):
            slow = service.leases(session, actor=actor)
            fast = listing.page(session, actor=actor)
            for one, other in zip(slow, fast, strict=True):
                members = tuple(dataclasses.replace(member, certificate=None) for member in one.members)
                assert dataclasses.replace(one, members=members) == other
    found = world.ok(world.get("/v1/leases"))["items"]
    assert found == [world.ok(world.get(f"/v1/leases/{world.ids['lease']}"))]
    assert world.ok(world.get("/v1/leases", params={"state": "settled"}))["items"] == []
    certificates = world.ok(world.get(f"/v1/leases/{world.ids['lease']}/certificates"))["items"]
    assert certificates[0]["certificate"]["body"]["verdict"] in ("pass", "info")


def test_a_lease_is_extended_shortened_ended_and_paid(world):
    path = f"/v1/leases/{world.ids['lease']}"
    before = world.ok(world.get(path))
    until = (world.clock.now() + timedelta(hours=12)).isoformat()
    assert world.ok(world.post(f"{path}/extend", {"until": until}))["ends_at"] != before["ends_at"]
    sooner = (world.clock.now() + timedelta(hours=5)).isoformat()
    world.ok(world.post(f"{path}/shorten", {"until": sooner}))
    assert world.post(f"{path}/shorten", {"until": before["starts_at"]}).status_code == 422
    for _ in range(60):
        world.clock.advance(60)
        world.house.engine.tick()
    assert float(world.ok(world.get(f"{path}/cost"))["cost"]["amount"]) == pytest.approx(20, rel=0.01)
    assert world.get(f"{path}/receipt").status_code == 404
    world.ok(world.post(f"{path}/end"))
    world.settle("settled", seconds=120)
    receipt = world.ok(world.get(f"{path}/receipt"))
    assert float(receipt["total"]["amount"]) == pytest.approx(20, rel=0.02)
    assert receipt["document"]["actual"]["run_s"] is not None or receipt["document"]["actual"]["measured_by"] == ""
    assert world.ok(world.get("/v1/ledger", "operator"))["balanced"] is True
    usage = world.ok(world.get("/v1/usage", params={"lease": world.ids["lease"]}))["items"]
    assert usage
    assert {each["project"] for each in usage} == {world.ids["project"]}
    assert world.ok(world.get("/v1/costs"))["items"][0]["net"] == receipt["total"]
    assert world.ok(world.get("/v1/doctor", "operator"))["holds"] is True


def test_events_are_told_in_order_and_from_where_a_stream_broke_off(world):
    listed = world.ok(world.get(f"/v1/leases/{world.ids['lease']}/events"))["items"]
    assert [each["state"] for each in listed if each["kind"] == "state"][:4] == [
        "scheduled",
        "provisioning",
        "qualifying",
        "active",
    ]
    told = stream(world, after=0)
    assert [each["number"] for each in told] == [each["number"] for each in listed]
    assert told[0] == listed[0]
    middle = listed[2]["number"]
    late = stream(world, headers={"last-event-id": str(middle)})
    assert [each["number"] for each in late] == [each["number"] for each in listed[3:]]
    assert stream(world) == []  # from now on


def stream(world, headers=None, **query):
    answer = world.get("/v1/events", params={"follow": "false", **query}, headers=headers or {})
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]


def test_an_open_stream_tells_what_happens_meanwhile(world):
    with world.http.stream(
        "GET",
        "/v1/events",
        params={"lease": world.ids["lease"]},
        headers={"authorization": f"Bearer {world.secrets['admin']}"},
    ) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("retry:")
        world.ok(world.post(f"/v1/leases/{world.ids['lease']}/end"))
        data = next(json.loads(line[6:]) for line in lines if line.startswith("data: "))
    assert (data["lease_id"], data["kind"]) == (world.ids["lease"], "change")


def test_a_command_runs_once_per_key_and_its_end_is_written_down(world):
    path = f"/v1/leases/{world.ids['lease']}/runs"
    mine = key()
    first = world.ok(world.post(path, {"argv": ["python3", "train.py"]}, headers=mine))
    again = world.ok(world.post(path, {"argv": ["python3", "train.py"]}, headers=mine))
    assert first == again
    assert len(world.ok(world.get(path))["items"]) == 2
    ended = world.ok(world.get(f"{path}/{first['id']}"))
    assert (ended["status"], ended["ended_at"] is not None) == (0, True)
    log = world.ok(world.get(f"{path}/{first['id']}/logs"))
    assert (log["text"], log["ended"]) == ("", True)
    assert world.post(path, {"argv": []}).status_code == 422
    assert world.post(path, {"argv": ["x"], "node": world.ids["node"]}).status_code == 404


def test_nothing_runs_on_a_lease_that_is_over(world):
    world.ok(world.post(f"/v1/leases/{world.ids['lease']}/end"))
    world.settle("settled", seconds=120)
    answer = world.post(f"/v1/leases/{world.ids['lease']}/runs", {"argv": ["true"]}, headers=key())
    assert answer.status_code == 409
    assert "commands run while it is active" in answer.json()["detail"]


def test_a_node_is_qualified_outside_of_a_lease_and_changed_with_its_etag(world):
    node = next(
        each["id"] for each in world.ok(world.get("/v1/nodes", "operator"))["items"] if each["state"] == "delivered"
    )
    proof = world.ok(world.post(f"/v1/nodes/{node}/qualify", {}, "operator"))
    assert proof["verdict"] in ("pass", "info")
    shown = world.get(f"/v1/nodes/{node}", "operator")
    assert shown.json()["state"] == "healthy"
    assert [each["id"] for each in world.ok(world.get(f"/v1/nodes/{node}/proofs", "operator"))["items"]] == [
        proof["id"]
    ]
    change = {"state": "cordoned", "reason": "a fan is loud", "tags": {"rack": "7"}}
    stale = world.patch(f"/v1/nodes/{node}", change, "operator", headers={"if-match": '"old"'})
    assert stale.status_code == 412
    done = world.patch(f"/v1/nodes/{node}", change, "operator", headers={"if-match": shown.headers["etag"]})
    assert (done.json()["state"], done.json()["tags"]) == ("cordoned", {"rack": "7"})
    leased = world.ok(world.get(f"/v1/leases/{world.ids['lease']}"))["members"][0]["node_id"]
    assert world.post(f"/v1/nodes/{leased}/qualify", {}, "operator").status_code == 409


def test_capacity_counts_in_the_fields_words_and_metrics_show_it(world):
    row = world.ok(world.get("/v1/capacity", "operator"))["rows"][0]
    assert {name: row[name] for name in ("delivered", "reserved", "in_use", "free")} == {
        "delivered": 4,
        "reserved": 1,
        "in_use": 1,
        "free": 3,
    }
    text = world.get("/metrics", "operator").text
    assert 'sublet_fleet_nodes_delivered{accelerator="H100 SXM",provider="simulated",shape="8xH100"} 4.0' in text
    assert 'sublet_leases{state="active"} 1.0' in text
