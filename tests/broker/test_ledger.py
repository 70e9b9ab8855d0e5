"""Transactions go in whole and balanced, once, and never change, whoever writes them."""

from __future__ import annotations

import shutil
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from money_kit import HOUSE_AUDITOR, OPERATOR, ZERO, at, tenant, usd
from sublet.broker.audit import log as audit
from sublet.broker.billing import accounts, ledger
from sublet.broker.errors import Conflict, Forbidden, Invalid, NotFound
from sublet.broker.tenants.values import SYSTEM
from sublet.storage.engine import Database
from sublet.units import Money

SALE = [(accounts.receivable("org_1"), usd("2.5")), (accounts.REVENUE, usd("-2.5"))]


def post(session, lines=SALE, reference="r1", kind="accrual", **what):
    return ledger.post(session, lines=lines, reference=reference, kind=kind, **({"now": ZERO} | what))


def test_a_transaction_is_written_and_read_back(database):
    with database.transaction() as session:
        posted = post(session, organisation="org_1", lease="lea_1", sentence="usage")
        assert ledger.transaction(session, posted.id, actor=OPERATOR) == posted
        assert ledger.transactions(session, lease="lea_1", actor=HOUSE_AUDITOR) == (posted,)
        assert ledger.transactions(session, lease="lea_2", actor=OPERATOR) == ()
        assert ledger.balance(session, "revenue") == {"USD": Decimal("-2.5")}
        assert ledger.balance(session, accounts.receivable("org_1"), lease="lea_1") == {"USD": Decimal("2.5")}
        assert ledger.verify(session) == ()
        (act,) = audit.entries(session, actor=SYSTEM, target=posted.id)
        assert (act.action, act.organisation) == ("ledger.accrual", "org_1")
        assert act.details["lines"] == ["receivable:org_1 2.5 USD", "revenue -2.5 USD"]


def test_a_reference_is_posted_once(database):
    with database.transaction() as session:
        first = post(session)
        assert post(session, now=at(1)) == first
        with pytest.raises(Conflict, match="with other lines"):
            post(session, [(account, amount * 2) for account, amount in SALE])
        assert post(session, kind="credit") != first
        assert audit.count(session) == 2


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([("cost", usd(1)), ("revenue", usd(-2))], "sum to -1 USD"),
        ([("cost", usd(1)), ("revenue", Money(Decimal(-1), "EUR"))], "not to zero"),
        ([("cost", usd(0)), ("revenue", usd(0))], "has 0"),
        ([], "has 0"),
        ([("cost", usd("1e-13")), ("revenue", usd("-1e-13"))], "12 places"),
        ([("cost", usd("1e14")), ("revenue", usd("-1e14"))], r"below 1E\+14"),
        ([("cash", usd(1)), ("revenue", usd(-1))], "'cash' is no account"),
        ([("receivable", usd(1)), ("revenue", usd(-1))], "'receivable' is no account"),
        ([("revenue:x", usd(1)), ("revenue", usd(-1))], "'revenue:x' is no account"),
        ([("payable:", usd(1)), ("revenue", usd(-1))], "'payable:' is no account"),
    ],
)
def test_what_does_not_balance_or_fit_is_refused(sqlite_database, lines, words):
    with sqlite_database.transaction() as session:
        with pytest.raises(Invalid, match=words):
            post(session, lines)
        assert ledger.transactions(session, actor=OPERATOR) == ()


def test_two_currencies_balance_each_by_itself(database):
    euro = [("cost", Money(Decimal(3), "EUR")), ("payable:p", Money(Decimal(-3), "EUR"))]
    with database.transaction() as session:
        post(session, [*SALE, *euro])
        held = {(balance.account, balance.amount, balance.side) for balance in ledger.balances(session, actor=OPERATOR)}
        assert ("cost", Money(Decimal(3), "EUR"), "debit") in held
        assert len(held) == 4
        assert ledger.balances(session, until=ZERO, actor=OPERATOR) == ()


_SEAL = (
    "INSERT INTO ledger_transactions (id, at, kind, reference, sentence)"
    " VALUES ('txn_x', '2026-01-01 00:00:00.000000', 'test', 'x', '')"
)
_LINE = (
    "INSERT INTO ledger_entries (transaction_id, number, account, amount, currency)"
    " VALUES ('{}', {}, 'cost', {}, 'USD')"
)


