"""`sublet catalog`: what a person and a program see, and the exit codes."""

from __future__ import annotations

import csv
import io
import json
import sys
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from sublet.cli import cli
from sublet.errors import InputError

SAMPLES = Path(__file__).resolve().parents[1] / "catalog" / "samples"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `sublet catalog ...` with a catalogue of its own; returns the result, whose exception is a SubletError."""
    monkeypatch.setenv("SUBLET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "160")

    def runner(*arguments):
        return CliRunner().invoke(cli, ["catalog", *map(str, arguments)], catch_exceptions=True)

    return runner


def fine(result):
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def refused(result):
    assert isinstance(result.exception, InputError), (result.output, result.exception)
    return str(result.exception)


def test_import_reports_every_file_and_row(run):
    document = json.loads(fine(run("import", SAMPLES, "--json")))
    assert document["schema"] == "sublet.catalog.import/1"
    for file in document["files"]:
        assert set(file) >= {"path", "format", "rows", "kept", "quarantined", "reasons"}
        assert file["rows"] == file["kept"] + file["quarantined"]
        assert file["quarantined"] == sum(file["reasons"].values())
    by_name = {Path(file["path"]).name: file for file in document["files"]}
    assert by_name["azure.csv"]["reasons"] == {"zero-price": 1, "no-price": 1}
    assert by_name["vast.csv"]["dropped_prices"] == {"zero-price": 2}
    assert document["totals"]["rows"] == sum(file["rows"] for file in document["files"])
    assert [Path(path).name for path in document["ignored"]] == ["README.md"]


def test_import_for_people(run, tmp_path):
    text = fine(run("import", SAMPLES, "--quarantine", tmp_path / "refused.csv"))
    assert "rows = " in text
    assert "7 quarantined, in 23 files" in text
    with (tmp_path / "refused.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 7
    assert {row["reason"] for row in rows} == {"no-price", "zero-price", "no-accelerator"}
    assert all(Path(row["file"]).is_file() and int(row["line"]) > 1 for row in rows)


def test_a_bad_file_among_good_ones_is_named_and_costs_nothing(run, tmp_path):
    (tmp_path / "azure.csv").write_text("InstanceType,AcceleratorName,AcceleratorCount,Price,SpotPrice,Region\n")
    text = fine(run("import", tmp_path / "azure.csv", SAMPLES / "own.csv"))
    assert "not used" in text
    assert "holds a header and no rows" in text
    assert "acme" in fine(run("list", "--provider", "acme"))


def test_nothing_usable_is_an_error_that_says_so(run, tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    result = run("import", tmp_path / "a.csv", "--json")
    assert json.loads(result.stdout)["files"][0]["reasons"] == {"unknown-format": 1}
    assert refused(result) == "none of the 1 files could be used; the catalogue stays as it was"


def test_without_paths_skypilots_own_folder_is_found(run, tmp_path):
    assert "no ~/.sky/catalogs" in refused(run("import"))
    folder = tmp_path / ".sky" / "catalogs" / "v7" / "aws"
    folder.mkdir(parents=True)
    (folder / "vms.csv").write_bytes((SAMPLES / "skypilot/2025-01-15/aws.csv").read_bytes())
    (tmp_path / ".sky" / "catalogs" / ".meta").mkdir()
    (tmp_path / ".sky" / "catalogs" / ".meta" / "vms.csv").write_text("not,offers\n1,2\n")
    document = json.loads(fine(run("import", "--json")))
    (file,) = document["files"]
    assert (file["format"], file["rows"], file["kept"]) == ("skypilot", 8, 6)
    assert "undated" not in fine(run("list", "--provider", "aws", "--limit", 0))


def test_a_dry_run_stores_nothing(run):
    assert "Nothing was stored" in fine(run("import", SAMPLES / "own.csv", "--dry-run"))
    assert "No offer matches" in fine(run("list", "--provider", "acme"))


def test_paths_and_days_are_checked(run, tmp_path):
    assert "does not exist" in refused(run("import", tmp_path / "nowhere"))
    assert "is no day; write it as 2023-08-15" in refused(run("import", SAMPLES, "--seen-at", "15.8.2023"))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no CSV, TSV, JSON or Parquet" in refused(run("import", empty))


def test_list_puts_the_cheapest_trustworthy_offer_first(run):
    fine(run("import", SAMPLES))
    listed = json.loads(
        fine(run("list", "-a", "h100", "-m", "on-demand", "--as-of", "2025-01-20", "--json", "--limit", 0))
    )
    assert listed["schema"] == "sublet.catalog.list/1"
    assert listed["as_of"] == "2025-01-20"
    offers = listed["offers"]
    trusted = [
        offer for offer in offers if not {"placeholder", "accelerator-only", "stale", "outlier-low"} & {*offer["flags"]}
    ]
    prices = [
        float(offer["price_per_accelerator_hour"]) for offer in trusted if "sources-disagree" not in offer["flags"]
    ]
    assert offers[: len(prices)] == [offer for offer in offers if offer in trusted][: len(prices)]
    assert prices == sorted(prices)
    assert prices[0] > 2
    assert {"mithril"} == {offer["provider"] for offer in offers if "placeholder" in offer["flags"]} - {"dataoorts"}
    assert all(offer["seen_at"] <= "2025-01-20" for offer in offers)
    assert listed["matched"] == len(offers)


def test_list_for_people(run):
    text = fine(run("list", "-a", "H100 SXM", "-n", 8, "-p", "AWS", "--as-of", "2023-08-15"))
    assert "p5.48xlarge" in text
    assert "12.29" in text
    assert "offers as of 2023-08-15" in text
    assert "(--limit 0)" in fine(run("list", "--limit", 1))


def test_list_without_a_flag_and_with_an_unknown_one(run):
    everything = json.loads(fine(run("list", "--as-of", "2025-05-07", "--json", "--limit", 0)))
    fresh = json.loads(fine(run("list", "--as-of", "2025-05-07", "--without", "stale", "--json", "--limit", 0)))
    assert 0 < fresh["matched"] < everything["matched"]
    assert "no such flag" in refused(run("list", "--without", "smelly"))


def test_the_csv_of_a_list_can_be_imported_again(run, tmp_path, monkeypatch):
    fine(run("import", SAMPLES))
    text = fine(run("list", "--as-of", "2026-05-30", "--csv", "--limit", 0, "--without", "stale"))
    rows = list(csv.DictReader(io.StringIO(text)))
    (tmp_path / "mine.csv").write_text(text)
    monkeypatch.setenv("SUBLET_HOME", str(tmp_path / "other"))
    document = json.loads(fine(run("import", tmp_path / "mine.csv", "--json")))
    (file,) = document["files"]
    assert (file["format"], file["rows"]) == ("sublet", len(rows))
    assert file["kept"] == len(rows)
    again = json.loads(fine(run("list", "--feed", "sublet", "--as-of", "2026-05-30", "--json", "--limit", 0)))["offers"]
    assert again

    def essence(row):
        price = float(row["price_per_accelerator_hour"])
        return row["provider"], row["shape"] or "", row["market"], row["currency"], round(price, 9)

    assert {essence(row) for row in again} <= {essence(row) for row in rows}
    assert len({essence(row) for row in again}) > 0.95 * len({essence(row) for row in rows})


def test_imported_machines_can_be_listed(run):
    fine(run("import", SAMPLES))
    assert "m5.large" in fine(run("list", "--machines", "--provider", "aws", "--as-of", "2025-01-20"))


def test_show_an_accelerator_with_sources(run):
    document = json.loads(fine(run("show", "H100 SXM", "--json", "--as-of", "2023-08-15")))
    (chip,) = document["accelerators"]
    assert chip["name"] == "H100 SXM"
    assert all(figure["source"] for figure in chip["figures"] if figure["value"] != "not published")
    assert document["offers"]
    text = fine(run("show", "H100 SXM"))
    assert "memory bandwidth" in text
    assert "offers as of" in text


def test_show_an_ambiguous_name_lists_what_it_may_mean(run):
    text = fine(run("show", "A100"))
    assert "A100 SXM 40GB" in text
    assert "A100 PCIe 80GB" in text
    assert "may mean any of these" in text


def test_show_an_instance_type(run):
    document = json.loads(fine(run("show", "p5.48xlarge", "--json")))
    (shape,) = document["shapes"]
    assert (shape["provider"], shape["accelerator"], shape["count"]) == ("aws", "H100 SXM", 8)
    assert all(figure["source"] for figure in shape["figures"])
    assert {one["shape"] for one in document["interruptions"]} == {"p5.48xlarge"}
    text = fine(run("show", "P5.48xlarge"))
    assert "8 x H100 SXM" in text
    assert "Spot instances taken back in a month (2025-06-28)" in text


def test_show_knows_imported_interruptions(run, tmp_path):
    odd = (SAMPLES / "history/aws_spot_advisor_2025-06-28.csv").read_text().replace("us-east-1", "mars-1")
    (tmp_path / "advisor_2026-01-02.csv").write_text(odd)
    fine(run("import", tmp_path / "advisor_2026-01-02.csv"))
    assert "(2026-01-02): >20% in mars-1." in fine(run("show", "p5.48xlarge"))


def test_show_something_unknown_suggests(run):
    assert "did you mean" in refused(run("show", "p5.48xlrge"))


def test_history_in_the_terminal_and_in_files(run, tmp_path):
    text = fine(
        run("history", "H100 SXM", "--provider", "gcp", "--csv", tmp_path / "h.csv", "--png", tmp_path / "h.png")
    )
    assert "lowest price" in text
    assert "gcp" in text
    assert "█" in text
    with (tmp_path / "h.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["provider"] == "gcp"
    assert [row["from_day"] for row in rows] == sorted(row["from_day"] for row in rows)
    assert (tmp_path / "h.png").read_bytes().startswith(b"\x89PNG")


def test_history_as_json_and_svg(run, tmp_path):
    command = ("history", "H100", "-p", "lambda", "-m", "all", "--by", "market", "--svg", tmp_path / "h.svg", "--json")
    document = json.loads(fine(run(*command)))
    assert document["schema"] == "sublet.catalog.history/1"
    assert document["by"] == ["market"]
    first = (tmp_path / "h.svg").read_text()
    assert first.lstrip().startswith("<?xml")
    fine(run(*command))
    assert (tmp_path / "h.svg").read_text() == first, "the same prices draw the same file"


def test_history_says_when_a_price_moved(run):
    fine(run("import", SAMPLES / "history"))
    command = ("history", "H100", "-p", "aws", "--from", "2023-01-01", "--by", "shape")
    document = json.loads(fine(run(*command, "--json")))
    moves = [change for change in document["changes"] if change["key"] == ["p5.48xlarge"]]
    assert [(round(one["ratio"], 2), one["by"]) for one in moves if one["to"] < 8] == [(0.56, "2025-03-31")]
    assert "Moves of the lowest price" in fine(run(*command))


def test_history_of_nothing_and_by_nonsense(run):
    assert "no price of" in refused(run("history", "H100", "-p", "nobody"))
    assert "no such column" in refused(run("history", "H100", "--by", "colour"))
    assert "cannot be written" in refused(run("history", "H100", "--csv", "/nowhere/at/all.csv"))


def test_sources_attribute_what_ships_and_list_what_was_imported(run):
    text = fine(run("sources"))
    assert (
        "GPU rental price data by gpurentalprices.com (https://gpurentalprices.com), licensed under CC BY 4.0" in text
    )
    assert "Nothing was imported yet" in text
    fine(run("import", SAMPLES / "own.csv"))
    document = json.loads(fine(run("sources", "--json")))
    assert {source["licence"] for source in document["embedded"]} == {"CC-BY-4.0", "Apache-2.0", "MIT"}
    assert [entry["label"] for entry in document["imported"]] == ["samples/own.csv"]


def test_an_import_can_be_undone(run):
    fine(run("import", SAMPLES / "own.csv", SAMPLES / "tardellirs_2026-05-24.csv"))
    assert "no such import" in refused(run("sources", "--forget", "other.csv"))
    text = fine(run("sources", "--forget", "samples/own.csv"))
    assert "own.csv" not in text
    assert "samples/tardellirs_2026-05-24.csv" in text
    assert "No offer matches" in fine(run("list", "--provider", "acme"))


def test_doctor_exits_with_one_where_something_is_doubtful(run):
    fine(run("import", SAMPLES))
    result = run("doctor", "--as-of", "2025-01-20")
    assert result.exit_code == 1
    assert "quarantined" in result.stdout
    assert "Age of the sources" in result.stdout
    document = json.loads(run("doctor", "--json", "--as-of", "2025-01-20").stdout)
    assert document["schema"] == "sublet.catalog.doctor/1"
    assert document["worries"] is True
    assert sum(document["reasons"].values()) == document["quarantined"] == 7
    lines = run("doctor", "--rows").stdout.splitlines()
    assert len(lines) == 7
    assert any("azure.csv:4: zero-price" in line for line in lines)


def test_a_damaged_catalogue_is_one_sentence(run, tmp_path):
    (tmp_path / "home" / "catalog").mkdir(parents=True)
    (tmp_path / "home" / "catalog" / "manifest.json").write_text("{")
    assert "is damaged" in refused(run("list"))


def test_help_imports_neither_numpy_nor_rich():
    import subprocess

    code = (
        "import sys; from click.testing import CliRunner; from sublet.cli import cli;"
        "r = CliRunner().invoke(cli, ['catalog', '--help']); assert r.exit_code == 0;"
        "print([m for m in ('numpy', 'rich', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_lines_are_drawn_where_the_price_is():
    from sublet.cli.plot import chart, sampled, sparkline

    line = [(date(2025, 1, 1), 1.0), (date(2025, 1, 11), None), (date(2025, 1, 21), 3.0)]
    start, end = date(2025, 1, 1), date(2025, 1, 31)
    assert sampled(line, start, end, 3) == [None, 3.0, 3.0]
    assert sampled(line, start, end, 6) == [1.0, None, None, 3.0, 3.0, 3.0]
    assert sparkline(line, start, end, 6, 1.0, 3.0) == "▁  ███"
    drawn = chart(line, start, end, columns=6, rows=4)
    assert len(drawn) == 6
    assert drawn[0].endswith("███") or "█" in drawn[1]
    assert "2025-01-31" in drawn[-1]
    assert chart([(start, None)], start, end) == []
