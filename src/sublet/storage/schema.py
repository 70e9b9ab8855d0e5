"""One schema for every room: the declarative base, and the column types that mean the same on SQLite and PostgreSQL.

A room declares its tables in its own `tables.py` on `Base`. Annotations choose the column: `datetime` is `UTCDateTime`,
`Decimal` is `Amount`, `dict[str, Any]` and `list[Any]` are JSON.

Invariant: what is written is what is read, to the microsecond and to the last digit, on both databases.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import DateTime, Dialect, MetaData, Numeric, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import JSON, TypeDecorator, TypeEngine

from sublet.storage.clock import utc

# Every constraint has a name that follows from its columns, so that a migration can speak of it.
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UTCDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC, to the microsecond; a time without a zone is refused.

    PostgreSQL: `timestamptz`. SQLite: text of fixed width (`2026-01-31 09:30:00.000000`), which sorts as time does.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = utc(value)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Amount(TypeDecorator[Decimal]):
    """An exact decimal: money, or a quantity that is billed. Floats are refused.

    PostgreSQL: `numeric` without limit. SQLite has no exact number, so there it is plain text; add with `exact_sum`,
    and compare in Python: the database would compare letters, so `<`, `>` and ORDER BY of an amount are no use there.
    """

    impl = Numeric()
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, Decimal | int):
            raise TypeError(f"an amount is a Decimal, not {type(value).__name__} {value!r}")
        number = Decimal(value)
        if not number.is_finite():
            raise ValueError(f"{number} is no amount")
        return canonical(number) if dialect.name == "sqlite" else number

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(canonical(Decimal(value)))


class exact_sum(FunctionElement[Decimal]):
    """The exact sum of an `Amount` column over the rows of a group; None over no rows."""

    type = Amount()
    name = "exact_sum"
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any] | Any) -> None:
        super().__init__(column)


@compiles(exact_sum)
def _numeric_sum(element: exact_sum, compiler: Any, **options: Any) -> str:
    return f"sum({compiler.process(element.clauses, **options)})"


@compiles(exact_sum, "sqlite")
def _decimal_sum(element: exact_sum, compiler: Any, **options: Any) -> str:
    return f"exact_sum({compiler.process(element.clauses, **options)})"


def canonical(number: Decimal) -> str:
    """The one text of a number, without exponent or trailing zeros: equal numbers are equal text."""
    if not number:
        return "0"
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


Currency = String(3)
Document = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class Base(DeclarativeBase):
    """What every table of the broker derives from."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a class attribute
        datetime: UTCDateTime(),
        Decimal: Amount(),
        dict[str, Any]: Document,
        list[Any]: Document,
        list[str]: Document,
    }
