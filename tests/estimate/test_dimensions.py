"""Units: a step is a time, its FLOP and bytes are those that can be counted on paper.

Scale everything that has a second in it and the step scales; turn every other cost off and one cause remains, which
must be the count of FLOP or bytes over the rate.
"""

from dataclasses import replace

import numpy as np
import pytest
from estimate_cases import corpus, job, layouts, machine, options  # type: ignore[import-not-found]
from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.estimate.calibration import uncalibrated
from sublet.estimate.evaluate import evaluate
from sublet.estimate.frameworks import family_of
from sublet.estimate.inputs import workload_arrays
from sublet.estimate.machines import machine_arrays
from sublet.estimate.physics import physics
from sublet.workload import builtin
from sublet.workload.flops import attention_flop_per_token
from sublet.workload.parameters import count

QUESTIONS, ASKED = corpus(41, 300)
FOUND = ASKED.evaluate()
RATES = ("memory_rate", "peak", "peak_attention", "link", "nic", "host_link")
DELAYS = ("link_latency", "nic_latency", "launch")


factors = st.floats(0.02, 50.0)
examples = settings(max_examples=15, deadline=None)


def scaled(names, factor):
    return {name: getattr(ASKED.machine, name) * factor for name in names}


@examples
@given(factor=factors)
def test_a_world_that_runs_faster_by_a_factor_steps_faster_by_it(factor):
    now = physics()
    constants = replace(now, step_overhead_s=now.step_overhead_s / factor, collective_s=now.collective_s / factor)
    quick = ASKED.with_(**scaled(RATES, factor), **scaled(DELAYS, 1 / factor)).evaluate(constants)
    np.testing.assert_allclose(quick.step_s, FOUND.step_s / factor, rtol=1e-9)
    for name, part in quick.parts.items():
        np.testing.assert_allclose(part, FOUND.parts[name] / factor, atol=1e-9 * FOUND.step_s.max() / factor)
    np.testing.assert_array_equal(quick.memory.total, FOUND.memory.total)


@examples
@given(factor=factors)
def test_a_rate_and_its_efficiency_enter_as_one_product(factor):
    split = ASKED.with_(
        **scaled(("memory_rate", "peak", "peak_attention"), factor),
        **scaled(("memory", "gemm", "attention"), 1 / factor),
    )
    np.testing.assert_allclose(split.evaluate().step_s, FOUND.step_s, rtol=1e-9)


@pytest.mark.parametrize("name", ["link", "nic"])
@examples
@given(factor=factors)
def test_a_network_rate_and_its_efficiency_enter_as_one_product(name, factor):
    constants = replace(physics(), **{f"{name}_efficiency": getattr(physics(), f"{name}_efficiency") / factor})
    split = ASKED.with_(**scaled((name,), factor))
    np.testing.assert_allclose(split.evaluate(constants).step_s, FOUND.step_s, rtol=1e-9)


@pytest.mark.parametrize(
    ("field", "component"),
    [
        ("weight_bytes", "weights"),
        ("gradient_bytes", "gradients"),
        ("optimizer_bytes", "optimizer"),
        ("activations", "activations"),
        ("reserve_bytes", "overhead"),
    ],
)
def test_each_recipe_figure_scales_its_component_and_no_other(field, component):
    twice = ASKED.with_(**scaled((field,), 2.0)).evaluate().memory
    for name in ("weights", "gradients", "optimizer", "buffers", "overhead"):
        want = getattr(FOUND.memory, name) * (2.0 if name == component else 1.0)
        np.testing.assert_allclose(getattr(twice, name), want, rtol=1e-12)
    if component == "activations":  # an entry of a recomputed layer is kept as it is
        plain = ASKED.options.full_recompute == 0
        grown = twice.activations / FOUND.memory.activations
        np.testing.assert_allclose(grown[plain], 2.0, rtol=1e-9)
        assert np.all((grown >= 1.0) & (grown <= 2.0 + 1e-9))


# ---- FLOP and bytes on paper -----------------------------------------------------------------------------------------

PEAK, LINK, NIC = 1e15, 4e11, 2e10
IDEAL = replace(
    physics(),
    head_half_dim=0.0,
    diagonal_keys=0.0,
    link_efficiency=1.0,
    nic_efficiency=1.0,
    contention=0.0,
    straggler=0.0,
    expert_imbalance=1.0,
    step_overhead_s=0.0,
    collective_s=0.0,
)


