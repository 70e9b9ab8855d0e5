"""The offers that ship: only from sources that may be passed on, each row with its source and day."""

from __future__ import annotations

import sys
from datetime import date
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from sublet.catalog import embedded
from sublet.catalog.asof import standing
from sublet.catalog.names import resolve

ROOT = Path(__file__).resolve().parents[2]
MAY_BE_PASSED_ON = {"CC-BY-4.0", "Apache-2.0", "MIT"}


def test_every_row_names_a_source_that_may_be_passed_on():
    table = embedded.offers()
    known = {source.feed: source for source in embedded.sources()}
    assert set(table.vocabulary("feed")) <= set(known)
    assert not {"skypilot", "gpuhunt", "gpuhunt-tpu"} & set(table.vocabulary("feed"))
    assert {source.licence for source in known.values()} <= MAY_BE_PASSED_ON
    for feed, source in known.items():
        rows = table.where(feed=feed)
        assert source.attribution
        if len(rows):
            first, last = (
                date.fromordinal(int(day)) for day in (table.ints("first")[rows].min(), table.ints("last")[rows].max())
            )
            assert (first.isoformat(), last.isoformat()) == (source.first, source.last)
    assert (table.codes("file") >= 0).all()
    assert (table.ints("line") > 1).all()


def test_the_notice_names_every_source():
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for source in embedded.sources():
        assert source.url in notice


def test_it_is_small_and_has_no_price_of_zero():
    data = ROOT / "src" / "sublet" / "catalog" / "data" / embedded.OFFERS
    assert data.stat().st_size < 1_500_000
    table = embedded.offers()
    assert len(table) > 10_000
    assert float(table.floats("price_per_node_hour").min()) > 0
    assert (table.ints("until") > table.ints("last")).all()
    assert (table.ints("last") >= table.ints("first")).all()


def test_as_of_a_day_it_knows_what_was_seen_by_then():
    early = standing(embedded.offers(), date(2023, 8, 15))
    found = early.offers(early.where(accelerator="H100 SXM", provider="aws"))
    assert {(o.shape, str(o.price_per_accelerator_hour), o.seen_at) for o in found} == {
        ("p5.48xlarge", "12.29", date(2023, 8, 9))
    }
    assert not len(standing(embedded.offers(), date(2020, 1, 1)))


def test_names_were_resolved_by_the_rules_of_today():
    table = embedded.offers()
    wrong = set()
    for row in range(len(table)):
        raw, stored = table.texts["accelerator_raw"].word(row), table.texts["accelerator"].word(row)
        means = resolve(raw or "", provider=table.texts["provider"].word(row), shape=table.texts["shape"].word(row))
        if means.accelerator and stored and means.accelerator != stored:
            wrong.add((raw, stored, means.accelerator))
    assert not wrong, "run tools/build_offers.py"
    assert not table.has("unknown-accelerator").any(), "run tools/build_offers.py"


def test_interruption_bands_ship():
    bands = {one.band for one in embedded.interruptions()}
    assert bands == {"<5%", "5-10%", "10-15%", "15-20%", ">20%"}
    assert all(one.seen_at == "2025-06-28" and one.shape for one in embedded.interruptions())


def test_building_again_gives_the_same_offers(shared, tmp_path, monkeypatch):
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        build = import_module("build_offers")
    finally:
        sys.path.pop(0)
    monkeypatch.setattr(build, "DATA", tmp_path)
    assert build.main([str(shared / "offers")]) == 0
    from sublet.catalog import tablefile

    again, shipped = tablefile.read(tmp_path / embedded.OFFERS), embedded.offers()
    assert len(again) == len(shipped)
    for column in ("provider", "shape", "accelerator", "candidates", "price", "market", "region", "file"):
        same = np.array(again.vocabulary(column), dtype=object)[again.codes(column)]
        kept = np.array(shipped.vocabulary(column), dtype=object)[shipped.codes(column)]
        missing = (again.codes(column) < 0) & (shipped.codes(column) < 0)
        assert ((same == kept) | missing).all(), f"{column}: run tools/build_offers.py"
    sources = (ROOT / "src" / "sublet" / "catalog" / "data" / "offer_sources.csv").read_text()
    assert (tmp_path / "offer_sources.csv").read_text() == sources


def test_the_tool_says_how_to_use_it(capsys):
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        build = import_module("build_offers")
    finally:
        sys.path.pop(0)
    assert build.main([]) == 2
    assert "FOLDER holds" in capsys.readouterr().err


@pytest.mark.parametrize("day", [date(2023, 1, 1), date(2024, 6, 1), date(2025, 5, 7), date(2026, 8, 10)])
def test_gcp_list_prices_without_their_accelerators_are_marked(day):
    table = standing(embedded.offers(), day)
    rows = table.where(provider="gcp", accelerator="A100 SXM 40GB", market="on-demand", without=["placeholder"])
    assert (table.floats("usd_per_accelerator_hour")[rows] > 2).all()
