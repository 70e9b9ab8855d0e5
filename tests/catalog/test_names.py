"""Name resolution: every spelling of the sources, decorations that may change nothing, and honest ambiguity."""

import csv
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.catalog.accelerators import accelerators
from sublet.catalog.names import resolve
from sublet.catalog.spelling import keys

KINDS = {"resolved", "ambiguous", "slice", "not-accelerator", "none", "unknown"}

# spelling as sources write it -> canonical name
PLAIN = {
    "A100-80GB-SXM": "A100 SXM 80GB",
    "a100-sxm-80": "A100 SXM 80GB",
    "a100-sxm-40": "A100 SXM 40GB",
    "a100-pcie-40": "A100 PCIe 40GB",
    "A100-SXM4-80GB": "A100 SXM 80GB",
    "NVIDIA A100-SXM4-40GB": "A100 SXM 40GB",
    "NVIDIA A100 80GB PCIe": "A100 PCIe 80GB",
    "A100-80G-PCIe-NVLink": "A100 PCIe 80GB",
    "A100SXM80GB": "A100 SXM 80GB",
    "H100_SXM": "H100 SXM",
    "H100-SXM5-80GB": "H100 SXM",
    "H100 HGX (80GB)": "H100 SXM",
    "NVIDIA HGX H100": "H100 SXM",
    "H100-MEGA": "H100 SXM",
    "NVIDIA H100 80GB HBM3": "H100 SXM",
    "nvidia-h100-mega-80gb": "H100 SXM",
    "H100 PCIe (80GB)": "H100 PCIe",
    "NVIDIA H100 PCIe NVLink": "H100 PCIe",
    "H100-NVL-94GB": "H100 NVL",
    "h200-nvl": "H200 NVL",
    "H200-SXM5-141GB": "H200 SXM",
    "NVIDIA B200 SXM6": "B200",
    "NVIDIA HGX B300": "B300",
    "GB200 NVL72": "GB200",
    "GH200 (96 GB)": "GH200",
    "Gaudi HL-205": "Gaudi (HL-205)",
    "Intel Gaudi 3": "Gaudi3",
    "RTXPRO6000": "RTX PRO 6000",
    "RTX-PRO-6000": "RTX PRO 6000",
    "NVIDIA RTX 6000 Pro": "RTX PRO 6000",
    "NVIDIA RTX PRO-A6000 SE": "RTX PRO 6000",
    "rtx-pro-6000-wk": "RTX PRO 6000 Workstation",
    "rtx-pro-6000-maxq": "RTX PRO 6000 Max-Q",
    "RTX6000-Ada": "RTX 6000 Ada",
    "NVIDIA RTX 6000 Ada Generation": "RTX 6000 Ada",
    "A6000 (48 GB)": "RTX A6000",
    "RTXA4000": "RTX A4000",
    "RTX A4000": "RTX A4000",
    "Quadro RTX 6000 (24 GB)": "Quadro RTX 6000",
    "RTX4000 (8 GB)": "Quadro RTX 4000",
    "NVIDIA GeForce RTX 4090": "RTX 4090",
    "RTX 4090 (High freq.)": "RTX 4090",
    "L40S": "L40S",
    "L40 (48 GB)": "L40",
    "Nvidia L4": "L4",
    "T4 (16)": "T4",
    "T4g": "T4G",
    "Tesla P40": "P40",
    "Tesla V100-SXM2-16GB": "V100 SXM2 16GB",
    "Tesla V100 NVLink 16GB": "V100 SXM2 16GB",
    "AMD Instinct MI300X": "MI300X",
    "Radeon MI25": "MI25",
    "Radeon Pro V520": "Radeon Pro V520",
    "Qualcomm AI100": "Cloud AI 100",
    "Inferentia2": "Inferentia2",
    "Q_RTX_8000": "Quadro RTX 8000",
    "H100 SXM5 80GB NVLink 900GB/s": "H100 SXM",
    "8x A100 SXM 640GB": "A100 SXM 80GB",
    "NVIDIA HGX H100 80GB SXM5 x8": "H100 SXM",
    "TPU v5p": "TPU v5p",
    "TPU v3 device": "TPU v3",
    "TPU v4 pod": "TPU v4",
    "TPU v6e (Trillium)": "TPU v6e (Trillium)",
    "TPU7x (Ironwood), one of two devices of a chip": "TPU v7 (Ironwood)",
}

