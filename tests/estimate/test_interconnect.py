import pytest
from hypothesis import given
from hypothesis import strategies as st

from sublet.catalog.accelerators import accelerator
from sublet.estimate.interconnect import fabric_from_text, slices_of

GIGABIT = 1e9 / 8


def per_chip_gbps(text, chip="H100 SXM", count=64, **more):
    return fabric_from_text(text, accelerator(chip), count, **more).scale_out_bytes_per_s / GIGABIT


@pytest.mark.parametrize(
    ("text", "gbps"),
    [
        ("1600 Gb/s node-node RoCE", 200),
        ("8x HDR InfiniBand 200 Gb/s per node (not stated in the README)", 200),
        ("400 Gbps", 50),
        ("3.2 Tb/s EFA", 400),
        ("3200 Gbps EFAv2", 400),
        ("NVLINK Gen4 900 GB/s + NVSWITCH Gen3 ; 8x ConnectX-7 IB NDR 400Gb/s + 200Gb/s Ethernet NIC", 400),
        ("NVLink Gen4 900GB/s ; 4x ConnectX-7 IB NDR 400Gb/Sec", 200),
        ("2 x 200Gbe Ethernet ; Gig Ethernet", 50),
        ("8x400G RoCE", 400),
        ("8 × 100 Gb/s", 100),
        ("400 Gb/s per GPU", 400),
        ("50 GB/s per GPU", 400),
        ("NDR InfiniBand", 400),
        ("HDR InfiniBand 200 Gb/s", 200),
        ("NDR400", 400),
        (
            "Storage: 2x ConnectX-7 IB NDR 400Gb/s, Compute: 8x ConnectX-7 IB HDR 200Gb/s, Management: 100Gb/s NIC",
            200,
        ),
        ("NVLINK ; Storage&Compute: 4x ConnectX-7 IB NDR 400Gb/s, Management: 25Gb/s Ethernet NIC", 200),
        ("PCIe Gen4 ; BF3 200Gbps for NS and 2xBF3 400Gbps for EW", 100),
    ],
)
def test_the_network_between_nodes_in_prose(text, gbps):
    assert per_chip_gbps(text) == pytest.approx(gbps)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NVLINK Gen4 900 GB/s + NVSWITCH Gen3",
        "NVLink ; Gig Ethernet",
        "NVLINK + NVSWITCH ; Management: 1x Ethernet 10GB/Sec",
        "ConnectX-6 25Gb/s Ethernet",
        "18x 5th Gen NVLink, 14.4 TB/s ; Infiniband; Data bandwidth for GPU-PCIe: 504GB/s; PCIe-NIC: 500GB/s",
        "Storage: 2x ConnectX-7 IB NDR 400Gb/s",
        "something nobody has heard of",
    ],
)
def test_scale_up_buses_storage_and_management_are_no_network_to_train_over(text):
    chip = accelerator("H100 SXM")
    fabric = fabric_from_text(text, chip, 64)
    assert fabric.scale_out_bytes_per_s == fabric_from_text("", chip, 64).scale_out_bytes_per_s
    assert "no fabric is published" in fabric.assumption


def test_within_one_node_nothing_needs_to_be_presumed():
    assert fabric_from_text("", accelerator("H100 SXM"), 8).assumption == ""


@pytest.mark.parametrize(
    ("chip", "text", "system", "count", "domain", "node"),
    [
        ("GB200", "NVL72 rack NVLink", "DGX-GB200", 64, 72, 4),
        ("GB200", "NVLINK Gen5 1800 GB/s ; 4x ConnectX-7 IB NDR 400Gb/s", "Tyche (8x NVIDIA GB200 NVL72)", 512, 72, 4),
        ("GB200", "NVLINK Gen5", "Dell / 16xXE9712x4GB200", 64, 72, 4),
        ("B300", "NVLink in node", "DGX-B300", 16, 8, 8),
        ("H100 SXM", "", "2x A3 (8x H100-80GB)", 16, 8, 8),
        ("H100 SXM", "NVLINK", "NVIDIA / Eos-dfw (1024x NVIDIA HGX H100)", 8192, 8, 8),
        ("L40S", "PCIe Gen4", "NVIDIA / NVIDIA_L40S_n16", 64, 4, 4),
        ("TPU v5e", "ICI 2D torus; DCN between slices", "4x v5e-256", 1024, 256, None),
        ("TPU v4", "ICI 3D torus; DCN between slices", "1x v4-128", 64, 64, None),
    ],
)
def test_how_far_the_scale_up_network_reaches(chip, text, system, count, domain, node):
    fabric = fabric_from_text(text, accelerator(chip), count, system=system)
    assert fabric.domain == domain
    if node is not None:
        assert fabric.node == node


def test_a_machine_known_by_name_brings_its_network():
    assert per_chip_gbps("", chip="A100 SXM 80GB", system="Selene (DGX A100)") == pytest.approx(200)
    assert per_chip_gbps("", system="4x A3 (8x H100-80GB)") == pytest.approx(100)


@pytest.mark.parametrize(
    ("system", "count", "slices"),
    [
        ("2x v4-128", 128, 2),
        ("1x v6e-256", 256, 1),
        ("2x TPU v4 pods of 3072", 6144, 2),
        ("2x tpu7x-128", 128, 2),
        ("8x A3", 64, 1),
        ("", 8, 1),
    ],
)
def test_slices_of_a_tpu_machine(system, count, slices):
    assert slices_of(system, count) == slices


CHIPS = ("H100 SXM", "GB200", "TPU v5e", "TPU v5p", "MI300X", "Gaudi2", "L40S", "A100 PCIe 40GB")


@given(st.text(max_size=80), st.sampled_from(CHIPS), st.sampled_from([1, 4, 8, 72, 1024]), st.text(max_size=30))
def test_no_prose_breaks_the_reading(text, chip, count, system):
    fabric = fabric_from_text(text, accelerator(chip), count, system=system)
    assert fabric.scale_out_bytes_per_s > 0
    assert fabric.domain >= 1
    assert fabric.node >= 1


@given(st.integers(1, 16), st.sampled_from([100, 200, 400, 800]))
def test_ports_add_up_whatever_stands_around_them(ports, gbps):
    plain = per_chip_gbps(f"{ports}x {gbps} Gb/s Ethernet")
    dressed = per_chip_gbps(f"NVLink 900 GB/s ; Management: 25Gb/s Ethernet, Compute: {ports}x ConnectX-7 {gbps}Gb/s")
    assert plain == pytest.approx(ports * gbps / 8)
    assert dressed == pytest.approx(plain)
