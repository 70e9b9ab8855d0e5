"""Quantities with units: money as Decimal with a currency, and the parsing and printing of everything else.

Inside Sublet a quantity is a plain number in its base unit (seconds, bytes, bytes per second, tokens), named so; text
with units is read here and written here, nowhere else. Money alone stays a type of its own.

Invariants: money is exact and never mixes currencies; no unit is guessed (a bare number is refused where a unit decides
its meaning); what a formatter prints, the parser of that quantity reads back.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from sublet.errors import InputError

# ISO 4217: the active codes of national currencies
_ISO_4217 = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP
CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF
IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD
MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB
RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD
UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
_CURRENCIES = frozenset(_ISO_4217.split())
_SYMBOLS = {"$": "USD", "US$": "USD", "€": "EUR", "£": "GBP", "₹": "INR", "₩": "KRW"}

_NUMBER = r"[+-]?(?:\d{1,3}(?:[,_' ]\d{3})+|\d+)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?|[+-]?\.\d+"
_SCALES = {"": 0, "k": 3, "thousand": 3, "m": 6, "million": 6, "mn": 6, "g": 9, "b": 9, "bn": 9, "billion": 9}
_SCALES |= {"t": 12, "tn": 12, "trillion": 12}
_SCALE = "|".join(sorted(filter(None, _SCALES), key=len, reverse=True))
_CODE = r"US\$|[$€£₹₩]|[A-Za-z]{3}"

_MONEY = re.compile(rf"(?P<before>{_CODE})?\s*(?P<number>{_NUMBER})\s*(?P<scale>(?i:{_SCALE}))??\s*(?P<after>{_CODE})?")
_COUNT = re.compile(rf"(?P<number>{_NUMBER})\s*(?P<scale>(?i:{_SCALE})(?![a-z]))?\s*(?P<noun>[A-Za-z]+)?")
_DURATION = re.compile(rf"({_NUMBER})\s*([A-Za-zµ]+)\s*,?\s*")
_QUANTITY = re.compile(rf"(?P<number>{_NUMBER})\s*(?P<unit>[A-Za-z/]*)")

_SECONDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "wk", "week", "weeks"), 604_800),
}
_PREFIXES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_PREFIXES |= {f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTPE", start=1)} | {"ki": 1024.0}

_MONEY_DIGITS = 18  # before the point, and after it

DAY_S = 86_400.0
HOUR_S = 3_600.0


@dataclass(frozen=True)
class Money:
    """An exact amount in one currency (ISO 4217 code). Arithmetic across currencies is refused.

    Factors are Decimal or int; a float is a TypeError, `exact` makes a Decimal of one on purpose.
    """

    amount: Decimal
    currency: str = "USD"

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Decimal):
            raise TypeError(f"money is made of Decimal, not {type(self.amount).__name__}")
        if not self.amount.is_finite():
            raise InputError(f"money cannot be {self.amount}")
        if self.currency not in _CURRENCIES:
            raise InputError(f"{self.currency!r} is not a currency: give an ISO 4217 code such as USD or EUR")

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same(other, "add"), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same(other, "subtract"), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __mul__(self, factor: Decimal | int) -> Money:
        return Money(self.amount * _factor(factor), self.currency)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Decimal | int) -> Money:
        return Money(self.amount / _factor(divisor), self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same(other, "compare")

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._same(other, "compare")

    def __gt__(self, other: Money) -> bool:
        return self.amount > self._same(other, "compare")

    def __ge__(self, other: Money) -> bool:
        return self.amount >= self._same(other, "compare")

    def __str__(self) -> str:
        return format_money(self)

    def ratio(self, other: Money) -> Decimal:
        """How many times `other` goes into this."""
        return self.amount / self._same(other, "divide")

    def rounded(self, places: int) -> Money:
        """Rounded half-even to `places` decimals: once, where the amount leaves the house."""
        return Money(self.amount.quantize(Decimal(1).scaleb(-places)), self.currency)

    def _same(self, other: Money, verb: str) -> Decimal:
        if not isinstance(other, Money):
            raise TypeError(f"cannot {verb} money and {type(other).__name__}")
        if other.currency != self.currency:
            raise InputError(f"cannot {verb} {self} and {other}: give both amounts in one currency")
        return other.amount


def exact(value: float) -> Decimal:
    """The Decimal that prints as `value` does: the one door by which a measured float becomes a factor of money."""
    return Decimal(repr(float(value)))


def _factor(value: Decimal | int) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, Decimal | int):
        raise TypeError(
            f"money is multiplied by Decimal or int, not {type(value).__name__}: use units.exact on purpose"
        )
    return Decimal(value)


def parse_money(text: str, what: str = "amount") -> Money:
    """Money from "900kUSD", "$1.2M", "900,000 EUR" or "3 USD"; InputError where the currency is missing or unknown."""
    example = "write for example 900kUSD, $1.2M or 900,000 EUR"
    match = _MONEY.fullmatch(str(text).strip())
    if match is None:
        raise InputError(f"{what} {str(text)!r} is not an amount of money: {example}")
    marks = [mark for mark in (match["before"], match["after"]) if mark]
    if not marks:
        raise InputError(f"{what} {str(text)!r} has no currency: {example}")
    codes = {_SYMBOLS.get(mark.upper(), mark.upper()) for mark in marks}
    unknown = sorted(codes - _CURRENCIES)
    if unknown or len(codes) > 1:
        wrong = f"{unknown[0]!r} is not a currency" if unknown else f"it names {' and '.join(sorted(codes))}"
        raise InputError(f"{what} {str(text)!r}: {wrong}; {example}")
    amount = _decimal(match["number"]).scaleb(_SCALES[(match["scale"] or "").lower()])
    if amount and not -_MONEY_DIGITS < amount.adjusted() < _MONEY_DIGITS:
        raise InputError(f"{what} {str(text)!r} is beyond any amount of money: {example}")
    return Money(_plain(amount), codes.pop())


def parse_count(value: str | float, what: str = "count", noun: str = "tokens") -> float:
    """A count from 1000000, "1T", "1.5e12", "300B tokens" or "2 trillion"; `noun` is the only word that may follow."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    else:
        match = _COUNT.fullmatch(str(value).strip())
        word = (match["noun"] or noun).lower() if match else ""
        if match is None or isinstance(value, bool) or word not in (noun, noun.removesuffix("s")):
            raise InputError(f"{what} {str(value)!r} is not a count of {noun}: write for example 1T, 300B or 1.5e12")
        number = float(_decimal(match["number"]).scaleb(_SCALES[(match["scale"] or "").lower()]))
    if not math.isfinite(number) or number < 0:
        raise InputError(f"{what} {str(value)!r} must be a finite count of {noun}, zero or more")
    return number


