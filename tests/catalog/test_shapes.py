"""Shapes: the instance types that carry accelerators, with sources, and TPU slices of any size."""

import csv
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.catalog.accelerators import accelerators
from sublet.catalog.names import resolve
from sublet.catalog.shapes import find, shapes, tpu_slice

GBIT = 1e9 / 8


def found(provider, name):
    shape = find(provider, name)
    assert shape is not None
    return shape


@pytest.mark.parametrize(
    ("provider", "name", "accelerator", "count", "gbit"),
    [
        ("aws", "p4d.24xlarge", "A100 SXM 40GB", 8, 400),
        ("aws", "p4de.24xlarge", "A100 SXM 80GB", 8, 400),
        ("aws", "p5.48xlarge", "H100 SXM", 8, 3200),
        ("aws", "p5en.48xlarge", "H200 SXM", 8, 3200),
        ("aws", "p6-b200.48xlarge", "B200", 8, 3200),
        ("aws", "trn1.32xlarge", "Trainium1", 16, 800),
        ("aws", "trn1n.32xlarge", "Trainium1", 16, 1600),
        ("aws", "trn2.48xlarge", "Trainium2", 16, 3200),
        ("azure", "Standard_ND96asr_v4", "A100 SXM 40GB", 8, 1600),
        ("azure", "Standard_ND96amsr_A100_v4", "A100 SXM 80GB", 8, 1600),
        ("azure", "Standard_ND96isr_H100_v5", "H100 SXM", 8, 3200),
        ("azure", "Standard_NC80adis_H100_v5", "H100 NVL", 2, 80),
        ("azure", "Standard_ND128isr_NDR_GB200_v6", "GB200", 4, 1600),
        ("gcp", "a2-megagpu-16g", "A100 SXM 40GB", 16, 100),
        ("gcp", "a3-highgpu-8g", "H100 SXM", 8, 800),
        ("gcp", "a3-megagpu-8g", "H100 SXM", 8, 1600),
        ("gcp", "a3-ultragpu-8g", "H200 SXM", 8, 3200),
        ("gcp", "a4-highgpu-8g", "B200", 8, 3200),
        ("oci", "BM.GPU.A100-v2.8", "A100 SXM 80GB", 8, 1600),
        ("oci", "BM.GPU.H100.8", "H100 SXM", 8, 3200),
        ("coreweave", "gd-8xh100ib-i128", "H100 SXM", 8, 3200),
        ("nebius", "gpu-h100-sxm_8gpu-128vcpu-1600gb", "H100 SXM", 8, 3200),
        ("crusoe", "h100-80gb-sxm-ib.8x", "H100 SXM", 8, 3200),
        ("lambda", "1-click-cluster-h100", "H100 SXM", 8, 3200),
        ("reference", "HGX H100 4-GPU", "H100 SXM", 4, 1600),
        ("reference", "HGX A100 40GB 4-GPU", "A100 SXM 40GB", 4, 800),
        ("reference", "DGX H100", "H100 SXM", 8, 3200),
    ],
)
def test_the_known_instance_types(provider, name, accelerator, count, gbit):
    shape = shapes()[provider, name]
    assert (shape.accelerator, shape.count) == (accelerator, count)
    assert shape.fabric.node == count
    assert shape.fabric.scale_out_bytes_per_s * count == pytest.approx(gbit * GBIT)
    assert shape.source
    assert shape.fabric.source


def test_a_board_of_four_keeps_the_full_nvlink_rate_of_each_gpu():
    for name, rate in (("HGX H100 4-GPU", 450e9), ("HGX A100 80GB 4-GPU", 300e9)):
        fabric = shapes()["reference", name].fabric
        assert (fabric.domain, fabric.scale_up_bytes_per_s) == (4, rate)


def test_a_rack_of_72_is_one_domain_of_nodes_of_four():
    fabric = shapes()["reference", "GB200 NVL72"].fabric
    assert (fabric.node, fabric.domain) == (4, 72)


def test_lambda_on_demand_says_that_its_network_is_assumed():
    shape = shapes()["lambda", "gpu_8x_h100_sxm5"]
    assert "no cluster network is published" in shape.fabric.assumption
    assert "nic_gbit_per_node" in shape.unverified


