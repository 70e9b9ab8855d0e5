"""Tokens: shown once, stored as a hash, never more than their giver has, and over when they are over."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from money_kit import HOUSE_AUDITOR, OPERATOR, ZERO, at, tenant
from sublet.broker.audit import log as audit
from sublet.broker.errors import Forbidden, Invalid, NotFound, Unauthenticated
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants import tokens
from sublet.broker.tenants.values import SYSTEM


def issue(session, owner, actor=None, **change):
    wish = {"organisation": owner.organisation, "name": "ci", "role": "member", "actor": actor or owner.admin}
    return tokens.issue_token(session, **(wish | {"now": ZERO} | change))


def who(session, secret, hours=0.0):
    return tokens.authenticate(session, secret, address="192.0.2.1", now=at(hours))


def test_a_secret_is_its_holders_only_proof(database):
    with database.transaction() as session:
        owner = tenant(session)
        token, secret = issue(session, owner, project=owner.project, scopes=("lease.read", "lease.end"))
        actor = who(session, secret)
        assert (actor.id, actor.organisation, actor.project, actor.role) == (
            token.id, owner.organisation, owner.project, "member"
        )  # fmt: skip
        assert (actor.kind, actor.address, actor.scopes) == ("token", "192.0.2.1", ("lease.read", "lease.end"))
        for wrong in ("", secret[:-1], secret.upper(), secret + "0", token.id):
            with pytest.raises(Unauthenticated):
                who(session, wrong)


def test_no_secret_is_stored_or_logged(sqlite_database):
    with sqlite_database.transaction() as session:
        owner = tenant(session)
        _, secret = issue(session, owner)
        assert len(secret) == len("sublet_") + 50
        for table in ("tokens", "audit_log"):
            for row in session.execute(text(f"SELECT * FROM {table}")):
                assert secret not in str(row)
                assert secret.removeprefix("sublet_") not in str(row)
        assert "digest" not in repr(tokens.tokens(session, organisation=owner.organisation, actor=owner.admin))


def test_expired_revoked_and_unknown_sound_alike(database):
    with database.transaction() as session:
        owner = tenant(session)
        old, secret = issue(session, owner, expires_at=at(1))
        who(session, secret, 0.99)
        said = set()
        for hours in (1, 2):
            with pytest.raises(Unauthenticated) as error:
                who(session, secret, hours)
            said.add(str(error.value))
        second, other = issue(session, owner)
        assert tokens.revoke_token(session, second.id, actor=owner.admin, now=at(1)).revoked_at == at(1)
        assert tokens.revoke_token(session, second.id, actor=owner.admin, now=at(2)).revoked_at == at(1)
        for secret_ in (other, "sublet_none"):
            with pytest.raises(Unauthenticated) as error:
                who(session, secret_)
            said.add(str(error.value))
        assert len(said) == 1
        acts = [act.action for act in audit.entries(session, actor=owner.admin)]
        assert acts == ["token.issue", "token.issue", "token.revoke"]
        assert old.id != second.id


def test_use_is_noted_by_the_minute(database):
    with database.transaction() as session:
        owner = tenant(session)
        _, secret = issue(session, owner)

        def used(seconds):
            tokens.authenticate(session, secret, address="", now=ZERO + timedelta(seconds=seconds))
            return tokens.tokens(session, organisation=owner.organisation, actor=owner.admin)[0].last_used_at

        assert used(1) == ZERO + timedelta(seconds=1)
        assert used(60) == ZERO + timedelta(seconds=1)
        assert used(61) == ZERO + timedelta(seconds=61)


def test_nobody_hands_out_more_than_he_has(database):
    with database.transaction() as session:
        owner, other = tenant(session), tenant(session)
        second = tenants.create_project(session, organisation=owner.organisation, name="b", actor=SYSTEM, now=ZERO)
        bound = replace(owner.admin, project=owner.project)
        narrow = replace(owner.admin, scopes=("token.issue", "lease.read"))
        cases = (
            ({"actor": owner.member}, Forbidden),
            ({"actor": HOUSE_AUDITOR}, Forbidden),
            ({"role": "operator"}, Invalid),
            ({"organisation": None, "role": "operator"}, Forbidden),
            ({"organisation": None, "role": "auditor"}, Forbidden),
            ({"organisation": other.organisation}, NotFound),
            ({"project": other.project}, NotFound),
            ({"project": "prj_none"}, NotFound),
            ({"actor": bound}, NotFound),
            ({"actor": bound, "project": second.id}, NotFound),
            ({"actor": narrow}, Forbidden),
            ({"actor": narrow, "scopes": ("lease.read", "lease.end")}, Forbidden),
            ({"actor": replace(owner.admin, scopes=("lease.read",)), "scopes": ("lease.read",)}, Forbidden),
            ({"actor": OPERATOR, "organisation": None, "role": "admin"}, Invalid),
        )
        for change, refusal in cases:
            with pytest.raises(refusal):
                issue(session, owner, **change)
        issue(session, owner, actor=bound, project=owner.project)
        issue(session, owner, actor=narrow, scopes=("lease.read",))
        issue(session, owner, actor=OPERATOR, organisation=None, role="auditor")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"role": "king"}, "role is 'king'"),
        ({"scopes": ("lease.fly",)}, "'lease.fly' is no action"),
        ({"expires_at": ZERO}, "which is over"),
        ({"expires_at": datetime(2027, 1, 1)}, "without a timezone"),
        ({"name": ""}, "token's name"),
        ({"name": "a\0"}, "token's name"),
    ],
)
def test_what_makes_no_sense_is_refused(sqlite_database, change, words):
    with sqlite_database.transaction() as session:
        owner = tenant(session)
        with pytest.raises(Invalid, match=words):
            issue(session, owner, **change)


def test_a_persons_token_is_of_a_person_of_the_same_house(database):
    with database.transaction() as session:
        owner, other = tenant(session), tenant(session)
        ann, bob = (
            tenants.create_person(
                session, organisation=one.organisation, name="x", email="a@b", role="member", actor=SYSTEM, now=ZERO
            )
            for one in (owner, other)
        )
        _, secret = issue(session, owner, person=ann.id)
        assert who(session, secret).kind == "user"
        for person in (bob.id, "usr_none"):
            with pytest.raises(NotFound, match="no such person"):
                issue(session, owner, person=person)


def test_tokens_are_seen_and_ended_by_their_own(database):
    with database.transaction() as session:
        owner, other = tenant(session), tenant(session)
        whole, _ = issue(session, owner)
        part, _ = issue(session, owner, project=owner.project)
        house, _ = issue(session, owner, actor=OPERATOR, organisation=None, role="operator")
        bound = replace(owner.admin, project=owner.project)

        def seen(organisation, actor):
            return [token.id for token in tokens.tokens(session, organisation=organisation, actor=actor)]

        assert seen(owner.organisation, owner.admin) == [whole.id, part.id]
        assert seen(owner.organisation, bound) == [part.id]
        assert seen(None, OPERATOR) == [house.id]
        for organisation, actor in ((owner.organisation, other.admin), (None, owner.admin)):
            with pytest.raises(NotFound):
                seen(organisation, actor)
        refused = [
            (other.admin, whole),
            (owner.admin, house),
            (bound, whole),
            (other.admin, replace(whole, id="tok_none")),
        ]
        for actor, token in refused:
            with pytest.raises(NotFound, match=r"^no such token$"):
                tokens.revoke_token(session, token.id, actor=actor, now=ZERO)
        with pytest.raises(Forbidden):
            tokens.revoke_token(session, whole.id, actor=owner.member, now=ZERO)
        tokens.revoke_token(session, part.id, actor=bound, now=ZERO)
