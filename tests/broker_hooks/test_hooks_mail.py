"""Notices by e-mail: through the operator's mail server, to people of the organisation alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hooks_kit import MailSink, Tenant, closing

from sublet.broker.errors import Invalid
from sublet.broker.hooks import delivery
from sublet.broker.hooks.mail import Mail, read_mail
from sublet.errors import InputError


def test_a_person_is_told_by_mail(sqlite_database, clock):
    with closing(MailSink()) as sink:
        tenant = Tenant(sqlite_database, clock, "mailto:ada@example.org")
        tenant.happen("ord_1")
        assert tenant.deliver(delivery.sender(mail=Mail("127.0.0.1", "broker@example.net", sink.port))) == 1
        (letter,) = sink.letters
        head, _, body = letter.partition("\n\n")
        assert "To: ada@example.org" in head
        assert "From: broker@example.net" in head
        assert "Subject: [Sublet] order ord_1" in head
        assert "action: order.place" in body
        assert tenant.deliveries()[0].state == "delivered"


@pytest.mark.parametrize(
    ("refusal", "status"),
    [("550 no such user", 550), ("450 come back later", 450), ("", None)],
    ids=["550", "450", "none"],
)
def test_what_the_mail_server_says_is_written_down_and_tried_again(sqlite_database, clock, refusal, status):
    with closing(MailSink(refusal)) as sink:
        tenant = Tenant(sqlite_database, clock, "mailto:ada@example.org")
        tenant.happen("ord_1")
        tenant.deliver(delivery.sender(mail=Mail("127.0.0.1", "b@example.net", sink.port) if refusal else None))
        (waiting,) = tenant.deliveries()
        assert (waiting.state, waiting.last_status) == ("waiting", status)
        assert (refusal or "no mail server") in waiting.last_error
        assert sink.letters == []


def test_mail_goes_to_nobody_else(sqlite_database, clock):
    for url in (
        "mailto:eve@example.org",
        "mailto:ada@example.org,eve@example.org",
        "mailto:ada@example.org%0ABcc:e@x.org",
    ):
        with pytest.raises(Invalid, match="no person of this organisation"):
            Tenant(sqlite_database, clock, url)


def test_the_mail_server_is_named_in_a_file(tmp_path):
    assert read_mail(tmp_path) is None
    file = tmp_path / "mail.toml"
    file.write_text('host = "mail.example.org"\nfrom = "broker@example.org"\nstarttls = true\n')
    assert read_mail(tmp_path) == Mail("mail.example.org", "broker@example.org", 587, True)
    for text, said in (
        ("host = 1", "give host"),
        ('host = "a"\nfrom = "b@c"\nport = 0', "port is 0"),
        ('host = "a"\nfrom = "b@c"\nhots = 1', "hots is not known"),
        ("host = ", "mail.toml"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=said):
            read_mail(tmp_path)