def parts(asked, shape, framework="PyTorch-FSDP", **flags):
    """Seconds by cause on an ideal machine of 64 chips, 8 to a domain: no delays, infinite memory rate."""
    family = family_of(framework)
    chips = int(layouts(shape).chips)
    host = machine_arrays(machine("A100 SXM 80GB", chips), asked, family, uncalibrated(), IDEAL)
    one = np.asarray(1.0)
    perfect = {
        "peak": PEAK,
        "peak_attention": PEAK,
        "memory_rate": 1e30,
        "link": LINK,
        "nic": NIC,
        "domain": min(8, chips),
        "node": min(8, chips),
        **dict.fromkeys(("link_latency", "nic_latency", "launch", "overlap_tp", "overlap_dp", "overlap_ep"), 0.0),
    }
    host = replace(host, gemm=one, attention=one, memory=one, **{k: np.asarray(v) for k, v in perfect.items()})
    work = workload_arrays(asked, fused_attention=family.fused_attention)
    return evaluate(work, host, layouts(shape), options(**flags), IDEAL, parts=True).parts


@pytest.mark.parametrize("name", ["mpt-7b", "llama-3-70b", "gpt-3-175b", "palm-62b"])
@pytest.mark.parametrize("shape", [{}, {"tp": 8}, {"pp": 4}, {"tp": 2, "pp": 2, "dp": 4}, {"cp": 4}])
def test_matrix_flop_are_six_for_each_weight_and_token(name, shape):
    model = builtin.model(name)
    tokens = 64 * 2048
    found = parts(job(model, batch=64), shape)
    chips = int(layouts(shape).chips)
    counted = count(model)
    matrices = 6 * (counted.matmul - counted.embedding) * tokens
    assert float(found["matrix multiplication"]) * PEAK * chips == pytest.approx(matrices, rel=1e-9)
    if shape.get("pp", 1) == 1:
        assert float(found["logits and loss"]) * PEAK * chips == pytest.approx(6 * counted.embedding * tokens, rel=1e-9)


def test_matrix_flop_of_a_mixture_are_those_of_the_experts_visited():
    model = builtin.model("mixtral-8x7b")
    counted = count(model)
    router = model.layers * counted.router_per_layer  # small, and not counted as a multiplication here
    found = parts(job(model, batch=64), {"dp": 8, "ep": 8})
    want = 6 * (counted.matmul - counted.embedding - router) * 64 * 2048 / 8
    assert float(found["matrix multiplication"]) * PEAK == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("name", ["mpt-7b", "llama-3-70b", "gemma-2-9b", "deepseek-v3"])
def test_fused_attention_is_the_causal_product_forward_and_two_and_a_half_back(name):
    model = builtin.model(name)
    found = parts(job(model, batch=8, sequence=8192), {})
    forward = attention_flop_per_token(model, 8192) * 8 * 8192
    # the mean query sees (s + 1)/2 keys, the usual count is s/2
    assert float(found["attention"]) * PEAK == pytest.approx(3.5 * forward, rel=2 / 4096)


def test_frozen_weights_need_no_gradient_product():
    full = parts(job("llama-2-70b", batch=8), {})
    frozen = parts(replace(job("llama-2-70b", batch=8), task="lora"), {})
    ratio = float(frozen["matrix multiplication"]) / float(full["matrix multiplication"])
    assert ratio == pytest.approx(2 / 3)


def test_full_recomputation_adds_a_third_where_no_matrix_is_dropped():
    found = parts(job("gpt-3-175b", batch=8), {}, framework="Megatron", full=1.0)
    again = float(found["matrix multiplication"]) / 3 + float(found["attention"]) / 3.5
    assert float(found["recomputation"]) == pytest.approx(again, rel=1e-6)


def test_the_bubble_is_one_microbatch_for_each_stage_but_the_first():
    """(pp - 1)/vp of a microbatch over m of them (Narayanan et al. 2021, arXiv 2104.04473, section 2.2)."""
    for vp in (1, 3):
        found = parts(job("gpt-3-175b", batch=64), {"pp": 8, "vp": vp}, framework="Megatron")
        layers = sum(float(found[name]) for name in ("matrix multiplication", "attention", "elementwise"))
        logits = float(found["logits and loss"]) / 64
        assert float(found["pipeline bubble"]) == pytest.approx(7 / vp * (layers / 64 + logits / 8), rel=1e-6)


