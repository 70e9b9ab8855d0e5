"""Money keeps its laws, quantities read what they print, and a missing unit is refused in one sentence."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sublet import units
from sublet.errors import InputError
from sublet.units import Money, parse_bytes, parse_count, parse_duration, parse_money, parse_rate

AMOUNTS = st.decimals(min_value=-(10**12), max_value=10**12, places=4)
CURRENCIES = st.sampled_from(["USD", "EUR", "JPY", "GBP"])
FACTORS = st.integers(-1000, 1000) | st.decimals(min_value=-1000, max_value=1000, places=3)
POSITIVE = st.floats(min_value=1e-3, max_value=1e17, allow_nan=False)


def usd(text):
    return Money(Decimal(text), "USD")


class TestMoney:
    @given(a=AMOUNTS, b=AMOUNTS, c=AMOUNTS, currency=CURRENCIES)
    def test_addition_is_exact_commutative_and_associative(self, a, b, c, currency):
        x, y, z = Money(a, currency), Money(b, currency), Money(c, currency)
        assert x + y == y + x
        assert (x + y) + z == x + (y + z)
        assert (x + y) - y == x
        assert x - y == -(y - x)

    @given(a=AMOUNTS, b=AMOUNTS, factor=FACTORS)
    def test_multiplication_distributes(self, a, b, factor):
        x, y = Money(a), Money(b)
        assert factor * (x + y) == x * factor + y * factor

    @given(a=AMOUNTS, b=AMOUNTS)
    def test_order_is_that_of_the_amounts(self, a, b):
        x, y = Money(a), Money(b)
        assert (x < y, x <= y, x > y, x >= y) == (a < b, a <= b, a > b, a >= b)

    @given(a=AMOUNTS, currency=CURRENCIES)
    def test_what_is_printed_is_read_back_exactly(self, a, currency):
        money = Money(a, currency)
        assert parse_money(str(money)) == money

    def test_equal_amounts_are_one_value_however_they_are_written(self):
        assert usd("1.50") == usd("1.5")
        assert len({usd("1.50"), usd("1.5")}) == 1

    @pytest.mark.parametrize(
        "act", [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a < b, lambda a, b: a.ratio(b)]
    )
    def test_currencies_never_mix(self, act):
        with pytest.raises(InputError, match=r"1 USD and 2 EUR: give both amounts in one currency"):
            act(usd("1"), Money(Decimal(2), "EUR"))

    @pytest.mark.parametrize("act", [lambda: usd("1") * 0.5, lambda: usd("1") / 0.5, lambda: usd("1") * True])
    def test_floats_and_flags_are_no_factors(self, act):
        with pytest.raises(TypeError, match="Decimal or int"):
            act()

    def test_money_is_not_made_of_floats_nor_added_to_numbers(self):
        with pytest.raises(TypeError, match="made of Decimal"):
            Money(1.5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="cannot add money and int"):
            usd("1") + 1

    @pytest.mark.parametrize(("amount", "currency"), [("NaN", "USD"), ("Infinity", "USD"), ("1", "XXX"), ("1", "usd")])
    def test_an_amount_that_is_no_amount_is_refused(self, amount, currency):
        with pytest.raises(InputError):
            Money(Decimal(amount), currency)

    def test_ratio_and_division(self):
        assert usd("3").ratio(usd("2")) == Decimal("1.5")
        assert usd("3") / 2 == usd("1.5")

    def test_rounding_is_half_even_and_on_demand(self):
        assert usd("2.345").rounded(2) == usd("2.34")
        assert usd("2.355").rounded(2) == usd("2.36")

    @given(value=st.floats(allow_nan=False, allow_infinity=False))
    def test_exact_keeps_the_digits_that_a_float_prints(self, value):
        assert float(units.exact(value)) == value

    @pytest.mark.parametrize(
        ("text", "amount", "currency"),
        [
            ("900kUSD", "900000", "USD"),
            ("$1.2M", "1200000", "USD"),
            ("900,000 EUR", "900000", "EUR"),
            ("3 USD", "3", "USD"),
            ("USD 3", "3", "USD"),
            ("€2.5k", "2500", "EUR"),
            ("US$ 5", "5", "USD"),
            ("3MXN", "3", "MXN"),
            ("3MUSD", "3000000", "USD"),
            ("5 bn usd", "5000000000", "USD"),
            ("1.2 million USD", "1200000", "USD"),
            ("1_000 000 GBP", "1000000", "GBP"),
            ("0.001 USD", "0.001", "USD"),
        ],
    )
    def test_the_usual_ways_to_write_money(self, text, amount, currency):
        assert parse_money(text) == Money(Decimal(amount), currency)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("900000", "has no currency"),
            ("900k", "has no currency"),
            ("12 UDS", "'UDS' is not a currency"),
            ("$3 EUR", "names EUR and USD"),
            ("1,5 EUR", "is not an amount"),
            ("", "is not an amount"),
            ("lots of USD", "is not an amount"),
            ("nan USD", "is not an amount"),
            ("1e999 USD", "beyond any amount"),
            ("1e99999999999 USD", "is not an amount"),
            ("1e-30 USD", "beyond any amount"),
        ],
    )
    def test_what_is_no_money_is_refused_with_an_example(self, text, words):
        with pytest.raises(InputError) as refusal:
            parse_money(text, "budget")
        assert str(refusal.value).startswith(f"budget {text!r}")
        assert words in str(refusal.value)
        assert "900kUSD" in str(refusal.value)

    @pytest.mark.parametrize(
        ("amount", "places", "text"),
        [
            ("900000", None, "900,000 USD"),
            ("2.5", None, "2.50 USD"),
            ("2.49", 0, "2 USD"),
            ("1E+6", None, "1,000,000 USD"),
        ],
    )
    def test_printing(self, amount, places, text):
        assert units.format_money(usd(amount), places) == text


class TestCounts:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("1T", 1e12),
            ("1.5e12", 1.5e12),
            ("300B tokens", 3e11),
            ("300b", 3e11),
            ("2 trillion", 2e12),
            ("1,000 B", 1e12),
            ("4M tokens", 4e6),
            ("1 token", 1),
            ("512", 512),
            (1e12, 1e12),
            (7, 7),
        ],
    )
    def test_the_usual_ways_to_write_a_count(self, text, value):
        assert parse_count(text) == value

    @pytest.mark.parametrize("text", ["", "1X", "4 sequences", "-1", "inf", "nan", "1e400", True, math.inf, "1 2"])
    def test_what_is_no_count_is_refused(self, text):
        with pytest.raises(InputError, match=r"^tokens '"):
            parse_count(text, "tokens")

    @given(value=POSITIVE)
    def test_what_is_printed_is_read_back_to_three_digits(self, value):
        assert parse_count(units.format_count(value)) == pytest.approx(value, rel=0.005)

    def test_printing_stops_at_billions(self):
        assert units.format_count(1e12) == "1,000 B"
        assert units.format_count(4_194_304) == "4.19 M"
        assert units.format_count(999_999_999) == "1 B"
        assert units.format_count(0) == "0"


class TestDurations:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("30d", 2_592_000),
            ("12h", 43_200),
            ("2w", 1_209_600),
            ("90 min", 5400),
            ("1d 12h", 129_600),
            ("1.5 hours", 5400),
        ],
    )
    def test_the_usual_ways_to_write_a_duration(self, text, seconds):
        assert parse_duration(text) == seconds

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("30", "has no unit"),
            ("5m", "minutes or months"),
            ("3 months", "'months'"),
            ("1y", "'y'"),
            ("-3d", "not be negative"),
            ("", "is not a duration"),
            ("1e999 d", "endless"),
            ("3d and more", "is not a duration"),
        ],
    )
    def test_what_is_no_duration_is_refused_with_an_example(self, text, words):
        with pytest.raises(InputError) as refusal:
            parse_duration(text, "deadline")
        assert words in str(refusal.value)
        assert "30d" in str(refusal.value)

    @given(value=st.floats(min_value=1e-3, max_value=1e12))
    def test_what_is_printed_is_read_back_to_three_digits(self, value):
        assert parse_duration(units.format_duration(value)) == pytest.approx(value, rel=0.005)
        if value > units.DAY_S:
            assert parse_duration(units.format_duration_days(value)) == pytest.approx(value, rel=0.005)

    def test_printing_in_the_unit_of_the_size(self):
        assert units.format_duration_days(28.3 * units.DAY_S) == "28.3 days"
        assert [units.format_duration(s) for s in (3.2, 600, 36_000, 864_000)] == ["3.2 s", "10 min", "10 h", "10 days"]


class TestBytes:
    @pytest.mark.parametrize(
        ("text", "size"), [("80GB", 80e9), ("80GiB", 80 * 2**30), ("1 TB", 1e12), ("5kB", 5e3), ("7 B", 7)]
    )
    def test_sizes(self, text, size):
        assert parse_bytes(text) == size

    @pytest.mark.parametrize("text", ["80", "80Gb", "80 gb", "80G", "-1GB", "GB", "1e999GB"])
    def test_bits_and_bare_numbers_are_no_sizes(self, text):
        with pytest.raises(InputError, match="80GB"):
            parse_bytes(text)

    @pytest.mark.parametrize(
        ("text", "rate"), [("400Gb/s", 50e9), ("900GB/s", 900e9), ("400Gbps", 50e9), ("3.2 Tb/s", 400e9), ("8bit/s", 1)]
    )
    def test_rates_tell_bits_from_bytes(self, text, rate):
        assert parse_rate(text) == rate

    @pytest.mark.parametrize("text", ["400", "400 gb/s", "400 GB", "3 GT/s"])
    def test_a_rate_that_does_not_say_is_refused(self, text):
        with pytest.raises(InputError, match="400Gb/s"):
            parse_rate(text)

    @given(value=POSITIVE)
    def test_what_is_printed_is_read_back_to_three_digits(self, value):
        assert parse_bytes(units.format_bytes(value)) == pytest.approx(value, rel=0.005)
        assert parse_rate(units.format_rate(value)) == pytest.approx(value, rel=0.005)

    def test_printing_takes_the_prefix_that_fits(self):
        assert units.format_si(989e12, "FLOP/s") == "989 TFLOP/s"
        assert units.format_bytes(999.9e9) == "1 TB"
        assert units.format_bytes(12) == "12 B"


@given(
    text=st.text(max_size=12),
    parse=st.sampled_from([parse_money, parse_count, parse_duration, parse_bytes, parse_rate]),
)
def test_any_text_is_read_or_refused_in_one_line(text, parse):
    refusal = ""
    try:
        parse(text)
    except InputError as error:
        refusal = str(error)
    assert len(refusal.splitlines()) <= 1
