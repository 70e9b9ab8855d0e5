"""`sublet allocate` as a person or a script calls it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from sublet.cli import cli
from sublet.errors import InputError

KEYS = {
    "jobs",
    "mean_wait_h",
    "median_wait_h",
    "p95_wait_h",
    "p99_wait_h",
    "max_wait_h",
    "area_weighted_wait_h",
    "bounded_slowdown",
    "utilisation",
    "makespan_d",
    "events",
    "cpu_s",
    "eta",
}


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "small.csv"
    rows = [
        f"j{at},t{at % 3},{at * 50},{300 + 37 * at % 400},{8 * (1 + at % 4)},{1 + at % 4},{900},\n" for at in range(80)
    ]
    path.write_text("job_id,tenant,submit_s,duration_s,n_gpus,nodes,requested_s,priority\n" + "".join(rows))
    return path


def run(*arguments):
    return CliRunner().invoke(cli, ["allocate", *map(str, arguments)], catch_exceptions=False)


@pytest.mark.parametrize("policy", ["easy", "fcfs", "conservative", "sublet"])
def test_replay_prints_the_documented_figures(trace, policy):
    shown = run("replay", trace, "--nodes", 8, "--policy", policy, "--json", "--sample-eta", 4)
    figures = json.loads(shown.stdout)
    assert figures.keys() >= KEYS
    assert {"p90_coverage", "p50_mae_h", "n"} <= figures["eta"].keys()
    assert figures["jobs"] == 80
    assert figures["events"] == 160
    assert figures["eta"]["n"] == 4


def test_replay_for_people_names_the_waits(trace):
    shown = run("replay", trace, "--slots", 64, "--policy", "easy")
    assert "mean wait" in shown.stdout
    assert "64 slots" in shown.stdout


def test_exact_estimates_change_what_the_policy_knows(trace):
    requested, exact = (
        json.loads(run("replay", trace, "--nodes", 8, "--policy", "easy", "--estimates", kind, "--json").stdout)
        for kind in ("requested", "exact")
    )
    assert requested["mean_wait_h"] != exact["mean_wait_h"]


@pytest.mark.slow
def test_a_replay_is_drawn(trace, tmp_path):
    run("replay", trace, "--nodes", 8, "--policy", "easy", "--plot", tmp_path / "use.svg")
    assert "<svg" in (tmp_path / "use.svg").read_text()


def test_exactly_one_pool_is_asked_for(trace):
    with pytest.raises(InputError, match="exactly one of --nodes, --slots and --cluster"):
        run("replay", trace)
    with pytest.raises(InputError, match="no cluster 'nowhere'"):
        run("replay", trace, "--cluster", "nowhere")


def test_compare_prints_each_policy_and_who_loses_to_whom(tmp_path):
    demand = tmp_path / "demand.csv"
    demand.write_text("tenant,class,units,bid,strategic\na,strategic,50,3,yes\nb,standard,50,9,no\n")
    shown = run("compare", demand, "--supply", "50", "--policies", "first-come,auction", "--price", 2)
    assert "a loses 50.0 to b" in shown.stdout
    document = json.loads(run("compare", demand, "--supply", "50", "--json").stdout)
    assert [one["rule"] for one in document["policies"]][:2] == ["proportional", "first-come"]
    assert {"fill", "wait", "idle", "gini", "revenue", "tenants", "kinds", "shifts"} <= document["policies"][0].keys()
    run("compare", demand, "--supply", "50", "--plot", tmp_path / "fill.png")
    assert (tmp_path / "fill.png").read_bytes().startswith(b"\x89PNG")


def test_compare_draws_a_page_whose_bars_are_as_long_as_their_figures(tmp_path):
    demand = tmp_path / "demand.csv"
    demand.write_text("tenant,class,units,bid,strategic\n<b>a</b>,strategic,50,3,yes\nb,standard,150,9,no\n")
    page = tmp_path / "fill.html"
    run("compare", demand, "--supply", "50", "--policies", "strategic-first,auction", "--plot", page)
    text = page.read_text()
    assert "&lt;b&gt;a&lt;/b&gt;" in text
    assert "<b>a" not in text
    assert "loses 50.0 to b" in text
    assert "http" not in text
    assert "<script" not in text
    full, empty, third = (f'width="{length:.1f}" height="16" fill="#3b6ea5"' for length in (400, 0, 400 / 3))
    by_tenant = text[text.index("by tenant") :]
    assert [by_tenant.count(bar) for bar in (full, empty, third)] == [1, 2, 1]
    assert "33% of 150" in by_tenant


def test_policies_are_listed_checked_shown_and_described():
    assert "easy" in run("policy", "list").stdout
    assert "valid" in run("policy", "validate", "sublet", "tiers").stdout
    assert "reservations" in run("policy", "show", "easy").stdout
    assert json.loads(run("policy", "show", "easy", "--json").stdout)["order"]["oldest_first_after_s"] is None
    assert json.loads(run("policy", "schema").stdout)["title"] == "Sublet allocation policy"