@pytest.mark.parametrize("shape", list(shapes().values()), ids=lambda shape: f"{shape.provider}:{shape.name}")
def test_every_shape_is_well_formed(shape):
    chip = accelerators()[shape.accelerator]
    fabric = shape.fabric
    assert shape.count >= 1
    assert shape.vcpus is None or shape.vcpus >= shape.count
    assert shape.memory_gib is None or shape.memory_gib > 0
    assert fabric.node == shape.count
    joined = 64 if shape.name == "trn2u.48xlarge" else 0  # an UltraServer joins four instances
    assert 1 <= fabric.domain <= max(chip.scale_up_domain, shape.count, joined)
    assert fabric.scale_out_bytes_per_s > 0
    assert fabric.scale_up_bytes_per_s > 0
    assert (fabric.scale_up_latency_s > 0) == (fabric.domain > 1)
    assert shape.source
    if "nic_gbit_per_node" in shape.unverified:
        assert "assumed" in fabric.assumption
    # the name of an instance type resolves to the same chip as its row
    if shape.provider != "reference":
        meant = resolve("", provider=shape.provider, shape=shape.name)
        assert meant.accelerator in (None, shape.accelerator)
        assert meant.kind == "none" or meant.count_hint == shape.count


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("AWS", "P5.48XLARGE"),
        ("Azure", "nd96isr h100 v5"),
        ("Oracle Cloud", "bm.gpu.h100.8"),
        ("google", "a3-highgpu-8g"),
    ],
)
def test_a_shape_is_found_in_any_case_and_by_the_providers_other_names(provider, name):
    assert found(provider, name).accelerator == "H100 SXM"


def test_what_is_no_shape_is_none():
    assert find("aws", "m5.large") is None
    assert find("nowhere", "p5.48xlarge") is None
    assert find("gcp", "tpu-v9-8") is None
    assert tpu_slice("H100 SXM x8") is None


@pytest.mark.parametrize(
    ("name", "accelerator", "chips", "torus", "host"),
    [
        ("tpu-v2-8", "TPU v2", 4, (2, 2), 4),
        ("tpu-v3-2048", "TPU v3", 1024, (32, 32), 4),
        ("tpu-v4-8", "TPU v4", 4, (1, 2, 2), 4),
        ("tpu-v4-128", "TPU v4", 64, (4, 4, 4), 4),
        ("tpu-v5litepod-256", "TPU v5e", 256, (16, 16), 8),
        ("tpu-v5p-8", "TPU v5p", 4, (1, 2, 2), 4),
        ("v6e-8", "TPU v6e (Trillium)", 8, (2, 4), 8),
        ("tpu7x-4x4x8", "TPU v7 (Ironwood)", 128, (4, 4, 8), 4),
    ],
)
def test_a_tpu_slice_is_made_from_its_name(name, accelerator, chips, torus, host):
    shape = found("gcp", name)
    assert (shape.accelerator, shape.count, shape.torus) == (accelerator, chips, torus)
    assert (shape.fabric.domain, shape.fabric.node) == (chips, host)
    assert shape.fabric.topology == ("torus2d" if len(torus) == 2 else "torus3d")


def test_a_slice_larger_than_its_pod_does_not_exist():
    assert find("gcp", "tpu-v5litepod-512") is None
    assert found("gcp", "tpu-v4-8192").count == 4096


@settings(deadline=None)
@given(st.integers(1, 2048))
def test_the_sides_of_a_torus_multiply_to_its_chips(chips):
    shape = found("gcp", f"tpu-v5p-{2 * chips}")
    assert prod(shape.torus) == shape.count == chips
    assert tuple(sorted(shape.torus)) == shape.torus


def test_the_shared_instance_types_carry_the_same_number(shared):
    odd = set()
    seen = 0
    for path in sorted((shared / "offers").glob("skypilot/*/*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                if not row.get("InstanceType") or not row["AcceleratorName"]:
                    continue
                shape = find(path.stem, row["InstanceType"])
                if shape is None:
                    continue
                seen += 1
                if float(row["AcceleratorCount"]) != shape.count:
                    odd.add(row["InstanceType"])
    assert seen > 10_000
    # the source counts InfiniBand ports, or halves, for these; the vendor says eight and four
    assert odd <= {"Standard_ND96isr_H100_v5", "Standard_ND96is_H100_v5", "Standard_ND48s_H100_v5"}


def test_every_shared_instance_type_of_the_great_clouds_is_here(shared):
    missing = set()
    for path in sorted((shared / "offers").glob("skypilot/*/*.csv")):
        if path.stem not in ("aws", "azure", "oci", "lambda", "nebius"):
            continue
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                if row["AcceleratorName"] and find(path.stem, row["InstanceType"]) is None:
                    meant = resolve(row["AcceleratorName"], provider=path.stem, shape=row["InstanceType"])
                    if meant.kind != "not-accelerator" and meant.share == 1:
                        missing.add(row["InstanceType"])
    assert not missing
