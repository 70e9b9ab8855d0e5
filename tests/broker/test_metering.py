"""Usage is written once, never changed, and what is missing or seen otherwise is found."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from money_kit import HOUR, ZERO, at, lease, serve, tenant
from sublet.broker.errors import Conflict, Invalid, NotFound
from sublet.broker.metering import intervals
from sublet.broker.metering import service as metering
from sublet.broker.metering.values import Claim, Interval, Usage
from sublet.broker.tenants.values import SYSTEM, Actor


def meter(session, held, start, end, **what):
    what = {"billable": True, "source": "engine", "now": at(end)} | what
    return metering.meter(session, held, "n1", at(start), at(end), **what)


@pytest.fixture
def held(database):
    with database.transaction() as session:
        return lease(tenant(session))


def test_a_record_is_made_once(database, held):
    with database.transaction() as session:
        first = meter(session, held, 0, 1)
        again = meter(session, held, 0, 1, now=at(9))
        assert first == again
        assert metering.records(session, held.id) == (first,)
        assert (first.number, first.microseconds, first.accelerators) == (1, 3_600_000_000, 8)


def test_what_is_metered_already_is_not_metered_otherwise(database, held):
    with database.transaction() as session:
        meter(session, held, 1, 2)
        for start, end in ((1, 3), (0, 1.5), (1.5, 1.6), (0, 3), (1.9, 5)):
            with pytest.raises(Conflict, match="overlaps it"):
                meter(session, held, start, end)
        with pytest.raises(Conflict):
            meter(session, held, 1, 2, billable=False, reason="it died")
        meter(session, held, 2, 3)
        meter(session, held, 0, 1, now=at(3))
        assert [record.number for record in metering.records(session, held.id)] == [1, 2, 3]
        assert [record.number for record in metering.records(session, held.id, after=2)] == [3]


def test_a_node_is_billed_to_one_lease_at_a_time(database, held):
    other = replace(held, id="lea_other")
    with database.transaction() as session:
        meter(session, held, 0, 2)
        with pytest.raises(Conflict, match=held.id):
            meter(session, other, 1, 3)
        meter(session, other, 1, 3, billable=False, kind="qualification", reason="being checked")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"start": 1, "end": 1}, "has no length"),
        ({"start": 2, "end": 1}, "has no length"),
        ({"now": at(0.5)}, "is not over"),
        ({"billable": False}, "its reason is ''"),
        ({"reason": "why"}, "its reason is 'why'"),
        ({"kind": "lost"}, "'lost' and billable"),
        ({"billable": False, "kind": "service", "reason": "x"}, "'service' and not billable"),
        ({"kind": "idle"}, "'idle'"),
    ],
)
def test_what_makes_no_sense_is_refused(database, held, change, words):
    with database.transaction() as session, pytest.raises(Invalid, match=words):
        meter(session, held, **({"start": 0, "end": 1} | change))


def test_the_database_keeps_records_as_they_are(database, held):
    with database.transaction() as session:
        meter(session, held, 0, 1)
    copy = "INSERT INTO usage_records SELECT {columns} FROM usage_records"
    names = (
        "id, lease_id, number, organisation_id, project_id, node_id, provider, accelerator, accelerators, starts_at,"
        " ends_at, billable, kind, reason, source, recorded_at"
    )
    other = names.replace("id, lease_id, number", "'use_2', 'lea_other', 1", 1)
    for statement in (
        "UPDATE usage_records SET accelerators = 1",
        "DELETE FROM usage_records",
        copy.format(columns=names.replace("id, lease_id, number", "'use_2', lease_id, 2", 1)),
        f"INSERT INTO usage_records ({names}) SELECT {other} FROM usage_records",
    ):
        with pytest.raises(DBAPIError), database.transaction() as session:
            session.execute(text(statement))
    with database.transaction() as session:
        assert len(metering.records(session, held.id)) == 1


def test_nothing_is_replaced_on_sqlite(sqlite_database):
    with sqlite_database.transaction() as session:
        meter(session, lease(tenant(session)), 0, 1)
    with pytest.raises(DBAPIError, match="never changed"), sqlite_database.transaction() as session:
        session.execute(text("INSERT OR REPLACE INTO usage_records SELECT * FROM usage_records"))


def test_nothing_is_emptied_on_postgresql(postgresql_database):
    with pytest.raises(DBAPIError, match="never changed"), postgresql_database.transaction() as session:
        session.execute(text("TRUNCATE usage_records"))


def test_a_gap_and_time_out_of_service_are_found(database, held):
    service = [Interval("n1", at(0), at(5))]
    with database.transaction() as session:
        meter(session, held, 0, 2)
        meter(session, held, 3, 4)
        found = metering.check(session, held.id, service)
        assert [(one.kind, one.start, one.end) for one in found] == [("gap", at(2), at(3)), ("gap", at(4), at(5))]
        assert [one.kind for one in metering.check(session, held.id)] == ["gap"]
        meter(session, held, 4, 6)
        meter(session, held, 2, 3, billable=False, reason="it was not seen", now=at(6))
        (late,) = metering.check(session, held.id, service)
        assert (late.kind, late.start, late.end) == ("outside", at(5), at(6))
        assert metering.check(session, held.id) == ()


def test_differences_with_the_provider_are_reported_once_and_nothing_is_corrected(database, held):
    claims = [Claim("n1", at(0), at(1.5), "invoice"), Claim("n9", at(0), at(1), "invoice")]
    with database.transaction() as session:
        meter(session, held, 0, 2)
        found = metering.reconcile(session, held.id, claims, now=at(3))
        assert [(one.node_id, one.kind, one.start, one.end) for one in found] == [
            ("n1", "unclaimed", at(1.5), at(2)),
            ("n9", "unmetered", at(0), at(1)),
        ]
        assert "1800 s" in found[0].sentence
        metering.reconcile(session, held.id, claims, now=at(4))
        assert metering.differences(session, held.id) == found
        assert metering.reconcile(session, held.id, claims, tolerance_s=7200, now=at(4)) == ()
        assert [record.end for record in metering.records(session, held.id)] == [at(2)]


def test_a_tenant_reads_its_own_usage(database):
    with database.transaction() as session:
        mine, theirs = tenant(session), tenant(session)
        for owner in (mine, theirs):
            serve(session, lease(owner), 0, 1)
        seen = metering.usage(session, actor=mine.member)
        assert {record.organisation for record in seen} == {mine.organisation}
        assert len(metering.usage(session, actor=SYSTEM)) == 4
        assert metering.usage(session, actor=SYSTEM, limit=1, after=seen[0].id)[0].id > seen[0].id
        with pytest.raises(NotFound):
            metering.usage(session, organisation=theirs.organisation, actor=mine.member)
        elsewhere = Actor("token", "tok_1", mine.organisation, "prj_other", "member")
        assert metering.totals(session, actor=elsewhere) == ()


def test_totals_are_cut_to_the_time_asked_for(database):
    with database.transaction() as session:
        owner = tenant(session)
        held = lease(owner)
        serve(session, held, 0, 2)
        serve(session, held, 2, 3, nodes=(0,))
        serve(session, held, 2, 3, nodes=(1,), billable=False, reason="it died")
        (total,) = metering.totals(session, actor=owner.member)
        assert (str(total.node_hours), str(total.accelerator_hours), str(total.free_node_hours)) == ("5", "40", "1")
        (part,) = metering.totals(session, since=at(1.5), until=at(2.5), actor=owner.member)
        assert (part.node_hours, part.free_node_hours) == (Decimal("1.5"), Decimal("0.5"))
        assert (part.first, part.last) == (at(1.5), at(2.5))
        assert metering.totals(session, since=at(7), actor=owner.member) == ()


_cuts = st.lists(st.integers(0, 3_600_000_000), min_size=2, max_size=8, unique=True).map(sorted)


def _usage(number, start, end):
    return Usage(
        "n1", start, end, f"use_{number}", "lea", number, "o", "p", "x", "H100", 8, True, "service", "", "e", end
    )


@given(_cuts)
def test_any_cut_of_service_into_records_is_whole_and_one_less_is_a_gap(cuts):
    times = [ZERO + timedelta(microseconds=cut) for cut in cuts]
    records = [_usage(number, *pair) for number, pair in enumerate(pairwise(times), start=1)]
    service = [Interval("n1", times[0], times[-1])]
    assert intervals.findings("lea", records, service) == ()
    for missing in range(len(records)):
        rest = records[:missing] + [replace(record, number=record.number - 1) for record in records[missing + 1 :]]
        (found,) = intervals.findings("lea", rest, service)
        assert (found.kind, found.start, found.end) == ("gap", times[missing], times[missing + 1])


def test_overlap_and_a_missing_number_are_found():
    records = [_usage(1, ZERO, ZERO + HOUR), _usage(3, ZERO + HOUR / 2, ZERO + 2 * HOUR)]
    assert [found.kind for found in intervals.findings("lea", records, None)] == ["numbering", "overlap"]
