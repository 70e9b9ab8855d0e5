"""Each format, from a small file of its kind: what becomes an offer, and that no row is lost."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from offers_kit import DAY, SAMPLES, cloud, offers_of, own_table, sample, table_in, written

from sublet.catalog import loaders
from sublet.catalog.importing import read_file
from sublet.catalog.loaders import LOADERS
from sublet.catalog.loaders.draft import amount, price_text
from sublet.catalog.loaders.outcome import KINDS
from sublet.catalog.loaders.sheet import read_sheet

FORMATS = {
    "skypilot/2025-01-15/aws.csv": "skypilot",
    "gpuhunt_runpod_2025-02-01.csv": "gpuhunt",
    "tpu_2025-02-01.csv": "gpuhunt",
    "fsdl_2024-03-01_cloud-gpus.csv": "fsdl",
    "fsdl_2024-03-01_serverless-gpus.csv": "fsdl",
    "gpurentalprices_daily.csv": "gpurentalprices",
    "gpurentalprices_2026-01-04.json": "gpurentalprices",
    "gpurentalprices_failures.csv": "gpurentalprices",
    "history/aws_ondemand_changes.csv": "changes",
    "history/gcp_changes.csv": "changes",
    "history/lambda_changes.csv": "changes",
    "history/aws_spot_weekly.csv": "changes-series",
    "history/aws_spot_advisor_2025-06-28.csv": "facts",
    "accelerators_index.csv": "facts",
    "tardellirs_2026-05-24.csv": "tardellirs",
    "own.csv": "sublet",
}


@pytest.mark.parametrize(("name", "form"), FORMATS.items())
def test_the_header_tells_the_format_whatever_the_file_is_called(name, form, tmp_path):
    source = SAMPLES / name
    renamed = written(tmp_path / "aws", f"renamed{source.suffix}", source.read_bytes())
    result = read_file(renamed, seen_at=DAY)
    assert result.format == form
    assert sum(loader.fits(read_sheet(renamed)) for loader in LOADERS) == 1


@pytest.mark.parametrize("path", sorted(SAMPLES.rglob("*.[cj]s*")), ids=lambda path: path.name)
def test_every_row_has_one_fate(path):
    result = read_file(path)
    assert result.rows == result.kept + result.quarantined
    assert result.kept == sum(result.kinds.values())
    assert result.quarantined == sum(result.reasons.values()) == len(result.refused)
    assert set(result.kinds) <= set(KINDS)
    assert all(row.line > 1 for row in result.refused if path.suffix == ".csv")


def test_an_unknown_table_loses_nothing_and_says_so(tmp_path):
    result = read_file(written(tmp_path, "menu.csv", "dish,price\nsoup,3\nfish,9\n"))
    assert (result.format, result.rows, result.kept, result.quarantined) == (None, 2, 0, 2)
    assert result.reasons == {"unknown-format": 2}
    assert "dish, price" in result.message


@pytest.mark.parametrize(
    ("cell", "text", "why"),
    [
        ("98.320000", "98.32", ""),
        ("$1,234.50", "1234.5", ""),
        (" 4.760000000100001 ", "4.760000000100001", ""),
        ("1e-3", "0.001", ""),
        ("0", "", "zero-price"),
        ("0.00", "", "zero-price"),
        ("", "", "no-price"),
        ("N/A", "", "no-price"),
        ("-1", "", "negative-price"),
        ("call us", "", "bad-price"),
        ("inf", "", "bad-price"),
        ("99999999", "", "bad-price"),
    ],
)
def test_prices(cell, text, why):
    assert price_text(cell) == (text, why)


def test_of_a_range_the_lower_end_counts():
    assert amount("20-26") == 20
    assert amount("8.0") == 8
    assert amount("") != amount("")


def test_a_node_with_both_prices_gives_two_offers_of_one_row():
    found = offers_of(cloud("aws"), shape="p5.48xlarge")
    assert [(o.market, o.price_per_accelerator_hour, o.zone) for o in found] == [
        ("on-demand", Decimal(12), "use1-az1"),
        ("on-demand", Decimal(12), "use1-az2"),
        ("spot", Decimal(5), "use1-az1"),
    ]
    assert {o.accelerator for o in found} == {"H100 SXM"}
    assert found[0].source == "skypilot:2025-01-15/aws.csv:2"
    assert (found[0].vcpus, found[0].memory_gib, found[0].minimum_accelerators) == (192, 2048, 8)
    assert (found[0].seen_at, found[0].currency) == (DAY, "USD")


def test_machines_without_an_accelerator_are_kept_apart():
    result = cloud("aws")
    machines = result.loaded.machines
    assert [(o.shape, o.market, o.count) for o in machines.offers(range(len(machines)))] == [
        ("m5.large", "on-demand", 0),
        ("m5.large", "spot", 0),
    ]
    assert result.kinds["machine"] == 1


def test_gpuhunt_items_are_priced_by_the_instance():
    found = offers_of(sample("gpuhunt_runpod_2025-02-01.csv"))
    assert [(o.provider, o.market, o.price_per_node_hour, o.count) for o in found] == [
        ("runpod", "on-demand", Decimal("2.99"), 1),
        ("runpod", "spot", Decimal("1.75"), 1),
    ]
    assert found[0].region == "US-KS-2"


def test_gpuhunt_tpu_prices_are_per_chip():
    found = offers_of(sample("tpu_2025-02-01.csv"))
    assert {(o.accelerator, o.market, o.price_per_accelerator_hour) for o in found} == {
        ("TPU v5e", "on-demand", Decimal("1.2")),
        ("TPU v5e", "spot", Decimal("0.5")),
        ("TPU v4", "on-demand", Decimal("3.2")),
        ("TPU v4", "spot", Decimal("3.7")),
    }
    assert all(o.per_accelerator and o.provider == "gcp" for o in found)
    assert [o.flags for o in found if o.price_per_accelerator_hour == Decimal("3.7")] == [("spot-above-on-demand",)]


def test_fsdl_prices_are_for_the_row():
    result = sample("fsdl_2024-03-01_cloud-gpus.csv")
    (aws,) = offers_of(result, provider="aws")
    assert (aws.price_per_node_hour, aws.price_per_accelerator_hour, aws.count) == (Decimal(40), Decimal(5), 8)
    assert aws.accelerator == "A100 SXM 80GB", "the instance type tells the form factor"
    azure = offers_of(result, provider="azure")
    assert {(o.shape, o.market) for o in azure} == {
        ("Standard_ND96amsr_A100_v4", "on-demand"),
        ("Standard_ND96amsr_A100_v4", "spot"),
    }
    (multiplied,) = offers_of(result, provider="fluidstack")
    assert multiplied.price_per_node_hour == Decimal("1.6"), "only the price per GPU is stated"
    (mismatch,) = offers_of(result, provider="cudo")
    assert "price-mismatch" in mismatch.flags


def test_a_part_of_an_accelerator_is_known_and_no_offer():
    serverless = sample("fsdl_2024-03-01_serverless-gpus.csv")
    assert serverless.kinds == {"offer": 1, "part": 1}
    assert [o.market for o in offers_of(serverless)] == ["serverless"]


def test_eight_of_a_listed_memory_that_the_chip_has_not_are_no_parts(tmp_path):
    text = (SAMPLES / "skypilot/2025-01-15/lambda.csv").read_text()
    odd = text.replace("81920", "40960").replace("gpu_8x_h100_sxm5", "box")
    result = read_file(written(tmp_path, "lambda.csv", odd), seen_at=DAY)
    assert result.kinds == {"offer": 2}
    assert all("ambiguous-accelerator" in offer.flags for offer in offers_of(result))
    single = odd.replace("H100,8.0", "H100,1").replace("8.0,208", "1,208")
    assert read_file(written(tmp_path, "lambda.csv", single), seen_at=DAY).kinds == {"part": 2}


def test_gpurentalprices_days_become_intervals():
    found = offers_of(sample("gpurentalprices_daily.csv"), accelerator="H100 SXM", provider="runpod")
    assert [(o.price_per_accelerator_hour, o.first_seen, o.seen_at) for o in found] == [
        (Decimal(3), date(2026, 1, 1), date(2026, 1, 2)),
        (Decimal("2.8"), date(2026, 1, 3), date(2026, 1, 3)),
    ]
    assert all(o.market == "on-demand" and o.per_accelerator for o in found)
    assert found[0].source_url == "https://www.example.org/runpod"


def test_gpurentalprices_json_is_the_same_source():
    found = offers_of(sample("gpurentalprices_2026-01-04.json"))
    assert [(o.provider, o.minimum_accelerators, o.count) for o in found] == [("runpod", 1, 1), ("vultr", 8, 8)]
    assert found[0].price_per_accelerator_hour == Decimal("2.7999999999999998"), "no digit of the source is lost"


def test_price_logs_become_intervals_per_market():
    result = sample("history/gcp_changes.csv")
    found = offers_of(result, shape="a3-highgpu-8g", market="on-demand")
    assert [(o.price_per_node_hour, o.first_seen, o.seen_at) for o in found] == [
        (Decimal(88), date(2024, 1, 10), date(2024, 6, 1)),
        (Decimal(86), date(2025, 1, 1), date(2025, 2, 1)),
    ]
    (year,) = [o for o in offers_of(result, market="reserved-1y") if o.first_seen == date(2024, 1, 10)]
    assert year.price_per_node_hour == Decimal(44530) / 730
    assert result.kinds["leave"] == 1
    assert result.dropped == {"zero-price": 1}
    (g2,) = offers_of(result, shape="g2-standard-96", market="spot")
    assert (g2.count, g2.accelerator) == (8, "L4")


def test_a_log_row_of_an_unknown_type_is_quarantined():
    result = sample("history/aws_ondemand_changes.csv")
    assert [(row.line, row.reason) for row in result.refused] == [(6, "no-accelerator")]


def test_weekly_snapshots_are_told_from_a_log():
    result = sample("history/aws_spot_weekly.csv")
    second = offers_of(result, market="on-demand")
    assert [(o.zone, o.first_seen, o.seen_at) for o in second if o.zone == "use1-az2"] == [
        ("use1-az2", date(2023, 1, 2), date(2023, 1, 9)),
        ("use1-az2", date(2023, 1, 23), date(2023, 1, 23)),
    ], "a snapshot without the row ends it"
    assert [o.price_per_node_hour for o in offers_of(result, market="spot")] == [Decimal(10), Decimal(12)]


def test_facts_without_a_price_are_kept_beside_the_offers():
    advisor = sample("history/aws_spot_advisor_2025-06-28.csv")
    assert advisor.kinds == {"fact": 2}
    assert advisor.loaded.facts.rows[0] == ("aws", "us-east-1", "p5.48xlarge", "57", "4", ">20%", "2025-06-28")
    assert sample("accelerators_index.csv").loaded.facts.name == "listings"
    assert sample("gpurentalprices_failures.csv").loaded.facts.name == "failures"


def test_tardellirs_caveats_become_flags_and_minimum():
    found = {o.provider: o for o in offers_of(sample("tardellirs_2026-05-24.csv"))}
    assert found["verda"].accelerator == "H100 SXM"
    assert found["novita"].market == "spot"
    assert "estimated" in found["novita"].flags
    assert found["vultr"].minimum_accelerators == 8
    assert found["akash"].market == "community"
    assert "marketplace" in found["akash"].flags


def test_own_rows_by_node_and_by_accelerator():
    node, single = sorted(offers_of(sample("own.csv")), key=lambda o: o.per_accelerator)
    assert (node.price_per_node_hour, node.count, node.shape) == (Decimal("20.4"), 8, "hgx-h100")
    assert (single.price_per_accelerator_hour, single.minimum_accelerators) == (Decimal("2.1"), 64)
    assert single.price_per_node_hour == Decimal("134.4")
    assert set(single.flags) == {"estimated", "foreign-currency"}
    assert single.currency == "EUR"
    assert node.source == "sublet:contract-7@samples/own.csv:2", "what the row says of its source is shown"


def test_an_own_node_of_which_the_price_of_one_accelerator_is_stated(tmp_path):
    table = own_table(tmp_path, {"price_per_node_hour": "", "price_per_accelerator_hour": "2.55"})
    offer = table.row(0)
    assert (offer.price_per_node_hour, offer.count, offer.per_accelerator) == (Decimal("20.4"), 8, False)


def test_flags_that_depend_on_the_day_are_not_read_from_a_file(tmp_path):
    assert own_table(tmp_path, {"flags": "stale|estimated|smelly"}).row(0).flags == ("estimated",)


def test_own_rows_as_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {
        "provider": ["acme"],
        "accelerator": ["H100 SXM"],
        "count": [8],
        "price_per_node_hour": [20.5],
        "seen_at": [date(2026, 2, 1)],
    }
    parquet.write_table(arrow.table(columns), tmp_path / "own.parquet")
    (offer,) = offers_of(read_file(tmp_path / "own.parquet"))
    assert (offer.price_per_node_hour, offer.count, offer.seen_at) == (Decimal("20.5"), 8, date(2026, 2, 1))


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"price_per_node_hour": "0"}, "zero-price"),
        ({"price_per_node_hour": ""}, "no-price"),
        ({"price_per_node_hour": "-3"}, "negative-price"),
        ({"price_per_node_hour": "cheap"}, "bad-price"),
        ({"count": "2.5"}, "bad-count"),
        ({"count": "none"}, "bad-count"),
        ({"provider": ""}, "no-provider"),
        ({"accelerator": ""}, "no-accelerator"),
        ({"seen_at": "last week"}, "no-date"),
    ],
)
def test_a_row_that_cannot_be_an_offer_says_why(tmp_path, row, why):
    with pytest.raises(AssertionError):
        own_table(tmp_path, row)
    result = read_file(tmp_path / "own.csv")
    assert (result.rows, result.kept) == (1, 0)
    assert result.reasons == {why: 1}
    assert result.failure == "nothing-kept"


def test_the_provider_comes_from_name_folder_or_instance_types(tmp_path):
    text = (SAMPLES / "skypilot/2025-01-15/aws.csv").read_text()
    for place in ("aws.csv", "aws_2025-01-15.csv", "aws/vms.csv", "x/vms.csv"):
        assert table_in(written(tmp_path, place, text), seen_at=DAY).vocabulary("provider") == ("aws",)
    odd = "InstanceType,AcceleratorName,AcceleratorCount,Price,Region\nbox-8,H100,8,20,eu-1\n"
    assert offers_of(read_file(written(tmp_path, "newcloud.csv", odd), seen_at=DAY))[0].provider == "newcloud"
    refused = read_file(written(tmp_path / "2025", "vms.csv", odd), seen_at=DAY)
    assert refused.failure == "no-provider"
    assert refused.quarantined == 1
    told = read_file(written(tmp_path / "2025", "vms.csv", odd), seen_at=DAY, provider="Oracle Cloud")
    assert offers_of(told)[0].provider == "oci"


def test_one_loader_at_most_claims_a_file():
    assert len({loader.__name__ for loader in LOADERS}) == len(LOADERS)
    assert loaders.LOADERS is LOADERS