AMBIGUOUS = {
    "H100": ("H100 SXM", "H100 PCIe", "H100 NVL"),
    "H100-80GB": ("H100 SXM", "H100 PCIe"),
    "H100-NVLINK": ("H100 SXM", "H100 PCIe", "H100 NVL"),
    "H200": ("H200 SXM", "H200 NVL"),
    "A100": ("A100 SXM 40GB", "A100 SXM 80GB", "A100 PCIe 40GB", "A100 PCIe 80GB"),
    "A100-80GB": ("A100 SXM 80GB", "A100 PCIe 80GB"),
    "A100 SXM4": ("A100 SXM 40GB", "A100 SXM 80GB"),
    "V100": ("V100 SXM2 16GB", "V100 SXM2 32GB", "V100 PCIe 16GB", "V100 PCIe 32GB"),
    "RTX6000": ("Quadro RTX 6000", "RTX 6000 Ada"),
    "TPU v5": ("TPU v5e", "TPU v5p"),
    "Trainium": ("Trainium1", "Trainium2", "Trainium3"),
}


@pytest.mark.parametrize(("spelling", "name"), PLAIN.items())
def test_a_full_name_resolves_whatever_its_spelling(spelling, name):
    found = resolve(spelling)
    assert (found.kind, found.accelerator, found.candidates) == ("resolved", name, (name,))


@pytest.mark.parametrize(("spelling", "candidates"), AMBIGUOUS.items())
def test_a_short_name_stays_ambiguous_with_all_its_candidates(spelling, candidates):
    found = resolve(spelling)
    assert found.kind == "ambiguous"
    assert found.accelerator is None
    assert found.candidates == candidates


@pytest.mark.parametrize(
    ("provider", "shape", "spelling", "name"),
    [
        ("aws", "p5.48xlarge", "H100", "H100 SXM"),
        ("aws", "p4d.24xlarge", "A100", "A100 SXM 40GB"),
        ("aws", "p4de.24xlarge", "A100-80GB", "A100 SXM 80GB"),
        ("aws", "p3.16xlarge", "V100", "V100 SXM2 16GB"),
        ("aws", "p3dn.24xlarge", "V100-32GB", "V100 SXM2 32GB"),
        ("aws", "p5en.48xlarge", "H200", "H200 SXM"),
        ("aws", "inf2.48xlarge", "Inferentia", "Inferentia2"),
        ("aws", "trn1.32xlarge", "Trainium", "Trainium1"),
        ("AWS", "p5.48xlarge", "H100 (80 GB)", "H100 SXM"),
        ("azure", "Standard_ND96isr_H100_v5", "H100", "H100 SXM"),
        ("azure", "Standard_NC40ads_H100_v5", "H100", "H100 NVL"),
        ("azure", "Standard_NC80adis_H100_v5", "H100", "H100 NVL"),
        ("azure", "Standard_NC24ads_A100_v4", "A100-80GB", "A100 PCIe 80GB"),
        ("Azure", "ND96amsr A100 v4", "A100 (80 GB)", "A100 SXM 80GB"),
        ("Azure", "NC6s v3", "V100 (16 GB)", "V100 PCIe 16GB"),
        ("gcp", "a3-highgpu-8g", "H100", "H100 SXM"),
        ("gcp", None, "A100", "A100 SXM 40GB"),
        ("gcp", None, "A100-80GB", "A100 SXM 80GB"),
        ("lambda", "gpu_1x_h100_pcie", "H100", "H100 PCIe"),
        ("lambda", "gpu_8x_h100_sxm5", "H100", "H100 SXM"),
        ("lambda", "gpu_1x_a100", "A100", "A100 PCIe 40GB"),
        ("lambda", "gpu_8x_a100", "A100", "A100 SXM 40GB"),
        ("lambda", "gpu_1x_rtx6000", "RTX6000", "Quadro RTX 6000"),
        ("oci", "BM.GPU.H100.8", "H100", "H100 SXM"),
        ("oci", "BM.GPU4.8", "A100", "A100 SXM 40GB"),
        ("oci", "BM.GPU.A100-v2.8", "A100-80GB", "A100 SXM 80GB"),
        ("vast", "1x-H100_NVL-32-65536", "H100", "H100 NVL"),
        ("vast", "8x-H100_SXM-32-65536", "H100", "H100 SXM"),
        ("vast", "4x-RTX_4060_Ti-32-65536", "RTX4060", "RTX 4060 Ti"),
        ("vast", "4x-RTX_4070S_Ti-32-65536", "RTX4070", "RTX 4070 Ti Super"),
        ("nebius", "gpu-h200-sxm_8gpu-128vcpu-1600gb", "H200", "H200 SXM"),
        ("scaleway", "H100-SXM-8-80G", "H100", "H100 SXM"),
        ("", "p5.48xlarge", "", "H100 SXM"),
        ("aws", "g6e.12xlarge", "", "L40S"),
    ],
)
def test_the_instance_type_or_the_provider_tells_which(provider, shape, spelling, name):
    assert resolve(spelling, provider=provider or None, shape=shape).accelerator == name


