"""Organisations, projects and people: made by those who may, seen by their own, every act in the audit log."""

from __future__ import annotations

import pytest

from money_kit import OPERATOR, ZERO, at, tenant, usd
from sublet.broker.audit import log as audit
from sublet.broker.errors import Conflict, Forbidden, Invalid, NotFound
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.values import SYSTEM, Actor


def bound(owner, role="admin"):
    return Actor("token", "tok_1", owner.organisation, owner.project, role)


def test_an_organisation_and_its_project(database):
    with database.transaction() as session:
        made = tenants.create_organisation(session, name=" ACME ", tier=0, actor=OPERATOR, now=ZERO)
        assert (made.name, made.kind, made.tier) == ("ACME", "tenant", 0)
        assert tenants.organisation(session, made.id, actor=OPERATOR) == made
        admin = Actor("user", "usr_1", made.id, None, "admin")
        project = tenants.create_project(
            session, organisation=made.id, name="llm", budget=usd("12.50"), needs_approval=True, actor=admin, now=ZERO
        )
        assert tenants.project(session, project.id, actor=admin) == project
        assert (project.budget, project.needs_approval, project.hard_stop) == (usd("12.50"), True, True)
        changed = tenants.update_project(session, project.id, budget=usd(99), hard_stop=False, actor=admin, now=at(1))
        assert (changed.budget, changed.needs_approval, changed.hard_stop) == (usd(99), True, False)
        acts = audit.entries(session, actor=admin)
        assert [act.action for act in acts] == ["project.create", "project.update"]
        assert acts[1].details == {"budget": "99 USD", "hard_stop": "False"}


def test_names_are_taken_once(database):
    with database.transaction() as session:
        first, second = tenant(session), tenant(session)
        with pytest.raises(Conflict):
            tenants.create_organisation(
                session,
                name=tenants.organisation(session, first.organisation, actor=SYSTEM).name,
                actor=SYSTEM,
                now=ZERO,
            )
        with pytest.raises(Conflict, match="has a project 'p' already"):
            tenants.create_project(session, organisation=first.organisation, name="p", actor=SYSTEM, now=ZERO)
        tenants.create_project(session, organisation=second.organisation, name="q", actor=SYSTEM, now=ZERO)


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "two\nlines", "nul\0", "\x1b[31m"])
def test_a_name_is_one_line_of_letters(sqlite_database, name):
    with sqlite_database.transaction() as session, pytest.raises(Invalid, match="organisation's name"):
        tenants.create_organisation(session, name=name, actor=OPERATOR, now=ZERO)


@pytest.mark.parametrize("change", [{"kind": "bank"}, {"tier": -1}, {"tier": 10}])
def test_an_organisation_is_of_a_known_kind_and_tier(sqlite_database, change):
    with sqlite_database.transaction() as session, pytest.raises(Invalid):
        tenants.create_organisation(session, **({"name": "x", "actor": OPERATOR, "now": ZERO} | change))


@pytest.mark.parametrize("amount", ["-0.01", "1e13", "1e999999"])
def test_a_budget_is_an_amount(sqlite_database, amount):
    with sqlite_database.transaction() as session:
        owner = tenant(session)
        with pytest.raises(Invalid, match="the budget is"):
            tenants.update_project(session, owner.project, budget=usd(amount), actor=owner.admin, now=ZERO)
        assert tenants.project(session, owner.project, actor=owner.admin).budget is None


def test_what_is_anothers_and_what_is_not_there_look_alike(database):
    with database.transaction() as session:
        mine, theirs = tenant(session), tenant(session)
        asks = (
            lambda id_: tenants.organisation(session, id_[0], actor=mine.admin),
            lambda id_: tenants.project(session, id_[1], actor=mine.admin),
            lambda id_: tenants.update_project(session, id_[1], hard_stop=True, actor=mine.admin, now=ZERO),
            lambda id_: tenants.create_project(session, organisation=id_[0], name="x", actor=mine.admin, now=ZERO),
            lambda id_: tenants.people(session, organisation=id_[0], actor=mine.admin),
            lambda id_: tenants.create_person(
                session, organisation=id_[0], name="x", email="a@b", role="member", actor=mine.admin, now=ZERO
            ),
        )
        for ask in asks:
            said = []
            for id_ in ((theirs.organisation, theirs.project), ("org_none", "prj_none")):
                with pytest.raises(NotFound) as error:
                    ask(id_)
                said.append(str(error.value))
            assert said[0] == said[1]
        assert [one.id for one in tenants.organisations(session, actor=mine.member)] == [mine.organisation]
        assert [one.id for one in tenants.projects(session, actor=mine.member)] == [mine.project]
        assert {theirs.organisation} < {one.id for one in tenants.organisations(session, actor=OPERATOR)}
        assert len(tenants.projects(session, organisation=theirs.organisation, actor=OPERATOR)) == 1


def test_a_member_changes_nothing(sqlite_database):
    with sqlite_database.transaction() as session:
        owner = tenant(session)
        for act in (
            lambda: tenants.create_organisation(session, name="x", actor=owner.admin, now=ZERO),
            lambda: tenants.create_project(
                session, organisation=owner.organisation, name="x", actor=owner.member, now=ZERO
            ),
            lambda: tenants.update_project(session, owner.project, hard_stop=False, actor=owner.member, now=ZERO),
        ):
            with pytest.raises(Forbidden):
                act()


def test_a_token_of_one_project_keeps_to_it(sqlite_database):
    with sqlite_database.transaction() as session:
        owner = tenant(session)
        other = tenants.create_project(session, organisation=owner.organisation, name="b", actor=SYSTEM, now=ZERO)
        who = bound(owner)
        assert [one.id for one in tenants.projects(session, actor=who)] == [owner.project]
        with pytest.raises(NotFound):
            tenants.project(session, other.id, actor=who)
        with pytest.raises(Forbidden, match="bound to one project"):
            tenants.create_project(session, organisation=owner.organisation, name="c", actor=who, now=ZERO)
        with pytest.raises(Forbidden, match="bound to one project"):
            tenants.create_person(
                session, organisation=owner.organisation, name="x", email="a@b", role="admin", actor=who, now=ZERO
            )


def test_people_of_a_tenant_and_of_the_house(database):
    with database.transaction() as session:
        owner = tenant(session)

        def person(organisation, role, actor=OPERATOR, email="a@b.example"):
            return tenants.create_person(
                session, organisation=organisation, name="Ann", email=email, role=role, actor=actor, now=ZERO
            )

        ann = person(owner.organisation, "admin", owner.admin)
        boss = person(None, "operator")
        assert tenants.people(session, organisation=owner.organisation, actor=owner.admin) == (ann,)
        assert tenants.people(session, organisation=None, actor=OPERATOR) == (boss,)
        for organisation, role in ((owner.organisation, "operator"), (None, "admin"), (None, "member"), (None, "x")):
            with pytest.raises(Invalid, match="role is"):
                person(organisation, role)
        for email in ("nobody", "a@" + "b" * 320, "a@b\0"):
            with pytest.raises(Invalid, match="email is"):
                person(owner.organisation, "member", email=email)
        with pytest.raises(Forbidden):
            person(None, "operator", owner.admin)
        with pytest.raises(NotFound):
            tenants.people(session, organisation=None, actor=owner.admin)


def test_a_budget_is_kept_to_the_last_digit(database):
    with database.transaction() as session:
        owner = tenant(session, budget=usd("0.100000000001"))
        assert tenants.project(session, owner.project, actor=SYSTEM).budget == usd("0.100000000001")
