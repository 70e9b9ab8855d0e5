"""An order over the budget is refused by name, use is warned of once, and what must stop is listed."""

from __future__ import annotations

import shutil
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from money_kit import OPERATOR, at, lease, node_cost, serve, tenant, usd
from sublet.broker.audit import log as audit
from sublet.broker.billing import budgets, charges
from sublet.broker.billing.budgets import Commitment, Pending
from sublet.broker.errors import Invalid, NotFound, Refused
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.values import SYSTEM
from sublet.storage.engine import Database
from sublet.units import Money


def spend(session, owner, hours, start=0.0, **changes):
    """A lease of one node that is charged 24 USD an hour."""
    held = lease(owner, nodes=1, hours=100, **changes)
    serve(session, held, start, start + hours)
    charges.accrue(session, held, node_cost=node_cost, now=at(start + hours))
    return held


def check(session, owner, amount, *committed):
    budgets.check(
        session, owner.project, usd(amount), at(0), committed=[Commitment("ord", usd(each)) for each in committed]
    )


def test_the_whole_commitment_must_fit_beside_what_is_spent_and_open(database):
    with database.transaction() as session:
        owner = tenant(session, budget=usd(100))
        spend(session, owner, 1)
        check(session, owner, 46, 30)
        with pytest.raises(Refused) as refused:
            check(session, owner, "46.01", 20, 10)
        assert (refused.value.dimension, refused.value.limit, refused.value.use) == ("budget", "100 USD", "54 USD")
        assert str(refused.value) == (
            "the budget of project 'p' is 100 USD: 24 USD are spent, 30 USD are committed to open orders,"
            " and this order commits 46.01 USD, which is 0.01 USD too much"
        )


def test_no_budget_is_no_limit_and_zero_is_one(database):
    with database.transaction() as session:
        check(session, tenant(session), 10**9)
        none = tenant(session, budget=usd(0))
        check(session, none, 0)
        with pytest.raises(Refused):
            check(session, none, "0.01")


def test_currencies_are_not_added_up(sqlite_database):
    with sqlite_database.transaction() as session:
        owner = tenant(session, budget=Money(usd(100).amount, "EUR"))
        with pytest.raises(Refused) as refused:
            check(session, owner, 1)
        assert (refused.value.dimension, refused.value.limit, refused.value.use) == ("budget currency", "EUR", "USD")
        spend(session, owner, 1)
        with pytest.raises(Refused, match="24 USD is in USD"):
            budgets.check(session, owner.project, Money(usd(1).amount, "EUR"), at(0))
        seen = budgets.status(session, owner.project, actor=owner.member)
        assert (seen.spent, seen.percent) == ((usd(24),), Decimal(0))
        assert budgets.warn(session, now=at(1)) == ()


def test_a_credit_gives_budget_back(sqlite_database):
    with sqlite_database.transaction() as session:
        owner = tenant(session, budget=usd(100))
        held = spend(session, owner, 4)
        with pytest.raises(Refused):
            check(session, owner, 10)
        charges.credit(session, held, usd(50), reason="slow", reference="c", actor=OPERATOR, now=at(5))
        check(session, owner, 54)


