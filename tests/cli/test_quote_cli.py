import csv
import io
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from sublet.cli import cli
from sublet.errors import InputError, NothingFitsError

HEADER = "date,provider,gpu,vram_gb,usd_hr,kind,min_gpus,fetched_at,source_url\n"
OFFERS = (
    ("2026-08-10", "lambda", "h100-sxm", 80, 3.99, "on-demand", ""),
    ("2026-08-10", "coreweave", "h100-sxm", 80, 6.16, "on-demand", 8),
    ("2026-08-10", "lambda", "a100-sxm-40", 40, 1.29, "on-demand", ""),
    ("2026-08-10", "lambda", "h100-sxm", 80, 1.07, "spot", ""),
    ("2026-08-10", "aws", "t4", 16, 0.52, "on-demand", ""),
    ("2026-08-10", "vultr", "h100-sxm", 80, 2.99, "on-demand", ""),
    ("2026-07-20", "lambda", "h100-sxm", 80, 2.49, "on-demand", ""),
)
JOB = """
name: MPT-30B
task: pretrain
model: mpt-30b
tokens: 1T
sequence: 2048
global_batch: 2048 sequences
precision: bf16
framework: PyTorch
optimizer: adamw
constraints:
  counts: [256, 512]
"""


@pytest.fixture
def offers(tmp_path):
    file = tmp_path / "offers_daily.csv"
    rows = [(*row, f"{row[0]}T06:45:18.199Z", f"https://example.org/{row[1]}") for row in OFFERS]
    file.write_text(HEADER + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return file


@pytest.fixture
def job(tmp_path):
    file = tmp_path / "job.yaml"
    file.write_text(JOB)
    return file


@pytest.fixture
def run(job, offers, monkeypatch, tmp_path):
    monkeypatch.setenv("SUBLET_HOME", str(tmp_path / "home"))

    def invoke(*arguments, with_job=True):
        words = ["quote", *([str(job)] if with_job else []), "--catalog", str(offers), *map(str, arguments)]
        result = CliRunner().invoke(cli, words, catch_exceptions=False, standalone_mode=False)
        return result.stdout

    return invoke


def said(run, *arguments):
    return json.loads(run("--json", *arguments))


def test_the_table_has_the_columns_and_says_what_was_left_out(run):
    text = run()
    assert text.startswith("MPT-30B, 1,000 B tokens, sequence 2,048")
    head = next(line for line in text.splitlines() if "accelerator" in line)
    for column in (
        "#",
        "accelerator",
        "n",
        "provider",
        "region",
        "days (P10–P90)",
        "cost (P10–P90)",
        "EFLOP/$",
        "fits",
        "why",
    ):
        assert column in head
    assert "prices as of 2026-08-10" in text
    assert "spot was not asked for" in text
    assert "T4 does not compute in bf16" in text
    assert "on the Pareto front" in text
    assert "gpurentalprices" in text


def test_json_keeps_its_contract(run):
    found = said(run)
    assert found["schema"] == "sublet.quote/1"
    assert found["as_of"] == "2026-08-10"
    assert found["job"]["name"] == "MPT-30B"
    ranks = [quote["rank"] for quote in found["quotes"]]
    assert ranks == list(range(1, len(ranks) + 1))
    costs = [quote["cost"]["p50"] for quote in found["quotes"]]
    assert costs == sorted(costs)
    for quote in found["quotes"]:
        assert quote["days"]["p10"] < quote["days"]["p50"] < quote["days"]["p90"]
        hours = quote["days"]["p50"] * 24 * quote["count"]
        assert quote["cost"]["p50"] == pytest.approx(quote["price_per_accelerator_hour"] * hours, rel=1e-3)
        assert quote["exaflop_per_usd"] > 0
        assert quote["memory"]["verdict"] in ("fits", "edge")
        assert quote["price_source"].startswith("gpurentalprices:")
        assert quote["layout"]["dp"] >= 1
    assert {(r["accelerator"], r["kind"]) for r in found["rejected"]} >= {("T4", "precision"), ("H100 SXM", "market")}


def test_limit_zero_gives_every_offer_its_row(run):
    collapsed, every = said(run), said(run, "--limit", 0)
    assert len(collapsed["quotes"]) == 4  # two chips, two counts
    assert len(every["quotes"]) == 8  # three offers of one chip and one of the other
    assert {quote["provider"] for quote in every["quotes"]} == {"lambda", "coreweave", "vultr"}
    best = {(q["accelerator"], q["count"]): q["provider"] for q in collapsed["quotes"]}
    assert best["H100 SXM", 512] == "vultr"
    assert {q["similar_offers"] for q in collapsed["quotes"] if q["accelerator"] == "H100 SXM"} == {2}


def test_as_of_uses_only_what_was_seen_by_then(run):
    found = said(run, "--as-of", "2026-07-31", "--limit", 0)
    assert found["as_of"] == "2026-07-31"
    assert {(q["provider"], q["price_per_accelerator_hour"]) for q in found["quotes"]} == {("lambda", 2.49)}


def test_options_win_over_the_file(run):
    found = said(run, "--count", "512,1024", "--accelerators", "A100 SXM 40GB", "--tokens", "500B")
    assert {(q["accelerator"], q["count"]) for q in found["quotes"]} == {
        ("A100 SXM 40GB", 512),
        ("A100 SXM 40GB", 1024),
    }
    assert found["job"]["tokens"] == 5e11


def test_options_alone_make_a_job(run):
    text = run("--model", "mpt-30b", "--tokens", "1T", "--count", 512, "--json", with_job=False)
    assert json.loads(text)["job"]["assumptions"]


def test_spot_only_where_allowed(run):
    assert {quote["market"] for quote in said(run)["quotes"]} == {"on-demand"}
    [first, *_] = said(run, "--spot")["quotes"]
    assert (first["market"], "spot" in first["flags"]) == ("spot", True)


def test_views(run):
    fastest = [quote["days"]["p50"] for quote in said(run, "--view", "fastest")["quotes"]]
    assert fastest == sorted(fastest)
    front = said(run, "--view", "pareto")["quotes"]
    assert all(quote["pareto"] for quote in front)
    costs = [quote["cost"]["p50"] for quote in front]
    assert costs == sorted(costs, reverse=True)
    worth = [quote["exaflop_per_usd"] for quote in said(run, "--view", "value")["quotes"]]
    assert worth == sorted(worth, reverse=True)


def test_csv_and_markdown(run):
    rows = list(csv.DictReader(io.StringIO(run("--csv"))))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    assert float(rows[0]["cost_p10"]) < float(rows[0]["cost_p90"])
    text = run("--markdown")
    assert "| # | accelerator | n |" in text
    assert text.count("\n| ") == 5


def test_explain_says_what_is_behind_a_row(run):
    text = run("--explain", 1)
    for word in ("step of", "memory fits", "layout data", "where the figures come from", "https://example.org/vultr"):
        assert word in text
    assert "what would change the order" in text
    assert "costs as much as #2" in text
    assert "twice the compute rate" in text
    told = json.loads(run("--explain", 2, "--json"))
    assert told["quote"]["rank"] == 2
    assert sum(part["share"] for part in told["step"]) == pytest.approx(1.0, abs=0.01)


class _Page(HTMLParser):
    """What a page would fetch, and whether its elements are closed."""

    VOID = frozenset({"meta", "link", "br", "hr", "img", "input", "line", "path"})

    def __init__(self):
        super().__init__()
        self.fetched, self.open, self.rows = [], [], 0

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        self.fetched += [told[name] for name in ("src", "srcset", "data", "action") if told.get(name)]
        if tag == "link":
            self.fetched.append(told.get("href"))
        self.rows += tag == "tr" and "quote" in (told.get("class") or "").split()
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        pass


def test_the_page_is_whole_and_fetches_nothing(run, tmp_path):
    file = tmp_path / "page.html"
    run("--html", file)
    text = file.read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert page.fetched == []
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest", text)
    assert page.rows == 4
    [drawing] = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    kinds = [(one.tag, one.get("class", "").split()) for one in ElementTree.fromstring(drawing).iter()]
    assert sum(tag == "circle" and "point" in kind for tag, kind in kinds) == 4
    assert sum(tag == "path" and kind == ["front"] for tag, kind in kinds) == 1


def test_names_from_data_are_escaped_in_the_page(run, job, tmp_path):
    job.write_text(JOB.replace("name: MPT-30B", "name: 'MPT-30B <script>alert(1)</script>'"))
    file = tmp_path / "page.html"
    run("--html", file)
    assert "<script>alert" not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "magic"), [("plot.png", b"\x89PNG"), ("plot.svg", b"<?xml")])