def parse_duration(text: str, what: str = "duration") -> float:
    """Seconds from "30d", "12h", "2w", "90 min" or "1d 12h". Months and years have no fixed length and are refused."""
    example = "write for example 30d, 12h, 90 min or 2w"
    source = str(text).strip()
    seconds, at = 0.0, 0
    while match := _DURATION.match(source, at):
        number, unit = match.groups()
        scale = _SECONDS.get(unit.lower())
        if scale is None:
            ambiguous = "may be minutes or months" if unit.lower() == "m" else "is not a unit of time used here"
            raise InputError(f"{what} {source!r}: {unit!r} {ambiguous}; {example}")
        seconds, at = seconds + float(_decimal(number)) * scale, match.end()
    if at != len(source) or not source:
        missing = "has no unit" if re.fullmatch(_NUMBER, source) else "is not a duration"
        raise InputError(f"{what} {source!r} {missing}: {example}")
    if seconds < 0 or not math.isfinite(seconds):
        raise InputError(f"{what} {source!r} must not be negative or endless: {example}")
    return seconds


def parse_bytes(text: str, what: str = "size") -> float:
    """Bytes from "80GB" (1e9) or "80GiB" (2^30); bits are refused."""
    return _scaled(text, what, {"B": 1.0, "b": None}, "write for example 80GB or 80GiB (bits are not bytes)")


