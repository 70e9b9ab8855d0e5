"""Traces from files: what is read, what is left out with a sentence, what is refused."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from sublet.allocation.trace import fit_to_pool
from sublet.allocation.trace_clusters import find_cluster
from sublet.allocation.trace_reader import read_trace
from sublet.errors import InputError

HEADER = "job_id,tenant,submit_s,duration_s,n_gpus,nodes,requested_s,priority\n"


def write(tmp_path, text, name="trace.csv"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def test_nodes_and_slots_are_read_from_their_columns_and_sorted_by_submission(tmp_path):
    text = HEADER + "b,t1,20,5,9,2,10,spot\na,t2,10,5,0.5,1,,\n"
    for name in ("trace.csv", "trace.csv.gz"):
        read = read_trace(write(tmp_path, text, name))
        assert read.jobs.ids == ("a", "b")
        assert read.jobs.size.tolist() == [1, 2]
        assert read.jobs.requested_s.tolist() == [5, 10]
        assert [read.jobs.tiers[tier] for tier in read.jobs.tier] == ["standard", "spot"]
    assert read_trace(write(tmp_path, text), unit="slot").jobs.size.tolist() == [1, 9]


def test_bad_rows_are_left_out_with_one_sentence_for_each_kind(tmp_path):
    rows = "a,t,1,5,8,1,5,\nb,t,x,5,8,1,5,\nc,t,y,5,8,1,5,\nd,t,4,0,8,1,5,\ne,t,5\nf,t,6,5,0,0,5,\ng,t,nan,5,8,1,5,\n"
    read = read_trace(write(tmp_path, HEADER + rows))
    assert read.jobs.ids == ("a",)
    assert read.rows == 7
    assert len(read.left_out) == 5
    assert "trace.csv:3: the row is left out because submit_s is not a number: 'x' (and 1 more rows" in read.left_out[0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no column submit_s and duration_s"),
        ("submit_s,duration_s\n1,2\n", "no column nodes or n_gpus"),
        (HEADER, "holds no job"),
        (HEADER + "a,t,1,-5,8,1,5,\n", "duration_s is not above 0"),
    ],
)
def test_a_file_without_a_usable_row_is_refused(tmp_path, text, sentence):
    with pytest.raises(InputError, match=sentence):
        read_trace(write(tmp_path, text))


def test_swf_takes_run_time_processors_request_and_user(tmp_path):
    text = (
        "; Version: 2.2\n1 0 3 100 4 -1 -1 4 200 -1 1 7 -1 -1 -1 -1 -1 -1\n"
        "2 5 3 -1 4 -1 -1 4 200 -1 5 7 -1 -1 -1 -1 -1 -1\n3 9 3 50 -1 -1 -1 16 -1 -1 1 -1 -1 -1 -1 -1 -1 -1\n4 9\n"
    )
    read = read_trace(write(tmp_path, text, "log.swf.gz"), unit="slot")
    assert read.jobs.ids == ("s1", "s3")
    assert read.jobs.size.tolist() == [4, 16]
    assert read.jobs.requested_s.tolist() == [200, 50]
    assert [read.jobs.tenants[tenant] for tenant in read.jobs.tenant] == ["u7", "unnamed"]
    assert len(read.left_out) == 2
    assert read_trace(write(tmp_path, text, "log.swf"), gpus_per_node=8).jobs.size.tolist() == [1, 2]


def test_gangs_above_the_pool_are_cut_to_it(shared):
    jobs = read_trace(shared / "traces/hpc2n_seth_2002.csv.gz", unit="slot").jobs
    fitted, cut = fit_to_pool(jobs, 64)
    assert len(fitted) == 3145
    assert cut == int((jobs.size > 64).sum()) > 0
    assert fitted.size.max() == 64
    assert (np.diff(fitted.submit_s) >= 0).all()


def test_clusters_are_found_by_name():
    assert (find_cluster("kalos").unit, find_cluster("kalos").capacity) == ("node", 302)
    with pytest.raises(InputError, match="no cluster 'kalo': give one of kalos"):
        find_cluster("kalo")
