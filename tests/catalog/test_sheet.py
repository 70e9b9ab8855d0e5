"""Files as they come: odd encodings, delimiters, broken rows, pointers. One bad row costs only itself."""

from __future__ import annotations

import builtins

import pytest
from hypothesis import given
from hypothesis import strategies as st
from offers_kit import written

from sublet.catalog.loaders.sheet import Unreadable, read_sheet

TEXT = "Name,Price,Last\na,1.0,x\nb,2.0,y\n"


def reason(path):
    with pytest.raises(Unreadable) as caught:
        read_sheet(path)
    return caught.value.reason


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty-file"),
        (b" \n\n", "empty-file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "lfs-pointer"),
        (b"InstanceType,Price,Region\n", "header-only"),
        (b"1.0,2.0,3.0\n4,5,6\n", "no-header"),
        (b"\x00\x01\xff\xfe\x00" * 50, "not-text"),
        (b'{"offers": ', "not-json"),
        (b'{"offers": []}', "header-only"),
        (b"PAR1 broken", "not-parquet"),
    ],
)
def test_a_file_without_rows_says_why(tmp_path, content, why):
    assert reason(written(tmp_path, "file.csv", content)) == why


def test_a_file_that_cannot_be_opened_is_unreadable(tmp_path):
    assert reason(tmp_path / "absent.csv") == "unreadable"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.encode("utf-16"),
        TEXT.replace(",", ";").encode(),
        TEXT.replace(",", "\t").encode(),
        TEXT.replace("\n", "\r\n").encode(),
        ("\n\n" + TEXT).encode(),
        TEXT.rstrip("\n").encode(),
        TEXT.replace("a,1.0", '"a",1.0').encode(),
    ],
)
def test_the_same_table_in_other_clothes(tmp_path, content):
    sheet = read_sheet(written(tmp_path, "file.csv", content))
    assert sheet.header == ("Name", "Price", "Last")
    assert sheet.column("name") == ["a", "b"]
    assert sheet.column("price") == ["1.0", "2.0"]
    assert sheet.column("absent") == ["", ""]


def test_windows_text_is_read_and_said_so(tmp_path):
    sheet = read_sheet(written(tmp_path, "file.csv", TEXT.replace("a,", "Zürich,").encode("cp1252")))
    assert sheet.column("name")[0] == "Zürich"
    assert sheet.notes == ("not UTF-8: read as Windows-1252",)


def test_lines_are_those_of_the_file_even_where_a_cell_has_line_breaks(tmp_path):
    sheet = read_sheet(written(tmp_path, "file.csv", 'Name,Price,Last\n"a\nb",1,x\nc,2,y\n'))
    assert list(sheet.lines)[-1] == 4
    assert sheet.column("name") == ["a\nb", "c"]


def test_rows_of_another_width(tmp_path):
    text = "Name,Price,Last\nshort\nlist,1,x,y\ntrailing,1,x,,\n\nshifted,Denmark, DK,1.0,x\n"
    sheet = read_sheet(written(tmp_path, "file.csv", text))
    assert sheet.column("name") == ["short", "list", "trailing"]
    assert sheet.column("last") == ["", "x,y", "x"]
    assert [(row.line, row.reason) for row in sheet.refused] == [(6, "ragged-row")]


def test_a_cell_that_no_reader_takes_costs_its_own_row(tmp_path):
    text = "Name,Price,Last\na,1,x\n" + "b" * (1 << 21) + ",2,y\nc,3,z\n"
    sheet = read_sheet(written(tmp_path, "file.csv", text))
    assert sheet.column("name") == ["a", "c"]
    assert [row.reason for row in sheet.refused] == ["unreadable-row"]


def test_json_keeps_the_digits_and_what_stands_beside_the_rows(tmp_path):
    sheet = read_sheet(
        written(tmp_path, "file.json", '{"date": "2026-01-01", "rows": [{"price": 2.10}, {"other": null}]}')
    )
    assert sheet.column("price") == ["2.10", ""]
    assert sheet.extra["date"] == "2026-01-01"


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **named):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    assert reason(written(tmp_path, "file.parquet", b"PAR1....")) == "needs-pyarrow"


CELL = st.text(st.characters(exclude_characters='\r\n\x00"', exclude_categories=["Cs"]), min_size=1, max_size=6)


@given(st.lists(st.tuples(CELL, st.decimals(0, 99, places=2), CELL), min_size=1, max_size=8))
def test_what_the_csv_module_wrote_is_read_back(tmp_path_factory, rows):
    import csv
    import io

    text = io.StringIO()
    csv.writer(text).writerows([("Name", "Price", "Last"), *rows])
    sheet = read_sheet(written(tmp_path_factory.mktemp("sheet"), "file.csv", text.getvalue()))
    assert sheet.column("name") == [name.strip() for name, _, _ in rows]
    assert sheet.column("last") == [last.strip() for _, _, last in rows]
