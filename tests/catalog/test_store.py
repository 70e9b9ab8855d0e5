"""The user's catalogue on disk: what was imported is there, what was refused is accounted for."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from offers_kit import SAMPLES, written

from sublet.catalog import embedded, store
from sublet.catalog.importing import find_files, read_file, read_files
from sublet.errors import InputError


@pytest.fixture
def home(tmp_path):
    """A catalogue with all samples in it."""
    files, _ = find_files([SAMPLES])
    place = tmp_path / "home"
    store.save(place, read_files(files))
    return place


def test_the_home_directory_follows_the_environment():
    assert store.home_of({"SUBLET_HOME": "/x/y"}) == Path("/x/y")
    assert store.home_of({"XDG_DATA_HOME": "/data"}) == Path("/data/sublet")
    assert store.home_of({}) == Path.home() / ".local" / "share" / "sublet"


def test_an_empty_catalogue_is_the_embedded_one(tmp_path):
    assert store.open_catalog(tmp_path) is embedded.offers()
    assert store.entries(tmp_path) == []
    assert len(store.machines(tmp_path)) == 0
    assert not list(tmp_path.iterdir()), "looking writes nothing"


def test_imports_stand_beside_the_embedded_offers(home):
    table = store.open_catalog(home)
    assert len(table) > len(embedded.offers())
    assert set(table.vocabulary("feed")) > set(embedded.offers().vocabulary("feed"))
    day = store.open_catalog(home, date(2025, 1, 15))
    found = day.offers(day.where(provider="mithril"))
    assert [o.source for o in found] == ["skypilot:2025-01-15/mithril.csv:2"] * 2


def test_the_manifest_accounts_for_every_row(home):
    for entry in store.entries(home):
        assert entry.rows == entry.kept + entry.quarantined
        refused = store.quarantine(home, entry)
        assert len(refused) == entry.quarantined
        assert {row["reason"] for row in refused} == set(entry.reasons)
    assert sum(entry.machines for entry in store.entries(home)) == len(store.machines(home))


def test_facts_are_kept(home):
    assert [row["shape"] for row in store.facts(home, "interruptions")] == ["p5.48xlarge", "trn1.32xlarge"]
    assert [row["provider"] for row in store.facts(home, "failures")] == ["vultr"]
    assert store.facts(home, "listings")[0]["accelerator"] == "H100"


def test_importing_again_replaces_the_same_file_and_adds_another_day(tmp_path):
    text = (SAMPLES / "skypilot/2025-01-15/aws.csv").read_text()
    for price in ("96.00", "88.00"):
        store.save(tmp_path, [read_file(written(tmp_path, "2025-01-15/aws.csv", text.replace("96.00", price)))])
    assert len(store.entries(tmp_path)) == 1
    store.save(tmp_path, [read_file(written(tmp_path, "2025-02-15/aws.csv", text))])
    assert len(store.entries(tmp_path)) == 2
    prices = [
        {
            float(o.price_per_node_hour)
            for o in table.offers(table.where(shape="p5.48xlarge", feed="skypilot", market="on-demand"))
        }
        for table in (store.open_catalog(tmp_path, day) for day in (date(2025, 1, 20), date(2025, 2, 20)))
    ]
    assert prices == [{88.0}, {96.0}]


def test_a_snapshot_that_shrank_is_stored_with_a_warning(tmp_path):
    text = (SAMPLES / "skypilot/2025-01-15/aws.csv").read_text()
    cut = "\n".join(text.splitlines()[:2]) + "\n"
    (whole,) = store.save(tmp_path, [read_file(written(tmp_path, "2025-01-15/aws.csv", text))])
    (short,) = store.save(tmp_path, [read_file(written(tmp_path, "2025-02-15/aws.csv", cut))])
    assert whole.warning == ""
    assert "has 2 offers where 2025-01-15/aws.csv (2025-01-15) had 7" in short.warning


def test_one_bad_file_costs_no_other(tmp_path):
    good = written(tmp_path, "2025-01-15/aws.csv", (SAMPLES / "skypilot/2025-01-15/aws.csv").read_text())
    bad = [written(tmp_path, f"bad{i}.csv", text) for i, text in enumerate(("", "a,b\n1,2\n", "\x00\x01\xff"))]
    results = list(read_files([bad[0], good, *bad[1:]]))
    assert [result.usable for result in results] == [False, True, False, False]
    assert len(store.save(tmp_path, results)) == 1


def test_forgetting_takes_a_file_out_whole(home):
    entry = next(entry for entry in store.entries(home) if entry.label.endswith("azure.csv"))
    store.forget(home, entry)
    assert entry.id not in {one.id for one in store.entries(home)}
    assert not list((home / "catalog").rglob(f"{entry.id}*"))


def test_a_damaged_manifest_or_table_is_one_clear_sentence(home):
    manifest = home / "catalog" / "manifest.json"
    table = next((home / "catalog" / "offers").iterdir())
    table.write_bytes(b"nothing")
    with pytest.raises(InputError, match="is damaged: import its sources again"):
        store.open_catalog(home)
    table.unlink()
    with pytest.raises(InputError, match="import its sources again"):
        store.open_catalog(home)
    manifest.write_text(json.dumps({"schema": "other/9", "files": []}))
    with pytest.raises(InputError, match="has schema other/9"):
        store.entries(home)
    manifest.write_text("{")
    with pytest.raises(InputError, match="is damaged: remove it"):
        store.entries(home)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "offers").write_text("a file is in the way")
    with pytest.raises(InputError, match=r"offers/[0-9a-f]+\.npz cannot be written"):
        store.save(tmp_path, [read_file(SAMPLES / "own.csv")])
    assert store.entries(tmp_path) == [], "a broken import leaves the catalogue as it was"


def test_paths_are_found_in_a_fixed_order_without_hidden_files(tmp_path):
    for name in ("b/vms.csv", "a.csv", ".hidden/c.csv", "readme.md", "d.parquet"):
        written(tmp_path, name, "x")
    found, ignored = find_files([tmp_path, tmp_path / "a.csv"])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a.csv", "b/vms.csv", "d.parquet"]
    assert [path.name for path in ignored] == ["readme.md"]
    with pytest.raises(InputError, match=r"nowhere does not exist"):
        find_files([tmp_path / "nowhere"])
