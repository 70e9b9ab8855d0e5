"""Collectives against what the wires allow: g ranks of a node drive g NICs, up to the link; to grow never pays."""

from dataclasses import replace

import numpy as np
import pytest
from estimate_cases import job, machine  # type: ignore[import-not-found]
from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.estimate import collectives
from sublet.estimate.calibration import uncalibrated
from sublet.estimate.frameworks import family_of
from sublet.estimate.machines import machine_arrays
from sublet.estimate.physics import physics

LINK, NIC = 400e9, 25e9
HOP, LONG_HOP = 2e-6, 7e-6
CONSTANTS = replace(physics(), link_efficiency=0.8, nic_efficiency=0.9, collective_s=1e-5)


def fabric(domain=8, link=LINK, nic=NIC):
    """256 chips in domains of `domain`."""
    host = machine(
        "A100 SXM 80GB",
        256,
        domain=domain,
        node=domain,
        scale_up_bytes_per_s=link,
        scale_out_bytes_per_s=nic,
        scale_up_latency_s=HOP,
        scale_out_latency_s=LONG_HOP,
    )
    return machine_arrays(host, job(), family_of("PyTorch"), uncalibrated(), CONSTANTS)


def call(name, *values, on=None):
    arrays = [np.asarray(float(value)) for value in values]
    return float(getattr(collectives, name)(*arrays, on or fabric(), CONSTANTS))


def near(size, stride, domain=8):
    return float(collectives.ranks_per_domain(np.asarray(float(size)), np.asarray(float(stride)), fabric(domain)))


@pytest.mark.parametrize(
    ("size", "stride", "inside"),
    [(8, 1, 8), (4, 1, 4), (64, 1, 8), (64, 2, 4), (64, 4, 2), (64, 8, 1), (64, 32, 1), (2, 4, 2), (1, 1, 1)],
)
def test_ranks_that_share_a_domain(size, stride, inside):
    assert near(size, stride) == inside


@pytest.mark.parametrize(("stride", "nics"), [(1, 8), (2, 4), (4, 2), (8, 1), (16, 1)])
def test_a_group_drives_as_many_nics_as_it_has_ranks_in_a_node(stride, nics):
    assert call("rate", 64, stride) == pytest.approx(nics * NIC * CONSTANTS.nic_efficiency)


def test_pooled_nics_are_no_faster_than_the_link():
    fast = fabric(nic=100e9)
    assert LINK < 8 * 100e9
    assert call("rate", 64, 1, on=fast) == pytest.approx(LINK * CONSTANTS.link_efficiency)
    assert call("rate", 64, 8, on=fast) == pytest.approx(100e9 * CONSTANTS.nic_efficiency)


def test_a_group_inside_a_domain_never_touches_a_nic():
    assert call("rate", 8, 1) == pytest.approx(LINK * CONSTANTS.link_efficiency)
    assert call("gather", 1e9, 8, 1, on=fabric(nic=1.0)) == call("gather", 1e9, 8, 1)


def test_the_time_of_a_gather_by_hand():
    # 64 ranks in 8 nodes: 63/64 of 1 GB at 8 x 25 GB/s x 0.9, three hops inside and three outside
    want = 63 / 64 * 1e9 / (8 * NIC * 0.9) + 1e-5 + 3 * HOP + 3 * LONG_HOP
    assert call("gather", 1e9, 64, 1) == pytest.approx(want)
    # 8 ranks in one node: 7/8 of it at 400 GB/s x 0.8
    assert call("gather", 1e9, 8, 1) == pytest.approx(7 / 8 * 1e9 / (LINK * 0.8) + 1e-5 + 3 * HOP)


@pytest.mark.parametrize(("stride", "rate", "hop"), [(4, LINK * 0.8, HOP), (8, NIC * 0.9, LONG_HOP)])
def test_the_time_of_a_send_by_hand(stride, rate, hop):
    assert call("send", 1e9, stride) == pytest.approx(1e9 / rate + hop)


def test_an_all_reduce_is_a_scatter_and_a_gather():
    assert call("all_reduce", 3e8, 32, 1) == pytest.approx(2 * call("gather", 3e8, 32, 1))


sizes = st.integers(1, 256)
strides = st.sampled_from((1, 2, 3, 4, 8, 16))
domains = st.sampled_from((1, 2, 4, 8, 72))
unhurried = settings(deadline=None)


@unhurried
@given(size=sizes, more=st.integers(0, 256), stride=strides, domain=domains, volume=st.floats(1.0, 1e12))
def test_a_larger_group_never_gathers_a_byte_faster(size, more, stride, domain, volume):
    host = fabric(domain)
    small, large = (call("gather", volume, n, stride, on=host) for n in (size, size + more))
    assert small <= large * (1 + 1e-12)


@unhurried
@given(size=sizes, stride=strides, further=strides, domain=domains)
def test_ranks_further_apart_never_gather_faster(size, stride, further, domain):
    host = fabric(domain)
    near_s, far_s = (call("gather", 1e9, size, step, on=host) for step in (stride, stride * further))
    assert near_s <= far_s * (1 + 1e-12)


@unhurried
@given(size=sizes, stride=strides, volume=st.floats(0.0, 1e12), factor=st.floats(0.0, 1e3))
def test_beyond_its_start_a_gather_is_proportional_to_its_bytes(size, stride, volume, factor):
    start = call("latency", size, stride)
    one, many = (call("gather", v, size, stride) - start for v in (volume, factor * volume))
    assert many == pytest.approx(factor * one, rel=1e-6, abs=1e-12)


@unhurried
@given(size=sizes, stride=strides, volume=st.floats(1.0, 1e12))
def test_no_gather_beats_the_link_and_none_is_slower_than_one_nic(size, stride, volume):
    seconds = call("gather", volume, size, stride)
    share = (size - 1) / size
    assert seconds >= share * volume / LINK
    assert seconds <= share * volume / (NIC * CONSTANTS.nic_efficiency) + call("latency", size, stride) + 1e-12


def test_an_oversubscribed_spine_gives_each_nic_its_share():
    host = machine("H100 SXM", 64, oversubscription=4.0)
    one = machine("H100 SXM", 64)
    arrays = [machine_arrays(m, job(), family_of("PyTorch"), uncalibrated(), CONSTANTS) for m in (host, one)]
    assert float(arrays[0].nic) * 4 == pytest.approx(float(arrays[1].nic))


def test_a_domain_larger_than_the_machine_is_the_machine():
    host = machine("H100 SXM", 4)
    arrays = machine_arrays(host, job(), family_of("PyTorch"), uncalibrated(), CONSTANTS)
    assert (float(arrays.domain), float(arrays.node)) == (4.0, 4.0)
