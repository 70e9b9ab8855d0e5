import io
import sys
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "quote"))
from quote_fakes import job, offer, plan, priced, replace  # type: ignore[import-not-found]

from sublet.cli import html_chart, render_progress, render_quotes, render_text
from sublet.cli.html_page import cell, element
from sublet.estimate.result import Interval, Machine
from sublet.quote.view import select

OFFERS = [
    offer("alpha", "Fast", "8.00"),
    offer("beta", "Slow", "1.00", flags=("listed-only",)),
    offer("gamma", None, "2.00", candidates=("Fast", "Slow")),
    offer("delta", "Fast", "0.10", currency="CNY", flags=("foreign-currency",)),
    offer("eps", "Small"),
]


def quoted(limit=20, **wishes):
    return select(priced(OFFERS, job(counts=(512,), **wishes)), "best", limit)


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (0.5, "$0.50"),
        (950, "$950"),
        (999.6, "$1.00k"),
        (71_432, "$71.4k"),
        (714_130, "$714k"),
        (1.234e6, "$1.23M"),
        (2e9, "$2.00B"),
    ],
)
def test_money_in_three_digits(amount, said):
    assert render_text.money(amount, "USD") == said


def test_money_without_symbol_names_its_currency():
    assert render_text.money(71_432, "CNY") == "71.4k CNY"


@given(st.floats(1.0, 1e6))
def test_short_figures_are_within_half_a_percent(value):
    assert float(render_text.short(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


def test_days_show_their_interval():
    assert render_text.days(Interval(10.21, 11.58, 134.4)) == "11.6 (10.2–134)"


def test_cells_mark_what_is_doubtful():
    found = quoted(limit=0)
    letters, meanings = render_text.marks_of(found.quotes)
    rows = [render_text.cells(quote, letters) for quote in found.quotes]
    by_provider = {row[3]: row for row in rows}
    assert by_provider["beta"][0] == "1*"
    assert by_provider["gamma"][1] == "Slow?"
    assert by_provider["delta"][0] == "–"
    assert by_provider["delta"][6].endswith("CNY)")
    assert by_provider["delta"][7] == "–"
    for quote, row in zip(found.quotes, rows, strict=True):
        for flag in quote.flags:
            assert letters[flag] in row[9].rpartition("[")[2]
            assert flag in meanings[letters[flag]]


def test_what_was_left_out_is_said_by_kind_and_nearest_first():
    found = quoted(deadline_s=25 * 86400.0)
    deadline, memory = render_text.left_out(found)
    assert deadline.startswith(
        "deadline (2 offers): 512 x Fast or Slow: 75.4 days on 512, 50.4 days too long; 512 x Slow"
    )
    assert memory == "memory (1 offer): 512 x Small: needs 30 GB, offers 16 GB"


def test_the_day_of_the_prices_says_how_long_ago_it_was():
    found = quoted()
    assert render_text.age(found, found.as_of.toordinal()) == "2026-08-10 (today)"
    assert render_text.age(found, date(2026, 8, 11).toordinal()) == "2026-08-10 (1 day ago)"


@given(st.lists(st.floats(0.1, 1e7), min_size=1, max_size=20))
def test_an_axis_shows_every_value_and_round_ticks(values):
    found = html_chart.axis(values, 0.0, 100.0)
    for value in values:
        assert -1e-6 <= found.at(value) <= 100.0 + 1e-6
    ticks = found.ticks()
    assert ticks == sorted(set(ticks))
    assert all(found.low <= tick <= found.high for tick in ticks)


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 500)), max_size=25))
def test_names_in_the_chart_cover_neither_one_another_nor_points_nor_the_frame(points):
    found = html_chart.labels(
        [(x, y, f"{i} x chip") for i, (x, y) in enumerate(points)], points, (0, 0, 1000, 500), 6.0
    )
    boxes = []
    for label in found:
        wide = 6.0 * len(label.text)
        left = label.x if label.anchor == "start" else label.x - wide
        boxes.append((left, label.y - 12.0, left + wide, label.y + 3.0))
    for index, (left, top, right, bottom) in enumerate(boxes):
        assert left >= 0
        assert top >= 0
        assert right <= 1000
        assert bottom <= 500
        for x, y in points:
            assert not (left < x < right and top < y < bottom)
        for other in boxes[index + 1 :]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


def test_a_chart_of_nothing_comparable_is_empty():
    assert html_chart.chart(()) == ""
    foreign = [quote for quote in quoted(limit=0).quotes if not quote.rank]
    assert foreign
    assert html_chart.chart(foreign) == ""


def test_a_chart_of_one_point_can_be_drawn():
    [only] = [quote for quote in quoted().quotes if quote.offer.provider == "beta"]
    assert html_chart.chart([only]).count("<circle") == 1


def test_elements_escape_what_they_hold():
    assert element("p", "x", title='"<') == '<p title="&quot;&lt;">x</p>'
    assert cell("<b>", "name", 3) == '<td class="name" data-value="3">&lt;b&gt;</td>'


class _Terminal:
    def isatty(self):
        return True

    def write(self, text):
        return len(text)

    def flush(self):
        pass


def test_the_bar_asks_the_same_questions_in_the_same_order(monkeypatch):
    machines = [
        replace(result.machine, count=8 * (i + 1)) for i in range(300) for result in priced(OFFERS[:1]).results[:1]
    ]
    assert isinstance(machines[0], Machine)
    sizes = []

    def slow(asked, some):
        sizes.append(len(some))
        return plan(asked, some)

    monkeypatch.setattr(sys, "stderr", _Terminal())
    monkeypatch.setattr(render_progress, "PATIENCE_S", 0.0)
    found = render_progress.watched(slow)(job(), machines)
    assert [result.machine.count for result in found] == [machine.count for machine in machines]
    assert sum(sizes) == 300
    assert len(sizes) >= 2


def test_without_a_terminal_there_is_no_bar(monkeypatch):
    monkeypatch.setattr(_Terminal, "isatty", lambda self: False)
    monkeypatch.setattr(sys, "stderr", _Terminal())
    assert render_progress.watched(plan) is plan


def test_a_narrow_terminal_gets_two_lines_for_each_quote():
    found = quoted(limit=0)
    letters, _ = render_text.marks_of(found.quotes)
    paper = io.StringIO()
    render_quotes._print_blocks(Console(file=paper, width=90), found, letters)
    lines = paper.getvalue().splitlines()
    assert lines[0].split() == ["1*", "512", "x", "Slow", "75.4", "(67.8–90.4)", "days", "$926k", "($833k–$1.11M)"]
    assert lines[1].strip().startswith("beta, us-east-1 · 0.432 EFLOP/$ · fits")
    assert max(map(len, lines)) <= 90
