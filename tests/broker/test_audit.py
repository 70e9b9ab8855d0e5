"""The audit log only grows, proves itself, and shows each tenant its own."""

from __future__ import annotations

import json
import re
import shutil
from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from money_kit import HOUSE_AUDITOR, OPERATOR, ZERO, at
from sublet.broker.audit import log as audit
from sublet.broker.errors import Forbidden, NotFound
from sublet.broker.tenants.values import SYSTEM, Actor
from sublet.storage.engine import Database

ADMIN = Actor("user", "usr_a", "org_a", None, "admin", "192.0.2.7")


def record(session, hour=0.0, *, actor=ADMIN, **what):
    wish = {"action": "lease.end", "target": "lea_1", "outcome": "done", "reason": "no use", "details": {"n": 1}}
    audit.record(session, actor=actor, **(wish | what), now=at(hour))


def test_an_act_is_written_with_all_that_one_asks_for(database):
    with database.transaction() as session:
        record(session)
        (entry,) = audit.entries(session, actor=ADMIN)
        assert (entry.number, entry.at, entry.actor, entry.role, entry.address) == (
            1,
            ZERO,
            "usr_a",
            "admin",
            "192.0.2.7",
        )
        assert (entry.action, entry.target, entry.outcome, entry.reason) == ("lease.end", "lea_1", "done", "no use")
        assert (entry.organisation, entry.project, entry.details) == ("org_a", None, {"n": 1})
        record(session, actor=SYSTEM, organisation="org_a", project="prj_a")
        assert audit.entries(session, actor=ADMIN)[1].project == "prj_a"


def test_the_chain_holds_and_survives_another_timezone(database):
    east = timezone(timedelta(hours=9))
    with database.transaction() as session:
        for hour in range(5):
            audit.record(
                session, actor=ADMIN, action="a", target="t", outcome="o", now=at(hour + 0.123456).astimezone(east)
            )
    with database.reading() as session:
        chain = audit.verify(session)
        assert (chain.entries, chain.broken_at, chain.sentence) == (5, None, "5 entries, unbroken")
        assert chain.digest == audit.entries(session, actor=OPERATOR)[-1].digest


def test_an_empty_log_is_whole(database):
    with database.reading() as session:
        assert audit.verify(session).broken_at is None
        assert audit.count(session) == 0


def test_the_database_keeps_every_entry(database):
    with database.transaction() as session:
        record(session)
    for statement in ("UPDATE audit_log SET reason = 'x'", "DELETE FROM audit_log"):
        with pytest.raises(DBAPIError, match="never changed"), database.transaction() as session:
            session.execute(text(statement))


def forced(database, statement):
    with database.transaction() as session:
        for trigger in ("audit_log_never_change", "audit_log_never_go", "audit_log_never_replace"):
            session.execute(text(f"DROP TRIGGER IF EXISTS {trigger}"))
        session.execute(text(statement))
        return audit.verify(session)


@pytest.mark.parametrize(
    ("statement", "broken_at", "words"),
    [
        (f"UPDATE audit_log SET {column} = 'x' WHERE number = 3", 3, r"entry 3 \(.*\) was changed")
        for column in (
            "actor", "role", "organisation_id", "project_id", "address", "action", "target", "outcome", "reason",
            "details", "digest",
        )
    ]
    + [
        ("UPDATE audit_log SET at = '2020-01-01 00:00:00.000000' WHERE number = 3", 3, "was changed"),
        ("DELETE FROM audit_log WHERE number = 3", 3, "entry 3 is missing: entry 4 follows 2"),
        ("DELETE FROM audit_log WHERE number = 1", 1, "entry 1 is missing"),
        ("UPDATE audit_log SET number = 9 WHERE number = 5", 5, "entry 5 is missing"),
    ],
)  # fmt: skip
def test_what_was_forced_is_found(sqlite_database, statement, broken_at, words):
    with sqlite_database.transaction() as session:
        for hour in range(5):
            record(session, hour, project="prj_a")
    chain = forced(sqlite_database, statement)
    assert (chain.broken_at, chain.entries) == (broken_at, broken_at - 1)
    assert re.search(words, chain.sentence)


