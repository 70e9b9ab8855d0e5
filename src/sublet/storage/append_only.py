"""Tables that only grow: the database itself refuses to change, remove or overwrite a row, whatever the code does.

`append_only(table)` gives the statements of both databases; a room's `guards.py` runs them after its tables are made,
and migrations run the same. Invariant: what was written there once is read there for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import DDL, Table, event
from sqlalchemy.sql.selectable import FromClause

Statements = Mapping[str, tuple[str, ...]]


def append_only(table: str, key: Sequence[str] = ("id",)) -> Statements:
    """Dialect -> the triggers that keep `table` append-only; `key` is its primary key.

    SQLite's INSERT OR REPLACE removes a row without a DELETE trigger, so an insert over an existing key is refused too.
    """
    refusal = f"{table}: rows are added, never changed or removed"
    same = " AND ".join(f"kept.{column} = NEW.{column}" for column in key)
    there = f"SELECT 1 FROM {table} AS kept WHERE {same}"  # noqa: S608 - names from code, no values
    return {
        "sqlite": (
            f"CREATE TRIGGER {table}_never_change BEFORE UPDATE ON {table} FOR EACH ROW\n"
            f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END",
            f"CREATE TRIGGER {table}_never_go BEFORE DELETE ON {table} FOR EACH ROW\n"
            f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END",
            f"CREATE TRIGGER {table}_never_replace BEFORE INSERT ON {table} FOR EACH ROW\n"
            f"WHEN EXISTS ({there})\n"
            f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END",
        ),
        "postgresql": (
            f"CREATE FUNCTION {table}_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$\n"
            f"BEGIN RAISE EXCEPTION '{refusal}' USING ERRCODE = 'restrict_violation'; END $$",
            f"CREATE TRIGGER {table}_only_grows BEFORE UPDATE OR DELETE ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION {table}_only_grows()",
            f"CREATE TRIGGER {table}_never_emptied BEFORE TRUNCATE ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {table}_only_grows()",
        ),
    }


def joined(*parts: Statements) -> Statements:
    """Several guards as one, in order."""
    return {dialect: tuple(line for part in parts for line in part.get(dialect, ())) for dialect in _DIALECTS}


def guard(table: FromClause, statements: Statements) -> None:
    """Run `statements` whenever `table` is made by the schema."""
    assert isinstance(table, Table)
    for dialect, lines in statements.items():
        for line in lines:
            statement: DDL = DDL(line.replace("%", "%%"))  # type: ignore[no-untyped-call]
            event.listen(table, "after_create", statement.execute_if(dialect=dialect))


_DIALECTS = ("sqlite", "postgresql")
