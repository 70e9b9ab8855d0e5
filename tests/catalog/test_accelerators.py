"""The registry of accelerators: complete, sourced, in consistent units, quick to load, clear when a name is wrong."""

import csv
import subprocess
import sys
from datetime import date

import pytest

from sublet.catalog.accelerators import accelerator, accelerators
from sublet.errors import InputError

PRECISIONS = {"fp32", "tf32", "fp16", "bf16", "fp8", "int8", "fp4"}
TOPOLOGIES = {"switch", "mesh", "torus2d", "torus3d", "bridge", "pcie", "none"}


def test_the_flagships_have_the_figures_of_their_data_sheets():
    h100 = accelerator("H100 SXM")
    assert h100.peak("bf16") == pytest.approx(989.4e12)
    assert h100.peak("fp8") == pytest.approx(1979e12)
    assert h100.peak("fp4") is None
    assert h100.memory_bytes_per_s == pytest.approx(3.35e12)
    assert h100.scale_up_bytes_per_s == pytest.approx(450e9)  # half of the 900 GB/s of both directions
    assert h100.scale_out_bytes_per_s == pytest.approx(50e9)  # 400 Gb/s
    assert h100.scale_up_domain == 8
    assert h100.tpp == pytest.approx(15832)
    assert h100.performance_density == pytest.approx(19.45, rel=1e-3)


def test_memory_is_what_the_driver_reports_and_the_name_keeps_the_advertised_figure():
    h100 = accelerator("H100 SXM")
    assert h100.memory_gb == 80
    assert h100.memory_bytes == 81559 * 2**20


@pytest.mark.parametrize("name", ["B200", "B300", "GB200", "GB300", "MI355X"])
def test_blackwell_and_its_rival_compute_in_fp4(name):
    peaks = accelerator(name).peak_flops
    assert peaks["fp4"] > peaks["fp8"] > peaks["bf16"]


def test_older_chips_do_not_pretend_to_compute_in_bf16():
    assert accelerator("V100 SXM2 32GB").peak("bf16") is None
    assert accelerator("T4").peak("bf16") is None
    assert accelerator("V100 SXM2 32GB").peak("fp16") == pytest.approx(125e12)


def test_the_chinese_editions_have_the_compute_and_not_the_links():
    for cut, whole in (("H800 SXM", "H100 SXM"), ("A800 SXM", "A100 SXM 80GB")):
        assert accelerator(cut).peak("bf16") == pytest.approx(accelerator(whole).peak("bf16"), rel=2e-3)
        assert accelerator(cut).scale_up_bytes_per_s == pytest.approx(200e9)


@pytest.mark.parametrize("chip", list(accelerators().values()), ids=lambda chip: chip.name)
def test_every_accelerator_is_well_formed(chip):
    assert set(chip.peak_flops) <= PRECISIONS
    assert all(rate > 0 for rate in chip.peak_flops.values())
    assert chip.topology in TOPOLOGIES
    assert chip.memory_bytes > 0
    assert chip.scale_up_domain >= 1
    assert chip.launch is None or date(2012, 1, 1) < chip.launch < date(2026, 12, 31)
    for figure in (
        chip.memory_bytes_per_s,
        chip.scale_up_bytes_per_s,
        chip.scale_out_bytes_per_s,
        chip.tdp_watts,
        chip.die_mm2,
        chip.purchase_usd,
    ):
        assert figure is None or figure > 0  # a figure that nobody published is None, never 0
    if chip.topology != "none":
        assert chip.scale_up_bytes_per_s is not None
    rates = {name: chip.peak_flops.get(name) for name in PRECISIONS}
    if rates["fp8"] and rates["bf16"]:
        assert rates["fp8"] >= rates["bf16"]
    if rates["fp32"] and rates["bf16"]:
        assert rates["bf16"] > rates["fp32"]
    # what the driver reports is within 14 % of what is advertised in GB
    assert chip.memory_bytes == pytest.approx(chip.memory_gb * 1e9, rel=0.14)