def test_plots(run, tmp_path, name, magic):
    file = tmp_path / name
    run("--plot", file)
    first = file.read_bytes()
    assert first.startswith(magic)
    run("--plot", file)
    assert file.read_bytes() == first


def test_own_coefficients_change_the_days(run, tmp_path):
    from sublet.estimate.calibration import uncalibrated

    file = tmp_path / "none.json"
    file.write_text(uncalibrated().to_json())
    shipped, without = said(run)["quotes"], said(run, "--calibration", file)["quotes"]
    assert "never-calibrated" not in shipped[0]["flags"]
    assert all("never-calibrated" in quote["flags"] for quote in without)

    def width(quote):
        return quote["days"]["p90"] / quote["days"]["p10"]

    assert min(map(width, without)) > max(map(width, shipped))


def test_where_nothing_fits_the_nearest_miss_is_named_and_json_is_still_printed(run):
    with pytest.raises(NothingFitsError, match=r"nothing fits MPT-30B; the nearest miss is 512 x H100 SXM: deadline"):
        run("--deadline", "1h")


def test_exit_codes(job, offers):
    def code(*arguments):
        words = [sys.executable, "-c", "from sublet.cli import main; main()", "quote", *map(str, arguments)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    assert code(job, "--catalog", offers, "--limit", 1)[0] == 0
    status, out, err = code(job, "--catalog", offers, "--deadline", "1h", "--json")
    assert status == 3
    assert json.loads(out)["quotes"] == []
    assert json.loads(out)["rejected"]
    assert err.startswith("sublet: nothing fits")
    assert err.count("\n") == 1
    status, _, err = code(job, "--catalog", offers, "--accelerators", "abacus")
    assert (status, err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json", "--csv"], "exclude each other"),
        (["--count", "many"], "--count 'many'"),
        (["--limit", "-1"], "limit -1 is negative"),
        (["--explain", "77"], "row 77 is not in the list"),
        (["--accelerators", "H1000"], "accelerator 'H1000' is not known"),
        (["--plot", "chart.gif"], "draws .png"),
        (["--html", "/nowhere/at/all.html"], "cannot be written"),
        (["--deadline", "30"], "has no unit"),
        (["--calibration", "/nowhere.json"], "--calibration: /nowhere.json cannot be read"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(run, arguments, message):
    with pytest.raises(InputError, match=re.escape(message)):
        run(*arguments)


def test_without_a_job_the_message_says_how(run):
    with pytest.raises(InputError, match="no job: give a file"):
        run(with_job=False)


def test_a_catalogue_without_offers_is_refused(job, tmp_path):
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(InputError, match="no offers in there"):
        CliRunner().invoke(
            cli, ["quote", str(job), "--catalog", str(empty)], catch_exceptions=False, standalone_mode=False
        )


def test_the_embedded_catalogue_quotes_the_job(job, monkeypatch, tmp_path):
    monkeypatch.setenv("SUBLET_HOME", str(tmp_path / "home"))
    result = CliRunner().invoke(
        cli, ["quote", str(job), "--json", "--count", "512"], catch_exceptions=False, standalone_mode=False
    )
    found = json.loads(result.stdout)
    assert len(found["quotes"]) == 20
    assert found["offers"] > 1000
    placeholder = {"placeholder", "foreign-currency"}
    assert not any(placeholder & set(quote["flags"]) for quote in found["quotes"] if quote["rank"])
