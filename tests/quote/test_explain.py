import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quote_fakes import estimate, job, offer, patient, plan, priced, replace  # type: ignore[import-not-found]

from sublet.errors import InputError
from sublet.quote import document
from sublet.quote.explain import explain, order_sentence
from sublet.quote.view import select

OFFERS = [offer("alpha", "Fast", "2.00"), offer("beta", "Slow", "1.00"), offer("gamma", "Slow", "3.00")]


def told(row=1, offers=OFFERS, **other):
    return explain(select(priced(offers, job(counts=(512,)))), row, other.get("plan"))


def test_parts_of_the_step_are_the_estimators_own():
    found = told()
    assert [name for name, _, _ in found.parts] == ["matrix multiplications", "exposed network"]
    assert sum(share for _, _, share in found.parts) == pytest.approx(1.0)
    assert dict(found.memory) == {"activations": 20e9, "weights": 10e9}


@patient
@given(st.integers(1, 400), st.integers(1, 400))
def test_at_its_crossover_price_a_quote_costs_as_much_as_the_other(first, second):
    offers = [
        offer("alpha", "Fast", str(Decimal(first) / 100)),
        offer("beta", "Slow", str(Decimal(second) / 100)),
    ]
    found = select(priced(offers, job(counts=(512,))))
    own, rival = found.quotes
    [crossing] = explain(found, 1).crossovers
    hours = own.days.p50 * 24
    assert float(crossing.price_per_accelerator_hour) * 512 * hours == pytest.approx(
        float(rival.cost.p50), abs=0.0001 * 512 * hours
    )
    assert crossing.change >= -1e-9  # the cheaper one stays ahead until it gets dearer


def test_the_crossover_moves_the_order():
    found = select(priced(OFFERS[:2], job(counts=(512,))))
    [crossing] = explain(found, 1).crossovers
    above = crossing.price_per_accelerator_hour + Decimal("0.01")
    moved = [replace(OFFERS[0], price_per_node_hour=above * 8, price_per_accelerator_hour=above), OFFERS[1]]
    assert select(priced(moved, job(counts=(512,)))).quotes[0].offer.provider == "beta"


def test_a_lower_row_is_compared_with_the_first_and_its_neighbours():
    offers = [
        offer(name, accelerator, price) for name, accelerator, price in (("a", "Fast", "2.00"), ("b", "Slow", "1.00"))
    ]
    found = select(priced(offers, job(counts=(256, 512))))
    assert [crossing.other for crossing in explain(found, 3).crossovers] == [1, 2, 4]
    assert "it costs as much as #1" in order_sentence(explain(found, 3))


def test_what_if_asks_the_estimator_again():
    found = told(plan=plan)
    best = found.what_ifs[0]
    assert best.change == "twice the compute rate"
    assert best.share == pytest.approx(0.5)
    assert best.days.p50 == pytest.approx(found.quote.days.p50 / 2)
    assert "twice the network between nodes" in {case.change for case in found.what_ifs}


def test_every_figure_says_where_it_comes_from():
    doubtful = offer("murky", None, "1.00", candidates=("Fast", "Slow"), source_url="https://example.org/prices")
    figures = told(1, [doubtful]).figures
    by_name = dict(figures)
    assert "feed:file.csv:1, seen 2026-08-10, https://example.org/prices" in by_name["price"]
    assert "may be Fast or Slow" in by_name["accelerator"]
    assert "assumed 50 GB/s" in by_name["assumed"]
    assert "fake" in by_name["step time"]


@pytest.mark.parametrize("row", [0, 4, -1])
def test_a_row_that_is_not_there(row):
    with pytest.raises(InputError, match=f"row {row} is not in the list: it has 1 to 2"):
        told(row, OFFERS[:2])


def test_the_document_has_the_fields_that_programs_rely_on():
    found = select(priced([*OFFERS, offer("s", "Small")], job(counts=(512,))), "best", 0)
    said = json.loads(json.dumps(document.document(found), allow_nan=False))
    assert said["schema"] == "sublet.quote/1"
    assert said["as_of"] == "2026-08-10"
    assert said["job"]["tokens"] == 1e12
    first = said["quotes"][0]
    assert set(first) >= {
        "accelerator", "count", "shape", "provider", "region", "market", "days", "cost", "price_per_accelerator_hour",
        "price_seen_at", "price_source", "exaflop_per_usd", "memory", "layout", "bottleneck", "flags",
    }  # fmt: skip
    assert set(first["days"]) == {"p10", "p50", "p90"}
    assert set(first["cost"]) == {"p10", "p50", "p90", "currency"}
    assert set(first["memory"]) >= {"verdict", "bytes"}
    assert [quote["rank"] for quote in said["quotes"]] == [1, 2, 3]
    assert said["rejected"] == [
        {
            "accelerator": "Small",
            "reason": "memory: needs 30 GB, offers 16 GB",
            "kind": "memory",
            "count": 512,
            "offers": 1,
            "miss": 1.875,
        }
    ]


def test_an_energy_that_is_not_known_is_null_and_not_nan():
    def powerless(asked, machines):
        nothing = float("nan")
        return [
            replace(found, energy_j=replace(found.energy_j, p10=nothing, p50=nothing, p90=nothing))
            for found in map(estimate, machines)
        ]

    found = select(priced([offer()], estimator=powerless))
    assert json.loads(json.dumps(document.document(found), allow_nan=False))["quotes"][0]["energy_kwh"] is None


def test_the_explanation_is_a_document_too():
    said = json.loads(json.dumps(document.explanation(told(plan=plan)), allow_nan=False))
    assert said["quote"]["rank"] == 1
    assert said["crossovers"][0]["rank"] == 2
    assert {entry["figure"] for entry in said["figures"]} >= {"price", "step time", "goodput"}


def test_a_csv_row_has_every_column():
    [quote] = select(priced([offer()])).quotes
    row = dict(zip(document.CSV_COLUMNS, document.csv_row(quote), strict=True))
    assert row["cost_p50"] == quote.cost.p50
    assert row["days_p90"] == pytest.approx(quote.days.p90, abs=1e-3)
    assert row["memory_verdict"] == "fits"
    assert row["provider"] == "alpha"