def test_words_of_an_instance_type_that_are_no_memory_are_not_taken_for_it():
    # 32 is the number of CPUs, not the memory of the card
    assert resolve("V100", provider="vast", shape="1x-Tesla_V100-32-65536").kind == "ambiguous"


@pytest.mark.parametrize(
    ("spelling", "memory", "name"),
    [
        ("H100", 94, "H100 NVL"),
        ("NVIDIA A100 SXM", 40, "A100 SXM 40GB"),
        ("NVIDIA A100 PCIe", 80, "A100 PCIe 80GB"),
        ("A100 SXM", 79.6, "A100 SXM 80GB"),
        ("GH200", 141, "GH200 144GB"),
        ("RTX 6000", 48, "RTX 6000 Ada"),
        ("b300", 262, "B300"),
    ],
)
def test_the_memory_beside_the_name_tells_which(spelling, memory, name):
    assert resolve(spelling, memory_gib=memory).accelerator == name


@pytest.mark.parametrize(
    ("spelling", "memory", "interconnect", "name"),
    [
        ("NVIDIA H200", 141, "SXM", "H200 SXM"),
        ("H100", 80, "PCIe", "H100 PCIe"),
        ("NVIDIA A100 SXM4", 80, "NVLink", "A100 SXM 80GB"),
        ("H100", None, "NVLINK Gen4 900 GB/s + NVSWITCH Gen3", "H100 SXM"),
    ],
)
def test_the_interconnect_beside_the_name_tells_which(spelling, memory, interconnect, name):
    assert resolve(spelling, memory_gib=memory, interconnect=interconnect).accelerator == name


def test_nvlink_alone_does_not_tell_sxm_from_bridged_cards():
    assert resolve("NVIDIA H100", memory_gib=80, interconnect="NVLink").candidates == ("H100 SXM", "H100 PCIe")


@pytest.mark.parametrize(
    ("spelling", "chips"),
    [
        ("tpu-v2-8", 4),
        ("tpu-v3-32", 16),
        ("tpu-v4-4096", 2048),
        ("tpu-v5p-8", 4),
        ("v5p-128", 64),
        ("tpu-v5litepod-16", 16),
        ("TPU v5e-8", 8),
        ("tpu-v6e-256", 256),
        ("tpu7x-128", 64),
        ("tpu7x-4x4x4", 64),
        ("tpu-v5e-4x8", 32),
        ("8x H100 SXM", 8),
        ("H100 SXM x4", 4),
        ("H100-SXM:8", 8),
        ("p4d.24xlarge", 8),
    ],
)
def test_the_spelling_says_how_many_chips(spelling, chips):
    found = resolve(spelling)
    assert found.kind == "resolved"
    assert found.count_hint == chips


@pytest.mark.parametrize(
    ("provider", "shape", "chips"), [("aws", "p5.48xlarge", 8), ("gcp", "ct5lp-hightpu-4t", 4), ("azure", "NC24", 4)]
)
def test_the_instance_type_says_how_many_chips(provider, shape, chips):
    assert resolve("", provider=provider, shape=shape).count_hint == chips


