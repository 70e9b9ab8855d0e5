from decimal import Decimal
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from quote_fakes import FACTS, TODAY, estimate, fabric, job, offer, patient, replace  # type: ignore[import-not-found]

from sublet.estimate.result import Estimate
from sublet.quote.columns import from_offers
from sublet.quote.priced import price_all
from sublet.quote.view import select
from sublet.units import DAY_S, Money

NOWHERE = Path("no-such-home")  # nothing imported: the embedded offers alone

# eight fabrics: two sizes of domain, two links, two networks
FABRICS = {
    f"p{index}": replace(fabric(node=node), scale_up_bytes_per_s=link, scale_out_bytes_per_s=nic)
    for index, (node, link, nic) in enumerate(
        (n, up, out) for n in (1, 8) for up in (200e9, 450e9) for out in (5e9, 50e9)
    )
}
FACTS_BY_PROVIDER = replace(FACTS, fabric=lambda chip, shape, per_node, provider: FABRICS[provider])


def strictly_monotone(asked, machines):
    """The fake, slowed down by whatever of its fabric is slow."""

    def one(machine):
        found, own = estimate(machine), machine.fabric
        if not isinstance(found, Estimate):
            return found
        slow = 1.0 + 1e8 / own.scale_out_bytes_per_s + 0.1 / own.domain
        slow += 1e9 / own.scale_up_bytes_per_s if own.domain > 1 else 0.1
        return replace(found, run_s=found.run_s.scaled(slow), step_s=found.step_s.scaled(slow))

    return [one(machine) for machine in machines]


OFFERS = st.lists(
    st.builds(
        offer,
        provider=st.sampled_from(sorted(FABRICS)),
        accelerator=st.sampled_from(["Fast", "Slow", "Small"]),
        price=st.integers(100, 130).map(lambda cents: f"{cents / 100:.2f}"),
        region=st.sampled_from([None, "us-east-1"]),
        market=st.sampled_from(["on-demand", "spot"]),
        currency=st.sampled_from(["USD", "USD", "CNY"]),
        minimum_accelerators=st.sampled_from([8, 512]),
        seen_at=st.sampled_from([TODAY, TODAY, TODAY.replace(year=2024)]),
    ),
    min_size=2,
    max_size=16,
)
ASKED = st.fixed_dictionaries(
    {},
    optional={
        "deadline_s": st.sampled_from([20 * DAY_S, 30 * DAY_S, 60 * DAY_S]),
        "budget": st.sampled_from([Money(Decimal(300_000)), Money(Decimal(700_000))]),
    },
)


def essence(quote):
    own = quote.offer
    return (
        quote.rank,
        quote.accelerator,
        quote.count,
        own.provider,
        own.price_per_node_hour,
        quote.pareto,
        quote.similar,
    )


@patient
@given(OFFERS, ASKED, st.sampled_from(["best", "fastest", "cheapest", "pareto"]))
def test_leaving_out_what_is_beaten_changes_no_view(offers, constraints, view):
    wishes = {"counts": (256, 512), "markets": ("on-demand", "spot"), **constraints}
    shown = []
    for every in (True, False):
        priced = price_all(
            job(**wishes),
            from_offers(offers),
            as_of=TODAY,
            facts=FACTS_BY_PROVIDER,
            plan=strictly_monotone,
            every=every,
        )
        shown.append([essence(quote) for quote in select(priced, view, 50).quotes])
    assert shown[0] == shown[1]


def machines_asked_about(offers, every=False):
    asked = []

    def counting(job, machines):
        asked.append(len(machines))
        return strictly_monotone(job, machines)

    price_all(job(counts=(512,)), from_offers(offers), as_of=TODAY, facts=FACTS_BY_PROVIDER, plan=counting, every=every)
    return sum(asked)


def test_a_dearer_offer_on_a_worse_network_is_not_estimated():
    worse, better = offer("p6", price="2.00"), offer("p7", price="1.00")
    assert machines_asked_about([worse, better]) == 1
    assert machines_asked_about([worse, better], every=True) == 2


def test_a_cheaper_offer_on_a_worse_network_is_estimated():
    assert machines_asked_about([offer("p6", price="1.00"), offer("p7", price="2.00")]) == 2


def test_networks_that_are_better_in_one_respect_each_are_both_estimated():
    assert machines_asked_about([offer("p5", price="1.00"), offer("p6", price="1.00")]) == 2


def test_an_old_price_beats_no_recent_one():
    old = offer("p7", price="0.50", seen_at=TODAY.replace(year=2024))
    assert machines_asked_about([old, offer("p6", price="2.00")]) == 2


def test_other_chips_are_not_compared():
    assert machines_asked_about([offer("p7", price="0.50"), offer("p6", "Slow", price="2.00")]) == 2


def test_fabrics_that_do_not_compare_leave_everything():
    torus = replace(
        FACTS, fabric=lambda chip, shape, per_node, provider: fabric("torus2d" if provider == "a" else "switch")
    )
    priced = price_all(
        job(counts=(512,)),
        from_offers([offer("a"), offer("b", price="1.00")]),
        as_of=TODAY,
        facts=torus,
        plan=strictly_monotone,
        every=False,
    )
    assert len(priced) == 2
    assert np.unique(priced.result).size == 2


def test_with_the_real_estimator_and_offers_nothing_changes_either():
    from sublet.catalog.store import open_catalog
    from sublet.estimate.plan import plan
    from sublet.quote.columns import from_table
    from sublet.quote.facts import from_catalogue
    from sublet.workload.spec import job_from_options

    asked = job_from_options("mpt-30b", "1T", counts=[512], markets=["on-demand", "spot"])
    columns, facts = from_table(open_catalog(NOWHERE, TODAY)), from_catalogue()
    shown = []
    for every in (True, False):
        priced = price_all(asked, columns, as_of=TODAY, facts=facts, plan=plan, every=every)
        shown.append(
            [
                (*essence(quote)[:3], quote.cost, quote.pareto, quote.similar)
                for quote in select(priced, "best", 500).quotes
            ]
        )
    assert len(shown[0]) > 40
    assert shown[0] == shown[1]
