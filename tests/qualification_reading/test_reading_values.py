"""Figures come out of texts as they stand there: units, ranks, links, events."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from _recorded_node import all_reduce, nvlinks, ports, smi_xml, topology
from sublet.qualification.reading.detect import read
from sublet.qualification.reading.text import number

PERFTEST = """                    RDMA_Write BW Test
 Number of qps   : {pairs}		Transport type : IB
 Mtu             : 4096[B]
---------------------------------------------------------------------------------------
 #bytes     #iterations    BW peak[{unit}]    BW average[{unit}]   MsgRate[Mpps]
 8388608    20000            {rate}            {rate}		   0.003007
---------------------------------------------------------------------------------------
"""


def test_xml_of_every_gpu_is_read():
    log = read(smi_xml(8)).data
    assert len(log.gpus) == log.attached == 8
    assert log.gpus[3].fields["fb_total"] == "81559 MiB"
    assert log.gpus[3].fields["remap_pending"] == "No"
    assert log.gpus[3].processes == ()


def test_a_cut_xml_gives_the_gpus_that_were_whole():
    text = smi_xml(8)
    reading = read(text[: text.index('<gpu id="00000000:28')])
    assert reading.state == "cut"
    assert len(reading.data.gpus) == 3


def test_links_of_each_gpu_are_counted():
    status = read(nvlinks(2)).data
    assert [len(gpu.links) for gpu in status.gpus] == [18, 18]
    assert set(status.gpus[0].links.values()) == {26.562}


def test_the_matrix_gives_the_links_of_each_pair():
    topology_read = read(topology(4, 12)).data
    assert set(topology_read.links().values()) == {12}
    assert len(topology_read.links()) == 6
    assert topology_read.numa["GPU3"] == "1"


def test_a_port_that_is_down_gives_its_lowest_rate():
    port = read(ports(8, down=(3,))).data.ports[3]
    assert not port.up
    assert port.rate == 40


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 64))
def test_ranks_are_told_by_the_ratio_of_bandwidths(ranks):
    run = read(all_reduce({8192: 400.0}, ranks=ranks, product="")).data
    assert run.ranks == pytest.approx(ranks, rel=0.04)


@settings(max_examples=60, deadline=None)
@given(st.floats(10, 800, allow_nan=False))
def test_one_rate_in_three_units_is_one_rate(gbps):
    rates = {"Gb/sec": gbps, "MB/sec": gbps * 1000 / 8, "GB/sec": gbps / 8}
    for unit, rate in rates.items():
        reading = read(PERFTEST.format(pairs=4, unit=unit, rate=f"{rate:.4f}"))
        assert reading.data.rows[0].gbps == pytest.approx(gbps, rel=1e-3)
        assert reading.data.unit == unit


@pytest.mark.parametrize(
    ("text", "value"),
    [("700.00 W", 700), ("81559 MiB", 81559), ("N/A", None), ("", None), (None, None), ("16x", 16), ("1e999", None)],
)
def test_numbers_are_finite_or_none(text, value):
    assert number(text) == value


def test_a_gpu_that_fell_off_without_an_xid_and_over_three_lines():
    log = read(
        "[ 1843.308145] NVRM: The NVIDIA GPU 0000:b3:00.0\n"
        "               NVRM: (PCI ID: 10de:26b5) installed in this system has\n"
        "               NVRM: fallen off the bus and is not responding to commands.\n"
    )
    assert [(event.what, event.at, event.chip) for event in log.data.events] == [("fallen", "0000:b3:00", "10de:26b5")]


def test_dcgm_4_names_the_entity_and_its_error():
    text = (
        '{"DCGM Diagnostic": {"test_categories": [{"category": "Hardware", "tests": [{"name": "memory", "results": '
        '[{"status": "Fail", "entity_group": "GPU", "entity_id": 3, "warnings": [{"error_id": 83, "error_severity": 2,'
        ' "warning": "bad"}]}]}]}]}, "entity_groups": [{"entity_group": "GPU",'
        ' "entities": [{"entity_id": 3, "device_id": "2330"}]}]}'
    )
    reading = read(text)
    result = reading.data.results[0]
    assert (result.status, result.gpus, result.error_id, result.severity) == ("fail", (3,), 83, 2)
    assert reading.devices == ("[10de:2330]",)