def run(database, statements):
    with database.transaction() as session:
        for statement in statements:
            session.execute(text(statement))


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        ([_SEAL], "two entries or more"),
        ([_LINE.format("txn_x", 1, "'1'"), _SEAL], "two entries or more"),
        ([_LINE.format("txn_x", 1, "'1'"), _LINE.format("txn_x", 2, "'-1.000000000001'"), _SEAL], "sum to zero"),
        ([_LINE.format("txn_x", 1, "'1'"), _LINE.format("txn_x", 2, "'-1'")], "(?i)foreign key"),
        (["UPDATE ledger_entries SET amount = '9'"], "never changed"),
        (["DELETE FROM ledger_entries"], "never changed"),
        (["UPDATE ledger_transactions SET sentence = 'x'"], "never changed"),
        (["DELETE FROM ledger_transactions"], "never changed"),
    ],
)
def test_the_database_refuses_what_the_service_never_does(database, statements, words):
    with database.transaction() as session:
        post(session)
    with pytest.raises(DBAPIError, match=words):
        run(database, statements)
    with database.transaction() as session:
        assert len(ledger.transactions(session, actor=OPERATOR)) == 1
        assert ledger.verify(session) == ()


def test_a_sealed_transaction_takes_no_more_lines(database):
    with database.transaction() as session:
        posted = post(session)
    with pytest.raises(DBAPIError, match="sealed"), database.transaction() as session:
        session.execute(text(_LINE.format(posted.id, 3, "'1'")))


def test_a_balanced_transaction_by_hand_is_taken(database):
    with database.transaction() as session:
        for number, amount in ((1, "'0.1'"), (2, "'0.2'"), (3, "'-0.3'")):
            session.execute(text(_LINE.format("txn_x", number, amount)))
        session.execute(text(_SEAL))
    with database.transaction() as session:
        assert ledger.verify(session) == ()


def test_verify_sees_what_was_forced_in(sqlite_database):
    with sqlite_database.transaction() as session:
        posted = post(session)
        session.execute(text("DROP TRIGGER ledger_entries_never_change"))
        session.execute(text("UPDATE ledger_entries SET amount = '9' WHERE number = 1"))
        (fault,) = ledger.verify(session)
        assert fault.transaction == posted.id
        assert "sums to 6.5 USD" in fault.sentence


def test_only_the_house_reads_the_ledger(sqlite_database):
    with sqlite_database.transaction() as session:
        owner = tenant(session)
        posted = post(session, organisation=owner.organisation)
        for read in (
            lambda actor: ledger.transactions(session, actor=actor),
            lambda actor: ledger.transaction(session, posted.id, actor=actor),
            lambda actor: ledger.balances(session, actor=actor),
        ):
            with pytest.raises(Forbidden):
                read(owner.admin)
            assert read(HOUSE_AUDITOR)
        with pytest.raises(NotFound):
            ledger.transaction(session, "txn_none", actor=OPERATOR)


def test_pages_and_filters(sqlite_database):
    with sqlite_database.transaction() as session:
        made = [post(session, reference=str(number), now=at(number)) for number in range(5)]
        assert ledger.transactions(session, limit=2, actor=OPERATOR) == tuple(made[:2])
        assert ledger.transactions(session, after=made[1].id, limit=2, actor=OPERATOR) == tuple(made[2:4])
        assert ledger.transactions(session, since=at(1), until=at(3), actor=OPERATOR) == tuple(made[1:3])
        assert ledger.transactions(session, account="cost", actor=OPERATOR) == ()
        assert ledger.transactions(session, account="revenue", kind="accrual", actor=OPERATOR) == tuple(made)


_amounts = st.decimals(min_value=-(10**13), max_value=10**13, allow_nan=False, allow_infinity=False, places=12)


@settings(max_examples=30, deadline=None)
@given(st.lists(_amounts, min_size=1, max_size=6))
def test_any_amounts_and_their_opposite_are_kept_to_the_last_digit(ledger_database, amounts):
    lines = [("revenue", usd(str(amount))) for amount in amounts] + [("cost", usd(str(-amount))) for amount in amounts]
    with ledger_database.transaction() as session:
        try:
            posted = post(session, lines, reference=str(hash(tuple(amounts))))
        except Invalid:
            assert not any(amounts)
            return
        assert sum(amount.amount for _, amount in posted.lines) == 0
        read = ledger.transaction(session, posted.id, actor=OPERATOR)
        assert [line for line in lines if line[1].amount] == list(read.lines)


@pytest.fixture(scope="module")
def ledger_database(tmp_path_factory, sqlite_template):
    home = tmp_path_factory.mktemp("ledger")
    shutil.copy(sqlite_template, home / "sublet.db")
    database = Database.open(home)
    yield database
    database.close()
