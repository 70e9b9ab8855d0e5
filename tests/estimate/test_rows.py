import pytest
from hypothesis import given
from hypothesis import strategies as st

from sublet.errors import InputError
from sublet.estimate.rows import Row, read_rows


def row(**cells):
    return Row("file.csv", 2, cells)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1,024", 1024.0), ("~32", 32.0), ("4e+06", 4e6), (" 0.46 ", 0.46), ("8 GPUs", 8.0), ("1_000", 1000.0)],
)
def test_a_number_is_read_through_its_dress(text, value):
    assert row(n=text).number("n") == value


@pytest.mark.parametrize("text", ["", "  ", "n/a", "?", "not stated", "-", "many"])
def test_a_cell_without_a_number_is_unknown_and_not_zero(text):
    assert row(n=text).number("n") is None
    assert row(n=text).whole("n") is None


def test_zero_is_no_count_and_no_time():
    assert row(n="0").whole("n") is None
    assert row(n="0.0").positive("n") is None


@given(st.floats(min_value=1e-6, max_value=1e12))
def test_any_number_survives_being_written(value):
    assert row(n=repr(value)).number("n") == value


@pytest.mark.parametrize(("text", "digits"), [("0.46", 2), ("408.8", 4), ("4e+06", 1), ("", 0), ("0.0300", 3)])
def test_significant_digits_leave_out_leading_zeros(text, digits):
    assert row(n=text).digits("n") == digits


def test_columns_are_found_by_name_in_any_order_case_and_older_spelling(tmp_path):
    file = tmp_path / "runs.csv"
    file.write_text("\ufeffModel,Num GPUs,Accelerator,sequence_length\nGPT,8,H100,2048\n,,,\n", encoding="utf-8")
    (only,) = read_rows(file, ("chip", "model"))
    assert (only.text("model"), only.whole("n_chips"), only.text("chip"), only.whole("seq_len")) == (
        "GPT",
        8,
        "H100",
        2048,
    )


def test_lines_are_counted_as_an_editor_does_through_quoted_breaks(tmp_path):
    file = tmp_path / "runs.csv"
    file.write_text('chip,model,notes\nA,B,"two\nlines"\nC,D,one\n', encoding="utf-8")
    assert [r.line for r in read_rows(file, ())] == [2, 4]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is empty"), (b"name,price\nx,1\n", "no column chip, model"), (b"chip,model\n\xff\xfe\n", "not UTF-8")],
)
def test_a_file_that_is_no_such_table_is_refused_in_one_sentence(tmp_path, content, said):
    file = tmp_path / "runs.csv"
    file.write_bytes(content)
    with pytest.raises(InputError, match=said) as refusal:
        read_rows(file, ("chip", "model"))
    assert "runs.csv" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_is_refused_by_its_name(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*gone\.csv"):
        read_rows(tmp_path / "gone.csv", ())
