"""Bring a database to this program's schema, forward only, in one transaction.

Each step is a file `migrations/versions/<number>_<what>.py`, run by Alembic. Invariant (tested): every revision,
upgraded, gives the schema that the rooms declare. Alembic is imported only where there is a step to take.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text

from sublet.errors import InputError
from sublet.storage.engine import Database

FOLDER = Path(__file__).parent / "migrations"
VERSION_TABLE = "alembic_version"
_STEP = re.compile(r"(\d{4})_[a-z0-9_]+\.py")


def revisions() -> tuple[str, ...]:
    """Every revision that this program knows, oldest first."""
    found = (_STEP.fullmatch(path.name) for path in (FOLDER / "versions").iterdir())
    return tuple(sorted(match[1] for match in found if match))


def current(connection: Connection) -> str | None:
    """The revision of a database; None where it is empty; InputError where it holds tables of something else."""
    names = inspect(connection).get_table_names()
    if VERSION_TABLE not in names:
        if names:
            raise InputError(
                f"the database {connection.engine.url} holds tables ({', '.join(sorted(names)[:3])}) but no schema"
                " version: give an empty database, or one that this program made"
            )
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()  # noqa: S608


def pending(database: Database) -> tuple[str, ...]:
    """The revisions that `upgrade` would run; InputError for a database of a newer program."""
    with database.reading() as session:
        return _after(current(session.connection()), database.url)


def upgrade(database: Database, to: str | None = None) -> tuple[str, ...]:
    """Run what is pending (up to revision `to`); returns what was run. Several processes may call it at once."""
    if not pending(database):
        return ()
    with database.transaction(marked=False) as session:
        connection = session.connection()
        steps = _after(current(connection), database.url)
        if to is not None:
            steps = tuple(step for step in steps if step <= to)
        if steps:
            _run(connection, steps[-1])
    return steps


def _after(revision: str | None, where: str) -> tuple[str, ...]:
    known = revisions()
    if revision is not None and revision not in known:
        raise InputError(
            f"{where} has schema {revision} and this program knows no newer than {known[-1]}: install a newer sublet"
        )
    return tuple(step for step in known if revision is None or step > revision)


def script() -> Any:
    """Alembic's view of the folder of steps."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def _run(connection: Connection, to: str) -> None:
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    steps = script()

    def path(revision: Any, _context: MigrationContext) -> list[Any]:
        return list(steps._upgrade_revs(to, revision))

    context = MigrationContext.configure(connection, opts={"fn": path, "version_table": VERSION_TABLE})
    with Operations.context(context):
        context.run_migrations()
