"""Webhooks over real HTTP: signed, patient, ordered, never doubled, and never into the operator's own network."""

from __future__ import annotations

import json
import socket
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hooks_kit import Receiver, Tenant, closing

from sublet.broker.hooks import delivery, signing
from sublet.broker.hooks.values import DISABLED_AFTER, RETRIES, Call
from sublet.storage.engine import Database

AT = datetime(2026, 1, 1, tzinfo=UTC)


def call(url, name="dlv_1"):
    return Call(name, url, signing.new_secret(), b'{"type":"ping"}', 1)


def targets(receiver):
    return [json.loads(body)["data"]["target"] for _, body in receiver.heard]


def test_what_arrives_is_signed_and_says_what_happened(database, clock):
    with closing(Receiver(204)) as receiver:
        tenant = Tenant(database, clock, receiver.url)
        tenant.happen("ord_1")
        assert tenant.deliver(delivery.sender(private=True)) == 1
        headers, body = receiver.heard[0]
        assert signing.verify(tenant.secret, headers, body, now=clock.now())
        assert not signing.verify(signing.new_secret(), headers, body, now=clock.now())
        assert not signing.verify(tenant.secret, headers, body + b" ", now=clock.now())
        assert not signing.verify(tenant.secret, headers, body, now=clock.now() + timedelta(minutes=6))
        told = json.loads(body)
        assert (told["type"], told["organisation"], told["data"]["target"]) == ("order", tenant.organisation, "ord_1")
        (done,) = tenant.deliveries()
        assert (done.state, done.attempts, done.last_status, done.id) == ("delivered", 1, 204, headers["webhook-id"])
        assert tenant.deliver(delivery.sender(private=True)) == 0


def test_a_deaf_address_is_called_again_with_growing_pauses_and_given_up_in_the_end(sqlite_database, clock):
    with closing(Receiver(500)) as receiver:
        tenant = Tenant(sqlite_database, clock, receiver.url)
        tenant.happen("ord_1")
        send = delivery.sender(private=True)
        for number, pause in enumerate(RETRIES, 1):
            assert tenant.deliver(send) == 1
            (waiting,) = tenant.deliveries()
            assert (waiting.state, waiting.attempts, waiting.last_error) == ("waiting", number, "answered 500")
            assert waiting.next_at == clock.now() + pause
            clock.advance(pause - timedelta(seconds=1))
            assert tenant.deliver(send) == 0, "it is called before its time"
            clock.advance(1)
        assert tenant.deliver(send) == 1
        (lost,) = tenant.deliveries()
        assert (lost.state, lost.attempts, lost.next_at) == ("given up", len(RETRIES) + 1, None)
        assert "webhook.give-up" in tenant.acts()
        assert len({headers["webhook-id"] for headers, _ in receiver.heard}) == 1, "every attempt has the same id"
        assert len(receiver.heard) == len(RETRIES) + 1
        clock.advance(DISABLED_AFTER)
        assert tenant.deliver(send) == 0


def test_an_address_that_is_deaf_for_days_is_called_no_more_and_one_that_comes_back_is(sqlite_database, clock):
    with closing(Receiver(500, 500, 200, 500)) as receiver:
        tenant = Tenant(sqlite_database, clock, receiver.url)
        send = delivery.sender(private=True)
        tenant.happen("ord_1")
        for _ in range(3):
            tenant.deliver(send)
            clock.advance(120)
        assert tenant.deliveries()[0].state == "delivered"
        for number in range(4):  # now it hears nothing for days, whatever comes
            tenant.happen(f"ord_{number}")
            tenant.deliver(send)
            clock.advance(DISABLED_AFTER / 2)
        assert "webhook.disable" in tenant.acts()
        tenant.happen("ord_9")
        assert tenant.deliver(send) == 0
        assert {each.state for each in tenant.deliveries()[1:]} == {"given up"}


@pytest.mark.parametrize("answer", [200, "drip"])
def test_an_answer_that_takes_too_long_is_none(answer):
    with closing(Receiver(answer)) as receiver:
        receiver.pause_s = 0.6 if answer == 200 else 0
        outcome = delivery.sender(private=True, timeout_s=0.2)(call(receiver.url), AT)
        assert (outcome.heard, outcome.status, outcome.error) == (False, None, "no answer within 0.2 s")


