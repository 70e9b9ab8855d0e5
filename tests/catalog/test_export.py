"""Export rules: the verdicts that the field knows, their dates, and what may never be said without the figures."""

import csv
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.catalog.accelerators import accelerator, accelerators
from sublet.catalog.export import LICENCE, NOT_KNOWN, UNRESTRICTED, check, destinations
from sublet.errors import InputError

RULE_2022 = date(2022, 10, 7)
RULE_2023 = date(2023, 11, 17)
NAMES = list(accelerators())
DAYS = st.dates(date(2020, 1, 1), date(2026, 12, 31))


def verdict(name, country, on):
    return check(accelerator(name), country, on).verdict


@pytest.mark.parametrize("name", ["A100 SXM 40GB", "A100 PCIe 80GB", "H100 SXM", "H100 PCIe", "MI250X", "MI300X"])
def test_the_fast_linked_chips_need_a_licence_for_china_from_october_2022(name):
    assert verdict(name, "CN", RULE_2022 - timedelta(days=1)) == UNRESTRICTED
    assert verdict(name, "CN", RULE_2022) == LICENCE
    assert verdict(name, "CN", date(2025, 1, 1)) == LICENCE


@pytest.mark.parametrize("name", ["A800 SXM", "H800 SXM", "L40S", "RTX 4090", "Gaudi2"])
def test_the_editions_with_slow_links_were_free_until_the_rule_of_2023(name):
    assert verdict(name, "CN", RULE_2023 - timedelta(days=1)) == UNRESTRICTED
    assert verdict(name, "CN", RULE_2023) == LICENCE


def test_the_h20_was_made_to_fit_and_then_named():
    assert verdict("H20", "CN", date(2024, 6, 1)) == UNRESTRICTED
    named = check(accelerator("H20"), "CN", date(2025, 4, 9))
    assert named.verdict == LICENCE
    assert "2025-04-09" in named.sentence


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("L4", LICENCE),  # density 6.6 with a TPP of 1,936
        ("A30", LICENCE),  # density 3.2 with a TPP of 2,640
        ("V100 SXM2 32GB", UNRESTRICTED),
        ("T4", UNRESTRICTED),
        ("L20", UNRESTRICTED),
        ("A10", UNRESTRICTED),
        ("RTX 4080", UNRESTRICTED),  # dense enough, but made for desks and below a TPP of 4,800
        ("RTX 6000 Ada", LICENCE),  # above 4,800 the desk does not help
    ],
)
def test_density_and_purpose_decide_the_smaller_chips_from_2023(name, expected):
    assert verdict(name, "CN", RULE_2023) == expected


@pytest.mark.parametrize("country", ["DE", "US", "JP", "IN", "TW", "IL", "de"])
def test_friends_need_none(country):
    assert verdict("H100 SXM", country, date(2025, 6, 1)) == UNRESTRICTED


def test_the_rule_of_2023_reaches_beyond_china():
    assert verdict("H100 SXM", "SA", date(2023, 6, 1)) == UNRESTRICTED
    assert verdict("H100 SXM", "SA", date(2024, 6, 1)) == LICENCE
    assert {"CN", "HK", "MO", "RU", "IR", "VN", "AE"} <= set(destinations()["2023"])
    assert "IL" not in destinations()["2023"]  # in D:4, but also in A:6


def test_a_chip_without_the_deciding_figure_is_not_known():
    found = check(accelerator("Trainium1"), "CN", RULE_2023)  # no die area is published
    assert found.verdict == NOT_KNOWN
    assert "die area" in found.sentence
    assert check(accelerator("Cerebras CS-3 (WSE-3)"), "CN", RULE_2023).verdict == NOT_KNOWN


def test_a_chinese_part_is_told_apart():
    found = check(accelerator("Ascend 910B"), "CN", date(2024, 1, 1))
    assert (found.verdict, found.rule) == (UNRESTRICTED, "n/a (Chinese part)")
    assert "2025-05-13" in check(accelerator("Ascend 910B"), "MY", date(2025, 6, 1)).sentence


def test_without_a_country_or_a_day_nothing_is_known():
    assert check(accelerator("H100 SXM"), None, date(2025, 1, 1)).verdict == NOT_KNOWN
    assert check(accelerator("H100 SXM"), "CN", None).verdict == NOT_KNOWN


@pytest.mark.parametrize("country", ["China", "CHN", "C1", ""])
def test_a_country_that_is_no_code_is_refused_with_what_would_be_right(country):
    with pytest.raises(InputError, match=r"ISO 3166 code of two letters"):
        check(accelerator("H100 SXM"), country, date(2025, 1, 1))


def test_the_sentence_carries_rule_threshold_and_the_chips_figures():
    found = check(accelerator("H100 SXM"), "CN", date(2023, 1, 1))
    for word in ("3A090", "2022-10-07", "4800", "600 GB/s", "15,832", "19.45", "900 GB/s"):
        assert word in found.sentence
    assert found.effective == RULE_2022
    assert (found.tpp, found.source != "") == (accelerator("H100 SXM").tpp, True)


@settings(deadline=None)
@given(st.sampled_from(NAMES), st.sampled_from(["CN", "RU", "SA", "DE", "US"]), DAYS)
def test_a_verdict_is_one_of_three_with_a_sentence(name, country, on):
    found = check(accelerators()[name], country, on)
    assert found.verdict in (UNRESTRICTED, LICENCE, NOT_KNOWN)
    assert found.sentence.endswith(".")
    assert (found.verdict == LICENCE) <= (found.effective is not None and found.effective <= on)


@settings(deadline=None)
@given(st.sampled_from(NAMES), DAYS)
def test_nothing_was_restricted_before_the_first_rule(name, on):
    if on < RULE_2022:
        assert check(accelerators()[name], "CN", on).verdict == UNRESTRICTED


@settings(deadline=None)
@given(st.floats(100, 50_000), st.floats(1.0, 3.0), st.floats(100, 2000))
def test_more_compute_on_the_same_die_is_never_less_restricted(tpp, factor, die):
    order = {UNRESTRICTED: 0, LICENCE: 1}
    chip = replace(accelerator("H100 SXM"), die_mm2=die)

    def judged(amount):
        return order[check(replace(chip, tpp=amount, performance_density=amount / die), "CN", RULE_2023).verdict]

    # outside the lower density bands, whose upper bounds hand over to 3A090.a without a gap
    assert judged(tpp * factor) >= judged(tpp)


def test_the_shared_table_agrees_chip_by_chip(shared):
    expected = {
        "controlled": LICENCE,
        "not controlled": UNRESTRICTED,
        "3A090.a": LICENCE,
        "not 3A090": UNRESTRICTED,
        "needs die area": NOT_KNOWN,
        "n/a (Chinese part)": UNRESTRICTED,
    }
    with (shared / "chips" / "chips.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for column, on in (("export_2022_10", date(2023, 6, 1)), ("export_2023_10", date(2024, 6, 1))):
                if row[column]:
                    assert verdict(row["chip"], "CN", on) == expected[row[column]], (row["chip"], column)
