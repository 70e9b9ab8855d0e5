"""What stood on a day: nothing from the future, nothing twice, the newest of each source."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from offers_kit import SAMPLES, own_table, sample, table_in

from sublet.catalog.asof import assemble, once, standing
from sublet.catalog.importing import read_file
from sublet.catalog.table import concat, empty

FILES = sorted(path for path in SAMPLES.rglob("*") if path.suffix in (".csv", ".json"))
TABLES = [result.loaded.offers for result in map(read_file, FILES) if result.loaded]
WHOLE = assemble(TABLES)


@given(st.dates(date(2022, 1, 1), date(2026, 12, 31)))
@settings(deadline=None, max_examples=60)
def test_a_day_knows_nothing_of_the_days_after(day):
    table = standing(WHOLE, day)
    for offer in table.offers(range(len(table))):
        assert offer.first_seen <= day
        assert offer.seen_at <= day
        assert ("stale" in offer.flags) == ((day - offer.seen_at).days > 90)


@given(st.permutations(range(len(TABLES))), st.dates(date(2022, 6, 1), date(2026, 6, 1)))
@settings(deadline=None, max_examples=25)
def test_the_order_of_the_files_does_not_matter(order, day):
    one, two = standing(WHOLE, day), standing(assemble([TABLES[i] for i in order]), day)
    assert sorted(map(str, one.offers(range(len(one))))) == sorted(map(str, two.offers(range(len(two)))))


def test_reading_a_source_twice_changes_nothing():
    twice = assemble([*TABLES, *TABLES])
    assert len(twice) == len(assemble([WHOLE, empty()]))
    day = date(2025, 2, 1)
    once_, again = standing(WHOLE, day), standing(twice, day)
    assert once_.offers(range(len(once_))) == again.offers(range(len(again)))


def test_a_newer_snapshot_replaces_the_whole_scope_and_no_other(tmp_path):
    old = own_table(tmp_path / "a", {"shape": "x"}, {"shape": "y"}, {"provider": "beta", "shape": "z"})
    new = own_table(tmp_path / "b", {"shape": "x", "price_per_node_hour": 16, "seen_at": "2025-03-01"})
    table = assemble([new, old])

    def on(day):
        return {
            (o.provider, o.shape, o.price_per_node_hour)
            for o in standing(table, day).offers(range(9)[: len(standing(table, day))])
        }

    assert on(date(2025, 2, 1)) == {("acme", "x", 24), ("acme", "y", 24), ("beta", "z", 24)}
    assert on(date(2025, 3, 1)) == {("acme", "x", 16), ("beta", "z", 24)}


def test_a_price_of_a_log_stands_until_it_changes_or_leaves():
    table = assemble([sample("history/gcp_changes.csv").loaded.offers])

    def on_demand(day):
        there = standing(table, day)
        return [o.price_per_node_hour for o in there.offers(there.where(shape="a3-highgpu-8g", market="on-demand"))]

    assert on_demand(date(2024, 1, 9)) == []
    assert on_demand(date(2024, 8, 31)) == [Decimal(88)]
    assert on_demand(date(2024, 9, 1)) == [], "it left the table"
    assert on_demand(date(2030, 1, 1)) == [Decimal(86)]


def test_a_longer_version_of_a_log_ends_what_the_older_left_open(tmp_path):
    header = "CommitDate,InstanceType,Region,Price,Currency\n"
    row = "{},p5.48xlarge,us-east-1,{},USD\n"
    old, new = (tmp_path / name for name in ("aws_old.csv", "aws_new.csv"))
    old.write_text(header + row.format("2023-08-09", 98) + row.format("2024-08-09", 97))
    new.write_text(header + row.format("2023-08-09", 98) + row.format("2025-06-01", 55))
    table = assemble([table_in(path) for path in (old, new)])
    prices = {
        day: [float(o.price_per_node_hour) for o in standing(table, day).offers([0])]
        for day in (date(2024, 1, 1), date(2024, 9, 1), date(2025, 7, 1))
    }
    assert prices == {date(2024, 1, 1): [98], date(2024, 9, 1): [97], date(2025, 7, 1): [55]}
    assert len(standing(table, date(2025, 7, 1))) == 1


def test_seen_is_no_later_than_the_source_was_read():
    table = assemble([sample("gpurentalprices_daily.csv").loaded.offers])
    there = standing(table, date(2026, 1, 1) + timedelta(days=1))
    seen = {(o.provider, o.seen_at) for o in there.offers(there.where(accelerator="H100 SXM"))}
    assert seen == {("runpod", date(2026, 1, 2)), ("vultr", date(2026, 1, 1))}


def test_repetitions_are_told_from_variants(tmp_path):
    table = own_table(tmp_path, {}, {"zone": "b"}, {"price_per_node_hour": 25})
    assert len(once(concat([table, table]))) == 3
    assert once(table) is table
    assert np.array_equal(once(concat([table, table])).ints("line"), table.ints("line"))