@pytest.mark.parametrize("spelling", ["A100-MIG-1g.5gb", "1/2 A100", "A100 (20 GB)", "H100 vGPU"])
def test_a_part_of_a_chip_is_no_chip(spelling):
    found = resolve(spelling)
    assert found.kind == "slice"
    assert found.accelerator is None
    assert found.candidates


def test_memory_that_is_a_fraction_of_the_chips_means_a_part_of_it():
    assert resolve("rtx-pro-6000", memory_gib=24).kind == "slice"  # sold at a quarter of the price
    assert resolve("rtx-pro-6000", memory_gib=96).kind == "resolved"


def test_an_instance_type_with_a_fraction_says_so():
    found = resolve("A10", provider="azure", shape="Standard_NV6ads_A10_v5")
    assert found.accelerator == "A10"
    assert found.share == pytest.approx(1 / 6, rel=1e-3)
    assert resolve("A10", provider="azure", shape="Standard_NV36ads_A10_v5").share == 1


def test_a_contradiction_is_said_and_not_solved():
    found = resolve("a100-pcie-80", memory_gib=40)
    assert found.kind == "ambiguous"
    assert set(found.candidates) == {"A100 PCIe 40GB", "A100 PCIe 80GB"}
    assert "80 GB" in found.note
    assert "40 GB" in found.note


def test_an_fpga_is_known_and_no_accelerator():
    for spelling in ("Virtex UltraScale (VU9P)", "Virtex UltraScale+ (VU47P)"):
        found = resolve(spelling, provider="aws", shape="f1.2xlarge")
        assert (found.kind, found.accelerator, found.candidates) == ("not-accelerator", None, ())


@pytest.mark.parametrize(
    "spelling",
    ["foo", "H1000", "L400", "A1000", "T400", "P1000", "RTX 4090 Laptop", "H100e", "A100X", "GPU", "8x", "RTX 5090 D"],
)
def test_what_is_not_understood_is_unknown_and_never_the_nearest_name(spelling):
    found = resolve(spelling)
    assert (found.kind, found.accelerator, found.candidates) == ("unknown", None, ())


@pytest.mark.parametrize("shape", ["Standard_A2_v2", "m5.large", "n1-standard-4", "Standard_L4s", "e2-medium", None])
def test_a_row_without_accelerator_names_none(shape):
    assert resolve("", provider="azure", shape=shape).kind == "none"


# --- laws

NAMES = list(accelerators())
separators = st.sampled_from(["-", "_", " ", "/", "  "])


@settings(deadline=None)
@given(st.sampled_from(NAMES), separators, st.booleans(), st.sampled_from(["", "NVIDIA ", "nvidia-", "GPU "]))
def test_case_separators_and_vendor_change_nothing(name, separator, upper, prefix):
    chip = accelerators()[name]
    if prefix and chip.vendor != "NVIDIA":
        prefix = ""
    spelled = prefix + name.replace(" ", separator)
    spelled = spelled.upper() if upper else spelled.lower()
    assert resolve(spelled).accelerator == name


@settings(deadline=None)
@given(
    st.sampled_from(sorted(keys())), separators, st.sampled_from(["", " 8x", " x4", " (Community)", " spot", " GPU"])
)
def test_decoration_of_a_known_key_never_changes_what_it_may_mean(key, separator, decoration):
    plain = resolve(key)
    dressed = resolve(f"{separator}{key}{decoration}".upper())
    if plain.kind == "not-accelerator":
        assert dressed.kind == plain.kind
    else:
        assert dressed.candidates == plain.candidates


@settings(deadline=None)
@given(
    st.sampled_from([name for name in NAMES if accelerators()[name].memory_gb >= 4]),
    st.sampled_from(["GB", "G", " GiB", "GB)"]),
)
def test_its_own_memory_never_contradicts_a_name(name, unit):
    chip = accelerators()[name]
    if "GB" in name:
        return
    spelled = f"{name} {'(' if unit.endswith(')') else ''}{chip.memory_gb:g}{unit}"
    assert resolve(spelled).accelerator == name
    assert resolve(name, memory_gib=chip.memory_gb).accelerator == name
    assert resolve(name, memory_gib=chip.memory_bytes / 2**30).accelerator == name