@pytest.mark.parametrize("chip", list(accelerators().values()), ids=lambda chip: chip.name)
def test_every_figure_names_its_source_and_the_unverified_ones_exist(chip):
    fields = {f"peak_flops.{precision}" for precision in chip.peak_flops}
    fields |= {
        name
        for name in (
            "launch",
            "memory_bytes",
            "memory_bytes_per_s",
            "scale_up_bytes_per_s",
            "scale_out_bytes_per_s",
            "tdp_watts",
            "die_mm2",
            "purchase_usd",
        )
        if getattr(chip, name) is not None
    }
    assert fields <= set(chip.sources)
    assert all(source.strip() for source in chip.sources.values())
    assert chip.unverified <= set(chip.sources)
    for field, source in chip.sources.items():
        if "not looked up" in source:
            assert field in chip.unverified


def test_an_unknown_name_is_answered_with_the_nearest_ones():
    with pytest.raises(InputError, match="'H1000' is not known: the nearest names are 'H100 SXM', 'H100 PCIe'"):
        accelerator("H1000")


def test_an_ambiguous_name_is_answered_with_its_candidates():
    with pytest.raises(InputError, match="'H100 SXM', 'H100 PCIe' or 'H100 NVL'"):
        accelerator("H100")


def test_what_is_no_accelerator_says_so():
    with pytest.raises(InputError, match=r"no accelerator.*FPGA"):
        accelerator("Virtex UltraScale+ (VU47P)")


def test_any_spelling_finds_the_chip():
    assert accelerator("a100-sxm-80") is accelerator("A100 SXM 80GB")
    assert accelerator("tpu-v5p-8").name == "TPU v5p"


def test_the_registry_is_immutable_and_read_once():
    assert accelerators() is accelerators()
    with pytest.raises(TypeError):
        accelerators()["H100 SXM"] = None  # type: ignore[index]


def test_a_cold_load_is_quick():
    code = (
        "import time; from sublet.catalog import accelerators as a; t = time.process_time(); n = len(a.accelerators());"
        "print(time.process_time() - t, n)"
    )
    took, number = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert int(number) > 150
    assert float(took) < 0.045  # 3 ms on a quiet machine; three times the budget of 15 ms on a loaded one


def test_all_shared_chips_are_here_with_the_same_figures(shared):
    with (shared / "chips" / "chips.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 39
    registry = accelerators()
    for row in rows:
        chip = registry[row["chip"]]
        assert chip.vendor == row["vendor"]
        assert chip.memory_gb == pytest.approx(float(row["mem_gb"]), rel=0.01)
        for column, figure, factor in (
            ("mem_bw_gbs", chip.memory_bytes_per_s, 1e9),
            ("tdp_w", chip.tdp_watts, 1),
            ("die_mm2", chip.die_mm2, 1),
            ("tpp", chip.tpp, 1),
            ("fp8_tflops", chip.peak("fp8"), 1e12),
            ("fp4_tflops", chip.peak("fp4"), 1e12),
            ("int8_tops", chip.peak("int8"), 1e12),
            ("fp16_bf16_tflops", chip.peak("bf16") or chip.peak("fp16"), 1e12),
        ):
            if row[column]:
                assert figure == pytest.approx(float(row[column]) * factor, rel=0.011), (row["chip"], column)
        if row["scale_up_bidir_gbs"] and chip.topology != "pcie":
            assert chip.scale_up_bytes_per_s == pytest.approx(float(row["scale_up_bidir_gbs"]) * 0.5e9)
            assert chip.scale_up_domain == int(row["scale_up_domain"])
        if row["scale_out_gbps_per_chip"]:
            assert chip.scale_out_bytes_per_s == pytest.approx(float(row["scale_out_gbps_per_chip"]) * 1e9 / 8)
        assert set(chip.frameworks) == set(row["frameworks"].split(";"))
