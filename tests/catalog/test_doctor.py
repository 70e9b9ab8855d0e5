"""What the doctor finds, and that it says who."""

from __future__ import annotations

from datetime import date

from offers_kit import own_table

from sublet.catalog.asof import assemble, standing
from sublet.catalog.doctor import examine
from sublet.catalog.store import Entry
from sublet.catalog.table import OfferTable, concat

DAY = date(2025, 6, 1)


def entry(**more):
    usual = {
        "id": "1",
        "path": "p",
        "label": "aws.csv",
        "format": "skypilot",
        "digest": "",
        "first": "2025-01-01",
        "last": "2025-01-01",
        "rows": 10,
        "kept": 10,
        "quarantined": 0,
        "offers": 12,
        "machines": 0,
    }
    return Entry(**{**usual, **more})


def test_a_sound_catalogue_has_nothing_to_look_at(tmp_path):
    table = standing(own_table(tmp_path, {"seen_at": "2025-05-30"}), DAY)
    report = examine(table, [entry()], DAY)
    assert not report.worries
    assert (report.offers, report.rows, report.kept) == (1, 10, 10)
    assert report.feeds[0].age_days == 2


def test_refused_rows_and_old_sources_are_counted(tmp_path):
    table = standing(own_table(tmp_path, {"seen_at": "2025-01-15"}), DAY)
    bad = [entry(kept=7, quarantined=3, reasons={"no-price": 2, "zero-price": 1}), entry(reasons={"no-price": 1})]
    report = examine(table, bad, DAY)
    assert report.worries
    assert report.reasons == {"no-price": 3, "zero-price": 1}
    (feed,) = report.feeds
    assert (feed.feed, feed.provider, feed.age_days, feed.stale) == ("sublet", "acme", 137, True)
    assert report.flags == {"stale": 1}


def test_names_that_do_not_settle_are_listed_with_what_they_may_mean(tmp_path):
    table = standing(own_table(tmp_path, {"accelerator": "A100", "provider": "nobody"}, {"accelerator": "Zonk 9"}), DAY)
    report = examine(table, [], DAY)
    found = {raw: candidates for _, raw, candidates, _ in report.unresolved}
    assert found["Zonk 9"] == ""
    assert "A100 SXM 80GB" in found["A100"].split("|")


def test_contradictions_name_the_sources_and_their_prices(tmp_path):
    one = own_table(tmp_path / "a", {"seen_at": "2025-05-20"})
    two = own_table(tmp_path / "b", {"seen_at": "2025-05-25", "price_per_node_hour": 80, "source": "other"})
    column = two.texts["feed"]
    two = OfferTable({**two.texts, "feed": type(column)(column.codes, ("other",))}, two.numbers, two.calendars)
    report = examine(standing(assemble([concat([one, two])]), DAY), [], DAY)
    (found,) = report.disagreements
    assert (found.provider, found.what, found.market) == ("acme", "H100 SXM", "on-demand")
    assert found.prices == (("other", 10.0, 10.0, date(2025, 5, 25)), ("sublet", 3.0, 3.0, date(2025, 5, 20)))
    assert report.worries