def test_a_log_that_was_cut_or_made_anew_is_found_by_a_digest_kept_elsewhere(sqlite_database):
    with sqlite_database.transaction() as session:
        for hour in range(3):
            record(session, hour)
        before = audit.verify(session)
        known = (before.entries, before.digest)
        record(session, 3)
        assert audit.verify(session, known=known).broken_at is None
    cut = forced(sqlite_database, "DELETE FROM audit_log WHERE number >= 3")
    assert cut.broken_at is None, "the chain by itself cannot tell"
    with sqlite_database.transaction() as session:
        assert audit.verify(session, known=known).sentence == "entry 3 is missing: there were 3 entries"
        record(session, 9)
        assert audit.verify(session).broken_at is None
        assert audit.verify(session, known=known).broken_at == 3


def test_each_sees_its_own(database):
    with database.transaction() as session:
        record(session, 0, project="prj_a")
        record(session, 1, project="prj_b", target="lea_2", action="lease.extend")
        record(session, 2, actor=Actor("user", "usr_b", "org_b", None, "admin"))
        record(session, 3, actor=OPERATOR)

        def numbers(actor, **what):
            return [entry.number for entry in audit.entries(session, actor=actor, **what)]

        assert numbers(ADMIN) == [1, 2]
        assert numbers(Actor("user", "x", "org_a", "prj_b", "auditor")) == [2]
        assert numbers(HOUSE_AUDITOR) == numbers(OPERATOR) == numbers(SYSTEM) == [1, 2, 3, 4]
        assert numbers(OPERATOR, target="lea_2") == [2]
        assert numbers(OPERATOR, project="prj_a") == [1]
        assert numbers(OPERATOR, by="usr_b") == [3]
        assert numbers(OPERATOR, since=at(1), until=at(3)) == [2, 3]
        assert numbers(OPERATOR, after=1, limit=2) == [2, 3]
        with pytest.raises(Forbidden):
            numbers(Actor("user", "x", "org_a", None, "member"))
        with pytest.raises(NotFound):
            numbers(Actor("user", "x", "org_a", "prj_b", "auditor"), project="prj_a")


def test_the_export_is_every_entry_that_one_may_see(database):
    with database.transaction() as session:
        for hour in range(7):
            record(session, hour, actor=ADMIN if hour % 2 else OPERATOR)
        lines = [json.loads(line) for line in audit.export(session, actor=OPERATOR)]
        assert [line["number"] for line in lines] == list(range(1, 8))
        assert lines[0]["at"] == "2026-01-01T12:00:00+00:00"
        assert [json.loads(line)["number"] for line in audit.export(session, actor=ADMIN)] == [2, 4, 6]


def test_an_export_has_no_page_that_is_its_last(sqlite_database):
    with sqlite_database.transaction() as session:
        for _ in range(1001):
            record(session)
        assert sum(1 for _ in audit.export(session, actor=OPERATOR)) == 1001


@given(reason=st.text(), address=st.text(max_size=300), details=st.dictionaries(st.text(), st.text() | st.integers()))
def test_whatever_words_come_the_chain_holds(words_database, reason, address, details):
    with words_database.transaction() as session:
        who = Actor("user", "usr_a", "org_a", None, "admin", address)
        audit.record(session, actor=who, action="a", target="t", outcome="o", reason=reason, details=details, now=ZERO)
        session.expire_all()
        assert audit.verify(session).broken_at is None


@pytest.fixture(scope="module")
def words_database(tmp_path_factory, sqlite_template):
    home = tmp_path_factory.mktemp("words")
    shutil.copy(sqlite_template, home / "sublet.db")
    database = Database.open(home)
    yield database
    database.close()


def test_words_that_a_database_cannot_keep_are_kept_as_well_as_can_be(postgresql_database):
    with postgresql_database.transaction() as session:
        record(session, reason="nul \0 half \ud800 end", details={"\0": "\0\ud800"})
    with postgresql_database.reading() as session:
        assert audit.verify(session).broken_at is None
        assert audit.entries(session, actor=OPERATOR)[0].reason == "nul  half ? end"
