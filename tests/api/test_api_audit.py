"""A log that was cut is found by what an earlier verification said of it."""

from __future__ import annotations

from sqlalchemy import text


def anchor(found):
    return f"{found['entries']}:{found['digest']}"


def test_a_log_that_was_cut_is_found_by_an_earlier_answer(world):
    if world.house.database.dialect == "postgresql":
        drop = ("DROP TRIGGER audit_log_only_grows ON audit_log",)
    else:
        drop = ("DROP TRIGGER audit_log_never_go",)
    known = anchor(world.get("/v1/audit/verify", "operator").json())
    assert world.get("/v1/audit/verify", "operator", params={"known": known}).json()["broken_at"] is None
    with world.house.database.transaction() as session:
        for statement in (*drop, "DELETE FROM audit_log WHERE number = (SELECT max(number) FROM audit_log)"):
            session.execute(text(statement))
    assert world.get("/v1/audit/verify", "operator").json()["broken_at"] is None, "by itself the chain cannot tell"
    cut = world.get("/v1/audit/verify", "operator", params={"known": known}).json()
    assert cut["sentence"] == f"entry {known.split(':')[0]} is missing: there were {known.split(':')[0]} entries"


def test_what_is_no_anchor_is_refused(world):
    for known in ("", "7", "0:" + "a" * 64, "1:" + "A" * 64, "-1:" + "a" * 64):
        assert world.get("/v1/audit/verify", "operator", params={"known": known}).status_code == 422