def parse_rate(text: str, what: str = "rate") -> float:
    """Bytes per second from "900GB/s", "400Gb/s" or "400Gbps": B is bytes, b is bits."""
    units = {"B/s": 1.0, "Bps": 1.0, "b/s": 0.125, "bps": 0.125, "bit/s": 0.125}
    return _scaled(text, what, units, "write for example 900GB/s (bytes) or 400Gb/s (bits)")


def _scaled(text: str, what: str, units: Mapping[str, float | None], example: str) -> float:
    """A number with an SI or binary prefix and one of `units` (None: refused), in the base unit."""
    source = str(text).strip()
    match = _QUANTITY.fullmatch(source)
    if match is None:
        raise InputError(f"{what} {source!r} is not a number with a unit: {example}")
    if not match["unit"]:
        raise InputError(f"{what} {source!r} has no unit: {example}")
    for unit in sorted(units, key=len, reverse=True):
        prefix, scale = match["unit"].removesuffix(unit), units[unit]
        if match["unit"].endswith(unit) and prefix in _PREFIXES and scale is not None:
            value = float(_decimal(match["number"])) * _PREFIXES[prefix] * scale
            if value < 0 or not math.isfinite(value):
                raise InputError(f"{what} {source!r} must not be negative or endless: {example}")
            return value
    raise InputError(f"{what} {source!r}: {match['unit']!r} is not a unit used here; {example}")


def format_money(money: Money, places: int | None = None) -> str:
    """ "900,000 USD"; `places` decimals, or exactly what the amount holds."""
    if places is not None:
        return f"{money.amount:,.{places}f} {money.currency}"
    plain = _plain(money.amount)
    exponent = plain.as_tuple().exponent
    cents = 2 if exponent == -1 else 0  # 2.5 prints as 2.50
    return f"{plain:,.{cents}f} {money.currency}" if cents else f"{plain:,f} {money.currency}"


def format_count(value: float) -> str:
    """ "1,000 B", "300 B", "4.19 M", "512": three digits where the figure is short, and no unit above billion."""
    for scale, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= scale * 0.9995:
            return f"{_short(value / scale)} {letter}"
    return _short(value)


def format_si(value: float, unit: str) -> str:
    """ "989 TFLOP/s": three digits and the SI prefix that fits."""
    for prefix, scale in reversed(_PREFIXES.items()):
        if len(prefix) < 2 and prefix != "K" and abs(value) >= scale * 0.9995:
            return f"{_short(value / scale)} {prefix}{unit}"
    return f"{_short(value)} {unit}"


def format_bytes(value: float) -> str:
    """ "80 GB", decimal prefixes."""
    return format_si(value, "B")


def format_rate(bytes_per_s: float) -> str:
    """ "900 GB/s", decimal prefixes, bytes."""
    return format_si(bytes_per_s, "B/s")


def format_duration_days(seconds: float) -> str:
    """ "28.3 days"."""
    return f"{_short(seconds / DAY_S)} days"


def format_duration(seconds: float) -> str:
    """The unit that a person would use: "28.3 days", "7.5 h", "12 min", "3.2 s"."""
    for scale, unit in ((2 * DAY_S, "days"), (2 * HOUR_S, "h"), (120.0, "min")):
        if seconds >= scale:
            return f"{_short(seconds / {'days': DAY_S, 'h': HOUR_S, 'min': 60.0}[unit])} {unit}"
    return f"{_short(seconds)} s"


def _short(value: float) -> str:
    """Three significant digits, every digit before the point, thousands separated, no trailing zeros."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _decimal(text: str) -> Decimal:
    return Decimal(re.sub(r"[,_' ]", "", text))


def _plain(amount: Decimal) -> Decimal:
    """Without exponent or trailing zeros, exactly: 9E+5 -> 900000, 2.490 -> 2.49."""
    text = f"{amount:f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)
