"""The receipt says what was quoted, what came, why they differ, and equals the ledger to the cent."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from money_kit import HOUSE_AUDITOR, OPERATOR, ZERO, at, lease, node_cost, quote, serve, tenant, usd
from sublet.broker.audit import log as audit
from sublet.broker.billing import accounts, charges, currency, ledger, prices, receipts, reports, terms
from sublet.broker.billing.receipt import Measured, Receipt
from sublet.broker.errors import Conflict, Invalid, NotFound
from sublet.broker.metering import service as metering
from sublet.broker.tenants.values import SYSTEM
from sublet.storage.engine import Database
from sublet.units import Money

ESTIMATE = {"run_s": {"p10": 13000.0, "p50": 14000.0, "p90": 15000.0}, "step_s": 0.5, "tokens": 1.4e9}


def issue(session, held, hours, **what):
    return receipts.issue(session, held, node_cost=node_cost, now=at(hours), **what)


def ended(held, hours, by="time", **changes):
    return replace(held, ended_at=at(hours), ended_by=by, **changes)


@pytest.fixture
def owner(database):
    with database.transaction() as session:
        return tenant(session)


def test_a_lease_that_went_as_quoted(database, owner):
    with database.transaction() as session:
        held = ended(lease(owner, quote(session, owner, estimate=ESTIMATE)), 4)
        serve(session, held, 0, 4)
        measured = Measured(run_s=14200.0, step_s=0.51, tokens=1.4e9, source="the job's log")
        given_ = issue(session, held, 4, measured=measured)
        assert (given_.total, given_.actual.cost, given_.quoted.cost) == (usd(192), usd(192), usd(192))
        assert (given_.actual.hours, given_.actual.node_hours, given_.actual.accelerator_hours) == (4, 8, 64)
        (line,) = given_.lines
        assert (line.sentence, line.amount) == ("64 accelerator-hours at 3 USD", usd(192))
        assert given_.efficiency == Decimal("0.9859")
        assert given_.differences == (
            "the run took 3.94 h, within the 3.61 h to 4.17 h quoted (3.89 h expected)",
            "a step took 0.51 s, 0.5 s were quoted",
            "98.6 k tokens/s were measured, 100 k were quoted",
        )
        assert given_.ledger.balance == given_.total
        assert (given_.ledger.account, given_.ledger.transactions) == (accounts.receivable(owner.organisation), 1)
        assert reports.verify(session) == ()
        (act,) = audit.entries(session, actor=SYSTEM, target=held.id)
        assert (act.action, act.reason) == ("receipt.issue", "192 USD")


def test_a_receipt_is_given_once_and_kept(database, owner):
    with database.transaction() as session:
        held = ended(lease(owner, quote(session, owner, estimate=ESTIMATE)), 4)
        serve(session, held, 0, 4)
        first = issue(session, held, 4, measured=Measured(tokens_per_s=9e4))
        count = audit.count(session)
        assert issue(session, held, 9) == first
        assert audit.count(session) == count
        assert receipts.of_lease(session, held.id, actor=owner.member) == first
        assert json.loads(json.dumps(receipts.document(first)))["total"] == {"amount": "192.00", "currency": "USD"}
    with pytest.raises(DBAPIError, match="never changed"), database.transaction() as session:
        session.execute(text("UPDATE receipts SET total = '1'"))


def test_the_wait_and_a_dead_node_are_not_charged_and_it_says_so(database, owner):
    with database.transaction() as session:
        held = ended(lease(owner, quote(session, owner), active_at=at(0.1)), 4)
        serve(session, held, 0.1, 2)
        serve(session, held, 2, 4, nodes=(0,))
        serve(session, held, 2, 3, nodes=(1,), billable=False, kind="lost", reason="Xid 79", now=at(4))
        serve(session, held, 3, 4, nodes=(1,), billable=False, kind="stopped", reason="shut down", now=at(4))
        given_ = issue(session, held, 4)
        assert given_.total == usd("139.20")
        free = [(one.node_id, one.kind, one.hours, one.reason) for one in given_.not_charged]
        assert free == [
            ("", "qualification", Decimal("0.2"), "the nodes were made and checked"),
            (held.node_ids[1], "lost", 1, "Xid 79"),
            (held.node_ids[1], "stopped", 1, "shut down"),
        ]
        assert given_.differences == (
            "service began 6 min after the start that was booked; that wait is not charged",
            "it served 3.9 h, 0.1 h less than the 4 h quoted: its time was up",
            "1 node-hours are not charged, dead, gone or not seen: Xid 79",
            "1 node-hours are not charged, shut down by the guest: shut down",
            "it cost 139.20 USD, 52.80 USD less than the quote's 192 USD",
        )


def test_qualification_that_was_metered_is_not_counted_twice(sqlite_database):
    with sqlite_database.transaction() as session:
        owner = tenant(session)
        held = ended(lease(owner, quote(session, owner), active_at=at(0.5)), 4)
        serve(session, held, 0, 0.5, billable=False, kind="qualification", reason="being checked")
        serve(session, held, 0.5, 4)
        assert [one.hours for one in issue(session, held, 4).not_charged] == [Decimal("0.5")] * 2


@pytest.mark.parametrize(
    ("refund", "by", "charged"),
    [("1", "tenant", 96), ("0.75", "tenant", 120), ("0", "tenant", 192), ("0", "provider", 96), ("0", "operator", 96)],
)
def test_ending_early_is_charged_by_the_terms_and_only_to_the_tenant(sqlite_database, refund, by, charged):
    with sqlite_database.transaction() as session:
        owner = tenant(session)
        held = lease(owner, quote(session, owner), terms={"early_end_refund": refund})
        held = ended(held, 2, by, end_requested_at=at(1.9))
        serve(session, held, 0, 2)
        given_ = issue(session, held, 2)
        assert given_.total == usd(charged) == given_.ledger.balance
        assert any(terms.ENDED_BY[by] in sentence for sentence in given_.differences)
        assert reports.verify(session) == ()


def test_shortening_is_ending_early(sqlite_database):
    with sqlite_database.transaction() as session:
        owner = tenant(session)
        held = lease(owner, quote(session, owner), hours=2, terms={"early_end_refund": "0.5"})
        held = ended(held, 2)
        serve(session, held, 0, 2)
        assert issue(session, held, 2, booked_until=at(4)).total == usd(144)


def test_lost_time_is_credited_by_the_terms_and_never_beyond_what_was_charged(sqlite_database):
    with sqlite_database.transaction() as session:
        owner = tenant(session)
        for share, total in (("0.5", 120), ("10", 0)):
            held = ended(lease(owner, quote(session, owner), terms={"lost_time_credit": share}), 4)
            serve(session, held, 0, 3)
            serve(session, held, 3, 4, billable=False, reason="the switch died")
            given_ = issue(session, held, 4)
            assert given_.total == usd(total) == given_.ledger.balance
            assert given_.lines[-1].kind == "lost-time"
            assert given_.lines[-1].amount < usd(0)
        assert reports.verify(session) == ()


def test_extension_credit_and_rounding_are_lines_and_the_total_is_the_ledgers(database, owner):
    with database.transaction() as session:
        held = lease(owner, quote(session, owner, price="2.499"), nodes=1, hours=1, price="2.499")
        prices.agree(session, held, price_per_accelerator_hour=usd("3.333"), starts_at=at(1), quote="q", now=at(0.5))
        held = ended(replace(held, ends_at=at(1.5)), 1.5)
        serve(session, held, 0, 1.5)
        charges.accrue(session, held, node_cost=node_cost, now=at(1.5))
        charges.credit(session, held, usd("1.005"), reason="slow", reference="c", actor=OPERATOR, now=at(1.5))
        given_ = issue(session, held, 1.5)
        assert [(line.kind, line.amount) for line in given_.lines] == [
            ("usage", usd("19.99")),
            ("usage", usd("13.33")),
            ("credit", usd("-1.00")),
        ]
        assert given_.total == usd("32.32") == given_.ledger.balance == charges.charged(session, held)
        assert "4 accelerator-hours at 3.333 USD, as agreed when it was extended" in given_.differences
        (rounding,) = ledger.transactions(session, kind="rounding", actor=OPERATOR)
        assert dict(rounding.lines)["revenue"] == usd("-0.001")
        charges.credit(session, held, usd(1), reason="late claim", reference="d", actor=OPERATOR, now=at(3))
        assert receipts.of_lease(session, held.id, actor=OPERATOR) == given_
        assert reports.verify(session) == ()


def test_what_never_served_costs_nothing(database, owner):
    with database.transaction() as session:
        held = lease(owner, quote(session, owner), active_at=None, terms={"early_end_refund": "0"})
        given_ = issue(session, replace(held, end_requested_at=at(-1), ended_by="tenant"), 0, outcome="cancelled")
        assert (given_.total, given_.lines, given_.outcome) == (usd(0), (), "cancelled")
        assert given_.differences == ("it never served, so nothing is charged",)
        assert given_.ledger.transactions == 0


def test_a_lease_that_runs_has_no_receipt(sqlite_database):
    with sqlite_database.transaction() as session:
        owner = tenant(session)
        held = lease(owner, quote(session, owner))
        with pytest.raises(Conflict, match="has not ended"):
            issue(session, held, 1)
        with pytest.raises(NotFound):
            receipts.of_lease(session, held.id, actor=OPERATOR)


def test_who_reads_which_receipts(sqlite_database):
    with sqlite_database.transaction() as session:
        mine, theirs = tenant(session), tenant(session)
        made: list[Receipt] = []
        for one in (mine, mine, theirs):
            held = ended(lease(one, quote(session, one)), 4)
            serve(session, held, 0, 4)
            made.append(issue(session, held, 4 + len(made)))
        assert receipts.receipts(session, actor=mine.member) == tuple(made[:2])
        assert receipts.receipts(session, after=made[0].id, limit=1, actor=HOUSE_AUDITOR) == (made[1],)
        assert receipts.receipts(session, since=at(5), until=at(6), actor=OPERATOR) == (made[1],)
        assert receipts.receipts(session, project=theirs.project, actor=OPERATOR) == (made[2],)
        with pytest.raises(NotFound):
            receipts.of_lease(session, made[2].lease, actor=mine.admin)
        with pytest.raises(NotFound):
            receipts.receipts(session, organisation=theirs.organisation, actor=mine.admin)


@pytest.mark.parametrize("bad", ["2", "-0.1", "x", 0.5, True, "NaN", [1], "0.1234567890123"])
def test_a_share_in_the_terms_is_a_number_between_its_bounds(bad):
    with pytest.raises(Invalid, match="early_end_refund is"):
        terms.parse({"early_end_refund": bad})


def test_terms_that_are_not_moneys_are_left_alone():
    assert terms.parse({"notice_hours": 4, "early_end_refund": None}) == terms.Terms()
    assert terms.parse({"early_end_refund": 0, "lost_time_credit": "5"}) == terms.Terms(Decimal(0), Decimal(5))


@pytest.mark.parametrize(
    ("amount", "code", "rounded"),
    [
        ("2.345", "USD", "2.34"),
        ("2.355", "USD", "2.36"),
        ("2.5", "JPY", "2"),
        ("3.5", "JPY", "4"),
        ("1.0005", "KWD", "1.000"),
    ],
)
def test_amounts_are_rounded_half_even_to_the_minor_unit(amount, code, rounded):
    assert currency.rounded(Money(Decimal(amount), code)) == Money(Decimal(rounded), code)


# --- all of it at random ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def books(tmp_path_factory, sqlite_template):
    home = tmp_path_factory.mktemp("receipts")
    shutil.copy(sqlite_template, home / "sublet.db")
    database = Database.open(home)
    yield database
    database.close()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 5_000_000_000), st.sampled_from(["service", "lost", "stopped"])),
        min_size=1,
        max_size=12,
    ),
    st.decimals(min_value="0.001", max_value=50, places=3),
    st.decimals(min_value=0, max_value=1, places=2),
    st.decimals(min_value=0, max_value=2, places=2),
    st.booleans(),
)
def test_the_receipt_always_equals_the_ledger(books, stretches, price, refund, credit, early):
    with books.transaction() as session:
        owner = tenant(session)
        rules = {"early_end_refund": str(refund), "lost_time_credit": str(credit)}
        held = lease(owner, quote(session, owner, price=str(price)), price=str(price), terms=rules, hours=30)
        now = ZERO
        for number, (length, kind) in enumerate(stretches):
            start, now = now, now + timedelta(microseconds=length)
            what = {"billable": kind == "service", "kind": kind, "reason": "" if kind == "service" else "why"}
            metering.meter(session, held, held.node_ids[0], start, now, source="t", now=now, **what)
            if number % 3 == 0:
                charges.accrue(session, held, node_cost=node_cost, now=now)
        by = "tenant" if early else "provider"
        given_ = receipts.issue(session, replace(held, ended_at=now, ended_by=by), node_cost=node_cost, now=now)
        booked = ledger.balance(session, accounts.receivable(owner.organisation))
        assert booked.get("USD", Decimal(0)) == given_.total.amount == sum(line.amount.amount for line in given_.lines)
        assert given_.total == currency.rounded(given_.total)
        assert given_.total >= usd(0) or not any(kind == "service" for _, kind in stretches)
        assert receipts.of_lease(session, held.id, actor=SYSTEM) == given_
        assert reports.verify(session) == ()
