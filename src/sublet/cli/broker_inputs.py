"""What a command of the broker reads: moments, stretches of time and money, in a person's words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import click

from sublet.errors import InputError


class MomentType(click.ParamType):  # type: ignore[type-arg]
    """A moment: 2026-12-01T09:00Z, 2026-12-01 (midnight UTC), or +90min from now."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        what = param.opts[0] if param and param.opts else "the time"
        text = str(value).strip()
        if text.startswith("+"):
            from sublet.units import parse_duration

            return datetime.now(UTC) + timedelta(seconds=parse_duration(text[1:], what))
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise InputError(f"{what} {text!r} is no time: write 2026-12-01T09:00Z, 2026-12-01 or +90min") from None
        if moment.tzinfo is None and len(text) > 10:
            raise InputError(f"{what} {text!r} has no timezone: write {text}Z for UTC")
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


class HoursType(click.ParamType):  # type: ignore[type-arg]
    """A stretch of time such as 36h or 3d, as hours."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        if isinstance(value, Decimal):
            return value
        from sublet.units import exact, parse_duration

        what = param.opts[0] if param and param.opts else "the duration"
        return exact(parse_duration(str(value), what)) / Decimal(3600)


class MoneyType(click.ParamType):  # type: ignore[type-arg]
    """An amount with its currency: 90000USD, $1.2M."""

    name = "money"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from sublet.units import Money, parse_money

        if isinstance(value, Money):
            return value
        return parse_money(str(value), param.opts[0] if param and param.opts else "the amount")


MOMENT, HOURS, MONEY = MomentType(), HoursType(), MoneyType()
