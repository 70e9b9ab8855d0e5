"""What real catalogues do: one test per quirk, on rows of the same kind; what needs the real files is below each."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from offers_kit import DAY, SAMPLES, cloud, offers_of, read_everything, sample, table_in, written

from sublet.catalog.asof import assemble, standing
from sublet.catalog.flags import DOUBTFUL, NOT_A_PRICE
from sublet.catalog.importing import read_file, read_files
from sublet.catalog.loaders.skypilot import chip_memory_gib, form_factor, places
from sublet.catalog.store import open_catalog, save
from sublet.catalog.table import concat


@pytest.fixture(scope="module")
def everything(shared):
    """All shared files: results by the last two parts of their path, and one table of all times."""
    results, table = read_everything(shared / "offers")
    return {"/".join(result.path.parts[-2:]): result for result in results}, table


def flagged(result, flag, **conditions):
    return [offer for offer in offers_of(result, **conditions) if flag in offer.flags]


# 1. Ragged CSV kills the peer.


def test_01_an_unquoted_list_in_the_last_column_costs_no_row_and_no_cloud():
    results = list(read_files(SAMPLES / "skypilot/2025-01-15" / f"{name}.csv" for name in ("aws", "azure", "gcp")))
    azure = results[1]
    assert (azure.rows, azure.kept) == (7, 5)
    (offer,) = offers_of(azure, shape="Standard_NC40ads_H100_v5", market="on-demand")
    assert (offer.price_per_node_hour, offer.region) == (Decimal("7.1"), "eastus")
    assert all(result.offers for result in results)


def test_01_real_azure_keeps_all_60448_rows(everything):
    azure = everything[0]["2026-04-10/azure.csv"]
    assert (azure.rows, azure.kept, azure.quarantined) == (60448, 60448, 0)


# 2. Zero is not free.


def test_02_zero_is_no_price_and_the_other_price_of_the_row_stays():
    vast = cloud("vast")
    assert [o.market for o in offers_of(vast)] == ["on-demand", "on-demand"]
    assert vast.dropped == {"zero-price": 2}
    assert vast.quarantined == 0
    assert [row.reason for row in cloud("azure").refused if row.line == 4] == ["zero-price"]
    assert not offers_of(cloud("gcp"), accelerator="TPU v6e")


def test_02_real_zeros(everything):
    results, table = everything
    assert results["2025-05-07/vast.csv"].dropped == {"zero-price": 44}
    assert results["2024-05-01/azure.csv"].reasons["zero-price"] == 5
    assert float(table.floats("price_per_node_hour").min()) > 0


# 3. Missing price.


def test_03_without_an_on_demand_price_the_spot_price_still_counts():
    aws = cloud("aws")
    assert [(o.market, o.zone) for o in offers_of(aws, shape="p5e.48xlarge")] == [("spot", "use2-az1")]
    assert [(row.line, row.reason) for row in aws.refused] == [(5, "no-price"), (9, "no-price")]
    assert not offers_of(cloud("lambda"), market="spot"), "no spot column value, no spot market"


def test_03_real_missing_prices(everything):
    aws = everything[0]["2025-05-07/aws.csv"]
    assert aws.reasons == {"no-price": 6}
    spot_only = offers_of(aws, shape=["p5e.48xlarge", "trn1.32xlarge"], market="spot")
    listed = {(o.shape, o.zone) for o in offers_of(aws, shape=["p5e.48xlarge", "trn1.32xlarge"], market="on-demand")}
    assert len([o for o in spot_only if (o.shape, o.zone) not in listed]) == 4


# 4. Row price against GPU price.


def test_04_prices_of_nodes_and_of_accelerators_are_told_apart():
    assert offers_of(cloud("aws"), shape="p5.48xlarge")[0].price_per_accelerator_hour == Decimal(12)
    vultr = offers_of(sample("gpurentalprices_daily.csv"), provider="vultr")[0]
    assert (vultr.price_per_accelerator_hour, vultr.price_per_node_hour) == (Decimal("2.4"), Decimal("19.2"))


def test_04_real_p5_is_12_29_per_gpu(everything):
    found = offers_of(everything[0]["2024-05-01/aws.csv"], shape="p5.48xlarge", region="us-east-1", market="on-demand")
    assert {o.price_per_accelerator_hour for o in found} == {Decimal("12.29")}
    assert {o.price_per_node_hour for o in found} == {Decimal("98.32")}


# 5. GCP is two rows.


def test_05_a_gcp_node_is_accelerator_plus_host():
    gcp = cloud("gcp")
    (node,) = offers_of(gcp, region="europe-west4", market="on-demand")
    assert node.price_per_node_hour == Decimal("110.0")
    assert (node.shape, node.vcpus, node.flags) == ("a3-highgpu-8g", 208, ("host-included",))
    (spot,) = offers_of(gcp, region="europe-west4", market="spot")
    assert spot.price_per_node_hour == Decimal("20.0")
    assert len(flagged(gcp, "accelerator-only", accelerator="T4")) == 2, "T4 hangs on any n1"
    assert len(flagged(gcp, "accelerator-only", accelerator="B200")) == 2, "its host has no price"


def test_05_a_tpu_slice_is_priced_whole_and_counted_in_chips():
    slice_ = offers_of(cloud("gcp"), accelerator="TPU v5p", market="on-demand")[0]
    assert (slice_.shape, slice_.count, slice_.price_per_node_hour) == ("tpu-v5p-8", 4, Decimal("16.8"))
    assert slice_.price_per_accelerator_hour == Decimal("4.2")
    assert slice_.flags == ()


def test_05_real_gcp_node(everything):
    results, _ = everything
    found = offers_of(results["2025-05-07/gcp.csv"], shape="a3-highgpu-8g", region="europe-west4", market="on-demand")
    assert {o.price_per_node_hour for o in found} == {Decimal("101.88413") + Decimal("9.93306")}


# 6. Wrong SKU: sources that disagree are flagged, not averaged.


def test_06_real_disagreement_is_flagged_and_both_prices_stay(everything):
    there = standing(everything[1], date(2025, 5, 7))
    rows = there.where(shape="a3-highgpu-8g", region="us-central1", market="on-demand")
    found = there.offers(rows)
    assert {round(o.price_per_node_hour, 2) for o in found} == {Decimal("46.02"), Decimal("88.49")}
    assert all("sources-disagree" in o.flags for o in found)
    megas = there.offers(there.where(shape="a3-megagpu-8g", region="us-central1", market="on-demand"))
    assert megas
    assert not any("sources-disagree" in o.flags for o in megas)


# 7. Spot above on-demand.


def test_07_a_spot_price_that_is_not_below_says_so():
    assert len(flagged(cloud("gcp"), "spot-above-on-demand", region="asia-northeast1")) == 1
    assert len(flagged(cloud("azure"), "spot-equals-on-demand", shape="Standard_ND96isr_H100_v5")) == 1
    assert len(flagged(cloud("aws"), "spot-equals-on-demand", shape="g5.48xlarge")) == 1, "equal to four decimals"
    assert not flagged(cloud("aws"), "spot-equals-on-demand", shape="p5.48xlarge")


def test_07_real_gcp_has_twelve(everything):
    gcp = everything[0]["2025-05-07/gcp.csv"]
    lines = {o.source for o in flagged(gcp, "spot-above-on-demand")}
    assert len(lines) == 12


# 8. Duplicates.


def test_08_an_exact_repeat_counts_once_and_other_prices_of_one_key_stay():
    gcp = cloud("gcp")
    assert gcp.kinds["repeat"] == 1
    assert len(offers_of(gcp, accelerator="TPU v4")) == 1
    variants = offers_of(sample("gpurentalprices_daily.csv"), accelerator="RTX PRO 6000", as_of=date(2026, 1, 1))
    assert sorted(o.price_per_accelerator_hour for o in variants) == [Decimal("1.5"), Decimal("1.7")]


def test_08_real_repeats(everything):
    assert everything[0]["2025-05-07/gcp.csv"].kinds["repeat"] == 154


# 9. Listed is not available.


def test_09_who_lists_everything_everywhere_is_marked():
    assert all("listed-only" in o.flags for name in ("lambda", "oci") for o in offers_of(cloud(name)))
    assert not flagged(cloud("aws"), "listed-only")


# 10. Placeholder prices.


def test_10_an_auction_floor_is_a_placeholder():
    assert {o.market for o in flagged(cloud("mithril"), "placeholder")} == {"on-demand", "spot"}


def test_10_an_unknown_placeholder_is_found_beside_its_neighbours(tmp_path):
    text = (SAMPLES / "skypilot/2025-01-15/mithril.csv").read_text()
    unknown = read_file(written(tmp_path, "newcloud.csv", text), seen_at=DAY)
    assert not flagged(unknown, "placeholder"), "nothing is known of newcloud itself"
    others = [cloud(name) for name in ("aws", "azure", "oci", "lambda", "nebius", "vast")]
    together = standing(assemble([result.loaded.offers for result in (unknown, *others)]), DAY)
    found = together.offers(together.where(provider="newcloud", market="on-demand"))
    assert [o.flags for o in found] == [("ambiguous-accelerator", "placeholder")]
    assert not together.has("placeholder")[together.where(provider="lambda")].any()


def test_10_real_placeholders_and_zeros_do_not_win(everything):
    for day in (date(2023, 8, 15), date(2024, 5, 1), date(2025, 5, 7), date(2026, 8, 10)):
        table = standing(everything[1], day)
        rows = table.where(accelerator="H100", market="on-demand", without=NOT_A_PRICE | DOUBTFUL)
        price = table.floats("usd_per_accelerator_hour")[rows]
        assert price.min() > 1.2, day


# 11. Names.


def test_11_names_resolve_by_what_stands_beside_them():
    assert {o.accelerator for o in offers_of(cloud("azure"), shape="Standard_NC40ads_H100_v5")} == {"H100 NVL"}
    assert {o.accelerator for o in offers_of(cloud("azure"), shape="Standard_ND96isr_H100_v5")} == {"H100 SXM"}
    (lambda_,) = offers_of(sample("fsdl_2024-03-01_cloud-gpus.csv"), provider="lambda")
    assert lambda_.accelerator is None
    assert set(lambda_.candidates) >= {"H100 SXM", "H100 PCIe"}
    assert lambda_.flags == ("ambiguous-accelerator",)
    (fpga,) = offers_of(cloud("aws"), shape="f1.2xlarge")
    assert (fpga.accelerator, fpga.accelerator_raw, fpga.flags) == (
        None,
        "Virtex UltraScale (VU9P)",
        ("not-accelerator",),
    )


def test_11_real_names_are_hardly_ever_unknown(everything):
    table = everything[1]
    assert table.has("unknown-accelerator").mean() < 0.002
    assert table.has("ambiguous-accelerator").mean() < 0.06


# 12. GpuInfo.


@pytest.mark.parametrize(
    ("info", "gib"),
    [
        (
            "{'Gpus': [{'Name': 'H100', 'Count': 8, 'MemoryInfo': {'SizeInMiB': 81920}}], 'TotalGpuMemoryInMiB': 1}",
            "80",
        ),
        ('{"Gpus": [{"Name": "A", "MemoryInfo": {"SizeInMiB": 40960}}], "TotalGpuMemoryInMiB": 327680}', "40"),
        ("{'Gpus': [{'Name': 'A', 'Manufacturer': null, 'MemoryInfo': {'SizeInMiB': 81920}}]}", "80"),
        ("{'Gpus': [{'MemoryInfo': {'SizeInMiB': 16384}}]}", "16"),
        ("{'Gpus': [{'MemoryInfo': {'SizeInMi", ""),
        ("H100", ""),
        ("", ""),
    ],
)
def test_12_gpu_info_in_all_its_forms(info, gib):
    found = chip_memory_gib(info)
    assert (float(found) if found else "") == (float(gib) if gib else "")


def test_12_the_form_factor_is_read_where_it_is_named():
    assert form_factor("{'Gpus': [{'Name': 'NVIDIA H100 PCIe'}]}") == "PCIe"
    assert form_factor("{'Gpus': [{'Name': 'NVIDIA H100 80GB HBM3'}]}") == ""


# 13. Numbers.


def test_13_counts_and_ranges_as_sources_write_them():
    assert {o.count for o in offers_of(cloud("aws"))} == {1, 8}
    assert cloud("nebius").kinds == {"offer": 1, "machine": 1}, "count 0 without a name is a machine"
    (dataoorts,) = offers_of(sample("fsdl_2024-03-01_cloud-gpus.csv"), provider="dataoorts")
    assert (dataoorts.vcpus, dataoorts.memory_gib) == (20, 150)
    assert cloud("azure").kinds["part"] == 1
    assert cloud("azure").kinds["unnamed"] == 1


# 14. Regions.


def test_14_regions_in_one_spelling():
    regions, zones = places(
        ["Denmark, DK, EU", ", CA, NA", "eu-frankfurt-1", "CA", "us-east-1"],
        ["", "", "EU-FRANKFURT-1-AD-1", "CA-MTL-1", "use1-az1"],
    )
    assert regions == ["DK", "CA", "eu-frankfurt-1", "CA", "us-east-1"]
    assert zones == ["Denmark", "", "eu-frankfurt-1-AD-1", "CA-MTL-1", "use1-az1"]


# 15. Currency.


def test_15_yuan_are_not_dollars():
    found = offers_of(sample("history/aws_ondemand_changes.csv"), region="cn-north-1")
    assert [(o.currency, o.flags) for o in found] == [("CNY", ("foreign-currency",))]
    table = sample("history/aws_ondemand_changes.csv").loaded.offers
    assert np.isnan(table.floats("usd_per_node_hour")[table.where(region="cn-north-1")]).all()


def test_15_a_source_that_says_nothing_is_corrected_by_the_rule(tmp_path):
    text = (SAMPLES / "skypilot/2025-01-15/aws.csv").read_text().replace("us-east-1", "cn-north-1")
    found = offers_of(read_file(written(tmp_path, "aws.csv", text), seen_at=DAY), region="cn-north-1")
    assert {o.currency for o in found} == {"CNY"}


# 16. Staleness differs by file.


def test_16_each_file_has_its_own_age(everything):
    table = standing(everything[1], date(2024, 5, 1))

    def newest(provider):
        rows = table.where(provider=provider, feed="skypilot")
        return {o.seen_at for o in table.offers(rows)}, bool(table.has("stale")[rows].all())

    assert newest("aws") == ({date(2024, 5, 1)}, False)
    assert newest("azure") == ({date(2023, 12, 8)}, True)
    assert newest("oci") == ({date(2023, 6, 8)}, True)


def test_16_a_provider_carried_forward_keeps_its_last_real_day():
    daily = sample("gpurentalprices_daily.csv").loaded.offers
    carried = [o for o in daily.offers(daily.where(provider="vultr")) if "carried-forward" in o.flags]
    assert [(o.first_seen, o.seen_at) for o in carried] == [(date(2026, 1, 2), date(2026, 1, 1))]
    (json_row,) = flagged(sample("gpurentalprices_2026-01-04.json"), "carried-forward")
    assert (json_row.provider, json_row.seen_at) == ("vultr", date(2026, 1, 3))


def test_16_a_file_that_did_not_change_is_as_old_as_its_first_sighting(tmp_path):
    text = (SAMPLES / "skypilot/2025-01-15/lambda.csv").read_text()
    for day in ("2024-01-08", "2024-11-03"):
        save(tmp_path, [read_file(written(tmp_path, f"{day}/lambda.csv", text))])
    table = open_catalog(tmp_path, date(2024, 12, 1))
    assert {o.seen_at for o in table.offers(table.where(provider="lambda", feed="skypilot"))} == {date(2024, 1, 8)}


# 17. Empty catalogue.


def test_17_a_refresh_never_replaces_good_data_by_nothing(tmp_path):
    good = (SAMPLES / "skypilot/2025-01-15/azure.csv").read_text()
    save(tmp_path, [read_file(written(tmp_path, "2025-01-15/azure.csv", good))])
    before = open_catalog(tmp_path, date(2025, 2, 1))
    header = good.splitlines()[0] + "\n"
    refused = header + "Standard_NC40ads_H100_v5,H100,1,40,320,H100,0.0,0.0,eastus,V1\n"
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    for text, why in ((header, "header-only"), ("", "empty-file"), (pointer, "lfs-pointer"), (refused, "nothing-kept")):
        for day in ("2025-01-15", "2025-01-20"):  # the same file again, and a newer one
            result = read_file(written(tmp_path, f"{day}/azure.csv", text))
            assert (result.failure, result.usable) == (why, False)
            assert save(tmp_path, [result]) == []
    after = open_catalog(tmp_path, date(2025, 2, 1))
    assert after.offers(range(len(after))) == before.offers(range(len(before)))


# 18. CPU rows dominate.


def test_18_real_machines_outnumber_offers_and_do_not_get_between_them(everything):
    azure = everything[0]["2026-04-10/azure.csv"]
    assert azure.kinds["machine"] == 60448 - 892 - 21
    assert azure.offers < 2000
    assert (azure.loaded.offers.ints("count") > 0).all()


# 19. Typos upstream.


def test_19_a_price_that_moved_between_versions_is_kept_as_it_was_seen(tmp_path):
    text = (SAMPLES / "skypilot/2025-01-15/oci.csv").read_text()
    old = table_in(written(tmp_path, "2024-01-01/oci.csv", text.replace(",80,", ",3.316,")))
    new = table_in(written(tmp_path, "2025-01-01/oci.csv", text.replace(",80,", ",3.136,")))
    table = assemble([new, old])
    seen = {day: standing(table, day).offers([0])[0].price_per_node_hour for day in (date(2024, 6, 1), DAY)}
    assert seen == {date(2024, 6, 1): Decimal("3.316"), DAY: Decimal("3.136")}


# The whole folder.


def test_no_row_of_the_shared_folder_is_lost(everything):
    results, _ = everything
    assert sum(result.rows for result in results.values()) == 160_603
    assert all(result.rows == result.kept + result.quarantined for result in results.values())
    reasons = Counter(reason for result in results.values() for reason in result.reasons)
    assert set(reasons) == {"no-price", "zero-price"}
    assert not [result.label for result in results.values() if result.failure]


def test_h100_at_three_dates(everything):
    def cheapest(day):
        table = standing(everything[1], day)
        rows = table.where(accelerator="H100", market="on-demand", without=NOT_A_PRICE | DOUBTFUL)
        price = table.floats("usd_per_accelerator_hour")[rows]
        return table.row(int(rows[np.argmin(price)]))

    early, middle, late = (cheapest(day) for day in (date(2023, 8, 15), date(2025, 5, 7), date(2026, 4, 29)))
    assert early.seen_at <= date(2023, 8, 15)
    assert (early.provider, early.price_per_accelerator_hour) == ("lambda", Decimal("1.99"))
    assert (middle.provider, middle.price_per_accelerator_hour) == ("hyperstack", Decimal("1.9"))
    assert late.price_per_accelerator_hour > 1
    assert late.seen_at > date(2026, 1, 1)


def test_counts_of_instance_types_agree_with_every_catalogue(everything):
    from sublet.catalog.rules import accelerators_in

    table = everything[1]
    seen = set()
    for row in table.where(feed="skypilot", provider=["aws", "lambda", "oci"]):
        offer = (table.texts["provider"].word(row), table.texts["shape"].word(row), int(table.numbers["count"][row]))
        if offer not in seen and not table.has("not-accelerator")[row]:
            seen.add(offer)
            assert accelerators_in(offer[0], offer[1]) == offer[2], offer


def test_other_days_and_clouds_need_no_change_of_code(everything, tmp_path, shared):
    folder = shared / "offers" / "skypilot" / "2025-05-07"
    names = ("vast.csv", "hyperstack.csv", "nebius.csv")
    for name in names:
        text = (folder / name).read_bytes()
        written(tmp_path / "2027-03-04", name, text)
        written(tmp_path / "2027-03-04", f"unheardof-{name}", text)
    results = [read_file(path) for path in sorted((tmp_path / "2027-03-04").iterdir())]
    assert all(result.usable and result.rows == result.kept for result in results)
    table = concat([result.loaded.offers for result in results if result.loaded])
    assert {date.fromordinal(day) for day in table.ints("first").tolist()} == {date(2027, 3, 4)}
