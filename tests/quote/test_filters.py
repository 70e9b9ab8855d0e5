import pytest
from hypothesis import given
from hypothesis import strategies as st
from quote_fakes import CHIPS, FACTS, OFFERS, chip, job, offer, patient, priced, quotes, replace  # type: ignore[import-not-found]

from sublet.errors import InputError
from sublet.estimate.result import Rejection
from sublet.quote.filters import framework_refusal, in_region


def reasons(offers, **constraints):
    constraints.setdefault("counts", (512,))
    return {(r.accelerator, r.kind, r.reason) for r in priced(offers, job(**constraints)).rejected}


def test_a_framework_that_the_chip_does_not_run():
    assert reasons([offer(accelerator="Torus")]) == {
        ("Torus", "framework", "framework: PyTorch does not run on Torus (it runs JAX)")
    }
    assert quotes([offer(accelerator="Torus")], job(framework="JAX", counts=(512,)))


def test_frameworks_built_on_another_run_where_it_runs():
    assert framework_refusal(CHIPS["Fast"], "Megatron") == ""
    assert framework_refusal(CHIPS["Fast"], "pytorch") == ""
    assert "does not run" in framework_refusal(CHIPS["Torus"], "NeMo")


def test_a_chip_without_published_frameworks_is_not_taken_for_healthy():
    assert "nothing is published" in framework_refusal(chip("New", frameworks=()), "PyTorch")


def test_a_chip_for_inference_does_not_train():
    assert "inference" in framework_refusal(replace(CHIPS["Fast"], training=False), "PyTorch")


def test_memory_says_what_is_needed():
    [entry] = priced([offer(accelerator="Small")]).rejected
    assert (entry.kind, entry.count, entry.miss) == ("memory", 512, 1.875)
    assert "needs 30 GB" in entry.reason


def test_precision_that_the_chip_does_not_have():
    def no_fp8(asked, machines):
        return [Rejection(m, "Fast does not compute in fp8") for m in machines]

    [entry] = priced([offer()], job(precision="fp8", counts=(8,)), estimator=no_fp8).rejected
    assert entry.kind == "precision"


def test_export_rule_names_rule_threshold_and_figures():
    [(name, kind, reason)] = reasons([offer()], country="CN")
    assert (name, kind) == ("Fast", "export")
    assert "rule R, threshold 4,800, TPP 16,000" in reason
    assert quotes([offer()], job(counts=(512,), country="DE"))


def test_export_status_that_is_not_known_is_marked():
    [quote] = quotes([offer(accelerator="Slow")], job(counts=(512,), country="CN"))
    assert "export-not-known" in quote.flags


def test_minimum_size():
    assert reasons([offer(minimum_accelerators=1024)]) == {
        ("Fast", "minimum-size", "minimum size: sold from 1,024 accelerators")
    }


def test_count_not_offered():
    assert reasons([offer(count=8)], counts=(12,)) == {
        ("Fast", "count", "count: not offered (asked: 12; sold in units of 8 accelerators)")
    }


@pytest.mark.parametrize(
    ("constraints", "kept", "kind"),
    [
        ({"providers": ("Alpha",)}, {"alpha"}, "provider"),
        ({"avoid_providers": ("alpha",)}, {"beta", "gamma"}, "provider"),
        ({"regions": ("us",)}, {"alpha"}, "region"),
        ({"regions": ("eu*",)}, {"beta"}, "region"),
        ({"avoid_regions": ("us-east-1",)}, {"beta", "gamma"}, "region"),
        ({"accelerators": ("slow",)}, {"beta"}, "accelerator"),
        ({"avoid_accelerators": ("slow",)}, {"alpha", "gamma"}, "accelerator"),
        ({"markets": ("spot",)}, set(), "market"),
    ],
)
def test_wishes_keep_what_was_asked_for_and_name_themselves(constraints, kept, kind):
    offers = [
        offer("alpha", region="us-east-1"),
        offer("beta", "Slow", region="eu-west-1"),
        offer("gamma", region=None),
    ]
    found = priced(offers, job(counts=(512,), **constraints))
    assert {found.columns.provider[int(row)] for row in found.row} == kept
    assert {r.kind for r in found.rejected} == {kind}


def test_a_place_to_avoid_marks_offers_that_do_not_say_where_they_are():
    [quote] = quotes([offer(region=None)], job(counts=(512,), avoid_regions=("cn-north-1",)))
    assert "region-unknown" in quote.flags


def test_an_accelerator_that_nobody_knows_is_refused_with_the_nearest_names():
    with pytest.raises(InputError, match=r"accelerator 'Fsat' is not known; did you mean Fast\?"):
        priced([offer()], job(accelerators=("Fsat",)))


def test_an_unknown_provider_is_noted():
    found = priced([offer()], job(counts=(512,), providers=("amazon",)))
    assert "no offers by provider 'amazon'" in found.notes[0]


def test_an_ambiguous_offer_is_quoted_as_its_slowest_candidate_and_marked():
    [quote] = quotes([offer(accelerator=None, candidates=("Fast", "Slow"))])
    assert (quote.accelerator, quote.candidates) == ("Slow", ("Fast", "Slow"))
    assert "ambiguous-accelerator" in quote.flags


def test_an_ambiguous_offer_is_refused_where_one_candidate_does_not_fit():
    [entry] = priced([offer(accelerator=None, candidates=("Fast", "Small"))]).rejected
    assert entry.accelerator == "Fast or Small"
    assert entry.reason.startswith("as Small: memory")


def test_an_offer_of_an_unknown_chip_is_listed_under_its_own_spelling():
    assert reasons([offer(accelerator=None, accelerator_raw="X9000")]) == {
        ("X9000", "data", "accelerator: nothing is known of that name")
    }


def test_a_chip_without_data_sheet_is_refused_by_name():
    facts = replace(FACTS, accelerator=lambda name: None)
    [entry] = priced([offer()], facts=facts).rejected
    assert entry.reason == "accelerator: no data sheet of Fast"


@patient
@given(st.sampled_from(["us-east-1", "US-EAST-1", "us", "us-east", "us*", "*"]))
def test_region_wishes_that_mean_us_east_1(wish):
    assert in_region("us-east-1", wish)


@patient
@given(st.sampled_from(["us-east-11", "u", "use", "east", "us-west-1", "eu*"]))
def test_region_wishes_that_do_not_mean_us_east_1(wish):
    assert not in_region("us-east-1", wish)


@patient
@given(OFFERS, st.sampled_from([{}, {"providers": ("beta",)}, {"regions": ("us",)}, {"deadline_s": 30 * 86400.0}]))
def test_no_offer_is_lost(offers, constraints):
    found = priced(offers, job(counts=(512,), **constraints))
    quoted = len(set(found.row.tolist()))
    assert quoted + found.superseded + sum(entry.offers for entry in found.rejected) == found.offers == len(offers)
