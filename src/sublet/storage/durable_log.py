"""What the log of durable work says, read without DBOS: whether anybody works on a workflow, and how it ended.

Starting DBOS costs two CPU-seconds, so a process looks here first whether it has anything to resume. Invariant: this
reads; only DBOS writes its tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Literal

from sqlalchemy import bindparam, text

from sublet.storage.durable import FILE_NAME, SCHEMA
from sublet.storage.engine import Database
from sublet.storage.slots import slots

Standing = Literal["running", "left", "done", "failed"]
"""running: a living worker has it. left: its worker is dead, nobody has it. failed: also what was cancelled."""

_OPEN = frozenset({"PENDING", "ENQUEUED"})


def standing(database: Database, identifiers: Iterable[str]) -> Mapping[str, Standing]:
    """How each workflow stands; one that was never started is not in the answer."""
    wanted = list(identifiers)
    found = _sqlite(database, wanted) if database.path is not None else _postgresql(database, wanted)
    alive: set[str] = set()
    if any(status in _OPEN for _, status, _ in found):
        alive = {f"worker-{slot}" for slot in slots(database).held()}
    return {identifier: _word(status, worker in alive) for identifier, status, worker in found}


def _word(status: str, alive: bool) -> Standing:
    if status in _OPEN:
        return "running" if alive else "left"
    return "done" if status == "SUCCESS" else "failed"


def _sqlite(database: Database, wanted: list[str]) -> list[tuple[str, str, str]]:
    assert database.path is not None
    path = database.path.parent / FILE_NAME
    if not path.exists():
        return []
    query = "SELECT workflow_uuid, status, executor_id FROM workflow_status WHERE workflow_uuid = ?"
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'workflow_status'").fetchone():
            return []
        return [row for each in wanted for row in connection.execute(query, (each,))]


def _postgresql(database: Database, wanted: list[str]) -> list[tuple[str, str, str]]:
    query = text(
        f"SELECT workflow_uuid, status, executor_id FROM {SCHEMA}.workflow_status WHERE workflow_uuid IN :wanted"  # noqa: S608
    ).bindparams(bindparam("wanted", expanding=True))
    with database.reading() as session:
        if session.scalar(text("SELECT to_regclass(:name)"), {"name": f"{SCHEMA}.workflow_status"}) is None:
            return []
        return [tuple(row) for row in session.execute(query, {"wanted": wanted})]
