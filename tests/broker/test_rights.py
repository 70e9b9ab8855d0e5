"""The table of rights: each role may what it may, nobody sees another tenant's things, the house's are the house's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sublet.broker.errors import Forbidden, NotFound
from sublet.broker.tenants.rights import HOUSE, OPERATOR, RIGHTS, own, permit
from sublet.broker.tenants.values import ROLES, SYSTEM, Actor

MINE, THEIRS = "org_mine", "org_theirs"


def actor(role, organisation=MINE, project=None, scopes=()):
    return Actor("token", "tok_1", organisation, project, role, scopes=scopes)


def outcome(who, action, **target):
    try:
        permit(who, action, **target)
    except (Forbidden, NotFound) as error:
        return type(error)
    return None


@pytest.mark.parametrize("action", RIGHTS)
def test_another_tenants_things_do_not_exist(action):
    for role in ROLES:
        assert outcome(actor(role), action, organisation=THEIRS) is NotFound
        assert outcome(actor(role, project="prj_a"), action, organisation=MINE, project="prj_b") is NotFound


@pytest.mark.parametrize("action", RIGHTS)
def test_the_table_is_kept(action):
    for role in ROLES:
        house = RIGHTS[action] in (HOUSE, OPERATOR)
        expected = None if role in RIGHTS[action] and not house and role != "operator" else Forbidden
        assert outcome(actor(role), action, organisation=MINE) is expected
        assert outcome(actor(role), action) is expected
    assert outcome(actor("operator", None), action, organisation=THEIRS) is None
    assert outcome(SYSTEM, action, organisation=THEIRS) is None
    assert outcome(actor("auditor", None), action) is (None if "auditor" in RIGHTS[action] else Forbidden)


def test_a_tenants_auditor_does_not_see_the_house():
    for action in ("ledger.read", "supply.read", "organisation.list", "doctor.run"):
        assert outcome(actor("auditor"), action) is Forbidden
        assert outcome(actor("auditor", None), action) is None


def test_an_auditor_changes_nothing():
    for action in RIGHTS:
        if not action.endswith((".read", ".list")) and action != "doctor.run":
            assert outcome(actor("auditor", None), action) is Forbidden


@given(st.sampled_from(sorted(RIGHTS)), st.sets(st.sampled_from(sorted(RIGHTS)), min_size=1), st.sampled_from(ROLES))
def test_a_scope_only_takes_away(action, scopes, role):
    narrow = outcome(actor(role, scopes=tuple(scopes)), action, organisation=MINE)
    if action not in scopes:
        assert narrow is Forbidden
    else:
        assert narrow is outcome(actor(role), action, organisation=MINE)


def test_what_is_hidden_is_named_as_what_is_not_there():
    for action, words in (
        ("lease.end", "no such lease"),
        ("order.create", "no such quote"),
        ("project.read", "no such project"),
        ("receipt.read", "no such receipt"),
    ):
        with pytest.raises(NotFound, match=f"^{words}$"):
            permit(actor("member"), action, organisation=THEIRS)


def test_an_action_that_is_not_in_the_table_is_a_programming_error():
    with pytest.raises(KeyError):
        permit(SYSTEM, "lease.explode")


def test_whose_request_it_is():
    assert own(actor("member"), None) == MINE
    assert own(actor("member"), MINE) == MINE
    assert own(actor("operator", None), THEIRS) == THEIRS
    for who, organisation in ((actor("member"), THEIRS), (actor("operator", None), None)):
        with pytest.raises(NotFound):
            own(who, organisation)
