"""The columnar table: columns and rows say the same, selections agree with a plain loop."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from offers_kit import SAMPLES, cloud, own_table

from sublet.catalog import flags, tablefile
from sublet.catalog.importing import read_file
from sublet.catalog.names import resolve
from sublet.catalog.table import Coded, OfferTable, concat, empty, encode
from sublet.errors import InputError


@pytest.fixture(scope="module")
def table():
    """All samples in one table."""
    files = sorted(path for path in SAMPLES.rglob("*") if path.suffix in (".csv", ".json"))
    return concat([result.loaded.offers for result in map(read_file, files) if result.loaded])


@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=30))
def test_encoding_gives_every_word_back(words):
    column = encode(words)
    assert [column.word(row) for row in range(len(words))] == [word or None for word in words]
    assert len(set(column.vocabulary)) == len(column.vocabulary)


def test_rows_and_columns_say_the_same(table):
    node, single = table.floats("price_per_node_hour"), table.floats("price_per_accelerator_hour")
    for row, offer in enumerate(table.offers(range(len(table)))):
        assert float(offer.price_per_node_hour) == pytest.approx(node[row])
        assert float(offer.price_per_accelerator_hour) == pytest.approx(single[row])
        assert offer.price_per_node_hour == pytest.approx(offer.price_per_accelerator_hour * offer.count)
        assert offer.provider == table.vocabulary("provider")[table.codes("provider")[row]]
        assert offer.seen_at.toordinal() == table.ints("verified")[row]
        assert "|".join(offer.flags) == table.vocabulary("flags")[table.codes("flags")[row]]


def test_prices_keep_the_digits_of_the_source():
    spot = next(o for o in cloud("aws").loaded.offers.offers([0, 1, 2, 3, 4, 5, 6]) if o.price_per_node_hour > 50)
    assert spot.price_per_node_hour == Decimal("96")
    g5 = cloud("aws").loaded.offers.where(shape="g5.48xlarge", market="spot")
    assert cloud("aws").loaded.offers.row(int(g5[0])).price_per_node_hour == Decimal("20.0281")


def test_a_foreign_price_is_no_number_of_dollars(table):
    foreign = table.has("foreign-currency")
    assert foreign.any()
    assert np.isnan(table.floats("usd_per_accelerator_hour")[foreign]).all()
    assert np.isfinite(table.floats("price_per_accelerator_hour")[foreign]).all()
    assert np.isfinite(table.floats("usd_per_node_hour")[~foreign]).all()


CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "accelerator": st.sampled_from(["H100 SXM", "h100", "A100", "tpu-v5p-8", "T4", "Virtex UltraScale (VU9P)"]),
        "count": st.sampled_from([1, 2, 8]),
        "provider": st.sampled_from(["aws", ["gcp", "azure"], "nobody"]),
        "region": st.sampled_from(["us-east-1", ["eastus", "DK"]]),
        "market": st.sampled_from(["on-demand", ["spot", "community"]]),
        "as_of": st.dates(date(2022, 6, 1), date(2026, 6, 1)),
        "without": st.sampled_from([(), ("ambiguous-accelerator", "placeholder")]),
        "ambiguous": st.booleans(),
        "multiples": st.booleans(),
    },
)


@given(CONDITIONS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_where_agrees_with_a_plain_loop(table, conditions):
    asked = {"ambiguous": True, "multiples": True, "without": (), **conditions}

    def fits(row, offer):
        if "accelerator" in asked:
            meant = resolve(asked["accelerator"])
            names = set(meant.candidates)
            known = offer.accelerator in names or (not names and offer.accelerator_raw == asked["accelerator"])
            if not known and not (asked["ambiguous"] and names & set(offer.candidates)):
                return False
        if "count" in asked and offer.count != asked["count"]:
            enough = offer.per_accelerator and offer.minimum_accelerators <= asked["count"]
            if not (asked["multiples"] and enough):
                return False
        for name in ("provider", "region", "market"):
            wanted = asked.get(name)
            if wanted is not None and getattr(offer, name) not in ([wanted] if isinstance(wanted, str) else wanted):
                return False
        if "as_of" in asked:
            day = asked["as_of"].toordinal()
            if not table.ints("first")[row] <= day < table.ints("until")[row]:
                return False
        return not set(asked["without"]) & set(offer.flags)

    expected = [row for row, offer in enumerate(table.offers(range(len(table)))) if fits(row, offer)]
    assert table.where(**conditions).tolist() == expected


def test_joining_and_taking_keep_every_row(table):
    parts = [table.take(range(5)), table.take([7, 6]), empty(), table.take(table.has("placeholder"))]
    joined = concat(parts)
    expected = [offer for part in parts for offer in part.offers(range(len(part)))]
    assert joined.offers(range(len(joined))) == expected
    assert len(concat([])) == 0


def test_a_table_is_the_same_after_the_disk(table, tmp_path):
    for compress in (False, True):
        tablefile.write(table, tmp_path / "offers.npz", compress=compress)
        again = tablefile.read(tmp_path / "offers.npz")
        assert again.offers(range(len(again))) == table.offers(range(len(table)))
        assert {name: days.tolist() for name, days in again.calendars.items()} == {
            name: days.tolist() for name, days in table.calendars.items()
        }
    assert [path.name for path in tmp_path.iterdir()] == ["offers.npz"], "nothing is left beside the file"


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "offers.npz").write_bytes(b"PK\x03\x04 not an archive")
    with pytest.raises(InputError, match=r"offers\.npz is no table of offers"):
        tablefile.read(tmp_path / "offers.npz")


def test_a_flag_is_added_without_touching_the_table(tmp_path):
    table = own_table(tmp_path, {}, {"provider": "beta"})
    marked = table.with_flag("stale", np.array([False, True]))
    assert not table.has("stale").any()
    assert marked.has("stale").tolist() == [False, True]
    assert marked.row(1).flags == ("stale",)


def test_an_unknown_column_is_refused_with_those_that_exist(table):
    with pytest.raises(InputError, match='no text column "colour"'):
        table.codes("colour")
    with pytest.raises(InputError, match='no number column "colour"'):
        table.floats("colour")


def test_columns_of_unequal_length_are_refused(table):
    broken = {**table.texts, "zone": Coded(np.zeros(1, dtype=np.int32), ("x",))}
    with pytest.raises(ValueError, match="unequal length"):
        replace(table, texts=broken)


def test_every_flag_has_a_bit_of_its_own():
    assert [flags.names(flags.bits([name])) for name in flags.FLAGS] == [(name,) for name in flags.FLAGS]
    assert len(flags.FLAGS) < 63
    assert set(flags.FLAGS) >= flags.NOT_A_PRICE | flags.DOUBTFUL


def test_a_hundred_thousand_rows_are_asked_in_a_moment(table):
    import time

    copies = [table.with_numbers(first=table.ints("first") + shift) for shift in range(-(-100_000 // len(table)))]
    many = concat(copies)
    many.where(accelerator="H100", count=8)
    began = time.process_time()
    many.where(accelerator="H100", count=8, as_of=date(2025, 2, 1) + timedelta(days=1))
    assert time.process_time() - began < 0.1  # bench/bench_catalog_query.py holds the real target, 20 ms


def test_an_empty_table_answers_every_question():
    nothing = empty()
    assert isinstance(nothing, OfferTable)
    assert nothing.where(accelerator="H100", as_of=date(2025, 1, 1)).tolist() == []
    assert nothing.floats("usd_per_node_hour").tolist() == []
