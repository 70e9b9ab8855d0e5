"""Files that nobody should write: whatever stands in the cells, nothing is raised and no row is lost."""

from __future__ import annotations

import csv
import io

from hypothesis import given, settings
from hypothesis import strategies as st
from offers_kit import DAY, SAMPLES, written

from sublet.catalog.asof import assemble, standing
from sublet.catalog.importing import read_file

FILES = sorted(path for path in SAMPLES.rglob("*.csv"))
ODD = st.sampled_from(
    (
        *("", " ", "0", "-1", "1e9", "1e400", "9" * 30, "nan", "inf", "8.5", "½", "H100", "tpu-v5p-8", "tpu-v9-0"),
        *("Δ,Δ", '"', "'", "2025-01-01", "9999-99-99", "0000-01-01", "a" * 300, "x|y", "\u2028"),
        "{'Gpus': [{'MemoryInfo': {'SizeInMiB': 0}}]}",
    )
)


@given(st.sampled_from(FILES), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), ODD), max_size=12))
@settings(deadline=None, max_examples=120, derandomize=True)
def test_any_cell_may_hold_anything(tmp_path_factory, source, changes):
    with source.open(newline="") as stream:
        rows = list(csv.reader(stream))
    for line, column, cell in changes:
        row = rows[1 + line % (len(rows) - 1)]
        row[column % len(row)] = cell
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    result = read_file(written(tmp_path_factory.mktemp("odd"), source.name, text.getvalue()), seen_at=DAY)
    assert result.failure != "loader-failed", result.message
    assert result.rows == result.kept + result.quarantined
    assert result.quarantined == sum(result.reasons.values())
    if result.loaded is not None and result.offers:
        table = assemble([result.loaded.offers])
        offers = table.offers(range(len(table)))
        assert all(offer.price_per_node_hour > 0 and offer.count >= 1 for offer in offers)
        for day in {offers[0].seen_at, offers[-1].seen_at}:
            standing(table, day)


@given(st.sampled_from(FILES), st.binary(max_size=40), st.integers(0, 2000), st.integers(0, 400))
@settings(deadline=None, max_examples=80, derandomize=True)
def test_any_byte_may_stand_anywhere(tmp_path_factory, source, junk, at, cut):
    data = source.read_bytes()
    broken = data[: at % len(data)] + junk + data[at % len(data) + cut :]
    result = read_file(written(tmp_path_factory.mktemp("odd"), source.name, broken), seen_at=DAY)
    assert result.failure != "loader-failed", result.message
    assert result.rows == result.kept + result.quarantined
    assert result.usable or result.failure or not result.kept


def test_a_fault_of_a_loader_costs_its_own_file_only(tmp_path, monkeypatch):
    from sublet.catalog.loaders import skypilot

    def broken(sheet, context):
        raise RuntimeError("a fault")

    monkeypatch.setattr(skypilot, "load", broken)
    aws, own = (read_file(SAMPLES / name) for name in ("skypilot/2025-01-15/aws.csv", "own.csv"))
    assert (aws.failure, aws.rows, aws.quarantined, aws.reasons) == ("loader-failed", 8, 8, {"loader-failed": 8})
    assert "please report it" in aws.message
    assert own.usable
