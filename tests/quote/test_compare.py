import pytest
from quote_fakes import CHIPS, FACTS, FLOP, TODAY, chip, estimate, job, offer, plan, replace  # type: ignore[import-not-found]

from sublet.catalog.accelerator import Accelerator
from sublet.errors import InputError
from sublet.estimate.result import Estimate
from sublet.quote.columns import from_offers
from sublet.quote.compare import compare, sibling_with_full_links
from sublet.quote.value import DOUBTFUL, FIRM

FULL: Accelerator = CHIPS["Fast"]
HALF = chip("Half", 1000.0, scale_up_bytes_per_s=200e9, launch=None)


def link_bound(asked, machines):
    """A fifth of the step at full links is on the link; the rest is the fake's own."""

    def one(machine):
        found = estimate(machine)
        if not isinstance(found, Estimate):
            return found
        slower = 0.8 + 0.2 * 450e9 / machine.fabric.scale_up_bytes_per_s
        return replace(found, step_s=found.step_s.scaled(slower), run_s=found.run_s.scaled(slower))

    return [one(machine) for machine in machines]


def facts():
    chips = {**CHIPS, "Half": HALF}

    def fabric(accelerator, shape, per_node, provider):
        found = FACTS.fabric(accelerator, shape, per_node, provider)
        return replace(found, scale_up_bytes_per_s=accelerator.scale_up_bytes_per_s)

    return replace(
        FACTS,
        accelerator=chips.get,
        known=lambda: tuple(chips),
        names=lambda spelling: (spelling,) if spelling in chips else FACTS.names(spelling),
        fabric=fabric,
    )


def compared(spellings, offers=(), count=512, asked=None, precisions=(), plan=plan):
    return compare(
        asked or job(),
        spellings,
        count,
        precisions=precisions,
        columns=from_offers(list(offers)),
        as_of=TODAY,
        facts=facts(),
        plan=plan,
    ).contenders


def test_chips_stand_side_by_side_in_the_order_asked_for():
    slow, fast = compared(["slow", "fast"], [offer(price="2.00")])
    assert (slow.accelerator.name, fast.accelerator.name) == ("Slow", "Fast")
    assert slow.estimate.run_s.p50 / fast.estimate.run_s.p50 == pytest.approx(1000 / 300)
    assert slow.cost is None
    assert float(fast.cost.p50) == pytest.approx(FLOP / 4e14 / 3600 * 2)


def test_half_links_are_compared_with_the_same_chip_with_full_links():
    half, full = compared(["Half", "fast"], plan=link_bound)
    assert half.full_links.sibling == "Fast"
    assert half.full_links.links == pytest.approx(200 / 450)
    slow = 0.8 + 0.2 * 450 / 200
    assert half.full_links.share_lost == pytest.approx(1 - 1 / slow)
    assert half.full_links.step_s == pytest.approx(full.estimate.step_s.p50)
    assert full.full_links is None


def test_a_sibling_differs_only_by_its_links():
    known = {c.name: c for c in (FULL, HALF, chip("Other", 500.0), chip("Bigger", 1000.0, memory=160e9))}
    assert sibling_with_full_links(HALF, known) is FULL
    assert sibling_with_full_links(FULL, known) is None
    assert sibling_with_full_links(replace(HALF, peak_flops={"bf16": 5e14}), {"Fast": FULL}) is None
    assert sibling_with_full_links(replace(HALF, scale_up_bytes_per_s=None), known) is None


def test_a_refused_chip_is_named_with_its_reason():
    torus, small = compared(["torus", "small"])
    assert torus.estimate is None
    assert "PyTorch does not run on Torus" in torus.reason
    assert "needs 30 GB" in small.reason


def test_the_export_rule_refuses_by_name():
    [fast] = compared(["fast"], asked=job(country="CN"))
    assert fast.reason.startswith("export: Fast needs a licence for CN")


def test_performance_per_dollar_of_purchase_price():
    [fast] = compared(["fast"])
    assert fast.tokens_per_s_per_kusd == pytest.approx(1e6 / (512 * 30))


def test_the_lowest_firm_price_is_taken_and_old_ones_only_where_there_is_none():
    old = offer("old", price="0.10", seen_at=TODAY.replace(year=2024))
    older = offer("older", price="0.05", seen_at=TODAY.replace(year=2023))
    [fast] = compared(["fast"], [old, offer("a", price="3.00"), offer("b", price="2.00")])
    assert (fast.price.offer.provider, fast.price.trust, fast.price.age_days) == ("b", FIRM, 0)
    [fast] = compared(["fast"], [old, older])
    assert (fast.price.offer.provider, fast.price.trust) == ("old", DOUBTFUL)


def test_a_price_on_the_network_compared_comes_before_a_lower_one_on_a_slower_network():
    slow = offer("slow", price="1.00", count=1, minimum_accelerators=1)  # nodes of one chip
    fast, [alone] = compared(["fast"], [slow, offer("fast", price="2.00")])[0], compared(["fast"], [slow])
    assert (fast.price.offer.provider, fast.price.slower_network) == ("fast", False)
    assert (alone.price.offer.provider, alone.price.slower_network) == ("slow", True)


@pytest.mark.parametrize(
    "unusable",
    [
        {"minimum_accelerators": 1024},
        {"count": 7},
        {"market": "spot"},
        {"flags": ("placeholder",)},
        {"currency": "CNY"},
        {"accelerator": None, "candidates": ("Fast", "Slow")},
    ],
)
def test_a_price_that_does_not_apply_is_not_taken(unusable):
    [fast] = compared(["fast"], [offer(**unusable)])
    assert fast.price is None
    assert fast.cost is None


def test_several_precisions_give_a_row_each():
    found = compared(["fast", "slow"], precisions=("bf16", "fp8"))
    assert [(c.accelerator.name, c.precision) for c in found] == [
        ("Fast", "bf16"),
        ("Fast", "fp8"),
        ("Slow", "bf16"),
        ("Slow", "fp8"),
    ]


@pytest.mark.parametrize(("spellings", "count", "message"), [([], 8, "no accelerators"), (["fast"], 0, "count 0")])
def test_bad_questions_are_refused(spellings, count, message):
    with pytest.raises(InputError, match=message):
        compared(spellings, count=count)
