"""Fabrics: published where a shape is known, else assumed and said so; more chips never change what one chip has."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.catalog.accelerators import accelerator, accelerators
from sublet.catalog.fabrics import fabric_for, networks, usual
from sublet.catalog.shapes import shapes

NAMES = list(accelerators())
GBIT = 1e9 / 8


def test_a_shape_decides():
    shape = shapes()["aws", "p5.48xlarge"]
    assert fabric_for(accelerator("H100 SXM"), shape, 4, "aws") is shape.fabric
    assert shape.fabric.assumption == ""


def test_without_a_shape_the_reference_node_is_assumed_and_said():
    fabric = fabric_for(accelerator("H100 SXM"), provider="somewhere")
    assert (fabric.topology, fabric.domain, fabric.node) == ("switch", 8, 8)
    assert fabric.scale_out_bytes_per_s == pytest.approx(400 * GBIT)
    assert "H100 SXM at somewhere" in fabric.assumption
    assert "400 Gb/s per chip" in fabric.assumption


def test_part_of_a_node_has_its_links_and_no_cluster_network():
    fabric = fabric_for(accelerator("H100 SXM"), None, 4, "somewhere")
    assert (fabric.domain, fabric.node) == (4, 4)
    assert fabric.scale_up_bytes_per_s == pytest.approx(450e9)
    assert fabric.scale_out_bytes_per_s * 4 == pytest.approx(25 * GBIT)
    assert "part of a node" in fabric.assumption


def test_a_market_of_single_machines_has_no_cluster_network():
    vast = fabric_for(accelerator("H100 SXM"), None, 8, "Vast.ai")
    assert vast.scale_out_bytes_per_s * 8 == pytest.approx(1 * GBIT)
    assert vast.scale_up_bytes_per_s == pytest.approx(450e9)


@pytest.mark.parametrize(("name", "raw"), [("RTX 4090", 31.5e9), ("L40S", 31.5e9), ("RTX 5090", 63e9)])
def test_cards_talk_over_pcie_below_its_rate(name, raw):
    fabric = fabric_for(accelerator(name), None, 8)
    assert fabric.topology == "pcie"
    assert fabric.domain == 8
    assert 0.5 * raw < fabric.scale_up_bytes_per_s < raw


def test_the_bridge_counts_only_where_the_card_is_sold_with_it():
    assert fabric_for(accelerator("H100 PCIe"), None, 2).topology == "pcie"
    pair = fabric_for(accelerator("H100 NVL"), None, 2)
    assert (pair.topology, pair.domain, pair.scale_up_bytes_per_s) == ("bridge", 2, 300e9)
    four = fabric_for(accelerator("H200 NVL"), None, 8)
    assert (four.topology, four.domain, four.node) == ("bridge", 4, 8)


def test_a_mesh_with_fewer_chips_has_fewer_links():
    whole = fabric_for(accelerator("MI300X"))
    pair = fabric_for(accelerator("MI300X"), None, 2)
    assert whole.scale_up_bytes_per_s == pytest.approx(448e9)
    assert pair.scale_up_bytes_per_s == pytest.approx(64e9)  # one link of the seven


def test_a_slice_is_the_domain_of_a_tpu_and_the_data_centre_is_beyond():
    chip = accelerator("TPU v5e")
    fabric = fabric_for(chip, None, 16)
    assert (fabric.topology, fabric.domain, fabric.node) == ("torus2d", 16, 8)
    assert fabric.scale_up_bytes_per_s == pytest.approx(200e9)  # four links of 50 GB/s, one direction
    assert fabric.scale_out_bytes_per_s == pytest.approx(25 * GBIT)
    assert fabric_for(chip).domain == 256  # the pod
    assert "256 chips" in fabric_for(chip).assumption


def test_a_rack_scale_chip_keeps_its_rack():
    fabric = fabric_for(accelerator("GB200"), None, 4)
    assert (fabric.node, fabric.domain) == (4, 72)
    assert fabric_for(accelerator("GB200"), None, 1).domain == 1


def test_a_superchip_stands_alone():
    fabric = fabric_for(accelerator("GH200"), None, 1)
    assert (fabric.topology, fabric.domain, fabric.node) == ("none", 1, 1)
    assert fabric.scale_up_latency_s == 0


def test_latencies_are_in_the_order_of_the_technologies():
    latency = {kind: network.latency_s for kind, network in networks().items()}
    assert latency["ici"] < latency["nvlink"] < latency["pcie"] < latency["infiniband"] < latency["efa"]
    assert all(network.source for network in networks().values())
    assert networks()["efa"].unverified
    assert not networks()["nvlink"].unverified


@pytest.mark.parametrize("name", NAMES)
def test_every_chip_has_a_network_between_nodes(name):
    fabric = fabric_for(accelerators()[name])
    assert fabric.scale_out_bytes_per_s > 0
    assert fabric.scale_out_latency_s > fabric.scale_up_latency_s


@settings(deadline=None)
@given(
    st.sampled_from(NAMES),
    st.one_of(st.none(), st.integers(1, 64)),
    st.one_of(st.none(), st.sampled_from(["aws", "lambda", "vast", "nowhere"])),
)
def test_every_chip_has_a_lawful_fabric_in_any_number(name, count, provider):
    chip = accelerators()[name]
    fabric = fabric_for(chip, None, count, provider)
    assert fabric.node >= 1
    assert fabric.domain >= 1
    assert fabric.oversubscription >= 1
    assert fabric.scale_out_bytes_per_s > 0
    assert fabric.scale_up_bytes_per_s >= 0
    if chip.scale_up_bytes_per_s is not None:
        assert fabric.scale_up_bytes_per_s <= max(chip.scale_up_bytes_per_s, 63e9)
    assert fabric.source
    if chip.vendor != "Google":
        assert fabric.assumption.endswith(".")
        assert fabric.assumption.count(". ") == 0  # one sentence
    if count is not None and not chip.topology.startswith("torus") and fabric.domain <= fabric.node:
        assert fabric.node <= max(count, usual(chip).node)


@settings(deadline=None)
@given(st.sampled_from(NAMES), st.integers(1, 16))
def test_the_same_question_has_the_same_answer(name, count):
    chip = accelerators()[name]
    assert fabric_for(chip, None, count, "x") == fabric_for(chip, None, count, "x")
