import json
import re

import pytest
from click.testing import CliRunner
from test_quote_cli import _Page, job, offers  # type: ignore[import-not-found]  # noqa: F401

from sublet.cli import cli
from sublet.errors import InputError, NothingFitsError

CHIPS = "H100 SXM,A100 SXM 40GB,H800 SXM,TPU v5e,Inferentia2"


@pytest.fixture
def run(job, offers, monkeypatch, tmp_path):  # noqa: F811
    monkeypatch.setenv("SUBLET_HOME", str(tmp_path / "home"))

    def invoke(*arguments):
        words = ["compare", str(job), "--catalog", str(offers), "--count", "512", *map(str, arguments)]
        return CliRunner().invoke(cli, words, catch_exceptions=False, standalone_mode=False).stdout

    return invoke


def said(run, *arguments):
    return json.loads(run("--json", *arguments))


def test_chips_side_by_side(run):
    found = said(run, "--accelerators", CHIPS)
    assert (found["schema"], found["count"]) == ("sublet.compare/1", 512)
    chips = {one["accelerator"]: one for one in found["accelerators"]}
    assert list(chips) == ["H100 SXM", "A100 SXM 40GB", "H800 SXM", "TPU v5e"]
    h100, a100, h800 = chips["H100 SXM"], chips["A100 SXM 40GB"], chips["H800 SXM"]
    assert a100["days"]["p50"] > 2 * h100["days"]["p50"]
    assert h100["price_per_accelerator_hour"] == 2.99
    assert h100["cost"]["p50"] == pytest.approx(2.99 * 512 * 24 * h100["days"]["p50"], rel=1e-3)
    assert h800["price_per_accelerator_hour"] is None
    assert h800["full_links"]["sibling"] == "H100 SXM"
    assert 0.0 <= h800["full_links"]["share_of_step_lost"] < 0.5
    assert h100["full_links"] is None
    assert h100["tokens_per_s_per_thousand_usd_of_purchase"] > 0
    [refused] = found["rejected"]
    assert refused["accelerator"] == "Inferentia2"
    assert "training is not supported" in refused["reason"]


def test_the_half_links_of_the_h800_never_help(run):
    found = said(run, "--accelerators", "H100 SXM,H800 SXM")
    h100, h800 = found["accelerators"]
    assert h800["days"]["p50"] >= h100["days"]["p50"]
    assert h800["full_links"]["step_s"] == pytest.approx(h100["step_s"]["p50"], rel=0.1)


def test_several_number_formats_and_a_refusal(run):
    found = said(run, "--accelerators", "H100 SXM,A100 SXM 40GB", "--precision", "bf16,fp8")
    assert [(one["accelerator"], one["precision"]) for one in found["accelerators"]] == [
        ("H100 SXM", "bf16"),
        ("H100 SXM", "fp8"),
        ("A100 SXM 40GB", "bf16"),
    ]
    bf16, fp8, _ = found["accelerators"]
    assert fp8["days"]["p50"] < bf16["days"]["p50"]
    assert "does not compute in fp8" in found["rejected"][0]["reason"]


def test_the_table_and_markdown_name_every_line(run):
    text = run("--accelerators", CHIPS)
    for word in ("days (P10–P90)", "tokens/s", "lost to narrower links", "Inferentia2", "44% of the H100 SXM's links"):
        assert word in text
    assert "|  | H100 SXM | A100 SXM 40GB | H800 SXM | TPU v5e | Inferentia2 |" in run(
        "--accelerators", CHIPS, "--markdown"
    )


def test_the_page_is_whole_and_fetches_nothing(run, tmp_path):
    file = tmp_path / "compare.html"
    run("--accelerators", CHIPS, "--html", file)
    page = _Page()
    page.feed(file.read_text(encoding="utf-8"))
    assert page.open == []
    assert page.fetched == []


def test_an_ambiguous_name_stands_for_all_that_it_may_mean(run):
    names = [one["accelerator"] for one in said(run, "--accelerators", "H100")["accelerators"]]
    assert {"H100 SXM", "H100 PCIe", "H100 NVL"} <= set(names)


def test_where_no_chip_fits_every_reason_is_named(run):
    with pytest.raises(NothingFitsError, match=re.escape("nothing fits MPT-30B on 512: Inferentia2: framework")):
        run("--accelerators", "Inferentia2")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--accelerators", "abacus"], "accelerator 'abacus' is not known"),
        (["--accelerators", "H100 SXM", "--json", "--markdown"], "exclude each other"),
        (["--accelerators", "H100 SXM", "--precision", "fp99"], "fp99"),
    ],
)
def test_bad_input_is_refused(run, arguments, message):
    with pytest.raises(InputError, match=re.escape(message)):
        run(*arguments)
