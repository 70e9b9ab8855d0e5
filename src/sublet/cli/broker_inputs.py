"""What a command of the broker reads: ids, moments, stretches of time, numbers and money, in a person's words."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
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


class NumberType(click.ParamType):  # type: ignore[type-arg]
    """An exact number: 0.25, 100."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        if isinstance(value, Decimal):
            return value
        try:
            number = Decimal(str(value).strip())
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite():
            what = param.opts[0] if param and param.opts else "the number"
            raise InputError(f"{what} {str(value)!r} is no number: write for example 0.25")
        return number


class IdType(click.ParamType):  # type: ignore[type-arg]
    """The id of one thing, checked before anybody is asked; `shown_by` is the command that lists them."""

    def __init__(self, prefix: str, noun: str, shown_by: str) -> None:
        self.name = noun
        self._prefix, self._noun, self._shown_by = prefix, noun, shown_by
        self._whole = re.compile(rf"(?:{prefix})_[0-7][0-9A-HJKMNP-TV-Z]{{25}}")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        found = str(value).strip()
        if not self._whole.fullmatch(found):
            example = f"{self._prefix.split('|')[0]}_01M8..."
            article = "an" if self._noun[0] in "aeiou" else "a"
            raise InputError(
                f"{found!r} is not the id of {article} {self._noun}, which looks like {example}: see {self._shown_by}"
            )
        return found


MOMENT, HOURS, MONEY, NUMBER = MomentType(), HoursType(), MoneyType(), NumberType()

LEASE = IdType("lea", "lease", "sublet lease list")
ORDER = IdType("ord", "order", "sublet order list")
QUOTE = IdType("quo", "quote", "sublet order quotes")
NODE = IdType("nod", "node", "sublet supply list")
CONTRACT = IdType("ctr", "contract", "sublet supply contracts")
WINDOW = IdType("mnt|out", "window", "sublet supply maintain (when it is made)")
TOKEN = IdType("tok", "token", "sublet tenant tokens")
ORGANISATION = IdType("org", "organisation", "sublet tenant organisations")
WEBHOOK = IdType("hook", "webhook", "sublet webhook list")
RUN = IdType("run", "run", "sublet logs LEASE --list")
