"""Every active second is charged once, at the price that held then, however it was cut; the books agree."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from money_kit import OPERATOR, ZERO, at, lease, node_cost, serve, tenant, usd
from sublet.broker.billing import accounts, charges, ledger, prices, rating, reports
from sublet.broker.billing.rating import Rate
from sublet.broker.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from sublet.broker.metering import service as metering
from sublet.broker.tenants.values import SYSTEM
from sublet.storage.engine import Database
from sublet.units import Money


def accrue(session, held, hours, **what):
    return charges.accrue(session, held, node_cost=node_cost, now=at(hours), **what)


@pytest.fixture
def owner(database):
    with database.transaction() as session:
        return tenant(session)


# --- rating ----------------------------------------------------------------------------------------------------------

_rates = st.decimals(min_value="0.0001", max_value=100, places=4)
_lengths = st.lists(st.integers(1, 10**10), min_size=1, max_size=12)


@given(_rates, _lengths, st.integers(1, 64))
def test_the_sum_of_charges_does_not_depend_on_the_cuts(rate, lengths, units):
    schedule = (Rate(ZERO, usd(str(rate))),)
    start, weight, sums = ZERO, Decimal(0), Decimal(0)
    for length in lengths:
        end = start + timedelta(microseconds=length)
        amounts, weight = rating.charge(weight, list(rating.pieces(start, end, units, schedule)))
        sums, start = sums + sum(amounts), end
    whole = rating.cost(rating.pieces(ZERO, start, units, schedule), "USD")
    assert sums == whole.amount
    exact = Fraction(rate) * units * sum(lengths) / 3_600_000_000
    assert abs(Fraction(sums) - exact) <= Fraction(1, 2 * 10**12)


_changes = st.lists(st.tuples(st.integers(0, 200_000), _rates), max_size=4)


@given(_changes, st.integers(0, 200_000), st.integers(1, 200_000))
def test_pieces_cover_the_time_once_each_in_its_day_at_the_price_that_holds(changes, start_s, length_s):
    later = {at(0) + timedelta(seconds=second): rate for second, rate in changes if second}
    schedule = (Rate(ZERO, usd(7)), *(Rate(when, usd(str(rate))) for when, rate in sorted(later.items())))
    start = ZERO + timedelta(seconds=start_s)
    end = start + timedelta(seconds=length_s)
    pieces = list(rating.pieces(start, end, 3, schedule))
    here = start
    for piece in pieces:
        assert piece.day == here.date()
        assert piece.rate == [rate.price for rate in schedule if rate.starts_at <= here][-1]
        here += timedelta(microseconds=piece.units // 3)
        assert here.date() == piece.day or here.time().isoformat() == "00:00:00"
    assert here == end


# --- accrual ---------------------------------------------------------------------------------------------------------


def test_usage_becomes_revenue_and_cost(database, owner):
    with database.transaction() as session:
        held = lease(owner)
        serve(session, held, 0, 1)
        posted = accrue(session, held, 1)
        assert dict(posted.lines) == {
            accounts.receivable(owner.organisation): usd(48),
            "revenue": usd(-48),
            "cost": usd(32),
            accounts.payable("simulated"): usd(-32),
        }
        assert (posted.lease, posted.project, posted.organisation) == (held.id, owner.project, owner.organisation)
        assert accrue(session, held, 2) is None
        serve(session, held, 1, 1.5)
        assert accrue(session, held, 2) is not None
        assert charges.charged(session, held) == usd(72)
        assert reports.verify(session) == ()


def test_free_time_costs_the_tenant_nothing_and_us_the_node(database, owner):
    with database.transaction() as session:
        held = lease(owner)
        serve(session, held, 0, 1, billable=False, kind="lost", reason="it died")
        posted = accrue(session, held, 1)
        assert dict(posted.lines) == {"cost": usd(32), accounts.payable("simulated"): usd(-32)}
        assert charges.charged(session, held) == usd(0)
        (row,) = reports.margin(session, actor=OPERATOR)
        assert (row.revenue, row.cost, row.margin, row.ratio) == (usd(0), usd(32), usd(-32), None)
        assert reports.verify(session) == ()


def test_what_costs_nobody_anything_moves_no_money(sqlite_database):
    with sqlite_database.transaction() as session:
        held = lease(tenant(session), price="0")
        serve(session, held, 0, 1)
        assert charges.accrue(session, held, node_cost=lambda *_: usd(0), now=at(1)) is None
        assert charges.accrue(session, held, node_cost=lambda *_: usd(9), now=at(1)) is None, "it is charged already"
        assert ledger.transactions(session, actor=OPERATOR) == ()
        assert reports.verify(session) == ()


def test_only_what_is_over_by_then_is_charged(sqlite_database):
    with sqlite_database.transaction() as session:
        held = lease(tenant(session), nodes=1)
        for hour in range(3):
            serve(session, held, hour, hour + 1)
        accrue(session, held, 3, until=at(2.5))
        assert charges.charged(session, held) == usd(48)
        accrue(session, held, 3)
        assert charges.charged(session, held) == usd(72)


def test_after_the_account_is_closed_nothing_more_is_charged(sqlite_database):
    with sqlite_database.transaction() as session:
        held = lease(tenant(session))
        serve(session, held, 0, 1)
        accrue(session, held, 1)
        charges.close(session, held)
        assert accrue(session, held, 1) is None
        serve(session, held, 1, 2)
        with pytest.raises(Conflict, match="usage record 3 came after"):
            accrue(session, held, 2)


def test_costs_in_another_currency_stand_beside_the_price(sqlite_database):
    with sqlite_database.transaction() as session:
        held = lease(tenant(session), nodes=1)
        serve(session, held, 0, 1)
        charges.accrue(session, held, node_cost=lambda *_: Money(Decimal(14), "EUR"), now=at(1))
        euro, dollar = reports.margin(session, actor=OPERATOR)
        assert (euro.cost, euro.revenue) == (Money(Decimal(14), "EUR"), Money(Decimal(0), "EUR"))
        assert (dollar.cost, dollar.revenue) == (usd(0), usd(24))
        assert reports.verify(session) == ()


def test_an_extension_is_charged_at_its_own_price(database, owner):
    with database.transaction() as session:
        held = lease(owner, nodes=1, hours=1)
        prices.agree(session, held, price_per_accelerator_hour=usd(5), starts_at=at(1), quote="quo_2", now=at(0.5))
        prices.agree(session, held, price_per_accelerator_hour=usd(5), starts_at=at(1), quote="quo_2", now=at(0.6))
        serve(session, held, 0, 2)
        accrue(session, held, 2)
        assert charges.charged(session, held) == usd(8 * 3 + 8 * 5)
        assert len(prices.schedule(session, held)) == 2
        for price, start in ((Money(Decimal(5), "EUR"), 3), (usd(-1), 3), (usd(4), 1)):
            with pytest.raises(Invalid):
                prices.agree(
                    session, held, price_per_accelerator_hour=price, starts_at=at(start), quote=None, now=at(2)
                )


def test_what_is_agreed_anew_takes_the_place_of_what_was_to_come(sqlite_database):
    with sqlite_database.transaction() as session:
        held = lease(tenant(session))
        for price, start in ((5, 6), (4, 2), (4, 8)):
            prices.agree(
                session, held, price_per_accelerator_hour=usd(price), starts_at=at(start), quote=None, now=at(1)
            )
        assert [(rate.starts_at, rate.price) for rate in prices.schedule(session, held)] == [
            (at(0), usd(3)),
            (at(2), usd(4)),
        ]
        assert prices.before(session, held, at(2)) == usd(3)
        assert prices.before(session, held, at(9)) == usd(4)
        assert prices.before(session, held, at(0)) == usd(3)


# --- the running cost ------------------------------------------------------------------------------------------------


def test_the_running_cost_is_known_at_any_instant(database, owner):
    with database.transaction() as session:
        held = lease(owner, nodes=2)
        assert charges.running_cost(session, held, now=at(0)) == usd(0)
        assert charges.running_cost(session, held, now=at(0.5)) == usd(24)
        serve(session, held, 0, 1)
        assert charges.running_cost(session, held, now=at(1.25)) == usd(60)
        accrue(session, held, 1.25)
        assert charges.running_cost(session, held, now=at(1.25)) == usd(60)
        assert charges.pending(session, held, now=at(1.25)) == usd(12)
        assert charges.running_cost(session, held, now=at(9)) == usd(192), "never beyond the end"
        assert charges.remaining(session, held) == usd(192 - 48)
        gone = replace(held, members=tuple(replace(one, served_until=at(1)) for one in held.members))
        assert charges.running_cost(session, gone, now=at(3)) == usd(48)


# --- credits ---------------------------------------------------------------------------------------------------------


def credit(session, held, amount, actor=OPERATOR, reference="claim-1", reason="slow disk"):
    return charges.credit(session, held, usd(amount), reason=reason, reference=reference, actor=actor, now=at(2))


def test_a_credit_is_given_once_and_lowers_what_is_owed(database, owner):
    with database.transaction() as session:
        held = lease(owner)
        serve(session, held, 0, 1)
        accrue(session, held, 1)
        given = credit(session, held, 40)
        assert credit(session, held, 40) == given
        assert dict(given.lines) == {"credits": usd(40), accounts.receivable(owner.organisation): usd(-40)}
        assert charges.charged(session, held) == usd(8)
        (cost,) = reports.costs(session, actor=owner.member)
        assert (cost.charged, cost.given_back, cost.net, cost.accelerator_hours) == (
            usd(48),
            usd(40),
            usd(8),
            Decimal(16),
        )
        (row,) = reports.margin(session, actor=OPERATOR)
        assert (row.revenue, row.credits, row.cost, row.margin) == (usd(48), usd(40), usd(32), usd(-24))
        assert row.ratio == -3
        assert reports.verify(session) == ()


def test_credits_are_the_operators_and_never_more_than_was_charged(sqlite_database):
    with sqlite_database.transaction() as session:
        owner = tenant(session)
        held = lease(owner)
        serve(session, held, 0, 1)
        accrue(session, held, 1)
        with pytest.raises(Forbidden):
            credit(session, held, 1, actor=owner.admin)
        with pytest.raises(Refused) as refused:
            credit(session, held, 49)
        assert (refused.value.dimension, refused.value.limit) == ("credit", "48 USD")
        for amount, reason in ((0, "x"), (-1, "x"), (1, " ")):
            with pytest.raises(Invalid):
                credit(session, held, amount, reason=reason)


# --- reports ---------------------------------------------------------------------------------------------------------


def test_costs_by_day_project_and_kind(database, owner):
    with database.transaction() as session:
        held = lease(owner, hours=30, nodes=1)
        serve(session, held, 0, 14)
        accrue(session, held, 14)
        days = {cost.name: cost.charged for cost in reports.costs(session, by="day", actor=owner.member)}
        assert days == {"2026-01-01": usd(12 * 24), "2026-01-02": usd(2 * 24)}
        (second,) = reports.costs(session, since=date(2026, 1, 2), actor=owner.member)
        assert (second.name, second.charged) == (held.id, usd(48))
        assert reports.costs(session, until=date(2026, 1, 1), actor=owner.member) == ()
        (row,) = reports.margin(session, date(2026, 1, 1), date(2026, 1, 2), by="project", actor=OPERATOR)
        assert (row.name, row.revenue, row.cost) == (owner.project, usd(288), usd(192))
        midnight = ZERO.replace(hour=0)
        assert reports.margin(session, midnight, actor=OPERATOR)[0].revenue == usd(336)
        with pytest.raises(Invalid, match="give a day"):
            reports.margin(session, ZERO, actor=OPERATOR)
        with pytest.raises(Invalid, match="not by 'chip'"):
            reports.costs(session, by="chip", actor=OPERATOR)
        first, other = reports.charges(session, actor=owner.member)
        assert (first.hours, first.rate, first.amount, first.day) == (Decimal(96), usd(3), usd(288), date(2026, 1, 1))
        assert reports.charges(session, after=first.id, actor=owner.member) == (other,)


def test_nobody_sees_what_another_pays_or_what_it_costs_us(sqlite_database):
    with sqlite_database.transaction() as session:
        mine, theirs = tenant(session), tenant(session)
        for one in (mine, theirs):
            held = lease(one)
            serve(session, held, 0, 1)
            accrue(session, held, 1)
        assert [cost.name for cost in reports.costs(session, by="organisation", actor=mine.member)] == [
            mine.organisation
        ]
        assert all(line.side == "price" for line in reports.charges(session, actor=mine.member))
        assert len(reports.costs(session, actor=SYSTEM)) == 2
        with pytest.raises(NotFound):
            reports.costs(session, organisation=theirs.organisation, actor=mine.member)
        with pytest.raises(Forbidden):
            reports.margin(session, actor=mine.admin)


def test_verify_finds_what_was_forced_in(sqlite_database):
    with sqlite_database.transaction() as session:
        held = lease(tenant(session))
        serve(session, held, 0, 1)
        accrue(session, held, 1)
    for statement, words in (
        ("UPDATE accruals SET usage = '9' WHERE side = 'price'", "the total says 9"),
        ("UPDATE accruals SET weight = '9' WHERE side = 'price'", "units x rates make"),
        ("UPDATE charges SET units = '9' WHERE side = 'price'", "accelerator-microseconds are metered"),
        ("UPDATE charges SET units = '9' WHERE side = 'cost'", "node time that we owe"),
        ("UPDATE charges SET first = 2", "charged not at all or twice"),
        ("DELETE FROM ledger_entries WHERE account LIKE 'receivable%'", "the ledger says 0 USD"),
        ("DELETE FROM accruals", "no running total"),
    ):
        with sqlite_database.transaction() as session:
            for trigger in ("charges_never_change", "ledger_entries_never_go"):
                session.execute(text(f"DROP TRIGGER {trigger}"))
            session.execute(text(statement))
            assert any(words in fault.sentence for fault in reports.verify(session)), statement
            session.rollback()
    with sqlite_database.transaction() as session:
        assert reports.verify(session) == ()


# --- margin rules ----------------------------------------------------------------------------------------------------


def test_the_operators_rule_makes_the_price(database):
    with database.transaction() as session:
        with pytest.raises(NotFound):
            prices.margin_rule(session, "H100 SXM", at=at(0))
        general = prices.set_margin(session, markup=Decimal("0.25"), actor=OPERATOR, now=at(0))
        own = prices.set_margin(
            session, markup=Decimal("0.1"), floor=usd("2.5"), accelerator="H100 SXM", actor=OPERATOR, now=at(1)
        )
        assert prices.margin_rule(session, "H100 SXM", at=at(0.5)) == general
        assert prices.margin_rule(session, "H100 SXM", at=at(1)) == own
        assert prices.margin_rules(session, actor=OPERATOR) == (general, own)

        def price(chip, cost):
            return prices.price(session, accelerator=chip, cost_per_accelerator_hour=usd(cost), at=at(2))

        assert price("A100", "2").per_accelerator_hour == usd("2.5")
        assert price("A100", "2").sentence == "2 USD cost plus 25 %"
        assert price("H100 SXM", "2").per_accelerator_hour == usd("2.5")
        assert "below the floor" in price("H100 SXM", "2").sentence
        assert price("H100 SXM", "3").per_accelerator_hour == usd("3.3")


def test_rules_that_make_no_sense_or_are_not_ones_to_set(sqlite_database):
    with sqlite_database.transaction() as session:
        owner = tenant(session)
        for change in ({"markup": Decimal(-1)}, {"markup": Decimal("NaN")}, {"floor": usd(-1)}, {"starts_at": at(-1)}):
            with pytest.raises(Invalid):
                prices.set_margin(session, **({"markup": Decimal(1), "actor": OPERATOR, "now": at(0)} | change))
        with pytest.raises(Forbidden):
            prices.set_margin(session, markup=Decimal(1), actor=owner.admin, now=at(0))


# --- all of it at random ---------------------------------------------------------------------------------------------

_steps = st.lists(
    st.tuples(
        st.integers(1, 7_200_000_000),  # microseconds
        st.sampled_from(["serve", "die", "accrue", "stop"]),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=25, deadline=None)
@given(_steps, _rates)
def test_every_active_second_is_billed_exactly_once(books, steps, rate):
    """Random stretches of service, deaths and accruals of two nodes: what is charged is what was served."""
    served, now = 0, ZERO
    with books.transaction() as session:
        held = lease(tenant(session), price=str(rate), hours=100)
        alive = [True, True]
        for length, what, node in steps:
            start, now = now, now + timedelta(microseconds=length)
            if what == "die":
                alive[node] = False
            for index, name in enumerate(held.node_ids):
                free = what == "stop" and index == node
                kind, reason = ("stopped", "shut down") if free else ("lost", "dead")
                if alive[index] and not free:
                    kind, reason = "service", ""
                    served += length * 8
                facts = {"billable": not reason, "kind": kind, "reason": reason, "source": "t", "now": now}
                for _ in range(2):  # the same again, as after a crash
                    metering.meter(session, held, name, start, now, **facts)
            if what == "accrue":
                accrue_at(session, held, now)
        running = charges.running_cost(session, replace(held, members=()), now=now)
        accrue_at(session, held, now)
        assert charges.charged(session, held) == running
        lines = reports.charges(session, lease=held.id, limit=1000, actor=SYSTEM)
        assert sum((line.hours for line in lines), Decimal(0)).quantize(Decimal("1e-9")) == (
            Decimal(served) / 3_600_000_000
        ).quantize(Decimal("1e-9"))
        exact = Fraction(rate) * served / 3_600_000_000
        assert abs(Fraction(charges.charged(session, held).amount) - exact) <= Fraction(1, 2 * 10**12)
        assert reports.verify(session) == ()
        assert not metering.check(session, held.id)


def accrue_at(session, held, now):
    charges.accrue(session, held, node_cost=node_cost, now=now)


@pytest.fixture(scope="module")
def books(tmp_path_factory, sqlite_template):
    home = tmp_path_factory.mktemp("books")
    shutil.copy(sqlite_template, home / "sublet.db")
    database = Database.open(home)
    yield database
    database.close()
