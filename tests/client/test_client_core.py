"""What sending means, with both clients: retries under one key, pages, streams over broken connections, refusals."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest

from sublet.client import ApiError, AsyncClient, Client, ClientError, NotReached, core
from sublet.errors import SubletError
from sublet.units import Money


class Wire:
    """A server of a list of answers; what was asked is kept."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def __call__(self, request):
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return answer(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def keys(self):
        return [request.headers.get("idempotency-key") for request in self.asked]


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """No test sleeps; how long it would have is kept."""
    slept = []

    async def aside(seconds):
        slept.append(seconds)

    monkeypatch.setattr("time.sleep", slept.append)
    monkeypatch.setattr("sublet.client.core.asyncio.sleep", aside)
    return slept


@pytest.fixture(params=["sync", "async"])
def ask(request):
    """`ask(wire, act)`: what `act(client)` gives, a list where it gives many, with either client."""

    def synchronously(wire, act):
        with Client("http://broker", "secret", transport=httpx.MockTransport(wire)) as client:
            found = act(client)
            return list(found) if hasattr(found, "__next__") else found

    def asynchronously(wire, act):
        async def run():
            async with AsyncClient("http://broker", "secret", transport=httpx.MockTransport(wire)) as client:
                found = act(client)
                return [each async for each in found] if hasattr(found, "__anext__") else await found

        return asyncio.run(run())

    return synchronously if request.param == "sync" else asynchronously


def ok(body):
    return httpx.Response(200, json=body)


def problem(status, kind, detail, headers=None, **more):
    body = {"type": f"https://sublet.dev/problems/{kind}", "title": "T", "status": status, "detail": detail, **more}
    return httpx.Response(status, json=body, headers=headers)


def margin(markup):
    rule = {"id": "mrg_1", "accelerator": "", "markup": markup, "floor": None}
    return {**rule, "starts_at": "2026-12-01T00:00:00Z", "actor": "tok_1"}


def test_what_changes_something_is_sent_again_under_the_same_key(ask, waits):
    wire = Wire(httpx.ConnectError("refused"), problem(503, "busy", "busy", {"retry-after": "7"}), ok(margin("0.25")))
    assert ask(wire, lambda client: client.set_margin(Decimal("0.25"))).markup == Decimal("0.25")
    assert len(wire.asked) == 3
    assert len(set(wire.keys)) == 1
    assert re.fullmatch(r"[0-9a-f]{32}", wire.keys[0])
    assert waits == [0.2, 7.0]


def test_two_calls_have_two_keys_and_a_given_key_is_kept(ask):
    keys = [ask(wire := Wire(ok(margin("0.2"))), lambda client: client.set_margin(Decimal(0))) and wire.keys[0]]
    keys.append(ask(wire := Wire(ok(margin("0.2"))), lambda client: client.set_margin(Decimal(0))) and wire.keys[0])
    assert keys[0] != keys[1]
    ask(wire := Wire(ok(margin("0.2"))), lambda client: client.set_margin(Decimal(0), key="mine"))
    assert wire.keys == ["mine"]


def test_reading_needs_no_key_and_says_who_asks(ask):
    ask(wire := Wire(ok({"balanced": True, "balances": [], "faults": []})), lambda client: client.ledger())
    assert wire.keys == [None]
    assert wire.asked[0].headers["authorization"] == "Bearer secret"


def test_a_server_that_is_not_there_is_said_plainly(ask, waits):
    wire = Wire(httpx.ConnectError("[Errno 111] Connection refused"))
    with pytest.raises(NotReached, match=r"no answer from http://broker.*Connection refused"):
        ask(wire, lambda client: client.me())
    assert len(wire.asked) == core.ATTEMPTS
    assert waits == [0.2, 0.4, 0.8]


@pytest.mark.parametrize(
    ("status", "kind", "more"),
    [
        (401, "unauthenticated", {}),
        (403, "forbidden", {}),
        (404, "not-found", {}),
        (409, "refused", {"dimension": "budget", "limit": "100 USD", "use": "120 USD"}),
        (410, "expired", {}),
        (412, "precondition-failed", {}),
        (422, "invalid", {"errors": [{"where": "body.nodes", "sentence": "at least 1"}]}),
        (422, "nothing-fits", {}),
    ],
)
def test_a_refusal_is_an_error_with_its_problem(ask, status, kind, more):
    wire = Wire(problem(status, kind, "one sentence", request_id="abc", **more))
    with pytest.raises(ApiError, match="one sentence") as caught:
        ask(wire, lambda client: client.order("quo_1"))
    error = caught.value
    assert isinstance(error, ClientError)
    assert isinstance(error, SubletError)
    assert (error.status, error.kind, error.request_id) == (status, kind, "abc")
    assert (error.dimension, error.limit, error.use) == tuple(more.get(key) for key in ("dimension", "limit", "use"))
    assert error.errors == more.get("errors", [])
    assert error.exit_code == (3 if kind == "nothing-fits" else 2)
    assert len(wire.asked) == 1  # a refusal is not asked again


def test_a_server_that_stays_busy_is_a_refusal_with_its_wait(ask, waits):
    wire = Wire(problem(429, "rate-limited", "slower", {"retry-after": "2"}))
    with pytest.raises(ApiError, match="slower") as caught:
        ask(wire, lambda client: client.me())
    assert (caught.value.retry_after_s, len(wire.asked), waits) == (2.0, core.ATTEMPTS, [2.0, 2.0, 2.0])


@pytest.mark.parametrize("answer", [httpx.Response(200, text="<html>"), ok({"id": "x"}), ok([])])
def test_what_is_no_sublet_is_not_taken_for_one(ask, answer):
    with pytest.raises(NotReached, match="no Sublet of this version"):
        ask(Wire(answer), lambda client: client.me())


@pytest.mark.parametrize("answer", [httpx.Response(502, text="<html>bad gateway"), httpx.Response(500, json=[])])
def test_an_error_that_is_no_problem_says_its_status(ask, answer):
    with pytest.raises(ApiError, match=f"the server answered {answer.status_code}"):
        ask(Wire(answer), lambda client: client.me())


def person(number):
    return {"id": f"usr_{number}", "organisation": None, "name": "N", "email": "e", "role": "member",
            "created_at": "2026-12-01T00:00:00Z", "new_field": 1}  # fmt: skip


def test_a_list_goes_from_page_to_page_and_ignores_what_it_does_not_know(ask):
    pages = {None: ([1, 2], "c2"), "c2": ([3], "c3"), "c3": ([], None)}

    def page(request):
        numbers, after = pages[request.url.params.get("cursor")]
        return ok({"items": [person(number) for number in numbers], "next": after})

    wire = Wire(page)
    assert [each.id for each in ask(wire, lambda client: client.people())] == ["usr_1", "usr_2", "usr_3"]
    assert [request.url.params.get("cursor") for request in wire.asked] == [None, "c2", "c3"]


def webhook_delivery():
    sent = {"id": "dlv_1", "hook": "hook_1", "event": "evt_1", "kind": "ping", "state": "waiting", "payload": {}}
    never = dict.fromkeys(("next_at", "delivered_at", "last_status"))
    return {**sent, **never, "created_at": "2026-12-01T00:00:00Z", "attempts": 0, "last_error": ""}


def test_a_limit_asks_for_no_more_than_that(ask):
    def page(request):
        size = int(request.url.params["limit"])
        return ok({"items": [webhook_delivery() for _ in range(min(size, 2))], "next": "more"})

    wire = Wire(page)
    assert len(ask(wire, lambda client: client.deliveries("hook_1", limit=3))) == 3
    assert [request.url.params["limit"] for request in wire.asked] == ["3", "1"]


def event(number):
    body = {"number": number, "id": f"evt_{number}", "lease_id": "lea_1", "at": "2026-12-01T00:00:00Z", "kind": "state",
            "state": "active", "reason": "", "details": {}}  # fmt: skip
    return f"id: {number}\nevent: lease\ndata: {json.dumps(body)}\n\n"


def stream(*numbers):
    text = ": hello\n\n" + "".join(event(number) for number in numbers)
    return httpx.Response(200, text=text, headers={"content-type": "text/event-stream"})


def test_a_stream_goes_on_after_a_broken_connection_from_where_it_was(ask, waits):
    wire = Wire(
        stream(1, 2), httpx.ReadError("reset"), stream(3), problem(401, "unauthenticated", "the token is revoked")
    )
    seen = []

    def note(found):
        def each_now():
            for each in found:
                seen.append(each.number)
                yield each

        async def each_of():
            async for each in found:
                seen.append(each.number)
                yield each

        return each_now() if hasattr(found, "__next__") else each_of()

    with pytest.raises(ApiError, match="revoked"):
        ask(wire, lambda client: note(client.events(after=0)))
    assert seen == [1, 2, 3]
    assert [request.url.params["after"] for request in wire.asked] == ["0", "2", "2", "3"]
    assert waits == [1.0]


def test_a_stream_that_is_not_followed_ends(ask):
    wire = Wire(stream(1, 2))
    assert [each.number for each in ask(wire, lambda client: client.events(follow=False))] == [1, 2]
    assert wire.asked[0].url.params["follow"] == "false"


def test_values_go_over_the_wire_as_text(ask):
    wire = Wire(ok({"quotes": [], "rejected": [], "market": [], "notes": []}))
    ask(wire, lambda client: client.quote("prj_1", shape="s", nodes=2, hours=Decimal("1.50")))
    assert json.loads(wire.asked[0].content)["machines"] == {"shape": "s", "nodes": 2, "hours": "1.50"}
    wire = Wire(problem(404, "not-found", "no such quote"))
    with pytest.raises(ApiError):
        ask(wire, lambda client: client.order("quo_1", start=datetime(2026, 12, 1, 9, tzinfo=UTC), key="k"))
    assert json.loads(wire.asked[0].content) == {"quote": "quo_1", "start": "2026-12-01T09:00:00+00:00"}
    assert core.plain(Money(Decimal("1.20"))) == {"amount": "1.20", "currency": "USD"}


def test_null_is_sent_where_it_is_meant(ask):
    body = {"id": "org_1", "name": "A", "kind": "tenant", "tier": 1, "created_at": "2026-12-01T00:00:00Z"}
    wire = Wire(ok(body))
    assert ask(wire, lambda client: client.join_group("org_1", None)).group is None
    assert json.loads(wire.asked[0].content)["group"] is None


def test_a_name_is_one_part_of_a_path(ask):
    cap = {"kind": "group", "subject": "A/B c", "nodes": 1, "accelerators": None, "reason": "", "set_at": None}
    ask(wire := Wire(ok({**cap, "set_by": "tok_1"})), lambda client: client.set_cap("group", "A/B c", nodes=1))
    assert wire.asked[0].url.raw_path == b"/v1/groups/A%2FB%20c/cap"


def test_without_an_address_it_says_what_to_do(monkeypatch):
    monkeypatch.delenv("SUBLET_URL", raising=False)
    for kind in (Client, AsyncClient):
        with pytest.raises(NotReached, match="give a url, or set SUBLET_URL"):
            kind()
    monkeypatch.setenv("SUBLET_URL", "http://broker/")
    with Client(transport=httpx.MockTransport(Wire(ok({"balanced": True, "balances": [], "faults": []})))) as client:
        assert client.ledger().balanced


def test_waiting_for_a_lease_ends_where_it_is_over_or_time_is_up(ask, monkeypatch):
    lease = {
        "id": "lea_1", "organisation": "org_1", "project": "prj_1", "order_id": "ord_1", "quote_id": "quo_1",
        "provider": "p", "shape": "s", "accelerator": "a", "accelerators_per_node": 8, "nodes": 1, "reason": "why",
        "starts_at": "2026-12-01T00:00:00Z", "ends_at": "2026-12-02T00:00:00Z", "created_at": "2026-12-01T00:00:00Z",
        "price_per_accelerator_hour": {"amount": "2", "currency": "USD"}, "active_at": None, "ended_at": None,
        "end_requested_at": None, "seen_at": None, "version": 1, "terms": {}, "members": [],
    }  # fmt: skip
    states = [ok({**lease, "state": state}) for state in ("provisioning", "active")]
    assert ask(Wire(*states), lambda client: client.wait("lea_1", "active")).state == "active"
    with pytest.raises(ClientError, match="lease lea_1 is failed: why"):
        ask(Wire(ok({**lease, "state": "failed"})), lambda client: client.wait("lea_1", "active"))
    with pytest.raises(ClientError, match="is still provisioning after 0 s"):
        ask(Wire(ok({**lease, "state": "provisioning"})), lambda client: client.wait("lea_1", "active", timeout_s=0))


def test_the_asynchronous_client_is_the_synchronous_one_awaited():
    def methods(kind):
        return {name: value for name, value in vars(kind).items() if inspect.isfunction(value)}

    mine, theirs = methods(Client), methods(AsyncClient)
    assert mine.keys() == theirs.keys()
    for name, method in mine.items():
        assert inspect.signature(method).parameters == inspect.signature(theirs[name]).parameters, name
        many = "Iterator" in str(inspect.signature(method).return_annotation)
        assert inspect.iscoroutinefunction(theirs[name]) != many, name
