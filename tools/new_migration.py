"""Write the next migration: what the rooms' tables are now against what the migrations make.

    python tools/new_migration.py "nodes have tags"

Writes a numbered file in src/sublet/storage/migrations/versions, to be formatted, read, corrected and completed by
hand: triggers and other rules of one database (`guards.py` of a room) go into the first file and are not compared after
it. A released file is never changed; one that was never released is deleted and written anew.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from pprint import pformat
from typing import Any, Literal

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.runtime.migration import MigrationContext
from sqlalchemy import DDL, Dialect, MetaData
from sqlalchemy.engine import make_url

import sublet.broker
from sublet.storage import migrate
from sublet.storage.engine import Database
from sublet.storage.schema import Amount, Base, Document, UTCDateTime

FILE = '''"""{message}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sublet.storage.schema import Amount, Document, UTCDateTime

revision = "{revision}"
down_revision = {before}


{guards}def upgrade() -> None:
    """What changes."""
    {body}
'''
GUARDS = """# What each database refuses by itself.
GUARDS = {statements}


"""
RUN_GUARDS = """
    for statement in GUARDS[op.get_bind().dialect.name]:
        op.get_bind().exec_driver_sql(statement)
"""


def guards(metadata: MetaData) -> dict[str, tuple[str, ...]]:
    """Database -> the statements that follow the making of the tables, in the order of the tables."""
    kinds: dict[str, Dialect] = {name: make_url(f"{name}://").get_dialect()() for name in ("sqlite", "postgresql")}
    rules = [rule for table in metadata.sorted_tables for rule in table.dispatch.after_create if isinstance(rule, DDL)]
    return {
        name: tuple(str(rule.compile(dialect=kind)) for rule in rules if name in only(rule))
        for name, kind in kinds.items()
    }


def only(rule: DDL) -> Sequence[str]:
    """The databases that a statement is for."""
    condition = rule._ddl_if
    return ("sqlite", "postgresql") if condition is None else (str(condition.dialect),)


def tables() -> MetaData:
    """The schema that all rooms declare."""
    for room in pkgutil.iter_modules(sublet.broker.__path__):
        if room.ispkg:
            package = importlib.import_module(f"sublet.broker.{room.name}")
            for module in pkgutil.iter_modules(package.__path__):
                if module.name in ("tables", "guards"):
                    importlib.import_module(f"sublet.broker.{room.name}.{module.name}")
    return Base.metadata


def render(kind: str, item: Any, context: Any) -> str | Literal[False]:
    """Our column types by their own names."""
    if kind == "type":
        if isinstance(item, Amount | UTCDateTime):
            return f"{type(item).__name__}()"
        if item is Document or getattr(item, "_variant_mapping", None) == Document._variant_mapping != {}:
            return "Document"
    return False


def main(message: str) -> Path:
    """Write the file; returns its path."""
    known = migrate.revisions()
    revision = f"{int(known[-1]) + 1 if known else 1:04}"
    with tempfile.TemporaryDirectory() as folder:
        database = Database.open(folder)
        if known:
            migrate.upgrade(database)
        with database.engine.connect() as connection:
            context = MigrationContext.configure(
                connection, opts={"render_item": render, "render_as_batch": bool(known)}
            )
            changes = produce_migrations(context, tables())
            assert changes.upgrade_ops is not None
            body = render_python_code(changes.upgrade_ops, render_item=render, render_as_batch=bool(known))
        database.close()
    path = migrate.FOLDER / "versions" / f"{revision}_{re.sub('[^a-z0-9]+', '_', message.lower()).strip('_')}.py"
    before = f'"{known[-1]}"' if known else "None"
    body = "\n".join(line for line in body.splitlines() if "Alembic" not in line).strip()
    if not known:  # later changes of guards are written by hand
        body += RUN_GUARDS
    rules = "" if known else GUARDS.format(statements=pformat(guards(tables()), width=110, sort_dicts=False))
    title = message[0].upper() + message[1:]
    path.write_text(FILE.format(message=title, revision=revision, before=before, body=body, guards=rules))
    return path


if __name__ == "__main__":
    print(main(sys.argv[1]))