def test_a_redirect_is_not_followed():
    with closing(Receiver(307)) as receiver:
        outcome = delivery.sender(private=True)(call(receiver.url), AT)
        assert (outcome.heard, outcome.error, len(receiver.heard)) == (False, "answered 307", 1)


def test_nobody_there_is_said_so():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        outcome = delivery.sender(private=True)(call(f"http://127.0.0.1:{free.getsockname()[1]}/"), AT)
    assert outcome.status is None
    assert "Connect" in outcome.error


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "[::1]",
        "10.1.2.3",
        "169.254.169.254",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "0.0.0.0",
        "localhost",
    ],
)
def test_an_address_that_is_not_public_is_not_called(host):
    outcome = delivery.sender()(call(f"http://{host}:1/"), AT)
    assert not outcome.heard
    assert "not public" in outcome.error


def resolver(monkeypatch, *answers):
    """Names resolve to these numbers, one answer after the other; returns how often was asked."""
    asked = []

    def getaddrinfo(host, port, *_, **__):
        asked.append(host)
        numbers = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port)) for number in numbers]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_a_name_that_points_inside_as_well_as_outside_is_refused(monkeypatch):
    resolver(monkeypatch, ["93.184.216.34", "127.0.0.1"])
    outcome = delivery.sender()(call("http://rebind.example.org/"), AT)
    assert "127.0.0.1, which is not public" in outcome.error


def test_what_was_checked_is_what_is_called(monkeypatch):
    """A name that changes its mind between the check and the call (DNS rebinding) is asked once, and called there."""
    with closing(Receiver(200)) as receiver:
        port = receiver.server.server_port
        asked = resolver(monkeypatch, ["127.0.0.1"], ["127.0.0.99"])
        outcome = delivery.sender(private=True)(call(f"http://rebind.example.org:{port}/x"), AT)
        assert outcome.heard, outcome.error
        assert asked[:1] == ["rebind.example.org"]
        assert "rebind.example.org" not in asked[1:]
        assert receiver.heard[0][0]["host"] == f"rebind.example.org:{port}"


def test_events_arrive_in_the_order_in_which_they_happened(sqlite_database, clock):
    with closing(Receiver(200)) as receiver, closing(Receiver(200)) as second:
        tenant = Tenant(sqlite_database, clock, receiver.url)
        with sqlite_database.transaction() as session:
            from sublet.broker.hooks import service
            from sublet.broker.tenants.values import SYSTEM

            service.create(session, organisation=tenant.organisation, url=second.url, actor=SYSTEM, now=clock.now())
        names = [f"ord_{number}" for number in range(20)]
        tenant.happen(*names[:10])
        clock.advance(1)
        tenant.happen(*names[10:])
        assert tenant.deliver(delivery.sender(private=True)) == 40
        assert targets(receiver) == targets(second) == names


def test_while_nobody_answers_the_rest_waits_in_its_order(sqlite_database, clock):
    with closing(Receiver(200)) as receiver:
        tenant = Tenant(sqlite_database, clock, receiver.url)
        names = [f"ord_{number}" for number in range(5)]
        tenant.happen(*names)
        receiver.pause_s = 0.5
        tenant.deliver(delivery.sender(private=True, timeout_s=0.1))
        assert [each.attempts for each in tenant.deliveries()] == [1, 0, 0, 0, 0]
        receiver.heard.clear()
        receiver.pause_s = 0
        clock.advance(RETRIES[0])
        tenant.deliver(delivery.sender(private=True))
        assert targets(receiver) == names


def test_two_processes_tell_each_event_once(database, clock):
    with closing(Receiver(200)) as receiver:
        tenant = Tenant(database, clock, receiver.url)
        names = [f"ord_{number}" for number in range(30)]
        tenant.happen(*names)
        where = database.path.parent if database.dialect == "sqlite" else database.engine.url
        text = str(where) if database.dialect == "sqlite" else where.render_as_string(hide_password=False)
        others = [Database.open(text.replace("+psycopg", "")) for _ in range(2)]
        receiver.pause_s = 0.01
        send = delivery.sender(private=True)

        def work(mine):
            while delivery.deliver(mine, clock, send, limit=7):
                pass

        threads = [threading.Thread(target=work, args=(mine,)) for mine in (database, *others)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for other in others:
            other.close()
        assert sorted(targets(receiver)) == sorted(names)
        assert {each.attempts for each in tenant.deliveries()} == {1}