@settings(deadline=None)
@given(st.text(max_size=40), st.one_of(st.none(), st.text(max_size=30)), st.one_of(st.none(), st.floats(0, 1e4)))
def test_any_text_has_an_answer_and_a_lawful_one(raw, shape, memory):
    found = resolve(raw, shape=shape, memory_gib=memory)
    assert found.kind in KINDS
    assert (found.accelerator is not None) == (found.kind == "resolved")
    assert bool(found.candidates) == (found.kind in ("resolved", "ambiguous", "slice"))
    assert found.count_hint is None or found.count_hint > 0
    assert set(found.candidates) <= set(NAMES)
    assert 0 < found.share <= 1


@settings(deadline=None)
@given(st.sampled_from(sorted({*PLAIN, *AMBIGUOUS})), st.sampled_from([None, "aws", "lambda", "nowhere"]))
def test_more_context_only_narrows(spelling, provider):
    alone = set(resolve(spelling).candidates)
    assert set(resolve(spelling, provider=provider).candidates) <= alone
    for interconnect in ("SXM", "PCIe", "NVLink"):
        assert set(resolve(spelling, interconnect=interconnect).candidates) <= alone


# --- the shared data


def _spellings(offers):
    """(spelling, provider, instance type, memory, interconnect) of every row of every offer file that names a chip."""
    for path in sorted(offers.glob("skypilot/*/*.csv")):
        provider = None if path.name.startswith("_") else path.stem
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                if row["AcceleratorName"]:
                    yield row["AcceleratorName"], provider, row.get("InstanceType") or None, None, None
    for path in sorted(offers.glob("fsdl/*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield row["GPU Type"], row.get("Cloud") or row.get("Vendor"), row.get("Name") or None, None, None
    with (offers / "gpurentalprices" / "offers_daily.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row["gpu"], row["provider"], None, float(row["vram_gb"]), None
    for path in sorted(offers.glob("tardellirs/*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield row["gpu_model"], row["provider_id"], None, float(row["vram_gb"]), row["interconnect"] or None
    with (offers / "gpuhunt" / "tpu_pricing.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row["TPU"], "gcp", None, None, None
    for name, provider in (
        ("aws_ondemand_changes.csv", "aws"),
        ("aws_spot_advisor_2025-06-28.csv", "aws"),
        ("gcp_a2_a3_changes.csv", "gcp"),
        ("azure_h100_a100_changes.csv", "azure"),
        ("lambda_ondemand_changes.csv", "lambda"),
        ("aws_spot_by_zone_weekly.csv", "aws"),
    ):
        with (offers / "history" / name).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield row.get("AcceleratorName") or "", provider, row["InstanceType"], None, None


def test_every_spelling_of_the_shared_offers_is_known(shared):
    distinct = set(_spellings(shared / "offers"))
    assert len(distinct) > 1000
    started = time.process_time()
    kinds: dict[str, list] = {}
    for raw, provider, shape, memory, interconnect in distinct:
        found = resolve(raw, provider=provider, shape=shape, memory_gib=memory, interconnect=interconnect)
        kinds.setdefault(found.kind, []).append((raw, provider, shape, memory))
    took = time.process_time() - started
    assert set(kinds) <= {"resolved", "ambiguous", "slice", "not-accelerator"}, {
        kind: rows[:5] for kind, rows in kinds.items() if kind in ("unknown", "none")
    }
    assert {raw for raw, *_ in kinds["not-accelerator"]} == {"Virtex UltraScale (VU9P)", "Virtex UltraScale+ (VU47P)"}
    assert took < 1.5  # 0.08 s on a quiet machine


def test_every_chip_of_the_measurements_is_known(shared):
    for name in ("training.csv", "inference.csv", "matmul.csv"):
        with (shared / "measured" / name).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                memory = row.get("chip_memory_gb")
                found = resolve(row["chip"], memory_gib=float(memory) if memory else None)
                assert found.candidates, row["chip"]
                if row["chip"] not in ("V100", "NVIDIA A100 PCIe", "NVIDIA A100 SXM"):
                    assert found.kind == "resolved", (row["chip"], found)


def test_a_memory_of_nothing_is_no_part_of_a_chip():
    assert resolve("A100 (0 GB)").accelerator is None
    assert resolve("H100", memory_gib=0).candidates