def test_each_warning_is_given_once_per_budget(database):
    with database.transaction() as session:
        owner = tenant(session, budget=usd(48))
        held = spend(session, owner, 0.5)
        assert budgets.warn(session, now=at(1)) == ()
        serve(session, held, 0.5, 1)
        charges.accrue(session, held, node_cost=node_cost, now=at(1))
        (half,) = budgets.warn(session, now=at(1))
        assert (half.percent, half.spent, half.budget) == (50, usd(24), usd(48))
        assert half.sentence == "project 'p' has spent 50 % of its budget: 24 USD of 48 USD"
        assert budgets.warn(session, now=at(1)) == ()
        late = [Pending(held.id, owner.project, usd(24))]
        assert [one.percent for one in budgets.warn(session, pending=late, now=at(2))] == [80, 100]
        assert budgets.warn(session, pending=late, now=at(3)) == ()
        tenants.update_project(session, owner.project, budget=usd(30), actor=SYSTEM, now=at(3))
        assert [one.percent for one in budgets.warn(session, now=at(4))] == [50, 80]
        assert [one.percent for one in budgets.warnings(session, project=owner.project, actor=owner.member)] == [
            50, 80, 100, 50, 80
        ]  # fmt: skip
        assert budgets.status(session, owner.project, actor=owner.member).warned == (50, 80)
        acts = audit.entries(session, actor=SYSTEM, target=owner.project)
        assert [act.outcome for act in acts if act.action == "budget.warn"] == ["50 %", "80 %", "100 %", "50 %", "80 %"]
    with pytest.raises(DBAPIError, match="never changed"), database.transaction() as session:
        session.execute(text("DELETE FROM budget_warnings"))


def test_what_must_stop_is_listed_only_where_the_project_chose_so(database):
    with database.transaction() as session:
        hard, soft = tenant(session, budget=usd(24)), tenant(session, budget=usd(24), hard_stop=False)
        first, second = spend(session, hard, 0.5), spend(session, hard, 0.25)
        spend(session, soft, 9)
        assert budgets.to_stop(session) == ()
        fresh = Pending("lea_fresh", hard.project, usd(6))
        assert [stop.lease for stop in budgets.to_stop(session, pending=[fresh])] == [first.id, second.id, "lea_fresh"]
        serve(session, second, 0.25, 0.5)
        charges.accrue(session, second, node_cost=node_cost, now=at(0.5))
        charges.close(session, first)
        (stop,) = budgets.to_stop(session)
        assert (stop.lease, stop.project, stop.organisation) == (second.id, hard.project, hard.organisation)
        assert stop.sentence == "the budget of project 'p' is used up: 24 USD of 24 USD"


def test_a_tenant_sees_how_its_budget_stands(database):
    with database.transaction() as session:
        owner, other = tenant(session, budget=usd(100)), tenant(session)
        spend(session, owner, 1)
        seen = budgets.status(session, owner.project, committed=[Commitment("o", usd(80))], actor=owner.member)
        assert (seen.spent, seen.committed, seen.left, seen.percent) == (
            (usd(24),),
            (usd(80),),
            usd(-4),
            Decimal(24),
        )
        bare = budgets.status(session, other.project, actor=other.member)
        assert (bare.budget, bare.spent, bare.left, bare.percent) == (None, (), None, None)
        for read in (budgets.status, lambda s, p, actor: budgets.warnings(s, project=p, actor=actor)):
            with pytest.raises(NotFound):
                read(session, owner.project, actor=other.member)


def test_a_budget_below_zero_is_refused(sqlite_database):
    with sqlite_database.transaction() as session, pytest.raises(Invalid):
        tenant(session, budget=usd(-1))


@pytest.fixture(scope="module")
def project(tmp_path_factory, sqlite_template):
    home = tmp_path_factory.mktemp("budgets")
    shutil.copy(sqlite_template, home / "sublet.db")
    database = Database.open(home)
    with database.transaction() as session:
        made = tenant(session, budget=usd(1000))
    yield database, made
    database.close()


@given(st.lists(st.decimals(0, 400, places=2), max_size=12))
def test_accepted_orders_never_pass_the_budget_and_none_that_fits_is_refused(project, amounts):
    database, owner = project
    held: list[Commitment] = []
    with database.reading() as session:
        for amount in amounts:
            total = sum((each.amount for each in held), usd(0))
            try:
                budgets.check(session, owner.project, usd(str(amount)), at(0), committed=held)
            except Refused:
                assert total + usd(str(amount)) > usd(1000)
            else:
                held.append(Commitment("o", usd(str(amount))))
                assert total + usd(str(amount)) <= usd(1000)
