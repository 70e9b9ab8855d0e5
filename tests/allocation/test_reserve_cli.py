"""`sublet allocate reserve` as a user meets it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from sublet.cli.allocate_reserve import reserve
from sublet.errors import InputError

ROWS = """job_id,tenant,submit_s,duration_s,nodes,earliest_start_s,deadline_s,value
a,t,0,7200,2,3600,10800,10
b,t,60,7200,2,3600,10800,40
c,t,120,3600,1,3600,18000,5
"""


@pytest.fixture
def requests(tmp_path):
    path = tmp_path / "requests.csv"
    path.write_text(ROWS)
    return str(path)


def test_json_says_what_was_reached_and_against_what(requests):
    done = CliRunner().invoke(reserve, [requests, "--nodes", "2", "--replan", "0.1", "--json"], catch_exceptions=False)
    found = json.loads(done.output)
    assert (found["requests"], found["value"], found["accepted"]) == (3, 45.0, 2)
    assert (found["online_value"], found["fcfs_share_of_lp"]) == (15.0, pytest.approx(15 / found["lp_bound"]))
    assert found["online_share_of_lp"] == pytest.approx(15 / found["lp_bound"])
    assert found["lp_bound"] == pytest.approx(45.0, rel=1e-3)
    assert found["replan"]["share_of_lp"] == found["share_of_lp"] == pytest.approx(1.0, rel=1e-3)
    assert found["utilisation"] == pytest.approx(5 / 10)


def test_a_given_bound_is_used_and_accepted_requests_can_be_kept(requests):
    arguments = [requests, "--nodes", "2", "--replan", "0.1", "--keep-accepted", "--lp-bound", "50", "--json"]
    found = json.loads(CliRunner().invoke(reserve, arguments, catch_exceptions=False).output)
    assert (found["lp_bound"], found["lp_bound_from"]) == (50.0, "given")
    assert (found["value"], found["share_of_lp"]) == (15.0, 0.3)


def test_people_get_a_few_lines(requests):
    done = CliRunner().invoke(reserve, [requests, "--nodes", "2"], catch_exceptions=False)
    assert "accepted     2 of 3" in done.output
    assert "first come" in done.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--nodes", "0"], "1 or more"),
        (["--nodes", "2", "--replan", "-1"], "above 0"),
        (["--nodes", "2", "--lp-bound", "0"], "above 0"),
        (["--nodes", "2", "--keep-accepted"], "give both"),
    ],
)
def test_bad_options_get_a_sentence(requests, arguments, says):
    with pytest.raises(InputError, match=says):
        CliRunner().invoke(reserve, [requests, *arguments], catch_exceptions=False)
