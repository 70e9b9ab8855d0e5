"""What one token may ask for and send, streams that break off, and pages while things are added."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from api_kit import key, make_world, populated

from sublet.api.settings import Settings

CALM: dict[str, Any] = {"tick_s": 0, "access_log": False, "actor_s": 60}


@pytest.fixture
def slow(sqlite_database, clock):
    made = make_world(sqlite_database, clock, Settings(**CALM, requests_per_s=0.001, burst=3, body_bytes=2000))
    yield made
    made.http.close()


@pytest.fixture
def world(database, clock):
    made = populated(database, clock, settings=Settings(**CALM, stream_s=0.02, heartbeat_s=0.05))
    yield made
    made.http.close()


def test_a_token_that_asks_too_often_is_told_when_to_come_back_and_no_other_is(slow):
    assert [slow.get("/v1/me").status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = slow.get("/v1/me")
    assert refused.json()["type"].endswith("/rate-limited")
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["retry-after"]) >= 1
    assert slow.get("/v1/me", "other-admin").status_code == 200
    assert slow.get("/healthz", None).status_code == 200


def test_who_guesses_tokens_guesses_slowly(sqlite_database, clock):
    world = make_world(sqlite_database, clock, Settings(**CALM, unknown_per_s=0.001, unknown_burst=3))
    guesses = [world.get("/v1/me", None, headers={"authorization": f"Bearer sublet_{n}"}).status_code for n in range(5)]
    assert guesses == [401, 401, 401, 429, 429]
    assert world.get("/v1/me").status_code == 200
    world.http.close()


def test_a_body_without_a_length_is_counted_as_it_comes(slow):
    def parts():
        for _ in range(100):
            yield b" " * 100

    answer = slow.send("POST", "/v1/projects", headers={"content-type": "application/json"}, content=parts())
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (413, "too-large")
    assert slow.ok(slow.post("/v1/projects", {"name": "small"}))["name"] == "small"


def read_events(world, answer, wanted, into):
    """The numbers and kinds of a stream's next `wanted` events."""
    number = None
    for line in answer.iter_lines():
        if line.startswith("id: "):
            number = int(line[4:])
        elif line.startswith("data: "):
            into.append((number, json.loads(line[6:])))
            if len(into) >= wanted:
                return


def test_a_stream_that_broke_off_goes_on_where_it_was_without_a_gap(world):
    who = {"authorization": f"Bearer {world.secrets['admin']}"}
    past = [
        json.loads(line[6:])["number"]
        for line in world.get("/v1/events", params={"follow": "false", "after": 0}).text.splitlines()
        if line.startswith("data: ")
    ]
    first: list[Any] = []
    second: list[Any] = []
    with world.http.stream("GET", "/v1/events", params={"after": 0}, headers=who) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        read_events(world, answer, 3, first)
    assert [number for number, _ in first] == past[:3]
    with world.http.stream("GET", "/v1/events", headers=who | {"last-event-id": str(first[-1][0])}) as answer:
        reader = threading.Thread(target=read_events, args=(world, answer, len(past) - 3 + 1, second))
        reader.start()
        until = (world.clock.now() + timedelta(hours=5)).isoformat()
        world.ok(world.post(f"/v1/leases/{world.ids['lease']}/shorten", {"until": until}, headers=key()))
        reader.join(30)
    assert not reader.is_alive()
    told = [number for number, _ in first + second]
    assert told[: len(past)] == past
    assert told == sorted({*told})
    assert second[-1][1]["kind"] == "change"


def test_an_idle_stream_says_that_it_is_still_here_and_too_many_are_refused(sqlite_database, clock):
    world = make_world(sqlite_database, clock, Settings(**CALM, stream_s=0.01, heartbeat_s=0.01, streams=1))
    who = {"authorization": f"Bearer {world.secrets['admin']}"}
    with world.http.stream("GET", "/v1/events", headers=who) as answer:
        lines = answer.iter_lines()
        assert next(line for line in lines if line.startswith(":")) == ": still here"
        refused = world.get("/v1/events")
        assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
    world.http.close()


@pytest.mark.parametrize("path", ["/v1/projects", "/v1/quotes", "/v1/leases"])
def test_pages_neither_repeat_nor_lose_what_stood_while_more_is_added(world, path):
    def add():
        if path == "/v1/projects":
            return world.ok(world.post(path, {"name": f"p{len(added)}"}))["id"]
        wish = {"project": world.ids["project"], "machines": {"shape": "8xH100", "nodes": 1, "hours": "1"}}
        quote = world.ok(world.post("/v1/quotes", wish))["quotes"][0]["id"]
        if path == "/v1/quotes":
            return quote
        ends = f"/v1/leases/{added[-1] if added else world.ids['lease']}/end"
        world.post(ends, {})
        return world.ok(world.post("/v1/orders", {"quote": quote, "start": later()}))["lease_id"]

    def later():
        return (world.clock.now() + timedelta(days=len(added) + 1)).isoformat()

    added = []
    for _ in range(4):
        world.clock.advance(1)
        added.append(add())
    before = [each["id"] for each in world.ok(world.get(path, params={"limit": 500}))["items"]]
    assert {*added} <= {*before}
    seen, cursor = [], None
    while True:
        page = world.ok(world.get(path, params={"limit": 2} | ({"cursor": cursor} if cursor else {})))
        seen += [each["id"] for each in page["items"]]
        if (cursor := page["next"]) is None:
            break
        if len(added) < 8:
            world.clock.advance(1)
            added.append(add())
    assert len(seen) == len({*seen})
    assert {*before} <= {*seen}
