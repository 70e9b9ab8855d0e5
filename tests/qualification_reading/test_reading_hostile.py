"""A parser never raises, never hangs, and never calls a cut text whole."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from _recorded_node import outputs
from sublet.qualification.judging.judge import judge
from sublet.qualification.reading.detect import read

SAMPLES = {
    **outputs(),
    "dcgm.json": '{"DCGM Diagnostic": {"test_categories": [{"category": "Hardware", "tests": '
    '[{"name": "memory", "results": [{"status": "Pass", "entity_id": 0}]}]}]}}\n',
    "fio.json": '{"fio version": "fio-3.16", "jobs": [{"jobname": "a", "error": 0, "read": {"bw_bytes": 10}}]}\n',
    "stream.log": "STREAM version $Revision: 5.10 $\nCopy:  1.0  1\nScale: 1.0 1\nAdd: 1.0 1\nTriad: 1.0 1\n"
    "Solution Validates: avg\n-------------------------------------------------------------\n",
    "gpud.json": '{"component": "x", "states": [{"health": "Healthy", "reason": ""}]}\n',
}


@settings(max_examples=120, deadline=2000)
@given(st.one_of(st.text(max_size=400), st.binary(max_size=400)))
@example("<nvidia_smi_log>")
@example("{" * 2000)
@example("[" * 2000)
@example("# algbw busbw\n" + "9" * 400)
@example("GPU 0: x (UUID: y)\n\t Link 99999999999999999999: 1 GB/s\n")
@example('{"fio version": 1, "jobs": [1, null, {"read": 3}]}')
@example('{"DCGM Diagnostic": {"test_categories": {"tests": 1}}}')
@example('{"pci": {"a": 1}}')
@example("NVRM: Xid (PCI:0000:38:00): 9999, pid=, name=\n")
def test_any_text_is_read_and_judged(text):
    judgement = judge([read(text)])
    assert judgement.verdict != "pass"


@settings(max_examples=150, deadline=2000)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_damaged_outputs_are_read_and_judged(name, data):
    text = SAMPLES[name]
    at = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 40))
    put = data.draw(st.text(alphabet="0123456789 \n\t<>{}[]\"':,.-/xNA", max_size=20))
    judge([read(text[:at] + put + text[at + length :])])


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_no_prefix_of_a_sample_passes(name):
    text = SAMPLES[name]
    step = max(1, len(text) // 60)
    for end in range(0, len(text.rstrip()) - 1, step):
        assert judge([read(text[:end])]).verdict != "pass", end


@pytest.mark.parametrize(
    "line", ["| " * 40_000, " " * 200_000, "1 " * 100_000, "GPU0 " * 30_000, ":" * 100_000, "a:b" * 60_000]
)
def test_long_lines_take_no_long_time(line):
    for lead in ("", "Attached GPUs : 1\n", "# algbw   busbw\n", "| Diagnostic  |\n", "CA 'x'\n", "[    1.000000] \n"):
        began = time.process_time()
        read(f"{lead}{line}\n")
        assert time.process_time() - began < 2.0, lead


def test_entities_of_xml_are_refused_not_expanded():
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><nvidia_smi_log>&b;</nvidia_smi_log>'
    reading = read(bomb)
    assert reading.state == "cut"
    assert "entities" in reading.why


def test_no_prefix_of_any_fixture_passes(shared):
    folder = shared / "fixtures/qualify"
    for path in sorted(folder.iterdir()):
        if path.name in ("manifest.json", "SOURCES.md", "reference_values.json", "xid_catalog.tsv"):
            continue
        raw = path.read_bytes()
        ends = [at + 1 for at, byte in enumerate(raw) if byte == 10]
        picked = {*ends[:: max(1, len(ends) // 8)], *ends[-6:], len(raw) // 3, 2 * len(raw) // 3, len(raw) - 9}
        for end in picked:
            if end < len(raw.rstrip()):
                assert judge([read(raw[:end])]).verdict != "pass", (path.name, end)


def test_a_header_of_many_columns_takes_no_long_time():
    began = time.process_time()
    read("bytes\t" + "busbw" * 300 + "!\n1\t2\n")
    assert time.process_time() - began < 1.0


def test_a_port_without_a_rate_is_no_crash():
    text = "CA 'mlx5_0'\n\tPort 1:\n\t\tState: Active\n\t\tRate: x\n\t\tLink layer: InfiniBand\n"
    assert judge([read(text + text.replace("x\n", "400\n", 1).replace("_0", "_1"))]).verdict == "unknown"
    assert read("CA ''\n\tPort 1:\n\t\tState: Active\nCA 'a'\n").kind == "ibstat"