@pytest.mark.parametrize("dp", [8, 64])
def test_fsdp_moves_three_copies_of_the_weights_in_two_bytes_for_each_microbatch(dp):
    asked = job("llama-3-8b", batch=4 * dp)
    found = parts(asked, {"dp": dp}, sharding="zero3")
    weights = float(workload_arrays(asked).total_params)
    moved = 3 * 2 * weights * (dp - 1) / dp
    rate = LINK if dp <= 8 else min(8 * NIC, LINK)
    assert float(found["data-parallel traffic"]) == pytest.approx(4 * moved / rate, rel=1e-9)


def test_zero1_reduces_gradients_and_gathers_weights_once_a_step():
    asked = job("llama-3-8b", batch=32)
    found = parts(asked, {"dp": 8}, framework="Megatron", sharding="zero1")
    weights = float(workload_arrays(asked).total_params)
    assert float(found["data-parallel traffic"]) == pytest.approx((4 + 2) * weights * 7 / 8 / LINK, rel=1e-9)


def test_hsdp_gathers_in_its_group_and_reduces_its_shards_across():
    asked = job("llama-3-8b", batch=64)
    found = parts(asked, {"dp": 64}, sharding="hsdp", group=8)
    weights = float(workload_arrays(asked).total_params)
    inside = 3 * 2 * weights * 7 / 8 / LINK
    across = 2 * 4 * weights / 8 * 7 / 8 / NIC  # fp32 shards, all-reduced over 8 groups, one NIC each
    assert float(found["data-parallel traffic"]) == pytest.approx(inside + across, rel=1e-9)


@pytest.mark.parametrize(("sequence_parallel", "passes"), [(0.0, 8), (1.0, 10)])
def test_tensor_parallelism_moves_the_activations_four_times_each_way(sequence_parallel, passes):
    """Two all-reduces forward and two backward: eight gathers; sequence parallelism adds two backward."""
    model = builtin.model("gpt-3-175b")
    found = parts(job(model, batch=8), {"tp": 8}, framework="Megatron", sequence_parallel=sequence_parallel)
    activations = 2 * 8 * 2048 * model.hidden * model.layers
    want = passes * 7 / 8 * activations / LINK
    assert float(found["tensor-parallel traffic"]) == pytest.approx(want, rel=1e-9)


def test_a_context_ring_moves_keys_and_values_once_forward_and_twice_back():
    model = builtin.model("llama-3-8b")
    found = parts(job(model, batch=8, sequence=8192), {"cp": 8})
    stored = 2 * 2 * model.kv_heads * model.head_dim * 8 * 8192 * model.layers
    assert float(found["context-parallel traffic"]) == pytest.approx(3 * 7 / 8 * stored / LINK, rel=1e-9)


def test_experts_in_one_domain_are_reached_by_link_and_each_far_domain_once():
    model = builtin.model("mixtral-8x7b")
    near = parts(job(model, batch=64), {"dp": 8, "ep": 8})
    tokens = 2 * 64 / 8 * 2048 * model.hidden * model.layers  # bytes of one pass over this rank's tokens
    want = 4 * 2 * 7 / 8 * tokens / LINK  # dispatch and combine, forward and backward, two experts each
    assert float(near["expert-parallel traffic"]) == pytest.approx(want, rel=1e-9)
    # experts in 8 domains, one to each: of two drawn evenly, 8 (1 - (7/8)^2) domains are met, 7/8 of them elsewhere
    far = parts(job(model, batch=64), {"tp": 8, "dp": 8, "ep": 8})
    met = 8 * (1 - (7 / 8) ** 2)
    assert float(far["expert-parallel traffic"]) == pytest.approx(4 * met * 7 / 8 * tokens / 8 / NIC, rel=1e-9)


def test_a_pipeline_sends_each_microbatch_there_and_back_over_every_boundary_of_a_rank():
    model = builtin.model("gpt-3-175b")
    found = parts(job(model, batch=64), {"pp": 4, "vp": 2}, framework="Megatron")
    hop = 2 * 2048 * model.hidden / LINK  # the four stages share a domain
    assert float(found["pipeline traffic"]) == pytest.approx(hop * (2 * 3 + 2 * 64 * 2), rel=1e-9)
